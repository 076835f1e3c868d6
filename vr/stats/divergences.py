"""Distances between two samples of a column, two histograms, or two Gaussian copulas.

Notation: P is the candidate and Q the reference wherever the order matters. One-dimensional functions drop NaN;
`column_*` functions do the same for every column of `[n, d]` arrays. Functions of counts work along the last axis,
so a padded `[d, k]` table from `histograms` gives `[d]` answers at once; codes empty on both sides carry no mass and
change nothing, so padding is harmless.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import chdtrc, ndtri

from vr.stats.compiled import compiled
from vr.stats.ranks import midranks

__all__ = [
    "ChiSquared",
    "chi_squared_homogeneity",
    "column_distances",
    "hellinger_gaussian",
    "histograms",
    "jensen_shannon_divergence",
    "kl_divergence",
    "ks_distance",
    "normal_scores",
    "robust_scale",
    "scaled_wasserstein_distance",
    "sliced_wasserstein",
    "sorted_columns",
    "tail_bounds",
    "tail_mass",
    "total_variation",
    "wasserstein_distance",
]


class ChiSquared(NamedTuple):
    """A chi-squared test: `statistic`, degrees of freedom, p-value in [0, 1], and Cramer's V in [0, 1]."""

    statistic: np.ndarray
    dof: np.ndarray
    p_value: np.ndarray
    effect_size: np.ndarray


def ks_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Returns the Kolmogorov-Smirnov distance `sup |F_x - F_y|` between two samples.

    Args:
      x: `[n]`, NaN dropped.
      y: `[m]`, NaN dropped.

    Returns:
      In [0, 1]: 0 for the same empirical distribution, 1 for disjoint ranges; NaN if a side is empty.
    """
    return _ks_sorted(_sorted_values(x), _sorted_values(y))


def wasserstein_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Returns the exact 1-Wasserstein distance `integral |F_x - F_y|` between two samples, in the column's unit.

    Args:
      x: `[n]`, NaN dropped.
      y: `[m]`, NaN dropped.

    Returns:
      At least 0; NaN if a side is empty.
    """
    return _wasserstein_sorted(_sorted_values(x), _sorted_values(y))


def scaled_wasserstein_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Returns the 1-Wasserstein distance in robust standard deviations of `y`.

    Args:
      x: `[n]` candidate values, NaN dropped.
      y: `[m]` reference values, NaN dropped.

    Returns:
      At least 0, where 1 is one reference standard deviation; NaN if a side is empty, or if the reference is constant
      and the candidate differs from it (there is no unit to measure in).
    """
    x_sorted, y_sorted = _sorted_values(x), _sorted_values(y)
    return _in_units(_wasserstein_sorted(x_sorted, y_sorted), _scale_sorted(y_sorted))


def robust_scale(y: np.ndarray) -> float:
    """Returns a standard deviation that outliers do not move: interquartile range / 1.349 where that is positive.

    A column with half its mass on one value has no interquartile range; then the 5-95 % range / 3.29 stands in, then
    the plain standard deviation. All three agree on a normal distribution.

    Args:
      y: `[m]`, NaN dropped.

    Returns:
      At least 0; 0 only for a constant column; NaN if empty.
    """
    return _scale_sorted(_sorted_values(y))


def sorted_columns(values: np.ndarray) -> list[np.ndarray]:
    """Returns each column of `float [n, d]` sorted, without its NaN."""
    ordered = np.sort(np.ascontiguousarray(values.T, float), axis=1)
    # NaN sorts last.
    return [column[:k] for column, k in zip(ordered, np.count_nonzero(~np.isnan(ordered), axis=1), strict=True)]


def column_distances(x: Sequence[np.ndarray], y: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Returns `ks_distance` and `scaled_wasserstein_distance` of every column.

    Args:
      x: The candidate's columns, see `sorted_columns`.
      y: The reference's.

    Returns:
      Two `[d]` arrays; NaN for a column that has no values on a side.
    """
    ks = [_ks_sorted(a, b) for a, b in zip(x, y, strict=True)]
    wasserstein = [_in_units(_wasserstein_sorted(a, b), _scale_sorted(b)) for a, b in zip(x, y, strict=True)]
    return np.array(ks), np.array(wasserstein)


def sliced_wasserstein(x: np.ndarray, y: np.ndarray, rng: np.random.Generator, num_projections: int = 64) -> float:
    """Returns the mean 1-Wasserstein distance over random one-dimensional projections.

    Unlike the full Wasserstein distance, its sampling error does not grow with the dimension.

    Args:
      x: `float [n, p]`, finite, columns on comparable scales.
      y: `float [m, p]`, as x.
      rng: Draws the directions, uniform on the sphere.
      num_projections: Number of directions.

    Returns:
      At least 0, in the unit of the features; NaN if a side is empty.

    References:
      Bonneel et al. 2015, Sliced and Radon Wasserstein barycenters of measures, section 3.
    """
    directions = rng.standard_normal((num_projections, x.shape[1]))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    # Projections in rows, so that every sort runs over contiguous memory.
    x_projected = np.sort(directions @ np.asarray(x, float).T, axis=1)
    y_projected = np.sort(directions @ np.asarray(y, float).T, axis=1)
    if x_projected.shape == y_projected.shape and x_projected.shape[1]:
        return float(np.mean(np.abs(x_projected - y_projected)))
    return float(np.mean([_wasserstein_sorted(a, b) for a, b in zip(x_projected, y_projected, strict=True)]))


def histograms(codes: np.ndarray, num_codes: Sequence[int] | np.ndarray) -> np.ndarray:
    """Returns the counts of every code in every column, padded with zeros.

    Args:
      codes: Unsigned `[n, d]`, column j in `[0, num_codes[j])`.
      num_codes: `[d]`.

    Returns:
      `int64 [d, max(num_codes)]`; row j sums to n.
    """
    counts = np.zeros((codes.shape[1], int(np.max(num_codes, initial=1))), np.int64)
    for j, row in enumerate(counts):
        row[:] = np.bincount(codes[:, j], minlength=len(row))
    return counts


def total_variation(p_counts: np.ndarray, q_counts: np.ndarray) -> np.ndarray:
    """Returns the total variation distance `sum |p - q| / 2` of two histograms.

    Args:
      p_counts: `[..., k]` at least 0.
      q_counts: `[..., k]` over the same codes.

    Returns:
      `[...]` in [0, 1]: 0 for equal shares, 1 for disjoint supports; NaN where a side is empty.
    """
    return 0.5 * np.abs(_shares(p_counts) - _shares(q_counts)).sum(axis=-1)


def jensen_shannon_divergence(p_counts: np.ndarray, q_counts: np.ndarray) -> np.ndarray:
    """Returns the Jensen-Shannon divergence `H((p + q) / 2) - (H(p) + H(q)) / 2` of two histograms, in nats.

    Args:
      p_counts: `[..., k]` at least 0.
      q_counts: `[..., k]` over the same codes.

    Returns:
      `[...]` in [0, ln 2]: 0 for equal shares, ln 2 for disjoint supports; NaN where a side is empty.

    References:
      Lin 1991, Divergence measures based on the Shannon entropy, eq. 4.1.
    """
    p, q = _shares(p_counts), _shares(q_counts)
    middle = 0.5 * (p + q)
    divergence = 0.5 * (_relative_entropy(p, middle) + _relative_entropy(q, middle))
    return np.clip(divergence, 0.0, np.log(2.0))


def kl_divergence(p_counts: np.ndarray, q_counts: np.ndarray, smoothing: float = 0.5) -> np.ndarray:
    """Returns the Kullback-Leibler divergence `sum p log(p / q)` of two smoothed histograms, in nats.

    Args:
      p_counts: `[..., k]` at least 0.
      q_counts: `[..., k]` over the same codes.
      smoothing: Added to every code that occurs on either side; 0.5 is Jeffreys' prior. With 0 the answer is infinite
        where the candidate has mass on a code that the reference lacks.

    Returns:
      `[...]` at least 0; NaN where a side is empty.

    References:
      Krichevsky and Trofimov 1981, The performance of universal encoding (the one-half).
    """
    p_counts, q_counts = np.asarray(p_counts, float), np.asarray(q_counts, float)
    prior = np.where(p_counts + q_counts > 0, smoothing, 0.0)
    divergence = _relative_entropy(_shares(p_counts + prior), _shares(q_counts + prior))
    one_side_empty = (p_counts.sum(axis=-1) == 0) | (q_counts.sum(axis=-1) == 0)
    return np.where(one_side_empty, np.nan, np.maximum(divergence, 0.0))


def chi_squared_homogeneity(p_counts: np.ndarray, q_counts: np.ndarray) -> ChiSquared:
    """Returns Pearson's chi-squared test that two histograms are samples of one distribution.

    The approximation is poor where expected counts are below about 5; pool such codes first if the p-value matters.

    Args:
      p_counts: `[..., k]` integers at least 0.
      q_counts: `[..., k]` over the same codes.

    Returns:
      `ChiSquared` of `[...]` arrays. Where only one code occurs there is nothing to tell apart: statistic 0, p-value 1.
      NaN where a side is empty. `effect_size` is Cramer's V, here `sqrt(statistic / (n + m))`, in [0, 1].

    References:
      Pearson 1900; Cramer 1946, Mathematical methods of statistics, section 21.9.
    """
    p_counts, q_counts = np.asarray(p_counts, float), np.asarray(q_counts, float)
    n, m = p_counts.sum(axis=-1), q_counts.sum(axis=-1)
    pooled = p_counts + q_counts
    total = n + m
    occurs = pooled > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        # For a 2 x k table the two rows' terms combine into one: (m p - n q)^2 / (n m (p + q)).
        gap = m[..., None] * p_counts - n[..., None] * q_counts
        statistic = np.where(occurs, gap**2 / np.where(occurs, pooled, 1.0), 0.0).sum(axis=-1) / (n * m)
        effect_size = np.sqrt(statistic / total)
    dof = np.maximum(occurs.sum(axis=-1) - 1, 0)
    p_value = np.where(dof > 0, chdtrc(np.maximum(dof, 1), statistic), 1.0)
    p_value = np.where(np.isnan(statistic), np.nan, p_value)
    return ChiSquared(statistic, dof, p_value, np.minimum(effect_size, 1.0))


def tail_bounds(values: np.ndarray, tail: float = 0.01) -> tuple[np.ndarray, np.ndarray]:
    """Returns the `tail` and `1 - tail` quantiles of every column, NaN dropped.

    Args:
      values: `float [n, d]`, usually the reference.
      tail: Share of rows beyond each bound, in (0, 0.5).

    Returns:
      `(lower [d], upper [d])`; NaN for a column without values.
    """
    lower, upper = np.full(values.shape[1], np.nan), np.full(values.shape[1], np.nan)
    for j in range(values.shape[1]):
        column = _sorted_values(values[:, j])
        if column.size:
            lower[j], upper[j] = _quantiles_sorted(column, np.array([tail, 1.0 - tail]))
    return lower, upper


def tail_mass(values: np.ndarray, lower: np.ndarray, upper: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the share of each column's values strictly below `lower` and strictly above `upper`.

    Args:
      values: `float [n, d]`, NaN dropped.
      lower: `[d]`, as from `tail_bounds` of the reference.
      upper: `[d]`.

    Returns:
      `(below [d], above [d])` in [0, 1]; NaN for a column without values or without bounds.
    """
    num_values = np.count_nonzero(~np.isnan(values), axis=0).astype(float)
    num_values[(num_values == 0) | np.isnan(lower) | np.isnan(upper)] = np.nan
    below = np.count_nonzero(values < lower, axis=0) / num_values
    above = np.count_nonzero(values > upper, axis=0) / num_values
    return below, above


def normal_scores(values: np.ndarray) -> np.ndarray:
    """Returns each column's ranks mapped to normal quantiles: the margins of a Gaussian copula.

    Args:
      values: `[n]` or `[n, d]`; ties get their mean rank, NaN stays NaN.

    Returns:
      `float64`, same shape, `ndtri((rank - 3/8) / (n + 1/4))`.

    References:
      Blom 1958, Statistical estimates and transformed beta-variables, eq. 6.10.6.
    """
    ranks = midranks(values)
    num_values = np.count_nonzero(~np.isnan(ranks), axis=0)
    return ndtri((ranks - 0.375) / (num_values + 0.25))


def hellinger_gaussian(corr_p: np.ndarray, corr_q: np.ndarray, shrinkage: float = 0.01) -> float:
    """Returns the Hellinger distance between zero-mean Gaussians with the given covariance matrices.

    `H^2 = 1 - det(P)^(1/4) det(Q)^(1/4) / det((P + Q) / 2)^(1/2)`. On correlations of `normal_scores` this is the
    multivariate Hellinger distance on a Gaussian copula.

    Args:
      corr_p: Symmetric `[d, d]`.
      corr_q: Symmetric `[d, d]`.
      shrinkage: Weight of the diagonal, `(1 - w) R + w diag(R)`, so that one exactly repeated column does not by
        itself make two matrices singular and the distance 1.

    Returns:
      In [0, 1]; NaN where a matrix is not finite or not positive definite even so.

    References:
      Pardo 2006, Statistical inference based on divergence measures, section 1.3; El Emam et al. 2022, Utility metrics
      for evaluating synthetic health data generation methods (JMIR Med. Inform.), multivariate Hellinger.
    """
    p, q = _shrunk(corr_p, shrinkage), _shrunk(corr_q, shrinkage)
    if not (np.isfinite(p).all() and np.isfinite(q).all()):
        return float("nan")
    eigenvalues = np.linalg.eigvalsh(np.stack([p, q, 0.5 * (p + q)]))
    if (eigenvalues <= 0).any():
        return float("nan")
    log_dets = np.log(eigenvalues).sum(axis=1)
    log_affinity = 0.25 * (log_dets[0] + log_dets[1]) - 0.5 * log_dets[2]
    # expm1 keeps the small distances of nearly equal matrices.
    return float(np.sqrt(np.clip(-np.expm1(log_affinity), 0.0, 1.0)))


def _sorted_values(x: np.ndarray) -> np.ndarray:
    x = np.sort(np.asarray(x, float))
    # NaN sorts last, so one search finds where it begins.
    return x[: np.searchsorted(x, np.nan)]


def _ks_sorted(x: np.ndarray, y: np.ndarray) -> float:
    return float(_largest_gap(x, y)) if x.size and y.size else float("nan")


@compiled
def _largest_gap(x, y):
    """Returns the largest gap between the distribution functions of two sorted samples, walking along both."""
    gap, i, j = 0.0, 0, 0
    while i < len(x) and j < len(y):
        here = min(x[i], y[j])
        while i < len(x) and x[i] <= here:
            i += 1
        while j < len(y) and y[j] <= here:
            j += 1
        gap = max(gap, abs(i / len(x) - j / len(y)))
    return gap


def _wasserstein_sorted(x: np.ndarray, y: np.ndarray) -> float:
    if not (x.size and y.size):
        return float("nan")
    if x.size == y.size:
        return float(np.mean(np.abs(x - y)))
    merged = np.sort(np.concatenate([x, y]), kind="stable")
    x_cdf = np.searchsorted(x, merged[:-1], side="right") / x.size
    y_cdf = np.searchsorted(y, merged[:-1], side="right") / y.size
    return float(np.sum(np.abs(x_cdf - y_cdf) * np.diff(merged)))


def _quantiles_sorted(x: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Linearly interpolated quantiles (Hyndman and Fan's type 7, NumPy's default) without np.quantile's overhead."""
    position = levels * (x.size - 1)
    below = position.astype(np.int64)
    above = np.minimum(below + 1, x.size - 1)
    return x[below] + (position - below) * (x[above] - x[below])


def _scale_sorted(y: np.ndarray) -> float:
    if not y.size:
        return float("nan")
    low, first, third, high = _quantiles_sorted(y, np.array([0.05, 0.25, 0.75, 0.95]))
    # Ranges and deviations of a standard normal: 1.349 and 3.290.
    for scale in ((third - first) / 1.349, (high - low) / 3.290):
        if scale > 0:
            return float(scale)
    # The mean of equal floats can differ from them in the last bit, which would pass for a spread.
    return 0.0 if y[0] == y[-1] else float(np.std(y))


def _in_units(distance: float, scale: float) -> float:
    if scale > 0:
        return distance / scale
    return distance if distance == 0 else float("nan")


def _shares(counts: np.ndarray) -> np.ndarray:
    counts = np.asarray(counts, float)
    total = counts.sum(axis=-1, keepdims=True)
    return counts / np.where(total > 0, total, np.nan)


def _relative_entropy(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        # 0 log 0 = 0; NaN shares (an empty side) stay NaN.
        terms = np.where(p == 0, 0.0, p * np.log(p / q))
    return terms.sum(axis=-1)


def _shrunk(corr: np.ndarray, weight: float) -> np.ndarray:
    corr = np.asarray(corr, float)
    return (1.0 - weight) * corr + weight * np.diag(np.diag(corr))
