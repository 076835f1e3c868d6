"""Whether numbers stand where real numbers stand: on round values, on the values that people report, on a grid.

In a column whose values repeat, a generator that draws from a smooth density puts numbers between those that occur. For
each number the rows that have exactly it are held against what an even spread over the values around it would give; a
column whose values never repeat says nothing.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["Grain", "fit_grain"]

_AROUND = 8  # distinct values on either side
_PRIOR = 0.5  # rows added to what is seen and to what is expected


@dataclass(frozen=True)
class Grain:
    """Of each column with numbers: its distinct values, how often each occurs, and what is expected around each."""

    columns: tuple[tuple[int, np.ndarray, np.ndarray, np.ndarray], ...]

    def read(self, values: np.ndarray) -> np.ndarray:
        """Returns the sum over columns of log(expected / seen rows) of each row's numbers, float `[n]`."""
        total = np.zeros(len(values))
        for j, known, counts, expected in self.columns:
            x = values[:, j]
            place = np.minimum(np.searchsorted(known, x), len(known) - 1)
            seen = np.where(known[place] == x, counts[place], 0)
            total += np.where(np.isnan(x), 0.0, np.log((expected[place] + _PRIOR) / (seen + _PRIOR)))
        return total


def fit_grain(values: np.ndarray, numeric: np.ndarray) -> Grain:
    """Fits to real rows: float `[n, d]`, NaN where there is no number, and which columns have numbers, bool `[d]`."""
    columns = []
    for j in np.flatnonzero(numeric):
        known, counts = np.unique(values[np.isfinite(values[:, j]), j], return_counts=True)
        if len(known) < 3 or len(known) == counts.sum():
            continue
        with np.errstate(over="ignore"):
            step = max(float(np.diff(known).min()), 1e-6 * float(known[-1] - known[0]))
        sums = np.concatenate([[0], np.cumsum(counts)])
        low = np.maximum(np.arange(len(known)) - _AROUND, 0)
        high = np.minimum(np.arange(len(known)) + _AROUND, len(known) - 1)
        with np.errstate(over="ignore", invalid="ignore"):
            possible = np.maximum((known[high] - known[low]) / step, high - low) + 1.0
        columns.append((int(j), known, counts, np.nan_to_num((sums[high + 1] - sums[low]) / possible)))
    return Grain(tuple(columns))
