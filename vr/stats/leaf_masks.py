"""Small decision trees read all at once, by looking up what each of a row's codes rules out.

The leaves of a tree are numbered from left to right, and a row has one bit for each. A split that sends the row to its
right rules out the leaves on its left, whatever the other splits say; the leftmost leaf that no split rules out is the
row's own. What a code rules out by all splits of all trees on its column is known beforehand, so that a row costs one
look-up for each column and each tree, and no comparison.

References:
  Lucchese et al. 2015, QuickScorer: a fast algorithm to rank documents with additive ensembles of regression trees.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["MOST_LEAVES", "LeafMasks", "leaf_masks"]

MOST_LEAVES = 8  # of a tree: a byte has so many bits
_TREES = 8  # whose bytes are one word
_BLOCK_ROWS = 8_192  # looked up at once, within a core's cache
_LOWEST = np.array([(i & -i).bit_length() - 1 for i in range(256)])  # bit of each byte; -1 of none


@dataclass(frozen=True)
class LeafMasks:
    """Trees whose leaves are added up.

    Attributes:
      left: For each column that is split on `(position, words)`, for each word uint64 `[K]`, by code the leaves of
        eight trees that it leaves, a byte for each.
      values: For each tree float64 `[256]`, the value of the leftmost leaf of those left.
    """

    left: tuple[tuple[int, tuple[np.ndarray, ...]], ...]
    values: tuple[np.ndarray, ...]

    def read(self, codes: np.ndarray) -> np.ndarray:
        """Returns the sum over trees, in their order, of each row of unsigned `codes` `[n, d]`, float64 `[n]`.

        A code beyond a column's last counts as the last.
        """
        result = np.zeros(len(codes))
        for start in range(0, len(codes), _BLOCK_ROWS):
            rows, total = codes[start : start + _BLOCK_ROWS], result[start : start + _BLOCK_ROWS]
            words = [np.full(len(rows), ~np.uint64(0)) for _ in range(-(-len(self.values) // _TREES))]
            for j, tables in self.left:
                code = np.minimum(rows[:, j], len(tables[0]) - 1).astype(np.intp)
                for word, table in zip(words, tables, strict=True):
                    word &= table.take(code)
            for tree, values in enumerate(self.values):
                leaves = (words[tree // _TREES] >> np.uint64(8 * (tree % _TREES))).astype(np.uint8)
                total += values.take(leaves)
        return result


def leaf_masks(trees: Sequence[Mapping[str, Any]], codes: Sequence[np.ndarray]) -> LeafMasks:
    """Makes them of trees with up to eight leaves each.

    Args:
      trees: Each a leaf, {"leaf_value": v}, or a split, {"split_feature": j, "threshold": t, "left_child": tree,
        "right_child": tree}, which sends what is at most t to its left.
      codes: For each column float `[K]`, the number that the trees compare, by code.
    """
    words = -(-len(trees) // _TREES)
    left = {}
    values = []
    for tree, root in enumerate(trees):
        found: list[float] = []
        for j, threshold, mask in _splits(root, found):
            masks = left.setdefault(j, np.full((words, len(codes[j])), ~np.uint64(0)))
            masks[tree // _TREES, codes[j] > threshold] &= ~np.uint64(mask << 8 * (tree % _TREES))
        values.append(np.array(found)[np.minimum(_LOWEST, len(found) - 1)])
    return LeafMasks(tuple((j, tuple(masks)) for j, masks in sorted(left.items())), tuple(values))


def _splits(tree: Mapping[str, Any], leaves: list[float]) -> list[tuple[int, float, int]]:
    """Returns the column, threshold and bits of the leaves on the left of each split; adds the leaves to `leaves`."""
    if "split_feature" not in tree:
        leaves.append(tree["leaf_value"])
        return []
    first = len(leaves)
    found = _splits(tree["left_child"], leaves)
    mask = (1 << len(leaves)) - (1 << first)
    return [*found, (tree["split_feature"], tree["threshold"], mask), *_splits(tree["right_child"], leaves)]
