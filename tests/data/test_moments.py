"""Moments against NumPy and exact fractions; the same integers for any split."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vr.data.moments import Grid, Moments

ANY_FLOAT = st.floats(width=64)
UNIT_GRID = Grid(0.0, 1.0)


@given(st.lists(st.integers(-(2**39), 2**39) | st.just(float("nan")), max_size=50))
def test_moments_equal_exact_fractions(values):
    numbers = [int(v) for v in values if v == v]
    result = Moments.of(np.array(values, np.float64), UNIT_GRID)
    assert result.count == len(numbers)
    assert result.total == sum(numbers)
    assert result.total_squares == sum(v * v for v in numbers)
    assert result.outside == 0
    if numbers:
        n = len(numbers)
        mean = Fraction(sum(numbers), n)
        variance = Fraction(sum(v * v for v in numbers), n) - mean**2
        assert result.mean(UNIT_GRID) == float(mean)
        assert result.std(UNIT_GRID) == pytest.approx(float(variance) ** 0.5, rel=1e-12)
        assert (result.low, result.high) == (min(numbers), max(numbers))


@given(st.lists(ANY_FLOAT, max_size=30), st.lists(ANY_FLOAT, max_size=30), ANY_FLOAT, ANY_FLOAT)
def test_merging_equals_the_moments_of_the_whole(a, b, low, high):
    ends = [x for x in (low, high) if np.isfinite(x)] or [0.0]
    grid = Grid.over(min(ends), max(ends))
    whole = Moments.of(np.array(a + b), grid)
    x, y = Moments.of(np.array(a, float), grid), Moments.of(np.array(b, float), grid)
    assert x.merge(y) == whole
    assert y.merge(x) == whole
    assert whole.merge(Moments()) == whole


@given(st.lists(st.tuples(ANY_FLOAT, st.integers(0, 5)), max_size=30), st.sampled_from([1.0, 1e-6, 1e290]))
def test_repeating_values_equals_taking_them_times(pairs, step):
    values, times = np.array([v for v, _ in pairs], float), np.array([t for _, t in pairs], np.int64)
    grid = Grid(0.25, step)
    assert Moments.of(values, grid, times) == Moments.of(np.repeat(values, times), grid)


def test_moments_agree_with_numpy():
    rng = np.random.default_rng(0)
    for values in (rng.standard_normal(10_000), 1e9 + rng.random(10_000), rng.lognormal(0, 2, 10_000)):
        grid = Grid.over(values.min(), values.max())
        result = Moments.of(values, grid)
        width = np.ptp(values)
        assert result.mean(grid) == pytest.approx(values.mean(), abs=1e-6 * width)
        assert result.std(grid) == pytest.approx(values.std(), abs=1e-6 * width)
        assert (result.low, result.high) == (values.min(), values.max())


@pytest.mark.parametrize("value", [0.0, 0.1, -3e-300, 5e-324, 1e9, -1.7e308])
def test_a_constant_has_its_mean_and_no_spread(value):
    grid = Grid.over(value, np.nextafter(value, np.inf))
    result = Moments.of(np.full(1_000, value), grid)
    assert result.std(grid) == 0.0
    assert result.mean(grid) == value


def test_the_grid_of_a_constant_still_measures_other_values():
    grid = Grid.over(5.0, np.nextafter(5.0, 6.0))
    result = Moments.of(np.array([4.0, 6.0, 8.0]), grid)
    assert result.outside == 0
    assert result.mean(grid) == pytest.approx(6.0, abs=1e-5)


@pytest.mark.parametrize("ends", [(0.0, 5e-324), (-1.7e308, 1.7e308), (0.0, np.inf), (1e-310, 2e-310), (3.0, 3.0)])
def test_every_grid_has_a_step_and_its_inverse(ends):
    grid = Grid.over(*ends)
    assert 0 < grid.step < np.inf
    assert np.isfinite(1 / grid.step)


def test_values_beyond_the_limit_and_infinities_are_outside():
    values = np.array([1.0, np.inf, -np.inf, 2.0**40, -(2.0**41), np.nan, 1e300])
    result = Moments.of(values, UNIT_GRID)
    assert (result.count, result.total, result.outside) == (1, 1, 5)
    assert (result.low, result.high) == (-(2.0**41), 1e300)
    assert result.infinite == 2
    assert Moments.of(values, UNIT_GRID, np.arange(7)).infinite == 1 + 2


@pytest.mark.parametrize("value", [2**21 - 1, 2**21, -(2**21), 2**40 - 1, -(2**40) + 1, 2**30 + 12345])
def test_a_million_large_values_do_not_overflow(value):
    n = 2**20 + 3
    values = np.full(n, float(value))
    for result in (
        Moments.of(values, UNIT_GRID),
        Moments.of(values[:1], UNIT_GRID, np.array([n])),
        Moments.of(values[:2], UNIT_GRID, np.array([n - 7, 7])),
        Moments.of(values[:2], UNIT_GRID, np.array([2**19, n - 2**19])),
    ):
        assert result.total == n * value
        assert result.total_squares == n * value * value
        assert result.std(UNIT_GRID) == 0.0


def test_nothing_has_no_mean():
    result = Moments.of(np.array([np.nan, np.nan]), UNIT_GRID)
    assert result == Moments()
    assert result.mean(UNIT_GRID) is None
    assert result.std(UNIT_GRID) is None


def test_the_sign_of_a_zero_does_not_depend_on_the_order():
    for values in ([0.0, -0.0], [-0.0, 0.0], [-0.0]):
        result = Moments.of(np.array(values), UNIT_GRID)
        assert not np.signbit(result.low)
        assert not np.signbit(result.high)
