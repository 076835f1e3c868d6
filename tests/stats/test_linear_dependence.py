import numpy as np
import pytest

from vr.stats.linear_dependence import fit_linear_dependence
from vr.stats.predictability import fit_column_basis

ORDINAL, NUM_CODES = np.array([True, True, False, False, True]), np.array([20, 20, 5, 30, 1])
COLUMNS = np.array([0, 1, 2, 3, 4])


def rows_of(rng, rows=2_000, dependent=True):
    a = rng.integers(0, 20, rows)
    b = np.clip(a + rng.integers(-2, 3, rows), 0, 19) if dependent else rng.permutation(a)
    c = np.where(rng.random(rows) < 0.7, a // 4, rng.integers(0, 5, rows))
    return np.column_stack([a, b, c, np.minimum(rng.geometric(0.2, rows) - 1, 29), np.zeros(rows)]).astype(np.uint16)


def test_the_misfit_is_the_quadratic_form_of_the_features():
    rng = np.random.default_rng(0)
    codes, fresh = rows_of(rng), rows_of(rng, 20_000)
    basis = fit_column_basis(codes, ORDINAL, NUM_CODES, 12)
    x, y = basis.transform(codes), basis.transform(fresh)
    centre, spread = x.mean(axis=0), x.std(axis=0)
    kept = spread > 1e-6
    x, y, groups = (x - centre)[:, kept] / spread[kept], (y - centre)[:, kept] / spread[kept], basis.groups[kept]
    covariance = x.T @ x / len(x) + (0.03 + 0.1 * kept.sum() / len(x)) * np.eye(kept.sum())
    form = np.linalg.inv(covariance)
    for j in range(5):
        own = np.ix_(groups == j, groups == j)
        form[own] -= np.linalg.inv(covariance[own])
    found = fit_linear_dependence(codes, ORDINAL, NUM_CODES, COLUMNS).read(fresh)
    assert found == pytest.approx(np.einsum("np,pq,nq->n", y, form, y), abs=1e-8)


def test_rows_that_break_the_dependence_fit_worse():
    rng = np.random.default_rng(1)
    found = fit_linear_dependence(rows_of(rng), ORDINAL, NUM_CODES, COLUMNS)
    assert np.median(found.read(rows_of(rng, dependent=False))) > np.quantile(found.read(rows_of(rng)), 0.9)


def test_a_row_reads_the_same_whatever_stands_beside_it_and_an_unseen_code_counts_as_the_last():
    rng = np.random.default_rng(2)
    found, fresh = fit_linear_dependence(rows_of(rng), ORDINAL, NUM_CODES, COLUMNS), rows_of(rng, 9_000)
    whole = found.read(fresh)
    assert np.array_equal(whole[8_190:8_200], found.read(fresh[8_190:8_200]))
    beyond = fresh[:1].copy()
    beyond[0, 2] = 400
    last = fresh[:1].copy()
    last[0, 2] = 4
    assert found.read(beyond) == found.read(last)
    assert found.read(fresh[:0]).shape == (0,)
