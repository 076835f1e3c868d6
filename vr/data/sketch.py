"""Bottom-k sketches: the k smallest hashes of a stream, merged exactly.

The k smallest distinct hashes are a uniform sample of the distinct items, so they estimate the number of distinct items
(Bar-Yossef et al. 2002) and, with their counts, how often items repeat. A hash among the final k was never dropped on
the way, so its count is exact, and any split and any order of merging gives the same sketch.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["BottomK"]

_TOP = np.uint64(2**64 - 1)


@dataclass(frozen=True, eq=False)
class BottomK:
    """The `k` smallest distinct hashes seen, ascending, each with its exact count.

    Attributes:
      k: Capacity.
      hashes: uint64 `[<= k]`, ascending.
      counts: int64 `[<= k]`, how often each hash was seen.
    """

    k: int
    hashes: np.ndarray
    counts: np.ndarray

    @classmethod
    def empty(cls, k: int) -> "BottomK":
        """Returns the sketch of nothing, the unit of `merge`."""
        return cls(k, np.empty(0, np.uint64), np.empty(0, np.int64))

    @classmethod
    def of(cls, hashes: np.ndarray, k: int, counts: np.ndarray | None = None) -> "BottomK":
        """Returns the sketch of `hashes` (uint64 `[n]`, repeats allowed), each seen `counts` times (once if None)."""
        if counts is None:
            hashes, counts = np.unique(_least(hashes, k), return_counts=True)
        else:
            hashes, inverse = np.unique(hashes, return_inverse=True)
            counts = np.bincount(inverse, weights=counts, minlength=len(hashes)).astype(np.int64)
        return cls(k, hashes[:k], counts[:k].astype(np.int64))

    @property
    def threshold(self) -> np.uint64:
        """Hashes above this cannot enter the sketch any more."""
        return self.hashes[-1] if len(self.hashes) == self.k else _TOP

    def merge(self, other: "BottomK") -> "BottomK":
        """Returns the sketch of both streams together; commutative and associative, exactly."""
        if self.k != other.k:
            raise ValueError(f"sketches of different capacity: {self.k} and {other.k}")
        return BottomK.of(
            np.concatenate([self.hashes, other.hashes]), self.k, np.concatenate([self.counts, other.counts])
        )

    def distinct(self) -> float:
        """Returns the estimated number of distinct items; exact below `k`, relative error about 1/sqrt(k) above."""
        if len(self.hashes) < self.k:
            return float(len(self.hashes))
        return (self.k - 1) / (float(self.hashes[-1]) / 2.0**64)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BottomK):
            return NotImplemented
        return (
            self.k == other.k
            and np.array_equal(self.hashes, other.hashes)
            and np.array_equal(self.counts, other.counts)
        )


def _least(hashes: np.ndarray, k: int) -> np.ndarray:
    """Returns a part of `hashes` that holds every copy of the k smallest distinct ones; sorting it is much cheaper."""
    if len(hashes) > 8 * k:
        below = hashes[hashes < np.uint64(int(2.0**64 * 2 * k / len(hashes)))]
        if len(np.unique(below)) >= k:
            return below
    return hashes
