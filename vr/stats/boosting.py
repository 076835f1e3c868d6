"""Boosted trees that tell two classes of rows apart by their codes, grown by compiled loops.

Each tree is fitted to the gradient and the curvature of the log-loss at the sum of those before it. Codes are binned,
and a node knows of each column and bin how many of its rows there are and what these sum up to; the better of all cuts
between two bins parts it. The node that gains most is parted next, until there are as many leaves as a tree may have.
Of two new nodes only the smaller one is counted: the other is what is left of their parent. scikit-learn grows the same
trees, but where two cuts are equally good, and LightGBM nearly the same (`benchmarks/two_sample_trees.py`); they take
longer to load than hundreds of these to grow.

References:
  Friedman 2001, Greedy function approximation; Ke et al. 2017, LightGBM.
"""

from dataclasses import dataclass

import numpy as np

from vr.stats.compiled import compiled
from vr.stats.leaf_masks import MOST_LEAVES, LeafMasks, Splits, leaf_masks

__all__ = ["BoostedTrees", "fit_boosted_trees", "warm_up"]

_TREES, _LEAVES, _LEARNING_RATE, _BINS = 20, MOST_LEAVES, 0.3, 32
_LEAF_ROWS, _LEAF_HESSIAN = 20, 1e-3
_LARGEST = 65_535  # code


@dataclass(frozen=True)
class BoostedTrees:
    """A fitted classifier."""

    masks: LeafMasks

    def log_odds(self, codes: np.ndarray) -> np.ndarray:
        """Returns the log odds of the first class, float64 `[n]`, of unsigned codes `[n, d]`."""
        return self.masks.read(codes)


def fit_boosted_trees(codes: np.ndarray, labels: np.ndarray) -> BoostedTrees:
    """Returns trees that tell rows labelled 1 from those labelled 0.

    Args:
      codes: Unsigned `[n, d]`, codes up to 65,535.
      labels: `[n]`, 0 or 1, both of them present.

    Raises:
      ValueError: An argument is none of these.
    """
    is_first = np.asarray(labels) > 0
    if codes.dtype.kind != "u" or len(codes) != len(is_first) or is_first.all() or not is_first.any():
        raise ValueError(
            f"{codes.dtype} codes of {len(codes)} rows, {len(is_first)} labels, {is_first.sum()} of them 1"
        )
    if codes.dtype.itemsize > 2 and codes.size and codes.max() > _LARGEST:
        raise ValueError(f"a code of {codes.max()}, where {_LARGEST} is the largest")
    bins, num_bins, binned = _binned(codes)
    leaf_rows = min(_LEAF_ROWS, max(1, len(codes) // 10))
    share = is_first.mean()
    offset = float(np.log(share / (1.0 - share)))
    tree, column, cut, left, right, values = _grow(binned, num_bins, is_first, offset, leaf_rows)
    return BoostedTrees(leaf_masks(Splits(tree, column, cut, left, right), values, bins, offset))


def warm_up() -> None:
    """Compiles the loops, or loads those that were kept, so that whoever comes first does not wait for it."""
    codes = np.array([[0], [1]], np.uint16)
    fit_boosted_trees(codes, codes[:, 0]).log_odds(codes)


def _binned(codes: np.ndarray) -> tuple[list[np.ndarray], np.ndarray, np.ndarray]:
    """Returns the bin of each column's codes, uint8 `[K]`, how many it has, `[d]`, and that of each cell, `[n, d]`."""
    # A column in one piece: they are read one by one.
    columns = np.require(codes.T, np.uint16, ["C", "W"])
    sizes = columns.max(axis=1).astype(np.int64) + 1
    tables = np.empty((len(columns), sizes.max(initial=1)), np.uint8)
    binned, num_bins = np.empty(codes.shape, np.uint8), np.empty(len(columns), np.int64)
    _bin(columns, sizes, tables, num_bins, binned)
    return [table[:size] for table, size in zip(tables, sizes, strict=True)], num_bins, binned


@compiled
def _bin(columns, sizes, tables, num_bins, binned):
    """Writes the bin of each code of each column, how many a column has, and the bin of each cell, a row in one piece.

    A code's bin is its place among those that occur; where these are more than 32 a bin ends with the first code at
    which the count reaches the next thirty-second.
    """
    d, n = columns.shape
    for f in range(d):
        counts = np.zeros(sizes[f], np.int64)
        for i in range(n):
            counts[np.uint32(columns[f, i])] += 1
        distinct = 0
        for code in range(sizes[f]):
            distinct += counts[code] > 0
        place, count, reached = 0, 0, 1
        for code in range(sizes[f]):
            tables[f, code] = place
            count += counts[code]
            ends = counts[code] > 0 and count < n
            if distinct > _BINS:
                ends = False
                while reached < _BINS and count * _BINS >= n * reached:
                    reached += 1
                    ends = True
            place += ends
        num_bins[f] = np.int64(tables[f, sizes[f] - 1]) + 1
        for i in range(n):
            binned[i, f] = tables[f, np.uint32(columns[f, i])]


@compiled
def _count(binned, rows, of_row, sums):
    """Writes of each column and bin what `of_row` of some rows sums up to."""
    for f in range(sums.shape[0]):
        for b in range(sums.shape[1]):
            for k in range(4):
                sums[f, b, k] = 0.0
    for i in range(len(rows)):
        r = np.uint32(rows[i])  # unsigned: a position that cannot count from the end
        gradient, hessian, one, none = of_row[r, 0], of_row[r, 1], of_row[r, 2], of_row[r, 3]
        for f in range(binned.shape[1]):
            b = np.uint32(binned[r, f])
            sums[f, b, 0] += gradient
            sums[f, b, 1] += hessian
            sums[f, b, 2] += one
            sums[f, b, 3] += none


@compiled
def _subtract(sums, less):
    for f in range(sums.shape[0]):
        for b in range(sums.shape[1]):
            for k in range(4):
                sums[f, b, k] -= less[f, b, k]


@compiled
def _best_cut(sums, num_bins, total, leaf_rows):
    """Returns what a node's best cut gains, its column, and its last bin on the left; 0 where none gains."""
    whole = total[0] * total[0] / total[1]
    gain, column, cut = 0.0, 0, 0
    for f in range(len(num_bins)):
        g, h, count = 0.0, 0.0, 0.0  # of what lies to the right
        for b in range(num_bins[f] - 1, 0, -1):
            g += sums[f, b, 0]
            h += sums[f, b, 1]
            count += sums[f, b, 2]
            if count < leaf_rows or h < _LEAF_HESSIAN:
                continue
            rest_g, rest_h = total[0] - g, total[1] - h
            if total[2] - count < leaf_rows or rest_h < _LEAF_HESSIAN:
                break
            found = g * g / h + rest_g * rest_g / rest_h - whole
            if found > gain:
                gain, column, cut = found, f, b - 1
    return gain, column, cut


@compiled
def _part(rows, spare, binned, column, cut):
    """Orders rows so that those on the left of a cut come first, each side as it was; returns how many these are."""
    low, high = 0, 0
    for i in range(len(rows)):
        r = np.uint32(rows[i])
        if binned[r, column] <= cut:
            rows[low] = rows[i]
            low += 1
        else:
            spare[high] = rows[i]
            high += 1
    for i in range(high):
        rows[low + i] = spare[i]
    return low


@compiled
def _grow(binned, num_bins, is_first, offset, leaf_rows):
    """Returns of each split the tree, column, last bin on the left and leaves on either side, and all leaves."""
    n, d = binned.shape
    # Of a row: its gradient, its hessian, 1, and a 0 for which one instruction adds all four.
    score, of_row = np.full(n, offset), np.zeros((n, 4))
    of_row[:, 2] = 1.0
    rows, spare = np.empty(n, np.int32), np.empty(n, np.int32)
    # Of a leaf: its rows, what they sum up to, where the same lies by column and bin, and what its best cut gains.
    begin, end = np.zeros(_LEAVES, np.int64), np.empty(_LEAVES, np.int64)
    total = np.empty((_LEAVES, 3))
    sums, held = np.empty((_LEAVES, d, _BINS, 4)), np.zeros(_LEAVES, np.int64)
    gain, by, at = np.empty(_LEAVES), np.empty(_LEAVES, np.int64), np.empty(_LEAVES, np.int64)
    most = _TREES * (_LEAVES - 1)
    tree, column, cut = np.empty(most, np.int64), np.empty(most, np.int64), np.empty(most, np.int64)
    left, right = np.zeros(most, np.uint8), np.zeros(most, np.uint8)
    values = np.zeros((_TREES, _LEAVES))
    used = 0
    for t in range(_TREES):
        total[0, 0] = total[0, 1] = 0.0
        total[0, 2] = n
        for i in range(n):
            p = 1.0 / (1.0 + np.exp(-score[i]))
            of_row[i, 0], of_row[i, 1] = p - is_first[i], p * (1.0 - p)
            total[0, 0] += of_row[i, 0]
            total[0, 1] += of_row[i, 1]
            rows[i] = i
        begin[0], end[0], held[0] = 0, n, 0
        leaves, root = 1, used
        _count(binned, rows, of_row, sums[0])
        gain[0], by[0], at[0] = _best_cut(sums[0], num_bins, total[0], leaf_rows)
        while leaves < _LEAVES:
            old, new = 0, leaves
            for leaf in range(1, leaves):
                if gain[leaf] > gain[old]:
                    old = leaf
            if gain[old] <= 0.0:
                break
            f, b = by[old], at[old]
            middle = begin[old] + _part(rows[begin[old] : end[old]], spare, binned, f, b)
            begin[new], end[new], end[old] = middle, end[old], middle
            # The larger of the two keeps their parent's sums, less those of the smaller.
            smaller = old if middle - begin[old] <= end[new] - middle else new
            held[new] = new
            if smaller == old:
                held[old], held[new] = new, held[old]
            _count(binned, rows[begin[smaller] : end[smaller]], of_row, sums[held[smaller]])
            _subtract(sums[held[old + new - smaller]], sums[held[smaller]])
            for k in range(3):
                total[new, k] = 0.0
                for i in range(b + 1, num_bins[f]):
                    total[new, k] += sums[held[new], f, i, k]
                total[old, k] -= total[new, k]
            for leaf in (old, new):
                gain[leaf], by[leaf], at[leaf] = _best_cut(sums[held[leaf]], num_bins, total[leaf], leaf_rows)
            # What was on a side of the splits above is there still, as two leaves.
            for s in range(root, used):
                left[s] |= ((left[s] >> old) & 1) << new
                right[s] |= ((right[s] >> old) & 1) << new
            tree[used], column[used], cut[used], left[used], right[used] = t, f, b, 1 << old, 1 << new
            used += 1
            leaves += 1
        if leaves == 1:
            break  # the next would be the same
        for leaf in range(leaves):
            values[t, leaf] = -_LEARNING_RATE * total[leaf, 0] / total[leaf, 1]
            for i in range(begin[leaf], end[leaf]):
                score[rows[i]] += values[t, leaf]
    return tree[:used], column[:used], cut[:used], left[:used], right[:used], values
