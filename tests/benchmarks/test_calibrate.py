"""The shipped calibration is what the committed results give, and its card what the committed answers say."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from benchmarks.collapse.accuracy_page import PAGE, fill, tables
from benchmarks.collapse.evidence import MAX_NOISE, RESULTS, load_cases
from benchmarks.collapse.fitting import fit_calibrated
from benchmarks.collapse.ladders import fit_ladders
from benchmarks.collapse.protocol import figures
from experiments.calibrate import HEADS, rungs_of
from vr.detector.calibration import load_calibration


@pytest.mark.parametrize("situation", sorted(HEADS))
def test_the_shipped_heads_are_those_of_the_committed_results(situation):
    cases, _ = load_cases(["features", "targets", "reference_free"])
    fitted, shipped = fit_calibrated(cases, HEADS[situation]), load_calibration().heads[situation]
    assert shipped.head.names == HEADS[situation]
    np.testing.assert_allclose(shipped.head.weights, fitted.head.weights, atol=0.02)
    np.testing.assert_allclose(shipped.probability(cases.features), fitted.probability(cases.features), atol=0.01)
    if situation == "without_reference":
        fitted = fitted.reviewing_only()
    assert shipped.approve_below == pytest.approx(fitted.approve_below, abs=0.01)
    assert shipped.reject_from == pytest.approx(fitted.reject_from, abs=0.01)


def test_the_shipped_ladders_are_those_of_the_committed_results():
    cases, table = load_cases(["features", "targets"])
    whole, rows = load_cases(["cascade"])
    found = fit_ladders((cases, rungs_of(table)), (whole, rungs_of(rows)))
    for situation, ladders in load_calibration().ladders.items():
        assert set(ladders) == set(found[situation])
        for name, ladder in ladders.items():
            np.testing.assert_allclose(ladder.rungs, found[situation][name].rungs, atol=1e-4)
            assert ladder.threshold == pytest.approx(found[situation][name].threshold, abs=0.1)
            assert ladder.misses == pytest.approx(found[situation][name].misses, abs=0.01)


def test_the_card_is_that_of_the_committed_answers():
    table = pq.read_table(RESULTS / "answers.parquet")
    harm = table["harm"].to_numpy()
    clear, seen = (harm < 0.05) | (harm > 0.15), np.array(table["seen"])
    settled = table["noise"].to_numpy() <= MAX_NOISE
    groups = {"clear": ~seen & settled, "from_reference": seen & settled, "noisy_labels": ~seen & ~settled}
    groups["any_label"] = ~seen
    for situation, head in load_calibration().heads.items():
        probability = table[f"{situation}_probability"].to_numpy()
        said = table[f"{situation}_collapsed"].to_numpy(zero_copy_only=False)
        approved = np.array(table[f"{situation}_verdict"]) == "approve"
        for kind, group in groups.items():
            rows = clear & group
            found = figures(probability[rows], harm[rows], said[rows])
            card = head.card[kind]
            assert card["cases"] == [int(rows.sum())]
            for name in ("auroc", "accuracy", "fpr", "fnr"):
                assert card[name][0] == pytest.approx(found[name], abs=2e-3)
            collapsed = rows & (harm > 0.15)
            assert card["collapsed_approved"][0] == pytest.approx(approved[collapsed].mean(), abs=2e-4)


def test_answers_are_out_of_sample():
    # A head that had seen its cases would look better on them than the committed answers do.
    cases, _ = load_cases(["features", "reference_free"])
    answers = dict(zip(*(pq.read_table(RESULTS / "answers.parquet")[c].to_pylist() for c in _COLUMNS), strict=True))
    held_out = np.array([answers[id] for id in cases.ids])
    seen = load_calibration().heads["trained"].probability(cases.features)
    assert np.abs(held_out - seen).max() > 0.01
    gaps = [np.mean((p - cases.positive) ** 2) for p in (held_out, seen)]
    assert gaps[0] > gaps[1]


_COLUMNS = ("case", "trained_probability")


def test_a_page_is_filled_between_its_marks_only():
    page = "before\n<!-- a -->\nold\n<!-- /a -->\nafter <!-- b -->\n"
    assert fill(page, "a", ["new", "rows"]) == page.replace("old", "new\nrows")
    with pytest.raises(ValueError, match="no place for c"):
        fill(page, "c", [])


def test_the_accuracy_page_is_that_of_the_shipped_calibration_and_the_committed_results():
    page = PAGE.read_text(encoding="utf-8")
    for name, lines in tables().items():
        assert fill(page, name, lines) == page, name


@pytest.mark.parametrize(
    ("name", "situation"),
    [("peers", "trained"), ("peers_for_targets", "trained_for_targets"), ("ablation", "trained")],
)
def test_comparisons_were_made_with_the_shipped_head(name, situation):
    ours = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))["vr"]
    shipped = load_calibration().heads[situation]
    assert tuple(ours["features"]) == shipped.head.names
    assert ours["clear"] == shipped.card["clear"]


def test_no_interval_leaves_out_its_own_figure():
    for head in load_calibration().heads.values():
        for kind in ("all", "clear", "abstaining"):
            for name, found in head.card[kind].items():
                if len(found) == 3:
                    assert found[1] <= found[0] <= found[2], f"{kind} {name}"


def test_other_tools_are_compared_with_noisier_labels_too():
    found = json.loads((RESULTS / "peers.json").read_text(encoding="utf-8"))
    for name, each in found.items():
        assert each["any_label"]["clear"]["cases"][0] > each["clear"]["cases"][0] > 0, name
        assert name == "vr" or set(each["any_label"]["lead"]) == {"auroc", "spearman"}
