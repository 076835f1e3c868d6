"""Hindsight: whether predicted risks came about, with intervals that are honest about few cases.

Fixes of one dataset are one witness, however many there are: means are taken over the means of datasets, with Student's
interval on these, a spread of half a point at least, and a share of datasets has Clopper and Pearson's exact interval.

References:
  Student 1908, The probable error of a mean; Clopper and Pearson 1934, The use of confidence or fiducial limits.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import stdtrit

from vr.stats.resampling import clopper_pearson

__all__ = ["LEVEL", "NO_GAIN", "Case", "Hindsight", "errors_by_dataset", "look_back"]

LEVEL = 0.95
NO_GAIN = 0.5  # of risk, 0 to 100: what is lowered by less is not lowered


@dataclass(frozen=True)
class Case:
    """An outcome beside what was predicted; risks are 0 to 100.

    Attributes:
      dataset: Fingerprint of what was fixed.
      before: Its risk.
      predicted: The risk to expect.
      measured: The risk that was found.
    """

    dataset: str
    before: float
    predicted: float
    measured: float


@dataclass(frozen=True)
class Hindsight:
    """What cases show together; None where there are too few, which `reason` says.

    Attributes:
      cases: How many there are.
      datasets: Of how many datasets.
      gains: Cases that were predicted to lower the risk, by half a point or more.
      came: Those of them in which it fell by as much.
      came_lower: Lower end of the interval of the share of datasets on which such a gain comes about, 0 to 1.
      came_upper: Upper end.
      error: Mean over datasets of the measured risk less the predicted one, in points.
      error_lower: Lower end of its interval.
      error_upper: Upper end.
      error_least: The least error of a case.
      error_most: The greatest.
      reason: Why the mean error has no interval.
    """

    cases: int
    datasets: int
    gains: int
    came: int
    came_lower: float | None = None
    came_upper: float | None = None
    error: float | None = None
    error_lower: float | None = None
    error_upper: float | None = None
    error_least: float | None = None
    error_most: float | None = None
    reason: str | None = None


def look_back(cases: Sequence[Case]) -> Hindsight:
    """Returns what cases show together."""
    names = np.array([each.dataset for each in cases])
    before, predicted, measured = (
        np.array([getattr(each, name) for each in cases]) for name in ("before", "predicted", "measured")
    )
    gains = before - predicted >= NO_GAIN
    came = gains & (before - measured >= NO_GAIN)
    if not cases:
        return Hindsight(0, 0, 0, 0, reason="no cases")
    errors = measured - predicted
    mean, lower, upper = _mean(errors_by_dataset(cases))
    came_lower, came_upper = _share(_by_dataset(came[gains].astype(float), names[gains]))
    return Hindsight(
        cases=len(cases),
        datasets=len(np.unique(names)),
        gains=int(gains.sum()),
        came=int(came.sum()),
        came_lower=came_lower,
        came_upper=came_upper,
        error=mean,
        error_lower=lower,
        error_upper=upper,
        error_least=float(errors.min()),
        error_most=float(errors.max()),
        reason=None if lower is not None else "of one dataset",
    )


def errors_by_dataset(cases: Sequence[Case]) -> np.ndarray:
    """Returns the mean error of each dataset's cases, measured less predicted risk: float `[datasets]`."""
    errors = np.array([each.measured - each.predicted for each in cases])
    return _by_dataset(errors, np.array([each.dataset for each in cases]))


def _by_dataset(values: np.ndarray, names: np.ndarray) -> np.ndarray:
    return np.array([values[names == name].mean() for name in np.unique(names)])


def _mean(values: np.ndarray) -> tuple[float, float | None, float | None]:
    mean, n = float(values.mean()), len(values)
    if n < 2:
        return mean, None, None
    # Few that happen to agree are no proof that all will: below half a point nothing is told apart.
    spread = max(float(values.std(ddof=1)), NO_GAIN)
    half = float(stdtrit(n - 1, 0.5 + LEVEL / 2.0)) * spread / math.sqrt(n)
    return mean, mean - half, mean + half


def _share(values: np.ndarray) -> tuple[float | None, float | None]:
    """Returns the exact interval of a share of datasets; one on which only some came counts for either end's worst."""
    if not len(values):
        return None, None
    total, n = float(values.sum()), len(values)
    lower, _ = clopper_pearson(math.floor(total), n, LEVEL)
    _, upper = clopper_pearson(math.ceil(total), n, LEVEL)
    return lower, upper
