"""Splits, intervals, and the area under the ROC curve."""

from collections.abc import Callable

import numpy as np
from scipy.special import betaincinv

from vr.stats.ranks import midranks

__all__ = ["auroc", "bootstrap_interval", "clopper_pearson", "half_splits"]


def half_splits(
    n: int, num_splits: int, size: int | None, rng: np.random.Generator
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns random pairs of disjoint sets of rows of equal size: what a sample gives against itself.

    Args:
      n: Rows to draw from, at least 2.
      num_splits: Number of pairs; each is drawn afresh.
      size: Rows in each half, at most n // 2; that many where None or larger.
      rng: Draws the rows.

    Returns:
      Pairs of ascending `int64 [size]` row numbers.
    """
    size = n // 2 if size is None else min(size, n // 2)
    splits = []
    for _ in range(num_splits):
        rows = rng.permutation(n)[: 2 * size]
        splits.append((np.sort(rows[:size]), np.sort(rows[size:])))
    return splits


def bootstrap_interval(
    values: np.ndarray,
    statistic: Callable[[np.ndarray], float],
    rng: np.random.Generator,
    level: float = 0.95,
    num_resamples: int = 1000,
) -> tuple[float, float]:
    """Returns the percentile bootstrap interval of a statistic.

    Args:
      values: `[n, ...]`; rows are drawn with replacement.
      statistic: Maps `[n, ...]` to a number.
      rng: Draws the rows.
      level: Nominal coverage, in (0, 1).
      num_resamples: Number of draws.

    Returns:
      `(lower, upper)`; NaN without rows. NaN statistics of single draws are left out.

    References:
      Efron and Tibshirani 1993, An introduction to the bootstrap, eq. 13.5.
    """
    values = np.asarray(values)
    if not len(values):
        return float("nan"), float("nan")
    draws = np.array([statistic(values[rng.integers(len(values), size=len(values))]) for _ in range(num_resamples)])
    draws = draws[~np.isnan(draws)]
    if not draws.size:
        return float("nan"), float("nan")
    lower, upper = np.quantile(draws, [0.5 - level / 2.0, 0.5 + level / 2.0])
    return float(lower), float(upper)


def clopper_pearson(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Returns the exact two-sided interval of a proportion.

    Args:
      k: Successes, 0 to n.
      n: Trials.
      level: Coverage that is reached at least, in (0, 1).

    Returns:
      `(lower, upper)` in [0, 1]; (0, 1) without trials.

    References:
      Clopper and Pearson 1934, The use of confidence or fiducial limits.
    """
    tail = (1.0 - level) / 2.0
    lower = betaincinv(k, n - k + 1, tail) if k > 0 else 0.0
    upper = betaincinv(k + 1, n - k, 1.0 - tail) if k < n else 1.0
    return float(lower), float(upper)


def auroc(scores: np.ndarray, labels: np.ndarray) -> float:
    """Returns the area under the ROC curve: the chance that a positive outscores a negative, ties counting half.

    Args:
      scores: `[n]`, higher for positives, without NaN.
      labels: `[n]` bool, or 0 and 1.

    Returns:
      In [0, 1]: 0.5 for uninformative scores; NaN where a class is missing.

    References:
      Mann and Whitney 1947; Hanley and McNeil 1982.
    """
    labels = np.asarray(labels, bool)
    num_positives = int(labels.sum())
    num_negatives = len(labels) - num_positives
    if not (num_positives and num_negatives):
        return float("nan")
    rank_sum = midranks(np.asarray(scores, float))[labels].sum()
    return float((rank_sum - num_positives * (num_positives + 1) / 2.0) / (num_positives * num_negatives))
