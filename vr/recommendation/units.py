"""Numbers written in another unit than the reference's: found by the one factor that brings them back onto it.

A factor is believed where what it makes of the numbers is distributed as the reference's numbers are, by Kolmogorov and
Smirnov's distance, and where no other factor does nearly as well, or may by chance (Mann and Whitney's test besides).
Single cells are seen only where they leave the reference's range, so that they are held against those of its numbers
that would leave it too.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from vr.recommendation.vocabulary import Repair, in_ranges
from vr.stats.divergences import ks_distance
from vr.stats.ranks import midranks

__all__ = ["Numbers", "UnitError", "find_unit_errors", "repaired"]

# Powers of ten; inches, feet, miles and pounds; months, minutes, seconds and hours; km/h.
_UNITS = (10.0, 100.0, 1e3, 1e6, 1e9, 2.54, 30.48, 3.28084, 1.609344, 2.20462262, 12.0, 60.0, 3600.0, 24.0, 3.6)
_FACTORS = (*_UNITS, *(1.0 / unit for unit in _UNITS))
_LEAST = 16  # numbers that a factor is told by
_OFF = 0.5  # distance from the reference from which numbers are in another unit at all
_BACK = 0.15  # and up to which they are back on it, or as far as chance goes
_LEVEL, _CRITICAL = 0.01, 1.63  # of chance, and of the distance at it, times the root of 1/n + 1/m
_MARGIN = 1.25  # times the reference's range, where fresh rows may lie
_MOST_DECIMALS = 6
_ON_GRAIN = 0.95  # of the numbers, for their decimals to tell a factor
_ROUNDING = 1e-13  # relative, of a product and a quotient


@dataclass(frozen=True)
class Numbers:
    """One column.

    Attributes:
      column: Its name.
      values: float64 `[n]`, the candidate's sampled rows, NaN where there is no number.
      reference: float64 `[m]`, likewise.
      lower: The reference's least number.
      upper: Its greatest.
    """

    column: str
    values: np.ndarray
    reference: np.ndarray
    lower: float
    upper: float


@dataclass(frozen=True)
class UnitError:
    """Numbers of a column in another unit.

    Attributes:
      action: Repairs them.
      rows: Rows of the whole file that it changes, estimated from the sample where that is smaller.
    """

    action: Repair
    rows: int


def find_unit_errors(
    columns: Sequence[Numbers], rows: np.ndarray, stretches: Sequence[tuple[int, int]], num_rows: int
) -> list[UnitError]:
    """Returns the columns with numbers in another unit, one factor each, most rows first.

    Looked at are a column as a whole, its stretches, and its numbers outside of the reference's range.

    Args:
      columns: Of numbers.
      rows: int64 `[n]`, the sample's row numbers, ascending.
      stretches: First row, and the one after the last, of parts of the file that are off the rest.
      num_rows: Rows of the whole file.
    """
    found = []
    for column in columns:
        repair = _repair_of(column, rows, stretches, num_rows)
        if repair is None:
            continue
        changes = (repaired(repair, column.values, rows) != column.values) & ~np.isnan(column.values)
        if changes.any():
            found.append(UnitError(repair, max(1, round(changes.mean() * num_rows))))
    return sorted(found, key=lambda error: (-error.rows, error.action.column))


def repaired(action: Repair, values: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Returns the numbers with the action done to them, float64 `[n]`; those that it leaves are the same ones.

    Args:
      action: What to do.
      values: float64 `[n]`, NaN where there is no number.
      rows: int64 `[n]`, their row numbers.
    """
    made = _quotient(values, action.factor, action.decimals)
    asked = in_ranges(rows, action.ranges) if action.ranges else (values < action.lower) | (values > action.upper)
    return np.where(asked & (made >= action.lower) & (made <= action.upper), made, values)


def _repair_of(column: Numbers, rows: np.ndarray, stretches: Sequence[tuple[int, int]], num_rows: int) -> Repair | None:
    known, reference = np.isfinite(column.values), column.reference[np.isfinite(column.reference)]
    lower = column.lower / _MARGIN if column.lower > 0 else column.lower * _MARGIN
    upper = column.upper * _MARGIN if column.upper > 0 else column.upper / _MARGIN
    if len(reference) < _LEAST or not lower < upper:
        return None
    decimals = _decimals_of(reference)

    def repair(factor: float, numbers: np.ndarray, ranges: tuple[tuple[int, int], ...] = ()) -> Repair:
        exact = decimals is not None and _on_grain(_quotient(numbers, factor, None), decimals)
        return Repair(column.column, factor, lower, upper, decimals if exact else None, ranges)

    whole = column.values[known]
    if (factor := _factor_of(whole, reference, decimals)) is not None:
        return repair(factor, whole, ((0, num_rows),))
    for start, end in stretches:
        part = column.values[known & (rows >= start) & (rows < end)]
        if (factor := _factor_of(part, reference, decimals)) is not None:
            return repair(factor, part, ((start, end),))
    strange = whole[(whole < lower) | (whole > upper)]
    # A few cells without the reference's decimals may as well be strange for another reason.
    factor = _chosen(
        strange,
        decimals,
        lambda factor: _seen(strange, reference, factor, decimals, lower, upper),
        exact_only=decimals is not None,
    )
    return None if factor is None else repair(factor, strange)


def _factor_of(numbers: np.ndarray, reference: np.ndarray, decimals: int | None) -> float | None:
    """Returns the factor between all of these numbers and the reference's, None where there is none."""
    if len(numbers) < _LEAST or ks_distance(numbers, reference) < _OFF:
        return None
    return _chosen(numbers, decimals, lambda factor: (_quotient(numbers, factor, decimals), reference))


def _seen(
    strange: np.ndarray, reference: np.ndarray, factor: float, decimals: int | None, lower: float, upper: float
) -> tuple[np.ndarray, np.ndarray]:
    """Returns what becomes of strange numbers, and the reference's numbers that would be strange by the factor."""
    made, times = _quotient(strange, factor, decimals), reference * factor
    made = made[(made >= lower) & (made <= upper)]
    return made if 2 * len(made) >= len(strange) else made[:0], reference[(times < lower) | (times > upper)]


def _chosen(
    numbers: np.ndarray,
    decimals: int | None,
    compared: Callable[[float], tuple[np.ndarray, np.ndarray]],
    *,
    exact_only: bool = False,
) -> float | None:
    """Returns the one factor after which `compared` gives two samples that are alike, None where several may do."""
    found = []
    for factor in _FACTORS:
        made, base = compared(factor)
        if min(len(made), len(base)) < _LEAST:
            continue
        # A factor changes magnitudes alone, and numbers of both signs hide it.
        sizes = np.abs(made), np.abs(base)
        distance = max(ks_distance(made, base), ks_distance(*sizes))
        chance = _CRITICAL * np.sqrt(1.0 / len(made) + 1.0 / len(base))
        if distance <= max(_BACK, chance):
            by_chance = distance <= chance and _differ_by_chance(*sizes) >= _LEVEL
            found.append((distance, by_chance, factor))
    # Division by a wrong factor leaves numbers with other decimals than the reference's.
    exact = [] if decimals is None else [one for one in found if _on_grain(_quotient(numbers, one[2], None), decimals)]
    found = sorted(exact if exact or exact_only else found)
    if not found or any(by_chance or distance < 2.0 * found[0][0] for distance, by_chance, _ in found[1:]):
        return None
    return found[0][2]


def _differ_by_chance(first: np.ndarray, second: np.ndarray) -> float:
    """Returns how likely ranks of two samples of one distribution differ as much, by the normal approximation.

    References:
      Mann and Whitney 1947, corrected for ties and for continuity.
    """
    n, m = len(first), len(second)
    both = np.concatenate([first, second])
    above = midranks(both)[:n].sum() - 0.5 * n * (n + 1)
    ties = np.unique(both, return_counts=True)[1].astype(float)
    variance = n * m / 12.0 * (n + m + 1.0 - (ties**3 - ties).sum() / ((n + m) * (n + m - 1.0)))
    apart = abs(above - 0.5 * n * m) - 0.5
    return min(2.0 * float(ndtr(-apart / np.sqrt(variance))), 1.0) if variance > 0.0 else 1.0


def _quotient(values: np.ndarray, factor: float, decimals: int | None) -> np.ndarray:
    """Returns the numbers divided, rounded to decimals where they are as good as there already."""
    # By the number itself where it is whole: 0.01 is not the inverse of 100.
    inverse = np.rint(1.0 / factor)
    with np.errstate(over="ignore"):
        made = values * inverse if inverse and abs(inverse * factor - 1.0) < _ROUNDING else values / factor
    if decimals is None:
        return made
    rounded = np.round(made, decimals)
    return np.where(_is_near(made, rounded), rounded, made)


def _decimals_of(reference: np.ndarray) -> int | None:
    """Returns the decimals that all numbers have at most, None of more than six."""
    return next((d for d in range(_MOST_DECIMALS + 1) if _is_near(reference, np.round(reference, d)).all()), None)


def _on_grain(values: np.ndarray, decimals: int) -> bool:
    return float(_is_near(values, np.round(values, decimals)).mean()) >= _ON_GRAIN


def _is_near(values: np.ndarray, others: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore"):
        return np.abs(values - others) <= _ROUNDING * np.abs(values)
