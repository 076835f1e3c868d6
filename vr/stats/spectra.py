"""Spectra: eigenvalues and leading directions of correlation matrices, and power spectra along an order."""

import numpy as np
from scipy.special import rel_entr

__all__ = [
    "autocorrelation",
    "effective_rank",
    "normalised_spectrum",
    "principal_angles",
    "spectrum_divergence",
    "spectrum_kl_divergence",
    "welch_spectrum_distance",
]


def normalised_spectrum(corr: np.ndarray) -> np.ndarray:
    """Returns the eigenvalues of a covariance or correlation matrix as shares of their sum, falling.

    Args:
      corr: Symmetric `[d, d]`, finite; slightly negative eigenvalues (pairwise-complete correlations) count as 0.

    Returns:
      `[d]` at least 0, sum 1; NaN where the matrix is not finite or has no positive eigenvalue.
    """
    corr = np.asarray(corr, float)
    if not np.isfinite(corr).all():
        return np.full(len(corr), np.nan)
    eigenvalues = np.maximum(np.linalg.eigvalsh(corr)[::-1], 0.0)
    total = eigenvalues.sum()
    return eigenvalues / total if total > 0 else np.full(len(corr), np.nan)


def spectrum_divergence(corr_p: np.ndarray, corr_q: np.ndarray) -> float:
    """Returns the Jensen-Shannon divergence between two normalised eigenvalue spectra, in nats.

    Args:
      corr_p: Symmetric `[d, d]`.
      corr_q: Symmetric `[d, d]`.

    Returns:
      In [0, ln 2], 0 for equal spectra; it does not see directions, for which there is `principal_angles`. NaN where a
      matrix is not finite.
    """
    p, q = normalised_spectrum(corr_p), normalised_spectrum(corr_q)
    middle = 0.5 * (p + q)
    return float(max(0.5 * (rel_entr(p, middle).sum() + rel_entr(q, middle).sum()), 0.0))


def spectrum_kl_divergence(corr_p: np.ndarray, corr_q: np.ndarray, floor: float = 1e-3) -> float:
    """Returns the Kullback-Leibler divergence of the first normalised spectrum from the second, in nats.

    Args:
      corr_p: Symmetric `[d, d]`, the candidate.
      corr_q: Symmetric `[d, d]`, the reference.
      floor: Share added to every eigenvalue before normalising, so that a lost direction counts as finite.

    Returns:
      At least 0; NaN where a matrix is not finite.
    """
    p, q = (normalised_spectrum(corr) + floor for corr in (corr_p, corr_q))
    return float(max(rel_entr(p / p.sum(), q / q.sum()).sum(), 0.0))


def principal_angles(corr_p: np.ndarray, corr_q: np.ndarray, k: int) -> np.ndarray:
    """Returns the angles between the spaces of the k leading eigenvectors, falling.

    Where the k-th and the next eigenvalue are nearly equal, the space itself is arbitrary and the angles say nothing.

    Args:
      corr_p: Symmetric `[d, d]`.
      corr_q: Symmetric `[d, d]`.
      k: From 1 to d.

    Returns:
      `[k]` radians in [0, pi / 2], all 0 for the same space; NaN where a matrix is not finite.

    References:
      Bjorck and Golub 1973, Numerical methods for computing angles between linear subspaces.
    """
    corr_p, corr_q = np.asarray(corr_p, float), np.asarray(corr_q, float)
    if not (np.isfinite(corr_p).all() and np.isfinite(corr_q).all()):
        return np.full(k, np.nan)
    p, q = (np.linalg.eigh(corr)[1][:, -k:] for corr in (corr_p, corr_q))
    within = p.T @ q
    cosines = np.linalg.svd(within, compute_uv=False)[::-1]
    # Small angles are read off their sines, which the cosines have lost.
    sines = np.linalg.svd(q - p @ within, compute_uv=False)
    return np.where(cosines**2 >= 0.5, np.arcsin(np.minimum(sines, 1.0)), np.arccos(np.minimum(cosines, 1.0)))


def effective_rank(corr: np.ndarray) -> float:
    """Returns the exponential of the entropy of the normalised spectrum.

    Args:
      corr: Symmetric `[d, d]`.

    Returns:
      In [1, d]: 1 where one direction holds all the variance, d for uncorrelated columns; NaN where not finite.

    References:
      Roy and Vetterli 2007, The effective rank: a measure of effective dimensionality, definition 1.
    """
    shares = normalised_spectrum(corr)
    return float(np.exp(-np.sum(shares * np.log(np.where(shares > 0, shares, 1.0)))))


def welch_spectrum_distance(x: np.ndarray, y: np.ndarray, segment: int = 256) -> float:
    """Returns the log-spectral distance between two series' Welch spectra: `RMS of 10 log10(P_x / P_y)` in dB.

    Both series are centred and scaled to unit variance first, so it compares rhythm and not level.

    Args:
      x: `[n]` in order, without NaN.
      y: `[m]` in order, without NaN.
      segment: Rows in a window; fewer where a series is shorter.

    Returns:
      At least 0 dB, 0 for the same spectrum; about 1 to 2 dB between two stretches of one process. NaN where a series
      has fewer than 8 rows or is constant.

    References:
      Welch 1967; Gray and Markel 1976, Distance measures for speech processing, eq. 7.
    """
    length = min(segment, len(x), len(y))
    if length < 8:
        return float("nan")
    # Only tables with a date need it, and it takes a second to import.
    from scipy.signal import welch

    spectra = []
    for series in (x, y):
        series = np.asarray(series, float)
        deviation = series.std()
        if not deviation > 1e-12 * np.abs(series).max():
            return float("nan")
        power = welch((series - series.mean()) / deviation, nperseg=length, detrend="constant")[1]
        # The zero frequency holds only what detrending left; the floor keeps an exact zero (a pure tone) finite.
        spectra.append(10.0 * np.log10(np.maximum(power[1:], 1e-12)))
    return float(np.sqrt(np.mean(np.square(spectra[0] - spectra[1]))))


def autocorrelation(x: np.ndarray, max_lag: int) -> np.ndarray:
    """Returns the autocorrelation of a series, or of every column, at lags 0 to `max_lag`.

    Args:
      x: `[n]` or `[n, d]` in order, without NaN.
      max_lag: At least 0.

    Returns:
      `[max_lag + 1]` or `[max_lag + 1, d]` in [-1, 1], 1 at lag 0; 0 at lags of n and more; NaN for a constant.

    References:
      Box and Jenkins 1976, Time series analysis, eq. 2.1.12 (the divisor n, which keeps it positive definite).
    """
    x = np.asarray(x, float)
    if len(x) == 0:
        return np.full((max_lag + 1, *x.shape[1:]), np.nan)
    centred = x - x.mean(axis=0)
    # Twice the length, so that the circular product does not wrap around.
    spectrum = np.fft.rfft(centred, 2 * len(x), axis=0)
    lags = np.fft.irfft(np.abs(spectrum) ** 2, 2 * len(x), axis=0)[: min(max_lag + 1, len(x))]
    varies = lags[0] > 1e-20 * np.square(x).sum(axis=0)
    result = np.zeros((max_lag + 1, *x.shape[1:]))
    result[: len(lags)] = np.clip(lags / np.where(varies, lags[0], 1.0), -1.0, 1.0)
    return np.where(varies, result, np.nan)
