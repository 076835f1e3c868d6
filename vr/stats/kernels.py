"""Maximum mean discrepancy with a Gaussian kernel."""

import numpy as np

__all__ = ["median_bandwidth", "mmd2_unbiased"]

# Rows of each sample that set the bandwidth: the median of their 500,000 distances is known to a fraction of a percent.
_BANDWIDTH_ROWS = 500


def median_bandwidth(x: np.ndarray, y: np.ndarray) -> float:
    """Returns the median distance between rows of the pooled samples, from evenly spaced rows of each.

    Args:
      x: `float [n, p]`.
      y: `float [m, p]`.

    Returns:
      Positive; 1 where at least half of the rows coincide, or nothing is there to measure.

    References:
      Gretton et al. 2012, A kernel two-sample test, section 8.
    """
    pooled = np.concatenate([_thinned(x), _thinned(y)])
    if len(pooled) < 2:
        return 1.0
    pooled = pooled - pooled.mean(axis=0)
    squared = _squared_distances(pooled, pooled)[np.triu_indices(len(pooled), 1)]
    median = float(np.sqrt(max(float(np.median(squared)), 0.0)))
    scale = float(np.sqrt(np.mean(np.square(pooled))))
    return median if median > 1e-6 * scale else 1.0


def mmd2_unbiased(x: np.ndarray, y: np.ndarray, bandwidth: float | None = None, max_block_rows: int = 2048) -> float:
    """Returns the unbiased squared maximum mean discrepancy with the kernel `exp(-|a - b|^2 / (2 bandwidth^2))`.

    Long samples are dealt into blocks of at most `max_block_rows` rows, whose estimates are averaged: still unbiased,
    and linear in the number of rows instead of quadratic.

    Args:
      x: `float [n, p]`, columns on comparable scales.
      y: `float [m, p]`.
      bandwidth: In the features' unit; the median heuristic by default.
      max_block_rows: Rows of either sample taken at once.

    Returns:
      In [-2, 2]: about 0 (and as often below as above) for samples of one distribution, 2 for far-apart point masses;
      NaN where a side has fewer than two rows.

    References:
      Gretton et al. 2012, A kernel two-sample test, eq. 3; Zaremba, Gretton and Blaschko 2013, B-tests.
    """
    n, m = len(x), len(y)
    if min(n, m) < 2:
        return float("nan")
    x, y = np.asarray(x, float), np.asarray(y, float)
    bandwidth = median_bandwidth(x, y) if bandwidth is None else bandwidth
    # Centred and in units of the bandwidth, float32 squared distances keep five digits.
    centre = y.mean(axis=0)
    x, y = (((side - centre) / (np.sqrt(2.0) * bandwidth)).astype(np.float32) for side in (x, y))
    num_blocks = min(-(-max(n, m) // max_block_rows), n // 2, m // 2)
    # Every num_blocks-th row, so that a sorted file does not make blocks differ.
    estimates = [_mmd2(x[i::num_blocks], y[i::num_blocks]) for i in range(num_blocks)]
    return float(np.mean(estimates))


def _mmd2(x: np.ndarray, y: np.ndarray) -> float:
    return _mean_kernel(x, x, True) + _mean_kernel(y, y, True) - 2.0 * _mean_kernel(x, y, False)


def _mean_kernel(x: np.ndarray, y: np.ndarray, without_diagonal: bool) -> float:
    kernel = _squared_distances(x, y)
    np.negative(kernel, out=kernel)
    np.exp(kernel, out=kernel)
    total = float(kernel.sum(dtype=np.float64))
    if not without_diagonal:
        return total / kernel.size
    return (total - float(np.trace(kernel, dtype=np.float64))) / (len(x) * (len(x) - 1))


def _squared_distances(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Squared distances of all pairs from one product, the norms riding along as two more coordinates."""
    one_x, one_y = np.ones((len(x), 1), x.dtype), np.ones((len(y), 1), y.dtype)
    left = np.concatenate([x, np.square(x).sum(axis=1, keepdims=True), one_x], axis=1)
    right = np.concatenate([x.dtype.type(-2) * y, one_y, np.square(y).sum(axis=1, keepdims=True)], axis=1)
    squared = left @ right.T
    return np.maximum(squared, 0, out=squared)


def _thinned(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, float)
    return x if len(x) <= _BANDWIDTH_ROWS else x[np.arange(_BANDWIDTH_ROWS) * len(x) // _BANDWIDTH_ROWS]
