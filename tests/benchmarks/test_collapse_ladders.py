"""Ladders are fitted to rungs, thresholds to clear cases, and their rates are those of other datasets."""

import numpy as np
import pytest

from benchmarks.collapse.evidence import load_cases
from benchmarks.collapse.ladders import distances, fit_ladder, threshold
from benchmarks.collapse.protocol import Cases
from vr.detector.calibration import load_calibration
from vr.detector.ladder import distance
from vr.detector.metric import Feature, excess_of
from vr.detector.registry import DIMENSIONS

RNG = np.random.default_rng(0)


def cases_of(harm, datasets):
    n = len(harm)
    return Cases(np.arange(n).astype(str), np.asarray(datasets), np.repeat("kde", n), np.asarray(harm), {})


def test_the_threshold_separates_what_can_be_separated():
    scores = np.array([10.0, 20.0, 30.0, 80.0, 90.0, 100.0])
    assert threshold(scores, scores < 50) == 55.0


def test_the_threshold_weighs_both_errors_alike():
    # One healthy case in ten lies among the collapsed: to lose it costs less than to let half of them pass.
    healthy, collapsed = np.r_[[20.0], np.full(9, 100.0)], np.linspace(5.0, 35.0, 100)
    scores = np.concatenate([healthy, collapsed])
    assert threshold(scores, np.arange(110) >= 10) == pytest.approx(67.5)


def test_rates_are_those_of_thresholds_that_had_not_seen_the_dataset():
    # Each dataset has a scale of its own: a threshold fitted with it would be right, one without it is wrong.
    harm = np.tile([0.0, 0.3], 200)
    datasets = np.repeat([f"d{i}" for i in range(20)], 20)
    away = np.where(harm > 0.1, 1.0, 0.9) * np.repeat(np.geomspace(1.0, 30.0, 20), 20)
    ladder = fit_ladder(cases_of(harm, datasets), away, harm > 0.1)
    assert ladder.false_alarms + ladder.misses > 0.8


def test_distances_of_the_study_are_those_of_the_detector():
    cases, _ = load_cases(["features"])
    found = distances(cases, "correlation_preservation", "trained")
    dimension = DIMENSIONS["correlation_preservation"]
    for row in RNG.choice(len(cases), 20, replace=False):
        features = {}
        for name, spec in dimension.metrics.items():
            z = cases.features[f"correlation_preservation.{name}"][row]
            # A value of z floors from a null without spread has that z again.
            if np.isfinite(z):
                features[name] = Feature(z * spec.floor * (1 if spec.higher_is_worse else -1), 0.0, 0.0, 0.0)
        assert found[row] == pytest.approx(distance(features, dimension.metrics))


def test_without_proxies_nothing_of_theirs_counts():
    cases, _ = load_cases(["features"])
    assert np.isnan(distances(cases, "loss_landscape", "untrained")).all()
    with_proxies, alone = (distances(cases, "generalization_gap", name) for name in ("trained", "untrained"))
    assert not np.allclose(with_proxies, alone, equal_nan=True)
    assert "loss_landscape" not in load_calibration().ladders["untrained"]
    assert set(load_calibration().ladders["trained"]) == set(DIMENSIONS)


def test_where_targets_are_named_what_is_lost_at_them_counts_and_not_at_all_columns():
    cases, _ = load_cases(["features", "targets"])
    all_columns, targets = (
        distances(cases, "generalization_gap", f"untrained{suffix}") for suffix in ("", "_for_targets")
    )
    for away, name in ((all_columns, "skill_lost_trees"), (targets, "skill_lost_targets")):
        expected = excess_of(cases.features[f"generalization_gap.{name}"])
        np.testing.assert_allclose(away, expected, atol=1e-12)
