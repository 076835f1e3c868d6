import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from vr.stats import resampling as rs


@pytest.fixture
def rng():
    return np.random.default_rng(8)


@pytest.mark.parametrize(("size", "expected"), [(None, 10), (4, 4), (99, 10)])
def test_half_splits_are_disjoint_and_equal(rng, size, expected):
    splits = rs.half_splits(21, 5, size, rng)
    assert len(splits) == 5
    for left, right in splits:
        assert len(left) == len(right) == expected
        assert len(np.union1d(left, right)) == 2 * expected
        assert max(left.max(), right.max()) < 21
    assert not np.array_equal(splits[0][0], splits[1][0])


def test_half_splits_repeat_with_the_seed():
    first, second = (rs.half_splits(50, 2, None, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_bootstrap_interval_of_a_mean_is_the_normal_one(rng):
    x = rng.normal(3.0, 2.0, 400)
    lower, upper = rs.bootstrap_interval(x, np.mean, rng, 0.95, 2000)
    error = x.std() / 20
    assert lower == pytest.approx(x.mean() - 1.96 * error, abs=0.15 * error)
    assert upper == pytest.approx(x.mean() + 1.96 * error, abs=0.15 * error)


def test_bootstrap_interval_limits(rng):
    assert rs.bootstrap_interval(np.full(5, 2.0), np.mean, rng, num_resamples=10) == (2.0, 2.0)
    assert np.isnan(rs.bootstrap_interval(np.array([]), np.mean, rng)).all()
    assert np.isnan(rs.bootstrap_interval(np.array([1.0]), lambda x: float("nan"), rng, num_resamples=5)).all()
    rows = rng.normal(size=(30, 2))
    lower, upper = rs.bootstrap_interval(rows, lambda x: float(x[:, 1].mean()), rng, num_resamples=200)
    assert lower < rows[:, 1].mean() < upper


@pytest.mark.parametrize(("k", "n"), [(0, 149), (3, 20), (20, 20), (1, 1)])
@pytest.mark.parametrize("level", [0.9, 0.95])
def test_clopper_pearson_matches_scipy(k, n, level):
    oracle = binomtest(k, n).proportion_ci(level, method="exact")
    assert rs.clopper_pearson(k, n, level) == pytest.approx((oracle.low, oracle.high))


def test_clopper_pearson_without_trials():
    assert rs.clopper_pearson(0, 0) == (0.0, 1.0)


def test_auroc_matches_sklearn_with_ties(rng):
    labels = rng.integers(0, 2, 300)
    scores = (labels + rng.normal(size=300)).round(1)
    assert rs.auroc(scores, labels) == pytest.approx(roc_auc_score(labels, scores))
    assert rs.auroc(-scores, labels) == pytest.approx(1 - rs.auroc(scores, labels))
    assert rs.auroc(np.exp(scores), labels) == rs.auroc(scores, labels)


def test_auroc_limits():
    labels = np.array([0, 0, 1, 1])
    assert rs.auroc(np.arange(4), labels) == 1.0
    assert rs.auroc(np.ones(4), labels) == 0.5
    assert np.isnan(rs.auroc(np.arange(4), np.ones(4)))
