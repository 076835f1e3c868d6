"""The scale of a dimension's score: percentiles of a ladder, and the distance that is read on it."""

import numpy as np
import pytest
from scipy.stats import percentileofscore

from vr.detector.ladder import Ladder, distance, fit_rungs, score_on
from vr.detector.metric import Feature, MetricSpec


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_a_score_is_the_share_of_rungs_that_are_worse(rng):
    rungs = rng.gamma(2.0, 1.0, 5_000)
    levels = fit_rungs(rungs)
    for away in (0.3, 1.0, 2.5, 6.0):
        assert score_on(levels, away) == pytest.approx(100 - percentileofscore(rungs, away, "strict"), abs=0.6)


def test_no_distance_scores_100_however_many_rungs_have_none(rng):
    levels = fit_rungs(np.concatenate([np.zeros(600), rng.uniform(1.0, 2.0, 400)]))
    assert score_on(levels, 0.0) == 100.0
    # Anything beyond them is behind all of them.
    assert score_on(levels, 0.99) <= 41.0


def test_a_distance_beyond_every_rung_scores_0(rng):
    levels = fit_rungs(rng.uniform(0.0, 2.0, 300))
    assert score_on(levels, 2.1) == 0.0
    assert score_on(levels, float(levels[-1])) == 0.0


def test_a_score_never_rises_with_distance(rng):
    levels = fit_rungs(np.round(rng.exponential(1.0, 400), 1))
    scores = [score_on(levels, away) for away in np.linspace(0.0, 30.0, 2_000)]
    assert np.all(np.diff(scores) <= 1e-9)
    assert scores[0] == 100.0
    assert scores[-1] == 0.0


def test_a_ladder_comes_back_from_its_document(rng):
    ladder = Ladder(fit_rungs(rng.exponential(1.0, 300)), 67.5, 0.05, 0.1, 0.97)
    again = Ladder.from_dict(ladder.to_dict())
    np.testing.assert_array_equal(again.rungs, ladder.rungs)
    assert (again.threshold, again.false_alarms, again.misses, again.auroc) == (67.5, 0.05, 0.1, 0.97)


def test_the_distance_is_the_root_mean_square_of_what_is_judged_and_measured():
    specs = {name: MetricSpec(name, name, floor=0.1, judged=name != "told") for name in ("a", "b", "c", "told")}
    features = {
        "a": Feature(0.4, 0.0, 0.0, 0.0),  # z = 4
        "b": Feature(0.0, 0.0, 0.0, 0.0),
        "c": Feature.missing("no"),
        "told": Feature(9.0, 0.0, 0.0, 0.0),
    }
    assert distance(features, specs) == pytest.approx(np.log1p(3.0) / np.sqrt(2.0))
    assert distance({"c": features["c"]}, specs) is None
