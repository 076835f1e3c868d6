import numpy as np
import pytest

from vr.stats.leaf_masks import MOST_LEAVES, Splits, leaf_masks


def grown(rng, num_columns, leaves):
    """A tree of so many leaves, split at random: a leaf's number, or column, cut, and what lies on either side."""
    if len(leaves) == 1:
        return leaves[0]
    left = int(rng.integers(1, len(leaves)))
    sides = leaves[:left], leaves[left:]
    return int(rng.integers(num_columns)), float(rng.uniform(0, 10)), *(grown(rng, num_columns, x) for x in sides)


def splits_of(trees):
    found = []

    def leaves(tree, number):
        if isinstance(tree, int):
            return 1 << tree
        column, cut, left, right = tree
        masks = leaves(left, number), leaves(right, number)
        found.append((number, column, cut, *masks))
        return masks[0] | masks[1]

    for number, tree in enumerate(trees):
        leaves(tree, number)
    tree, column, cut, left, right = zip(*found, strict=True) if found else ((),) * 5
    return Splits(
        np.array(tree, int), np.array(column, int), np.array(cut), np.array(left, np.uint8), np.array(right, np.uint8)
    )


def walked(tree, numbers):
    while not isinstance(tree, int):
        column, cut, left, right = tree
        tree = left if numbers[column] <= cut else right
    return tree


@pytest.mark.parametrize(("num_trees", "num_columns"), [(1, 1), (8, 3), (9, 2), (20, 6)])
def test_they_add_up_the_leaves_that_rows_walk_to(num_trees, num_columns):
    rng = np.random.default_rng(num_trees)
    leaves = [rng.permutation(int(rng.integers(1, MOST_LEAVES + 1))).tolist() for _ in range(num_trees)]
    trees = [grown(rng, num_columns, each) for each in leaves]
    values = rng.normal(size=(num_trees, MOST_LEAVES))
    numbers = [np.sort(rng.integers(0, 10, 14)).astype(float) for _ in range(num_columns)]
    codes = rng.integers(0, 14, (2_000, num_columns)).astype(np.uint16)
    expected = np.full(len(codes), 0.5)
    for tree, of_leaf in zip(trees, values, strict=True):
        expected += [of_leaf[walked(tree, [x[c] for x, c in zip(numbers, row, strict=True)])] for row in codes]
    masks = leaf_masks(splits_of(trees), values, numbers, offset=0.5)
    assert np.array_equal(masks.read(codes), expected)
    beyond = np.where(codes == 13, 400, codes).astype(np.uint16)  # no such code: it counts as the last
    assert np.array_equal(masks.read(beyond), expected)


def test_trees_that_part_nothing_give_their_first_leaf():
    masks = leaf_masks(splits_of([0, 0]), np.array([[0.25] + [9.0] * 7, [0.5] + [9.0] * 7]), [np.arange(3.0)])
    assert masks.read(np.zeros((2, 1), np.uint8)).tolist() == [0.75, 0.75]
