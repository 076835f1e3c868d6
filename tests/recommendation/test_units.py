"""Numbers in another unit: which factors are found, what they give back, and where none may be named."""

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from vr.recommendation.units import Numbers, _differ_by_chance, find_unit_errors, repaired
from vr.recommendation.vocabulary import Repair

ROWS = 1_500

COLUMNS = {
    "prices": lambda rows, rng: np.exp(rng.standard_normal(rows) + 3.0).round(2),
    "heights": lambda rows, rng: (170.0 + 10.0 * rng.standard_normal(rows)).round(1),
    "counts": lambda rows, rng: rng.poisson(20, rows).astype(float),
}


def planted(name, factor, wrong, stretches=(), seed=0):
    """Returns what is found where `wrong` rows are in another unit, the numbers as they were, and those repaired."""
    rng = np.random.default_rng(seed)
    reference, right = COLUMNS[name](2_000, rng), COLUMNS[name](ROWS, rng)
    values = np.where(wrong(rng), right * factor, right)
    rows = np.arange(ROWS)
    column = Numbers(name, values, reference, reference.min(), reference.max())
    found = find_unit_errors([column], rows, stretches, ROWS)
    return found, right, values, repaired(found[0].action, values, rows) if found else values


def scattered(rng):
    return rng.random(ROWS) < 0.04


def everywhere(rng):
    return np.ones(ROWS, bool)


def stretch(rng):
    return (np.arange(ROWS) >= 300) & (np.arange(ROWS) < 380)


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("factor", [1_000.0, 100.0, 0.01])
def test_single_cells_are_repaired_where_they_leave_the_range(name, factor):
    found, right, values, made = planted(name, factor, scattered)
    assert found[0].action.factor == factor
    assert found[0].action.ranges == ()
    changed = made != values
    # Every one that is changed is what it was, and nothing else is changed.
    assert (made[changed] == right[changed]).all()
    assert (values[changed] != right[changed]).all()
    assert changed.sum() > 0.4 * (values != right).sum()
    assert found[0].rows == changed.sum()


@pytest.mark.parametrize("factor", [2.54, 1.0 / 2.54, 10.0, 12.0])
def test_factors_that_are_close_to_others_are_told_by_a_narrow_column(factor):
    found, right, _, made = planted("heights", factor, scattered)
    assert found[0].action.factor == factor
    assert (made == right).all()


@pytest.mark.parametrize(("name", "factor"), [("prices", 1_000.0), ("heights", 2.54), ("counts", 60.0)])
def test_a_whole_column_is_repaired(name, factor):
    found, right, _, made = planted(name, factor, everywhere)
    assert found[0].action.ranges == ((0, ROWS),)
    assert (made == right).mean() > 0.99


@pytest.mark.parametrize("factor", [100.0, 0.1])
def test_a_stretch_is_repaired_and_what_lies_beside_it_is_not(factor):
    found, right, _, made = planted("prices", factor, stretch, [(20, 40), (300, 380)])
    assert found[0].action.ranges == ((300, 380),)
    assert (made == right).all()
    # One by one not all of them can be told from what is right.
    alone = planted("prices", factor, stretch)[3]
    assert 0 < (alone != right).sum() <= 80


def test_nothing_is_named_where_several_factors_may_be_meant():
    # Ten or twelve times: of a wide column nobody can say; decimals that do not come out tell.
    rng = np.random.default_rng(0)
    wide = [np.exp(rng.standard_normal(n)) for n in (2_000, ROWS)]
    values = np.where(scattered(rng), wide[1] * 10.0, wide[1])
    column = Numbers("x", values, wide[0], wide[0].min(), wide[0].max())
    assert find_unit_errors([column], np.arange(ROWS), [], ROWS) == []


@pytest.mark.parametrize("name", COLUMNS)
def test_fresh_rows_and_strange_ones_are_in_no_other_unit(name):
    for seed in range(10):
        assert planted(name, 1.0, everywhere, [(100, 200)], seed)[0] == []
    rng = np.random.default_rng(3)
    reference, values = COLUMNS[name](2_000, rng), COLUMNS[name](ROWS, rng)
    values[:60] = values[:60] * np.exp(rng.normal(4.0, 1.0, 60)).round(1)
    values[60:65] = np.inf
    values[65:70] = np.nan
    column = Numbers(name, values, reference, reference.min(), reference.max())
    assert find_unit_errors([column], np.arange(ROWS), [], ROWS) == []


def test_what_is_repaired_once_is_as_it_should_be():
    action = Repair("x", 1_000.0, 1.0, 9.0, decimals=2)
    values = np.array([1_230.0, 4.0, np.nan, np.inf, 12_000.0, 0.5, 8_765.4321])
    made = repaired(action, values, np.arange(7))
    np.testing.assert_array_equal(made, [1.23, 4.0, np.nan, np.inf, 12_000.0, 0.5, 8.7654321])
    np.testing.assert_array_equal(repaired(action, made, np.arange(7)), made)


@pytest.mark.parametrize("decimals", [0, 1, 8])
def test_the_chance_of_unlike_ranks_is_scipys(decimals):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        first, second = rng.normal(0.2, 1.0, 30 + seed).round(decimals), rng.normal(0.0, 1.0, 80).round(decimals)
        expected = mannwhitneyu(first, second, method="asymptotic").pvalue
        assert _differ_by_chance(first, second) == pytest.approx(expected, rel=1e-12)
    assert _differ_by_chance(np.ones(20), np.ones(30)) == 1.0
