import numpy as np
import pytest
from scipy.stats import rankdata

from synthetic.marginal import CodeMarginal, NumberMarginal, temper, temper_sized


def test_mid_rank_is_scipys_average_rank():
    x = np.random.default_rng(0).integers(0, 9, 200).astype(float)
    np.testing.assert_allclose(NumberMarginal.fit(x).mid_rank(x), (rankdata(x) - 0.5) / 200)
    codes = x.astype(int)
    np.testing.assert_allclose(CodeMarginal.fit(codes, 9).mid_rank(codes), (rankdata(x) - 0.5) / 200)


def test_quantile_of_the_grid_returns_the_sample():
    x = np.random.default_rng(0).normal(size=50)
    np.testing.assert_allclose(NumberMarginal.fit(x).quantile((np.arange(50) + 0.5) / 50), np.sort(x))


def test_code_quantile_has_the_frequencies():
    marginal = CodeMarginal.fit(np.array([0, 0, 2, 2, 2, 3]), 5)
    u = (np.arange(6000) + 0.5) / 6000
    np.testing.assert_array_equal(np.bincount(marginal.quantile(u), minlength=5), [2000, 0, 3000, 1000, 0])
    assert marginal.quantile(np.array([1.0])) == 3


def test_temper_limits():
    p = np.array([0.5, 0.3, 0.2, 0.0])
    np.testing.assert_allclose(temper(p, 1.0), p)
    np.testing.assert_allclose(temper(p, 0.5), p**2 / (p**2).sum())
    np.testing.assert_allclose(temper(p, 1e-4), [1, 0, 0, 0], atol=1e-12)
    assert temper(p, 1e9)[:3] == pytest.approx(np.full(3, 1 / 3))
    assert temper(p, 1e9)[3] == 0.0


def test_tempering_shares_of_known_size_tempers_the_density():
    p, size = np.array([0.5, 0.3, 0.2, 0.0]), np.array([5.0, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(temper_sized(p, np.zeros(4), 0.5), temper(p, 0.5))
    np.testing.assert_allclose(temper_sized(p, np.log(size), 1.0), p)
    density = size * (p / size) ** 2
    np.testing.assert_allclose(temper_sized(p, np.log(size), 0.5), density / density.sum())
    np.testing.assert_allclose(temper_sized(p, np.log(size), 1e-6), [0, 1, 0, 0])
    # However one cuts a uniform distribution, a lower temperature leaves it uniform.
    share = np.array([0.7, 0.2, 0.1])
    np.testing.assert_allclose(temper_sized(share, np.log(share), 0.1), share)
