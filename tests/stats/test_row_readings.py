"""Readings of single rows: contradictions of pairs, linear dependence, typicality, grain."""

import numpy as np
import pytest

from vr.stats.contradictions import fit_contradictions
from vr.stats.grain import fit_grain
from vr.stats.linear_dependence import fit_linear_dependence
from vr.stats.typicality import fit_typicality

ORDINAL, SIZES = np.array([True, True, False]), np.array([6, 6, 3])


def tied(seed, rows):
    rng = np.random.default_rng(seed)
    a = rng.integers(0, 6, rows)
    return np.column_stack([a, np.clip(a + rng.integers(-1, 2, rows), 0, 5), rng.integers(0, 3, rows)]).astype(
        np.uint16
    )


def test_a_combination_that_never_occurs_is_the_rarest_pair():
    found = fit_contradictions(tied(0, 2_000), ORDINAL, SIZES, [[0], [1], [2]], np.arange(3))
    rarity, which = found.read(np.array([[0, 5, 1], [3, 3, 1]], np.uint16))
    assert found.pairs[which[0]].tolist() == [0, 1]
    assert rarity[0] > np.log(20)
    assert rarity[1] < 0.5


def test_independent_columns_have_no_pair_to_tell_of():
    codes = np.random.default_rng(0).integers(0, 3, (3_000, 3)).astype(np.uint16)
    found = fit_contradictions(codes, ORDINAL, np.array([3, 3, 3]), [[0], [1], [2]], np.arange(3))
    assert found.pairs.shape == (0, 2)
    assert found.read(codes[:5])[0].tolist() == [0.0] * 5


def test_rows_with_exchanged_cells_misfit_the_dependence():
    form = fit_linear_dependence(tied(0, 2_000), ORDINAL, SIZES, np.arange(3))
    real, mixed = tied(1, 500), tied(1, 500)
    mixed[:, 1] = np.random.default_rng(2).permutation(mixed[:, 1])
    assert form.read(mixed).mean() > form.read(real).mean() + 1.0


@pytest.mark.parametrize("size", [1, 2, 5, 97])
def test_misfit_of_a_row_is_the_same_in_any_batch(size):
    form, rows = fit_linear_dependence(tied(0, 2_000), ORDINAL, SIZES, np.arange(3)), tied(1, 300)
    parts = [form.read(rows[i : i + size]) for i in range(0, 300, size)]
    assert np.array_equal(np.concatenate(parts), form.read(rows))


def test_dependence_of_independent_columns_says_little():
    codes = np.random.default_rng(0).integers(0, 6, (4_000, 2)).astype(np.uint16)
    form = fit_linear_dependence(codes, ORDINAL[:2], SIZES[:2], np.arange(2))
    assert np.abs(form.read(codes)).mean() < 0.5


def test_evidence_of_a_cell_rises_outwards_and_beyond_the_range():
    rng = np.random.default_rng(0)
    values = np.column_stack([rng.standard_normal(999), np.full(999, np.nan)])
    codes = np.column_stack([np.ones(999), rng.integers(0, 2, 999)]).astype(np.uint16)
    known = fit_typicality(codes, values, np.array([True, False]), np.array([3, 4]))
    x = np.array([[0.0, np.nan], [2.0, np.nan], [9.0, np.nan]])
    evidence = known.read(np.array([[1, 0], [1, 1], [1, 3]], np.uint16), x)
    assert (np.diff(evidence[:, 0]) > 0.5).all()
    # A category that never occurs: one in as many rows as there are, and one more.
    assert evidence[2, 1] == pytest.approx(3.0)
    assert evidence[0, 1] < 0.4


def test_infinite_and_missing_numbers_have_finite_evidence():
    values = np.append(np.arange(99.0), np.nan)[:, None]
    known = fit_typicality(
        np.append(np.ones(99), 0)[:, None].astype(np.uint16), values, np.ones(1, bool), np.array([3])
    )
    found = known.read(np.array([[2], [1], [0]], np.uint16), np.array([[np.inf], [-np.inf], [np.nan]]))
    assert np.isfinite(found).all()
    assert (found[:2] > 4).all()
    assert found[2] == pytest.approx(-np.log10(2 / 101))


def test_numbers_between_those_that_people_report_stand_out():
    rng = np.random.default_rng(0)
    reported = 100.0 * rng.integers(1, 40, 1_500) + np.where(rng.random(1_500) < 0.05, rng.integers(1, 99, 1_500), 0)
    grain = fit_grain(reported[:1_000, None], np.ones(1, bool))
    real, smooth = reported[1_000:, None], rng.integers(100, 4_000, (500, 1)).astype(float)
    assert np.median(grain.read(smooth)) > np.quantile(grain.read(real), 0.9)
    assert grain.read(np.array([[np.nan], [np.inf]])).shape == (2,)


def test_numbers_that_never_repeat_have_no_grain():
    x = np.random.default_rng(0).standard_normal((500, 1))
    grain = fit_grain(x, np.ones(1, bool))
    assert grain.read(x[:10]).tolist() == [0.0] * 10
