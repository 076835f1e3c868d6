"""Does something grow? A robust slope over processes that come and go, with its interval."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["LEAST_SAMPLES", "Slope", "common_slope"]

LEAST_SAMPLES = 12
_LEAST_STRETCHES = 6  # of one process
_MOST_SAMPLES = 400  # of one process; pairs grow with the square


@dataclass(frozen=True)
class Slope:
    """Growth per hour, with its interval.

    Attributes:
      per_hour: Median of all pairs' slopes.
      low: Lower end.
      high: Upper end.
      level: Of the interval.
      samples: That it is of.
      stretches: That these were joined to.
      processes: That it is of.
    """

    per_hour: float
    low: float
    high: float
    level: float
    samples: int
    stretches: int
    processes: int


def common_slope(series: Sequence[tuple[np.ndarray, np.ndarray]], level: float = 0.95) -> Slope | None:
    """Returns the slope that series have in common, whatever each one's own level is; None of too few samples.

    Only pairs within one series are taken, so that a process that starts anew at another size bends nothing. Samples
    close in time are alike, which makes an interval too narrow: each series is thinned so that neighbours are as far
    apart as its autocorrelation lasts.

    Args:
      series: For each process seconds `[n]`, rising, and values `[n]`.
      level: Of the interval.

    References:
      Sen 1968, Estimates of the regression coefficient based on Kendall's tau; Hirsch, Slack and Smith 1982, Techniques
      of trend analysis for monthly water quality data, section 4 (pairs within groups); Gilbert 1987, Statistical
      methods for environmental pollution monitoring, section 17.3 (the interval).
    """
    slopes, variance, samples, stretches, processes = [], 0.0, 0, 0, 0
    for seconds, values in series:
        t, y = _thinned(np.asarray(seconds, float), np.asarray(values, float))
        n = len(t)
        if n < 3:
            continue
        first, second = np.triu_indices(n, 1)
        slopes.append((y[second] - y[first]) / (t[second] - t[first]))
        _, ties = np.unique(y, return_counts=True)
        variance += (n * (n - 1) * (2 * n + 5) - float(np.sum(ties * (ties - 1) * (2 * ties + 5)))) / 18
        samples += len(values)
        stretches += n
        processes += 1
    if samples < LEAST_SAMPLES or stretches < _LEAST_STRETCHES:
        return None
    every = np.sort(np.concatenate(slopes)) * 3600
    half = _normal_quantile(0.5 + level / 2) * math.sqrt(variance) / 2
    middle = len(every) / 2
    low = every[max(0, math.floor(middle - half))]
    high = every[min(len(every) - 1, math.ceil(middle + half))]
    return Slope(float(np.median(every)), float(low), float(high), level, samples, stretches, processes)


def _thinned(seconds: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns medians over stretches that are as long as neighbouring residuals are alike."""
    n = len(values)
    if n < LEAST_SAMPLES:
        return seconds, values
    # Of what is left without a straight line: a leak itself must not look like samples that are alike.
    residual = values - np.polyval(np.polyfit(seconds - seconds[0], values, 1), seconds - seconds[0])
    stretch = max(1, -(-n // _MOST_SAMPLES))
    spread = float(np.sum(residual**2))
    if spread > 1e-9 * (1 + float(np.sum(values**2))):
        near = float(np.sum(residual[1:] * residual[:-1])) / spread
        # Of an autoregressive series of first order the effective number is n (1 - r) / (1 + r). Twice that far apart,
        # as the medians of neighbouring stretches are still a little alike, and r is estimated too small.
        near = min(0.9, max(0.0, near))
        stretch = max(stretch, round(2 * (1 + near) / (1 - near)))
    stretch = min(stretch, max(1, n // _LEAST_STRETCHES))
    parts = np.array_split(np.arange(n), max(1, n // stretch))
    return np.array([np.median(seconds[part]) for part in parts]), np.array([np.median(values[part]) for part in parts])


def _normal_quantile(share: float) -> float:
    from scipy.special import ndtri

    return float(ndtri(share))
