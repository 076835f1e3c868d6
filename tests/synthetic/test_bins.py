import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synthetic.bins import Bins, Levels
from synthetic.marginal import NumberMarginal

values = st.lists(st.integers(-5, 60), min_size=1, max_size=80).map(lambda x: np.array(x, float))


@given(values, st.integers(1, 12))
def test_bins_are_few_ordered_and_never_empty(x, most):
    bins = Bins.fit(x, most)
    code = bins.encode(x)
    assert bins.num_codes <= most
    np.testing.assert_array_equal(np.bincount(code, minlength=bins.num_codes), bins.count)
    assert (np.diff(code[np.argsort(x, kind="stable")]) >= 0).all()


@given(values, st.integers(1, 12), st.floats(0, 1))
def test_a_value_drawn_from_a_bin_lies_in_it(x, most, u):
    bins = Bins.fit(x, most)
    every = np.arange(bins.num_codes)
    drawn = bins.value(every, np.full(len(every), u))
    np.testing.assert_array_equal(bins.encode(drawn), every)


@given(values, st.integers(1, 12))
def test_position_and_value_are_inverse_on_the_observed(x, most):
    bins = Bins.fit(x, most)
    np.testing.assert_allclose(bins.value(bins.encode(x), bins.position(x)), x, atol=1e-9)


def test_bins_hold_equal_shares_where_nothing_ties():
    np.testing.assert_array_equal(Bins.fit(np.random.default_rng(0).normal(size=1000), 10).count, np.full(10, 100))


def test_few_values_get_a_bin_each_and_a_point_mass_its_own():
    np.testing.assert_array_equal(Bins.fit(np.array([3.0, 1, 1, 2]), 3).count, [2, 1, 1])
    x = np.r_[np.zeros(500), np.random.default_rng(0).uniform(1, 2, 500)]
    bins = Bins.fit(x, 8)
    assert bins.count[0] == 500
    assert bins.encode(np.array([0.0, 0.4, 1.5, 9.0, -9.0])).tolist()[:2] == [0, 1]
    assert bins.encode(np.array([-9.0, 9.0])).tolist() == [0, bins.num_codes - 1]


def test_one_bin_is_the_marginal():
    x = np.random.default_rng(0).integers(0, 30, 200).astype(float)
    bins, u = Bins.fit(x, 1), np.linspace(0, 1, 51)
    np.testing.assert_allclose(bins.value(np.zeros(51, int), u), NumberMarginal.fit(x).quantile(u))
    np.testing.assert_allclose(bins.position(x), NumberMarginal.fit(x).mid_rank(x))


def test_sizes_average_one_and_are_largest_in_the_tails():
    size = np.exp(Bins.fit(np.random.default_rng(0).normal(size=1000), 10).log_measure())
    assert size.mean() == pytest.approx(1.0)
    assert size[0] == pytest.approx(size[-1])
    assert size[0] > 3 * size[5]
    np.testing.assert_array_equal(Bins.fit(np.array([1.0, 2.0, 2.0]), 5).log_measure(), [0.0, 0.0])


def test_levels_go_by_frequency_and_the_rest_shares_a_code():
    codes = np.repeat([4, 1, 0, 3], [5, 4, 3, 1])
    levels = Levels.fit(codes, 6, 3)
    assert levels.num_codes == 3
    np.testing.assert_array_equal(levels.encode(np.array([4, 1, 0, 3])), [0, 1, 2, 2])
    u = (np.arange(4000) + 0.5) / 4000
    np.testing.assert_array_equal(np.bincount(levels.value(np.full(4000, 2), u)), [3000, 0, 0, 1000])
    np.testing.assert_array_equal(levels.value(np.array([0, 1]), np.zeros(2)), [4, 1])


def test_levels_that_fit_have_a_code_each():
    codes = np.array([2, 2, 0])
    levels = Levels.fit(codes, 3, 2)
    assert levels.num_codes == 2
    np.testing.assert_array_equal(levels.value(levels.encode(codes), np.zeros(3)), codes)
