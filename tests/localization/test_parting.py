"""The shallow tree that parts two kinds of rows."""

import numpy as np
import pytest
from sklearn.tree import DecisionTreeClassifier

from vr.localization.parting import leaf_limits, leaves_of


def rows(seed, num=(1_900, 2_300)):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, [40, 7, 300, 2, 64], (sum(num), 5)).astype(np.uint16)
    labels = np.repeat([0, 1], num)
    # One kind lacks a corner, so that there is something to find beside noise.
    lost = (labels == 1) & (codes[:, 0] > 20) & (codes[:, 1] < 3) & (rng.random(len(codes)) < 0.8)
    return codes[~lost], labels[~lost]


@pytest.mark.parametrize("least", [0.0025, 0.05])
def test_leaves_are_those_of_scikit_learn(least):
    # Where no two columns are cut equally well: then scikit-learn's is the one that it drew first.
    for seed in range(7):
        codes, labels = rows(seed)
        weights = 0.5 / np.bincount(labels)[labels]
        tree = DecisionTreeClassifier(
            max_depth=4, min_weight_fraction_leaf=least, min_samples_leaf=5, random_state=0
        ).fit(codes.astype(np.float32), labels, sample_weight=weights)
        limits = leaf_limits(codes, labels, 4, least)
        ours, theirs = leaves_of(codes, limits), tree.apply(codes.astype(np.float32))
        assert len(limits) == tree.get_n_leaves() == len({*zip(ours.tolist(), theirs.tolist(), strict=True)})
        asked = {(j, cut) for each in limits for j, ends in each.items() for cut in ends if np.isfinite(cut)}
        inner = tree.tree_.feature >= 0
        cuts = zip(tree.tree_.feature[inner].tolist(), tree.tree_.threshold[inner].tolist(), strict=True)
        assert asked == set(cuts)


def test_of_equal_columns_the_first_is_asked():
    codes, labels = rows(0)
    limits = leaf_limits(codes[:, [0, 0, 1, 1]], labels, 4, 0.0025)
    assert {j for each in limits for j in each} == {0, 2}


def test_rows_of_one_code_are_one_leaf():
    assert leaf_limits(np.ones((60, 3), np.uint8), np.repeat([0, 1], 30), 4, 0.0025) == [{}]


def test_a_leaf_has_its_share_of_the_weight():
    codes, labels = rows(3, (500, 4_000))
    weights = 0.5 / np.bincount(labels)[labels]
    shares = np.bincount(leaves_of(codes, leaf_limits(codes, labels, 4, 0.05)), weights)
    assert shares.min() >= 0.05
