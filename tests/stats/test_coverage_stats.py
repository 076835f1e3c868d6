import sys

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from vr.stats import coverage as cv


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def _naive_prdc(reference, candidate, k):
    """Naeem et al. 2020, eq. 3-5, by full float64 distance matrices."""

    def distances(a, b):
        return np.sqrt(((a[:, None] - b[None]) ** 2).sum(-1))

    r_radius = np.sort(distances(reference, reference), axis=1)[:, k]
    c_radius = np.sort(distances(candidate, candidate), axis=1)[:, k]
    cross = distances(candidate, reference)
    inside = cross <= r_radius
    return (
        inside.any(axis=1).mean(),
        (cross <= c_radius[:, None]).any(axis=0).mean(),
        inside.sum() / (k * len(candidate)),
        inside.any(axis=0).mean(),
    )


@pytest.mark.parametrize("exclude_self", [False, True])
def test_nearest_distances_match_sklearn(rng, exclude_self):
    y = 1000.0 + rng.normal(size=(300, 6))
    x = y if exclude_self else 1000.0 + rng.normal(size=(90, 6))
    oracle = NearestNeighbors(n_neighbors=4).fit(y)
    expected = oracle.kneighbors(None if exclude_self else x)
    distances, rows = cv.nearest_neighbours(x, y, 4, exclude_self=exclude_self)
    np.testing.assert_allclose(distances, expected[0], rtol=1e-9)
    np.testing.assert_array_equal(rows, expected[1])


def test_nearest_search_without_faiss_gives_the_same(rng, monkeypatch):
    x, y = rng.normal(size=(20, 3)), rng.normal(size=(50, 3))
    with_faiss = cv.nearest_distances(x, y, 3)
    monkeypatch.setitem(sys.modules, "faiss", None)
    np.testing.assert_allclose(cv.nearest_distances(x, y, 3), with_faiss)


def test_exact_duplicates_are_at_distance_zero(rng):
    x = 1e4 * rng.normal(size=(400, 8))
    assert cv.nearest_distances(x[:50], x, 1).max() == 0.0
    twice = np.concatenate([x, x])
    assert cv.nearest_distances(twice, twice, 1, exclude_self=True).max() == 0.0
    assert cv.nearest_distances(x, x, 1, exclude_self=True).min() > 0.0


def test_a_crowd_of_duplicates_hides_no_neighbour():
    same = np.zeros((30, 2))
    np.testing.assert_array_equal(cv.nearest_distances(same, same, 3, exclude_self=True), np.zeros((30, 3)))


def test_too_few_rows_are_infinitely_far():
    distances, rows = cv.nearest_neighbours(np.zeros((2, 1)), np.ones((1, 1)), 3)
    assert distances.tolist() == [[1.0, np.inf, np.inf]] * 2
    assert rows.tolist() == [[0, -1, -1]] * 2
    one = np.zeros((1, 1))
    assert np.isinf(cv.nearest_distances(one, one, 1, exclude_self=True)).all()
    assert np.isinf(cv.nearest_distances(one, one[:0], 1)).all()


@pytest.mark.parametrize("shift", [0.0, 1.0, 3.0])
def test_prdc_matches_its_definition(rng, shift):
    reference, candidate = 50 + rng.normal(size=(700, 4)), 50 + shift + 0.7 * rng.normal(size=(600, 4))
    np.testing.assert_allclose(cv.prdc(reference, candidate, 5), _naive_prdc(reference, candidate, 5), atol=0.004)


def test_prdc_of_identical_samples_is_full(rng):
    x = 10.0 + rng.normal(size=(300, 5))
    result = cv.prdc(x, x)
    assert (result.precision, result.recall, result.coverage) == (1.0, 1.0, 1.0)
    # A row lies in its own ball and, on average, in k others.
    assert result.density == pytest.approx(6 / 5, abs=0.01)


def test_prdc_of_disjoint_samples_is_empty(rng):
    x = rng.normal(size=(200, 5))
    assert cv.prdc(x, x + 100.0) == (0.0, 0.0, 0.0, 0.0)


def test_prdc_of_discrete_rows_counts_duplicates_as_inside(rng):
    rows = rng.integers(0, 2, (400, 3)).astype(float)
    result = cv.prdc(rows[:200], rows[200:])
    assert (result.precision, result.recall, result.coverage) == (1.0, 1.0, 1.0)


def test_a_lost_mode_costs_recall_and_coverage_but_not_precision(rng):
    modes = rng.choice([-5.0, 5.0], 600)[:, None] + rng.normal(size=(600, 2))
    candidate = -5.0 + rng.normal(size=(300, 2))
    result = cv.prdc(modes[:300], candidate)
    assert result.precision > 0.9
    assert result.recall < 0.65
    assert result.coverage < 0.65


def test_prdc_of_constant_or_tiny_samples():
    constant = np.ones((20, 3))
    assert cv.prdc(constant, constant)[:2] == (1.0, 1.0)
    assert all(np.isnan(cv.prdc(constant[:5], constant)))


def test_prdc_keeps_evenly_spaced_rows_of_a_long_sample(rng):
    x, y = rng.normal(size=(400, 3)), rng.normal(size=(400, 3))
    assert cv.prdc(x, y, max_rows=100) == cv.prdc(x[::4], y[::4])


def test_balls_cover_as_prdc_says(rng):
    reference, candidate = rng.normal(size=(300, 4)), 0.5 + rng.normal(size=(250, 4))
    assert cv.Balls.fit(reference).coverage(candidate) == cv.prdc(reference, candidate).coverage
    assert cv.Balls.fit(reference).coverage(reference) == 1.0
    assert np.isnan(cv.Balls.fit(reference[:5]).coverage(candidate))
    assert np.isnan(cv.Balls.fit(reference).coverage(candidate[:5]))
