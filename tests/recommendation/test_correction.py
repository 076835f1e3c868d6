"""Predictions moved by earlier errors: by as much as the formula says, hardly by few, and never to somewhere worse."""

import math

import numpy as np
import pytest
from scipy import stats

from vr.recommendation.actions import Effect
from vr.recommendation.correction import FEWEST, Correction, corrected, corrections
from vr.recommendation.hindsight import Case


def cases(errors, name=""):
    return [Case(f"{name}{i}", 80.0, 40.0, 40.0 + error) for i, error in enumerate(errors)]


def test_a_shift_is_the_posterior_mean():
    errors = {"clip": np.array([-8.0, -12.0, -10.0, -9.0, -11.0, -10.0]), "drop": np.array([1.0, -1.0, 2.0, 0.0, -2.0])}
    found = corrections({kind: cases(values) for kind, values in errors.items()})
    squares = sum(((values - values.mean()) ** 2).sum() for values in errors.values())
    variance = squares / stats.chi2.ppf(0.05, 6 + 5 - 2)
    n, mean = np.array([6.0, 5.0]), np.array([-10.0, 0.0])
    between = max(0.0, ((n * mean**2).sum() - 2.0 * variance) / 11.0)
    weight = between / (between + variance / n)
    assert between > 0.0
    assert [found[kind].shift for kind in errors] == pytest.approx(weight * mean)
    # One over the precisions of both, added.
    posterior = 1.0 / np.sqrt(1.0 / between + n / variance)
    assert [found[kind].deviation for kind in errors] == pytest.approx(posterior)
    assert [(each.fixes, each.datasets) for each in found.values()] == [(6, 6), (5, 5)]


def test_many_steady_errors_are_taken_as_they_are():
    rng = np.random.default_rng(0)
    found = corrections({"clip": cases(rng.normal(-6.0, 3.0, 2_000))})["clip"]
    assert found.shift == pytest.approx(-6.0, abs=0.3)
    assert found.deviation < 0.1


def test_few_move_nothing_and_chance_moves_nothing():
    assert corrections({}) == corrections({"clip": []}) == {}
    assert corrections({"clip": cases([-9.0] * (FEWEST - 1))}) == {}
    assert corrections({"clip": cases([-9.0, 9.0, -5.0, 6.0, 1.0, -2.0])}) == {}
    # Many fixes of one dataset are one witness.
    assert corrections({"clip": [Case("a", 80.0, 40.0, 20.0)] * 50}) == {}


def test_a_shift_never_goes_beyond_the_mean():
    rng = np.random.default_rng(1)
    for _ in range(200):
        errors = rng.normal(rng.normal(0.0, 8.0), 5.0, int(rng.integers(FEWEST, 12)))
        for each in corrections({"clip": cases(errors)}).values():
            assert abs(each.shift) <= abs(errors.mean())
            assert each.shift * errors.mean() > 0.0


@pytest.mark.parametrize(("bias", "at_most"), [(0.0, 1.03), (-10.0, 0.6)])
def test_what_is_moved_is_right_more_often(bias, at_most):
    """Mean squared error of new predictions, moved, over that of the same as they are."""
    rng = np.random.default_rng(2)
    as_is = moved = 0.0
    for _ in range(500):
        found = corrections({"clip": cases(rng.normal(bias, 6.0, 8))})
        shift = found["clip"].shift if found else 0.0
        error = rng.normal(bias, 6.0)
        as_is, moved = as_is + error**2, moved + (error - shift) ** 2
    assert moved <= at_most * as_is


def test_an_effect_is_moved_and_says_so():
    found = corrected(Effect(30.0, 20.0, 45.0, basis="measured"), Correction(-4.0, 3.0, 12, 9))
    half = stats.norm.ppf(0.95) * 3.0
    assert (found.risk, found.shift) == (26.0, -4.0)
    assert (found.lower, found.upper) == pytest.approx((26.0 - math.hypot(10.0, half), 26.0 + math.hypot(15.0, half)))
    assert (
        found.basis
        == "moved by -4.0 points, from 30.0, by the error of 12 earlier fixes of its kind, of 9 datasets; measured"
    )


def test_a_moved_effect_stays_a_risk():
    found = corrected(Effect(3.0, 1.0, 8.0), Correction(-10.0, 2.0, 12, 9))
    assert (found.risk, found.shift, found.lower) == (0.0, -3.0, 0.0)
    assert corrected(Effect(99.0, 90.0, 100.0), Correction(5.0, 2.0, 12, 9)).upper == 100.0


def test_what_is_not_known_is_not_moved():
    unknown = Effect(None, reason="too few rows")
    assert corrected(unknown, Correction(-4.0, 3.0, 12, 9)) == unknown
    found = corrected(Effect(30.0, 20.0, 45.0, basis="measured"), None)
    assert (found.risk, found.shift) == (30.0, 0.0)
    assert found.basis.startswith("measured; not moved by history")
