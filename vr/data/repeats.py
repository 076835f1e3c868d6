"""Which rows repeat an earlier row, found in one pass in row order."""

import numpy as np

__all__ = ["Repeats"]

MAX_ROWS = 2**24  # distinct rows remembered: 128 MB


class Repeats:
    """Remembers row hashes in sorted runs of doubling length, so that a look-up costs a few binary searches.

    After `MAX_ROWS` distinct rows nothing new is remembered: later rows are still compared with the remembered ones,
    and `complete` is False.
    """

    def __init__(self) -> None:
        self._runs: list[np.ndarray] = []
        self.complete = True

    def mark(self, hashes: np.ndarray) -> np.ndarray:
        """Returns which rows repeat an earlier row, bool `[n]`, and remembers the others; call in row order."""
        ordered = np.sort(hashes)
        # Sorted, so that the look-ups walk through a run instead of jumping about in it.
        seen = [ordered[1:][ordered[1:] == ordered[:-1]], *(ordered[_among(ordered, run)] for run in self._runs)]
        repeated = np.zeros(len(hashes), bool)
        if any(map(len, seen)):
            suspects = np.flatnonzero(np.isin(hashes, np.concatenate(seen)))
            _, first = np.unique(hashes[suspects], return_index=True)
            again = np.ones(len(suspects), bool)
            again[first] = False
            for run in self._runs:
                again |= _among(hashes[suspects], run)
            repeated[suspects] = again
            ordered = np.sort(hashes[~repeated])
        self._remember(ordered)
        return repeated

    def _remember(self, run: np.ndarray) -> None:
        if sum(map(len, self._runs)) + len(run) > MAX_ROWS:
            self.complete = False
            return
        while self._runs and len(self._runs[-1]) <= len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]))
        if len(run):
            self._runs.append(run)


def _among(hashes: np.ndarray, run: np.ndarray) -> np.ndarray:
    """Returns which of `hashes` are in `run` (ascending, not empty)."""
    return run[np.minimum(np.searchsorted(run, hashes), len(run) - 1)] == hashes
