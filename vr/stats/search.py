"""Where numbers stand among sorted ones: what a binary search finds, for a fraction of its time.

A binary search in thousands of keys waits for memory a dozen times. Here the range of most keys is cut into equal
cells, each of which knows how many keys lie before it. The cell of a number is a monotone function of it, so that no
more than the keys of its own cell are left to be compared with it.
"""

from functools import cached_property
from typing import NamedTuple

import numpy as np

__all__ = ["SortedKeys"]

_FEW_KEYS = 32  # among fewer a binary search is as fast
_CELLS_PER_KEY, _MOST_CELLS = 2, 1 << 16
_OUTER = 100  # one in so many keys at either end share a cell: a few far ones must not make the others crowd in one
_STEPS = 3  # keys of a cell that are compared with one after the other; for what lies beyond them there is a search


class _Cells(NamedTuple):
    """Equal cells: where the first begins, how many to a unit, the keys before each, and those in the fullest."""

    low: float
    scale: float
    before: np.ndarray
    most: int


class SortedKeys:
    """Distinct numbers in ascending order.

    Attributes:
      keys: float64 `[m]`, no NaN.
    """

    def __init__(self, keys: np.ndarray):
        self.keys = keys
        # No number is greater than NaN: one that is greater than all keys stays behind the last.
        self._ended = np.append(keys, np.nan)

    def place(self, x: np.ndarray) -> np.ndarray:
        """Returns how many keys are smaller than each of `x` (float64 `[n]`), intp `[n]`; of NaN any number of them.

        A number that is a key itself has that key's position.
        """
        if self._cells is None:
            return np.searchsorted(self.keys, x)
        low, scale, before, most = self._cells
        place = before.take(_cell(x, low, scale, len(before)))
        for _ in range(min(_STEPS, most)):
            place += self._ended.take(place) < x
        if most > _STEPS:
            rest = np.flatnonzero(self._ended.take(place) < x)
            place[rest] = np.searchsorted(self.keys, x[rest])
        return place

    def is_at(self, place: np.ndarray, x: np.ndarray) -> np.ndarray:
        """Returns whether each of `x` is the key at its `place`, bool `[n]`."""
        return self._ended.take(place) == x

    @cached_property
    def _cells(self) -> _Cells | None:
        """None where there are few keys, or so far apart or so near that a cell has no finite width."""
        if len(self.keys) < _FEW_KEYS:
            return None
        outer = len(self.keys) // _OUTER
        low, high = float(self.keys[outer]), float(self.keys[-1 - outer])
        count = min(_MOST_CELLS, _CELLS_PER_KEY << len(self.keys).bit_length())
        width = (high - low) / count
        scale = 1.0 / width if 0.0 < width < np.inf else np.inf
        if not 0.0 < scale < np.inf:
            return None
        held = np.bincount(_cell(self.keys, low, scale, count), minlength=count)
        return _Cells(low, scale, np.cumsum(held) - held, int(held.max()))


def _cell(x: np.ndarray, low: float, scale: float, count: int) -> np.ndarray:
    """Returns the cell of each number, intp `[n]`, the outermost for what lies beyond; NaN, too, is in one."""
    with np.errstate(over="ignore"):
        cell = x - low
        cell *= scale
    np.fmax(cell, 0.0, out=cell)
    return np.minimum(cell, count - 1, out=cell).astype(np.intp)
