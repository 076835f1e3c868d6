"""Ranks of columns, with ties."""

import numpy as np

__all__ = ["midranks"]


def midranks(x: np.ndarray) -> np.ndarray:
    """Returns the rank of every value within its column, from 1, ties sharing their mean rank.

    Args:
      x: `[n]` or `[n, d]`. Unsigned integer codes are ranked by counting, everything else by sorting; NaN stays NaN
        and is not ranked.

    Returns:
      `float64`, same shape.
    """
    x = np.asarray(x)
    rank_column = _ranks_by_counting if x.dtype.kind == "u" and x.itemsize <= 2 else _ranks_by_sorting
    if x.ndim == 1:
        return rank_column(x)
    # Built with columns as contiguous rows, then seen transposed.
    ranks = np.empty(x.shape[::-1])
    for j in range(x.shape[1]):
        ranks[j] = rank_column(x[:, j])
    return ranks.T


def _ranks_by_counting(codes: np.ndarray) -> np.ndarray:
    counts = np.bincount(codes)
    return (np.cumsum(counts) - 0.5 * (counts - 1))[codes]


def _ranks_by_sorting(x: np.ndarray) -> np.ndarray:
    x = np.ascontiguousarray(x)
    ranks = np.full(x.shape, np.nan)
    order = np.argsort(x, kind="stable")
    ordered = x[order]
    if x.dtype.kind == "f":
        num_values = np.count_nonzero(~np.isnan(x))
        order, ordered = order[:num_values], ordered[:num_values]
    if ordered.size == 0:
        return ranks
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    lengths = np.diff(np.append(starts, ordered.size))
    ranks[order] = np.repeat(starts + 0.5 * (lengths + 1), lengths)
    return ranks
