"""Exact moments: count, sum and sum of squares on a fixed-point grid, the same integers whatever the order of rows.

Floating-point sums (Chan's update included) depend on how the rows were split; integers do not. The grid has 2**20
steps over the reference's range, so a mean is exact to a millionth of that range.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["Grid", "Moments"]

_STEPS = 2**20
_CHUNK = 2**20  # rows summed at a time, so that 64-bit sums of squares cannot overflow
_LIMIT = 2**40  # a million ranges away; what lies beyond counts as `outside`
_SAME = 2.0**-40  # a range this small against its ends is rounding: the reference holds one value


@dataclass(frozen=True)
class Grid:
    """A fixed-point grid: value = origin + step * integer."""

    origin: float
    step: float

    @classmethod
    def over(cls, low: float, high: float) -> "Grid":
        """Returns the grid with 2**20 steps from `low` to `high`; one step of 1e-6 relative where they coincide."""
        size = max(abs(low), abs(high)) if np.isfinite(high) else abs(low)
        width = high - low
        # A step below the least normal float would have no finite inverse.
        if not np.isfinite(width) or width <= max(_SAME * size, 2.0**-1000):
            width = max(size, 1.0)
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
      infinite: The infinite ones among them.
    """

    count: int = 0
    total: int = 0
    total_squares: int = 0
    low: float = np.inf
    high: float = -np.inf
    outside: int = 0
    infinite: int = 0

    @classmethod
    def of(cls, values: np.ndarray, grid: Grid, times: np.ndarray | None = None) -> "Moments":
        """Returns the moments of `values` (float64 `[n]`, NaN left out), each taken `times` times (int64 `[n]`)."""
        if times is not None:
            values, times = values[times > 0], times[times > 0]
        rows = len(values) if times is None else int(times.sum())
        if rows > _CHUNK and len(values) > 1:
            half = len(values) // 2
            parts = (slice(None, half), slice(half, None))
            first, second = (cls.of(values[part], grid, None if times is None else times[part]) for part in parts)
            return first.merge(second)
        with np.errstate(over="ignore"):
            scaled = values - grid.origin
            scaled *= 1.0 / grid.step
        least, greatest = (scaled.min(), scaled.max()) if len(values) else (np.nan, np.nan)
        infinite = 0
        if -_LIMIT < least and greatest < _LIMIT:
            low, high = values.min(), values.max()
        else:  # some NaN, infinite or far away
            missing = np.isnan(values)
            rows -= int(missing.sum() if times is None else times[missing].sum())
            endless = np.isinf(values)
            infinite = int(endless.sum() if times is None else times[endless].sum())
            finite = values[np.isfinite(values)]
            low, high = (finite.min(), finite.max()) if len(finite) else (np.inf, -np.inf)
            within = np.abs(scaled) < _LIMIT
            scaled, times = scaled[within], None if times is None else times[within]
        whole = np.rint(scaled, out=scaled).astype(np.int64)
        count = len(whole) if times is None else int(times.sum())
        # Adding zero makes one of 0.0 and -0.0, of which NumPy returns either.
        return cls(count, *_sums(whole, times), float(low) + 0.0, float(high) + 0.0, rows - count, infinite)

    def merge(self, other: "Moments") -> "Moments":
        """Returns the moments of both parts; commutative and associative, exactly."""
        return Moments(
            self.count + other.count,
            self.total + other.total,
            self.total_squares + other.total_squares,
            min(self.low, other.low),
            max(self.high, other.high),
            self.outside + other.outside,
            self.infinite + other.infinite,
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


def _sums(whole: np.ndarray, times: np.ndarray | None) -> tuple[int, int]:
    """Returns the exact sums of up to 2**20 integers below 2**40 in size and of their squares."""
    if times is not None and times.sum() > _CHUNK:  # one value, very often
        return int(times[0]) * int(whole[0]), int(times[0]) * int(whole[0]) ** 2
    weighted = whole if times is None else whole * times
    total = int(weighted.sum())
    if len(whole) and max(-int(whole.min()), int(whole.max())) < 2**21:
        return total, int(np.dot(weighted, whole))
    # Squares of 40-bit integers overflow 64 bits in sum; products of their 20-bit halves do not.
    high, low = whole >> 20, whole & (2**20 - 1)
    weighted_high, weighted_low = (high, low) if times is None else (high * times, low * times)
    squares = int(np.dot(weighted_high, high)) << 40
    squares += int(np.dot(weighted_high, low)) << 21
    return total, squares + int(np.dot(weighted_low, low))
