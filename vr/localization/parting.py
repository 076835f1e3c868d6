"""A shallow tree that parts two kinds of rows by their codes.

It takes of all cuts the one that leaves the least Gini impurity; where two are as good, that of the earlier column and
the lower code. As scikit-learn's trees are, apart from that rule (theirs takes the columns in an order that it draws),
without the second that importing these takes.

References:
  Breiman et al. 1984, Classification and regression trees.
"""

import numpy as np

__all__ = ["Limits", "leaf_limits", "leaves_of"]

# By column, the open lower and the closed upper limit of its codes.
Limits = dict[int, tuple[float, float]]

_LEAF_ROWS = 5
_ROUNDING = 1e-12  # of shares


def leaf_limits(codes: np.ndarray, labels: np.ndarray, depth: int, least: float) -> list[Limits]:
    """Returns what each leaf asks of a row's codes.

    Args:
      codes: Unsigned `[n, d]`.
      labels: int `[n]`, 0 or 1, both of them present; either kind weighs one half in all.
      depth: Most cuts above a leaf.
      least: Share of the whole weight that a leaf has at least.
    """
    weight = 0.5 / np.bincount(labels, minlength=2)
    ends = np.cumsum(codes.max(axis=0).astype(np.int64) + 1)
    starts = ends - np.diff(ends, prepend=0)
    leaves: list[Limits] = []
    waiting: list[tuple[np.ndarray, Limits, int]] = [(np.arange(len(codes)), {}, 0)]
    while waiting:
        rows, limits, above = waiting.pop()
        found = None if above == depth else _best_cut(codes, rows, labels, weight, starts, ends, least)
        if found is None:
            leaves.append(limits)
            continue
        column, cut = found
        low, high = limits.get(column, (-np.inf, np.inf))
        left = codes[rows, column] <= cut
        waiting.append((rows[left], {**limits, column: (low, min(high, cut))}, above + 1))
        waiting.append((rows[~left], {**limits, column: (max(low, cut), high)}, above + 1))
    return leaves


def leaves_of(codes: np.ndarray, leaves: list[Limits]) -> np.ndarray:
    """Returns the place in `leaves` of the one that each row lies in, int `[n]`."""
    place = np.zeros(len(codes), np.int64)
    for i, limits in enumerate(leaves):
        inside = np.ones(len(codes), bool)
        for column, (low, high) in limits.items():
            inside &= (codes[:, column] > low) & (codes[:, column] <= high)
        place[inside] = i
    return place


def _best_cut(
    codes: np.ndarray,
    rows: np.ndarray,
    labels: np.ndarray,
    weight: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    least: float,
) -> tuple[int, float] | None:
    """Returns the column and the cut between two codes that occur, None where there is none to be had."""
    totals = np.bincount(labels[rows], minlength=2)
    if not totals.all():
        return None
    # Every code of every column has a place of its own.
    counts = np.empty((2, ends[-1]), np.int64)
    for kind in (0, 1):
        mine = codes[rows[labels[rows] == kind]]
        for column, start, end in zip(mine.T, starts, ends, strict=True):
            counts[kind, start:end] = np.bincount(column, minlength=end - start)
    summed = np.concatenate([np.zeros((2, 1), np.int64), np.cumsum(counts, axis=1)], axis=1)
    before = np.repeat(summed[:, starts], ends - starts, axis=1)
    left = summed[:, 1:] - before
    sides = [left, totals[:, None] - left]
    weights = [side * weight[:, None] for side in sides]
    whole = [each.sum(axis=0) for each in weights]
    able = np.ones(ends[-1], bool)
    for side, share in zip(sides, whole, strict=True):
        able &= (side.sum(axis=0) >= _LEAF_ROWS) & (share >= least - _ROUNDING)
    if not able.any():
        return None
    # The greater the sum of squares, the purer.
    purity = sum(np.square(each[:, able]).sum(axis=0) / of[able] for each, of in zip(weights, whole, strict=True))
    best = int(np.flatnonzero(able)[np.argmax(purity)])
    column = int(np.searchsorted(ends, best, side="right"))
    later = best + 1 + int(np.argmax(counts[:, best + 1 : ends[column]].any(axis=0)))
    return column, 0.5 * (best + later) - float(starts[column])
