import numpy as np
import pytest
from scipy.spatial.distance import pdist
from sklearn.metrics.pairwise import rbf_kernel

from vr.stats.kernels import _exponentiate, kernel_mean, median_bandwidth, mmd2_unbiased


@pytest.fixture
def rng():
    return np.random.default_rng(4)


def test_mmd_matches_its_definition(rng):
    x, y = 20 + rng.normal(size=(60, 3)), 20.5 + rng.normal(size=(40, 3))
    kernels = [rbf_kernel(a, b, gamma=1 / (2 * 1.7**2)) for a, b in ((x, x), (y, y), (x, y))]
    expected = (kernels[0].sum() - 60) / (60 * 59) + (kernels[1].sum() - 40) / (40 * 39) - 2 * kernels[2].mean()
    assert mmd2_unbiased(x, y, bandwidth=1.7) == pytest.approx(expected, abs=1e-5)
    assert mmd2_unbiased(y, x, bandwidth=1.7) == pytest.approx(mmd2_unbiased(x, y, bandwidth=1.7), abs=1e-5)


def test_median_bandwidth_is_the_median_distance(rng):
    x, y = rng.normal(size=(80, 4)), 1 + rng.normal(size=(70, 4))
    assert median_bandwidth(x, y) == pytest.approx(np.median(pdist(np.concatenate([x, y]))))
    assert median_bandwidth(10 * x, 10 * y) == pytest.approx(10 * median_bandwidth(x, y))
    assert median_bandwidth(np.ones((9, 2)), np.ones((9, 2))) == 1.0


def test_mmd_is_unbiased_under_the_null(rng):
    values = [mmd2_unbiased(rng.normal(size=(100, 3)), rng.normal(size=(100, 3)), 2.0) for _ in range(200)]
    error = np.std(values) / np.sqrt(200)
    assert abs(np.mean(values)) < 3 * error
    assert min(values) < 0 < max(values)


def test_mmd_ignores_units(rng):
    x, y = rng.normal(size=(90, 3)), 0.3 + rng.normal(size=(90, 3))
    assert mmd2_unbiased(1e4 * x + 7, 1e4 * y + 7) == pytest.approx(mmd2_unbiased(x, y), abs=1e-5)


def test_mmd_sees_a_change_in_dependence_alone(rng):
    z = rng.normal(size=(800, 2))
    tied = np.column_stack([z[:, 0], 0.9 * z[:, 0] + np.sqrt(1 - 0.81) * z[:, 1]])
    fresh = rng.normal(size=(800, 2))
    assert mmd2_unbiased(tied, fresh) > 5 * abs(mmd2_unbiased(z, fresh))


def test_blocks_estimate_the_same(rng):
    x, y = rng.normal(size=(3000, 3)), 0.4 + rng.normal(size=(2500, 3))
    whole = mmd2_unbiased(x, y, max_block_rows=3000)
    assert mmd2_unbiased(x, y, max_block_rows=500) == pytest.approx(whole, rel=0.1)


def test_the_exponential_is_numpys_and_a_distance_below_zero_is_none():
    x = np.linspace(-87.0, 0.0, 100_001).astype(np.float32)
    found = x.copy()
    _exponentiate(found)
    np.testing.assert_allclose(found, np.exp(x.astype(float)), rtol=4e-6)
    np.testing.assert_allclose(found, np.exp(x.astype(float)), rtol=0, atol=2e-7)
    ends = np.array([-np.inf, -1e30, -88.0, 1e-3, 88.0, 200.0, np.inf, np.nan], np.float32)
    _exponentiate(ends)
    np.testing.assert_allclose(ends, [0, 0, 0, 1, 1, 1, 1, np.nan], atol=1e-37)


def test_mmd_limits(rng):
    x = rng.normal(size=(50, 2))
    assert mmd2_unbiased(np.zeros((9, 2)), np.full((9, 2), 1e3), bandwidth=1.0) == pytest.approx(2.0)
    assert mmd2_unbiased(np.ones((9, 2)), np.ones((9, 2))) == pytest.approx(0.0)
    assert np.isnan(mmd2_unbiased(x[:1], x))
    assert abs(mmd2_unbiased(x[:2], x[2:4])) <= 2.0


def test_a_known_kernel_mean_changes_nothing(rng):
    x, y = rng.normal(size=(70, 3)), 0.5 + rng.normal(size=(60, 3))
    expected = (rbf_kernel(y, gamma=1 / (2 * 1.3**2)).sum() - 60) / (60 * 59)
    assert kernel_mean(y, 1.3) == pytest.approx(expected, abs=1e-6)
    assert mmd2_unbiased(x, y, 1.3, kernel_mean(y, 1.3)) == pytest.approx(mmd2_unbiased(x, y, 1.3), abs=1e-9)
    assert np.isnan(kernel_mean(x[:1], 1.0))
