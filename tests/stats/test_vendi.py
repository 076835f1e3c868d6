"""Vendi scores by random features against the kernel matrix itself."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from vr.stats.vendi import KernelSums, RandomFeatures, truncated_vendi

SIGMA = 1.5


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def kernel(x):
    return np.exp(-cdist(x, x, "sqeuclidean") / (2 * SIGMA**2))


def sums(x, seed=0, num_frequencies=64):
    return RandomFeatures.draw(x.shape[1], SIGMA, seed, num_frequencies).sums(x)


def clusters(rng, num, rows=600, width=5):
    return 20.0 * np.eye(num, width)[rng.integers(0, num, rows)] + 1e-3 * rng.standard_normal((rows, width))


def test_order_2_is_unbiased_however_few_the_frequencies(rng):
    x = rng.standard_normal((400, 4))
    exact = np.mean(kernel(x) ** 2)
    found = [1.0 / sums(x, seed, 32).vendi_order2() for seed in range(300)]
    error = np.std(found) / np.sqrt(len(found))
    assert error < 0.02 * exact
    assert np.mean(found) == pytest.approx(exact, abs=4 * error)


@pytest.mark.parametrize("num", [1, 2, 5])
def test_both_scores_count_clusters_that_lie_far_apart(rng, num):
    x = clusters(rng, num)
    shares = np.bincount(np.argmax(x, axis=1), minlength=num) / len(x)
    found = sums(x, num_frequencies=256)
    assert found.vendi_order2() == pytest.approx(1 / np.sum(shares[shares > 0] ** 2), rel=0.1)
    entropy = -np.sum(shares[shares > 0] * np.log(shares[shares > 0]))
    assert found.truncated_vendi() == pytest.approx(np.exp(entropy), rel=0.1)


def test_the_spectrum_is_that_of_the_kernel_matrix(rng):
    x = rng.standard_normal((300, 2))
    exact = np.linalg.eigvalsh(kernel(x) / len(x))[::-1]
    found = sums(x, num_frequencies=512).spectrum()
    assert found.sum() == pytest.approx(1.0, abs=1e-5)
    np.testing.assert_allclose(found[:8], exact[:8], atol=0.03)
    assert truncated_vendi(found, 8) == pytest.approx(truncated_vendi(exact, 8), rel=0.1)


def test_sums_merge_whatever_the_parts(rng):
    x = rng.standard_normal((500, 3))
    features = RandomFeatures.draw(3, SIGMA, 0)
    whole = features.sums(x)
    parts = [features.sums(part) for part in np.array_split(x, [7, 300])]
    merged = parts[2].merge(parts[0]).merge(parts[1])
    assert merged.num_rows == 500
    np.testing.assert_allclose(merged.total, whole.total, atol=1e-3)
    assert merged.vendi_order2() == pytest.approx(whole.vendi_order2(), rel=1e-4)


def test_scores_do_not_change_with_repeated_or_reordered_rows(rng):
    x = rng.standard_normal((200, 3))
    once, twice = sums(x), sums(np.concatenate([x[::-1], x]))
    assert twice.vendi_order2() == pytest.approx(once.vendi_order2(), rel=1e-4)
    assert twice.truncated_vendi() == pytest.approx(once.truncated_vendi(), rel=1e-4)


def test_a_shrunk_sample_scores_less(rng):
    x = rng.standard_normal((1000, 6))
    assert sums(0.6 * x).vendi_order2() < 0.8 * sums(x).vendi_order2()
    assert sums(0.6 * x).truncated_vendi() < 0.95 * sums(x).truncated_vendi()


def test_limits():
    same = sums(np.ones((9, 4)))
    assert same.vendi_order2() == pytest.approx(1.0, abs=1e-4)
    assert same.truncated_vendi() == pytest.approx(1.0, abs=1e-3)
    none = KernelSums(0, np.zeros((8, 8)))
    assert np.isnan(none.vendi_order2())
    assert np.isnan(none.truncated_vendi())


def test_truncated_vendi_of_known_spectra():
    assert truncated_vendi(np.array([1.0, 0.0, 0.0]), 2) == pytest.approx(1.0)
    assert truncated_vendi(np.full(10, 0.1), 4) == pytest.approx(4.0)
    # Half of the sum is spread over the two that are kept: 0.55 and 0.45.
    kept = np.array([0.55, 0.45])
    assert truncated_vendi(np.array([0.3, 0.2, 0.2, 0.2, 0.1]), 2) == pytest.approx(
        np.exp(-np.sum(kept * np.log(kept)))
    )
