"""A uniform sample of rows that does not depend on how they were split: the k rows of least hash(seed, row number)."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from vr.data.hashing import mix

__all__ = ["TOP", "RowSample", "bound_for", "plain"]

TOP = np.uint64(2**64 - 1)


@dataclass(frozen=True)
class RowSample:
    """The `k` rows with the least hash of (seed, row number), in row order.

    Attributes:
      k: Capacity.
      seed: Of the hash, 0 or more.
      rows: int64 `[m]`, row numbers, ascending.
      hashes: uint64 `[m]`, their hashes.
      table: The rows themselves; dictionary-encoded columns are plain, so that no batch's vocabulary is kept alive.
      bound: Rows with a greater hash were left out, however few there are.
    """

    k: int
    seed: int
    rows: np.ndarray
    hashes: np.ndarray
    table: pa.Table
    bound: np.uint64 = TOP

    @classmethod
    def of(
        cls,
        batch: pa.RecordBatch,
        row_start: int,
        k: int,
        seed: int,
        below: np.uint64 = TOP,
        bound: np.uint64 = TOP,
    ) -> "RowSample":
        """Returns the sample of one batch whose first row has number `row_start`, of rows with a hash up to `below`.

        What is above `below` must be ruled out by rows that it will be merged with; what is above `bound` is given up.
        """
        below = min(below, bound)
        rows = np.arange(row_start, row_start + batch.num_rows, dtype=np.int64)
        hashes = mix(rows.view(np.uint64) ^ mix(np.full(1, seed, np.uint64)))
        chosen = np.flatnonzero(hashes <= below) if below < TOP else np.arange(len(rows))
        if len(chosen) > k:
            chosen = np.sort(chosen[np.argpartition(hashes[chosen], k - 1)[:k]])
        if len(chosen) < len(rows):
            rows, hashes, batch = rows[chosen], hashes[chosen], batch.take(pa.array(chosen))
        return cls(k, seed, rows, hashes, plain(batch), bound)

    def merge(self, *others: "RowSample") -> "RowSample":
        """Returns the sample of all parts together; commutative and associative, exactly."""
        parts = [self, *others]
        rows = np.concatenate([part.rows for part in parts])
        hashes = np.concatenate([part.hashes for part in parts])
        table = pa.concat_tables([part.table for part in parts])
        order = np.argpartition(hashes, self.k - 1)[: self.k] if len(hashes) > self.k else np.arange(len(hashes))
        order = order[np.argsort(rows[order])]
        if len(order) < len(rows) or (np.diff(order) != 1).any():
            rows, hashes, table = rows[order], hashes[order], table.take(pa.array(order))
        bound = min(part.bound for part in parts)
        return RowSample(self.k, self.seed, rows, hashes, table.combine_chunks(), bound)

    @property
    def is_complete(self) -> bool:
        """Whether it is the sample of all rows, none of those that were left out being among the k least."""
        return self.bound == TOP or (len(self.rows) >= self.k and self.hashes.max() <= self.bound)

    def threshold(self) -> np.uint64:
        """Rows whose hash is above this cannot enter any more."""
        return self.hashes.max() if len(self.rows) >= self.k else TOP


def bound_for(k: int, num_rows: int) -> np.uint64:
    """Returns a hash that the k least of `num_rows` rows lie below, but for a chance of less than 1e-30.

    Parts of a dataset that keep no more than what lies below it hold little more than k rows together, however many
    parts there are.
    """
    share = (k + 12.0 * k**0.5 + 200.0) / max(1, num_rows)
    return TOP if share >= 1.0 else np.uint64(int(share * 2.0**64))


def plain(batch: pa.RecordBatch) -> pa.Table:
    """Returns a batch with its dictionary-encoded columns decoded, so that no vocabulary is kept alive."""
    columns = {
        name: column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column
        for name, column in zip(batch.schema.names, batch.columns, strict=True)
    }
    return pa.table(columns)
