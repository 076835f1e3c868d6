"""Exact moments: count, sum and sum of squares on a fixed-point grid, the same integers whatever the order of rows.

Floating-point sums (Chan's update included) depend on how the rows were split; integers do not. The grid has 2**20
steps over the reference's range, so a mean is exact to a millionth of that range.
"""

from dataclasses import dataclass
from functools import reduce

import numpy as np

__all__ = ["Grid", "Moments"]

_STEPS = 2**20
_CHUNK = 2**20  # rows summed at a time, so that 64-bit sums of squares cannot overflow
_LIMIT = 2**40  # a million ranges away; what lies beyond counts as `outside`


@dataclass(frozen=True)
class Grid:
    """A fixed-point grid: value = origin + step * integer."""

    origin: float
    step: float

    @classmethod
    def over(cls, low: float, high: float) -> "Grid":
        """Returns the grid with 2**20 steps from `low` to `high`; one step of 1e-6 relative where they coincide."""
        width = high - low
        if not np.isfinite(width) or width <= 0:
            width = max(abs(low), 1.0)
        return cls(low, width / _STEPS)


@dataclass(frozen=True)
class Moments:
    """Mergeable moments of one column on a `Grid`.

    Attributes:
      count: Finite values within the grid's limit.
      total: Sum of grid integers (a Python integer: never overflows).
      total_squares: Sum of their squares.
      low: Least finite value, inf if none.
      high: Greatest finite value, -inf if none.
      outside: Infinite values and those over a million ranges away, which the sums leave out.
    """

    count: int = 0
    total: int = 0
    total_squares: int = 0
    low: float = np.inf
    high: float = -np.inf
    outside: int = 0

    @classmethod
    def of(cls, values: np.ndarray, grid: Grid) -> "Moments":
        """Returns the moments of `values` (float64 `[n]`, NaN left out)."""
        if len(values) > _CHUNK:
            parts = (cls.of(values[i : i + _CHUNK], grid) for i in range(0, len(values), _CHUNK))
            return reduce(cls.merge, parts)
        low, high = (values.min(), values.max()) if len(values) else (np.nan, np.nan)
        if not (np.isfinite(low) and np.isfinite(high)):
            values = values[~np.isnan(values)]
            finite = values[np.isfinite(values)]
            low, high = (finite.min(), finite.max()) if len(finite) else (np.inf, -np.inf)
        with np.errstate(over="ignore"):
            scaled = (values - grid.origin) * (1.0 / grid.step)
        if not max(abs(low - grid.origin), abs(high - grid.origin)) < _LIMIT * grid.step:
            scaled = scaled[np.abs(scaled) < _LIMIT]
        whole = np.rint(scaled, out=scaled).astype(np.int64)
        return cls(len(whole), int(whole.sum()), _sum_squares(whole), float(low), float(high), len(values) - len(whole))

    def merge(self, other: "Moments") -> "Moments":
        """Returns the moments of both parts; commutative and associative, exactly."""
        return Moments(
            self.count + other.count,
            self.total + other.total,
            self.total_squares + other.total_squares,
            min(self.low, other.low),
            max(self.high, other.high),
            self.outside + other.outside,
        )

    def mean(self, grid: Grid) -> float | None:
        """Returns the mean, None of no values."""
        return None if not self.count else grid.origin + grid.step * (self.total / self.count)

    def std(self, grid: Grid) -> float | None:
        """Returns the population standard deviation, None of no values."""
        if not self.count:
            return None
        # Whole numbers until the last step: no cancellation.
        variance = self.count * self.total_squares - self.total**2
        return grid.step * variance**0.5 / self.count


def _sum_squares(whole: np.ndarray) -> int:
    """Returns the exact sum of squares of up to 2**20 integers below 2**40 in size."""
    if len(whole) and max(-int(whole.min()), int(whole.max())) < 2**21:
        return int(np.dot(whole, whole))
    # Squares of 40-bit integers overflow 64 bits in sum; products of their 20-bit halves do not.
    high, low = whole >> 20, whole & (2**20 - 1)
    return (int(np.dot(high, high)) << 40) + (int(np.dot(high, low)) << 21) + int(np.dot(low, low))
