import numpy as np
import pytest
from scipy import stats
from scipy.spatial.distance import jensenshannon

from vr.stats import divergences as dv

LN2 = np.log(2.0)


@pytest.fixture
def rng():
    return np.random.default_rng(7)


@pytest.mark.parametrize(("n", "m"), [(50, 50), (37, 90), (1, 4)])
def test_ks_and_wasserstein_match_scipy(rng, n, m):
    x, y = rng.normal(size=n).round(1), rng.normal(0.4, 2.0, size=m).round(1)
    assert dv.ks_distance(x, y) == pytest.approx(stats.ks_2samp(x, y).statistic)
    assert dv.wasserstein_distance(x, y) == pytest.approx(stats.wasserstein_distance(x, y))


def test_one_dimensional_distances_drop_nan_and_know_empty_sides(rng):
    x, y = rng.normal(size=30), rng.normal(size=40)
    padded = np.concatenate([[np.nan], x, [np.nan]])
    assert dv.ks_distance(padded, y) == dv.ks_distance(x, y)
    assert dv.wasserstein_distance(padded, y) == dv.wasserstein_distance(x, y)
    for empty in (np.array([]), np.array([np.nan])):
        assert np.isnan(dv.ks_distance(empty, y))
        assert np.isnan(dv.wasserstein_distance(y, empty))
        assert np.isnan(dv.robust_scale(empty))


def test_one_dimensional_limits(rng):
    x = rng.normal(size=30)
    assert dv.ks_distance(x, x) == 0.0
    assert dv.ks_distance(x, x + 100) == 1.0
    assert dv.wasserstein_distance(x, x + 3) == pytest.approx(3.0)
    assert dv.wasserstein_distance(np.ones(3), np.ones(5)) == 0.0


def test_scaled_wasserstein_is_free_of_units(rng):
    x, y = rng.normal(1, 1, 500), rng.normal(0, 1, 500)
    expected = dv.scaled_wasserstein_distance(x, y)
    assert dv.scaled_wasserstein_distance(1000 * x + 5, 1000 * y + 5) == pytest.approx(expected)
    assert expected == pytest.approx(1.0, abs=0.2)


def test_scaled_wasserstein_to_a_constant_has_no_unit():
    assert dv.scaled_wasserstein_distance(np.full(4, 0.1), np.full(3, 0.1)) == 0.0
    assert np.isnan(dv.scaled_wasserstein_distance(np.array([1.0, 2.0]), np.full(3, 0.1)))


def test_robust_scale_agrees_with_normal_and_survives_point_masses(rng):
    normal = 3.0 * rng.normal(size=40_000)
    assert dv.robust_scale(normal) == pytest.approx(3.0, rel=0.03)
    assert dv.robust_scale(np.append(normal, [1e9, -1e9])) == pytest.approx(3.0, rel=0.03)
    mostly_zero = np.where(rng.random(5000) < 0.8, 0.0, rng.normal(size=5000))
    assert dv.robust_scale(mostly_zero) > 0
    rare = np.zeros(1000)
    rare[:5] = 1.0
    assert dv.robust_scale(rare) == pytest.approx(rare.std())
    assert dv.robust_scale(np.full(9, 0.1)) == 0.0


def test_column_distances_equal_the_single_column_functions(rng):
    x, y = rng.normal(size=(60, 4)), rng.normal(size=(80, 4)) * [1, 2, 3, 0]
    x[::3, 1] = np.nan
    x[:, 2] = np.nan
    ks, wasserstein = dv.column_distances(dv.sorted_columns(x), dv.sorted_columns(y))
    np.testing.assert_array_equal(ks, [dv.ks_distance(x[:, j], y[:, j]) for j in range(4)])
    np.testing.assert_array_equal(wasserstein, [dv.scaled_wasserstein_distance(x[:, j], y[:, j]) for j in range(4)])
    assert np.isnan(ks[2])


def test_sliced_wasserstein_of_a_shift_has_the_closed_form(rng):
    x = rng.normal(size=(50, 3))
    shift = np.array([3.0, 0.0, 4.0])
    # A shift moves each projection by |shift . u|, whose mean over the sphere in 3 dimensions is |shift| / 2.
    measured = dv.sliced_wasserstein(x + shift, x, np.random.default_rng(0), num_projections=4000)
    assert measured == pytest.approx(2.5, rel=0.03)


def test_sliced_wasserstein_limits_and_unequal_sizes(rng):
    x = rng.normal(size=(40, 3))
    assert dv.sliced_wasserstein(x, x[::-1], np.random.default_rng(0)) == 0.0
    twice = np.concatenate([x, x])
    assert dv.sliced_wasserstein(twice, x, np.random.default_rng(0)) == pytest.approx(0.0, abs=1e-12)
    assert dv.sliced_wasserstein(x, x + 1, np.random.default_rng(3)) == dv.sliced_wasserstein(
        x, x + 1, np.random.default_rng(3)
    )
    assert np.isnan(dv.sliced_wasserstein(x[:0], x, np.random.default_rng(0)))


def test_histograms_count_every_code():
    codes = np.array([[0, 2], [1, 2], [1, 0]], dtype=np.uint16)
    np.testing.assert_array_equal(dv.histograms(codes, [2, 4]), [[1, 2, 0, 0], [1, 0, 2, 0]])
    assert dv.histograms(codes[:0], [2, 4]).sum() == 0


def test_count_divergences_match_scipy(rng):
    p, q = rng.integers(0, 9, (5, 6)), rng.integers(1, 9, (5, 6))
    p[:, 0] += 1
    expected_js = [jensenshannon(a, b) ** 2 for a, b in zip(p, q, strict=True)]
    np.testing.assert_allclose(dv.jensen_shannon_divergence(p, q), expected_js)
    expected_kl = [stats.entropy(a + 0.5, b + 0.5) for a, b in zip(p, q, strict=True)]
    np.testing.assert_allclose(dv.kl_divergence(p, q), expected_kl)
    unsmoothed = [stats.entropy(a, b) for a, b in zip(p, q, strict=True)]
    np.testing.assert_allclose(dv.kl_divergence(p, q, smoothing=0.0), unsmoothed)


def test_count_divergences_in_the_limits():
    same, left, right = np.array([3, 5, 0]), np.array([4, 0, 0]), np.array([0, 7, 0])
    for function in (dv.total_variation, dv.jensen_shannon_divergence, dv.kl_divergence):
        assert function(same, 10 * same) == pytest.approx(0.0, abs=0.01)
        assert np.isnan(function(same, 0 * same))
    assert dv.total_variation(left, right) == 1.0
    assert dv.jensen_shannon_divergence(left, right) == pytest.approx(LN2)
    assert dv.kl_divergence(left, right, smoothing=0.0) == np.inf
    assert 1.0 < dv.kl_divergence(left, right) < np.inf


def test_padding_changes_no_count_divergence(rng):
    p, q = rng.integers(1, 9, 5), rng.integers(1, 9, 5)
    wide_p, wide_q = np.append(p, [0, 0, 0]), np.append(q, [0, 0, 0])
    for function in (dv.total_variation, dv.jensen_shannon_divergence, dv.kl_divergence):
        assert function(wide_p, wide_q) == pytest.approx(function(p, q))
    np.testing.assert_allclose(dv.chi_squared_homogeneity(wide_p, wide_q), dv.chi_squared_homogeneity(p, q))


def test_chi_squared_matches_scipy(rng):
    p, q = rng.integers(1, 30, (4, 7)), rng.integers(1, 60, (4, 7))
    result = dv.chi_squared_homogeneity(p, q)
    for i in range(4):
        oracle = stats.chi2_contingency(np.stack([p[i], q[i]]), correction=False)
        assert result.statistic[i] == pytest.approx(oracle.statistic)
        assert result.dof[i] == oracle.dof
        assert result.p_value[i] == pytest.approx(oracle.pvalue)
        assert result.effect_size[i] == pytest.approx(stats.contingency.association(np.stack([p[i], q[i]])))


def test_chi_squared_limits():
    one_code = dv.chi_squared_homogeneity(np.array([5, 0]), np.array([9, 0]))
    assert (one_code.statistic, one_code.dof, one_code.p_value) == (0.0, 0, 1.0)
    disjoint = dv.chi_squared_homogeneity(np.array([50, 0]), np.array([0, 90]))
    assert disjoint.effect_size == pytest.approx(1.0)
    assert disjoint.p_value < 1e-20
    assert np.isnan(dv.chi_squared_homogeneity(np.array([5, 1]), np.array([0, 0])).p_value)


def test_chi_squared_keeps_its_level_under_the_null(rng):
    p, q = rng.multinomial(500, np.ones(8) / 8, 2000), rng.multinomial(300, np.ones(8) / 8, 2000)
    # Binomial standard error of a 5 % rate over 2000 tests is 0.5 points.
    assert np.mean(dv.chi_squared_homogeneity(p, q).p_value < 0.05) == pytest.approx(0.05, abs=0.015)


def test_tail_mass_of_the_reference_itself_is_the_tail(rng):
    values = rng.normal(size=(1000, 3))
    values[:, 2] = np.nan
    lower, upper = dv.tail_bounds(values, 0.01)
    np.testing.assert_allclose(lower[:2], np.quantile(values[:, :2], 0.01, axis=0))
    below, above = dv.tail_mass(values, lower, upper)
    np.testing.assert_allclose(below[:2], 0.01)
    np.testing.assert_allclose(above[:2], 0.01)
    assert np.isnan(below[2])
    assert np.isnan(above[2])
    below, above = dv.tail_mass(np.full((5, 3), 100.0), lower, upper)
    assert below[:2].tolist() == [0.0, 0.0]
    assert above[:2].tolist() == [1.0, 1.0]


def test_normal_scores_are_normal_quantiles_of_ranks(rng):
    values = np.exp(rng.normal(size=(999, 2)))
    scores = dv.normal_scores(values)
    assert np.median(scores) == pytest.approx(0.0, abs=1e-12)
    assert scores.std() == pytest.approx(1.0, abs=0.01)
    np.testing.assert_allclose(dv.normal_scores(np.log(values)), scores)
    values[3, 1] = np.nan
    assert np.isnan(dv.normal_scores(values)[3, 1])
    assert dv.normal_scores(np.full(7, 2.0)).tolist() == pytest.approx([0.0] * 7)


def test_hellinger_of_one_variance_has_the_closed_form():
    p, q = np.array([[1.0]]), np.array([[4.0]])
    expected = np.sqrt(1 - np.sqrt(2 * 1 * 2 / (1 + 4)))
    assert dv.hellinger_gaussian(p, q, shrinkage=0.0) == pytest.approx(expected)
    assert dv.hellinger_gaussian(q, p) == pytest.approx(dv.hellinger_gaussian(p, q))


def test_hellinger_limits():
    independent, repeated = np.eye(2), np.ones((2, 2))
    assert dv.hellinger_gaussian(independent, independent) == 0.0
    assert dv.hellinger_gaussian(repeated, repeated) == 0.0
    assert 0.3 < dv.hellinger_gaussian(independent, repeated) < 1.0
    assert np.isnan(dv.hellinger_gaussian(repeated, repeated, shrinkage=0.0))
    assert np.isnan(dv.hellinger_gaussian(np.full((2, 2), np.nan), independent))
    far = dv.hellinger_gaussian(np.eye(40), 1e6 * np.eye(40))
    assert far == pytest.approx(1.0)
