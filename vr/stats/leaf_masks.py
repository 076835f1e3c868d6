"""Small decision trees read all at once, by looking up what each of a row's codes rules out.

The leaves of a tree have a number each, and a row has one bit for each. A split rules out the leaves on the side that
the row does not go to, whatever the other splits say; the leaf that no split rules out is the row's own. What a code
rules out by all splits of all trees on its column is known beforehand, so that a row costs one look-up for each column
and one for each tree, and no comparison.

References:
  Lucchese et al. 2015, QuickScorer: a fast algorithm to rank documents with additive ensembles of regression trees.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vr.stats.compiled import compiled

__all__ = ["MOST_LEAVES", "LeafMasks", "Splits", "leaf_masks"]

MOST_LEAVES = 8  # of a tree: a byte has so many bits
_TREES = 8  # whose bytes are one word
_LARGEST = np.uint16(65_535)
_LOWEST = np.array([max(0, (i & -i).bit_length() - 1) for i in range(256)], np.uint8)  # bit of each byte


@dataclass(frozen=True)
class Splits:
    """The inner nodes of trees, in any order.

    Attributes:
      tree: int `[s]`, whose node it is.
      column: int `[s]`, by which it parts rows.
      cut: `[s]`, the largest number that goes to the left.
      left: uint8 `[s]`, the leaves on its left, a bit for each.
      right: uint8 `[s]`, those on its right.
    """

    tree: np.ndarray
    column: np.ndarray
    cut: np.ndarray
    left: np.ndarray
    right: np.ndarray


@dataclass(frozen=True)
class LeafMasks:
    """Trees whose leaves are added up.

    Attributes:
      column: int32 `[c]`, those that some tree splits on.
      first: int64 `[c]`, where the words of its codes begin.
      last: uint16 `[c]`, its largest code.
      words: uint64 `[K, w]`, by code the leaves of eight trees each that it leaves, a byte for each tree.
      values: float64 `[trees, 8]`, by leaf.
      offset: What the sum begins with.
    """

    column: NDArray[np.int32]
    first: NDArray[np.int64]
    last: NDArray[np.uint16]
    words: NDArray[np.uint64]
    values: NDArray[np.float64]
    offset: float

    def read(self, codes: np.ndarray) -> np.ndarray:
        """Returns the sum over trees, in their order, of each row of unsigned `codes` `[n, d]`, float64 `[n]`.

        A code beyond a column's last counts as the last.

        Raises:
          ValueError: A column that a tree splits on is not there, or these are no codes.
        """
        if codes.dtype.kind != "u" or (len(self.column) and self.column.max() >= codes.shape[1]):
            raise ValueError(f"{codes.dtype} in {codes.shape[1]} columns, which are no codes of these trees")
        small = codes if codes.dtype.itemsize <= 2 else np.minimum(codes, _LARGEST)
        # Writable, too: loops are compiled for each kind of array.
        rows = np.require(small, np.uint16, ["C", "W"])
        return _read(self.column, self.first, self.last, self.words, self.values, self.offset, _LOWEST, rows)


def leaf_masks(splits: Splits, values: np.ndarray, numbers: Sequence[np.ndarray], offset: float = 0.0) -> LeafMasks:
    """Makes them of trees with up to eight leaves each.

    Args:
      splits: Of all trees.
      values: float `[trees, 8]`, by leaf.
      numbers: For each column `[K]`, the number that the trees compare, by code; K at most 65,536.
      offset: What the sum begins with.
    """
    columns, position = np.unique(splits.column, return_inverse=True)
    sizes = np.array([len(numbers[j]) for j in columns], np.int64)
    ends = np.cumsum(sizes)
    words = np.full((int(sizes.sum()), -(-len(values) // _TREES)), ~np.uint64(0))
    if len(columns):
        flat = np.concatenate([numbers[j] for j in columns])
        begin, end = (ends - sizes)[position], ends[position]
        _rule_out(flat, begin, end, splits.tree, splits.cut, splits.left, splits.right, words)
    return LeafMasks(
        column=columns.astype(np.int32),
        first=ends - sizes,
        last=(sizes - 1).astype(np.uint16),
        words=words,
        values=np.ascontiguousarray(values, np.float64),
        offset=float(offset),
    )


@compiled
def _rule_out(numbers, begin, end, tree, cut, left, right, words):
    """Clears, of each split and each code of its column, the bits of the leaves on the other side."""
    for s in range(len(tree)):
        k, shift = tree[s] // _TREES, np.uint64(8 * (tree[s] % _TREES))
        for code in range(begin[s], end[s]):
            away = left[s] if numbers[code] > cut[s] else right[s]
            words[code, k] &= ~(np.uint64(away) << shift)


@compiled
def _read(column, first, last, words, values, offset, lowest, codes):
    result, left = np.empty(len(codes)), np.empty(words.shape[1], np.uint64)
    for i in range(len(codes)):
        left[:] = ~np.uint64(0)
        for c in range(len(column)):
            row = first[c] + min(codes[i, np.uint32(column[c])], last[c])
            for k in range(len(left)):
                left[k] &= words[np.uint64(row), k]
        total = offset
        for k in range(len(left)):
            word = left[k]
            for t in range(8 * k, min(8 * k + 8, len(values))):
                total += values[t, lowest[word & np.uint64(255)]]
                word >>= np.uint64(8)
        result[i] = total
    return result
