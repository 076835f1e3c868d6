"""A sample of unequal probabilities, stratum by stratum, that does not depend on how the rows were split.

Every row has a rank u / w: u uniform in (0, 1] by its number and the seed, w the probability that it is wanted with. Of
each stratum the rows of least rank are kept, as many as it has room for. The least rank that is left out is the
threshold tau: given it, a row is in the sample with probability min(1, w tau) whatever becomes of the others, so that
the weight max(1, 1 / (w tau)) makes the estimate of any total over rows unbiased.

Where all rows of a stratum are wanted alike, those that are kept are a simple random sample of it, and each stands for
exactly its share: still unbiased, and the size of the stratum is estimated without error.

References:
  Duffield, Lund and Thorup 2007, Priority sampling for estimation of arbitrary subset sums, theorem 1.
  Cohen and Kaplan 2007, Summarizing data using bottom-k sketches: ranks, rank conditioning, merging.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from vr.data.hashing import mix
from vr.data.sample import plain

__all__ = ["PrioritySample"]

# The uniform sample decides what rows are wanted, so that these ranks must know nothing of its hashes.
_SALT = np.uint64(0x5851F42D4C957F2D)


@dataclass(frozen=True)
class PrioritySample:
    """The rows of least rank of each stratum, in row order.

    Attributes:
      sizes: int64 `[h]`, rows that each stratum has room for, at least 1.
      seed: Of the ranks, 0 or more.
      rows: int64 `[m]`, row numbers, ascending.
      strata: int64 `[m]`, in [0, h).
      wanted: float64 `[m]`, above 0: inclusion probabilities up to a factor of each stratum.
      ranks: float64 `[m]`.
      table: The rows themselves; dictionary-encoded columns are plain.
      seen: int64 `[h]`, how many rows each stratum has in all.
      least: float64 `[h]`, the least that a row of each stratum is wanted with, infinite without rows.
      most: float64 `[h]`, likewise the most, 0 without rows.
      left_out: float64 `[h]`, the least rank that is not in the sample, infinite where none is left out.
    """

    sizes: np.ndarray
    seed: int
    rows: np.ndarray
    strata: np.ndarray
    wanted: np.ndarray
    ranks: np.ndarray
    table: pa.Table
    seen: np.ndarray
    least: np.ndarray
    most: np.ndarray
    left_out: np.ndarray

    @classmethod
    def of(
        cls,
        batch: pa.RecordBatch,
        row_start: int,
        strata: np.ndarray,
        wanted: np.ndarray,
        sizes: np.ndarray,
        seed: int,
        below: float | np.ndarray = np.inf,
    ) -> "PrioritySample":
        """Returns the sample of one batch whose first row has number `row_start`.

        Args:
          batch: The rows `[n]`.
          row_start: Number of the first one.
          strata: Of each row, `[n]`.
          wanted: Of each row, `[n]`, above 0.
          sizes: `[h]`.
          seed: Of the ranks.
          below: Rows of this rank or a greater one, for each stratum `[h]`, are left out, however few there are.
        """
        rows = np.arange(row_start, row_start + batch.num_rows, dtype=np.int64)
        ranks = _uniform(rows, seed) / wanted
        some = np.flatnonzero(ranks < np.broadcast_to(below, sizes.shape)[strata])
        chosen = some[_least(strata[some], ranks[some], rows[some], sizes)]
        left = np.ones(len(rows), bool)
        left[chosen] = False
        left_out, least, most = np.full(len(sizes), np.inf), np.full(len(sizes), np.inf), np.zeros(len(sizes))
        np.minimum.at(left_out, strata[left], ranks[left])
        np.minimum.at(least, strata, wanted)
        np.maximum.at(most, strata, wanted)
        return cls(
            sizes,
            seed,
            rows[chosen],
            strata[chosen].astype(np.int64),
            wanted[chosen].astype(np.float64),
            ranks[chosen],
            plain(batch.take(pa.array(chosen))),
            np.bincount(strata, minlength=len(sizes)),
            least,
            most,
            left_out,
        )

    def merge(self, *others: "PrioritySample") -> "PrioritySample":
        """Returns the sample of all parts together; commutative and associative, exactly."""
        parts = [self, *others]
        rows, strata, wanted, ranks = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("rows", "strata", "wanted", "ranks")
        )
        table = pa.concat_tables([part.table for part in parts])
        chosen = _least(strata, ranks, rows, self.sizes)
        left = np.ones(len(rows), bool)
        left[chosen] = False
        left_out = np.min([part.left_out for part in parts], axis=0)
        np.minimum.at(left_out, strata[left], ranks[left])
        chosen = chosen[np.argsort(rows[chosen])]
        return PrioritySample(
            self.sizes,
            self.seed,
            rows[chosen],
            strata[chosen],
            wanted[chosen],
            ranks[chosen],
            table.take(pa.array(chosen)).combine_chunks(),
            np.sum([part.seen for part in parts], axis=0),
            np.min([part.least for part in parts], axis=0),
            np.max([part.most for part in parts], axis=0),
            left_out,
        )

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def weights(self) -> np.ndarray:
        """How many rows each stands for, float64 `[m]` of 1 or more (Horvitz and Thompson's)."""
        given_threshold = np.maximum(1.0, 1.0 / (self.wanted * self.left_out[self.strata]))
        held = np.bincount(self.strata, minlength=len(self.sizes))
        alike = self.seen / np.maximum(held, 1)
        return np.where((self.least == self.most)[self.strata], alike[self.strata], given_threshold)

    @property
    def is_complete(self) -> bool:
        """Whether it is the sample of all rows: what was left out by `below` would not be in it."""
        held = np.bincount(self.strata, minlength=len(self.sizes))
        highest = np.zeros(len(self.sizes))
        np.maximum.at(highest, self.strata, self.ranks)
        return bool((held == np.minimum(self.sizes, self.seen)).all() and (highest <= self.left_out).all())


def _uniform(rows: np.ndarray, seed: int) -> np.ndarray:
    """Returns each row number's own draw from (0, 1]."""
    hashes = mix(rows.view(np.uint64) ^ mix(np.full(1, seed, np.uint64) ^ _SALT))
    return (hashes.astype(np.float64) + 1.0) / 2.0**64


def _least(strata: np.ndarray, ranks: np.ndarray, rows: np.ndarray, sizes: np.ndarray) -> np.ndarray:
    """Returns the positions of the rows of least rank of each stratum, ascending; equal ranks by row number."""
    order = np.lexsort((rows, ranks, strata))
    of = strata[order]
    place = np.arange(len(of)) - np.searchsorted(of, of)
    return np.sort(order[place < sizes[of]])
