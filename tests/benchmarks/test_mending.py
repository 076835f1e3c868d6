"""What remedies do, measured by training, and how predicted and measured are set beside each other."""

import json
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import mix_planner, mix_planner_noise, remedies
from benchmarks.collapse.cases import parts_of, splits
from benchmarks.measure import RESULTS
from benchmarks.mending.measured import Arms
from benchmarks.skill_loss import measure_real, skill_loss
from synthetic.damage import DAMAGES


@pytest.fixture(scope="module")
def arms():
    (split,) = [each for each in splits(["seattle_weather"]) if each.name == "seattle_weather-0"]
    parts = parts_of(split)
    return split, parts, Arms.of(split, parts, 1, smaller=True)


def test_a_candidate_is_measured_as_the_labels_are(arms):
    split, parts, found = arms
    broken = DAMAGES["shuffle_columns"](parts.train, 0.8, 3).table
    ours = found.measure(lambda seed: broken)
    targets = list(found.arms[0].losses)
    arm = measure_real(parts.pool, parts.test, targets, range(2), split.candidate_rows)
    assert ours.harm == pytest.approx(skill_loss(broken, arm, range(1)).harm, abs=1e-9)
    assert ours.harm > 0.15


def test_fewer_rows_are_held_against_as_many_real_ones(arms):
    _, parts, found = arms
    half = parts.fresh.slice(0, round(0.5 * parts.fresh.num_rows))
    measured = found.measure(lambda seed: half)
    # Real rows lose nothing against as many real rows, and something against twice as many.
    assert abs(measured.s) < 0.2
    assert measured.s_of_all > measured.s


def test_losses_between_two_sizes_lie_between_theirs(arms):
    found = arms[2]
    large, middle = found.arms[0], found.arms[1]
    between = found.at((large.rows + middle.rows) // 2)
    for name in large.losses:
        low, high = sorted((large.losses[name][0][0], middle.losses[name][0][0]))
        assert low - 1e-12 <= between.losses[name][0][0] <= high + 1e-12
    assert found.at(10 * large.rows) is large
    assert replace(between, rows=large.rows).test is large.test


def test_the_share_found_by_training_is_where_monotone_harm_crosses():
    shares = [0.0, *mix_planner.SHARES]
    curve = [{"s": 0.4 - 0.5 * share, "s_tail": 0.0, "by_seed": [[0.4 - 0.5 * share, 0.0]]} for share in shares]
    assert mix_planner.found_by_training(curve, 0.1) == pytest.approx(0.6)
    assert mix_planner.found_by_training(curve, 0.5) == 0.0
    high = [point | {"s": point["s"] + 0.5} for point in curve]
    # At 0.9 it is 0.45, and at all real rows 0.
    assert mix_planner.found_by_training(high, 0.1) == pytest.approx(0.9 + 0.1 * (0.45 - 0.1) / 0.45)


def test_the_share_of_the_planner_s_trees_is_where_their_loss_crosses_or_the_expected_one():
    row = {"case": "c", "planned": {"by_harm_of_targets": 0.3}}
    lost = [0.4 - 0.5 * share for share in (0.0, *mix_planner.SHARES)] + [0.0]
    assert mix_planner.with_trees(row, {"lost": lost})["planned"]["by_trees_of_targets"] == pytest.approx(0.6)
    assert mix_planner.with_trees(row, {"lost": None})["planned"]["by_trees_of_targets"] == 0.3
    assert row["planned"] == {"by_harm_of_targets": 0.3}
    unnamed = mix_planner.with_trees(row | {"planned": {"by_harm": 0.4}}, {"lost": lost}, "trees_unnamed")
    assert unnamed["planned"] == {"by_harm": 0.4, "by_trees": pytest.approx(0.6)}


def test_the_truth_is_the_mean_harm_of_two_trainings():
    first, again = ([start - 0.5 * share for share in (0.0, *mix_planner.SHARES)] for start in (0.4, 0.5))
    row = mix_planner.with_again({"case": "c", "harm": first}, again)
    assert row["trained"]["0.1"] == pytest.approx(0.7)
    assert row["trained_apart"] == pytest.approx([0.6, 0.8])
    # Told twice it is the same.
    assert mix_planner.with_again(row, again) == row


def test_a_truth_s_share_is_of_the_targets_that_real_rows_teach_steadily():
    shares = np.array([0.0, *mix_planner.SHARES])
    # Real rows save .5 of the prior's 1 at one target, and nothing at the other, of which a mix loses much.
    steady = {"real": [[0.5 + d, 0.5 + d] for d in (-0.001, 0.001) * 4], "prior": [1.0, 1.0]}
    useless = {"real": [[1.0, 1.0]] * 8, "prior": [1.0, 1.0]}
    lost = {"a": 0.5 + 0.5 * (0.4 - 0.5 * shares), "b": 9.0 - shares}
    truth = {
        "rows": 100,
        "pool": 1_000,
        "real": {"a": steady["real"], "b": useless["real"]},
        "prior": {"a": steady["prior"], "b": useless["prior"]},
        "mix": {name: [np.column_stack([values, values]).tolist()] for name, values in lost.items()},
    }
    assert mix_planner_noise.share_of([truth], [0], [0]) == pytest.approx(0.6)


def test_committed_spreads_are_those_of_the_committed_shares():
    results = json.loads((RESULTS / "mix_planner_noise.json").read_text())
    truths = np.array([row["truths"] for row in results["rows"]])
    assert results["std_truths"] == pytest.approx(np.sqrt(truths.var(axis=1, ddof=1).mean()), abs=1e-4)
    pairs = np.abs(truths - np.roll(truths, 1, axis=1))
    assert results["pairs_within_a_tenth"] == pytest.approx(np.mean(pairs <= 0.1), abs=1e-4)
    developing = {row["case"] for row in mix_planner.committed().values() if row["development"]}
    assert {row["case"] for row in results["rows"]} == developing


def test_committed_figures_are_those_of_the_committed_lineages():
    results, rows = json.loads((RESULTS / "mix_planner.json").read_text()), list(mix_planner.committed().values())
    assert len(rows) == results["lineages"] + results["development"]
    judging, developing = ([row for row in rows if row["development"] is which] for which in (False, True))
    for way in ("by_harm_of_targets", "by_trees_of_targets", "by_trees"):
        errors = mix_planner.errors_of(rows, way, results["level"])
        assert results["errors"][way] == pytest.approx(errors, abs=1e-4)
        assert mix_planner._values(developing, way, 0.1) == results["on_development"][way]
        values = mix_planner._values(judging, way, 0.1)
        assert values == {name: figure[0] for name, figure in results["figures"][way]["0.1"].items()}
    for row in rows:
        assert mix_planner.with_again(row, row["harm_again"]) == row
        again = mix_planner.with_trees(row, row["trees"])
        assert mix_planner.with_trees(again, row["trees_unnamed"], "trees_unnamed")["planned"] == row["planned"]


def test_figures_count_gains_that_came_and_rank_changes():
    rng = np.random.default_rng(0)
    rows = [
        {
            "case": f"c{i}",
            "dataset": f"d{i % 5}",
            "kind": "damage",
            "source": "x",
            "remedy": "drop_0.8",
            "rows": 5,
            "of_rows": 100,
            "noise": 0.01,
            "harm": 0.4,
            "measured_change": change,
            "measured_change_of_all": change,
            "measured_error": 0.01,
            "risk": 90.0,
            "risk_change": 100.0 * change,
            "risk_change_by_draw": [0.0],
            "logit_change": change,
            "harm_change": change,
            "validated_risk_change": 50.0 * change,
            "validated_logit_change": -change,
            "validated_harm_change": None if i == 7 else change,
            "skill_change": -change,
        }
        for i, change in enumerate(-rng.random(40))
    ]
    found = remedies._figures(rows)
    assert found["spearman_harm"][0] == pytest.approx(1.0)
    assert found["spearman_skill"][0] == pytest.approx(-1.0)
    assert found["gain_came"][0] == 1.0
    assert found["spearman_risk_validated"][0] == pytest.approx(1.0)
    assert found["spearman_logit_validated"][0] == pytest.approx(-1.0)
    assert found["spearman_harm_validated"][0] == pytest.approx(1.0)
    assert found["risk_error_validated"][0] == pytest.approx(
        50.0 * np.median([-row["logit_change"] for row in rows]), abs=1e-3
    )
    assert found["gain_validated"][0] == 1.0


def test_candidates_and_lineages_are_apart_from_what_fitted_the_row_scores():
    fitted = {"ImageSegments", "cps91", "crime1", "fair", "injury", "nassCDS", "stackoverflow", "twoyear", "txhousing"}
    assert not {case.dataset for case in remedies.candidates().values()} & (fitted | {"wagepan"})
    lineages = mix_planner.lineages()
    assert len(lineages) >= 30
    assert all(case.workflow == "replace" for case in lineages.values())
