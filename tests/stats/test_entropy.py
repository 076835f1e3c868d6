import numpy as np
import pytest
from scipy import stats

from vr.stats import entropy as en


@pytest.fixture
def rng():
    return np.random.default_rng(3)


def test_plain_entropy_matches_scipy(rng):
    counts = rng.integers(0, 20, (6, 9))
    np.testing.assert_allclose(en.entropy_nats(counts, miller_madow=False), stats.entropy(counts, axis=1))


def test_entropy_limits_and_padding():
    assert en.entropy_nats(np.array([7, 0, 0])) == 0.0
    assert en.entropy_nats(np.array([1])) == 0.0
    assert np.isnan(en.entropy_nats(np.array([0, 0])))
    assert en.entropy_nats(np.array([4, 4, 4, 4]), miller_madow=False) == pytest.approx(np.log(4))
    counts = np.array([3, 1, 6])
    assert en.entropy_nats(np.append(counts, [0, 0])) == pytest.approx(en.entropy_nats(counts))


def test_miller_madow_removes_most_of_the_bias(rng):
    samples = rng.multinomial(100, np.ones(20) / 20, 500)
    plain = np.log(20) - en.entropy_nats(samples, miller_madow=False).mean()
    corrected = np.log(20) - en.entropy_nats(samples).mean()
    assert plain > 0.08
    assert abs(corrected) < 0.01


def test_entropy_deficit_is_positive_for_the_poorer_candidate():
    rich, poor = np.array([25, 25, 25, 25]), np.array([97, 1, 1, 1])
    assert en.entropy_deficit(rich, poor) > 0.5
    assert en.entropy_deficit(poor, rich) == -en.entropy_deficit(rich, poor)
    assert en.entropy_deficit(rich, rich) == 0.0


def test_gini_simpson_counts_unequal_pairs(rng):
    labels = rng.integers(0, 4, 30)
    pairs = [(i, j) for i in range(30) for j in range(i)]
    expected = np.mean([labels[i] != labels[j] for i, j in pairs])
    assert en.gini_simpson(np.bincount(labels)) == pytest.approx(expected)
    assert en.gini_simpson(np.array([9, 0])) == 0.0
    assert en.gini_simpson(np.ones(5)) == 1.0
    assert np.isnan(en.gini_simpson(np.array([1])))


def test_gini_is_half_the_relative_mean_difference(rng):
    counts = rng.integers(0, 50, 12)
    expected = np.abs(counts[:, None] - counts).mean() / (2 * counts.mean())
    assert en.gini(counts) == pytest.approx(expected)
    assert en.gini(7 * counts) == pytest.approx(expected)
    assert en.gini(np.full(5, 3)) == 0.0
    assert en.gini(np.array([0, 0, 0, 8])) == pytest.approx(0.75)
    assert np.isnan(en.gini(np.zeros(3)))


@pytest.mark.parametrize("shape", [(60, 5), (8, 30)])
def test_vendi_score_matches_the_eigenvalues_of_the_kernel(rng, shape):
    x = rng.normal(size=shape)
    unit = x / np.linalg.norm(x, axis=1, keepdims=True)
    eigenvalues = np.linalg.eigvalsh(unit @ unit.T / len(x))
    assert en.vendi_order2(x) == pytest.approx(1 / np.sum(eigenvalues**2))


def test_vendi_score_limits(rng):
    assert en.vendi_order2(np.eye(6)) == pytest.approx(6.0)
    assert en.vendi_order2(np.ones((9, 4))) == pytest.approx(1.0)
    assert en.vendi_order2(np.ones((1, 4))) == pytest.approx(1.0)
    assert en.vendi_order2(np.zeros((5, 2))) == pytest.approx(1.0)
    assert np.isnan(en.vendi_order2(np.zeros((0, 2))))
    rows = np.eye(6)[rng.integers(0, 6, 50)]
    shares = rows.mean(axis=0)
    assert en.vendi_order2(rows) == pytest.approx(1 / np.sum(shares**2))
    assert en.vendi_order2(5 * rows) == pytest.approx(en.vendi_order2(rows))


def test_vendi_in_blocks_is_that_of_all_rows_at_once():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((9_000, 5))
    x[::700] = 0.0
    unit = x / np.maximum(np.linalg.norm(x, axis=1), 1e-300)[:, None]
    gram = unit.T @ unit / len(x)
    assert en.vendi_order2(x) == pytest.approx(1 / (np.sum(gram**2) + np.mean(~x.any(axis=1)) ** 2), rel=1e-12)
