"""Randomised trees over codes, grown by compiled loops: many small forests, each in milliseconds.

A tree parts its rows until too few are left: at every node a threshold is drawn for each column that still varies,
uniformly between the least and the largest code there, and the one is taken that leaves the least variance of what is
predicted. A row of codes lies in one piece, and a node goes through its rows twice, all columns at a time, once for
the ranges and once for the sums on either side of the thresholds; a library whose trees take any numbers, column by
column, needs several times as long for trees this small (`benchmarks/forest_trees.py`).

The loops hold no lock of Python's and add up in one order, so the same seed grows the same trees on any machine.

References:
  Geurts, Ernst and Wehenkel 2006, Extremely randomized trees; Steele, Lea and Flood 2014, Fast splittable pseudorandom
  number generators (SplitMix64).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from vr.stats.compiled import compiled

__all__ = ["Forest", "grow_forest", "warm_up"]

# Columns that one instruction takes at a time: with rows as long as a multiple of it, none are left over.
_LANES = 16
_GOLDEN, _FIRST, _SECOND = (np.uint64(k) for k in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))
_HALF_WORD = np.uint64(32)
_LARGEST = np.uint16(65_535)
_MOST_ROWS = 2**24


@dataclass(frozen=True)
class Forest:
    """Fitted trees, all in the same arrays, node by node.

    A leaf sends every row on to itself, so that all rows of a tree can take as many steps, side by side: a row's own
    steps wait for each other.

    Attributes:
      num_columns: Of the codes that it was grown on, and of those that it can be asked about.
      means: float32 `[nodes, q]`, what a node predicts: the mean of its rows' numbers, or the share of each class.
      roots: int32 `[trees]`, the first node of every tree.
      depths: int32 `[trees]`, most steps from there to a leaf.
      column: int32 `[nodes]`, by which a node parts its rows.
      cut: uint16 `[nodes]`, the largest code that goes to the first child.
      child: int32 `[nodes]`, the first child, and the second one follows it; of a leaf itself.
    """

    num_columns: int
    means: NDArray[np.float32]
    roots: NDArray[np.int32]
    depths: NDArray[np.int32]
    column: NDArray[np.int32]
    cut: NDArray[np.uint16]
    child: NDArray[np.int32]

    def predict(self, codes: np.ndarray) -> np.ndarray:
        """Returns the mean of the trees' predictions, float64 `[m, q]`, for unsigned codes `[m, d]`.

        Raises:
          ValueError: The codes have other columns than the forest, or are no codes.
        """
        return _predict(self.means, self.roots, self.depths, self.column, self.cut, self.child, self._asked(codes))

    def leaves(self, codes: np.ndarray) -> NDArray[np.int32]:
        """Returns the node in which each row ends, int32 `[trees, m]`, for unsigned codes `[m, d]`.

        Raises:
          ValueError: As `predict`.
        """
        return _leaves(self.roots, self.depths, self.column, self.cut, self.child, self._asked(codes))

    def _asked(self, codes: np.ndarray) -> NDArray[np.uint16]:
        if codes.shape[1] != self.num_columns:
            raise ValueError(f"the forest was grown on {self.num_columns} columns, not {codes.shape[1]}")
        return _in_rows(codes)


def grow_forest(
    codes: np.ndarray,
    predicted: np.ndarray,
    seed: int,
    *,
    trees: int,
    leaf_rows: int,
    num_classes: int | None = None,
    tried: int | None = None,
) -> Forest:
    """Returns a forest that predicts a number, or the class, of a row from its codes.

    Args:
      codes: Unsigned `[n, d]`, codes up to 65,535, one row to 2^24: beyond that single precision does not count.
      predicted: float `[n]`, a number of each row, about 0 and of the order of 1, as sums are of single precision; or
        int `[n]`, its class, where -1 is none that counts.
      seed: Of the thresholds and of the columns that are tried.
      trees: Their number; each is grown from all rows.
      leaf_rows: Fewest rows of a leaf.
      num_classes: Where classes are predicted; q is 1 otherwise.
      tried: Columns that a node chooses from, drawn for each out of those that vary; all by default.

    Raises:
      ValueError: An argument is none of these.
    """
    most = max(1, codes.shape[1]) if tried is None else int(tried)
    if len(predicted) != len(codes) or not 0 < len(codes) <= _MOST_ROWS or min(trees, leaf_rows, most) < 1:
        raise ValueError(
            f"{len(codes)} rows, {len(predicted)} to predict, {trees} trees, {leaf_rows} rows a leaf, {most} tried"
        )
    if num_classes is not None and np.max(predicted) >= num_classes:
        raise ValueError(f"class {np.max(predicted)} of {num_classes}")
    if num_classes is None:
        kind, value = np.zeros(0, np.int32), np.asarray(predicted, np.float32)
    else:
        # What is none that counts is a class more, which nothing is told of.
        kind = np.where(np.asarray(predicted) >= 0, predicted, num_classes).astype(np.int32)
        value = np.zeros(0, np.float32)
    seeds = np.random.default_rng(seed).integers(2**64, size=trees, dtype=np.uint64)
    arrays = _grow_all(_in_rows(codes), kind, value, int(num_classes or 1), int(leaf_rows), most, seeds)
    return Forest(codes.shape[1], *arrays)


def warm_up() -> None:
    """Compiles the loops, or loads those that were kept, so that whoever comes first does not wait for it."""
    codes = np.zeros((2, 1), np.uint16)
    forest = grow_forest(codes, np.zeros(2), 0, trees=1, leaf_rows=1)
    forest.predict(codes)
    forest.leaves(codes)


def _in_rows(codes: np.ndarray) -> NDArray[np.uint16]:
    """Returns the codes row by row, with columns of 0 up to a multiple of the lanes: no tree parts rows by these."""
    if codes.dtype.kind != "u" or (codes.dtype.itemsize > 2 and codes.size and codes.max() > _LARGEST):
        raise ValueError(f"codes are unsigned and at most {_LARGEST}, not {codes.dtype}")
    rows = np.zeros((len(codes), -(-max(1, codes.shape[1]) // _LANES) * _LANES), np.uint16)
    rows[:, : codes.shape[1]] = codes
    return rows


@compiled
def _below(state, bound):
    """Draws a whole number from 0 to below `bound`, at most 2^32; advances `state`, uint64 `[1]`."""
    state[0] += _GOLDEN
    z = state[0]
    z = (z ^ (z >> np.uint64(30))) * _FIRST
    z = (z ^ (z >> np.uint64(27))) * _SECOND
    z = z ^ (z >> np.uint64(31))
    return np.int64(((z >> _HALF_WORD) * np.uint64(bound)) >> _HALF_WORD)


# The loops below take four rows at a time, so that what they add up to is read and written once for the four. Positions
# are unsigned, as those that cannot count from the end.


@compiled
def _ranges(codes, rows, low, high):
    """Writes the least and the largest code of each column among some rows, at least one."""
    for f in range(codes.shape[1]):
        low[f] = high[f] = codes[rows[0], f]
    i = 1
    while i + 3 < len(rows):
        q, r, s, t = np.uint32(rows[i]), np.uint32(rows[i + 1]), np.uint32(rows[i + 2]), np.uint32(rows[i + 3])
        for f in range(codes.shape[1]):
            low[f] = min(low[f], min(min(codes[q, f], codes[r, f]), min(codes[s, f], codes[t, f])))
            high[f] = max(high[f], max(max(codes[q, f], codes[r, f]), max(codes[s, f], codes[t, f])))
        i += 4
    for j in range(i, len(rows)):
        r = np.uint32(rows[j])
        for f in range(codes.shape[1]):
            low[f] = min(low[f], codes[r, f])
            high[f] = max(high[f], codes[r, f])


@compiled
def _sum_numbers(codes, rows, value, cut, count, total):
    """Writes of the rows at or below each column's cut how many there are and the sum of their numbers."""
    count[:] = 0
    total[:] = 0
    i = 0
    while i + 3 < len(rows):
        q, r, s, t = np.uint32(rows[i]), np.uint32(rows[i + 1]), np.uint32(rows[i + 2]), np.uint32(rows[i + 3])
        of_q, of_r, of_s, of_t = value[q], value[r], value[s], value[t]
        for f in range(codes.shape[1]):
            q_lies, r_lies = np.float32(codes[q, f] <= cut[f]), np.float32(codes[r, f] <= cut[f])
            s_lies, t_lies = np.float32(codes[s, f] <= cut[f]), np.float32(codes[t, f] <= cut[f])
            count[f] += (q_lies + r_lies) + (s_lies + t_lies)
            # One row after the other, whatever rows are taken together.
            total[f] = (((total[f] + q_lies * of_q) + r_lies * of_r) + s_lies * of_s) + t_lies * of_t
        i += 4
    for j in range(i, len(rows)):
        r = np.uint32(rows[j])
        for f in range(codes.shape[1]):
            lies = np.float32(codes[r, f] <= cut[f])
            count[f] += lies
            total[f] += lies * value[r]


@compiled
def _count_classes(codes, rows, kind, cut, count, total):
    """Writes of the rows at or below each column's cut how many there are, in all and of each class."""
    total[:] = 0
    for i in range(len(rows)):
        r = np.uint32(rows[i])
        k = np.uint32(kind[r])
        for f in range(codes.shape[1]):
            total[k, f] += np.float32(codes[r, f] <= cut[f])
    count[:] = 0
    for k in range(len(total)):
        for f in range(len(count)):
            count[f] += total[k, f]


@compiled
def _squares_between(q, sums, whole, count, size, leaf_rows, first, second, between):
    """Writes the sum of squares between both sides of each column's cut, -1 where a side has too few rows."""
    first[:] = 0
    second[:] = 0
    for k in range(q):
        for f in range(len(count)):
            rest = whole[k] - sums[k, f]
            first[f] += sums[k, f] * sums[k, f]
            second[f] += rest * rest
    for f in range(len(count)):
        found = first[f] / count[f] + second[f] / (size - count[f])
        between[f] = found if min(count[f], size - count[f]) >= leaf_rows else -1.0


@compiled
def _alike(rows, kind, value):
    for r in rows:
        if len(kind) and kind[r] != kind[rows[0]]:
            return False
        if len(value) and value[r] != value[rows[0]]:
            return False
    return True


@compiled
def _grow(codes, kind, value, leaf_rows, tried, seed, means, column, cut, child):
    """Grows one tree into arrays of its own and returns its number of nodes and its depth."""
    n, d = codes.shape
    q = means.shape[1]
    # Of a node: `free` the columns that vary, `drawn` their thresholds, `count` and `sums` what lies at or below these,
    # the last of `sums` and `whole` rows of no class.
    state = np.full(1, seed, np.uint64)
    rows = np.arange(n).astype(np.int32)
    begin, end = np.empty(len(column), np.int32), np.empty(len(column), np.int32)
    level = np.zeros(len(column), np.int32)
    low, high, drawn = np.empty(d, np.uint16), np.empty(d, np.uint16), np.zeros(d, np.uint16)
    free = np.empty(d, np.int32)
    count, sums, whole = np.empty(d, np.float32), np.empty((q + 1, d), np.float32), np.empty(q + 1, np.float32)
    first, second, between = np.empty(d, np.float32), np.empty(d, np.float32), np.empty(d)
    begin[0], end[0] = 0, n
    nodes, node = 1, 0
    while node < nodes:
        here = rows[begin[node] : end[node]]
        size = len(here)
        whole[:] = 0
        for i in range(size):
            r = np.uint32(here[i])
            if len(kind):
                whole[np.uint32(kind[r])] += np.float32(1.0)
            else:
                whole[0] += value[r]
        for k in range(q):
            means[node, k] = whole[k] / size
        column[node], cut[node], child[node] = 0, _LARGEST, node
        best = -1
        if size >= 2 * leaf_rows and not _alike(here, kind, value):
            _ranges(codes, here, low, high)
            varying = 0
            for f in range(d):
                if high[f] > low[f]:
                    free[varying] = f
                    varying += 1
            candidates = min(tried, varying)
            for i in range(candidates):
                if candidates < varying:
                    j = i + _below(state, varying - i)
                    free[i], free[j] = free[j], free[i]
                f = free[i]
                drawn[f] = low[f] + _below(state, high[f] - low[f])
            if candidates:
                if len(kind):
                    _count_classes(codes, here, kind, drawn, count, sums)
                else:
                    _sum_numbers(codes, here, value, drawn, count, sums[0])
                _squares_between(q, sums, whole, count, float(size), float(leaf_rows), first, second, between)
            # The least variance within both parts is the largest sum of squares between them.
            largest = -1.0
            for i in range(candidates):
                if between[free[i]] > largest:
                    largest, best = between[free[i]], free[i]
        if best >= 0:
            i, j = begin[node], end[node] - 1
            while i <= j:
                if codes[rows[i], best] <= drawn[best]:
                    i += 1
                else:
                    rows[i], rows[j] = rows[j], rows[i]
                    j -= 1
            column[node], cut[node], child[node] = best, drawn[best], nodes
            begin[nodes], end[nodes] = begin[node], i
            begin[nodes + 1], end[nodes + 1] = i, end[node]
            level[nodes] = level[nodes + 1] = level[node] + 1
            nodes += 2
        node += 1
    # Nodes come in the order of their levels.
    return nodes, level[nodes - 1]


@compiled
def _grow_all(codes, kind, value, q, leaf_rows, tried, seeds):
    """Returns the arrays of a forest, in the order of its attributes; of classes and numbers one is empty."""
    # A tree of so many leaves has so many nodes.
    most = 2 * max(1, len(codes) // leaf_rows) - 1
    means = np.empty((len(seeds) * most, q), np.float32)
    column, child = np.empty(len(means), np.int32), np.zeros(len(means), np.int32)
    cut = np.zeros(len(means), np.uint16)
    roots, depths = np.empty(len(seeds), np.int32), np.empty(len(seeds), np.int32)
    used = 0
    for i in range(len(seeds)):
        own = slice(used, used + most)
        nodes, depths[i] = _grow(
            codes, kind, value, leaf_rows, tried, seeds[i], means[own], column[own], cut[own], child[own]
        )
        for node in range(used, used + nodes):
            child[node] += used
        roots[i] = used
        used += nodes
    return means[:used].copy(), roots, depths, column[:used].copy(), cut[:used].copy(), child[:used].copy()


@compiled
def _descend(root, depth, column, cut, child, codes, node):
    """Writes the leaf of one tree in which each row ends."""
    node[:] = root
    for _ in range(depth):
        for i in range(len(codes)):
            f = np.uint32(column[node[i]])
            node[i] = child[node[i]] + (codes[np.uint32(i), f] > cut[node[i]])


@compiled
def _predict(means, roots, depths, column, cut, child, codes):
    result, node = np.zeros((len(codes), means.shape[1])), np.empty(len(codes), np.int32)
    for t in range(len(roots)):
        _descend(roots[t], depths[t], column, cut, child, codes, node)
        for i in range(len(codes)):
            for k in range(means.shape[1]):
                result[i, k] += means[node[i], k]
    return result / len(roots)


@compiled
def _leaves(roots, depths, column, cut, child, codes):
    result = np.empty((len(roots), len(codes)), np.int32)
    for t in range(len(roots)):
        _descend(roots[t], depths[t], column, cut, child, codes, result[t])
    return result
