"""Columns that the model is to predict: the verdict speaks of them, and says so where it cannot."""

import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import vr
from vr.core.errors import ConfigError, DataError

ROWS = 900


def table(seed: int, *, loses: str | None = None) -> pa.Table:
    """Two columns that follow others, `y` a number and `label` a word, and `noise`; one of the two cut loose."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((ROWS, 3))
    y = x[:, 0] - x[:, 1] + 0.2 * rng.standard_normal(ROWS)
    label = np.array(["low", "high"])[(x[:, 2] + 0.1 * rng.standard_normal(ROWS) > 0).astype(int)]
    columns = {"a": x[:, 0], "b": x[:, 1], "c": x[:, 2], "y": y, "label": label, "noise": rng.standard_normal(ROWS)}
    if loses is not None:
        columns[loses] = rng.permutation(columns[loses])
    return pa.table(columns)


def validated(candidate: pa.Table, targets: list[str], *overrides: str) -> vr.ValidationReport:
    words = ["cascade=none", "signatures.history=false", *overrides]
    return vr.validate(candidate, table(0), {"targets": targets}, words)


def lost(report: vr.ValidationReport) -> dict[str, float | None]:
    metrics = report.dimensions["generalization_gap"].metrics
    names = ("skill_lost_trees", "skill_lost_targets")
    return {name: metrics[name].value for name in names if name in metrics}


@pytest.fixture(scope="module")
def without_y() -> dict[str, vr.ValidationReport]:
    return {name: validated(table(1, loses="y"), [name]) for name in ("y", "label")}


def test_what_is_lost_is_asked_of_the_targets_alone(without_y):
    assert lost(without_y["y"])["skill_lost_targets"] > 0.8
    assert abs(lost(without_y["label"])["skill_lost_targets"]) < 0.1
    for name, report in without_y.items():
        assert report.calibration.situation == "untrained_for_targets"
        assert report.calibration.targets == [name]
        assert "skill_lost_trees" not in report.dimensions["generalization_gap"].metrics
    # The other signs speak of all columns; the expected loss leans on the targets.
    assert without_y["y"].risk_score > without_y["label"].risk_score
    expected = {name: report.remedies.expected_skill_loss.value for name, report in without_y.items()}
    assert expected["y"] > 0.7
    assert expected["label"] < 0.3


def test_what_remedies_would_buy_is_asked_of_the_targets_too():
    report = validated(table(1, loses="y"), ["y"], "plan=mix")
    (real,) = [each for each in report.recommendations if each.action["kind"] == "add_real_rows"]
    assert real.expected_risk_score.value < report.risk_score - 10
    assert 0.3 < report.remedies.mix.share.value <= 1.0
    assert report.remedies.expected_skill_loss.value > 0.5
    # Of a column that nothing was lost at fewer real rows are asked for.
    other = validated(table(1, loses="y"), ["label"], "plan=mix")
    assert other.remedies.mix.share_by_harm.value < report.remedies.mix.share_by_harm.value - 0.05


def test_a_target_that_real_rows_do_not_teach_is_not_judged_and_said_so():
    report = validated(table(1), ["noise"])
    assert report.calibration.situation == "untrained"
    assert report.calibration.targets == []
    assert report.dimensions["generalization_gap"].metrics["skill_lost_targets"].value is None
    assert lost(report)["skill_lost_trees"] is not None
    assert any("'noise'" in note and "judged by all columns" in note for note in report.dataset.notes)
    both = validated(table(1), ["noise", "y"])
    assert both.calibration.targets == ["y"]
    assert any("'noise'" in note and "judged by 'y'" in note for note in both.dataset.notes)


def test_without_a_reference_targets_are_noted_as_not_measured():
    report = vr.validate(table(1), None, {"targets": ["y"]}, ["cascade=none", "signatures.history=false"])
    assert report.calibration.targets == []
    assert any("'y'" in note and "needs a reference" in note for note in report.dataset.notes)


@pytest.mark.parametrize(
    ("targets", "overrides", "message"),
    [
        (["lable"], [], "no column 'lable'; did you mean 'label'?"),
        (["zzz"], [], "there are 'a', 'b', 'c', 'y', 'label', 'noise'"),
        (["y"], ["data.types.y=ignore"], "column 'y' is set to ignore"),
    ],
)
def test_a_target_that_cannot_be_read_is_one_line(targets, overrides, message):
    with pytest.raises(DataError) as error:
        validated(table(1), targets, *overrides)
    assert message in str(error.value)
    assert "targets" in str(error.value)


def test_targets_are_checked_before_anything_is_read():
    with pytest.raises(ConfigError, match="twice"):
        validated(table(1), ["y", "y"])
    with pytest.raises(ConfigError, match="10 at most"):
        validated(table(1), [f"c{i}" for i in range(11)])


def test_a_target_on_one_side_only_or_one_that_names_rows_is_told_as_what_it_is():
    with pytest.raises(DataError, match="column 'extra' is on one side only"):
        validated(table(1).append_column("extra", pa.array(range(ROWS))), ["extra"])
    sides = [table(seed).append_column("id", pa.array(range(seed * ROWS, (seed + 1) * ROWS))) for seed in (0, 1)]
    with pytest.raises(DataError, match=r"column 'id' is taken for identifier.*data\.types\.id"):
        vr.validate(sides[1], sides[0], {"targets": ["id"]}, ["cascade=none", "signatures.history=false"])


def test_a_date_is_not_predicted_from_its_own_month():
    # Days at random, of which nothing else tells anything.
    def dated(seed):
        days = np.random.default_rng(seed + 50).integers(0, 365, ROWS)
        return table(seed).append_column("day", pa.array(np.datetime64("2024-01-01") + days))

    report = vr.validate(dated(1), dated(0), {"targets": ["day"]}, ["cascade=none", "signatures.history=false"])
    assert report.calibration.targets == []
    assert any("hardly teach to predict 'day'" in note for note in report.dataset.notes)


def test_one_lost_target_among_kept_ones_is_not_approved():
    # The many others hide it in what is lost together.
    def side(seed, *, lost):
        rng = np.random.default_rng(seed)
        x = rng.standard_normal((1_500, 4))
        columns = {f"x{j}": x[:, j] for j in range(4)}
        columns |= {f"y{j}": x[:, j] + 0.05 * rng.standard_normal(1_500) for j in range(4)}
        weak = 0.9 * x[:, 0] + rng.standard_normal(1_500)
        columns["weak"] = rng.permutation(weak) if lost else weak
        return pa.table(columns)

    targets = ["y0", "y1", "y2", "y3", "weak"]
    words = ["cascade=none", "signatures.history=false"]
    kept, gone = (
        vr.validate(side(1, lost=lost), side(0, lost=False), {"targets": targets}, words) for lost in (False, True)
    )
    assert kept.verdict == "approve"
    metrics = gone.dimensions["generalization_gap"].metrics
    assert metrics["skill_lost_targets"].value < 0.15 < metrics["skill_lost_worst_target"].value
    assert gone.verdict != "approve"


def test_too_few_rows_for_forests_are_said_to_be_so():
    report = validated(table(1).slice(0, 30), ["y"])
    assert report.calibration.targets == []
    assert "what is lost at predicting 'y' was not measured: too few rows" in report.dataset.notes[0]


def test_targets_and_their_order_are_part_of_what_a_run_is(tmp_path):
    def run(targets, known):
        words = ["cascade=none", "signatures.history=false"]
        return vr.validate(table(1, loses="y"), table(0), {"targets": targets}, words, references=known)

    known = vr.References()
    alone = [run(targets, known) for targets in ([], ["y"], ["label"], ["label", "y"], ["y", "label"])]
    again = [run(targets, None) for targets in ([], ["y"], ["label"], ["label", "y"])]
    assert [each.risk_score for each in alone[:4]] == [each.risk_score for each in again]
    assert alone[3].risk_score == alone[4].risk_score


def test_targets_are_kept_where_columns_are_too_many_to_compare_them_all():
    rng = np.random.default_rng(4)
    reference, candidate = ({f"n{j}": rng.standard_normal(300) for j in range(60)} for _ in range(2))
    for side in (reference, candidate):
        side["target"] = np.where(side["n0"] > 1.5, "yes", "no")  # the least varied
    words = ["cascade=none", "signatures.history=false"]
    report = vr.validate(pa.table(candidate), pa.table(reference), {"targets": ["target"]}, words)
    assert report.calibration.targets == ["target"]


def test_the_command_takes_targets(tmp_path):
    for name, rows in (("real", table(0)), ("made", table(1, loses="y"))):
        pq.write_table(rows, tmp_path / f"{name}.parquet")
    words = ["made.parquet", "-r", "real.parquet", "-o", "out", "--target", "y", "-t", "label", "cascade=none"]
    done = subprocess.run(
        [sys.executable, "-m", "vr", "validate", *words, "signatures.history=false"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        timeout=240,
    )
    assert done.returncode == 0, done.stderr
    assert "judged for predicting y, label" in done.stdout
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert "To predict: y, label." in page
