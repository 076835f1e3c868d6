import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import r2_score

from vr.stats import predictability as pr


@pytest.fixture
def rng():
    return np.random.default_rng(2)


def _sample(rng, n, weight=1.0):
    """Column 1 follows 0 by a curve, 2 (nominal) follows 0, 3 is noise, 4 is constant."""
    a = rng.integers(1, 9, n)
    b = np.where(rng.random(n) < weight, np.abs(a - 4) + 1, rng.integers(1, 6, n))
    c = np.where(rng.random(n) < weight, a // 3, rng.integers(0, 3, n))
    return np.column_stack([a, b, c, rng.integers(1, 5, n), np.ones(n, int)]).astype(np.uint16)


ORDINAL = np.array([True, True, False, True, True])
NUM_CODES = np.array([9, 6, 4, 5, 3])


def test_transfer_matches_one_ridge_regression_a_column(rng):
    mixing = rng.normal(size=(6, 6))
    train, test = rng.normal(size=(300, 6)) @ mixing, rng.normal(size=(200, 6)) @ mixing + 0.3
    groups, targets = np.array([0, 0, 1, 2, 2, 2]), np.array([True, False, True, True, True, False])
    result = pr.predictability_transfer(train, test, groups, targets, ridge=3.0)
    for j in range(3):
        others, wanted = groups != j, (groups == j) & targets
        # Ridge with a penalty of its own for each feature: divide the features by the test's deviations.
        scale = test[:, others].std(axis=0)
        model = Ridge(alpha=3.0).fit(train[:, others] / scale, train[:, wanted])
        predicted = model.predict(test[:, others] / scale).reshape(len(test), -1)
        expected = r2_score(test[:, wanted], predicted, multioutput="variance_weighted")
        assert result[j] == pytest.approx(expected, abs=2e-3)


def test_basis_is_orthonormal_on_the_reference_and_marks_targets(rng):
    codes = _sample(rng, 500)
    basis = pr.fit_column_basis(codes, ORDINAL, NUM_CODES)
    features = basis.transform(codes)
    assert features.shape == (500, len(basis.groups))
    np.testing.assert_allclose(features.mean(axis=0), 0.0, atol=1e-12)
    first = features[:, basis.groups == 0]
    np.testing.assert_allclose(first.T @ first / 500, np.eye(3), atol=1e-10)
    assert basis.groups.tolist() == [0] * 3 + [1] * 3 + [2] * 4 + [3] * 3 + [4]
    assert basis.targets.tolist() == [True, False, False] * 2 + [True] * 4 + [True, False, False, True]


def test_a_code_beyond_the_basis_counts_as_the_last(rng):
    codes = _sample(rng, 100)
    basis = pr.fit_column_basis(codes, ORDINAL, NUM_CODES)
    beyond, last = codes[:1].copy(), codes[:1].copy()
    beyond[0, 2], last[0, 2] = 99, NUM_CODES[2] - 1
    np.testing.assert_array_equal(basis.transform(beyond), basis.transform(last))


def test_determined_columns_are_predicted_and_noise_is_not(rng):
    codes = _sample(rng, 2000)
    basis = pr.fit_column_basis(codes, ORDINAL, NUM_CODES)
    scores = pr.predictability(basis.transform(codes), basis.groups, basis.targets)
    assert scores[1] > 0.8
    assert scores[2] > 0.7
    assert abs(scores[3]) < 0.03
    assert scores.shape == (5,)
    assert np.isnan(scores[4])


def test_indicators_of_one_category_do_not_predict_each_other(rng):
    one_hot = np.eye(4)[rng.integers(0, 4, 1000)]
    grouped = pr.predictability(one_hot, np.zeros(4, int))
    assert grouped[0] == pytest.approx(0.0, abs=0.03)
    assert pr.predictability(one_hot).min() > 0.99


def test_gap_grows_as_dependence_is_lost(rng):
    reference, test = _sample(rng, 1000), _sample(rng, 1000)
    basis = pr.fit_column_basis(reference, ORDINAL, NUM_CODES)

    def gap(candidate):
        sides = (basis.transform(codes) for codes in (candidate, reference, test))
        return pr.predictability_gap(*sides, basis.groups, basis.targets)[:3].mean()

    gaps = [gap(_sample(rng, 1000, weight)) for weight in (1.0, 0.6, 0.2)]
    assert abs(gaps[0]) < 0.02
    assert gaps[0] + 0.03 < gaps[1] < gaps[2] - 0.03
    shuffled = np.column_stack([rng.permutation(column) for column in reference.T])
    assert gap(shuffled) > gaps[2]


def test_predictability_limits(rng):
    x = rng.normal(size=(50, 3))
    assert np.isnan(pr.predictability(x[:3])).all()
    assert np.isnan(pr.predictability_transfer(x[:0], x)).all()
    assert np.isnan(pr.predictability_transfer(x, x[:0])).all()
    constant = x.copy()
    constant[:, 1] = 2.0
    scores = pr.predictability_transfer(x, constant)
    assert np.isnan(scores[1])
    assert np.isfinite(scores[[0, 2]]).all()
    # A candidate collapsed to one row predicts its own mean.
    collapsed = pr.predictability_transfer(np.zeros((50, 3)) + x.mean(axis=0), x)
    np.testing.assert_allclose(collapsed, 0.0, atol=1e-9)
    assert np.isfinite(pr.predictability_transfer(x[:1], x)).all()


def test_a_column_that_rounding_alone_moves_breaks_nothing():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(300, 3))
    # Constant up to the last bit: its variance is about 1e-34, which is no variance.
    nearly = np.full((300, 1), 0.1) + 1e-17 * rng.integers(0, 2, (300, 1))
    nearly[::2] = np.nextafter(0.1, 1.0)
    both = np.concatenate([x, nearly], axis=1)
    both[:, 0] = both[:, 1] + 0.1 * both[:, 0]
    with_it = pr.predictability_transfer(both[:150], both[150:])
    without = pr.predictability_transfer(both[:150, :3], both[150:, :3])
    np.testing.assert_allclose(with_it[:3], without, atol=1e-6)
    assert np.isnan(with_it[3])
