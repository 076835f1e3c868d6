"""Bottom-k sketches: the k smallest hashes of a stream, merged exactly.

The k smallest distinct hashes are a uniform sample of the distinct items, so they estimate the number of distinct items
(Bar-Yossef et al. 2002) and, with their counts, how often items repeat. A hash among the final k was never dropped on
the way, so its count is exact, and any split and any order of merging gives the same sketch.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

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
    def of(cls, hashes: np.ndarray, k: int, below: np.uint64 = _TOP) -> "BottomK":
        """Returns the sketch of those of `hashes` (uint64 `[n]`, repeats allowed) that are `below` or equal."""
        values, counts = _count(_least(hashes, k, below))
        order = np.argsort(values)[:k]
        return cls(k, values[order], counts[order])

    @property
    def threshold(self) -> np.uint64:
        """Hashes above this cannot enter the sketch any more."""
        return self.hashes[-1] if len(self.hashes) == self.k else _TOP

    def merge(self, *others: "BottomK") -> "BottomK":
        """Returns the sketch of all streams together; commutative and associative, exactly."""
        if any(other.k != self.k for other in others):
            raise ValueError(f"sketches of different capacity: {self.k} and {[other.k for other in others]}")
        parts = [self, *others]
        hashes, inverse = np.unique(np.concatenate([part.hashes for part in parts]), return_inverse=True)
        counts = np.zeros(len(hashes), np.int64)
        np.add.at(counts, inverse, np.concatenate([part.counts for part in parts]))
        return BottomK(self.k, hashes[: self.k], counts[: self.k])

    def without_counts(self) -> "BottomK":
        """Returns the sketch with all counts zero, for streams in which repeats mean nothing."""
        return BottomK(self.k, self.hashes, np.zeros_like(self.counts))

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


def _count(hashes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the distinct hashes, unordered, and their counts."""
    # pyarrow's hash table is several times as fast as a sort.
    counted = pc.value_counts(pa.array(hashes))
    return counted.field("values").to_numpy(), counted.field("counts").to_numpy()


def _least(hashes: np.ndarray, k: int, below: np.uint64) -> np.ndarray:
    """Returns a part of `hashes` that holds every copy of the k smallest distinct ones up to `below`."""
    if below < _TOP:
        return hashes[hashes <= below]
    if len(hashes) > 8 * k:
        part = hashes[hashes < np.uint64(int(2.0**64 * 2 * k / len(hashes)))]
        if len(pc.unique(pa.array(part))) >= k:
            return part
    return hashes
