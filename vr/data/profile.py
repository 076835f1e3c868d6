"""The profile: one streaming pass over a dataset, as a commutative monoid.

`profile(a ++ b) == merge(profile(a), profile(b))` exactly, for any split and any order, in memory that does not grow
with the rows.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property, reduce
from typing import Generic, TypeVar

import numpy as np
import pyarrow as pa

from vr.data.codec import Codec
from vr.data.encoders import NumericEncoder
from vr.data.hashing import fingerprint_of, mix
from vr.data.moments import Grid, Moments
from vr.data.ordered import map_in_order
from vr.data.priority import PrioritySample
from vr.data.sample import TOP, RowSample
from vr.data.sketch import BottomK
from vr.data.tally import tally

__all__ = ["Pool", "Profile", "Profiler", "merge", "pooled", "sample_rows"]

ROW_SKETCH = 4_096  # distinct rows kept: 1.6 % error on the share of duplicates
VALUE_SKETCH = 1_024  # distinct values kept a column: 3 % error on their number
_MAX_WAITING = 16  # batches profiled before they are merged


@dataclass(frozen=True)
class Profile:
    """What one pass learns of a dataset, all of it exact or an exactly merged sketch.

    Attributes:
      rows: Number of rows.
      counts: int64 `[d, K]`, rows of each code of each encoded column, K the largest number of codes.
      nulls: Nulls, NaN included, by dataset column.
      moments: By numeric encoded column.
      distinct: Bottom-k sketch of values by dataset column.
      row_sketch: Bottom-k sketch of whole rows with their multiplicities.
      fingerprint: 64 bits that depend on every cell and its row number, not on batches.
      sample: Uniform sample of rows.
      watched: bool `[w]`, which of the rows that the profiler was told to watch for occur.
    """

    rows: int
    counts: np.ndarray
    nulls: dict[str, int]
    moments: dict[str, Moments]
    distinct: dict[str, BottomK]
    row_sketch: BottomK
    fingerprint: int
    sample: RowSample
    watched: np.ndarray

    @property
    def duplicate_fraction(self) -> float:
        """Estimated share of rows that repeat an earlier row, 0 to 1; exact below 4,096 distinct rows."""
        seen = int(self.row_sketch.counts.sum())
        return 1.0 - len(self.row_sketch.counts) / seen if seen else 0.0


def merge(first: Profile, *others: Profile) -> Profile:
    """Returns the profile of all parts together; commutative and associative, exactly."""
    parts = [first, *others]
    return Profile(
        rows=sum(part.rows for part in parts),
        counts=np.sum([part.counts for part in parts], axis=0),
        nulls={name: sum(part.nulls[name] for part in parts) for name in first.nulls},
        moments={name: reduce(Moments.merge, (part.moments[name] for part in parts)) for name in first.moments},
        distinct={
            name: first.distinct[name].merge(*(part.distinct[name] for part in others)) for name in first.distinct
        },
        row_sketch=first.row_sketch.merge(*(part.row_sketch for part in others)),
        fingerprint=sum(part.fingerprint for part in parts) % 2**64,
        sample=first.sample.merge(*(part.sample for part in others)),
        watched=np.logical_or.reduce([part.watched for part in parts]),
    )


@dataclass(frozen=True)
class Profiler:
    """Makes profiles of batches under one codec, so that they can be merged.

    Attributes:
      codec: Fitted on the reference.
      sample_size: Rows in the sample.
      seed: Of the sample.
      watch: uint64 `[w]` ascending, hashes of rows to watch for.
      bound: Rows whose hash is greater are left out of the sample, see `vr.data.sample.bound_for`.
    """

    codec: Codec
    sample_size: int
    seed: int
    watch: np.ndarray = field(default_factory=lambda: np.empty(0, np.uint64))
    bound: np.uint64 = TOP

    def grid(self, name: str) -> Grid:
        """Returns the fixed-point grid of a numeric encoded column: the reference's range."""
        return self._grids[name]

    @cached_property
    def _grids(self) -> dict[str, Grid]:
        return {
            encoder.name: Grid.over(float(encoder.edges[0]), float(encoder.edges[-1]))
            for encoder in self.codec.encoders
            if isinstance(encoder, NumericEncoder)
        }

    @cached_property
    def _places(self) -> dict[str, list[int]]:
        """The encoded columns of each column of the dataset."""
        places: dict[str, list[int]] = {}
        for j, encoder in enumerate(self.codec.encoders):
            places.setdefault(encoder.source, []).append(j)
        return places

    def of(self, batch: pa.RecordBatch, row_start: int, known: Profile | None = None) -> Profile:
        """Returns the profile of one batch whose first row has number `row_start`.

        `known`, a profile of other rows that this one will be merged with, spares work: rows and values that it rules
        out of the sample and the sketches are left out. That never changes the merged result.
        """
        encoders = self.codec.encoders
        counts = np.zeros((len(encoders), int(self.codec.num_codes.max())), np.int64)
        nulls: dict[str, int] = {}
        moments: dict[str, Moments] = {}
        distinct: dict[str, BottomK] = {}
        row_sums = np.zeros(batch.num_rows, np.uint64)
        for name in self.codec.sources:
            places = self._places[name]
            below = TOP if known is None else known.distinct[name].threshold
            readers = [encoders[j] for j in places]
            part = tally(batch.column(name), readers, self._grids, row_sums, VALUE_SKETCH, below)
            for j, codes, moment in zip(places, part.counts, part.moments, strict=True):
                counts[j, : len(codes)] = codes
                if moment is not None:
                    moments[encoders[j].name] = moment
            nulls[name] = int(counts[places[0], 0])
            distinct[name] = part.distinct
        row_hashes = mix(row_sums)
        watched = np.zeros(len(self.watch), bool)
        if len(watched):
            at = np.minimum(np.searchsorted(self.watch, row_hashes), len(watched) - 1)
            watched[at[self.watch[at] == row_hashes]] = True
        return Profile(
            rows=batch.num_rows,
            counts=counts,
            nulls=nulls,
            moments=moments,
            distinct=distinct,
            row_sketch=BottomK.of(row_hashes, ROW_SKETCH, TOP if known is None else known.row_sketch.threshold),
            fingerprint=fingerprint_of(row_hashes, row_start),
            sample=RowSample.of(
                batch,
                row_start,
                self.sample_size,
                self.seed,
                TOP if known is None else known.sample.threshold(),
                self.bound,
            ),
            watched=watched,
        )

    def run(
        self,
        batches: Iterable[pa.RecordBatch],
        *,
        threads: int = 2,
        on_batch: Callable[[int], None] | None = None,
        row_start: int = 0,
    ) -> Profile:
        """Profiles a whole stream (at least one batch), batches in parallel.

        Args:
          batches: In row order.
          threads: Batches profiled at a time.
          on_batch: Told the number of rows done so far.
          row_start: Number of the first row.
        """
        return pooled(self.of, merge, batches, threads=threads, on_batch=on_batch, row_start=row_start)


def sample_rows(
    batches: Iterable[pa.RecordBatch],
    size: int,
    seed: int,
    on_batch: Callable[[int], None] | None = None,
    *,
    row_start: int = 0,
    bound: np.uint64 = TOP,
) -> RowSample:
    """Returns a uniform sample of `size` rows of a stream (at least one batch), as `Profiler.run` would draw it."""
    pool = Pool(RowSample.merge)
    for start, batch in _numbered(batches, row_start):
        below = TOP if pool.merged is None else pool.merged.threshold()
        pool.add(RowSample.of(batch, start, size, seed, below, bound))
        if on_batch is not None:
            on_batch(start - row_start + batch.num_rows)
    return pool.whole()


_Part = TypeVar("_Part", Profile, RowSample, PrioritySample)


class Pool(Generic[_Part]):
    """Parts of a dataset, merged several at a time: the cost of merging is that of the sample, however few are new.

    Attributes:
      merged: What was merged so far.
    """

    def __init__(self, merge: Callable[..., _Part]):
        self.merged: _Part | None = None
        self._merge = merge
        self._waiting: list[_Part] = []
        self._num_merged = 0

    def add(self, part: _Part) -> None:
        """Takes one part, whichever comes first."""
        self._waiting.append(part)
        # Doubling at first: the bounds that `merged` sets tighten as its rows double. The cap bounds the memory.
        if len(self._waiting) >= min(self._num_merged, _MAX_WAITING):
            self._settle()

    def whole(self) -> _Part:
        """Returns all parts merged."""
        self._settle()
        if self.merged is None:
            raise ValueError("no batches")
        return self.merged

    def _settle(self) -> None:
        if self._waiting:
            self._num_merged += len(self._waiting)
            waiting = self._waiting if self.merged is None else [self.merged, *self._waiting]
            self.merged = self._merge(*waiting)
            self._waiting = []


def pooled(
    of: Callable[[pa.RecordBatch, int, _Part | None], _Part],
    merge: Callable[..., _Part],
    batches: Iterable[pa.RecordBatch],
    *,
    threads: int,
    on_batch: Callable[[int], None] | None,
    row_start: int,
) -> _Part:
    """Returns `of` every batch of a stream (at least one), merged, batches in parallel.

    Args:
      of: Makes a part from a batch, the number of its first row, and what was merged by then, which may rule rows out.
      merge: Of several parts.
      batches: In row order.
      threads: Batches worked on at a time.
      on_batch: Told the number of rows done so far.
      row_start: Number of the first row.
    """
    pool = Pool(merge)
    done = 0

    def part(item: tuple[int, pa.RecordBatch]) -> tuple[_Part, int]:
        # Whatever has been merged by now bounds what can still enter; an older bound only means more work.
        return of(item[1], item[0], pool.merged), item[1].num_rows

    for made, rows in map_in_order(part, _numbered(batches, row_start), threads):
        pool.add(made)
        done += rows
        if on_batch is not None:
            on_batch(done)
    return pool.whole()


def _numbered(batches: Iterable[pa.RecordBatch], start: int) -> Iterator[tuple[int, pa.RecordBatch]]:
    for batch in batches:
        yield start, batch
        start += batch.num_rows
