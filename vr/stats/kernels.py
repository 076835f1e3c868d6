"""Maximum mean discrepancy with a Gaussian kernel."""

import numpy as np

from vr.stats.compiled import compiled

__all__ = ["kernel_mean", "median_bandwidth", "mmd2_unbiased"]

# Rows of each sample that set the bandwidth: their median distance varies by 1 to 2 % between draws.
_BANDWIDTH_ROWS = 250
# Rows of a tile of the kernel: 128 x 2048 float32 are 1 MB, so that the exponential and the sum run within the cache.
_TILE_ROWS = 128
# 2^r for r from -1/2 to 1/2 by powers of r, interpolated at Chebyshev's points to 3e-9.
_POWERS = (1.0, 0.6931472067, 0.2402265092, 0.05550327227, 0.009618056678, 0.001340042818, 0.0001546144472)
_LOG2_E = 1.4426950408889634
_LEAST_EXPONENT = -126.0  # of a normal float32


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
    squared = (_extended(pooled, 1.0) @ _extended_other(pooled, 1.0).T)[np.triu_indices(len(pooled), 1)]
    median = float(np.sqrt(max(float(np.median(squared)), 0.0)))
    scale = float(np.sqrt(np.mean(np.square(pooled))))
    return median if median > 1e-6 * scale else 1.0


def kernel_mean(x: np.ndarray, bandwidth: float) -> float:
    """Returns the mean of the kernel over all pairs of different rows, in [0, 1]; NaN with fewer than two rows.

    Args:
      x: `float [n, p]`.
      bandwidth: In the features' unit.
    """
    if len(x) < 2:
        return float("nan")
    scaled = _scaled(x, np.mean(x, axis=0), bandwidth)
    return _kernel_sum(scaled, scaled, True) / (len(x) * (len(x) - 1))


def mmd2_unbiased(
    x: np.ndarray,
    y: np.ndarray,
    bandwidth: float | None = None,
    y_within: float | None = None,
    max_block_rows: int = 2048,
) -> float:
    """Returns the unbiased squared maximum mean discrepancy with the kernel `exp(-|a - b|^2 / (2 bandwidth^2))`.

    Long samples are dealt into blocks of at most `max_block_rows` rows, whose estimates are averaged: still unbiased,
    and linear in the number of rows instead of quadratic.

    Args:
      x: `float [n, p]`, columns on comparable scales.
      y: `float [m, p]`.
      bandwidth: In the features' unit; the median heuristic by default.
      y_within: `kernel_mean(y, bandwidth)` where it is known already, which saves a third of the work.
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
    bandwidth = median_bandwidth(x, y) if bandwidth is None else bandwidth
    centre = np.mean(y, axis=0)
    x, y = (_scaled(side, centre, bandwidth) for side in (x, y))
    num_blocks = min(-(-max(n, m) // max_block_rows), n // 2, m // 2)
    # Every num_blocks-th row, so that a sorted file does not make blocks differ.
    estimates = [_mmd2(x[i::num_blocks], y[i::num_blocks], y_within) for i in range(num_blocks)]
    return float(np.mean(estimates))


def _scaled(x: np.ndarray, centre: np.ndarray, bandwidth: float) -> np.ndarray:
    """Rows about `centre` in units of the bandwidth, where float32 squared distances keep five digits."""
    return ((np.asarray(x, float) - centre) / (np.sqrt(2.0) * bandwidth)).astype(np.float32)


def _mmd2(x: np.ndarray, y: np.ndarray, y_within: float | None) -> float:
    if y_within is None:
        y_within = _kernel_sum(y, y, True) / (len(y) * (len(y) - 1))
    within = _kernel_sum(x, x, True) / (len(x) * (len(x) - 1)) + y_within
    return within - 2.0 * _kernel_sum(x, y, False) / (len(x) * len(y))


def _kernel_sum(x: np.ndarray, y: np.ndarray, same: bool) -> float:
    """Sum of `exp(-|a - b|^2)` over all pairs; over pairs of different rows where x and y are the same."""
    left, right = _extended(x, -1.0), _extended_other(y, -1.0)
    total = 0.0
    for start in range(0, len(x), _TILE_ROWS):
        stop = start + _TILE_ROWS
        # The kernel is symmetric: right of the diagonal tile every entry stands for two.
        kernel = left[start:stop] @ right[start if same else 0 :].T
        _exponentiate(kernel)
        if not same:
            total += _sum(kernel)
            continue
        width = len(kernel)
        diagonal = kernel[:, :width]
        total += _sum(diagonal) - float(np.trace(diagonal, dtype=np.float64))
        total += 2.0 * _sum(kernel[:, width:])
    return total


def _sum(kernel: np.ndarray) -> float:
    """Sum of all entries: of rows by a product, which is several times as fast as any other sum, then in float64."""
    return float((kernel @ np.ones(kernel.shape[1], kernel.dtype)).sum(dtype=np.float64))


@compiled
def _exponentiate(x):
    """Writes e^x over float32 x: to 4e-6 of it where x is from -87 to 0, 1e-38 below, and 1 above; NaN stays NaN.

    Squared distances from products of float32 can come out below 0. There is no branch, so that several are computed at
    a time: a third of what NumPy's takes.
    """
    flat = x.ravel()
    for i in range(flat.size):
        scaled = min(max(flat[i] * np.float32(_LOG2_E), np.float32(_LEAST_EXPONENT)), np.float32(0.0))
        whole = np.floor(scaled + np.float32(0.5))
        r = scaled - whole
        power = np.float32(_POWERS[6])
        power = power * r + np.float32(_POWERS[5])
        power = power * r + np.float32(_POWERS[4])
        power = power * r + np.float32(_POWERS[3])
        power = power * r + np.float32(_POWERS[2])
        power = power * r + np.float32(_POWERS[1])
        power = power * r + np.float32(_POWERS[0])
        # A float32 with this exponent and no fraction.
        flat[i] = power * np.int32((np.int32(whole) + np.int32(127)) << np.int32(23)).view(np.float32)


def _extended(x: np.ndarray, sign: float) -> np.ndarray:
    """Rows whose products with those of `_extended_other` are `sign` times the squared distance."""
    norms = np.square(x).sum(axis=1, keepdims=True)
    return np.concatenate([x, sign * norms, np.ones((len(x), 1))], axis=1, dtype=x.dtype)


def _extended_other(y: np.ndarray, sign: float) -> np.ndarray:
    norms = np.square(y).sum(axis=1, keepdims=True)
    return np.concatenate([-2.0 * sign * y, np.ones((len(y), 1)), sign * norms], axis=1, dtype=y.dtype)


def _thinned(x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, float)
    return x if len(x) <= _BANDWIDTH_ROWS else x[np.arange(_BANDWIDTH_ROWS) * len(x) // _BANDWIDTH_ROWS]
