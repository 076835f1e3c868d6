import numpy as np
import pytest

from vr.stats.leaf_masks import MOST_LEAVES, leaf_masks


def grown(rng, num_columns, leaves):
    """A tree with so many leaves, split at random."""
    if leaves == 1:
        return {"leaf_value": float(rng.normal())}
    left = int(rng.integers(1, leaves))
    return {
        "split_feature": int(rng.integers(num_columns)),
        "threshold": float(rng.uniform(0, 10)),
        "left_child": grown(rng, num_columns, left),
        "right_child": grown(rng, num_columns, leaves - left),
    }


def walked(tree, numbers):
    while "leaf_value" not in tree:
        goes_left = numbers[tree["split_feature"]] <= tree["threshold"]
        tree = tree["left_child" if goes_left else "right_child"]
    return tree["leaf_value"]


@pytest.mark.parametrize(("num_trees", "num_columns"), [(1, 1), (8, 3), (9, 2), (20, 6)])
def test_they_add_up_the_leaves_that_rows_walk_to(num_trees, num_columns):
    rng = np.random.default_rng(num_trees)
    trees = [grown(rng, num_columns, int(rng.integers(1, MOST_LEAVES + 1))) for _ in range(num_trees)]
    bins = [np.sort(rng.integers(0, 10, 14)).astype(np.float32) for _ in range(num_columns)]
    codes = rng.integers(0, 14, (9_000, num_columns)).astype(np.uint16)
    expected = np.zeros(len(codes))
    for tree in trees:
        expected += [walked(tree, [table[c] for table, c in zip(bins, row, strict=True)]) for row in codes]
    found = leaf_masks(trees, bins).read(codes)
    assert np.array_equal(found, expected)
    beyond = np.where(codes == 13, 400, codes).astype(np.uint16)  # no such code: it counts as the last
    assert np.array_equal(leaf_masks(trees, bins).read(beyond), expected)
