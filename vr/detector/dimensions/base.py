"""What a dimension is: settings, metrics with their floors, and a function from prepared inputs to a measurement."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from vr.core.chart import Chart
from vr.detector.inputs import Inputs
from vr.detector.metric import Feature, MetricSpec

__all__ = ["Dimension", "Measurement", "needs_cascade", "needs_reference"]


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


def needs_reference(inputs: Inputs) -> str | None:
    """Returns why a two-sample dimension cannot be measured, None where it can."""
    return None if inputs.splits else (inputs.splits_reason or "needs a reference")


def needs_cascade(inputs: Inputs) -> str | None:
    """Returns why a dimension that reads trained proxies cannot be measured, None where it can."""
    return None if inputs.cascade is not None else (inputs.cascade_reason or "no cascade was trained")
