import numpy as np
import pytest
from scipy.stats import chisquare
from sklearn.ensemble import ExtraTreesRegressor

from vr.stats import forests
from vr.stats.forests import grow_forest


@pytest.fixture
def rng():
    return np.random.default_rng(11)


def bent(rng, n, columns=6):
    """Codes, a number that three of the columns tell by a bend, and a class of four that two of them tell."""
    codes = rng.integers(0, 20, (n, columns)).astype(np.uint16)
    a, b, c = (codes[:, j].astype(float) for j in range(3))
    number = np.abs(a - 10) + 0.3 * b * (c > 8) + rng.standard_normal(n)
    kind = np.where(rng.random(n) < 0.8, (a // 5 + (b > 12)) % 4, rng.integers(0, 4, n)).astype(int)
    return codes, number, kind


def rows_by_leaf(forest, codes):
    return [{node: np.flatnonzero(leaves == node) for node in np.unique(leaves)} for leaves in forest.leaves(codes)]


@pytest.mark.parametrize("tried", [None, 2])
def test_numbers_are_predicted_as_well_as_by_scikit_learn(rng, tried):
    ours, theirs = [], []
    for seed in range(6):
        (x, y, _), (x_test, y_test, _) = bent(rng, 600), bent(rng, 600)
        forest = ExtraTreesRegressor(100, min_samples_leaf=3, max_features=tried or 1.0, random_state=seed)
        theirs.append(np.mean((forest.fit(x, y).predict(x_test) - y_test) ** 2))
        found = grow_forest(x, y, seed, trees=100, leaf_rows=3, tried=tried).predict(x_test)
        assert found.shape == (600, 1)
        ours.append(np.mean((found[:, 0] - y_test) ** 2))
    assert np.mean(ours) == pytest.approx(np.mean(theirs), rel=0.05)


def test_classes_are_predicted_as_well_as_by_scikit_learn(rng):
    ours, theirs = [], []
    for seed in range(6):
        (x, _, kind), (x_test, _, kind_test) = bent(rng, 600), bent(rng, 600)
        shown, shown_test = np.eye(4)[kind], np.eye(4)[kind_test]
        forest = ExtraTreesRegressor(24, min_samples_leaf=3, random_state=seed).fit(x, shown)
        theirs.append(np.mean(np.sum((forest.predict(x_test) - shown_test) ** 2, axis=1)))
        found = grow_forest(x, kind, seed, trees=24, leaf_rows=3, num_classes=4).predict(x_test)
        np.testing.assert_allclose(found.sum(axis=1), 1.0, rtol=1e-5)
        ours.append(np.mean(np.sum((found - shown_test) ** 2, axis=1)))
    assert np.mean(ours) == pytest.approx(np.mean(theirs), rel=0.03)


@pytest.mark.parametrize("columns", [3, 16, 17, 40])
def test_a_leaf_predicts_the_mean_of_its_rows_and_has_enough_of_them(rng, columns):
    codes, number, kind = bent(rng, 300, columns)
    by_number = grow_forest(codes, number, 1, trees=3, leaf_rows=4)
    by_class = grow_forest(codes, kind, 1, trees=3, leaf_rows=4, num_classes=4)
    assert by_number.column.max() < columns
    for of_tree in rows_by_leaf(by_number, codes):
        for node, rows in of_tree.items():
            assert len(rows) >= 4
            assert by_number.means[node, 0] == pytest.approx(number[rows].mean(), rel=1e-5)
    for of_tree in rows_by_leaf(by_class, codes):
        for node, rows in of_tree.items():
            shares = np.bincount(kind[rows], minlength=4) / len(rows)
            np.testing.assert_allclose(by_class.means[node], shares, rtol=1e-6)
    # Rows of so many different codes can nearly always be parted: trees end where they must, and not before.
    sizes = np.concatenate([[len(rows) for rows in each.values()] for each in rows_by_leaf(by_number, codes)])
    assert sizes.max() < 40
    assert np.mean(sizes) < 12


def test_the_prediction_is_the_mean_of_the_leaves(rng):
    codes, _, kind = bent(rng, 200)
    forest = grow_forest(codes, kind, 3, trees=5, leaf_rows=3, num_classes=4)
    other, _, _ = bent(rng, 50)
    np.testing.assert_allclose(forest.predict(other), forest.means[forest.leaves(other)].mean(axis=0), rtol=1e-6)
    assert forest.leaves(other).shape == (5, 50)


def test_of_several_columns_the_one_that_leaves_least_variance_is_taken(rng):
    codes = rng.integers(0, 2, (400, 5)).astype(np.uint16)
    number = 3.0 * codes[:, 2] + 1.0 * codes[:, 4] + 0.01 * rng.standard_normal(400)
    forest = grow_forest(codes, number, 0, trees=8, leaf_rows=3)
    assert (forest.column[forest.roots] == 2).all()
    first = forest.child[forest.roots]
    assert (forest.column[np.concatenate([first, first + 1])] == 4).all()
    # Of one column, drawn for each node, it is any of the five.
    forest = grow_forest(codes, number, 0, trees=200, leaf_rows=3, tried=1)
    assert chisquare(np.bincount(forest.column[forest.roots], minlength=5)).pvalue > 0.001


def test_thresholds_are_drawn_uniformly_between_the_least_and_the_largest_code(rng):
    codes = np.repeat(np.arange(5, 15), 10).astype(np.uint16)[:, None]
    forest = grow_forest(codes, rng.standard_normal(100), 5, trees=900, leaf_rows=1)
    cuts = forest.cut[forest.roots]
    assert (cuts.min(), cuts.max()) == (5, 13)
    assert chisquare(np.bincount(cuts - 5, minlength=9)).pvalue > 0.001


def test_what_is_drawn_is_splitmix64():
    # The first outputs for this seed that the generator's authors' own program gives.
    state = np.full(1, 1234567, np.uint64)
    drawn = [forests._below(state, np.int64(2**32)) for _ in range(3)]
    assert drawn == [out >> 32 for out in (6457827717110365317, 3203168211198807973, 9817491932198370423)]


def test_the_same_seed_grows_the_same_trees_and_another_one_others(rng):
    codes, number, _ = bent(rng, 200)
    one, two, other = (grow_forest(codes, number, seed, trees=4, leaf_rows=3) for seed in (7, 7, 8))
    for name in ("means", "roots", "depths", "column", "cut", "child"):
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))
    assert not np.array_equal(one.predict(codes), other.predict(codes))
    assert not np.array_equal(one.leaves(codes)[0], one.leaves(codes)[1])
    # In columns or rows of memory, of one width or another.
    for same in (np.asfortranarray(codes), codes.astype(np.uint8)):
        np.testing.assert_array_equal(grow_forest(same, number, 7, trees=4, leaf_rows=3).cut, one.cut)


@pytest.mark.parametrize("columns", [0, 3])
def test_where_nothing_can_be_parted_the_mean_is_predicted(rng, columns):
    number = rng.standard_normal(50)
    constant = np.full((50, columns), 9, np.uint16)
    assert grow_forest(constant, number, 0, trees=2, leaf_rows=3).predict(constant) == pytest.approx(number.mean())
    varied = rng.integers(0, 9, (50, columns)).astype(np.uint16)
    few = grow_forest(varied[:5], number[:5], 0, trees=2, leaf_rows=3)
    assert few.child.tolist() == [0, 1]
    alike = grow_forest(varied, np.full(50, 0.25), 0, trees=2, leaf_rows=3)
    assert alike.predict(varied) == pytest.approx(0.25)
    assert alike.child.tolist() == [0, 1]


def test_a_class_that_does_not_count_is_in_no_share(rng):
    codes = rng.integers(0, 2, (90, 1)).astype(np.uint16)
    kind = np.where(codes[:, 0] == 1, 0, np.where(rng.random(90) < 0.5, 1, -1))
    found = grow_forest(codes, kind, 0, trees=1, leaf_rows=3, num_classes=2).predict(np.array([[0], [1]], np.uint16))
    np.testing.assert_allclose(found, [[0.0, np.mean(kind[codes[:, 0] == 0] == 1)], [1.0, 0.0]], rtol=1e-6)


def test_the_largest_code_is_a_code():
    codes = np.repeat(np.array([0, 65_535], np.uint16), 10)[:, None]
    forest = grow_forest(codes, codes[:, 0] / 65_535, 0, trees=1, leaf_rows=3)
    assert forest.predict(codes)[:, 0].tolist() == [0.0] * 10 + [1.0] * 10


def test_what_was_warmed_up_is_compiled_for_every_kind_of_forest(rng):
    forests.warm_up()
    compilers = (forests._grow_all, forests._predict, forests._leaves)
    codes, number, kind = bent(rng, 60)
    for forest in (
        grow_forest(codes, number, 0, trees=2, leaf_rows=3, tried=2),
        grow_forest(codes.astype(np.uint8), kind, 0, trees=2, leaf_rows=np.int32(3), num_classes=4),
    ):
        forest.predict(codes)
        forest.leaves(np.asfortranarray(codes))
    assert [len(each.signatures) for each in compilers] == [1, 1, 1]


@pytest.mark.parametrize(
    ("rows", "changed"),
    [
        (0, {}),
        (9, {"trees": 0}),
        (9, {"leaf_rows": 0}),
        (9, {"tried": 0}),
        (9, {"num_classes": 2, "predicted": np.full(9, 2)}),
        (9, {"predicted": np.zeros(8)}),
        (9, {"codes": np.zeros((9, 2), np.int64)}),
        (9, {"codes": np.full((9, 2), 70_000, np.uint32)}),
    ],
)
def test_what_loops_without_bounds_could_not_bear_is_refused(rows, changed):
    settings = {"codes": np.zeros((rows, 2), np.uint16), "predicted": np.zeros(rows), "trees": 1, "leaf_rows": 3}
    settings |= changed
    with pytest.raises(ValueError):
        grow_forest(settings.pop("codes"), settings.pop("predicted"), 0, **settings)


def test_a_forest_is_asked_about_columns_like_its_own(rng):
    codes, number, _ = bent(rng, 60)
    forest = grow_forest(codes, number, 0, trees=1, leaf_rows=3)
    assert forest.predict(codes[:0]).shape == (0, 1)
    for other in (codes[:, :5], codes.astype(np.int64)):
        with pytest.raises(ValueError):
            forest.predict(other)
        with pytest.raises(ValueError):
            forest.leaves(other)
