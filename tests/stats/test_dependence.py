import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import mutual_info_score

from vr.stats import dependence as dp


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def _table(a, b):
    return stats.contingency.crosstab(a, b).count


def _bergsma(a, b):
    """Bergsma 2013, eq. 7-9, written for one table."""
    table = _table(a, b)
    n, (r, c) = table.sum(), table.shape
    phi2 = stats.chi2_contingency(table, correction=False).statistic / n
    phi2 = max(0.0, phi2 - (r - 1) * (c - 1) / (n - 1))
    return np.sqrt(phi2 / (min(r - (r - 1) ** 2 / (n - 1), c - (c - 1) ** 2 / (n - 1)) - 1))


def test_rank_correlation_matches_spearman(rng):
    x = rng.normal(size=(80, 4)) @ rng.normal(size=(4, 4))
    np.testing.assert_allclose(dp.rank_correlation(x), stats.spearmanr(x).statistic)
    codes = rng.integers(0, 5, (80, 4)).astype(np.uint16)
    np.testing.assert_allclose(dp.rank_correlation(codes), stats.spearmanr(codes).statistic)


def test_rank_correlation_ignores_monotone_maps(rng):
    x = rng.normal(size=(50, 3))
    np.testing.assert_allclose(dp.rank_correlation(np.exp(x)), dp.rank_correlation(x))


def test_rank_correlation_of_a_constant_is_zero(rng):
    x = np.column_stack([rng.normal(size=30), np.full(30, 0.1), np.full(30, np.nan)])
    np.testing.assert_array_equal(dp.rank_correlation(x), np.eye(3))
    np.testing.assert_array_equal(dp.rank_correlation(x[:, :2]), np.eye(2))
    np.testing.assert_array_equal(dp.rank_correlation(x[:1, :2]), np.eye(2))


def test_rank_correlation_uses_rows_present_in_both(rng):
    x = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 3))
    x[:50, 0] = np.nan
    x[150:, 1] = np.nan
    result = dp.rank_correlation(x)
    ranks = np.column_stack([stats.rankdata(column, nan_policy="omit") for column in x.T])
    for i, j in ((0, 1), (0, 2), (1, 2)):
        present = ~np.isnan(ranks[:, [i, j]]).any(axis=1)
        assert result[i, j] == pytest.approx(np.corrcoef(ranks[present, i], ranks[present, j])[0, 1])
    np.testing.assert_array_equal(result, result.T)


def test_cramers_v_matches_the_formula_and_ignores_labels(rng):
    a = rng.integers(0, 5, 300)
    b = np.where(rng.random(300) < 0.4, a, rng.integers(0, 5, 300))
    value = dp.cramers_v(a, b, 5, 5)
    assert value == pytest.approx(_bergsma(a, b))
    relabel = np.array([9, 2, 7, 0, 4])
    assert dp.cramers_v(relabel[a], b, 12, 5) == pytest.approx(value)


def test_cramers_v_limits(rng):
    a = rng.integers(0, 4, 400)
    assert dp.cramers_v(a, a, 4, 4) == pytest.approx(1.0)
    assert dp.cramers_v(a, np.zeros(400, int), 4, 1) == 0.0
    assert dp.cramers_v(a[:1], a[:1], 4, 4) == 0.0
    independent = [dp.cramers_v(a, rng.integers(0, 4, 400), 4, 4) for _ in range(40)]
    assert np.mean(independent) < 0.05


def test_correlation_ratio_matches_anova(rng):
    categories = rng.integers(0, 4, 200)
    values = categories + rng.normal(size=200)
    groups = [values[categories == c] for c in range(4)]
    between = sum(len(g) * (g.mean() - values.mean()) ** 2 for g in groups)
    assert dp.correlation_ratio(categories, values) ** 2 == pytest.approx(between / (200 * values.var()))
    # epsilon^2 = 1 - within mean square / total mean square.
    within = sum(((g - g.mean()) ** 2).sum() for g in groups) / (200 - 4)
    assert dp.correlation_ratio(categories, values, corrected=True) ** 2 == pytest.approx(
        1 - within / values.var(ddof=1)
    )


def test_correlation_ratio_limits():
    categories = np.array([0, 0, 2, 2])
    assert dp.correlation_ratio(categories, np.array([1.0, 1.0, 5.0, 5.0])) == pytest.approx(1.0)
    assert dp.correlation_ratio(categories, np.array([1.0, 5.0, 1.0, 5.0])) == 0.0
    assert dp.correlation_ratio(categories, np.full(4, 0.1)) == 0.0
    assert dp.correlation_ratio(categories, np.full(4, 0.1), corrected=True) == 0.0
    assert np.isnan(dp.correlation_ratio(categories, np.full(4, np.nan)))
    with_nan = dp.correlation_ratio(np.append(categories, 7), np.array([1.0, 1.0, 5.0, 5.0, np.nan]))
    assert with_nan == pytest.approx(1.0)


def _mixed_sample(rng, n=500):
    z = rng.normal(size=n)
    a = np.digitize(z, [-1, 0, 1])
    b = np.digitize(z + rng.normal(size=n), [-1.5, -0.5, 0.5, 1.5])
    c = (a + rng.integers(0, 2, n)) % 4
    d = rng.integers(0, 6, n)
    codes = np.column_stack([a, b, c, d, np.zeros(n, int)]).astype(np.uint16)
    return codes, np.array([True, True, False, False, False]), np.array([4, 5, 4, 6, 3])


def test_dependence_matrix_uses_the_coefficient_of_each_pair(rng):
    codes, ordinal, num_codes = _mixed_sample(rng)
    result = dp.dependence_matrix(codes, ordinal, num_codes)
    assert result[0, 1] == pytest.approx(stats.spearmanr(codes[:, 0], codes[:, 1]).statistic)
    assert result[2, 3] == pytest.approx(dp.cramers_v(codes[:, 2], codes[:, 3], 4, 6))
    for i in (0, 1):
        for j in (2, 3):
            expected = dp.correlation_ratio(codes[:, j], dp.midranks(codes[:, i]), corrected=True)
            assert result[i, j] == pytest.approx(expected, abs=1e-7)
    np.testing.assert_array_equal(result[4], np.eye(5)[4])
    np.testing.assert_array_equal(result, result.T)
    assert result[0, 2] > 0.3


def test_dependence_matrix_follows_a_permutation_of_columns(rng):
    codes, ordinal, num_codes = _mixed_sample(rng)
    order = np.array([3, 0, 4, 2, 1])
    permuted = dp.dependence_matrix(codes[:, order], ordinal[order], num_codes[order])
    np.testing.assert_allclose(
        permuted, dp.dependence_matrix(codes, ordinal, num_codes)[np.ix_(order, order)], atol=1e-7
    )


def test_dependence_matrix_of_one_row_is_the_identity():
    codes = np.ones((1, 3), np.uint16)
    np.testing.assert_array_equal(dp.dependence_matrix(codes, np.array([True, False, False]), [2, 2, 2]), np.eye(3))


def test_pair_tables_match_crosstab(rng):
    codes = np.column_stack([rng.integers(0, k, 100) for k in (3, 5, 2)]).astype(np.uint16)
    seen = 0
    for i, tables in dp.pair_tables(codes, [3, 5, 2]):
        for j, table in enumerate(tables, start=i + 1):
            expected = _table(codes[:, i], codes[:, j])
            np.testing.assert_array_equal(table[: expected.shape[0], : expected.shape[1]], expected)
            assert table.sum() == 100
            seen += 1
    assert seen == 3


def test_mutual_information_matches_sklearn_before_correction(rng):
    codes = np.column_stack([rng.integers(0, 3, 200), rng.integers(0, 5, 200)]).astype(np.uint16)
    codes[:, 1] = np.where(rng.random(200) < 0.5, codes[:, 0], codes[:, 1])
    joint = dp.pair_entropies(codes, [3, 5], miller_madow=False)
    plain = joint[0, 0] + joint[1, 1] - joint[0, 1]
    assert plain == pytest.approx(mutual_info_score(codes[:, 0], codes[:, 1]))
    assert joint[1, 1] == pytest.approx(stats.entropy(np.bincount(codes[:, 1])))
    # All 15 cells are occupied here or not, as counted: (r - 1 + c - 1 - (cells - 1)) / 2n.
    cells = np.count_nonzero(_table(codes[:, 0], codes[:, 1]))
    corrected = plain + (2 + 4 - (cells - 1)) / 400
    assert dp.mutual_information_matrix(codes, [3, 5])[0, 1] == pytest.approx(corrected)


@pytest.mark.parametrize("sizes", [[10] * 5, [10] * 5 + [9]])
def test_codes_that_are_none_of_their_columns_are_refused(sizes):
    # Nothing checks the bounds of the loop that counts them.
    codes = np.tile(np.arange(10, dtype=np.uint16)[:, None], 6)
    with pytest.raises(ValueError, match="not below"):
        dp.pair_entropies(codes, sizes)


def test_mutual_information_correction_removes_most_of_the_bias(rng):
    codes = rng.integers(0, 10, (500, 6)).astype(np.uint16)
    corrected = dp.mutual_information_matrix(codes, [10] * 6)[np.triu_indices(6, 1)].mean()
    raw = dp.pair_entropies(codes, [10] * 6, miller_madow=False)
    uncorrected = 2 * np.diag(raw).mean() - raw[np.triu_indices(6, 1)].mean()
    assert uncorrected > 0.06
    assert corrected < 0.02


def test_mutual_information_of_a_copy_is_the_entropy(rng):
    a = rng.integers(0, 6, 300).astype(np.uint16)
    result = dp.mutual_information_matrix(np.column_stack([a, a, np.zeros_like(a)]), [6, 6, 1])
    assert result[0, 1] == pytest.approx(result[0, 0])
    assert result[0, 2] == 0.0
    assert np.isnan(dp.mutual_information_matrix(a[:0, None], [6])).all()


def test_coarsening_keeps_null_apart_and_order():
    codes = np.arange(41, dtype=np.uint16)[:, None].repeat(2, axis=1)
    coarse, num_codes = dp.coarsen_codes(codes, [41, 41], np.array([True, False]), 9)
    assert num_codes.tolist() == [9, 9]
    assert coarse[0, 0] == 0
    assert coarse[1, 0] == 1
    assert np.bincount(coarse[:, 0]).tolist() == [1] + [5] * 8
    assert coarse[:, 1].tolist() == list(range(8)) + [8] * 33
    assert (np.diff(coarse[:, 0].astype(int)) >= 0).all()


def test_coarsening_leaves_few_codes_alone():
    codes = np.array([[0, 1], [2, 0]], np.uint16)
    coarse, num_codes = dp.coarsen_codes(codes, [3, 2], None, 4)
    assert coarse is codes
    assert num_codes.tolist() == [3, 2]
