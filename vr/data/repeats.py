"""Which rows repeat an earlier row, and which of these go where that row goes, found in one pass in row order."""

from collections.abc import Mapping

import numpy as np

__all__ = ["Followers", "Repeats"]

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

    def known(self, hashes: np.ndarray) -> np.ndarray:
        """Returns which rows repeat a remembered one, bool `[n]`, and remembers nothing."""
        found = np.zeros(len(hashes), bool)
        for run in self._runs:
            found |= _among(hashes, run)
        return found

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns what is remembered as arrays, of which `of_arrays` makes it again."""
        runs = np.concatenate(self._runs) if self._runs else np.empty(0, np.uint64)
        return {
            "runs": runs,
            "lengths": np.array([*map(len, self._runs)], np.int64),
            "complete": np.array(self.complete),
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Repeats":
        """Returns what gave these `arrays`."""
        result = cls()
        result._runs = np.split(arrays["runs"], np.cumsum(arrays["lengths"])[:-1]) if len(arrays["lengths"]) else []
        result.complete = bool(arrays["complete"])
        return result

    def _remember(self, run: np.ndarray) -> None:
        if sum(map(len, self._runs)) + len(run) > MAX_ROWS:
            self.complete = False
            return
        while self._runs and len(self._runs[-1]) <= len(run):
            run = np.sort(np.concatenate([self._runs.pop(), run]))
        if len(run):
            self._runs.append(run)


class Followers:
    """Lets repeats share the fate of the row that they repeat: where it goes, they go.

    Remembers as many rows that go as `Repeats` does; `complete` is False where repeats of others may have stayed.
    """

    def __init__(self) -> None:
        self._gone = Repeats()

    def arrays(self) -> dict[str, np.ndarray]:
        """Returns what is remembered, see `Repeats.arrays`."""
        return self._gone.arrays()

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, np.ndarray]) -> "Followers":
        """Returns what gave these `arrays`."""
        result = cls()
        result._gone = Repeats.of_arrays(arrays)
        return result

    @property
    def complete(self) -> bool:
        """Whether every row that went is remembered."""
        return self._gone.complete

    def follow(self, hashes: np.ndarray, goes: np.ndarray, repeated: np.ndarray) -> np.ndarray:
        """Returns which rows go in the end, bool `[n]`; call in row order.

        Args:
          hashes: uint64 `[n]`, of the rows.
          goes: bool `[n]`, rows that go for what they are.
          repeated: bool `[n]`, rows that are known as repeats and go where a row with their hash went, too.
        """
        self._gone.mark(hashes[goes])
        found = goes.copy()
        found[repeated] |= self._gone.known(hashes[repeated])
        return found


def _among(hashes: np.ndarray, run: np.ndarray) -> np.ndarray:
    """Returns which of `hashes` are in `run` (ascending, not empty)."""
    return run[np.minimum(np.searchsorted(run, hashes), len(run) - 1)] == hashes
