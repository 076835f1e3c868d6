"""A metric: one number, what the reference gives against itself, and how far beyond that it has to be to matter."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

__all__ = ["Feature", "MetricSpec", "excess", "excess_of", "harmful_shift"]


@dataclass(frozen=True)
class Feature:
    """A measured number beside its null; NaN is never stored, None says that it could not be computed.

    Attributes:
      value: Mean over the candidate's splits.
      spread: Standard deviation over them.
      null_mean: Mean over reference splits of equal size.
      null_std: Standard deviation over them.
      reason: Why `value` is None.
    """

    value: float | None
    spread: float | None = None
    null_mean: float | None = None
    null_std: float | None = None
    reason: str | None = None

    @classmethod
    def of(cls, observed: Sequence[float] | np.ndarray, null: Sequence[float] | np.ndarray) -> "Feature":
        """Returns the feature of values over splits; splits where it was not finite are left out."""
        x, y = np.asarray(observed, float), np.asarray(null, float)
        x, y = x[np.isfinite(x)], y[np.isfinite(y)]
        if not len(x):
            return cls(None, reason="not defined on these columns")
        if len(y) < 2:
            return cls(float(x.mean()), float(x.std()), reason="the reference is too small for a null")
        return cls(float(x.mean()), float(x.std()), float(y.mean()), float(y.std(ddof=1)))

    @classmethod
    def of_each(
        cls, observed: Sequence[Mapping[str, float]], null: Sequence[Mapping[str, float]]
    ) -> dict[str, "Feature"]:
        """Returns `of` each metric, from what was measured in each of at least two splits, all metrics in each."""
        names = list(observed[0])
        x, y = (np.array([[split[name] for split in side] for name in names], float) for side in (observed, null))
        # At once where nothing is to be left out: one by one takes as long as many of the metrics.
        with np.errstate(invalid="ignore"):
            found = np.column_stack([x.mean(axis=1), x.std(axis=1), y.mean(axis=1), y.std(axis=1, ddof=1)])
        # Where one of the values is not finite, none of these is.
        whole = np.all(np.isfinite(found), axis=1)
        rows = enumerate(zip(names, found.tolist(), strict=True))
        return {name: cls(*values) if whole[i] else cls.of(x[i], y[i]) for i, (name, values) in rows}

    @classmethod
    def missing(cls, reason: str) -> "Feature":
        """Returns a feature that could not be computed."""
        return cls(None, reason=reason)


@dataclass(frozen=True)
class MetricSpec:
    """What a metric is.

    Attributes:
      label: For a person.
      description: How it is computed, one sentence.
      floor: A difference from the null that does not matter in practice, in the metric's unit; with many rows the
        null's spread alone would make a trifle significant, and detectable is not harmful.
      unit: Empty where dimensionless.
      judged: Whether the dimension's score counts it; the rest explains.
      proxies: Whether it is read off trained proxies, so that there is none without a cascade.
      two_sided: Whether a value below the null is as bad as one above.
      higher_is_worse: Direction of harm where one-sided.
    """

    label: str
    description: str
    floor: float
    unit: str = ""
    judged: bool = False
    proxies: bool = False
    two_sided: bool = False
    higher_is_worse: bool = True


def harmful_shift(feature: Feature, spec: MetricSpec) -> tuple[float, float]:
    """Returns how far a value lies on the harmful side of its null, and the unit to measure that in.

    Returns:
      (shift, hypot(null deviation, floor)), both in the metric's own unit; of a metric that is bad either way the
      absolute shift. NaN where the value or its null is missing.
    """
    if feature.value is None or feature.null_mean is None or feature.null_std is None:
        return float("nan"), float("nan")
    shift = feature.value - feature.null_mean
    shift = abs(shift) if spec.two_sided else shift if spec.higher_is_worse else -shift
    return shift, float(np.hypot(feature.null_std, spec.floor))


def excess(feature: Feature, spec: MetricSpec) -> float | None:
    """Returns `excess_of` the shift from the null in its own unit; None where the value or its null is missing."""
    shift, unit = harmful_shift(feature, spec)
    return None if np.isnan(shift) else float(excess_of(shift / unit))


def excess_of(z: np.ndarray | float) -> np.ndarray:
    """Returns log(1 + max(0, z - 1)) of deviations in the harmful direction; NaN stays NaN.

    The logarithm is the monotone reshaping that heavy-tailed features need before anything linear reads them; the first
    deviation is free, being what fresh rows show.
    """
    return np.log1p(np.maximum(0.0, np.asarray(z, float) - 1.0))
