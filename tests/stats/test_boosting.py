"""Boosted trees on codes, held against scikit-learn's and LightGBM's."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from benchmarks.two_sample_trees import GROWN_BY
from vr.stats.boosting import fit_boosted_trees
from vr.stats.resampling import auroc

LEVELS = np.array([3, 12, 32, 33, 40, 70])


def rows_of(rng, shift=0.0, rows=1_500):
    """Numbers with a common part, on as many codes as numeric and nominal columns have."""
    x = rng.normal(size=(rows, 1)) + rng.normal(size=(rows, 6))
    x[:, 0] += shift
    return np.clip((x + 4) / 8 * LEVELS, 0, LEVELS - 1).astype(np.uint16)


def two_classes(seed, shift, rows=1_500, others=1_500):
    rng = np.random.default_rng(seed)
    codes = np.concatenate([rows_of(rng, shift, rows), rows_of(rng, rows=others)])
    fresh = np.concatenate([rows_of(rng, shift), rows_of(rng)])
    return codes, np.repeat([1.0, 0.0], [rows, others]), fresh


def by_scikit_learn(codes, labels, leaf_rows=20):
    model = HistGradientBoostingClassifier(
        max_iter=20,
        max_leaf_nodes=8,
        learning_rate=0.3,
        max_bins=32,
        min_samples_leaf=leaf_rows,
        early_stopping=False,
    )
    return model.fit(codes.astype(float), labels).decision_function


@pytest.mark.parametrize(("seed", "shift", "rows"), [(0, 0.0, 1_500), (0, 0.8, 1_500), (2, 0.8, 400), (3, 0.3, 3_000)])
def test_trees_are_scikit_learns_on_the_codes_themselves(seed, shift, rows):
    codes, labels, fresh = two_classes(seed, shift, rows)
    # Bins made of counts are those that it makes of the values. Its gradients are of single precision.
    expected = by_scikit_learn(codes, labels)(fresh.astype(float))
    assert fit_boosted_trees(codes, labels).log_odds(fresh) == pytest.approx(expected, abs=1e-6)


def test_of_few_rows_a_leaf_may_have_fewer():
    codes, labels, _ = two_classes(5, 1.0, 30, 25)
    expected = by_scikit_learn(codes, labels, leaf_rows=5)(codes.astype(float))
    # Where no row lies between two cuts, either of them is right, and other rows may lie there.
    assert fit_boosted_trees(codes, labels).log_odds(codes) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0])
def test_they_tell_as_much_as_lightgbms(shift):
    told = []
    for seed in range(6):
        codes, labels, fresh = two_classes(seed, shift)
        told.append([auroc(GROWN_BY[name](codes, labels).log_odds(fresh), labels > 0) for name in ("vr", "lightgbm")])
    apart = np.diff(told, axis=1)
    assert abs(apart.mean()) < 0.004
    assert np.abs(apart).max() < 0.015


def test_without_anything_to_tell_the_odds_are_those_of_the_classes():
    codes = np.zeros((80, 2), np.uint8)
    odds = fit_boosted_trees(codes, np.repeat([1, 0], [20, 60])).log_odds(codes[:3])
    assert odds == pytest.approx(np.full(3, np.log(1 / 3)))


def test_threads_grow_what_one_grows():
    cases = [two_classes(seed, 0.5) for seed in range(8)]
    one = [fit_boosted_trees(codes, labels).log_odds(fresh) for codes, labels, fresh in cases]
    with ThreadPoolExecutor(4) as pool:
        many = list(pool.map(lambda case: fit_boosted_trees(case[0], case[1]).log_odds(case[2]), cases))
    assert all(np.array_equal(a, b) for a, b in zip(one, many, strict=True))


def test_codes_that_were_not_seen_count_as_their_neighbours():
    codes = np.repeat(np.array([[2], [9]], np.uint16), 50, axis=0)
    trees = fit_boosted_trees(codes, np.repeat([1.0, 0.0], 50))
    odds = trees.log_odds(np.array([[0], [2], [9], [400]], np.uint16))
    assert odds[0] == odds[1] > 0 > odds[2] == odds[3]
    assert trees.log_odds(np.array([[9], [2**20]], np.uint32)).tolist() == [odds[2], odds[2]]


def test_two_rows_are_enough():
    codes = np.array([[0], [1]], np.uint16)
    odds = fit_boosted_trees(codes, np.array([1.0, 0.0])).log_odds(codes)
    assert np.isfinite(odds).all()
    assert odds[0] > odds[1]


def test_no_rows_get_no_odds():
    codes = np.array([[0], [1]], np.uint16)
    assert fit_boosted_trees(codes, np.array([1.0, 0.0])).log_odds(codes[:0]).shape == (0,)


def test_how_the_codes_lie_does_not_matter():
    codes, labels, fresh = two_classes(1, 0.5)
    expected = fit_boosted_trees(codes, labels).log_odds(fresh)
    assert np.array_equal(
        fit_boosted_trees(np.asfortranarray(codes), labels).log_odds(np.asfortranarray(fresh)), expected
    )
    assert np.array_equal(fit_boosted_trees(codes.astype(np.uint8), labels).log_odds(fresh.astype(np.uint8)), expected)


@pytest.mark.parametrize(
    ("codes", "labels"),
    [
        (np.zeros((3, 1), np.int64), [1, 0, 0]),
        (np.zeros((3, 1), np.uint8), [1, 0]),
        (np.zeros((3, 1), np.uint8), [1, 1, 1]),
        (np.zeros((3, 1), np.uint8), [0, 0, 0]),
        (np.zeros((0, 1), np.uint8), []),
    ],
)
def test_what_are_no_two_classes_of_codes_is_refused(codes, labels):
    with pytest.raises(ValueError, match="codes of"):
        fit_boosted_trees(codes, np.array(labels))


def test_fewer_columns_than_the_trees_split_on_are_refused():
    codes, labels, fresh = two_classes(1, 0.5)
    with pytest.raises(ValueError, match="no codes of these trees"):
        fit_boosted_trees(codes, labels).log_odds(fresh[:, :1])
    with pytest.raises(ValueError, match="no codes of these trees"):
        fit_boosted_trees(codes, labels).log_odds(fresh.astype(np.int64))


def test_warmed_up_nothing_is_compiled_any_more():
    code = """
import numpy as np
from vr.stats import boosting, leaf_masks
from vr.stats.boosting import fit_boosted_trees

def signatures():
    loops = [each for module in (boosting, leaf_masks) for each in vars(module).values() if hasattr(each, "signatures")]
    return sum(len(each.signatures) for each in loops)

boosting.warm_up()
before = signatures()
codes = np.random.default_rng(0).integers(0, 40, (300, 5), np.uint16)
read_only = codes.copy()
read_only.flags.writeable = False
for each in (codes, read_only, codes.astype(np.uint8), np.asfortranarray(codes), codes[::2]):
    fit_boosted_trees(each, each[:, 0] > 20).log_odds(each)
print(before > 0, signatures() - before)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "0"]


def test_codes_beyond_the_largest_are_refused():
    codes = np.array([[0], [70_000]], np.uint32)
    with pytest.raises(ValueError, match="65535 is the largest"):
        fit_boosted_trees(codes, np.array([1, 0]))
