"""Where a number lies against its null, on one scale for all numbers: standard deviations, worse to the right.

Where a metric states a `floor`, the smallest difference that matters, that is added to the null's spread as the
verdict does: with many rows the spread alone would make a trifle look large.
"""

import math
from dataclasses import dataclass

from vr.pipeline.report import Metric

__all__ = ["NullMark", "TICKS", "WIDTH", "mark", "position"]

WIDTH = 200.0
# Standard deviations at the ends of the drawn scale; what lies beyond is drawn at the end, as an arrow.
REACH = 30.0
# Below this the scale is about linear, above it about logarithmic.
SOFTNESS = 2.0
TICKS = (-10, -2, 0, 2, 10)


@dataclass(frozen=True)
class NullMark:
    """A dot at `x` of WIDTH; `level` is `inside`, `near` or `outside` on the worse side, or `better`."""

    x: float
    z: float
    level: str
    beyond: bool
    text: str


def position(z: float) -> float:
    """Returns where `z` standard deviations lie on a symmetric asinh scale of WIDTH pixels."""
    clamped = max(-REACH, min(REACH, z))
    return WIDTH / 2 * (1 + 0.96 * math.asinh(clamped / SOFTNESS) / math.asinh(REACH / SOFTNESS))


def mark(metric: Metric) -> NullMark | None:
    """Returns the mark of a metric, or None where it has no null with a spread."""
    if metric.value is None or metric.null_mean is None or not metric.null_std:
        return None
    z = (metric.value - metric.null_mean) / math.hypot(metric.null_std, getattr(metric, "floor", None) or 0.0)
    two_sided = bool(getattr(metric, "two_sided", False))
    z = abs(z) if two_sided else z if metric.higher_is_worse else -z
    size = abs(z)
    amount = "over 1,000" if size > 1000 else f"{size:,.0f}" if size >= 10 else f"{size:.1f}"
    if size < 0.05:
        text = "at the null"
    else:
        text = f"{amount} sd {'worse' if z > 0 else 'better'}"
    level = "outside" if z > 4 else "near" if z > 2 else "better" if z < -2 else "inside"
    return NullMark(round(position(z), 1), z, level, size > REACH, text)
