"""Whether predictions came about: against SciPy's own intervals, and honest where there is little to go by."""

import numpy as np
import pytest
from scipy import stats

from vr.recommendation.hindsight import Case, Hindsight, look_back


def cases(errors, before=80.0, predicted=30.0):
    return [Case(f"d{i}", before, predicted, predicted + error) for i, error in enumerate(errors)]


def test_the_mean_error_has_students_interval():
    errors = [-3.0, 4.0, -9.0, 0.5, 2.0]
    found = look_back(cases(errors))
    ends = stats.ttest_1samp(errors, 0.0).confidence_interval(0.95)
    assert (found.error, found.error_lower, found.error_upper) == pytest.approx((np.mean(errors), ends.low, ends.high))
    assert (found.error_least, found.error_most, found.reason) == (-9.0, 4.0, None)


def test_gains_that_came_have_the_exact_interval():
    # Thirteen of fourteen predicted gains came; two more predicted none.
    some = [*cases([5.0] * 13 + [60.0]), Case("x", 80.0, 79.6, 20.0), Case("y", 80.0, 85.0, 90.0)]
    found = look_back(some)
    assert (found.cases, found.datasets, found.gains, found.came) == (16, 16, 14, 13)
    ends = stats.binomtest(13, 14).proportion_ci(0.95, method="exact")
    assert (found.came_lower, found.came_upper) == pytest.approx((ends.low, ends.high))


def test_what_falls_by_less_than_half_a_point_did_not_come():
    assert look_back([Case("a", 80.0, 30.0, 79.6), Case("b", 80.0, 30.0, 79.4)]).came == 1


def test_many_fixes_of_one_dataset_are_one_witness():
    one = [Case("a", 80.0, 30.0, 30.0 + error) for error in (-20.0, 0.0, 5.0)]
    found = look_back(one)
    assert (found.cases, found.datasets, found.error) == (3, 1, -5.0)
    assert (found.error_lower, found.error_upper, found.reason) == (None, None, "of one dataset")
    assert (found.came_lower, found.came_upper) == pytest.approx((0.025, 1.0))
    twice = look_back([*one, Case("b", 80.0, 30.0, 40.0), Case("c", 80.0, 30.0, 26.0)])
    ends = stats.ttest_1samp([-5.0, 10.0, -4.0], 0.0).confidence_interval(0.95)
    assert (twice.error_lower, twice.error_upper) == pytest.approx((ends.low, ends.high))


def test_a_dataset_on_which_some_gains_came_widens_both_ends():
    mixed = [Case("a", 80.0, 30.0, 20.0), Case("a", 80.0, 30.0, 90.0), Case("b", 80.0, 30.0, 20.0)]
    found = look_back(mixed)
    low = stats.binomtest(1, 2).proportion_ci(0.95, method="exact").low
    assert (found.came_lower, found.came_upper) == pytest.approx((low, 1.0))


def test_two_that_agree_are_no_proof():
    found = look_back(cases([1.0, 1.0]))
    # Student's with one degree of freedom, at a spread of half a point.
    half = stats.t.ppf(0.975, 1) * 0.5 / np.sqrt(2.0)
    assert (found.error_lower, found.error_upper) == pytest.approx((1.0 - half, 1.0 + half))
    assert half > 4.0


def test_the_interval_covers_the_true_mean():
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(1_000):
        found = look_back(cases(rng.normal(-2.0, 6.0, 4)))
        assert found.error_lower is not None
        held += found.error_lower <= -2.0 <= found.error_upper
    # 95 % less three binomial errors.
    assert held >= 930


def test_nothing_is_said_of_no_cases():
    assert look_back([]) == Hindsight(0, 0, 0, 0, reason="no cases")
    found = look_back([Case("a", 80.0, 79.9, 10.0)])
    assert (found.gains, found.came_lower, found.came_upper) == (0, None, None)
