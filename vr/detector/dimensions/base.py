"""What a dimension is: settings, metrics with their floors, and a function from prepared inputs to a measurement."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from vr.core.chart import Chart
from vr.detector.inputs import Inputs
from vr.detector.metric import Feature, MetricSpec, excess

__all__ = ["Dimension", "Measurement", "needs_cascade", "needs_reference", "provisional_score"]


@dataclass(frozen=True)
class Measurement:
    """What a dimension found.

    Attributes:
      features: By metric name, a subset of the dimension's metrics.
      charts: Its evidence.
      reason: Why nothing was measured; None where something was.
    """

    features: Mapping[str, Feature]
    charts: tuple[Chart, ...] = ()
    reason: str | None = None

    @classmethod
    def missing(cls, reason: str) -> "Measurement":
        """Returns a measurement of nothing."""
        return cls({}, (), reason)


@dataclass(frozen=True)
class Dimension:
    """One of the eight dimensions, as the registry holds it."""

    name: str
    question: str
    metrics: Mapping[str, MetricSpec]
    measure: Callable[[Inputs], Measurement]


def provisional_score(measurement: Measurement, metrics: Mapping[str, MetricSpec]) -> float | None:
    """Returns a score of 0 to 100 until the ladder gives the dimension its scale.

    100 * exp(-0.39 D), D the root mean square of the judged metrics' `excess`. A single metric 3 deviations beyond its
    null scores 65; one within its null scores 100.

    Returns:
      None where no judged metric has both a value and a null.
    """
    distances = [
        distance
        for name, spec in metrics.items()
        if spec.judged and name in measurement.features
        if (distance := excess(measurement.features[name], spec)) is not None
    ]
    if not distances:
        return None
    return float(100.0 * np.exp(-0.39 * np.sqrt(np.mean(np.square(distances)))))


def needs_reference(inputs: Inputs) -> str | None:
    """Returns why a two-sample dimension cannot be measured, None where it can."""
    return None if inputs.splits else (inputs.splits_reason or "needs a reference")


def needs_cascade(inputs: Inputs) -> str | None:
    """Returns why a dimension that reads trained proxies cannot be measured, None where it can."""
    return None if inputs.cascade is not None else (inputs.cascade_reason or "no cascade was trained")
