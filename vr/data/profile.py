"""The profile: one streaming pass over a dataset, as a commutative monoid.

`profile(a ++ b) == merge(profile(a), profile(b))` exactly, for any split and any order, in memory that does not grow
with the rows.
"""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from vr.data.codec import Codec
from vr.data.hashing import hash_rows, hash_values, mix
from vr.data.moments import Grid, Moments
from vr.data.sample import TOP, RowSample
from vr.data.sketch import BottomK

__all__ = ["Profile", "Profiler", "merge", "sample_rows"]

ROW_SKETCH = 4_096  # distinct rows kept: 1.6 % error on the share of duplicates
VALUE_SKETCH = 1_024  # distinct values kept a column: 3 % error on their number


@dataclass(frozen=True)
class Profile:
    """What one pass learns of a dataset, all of it exact or an exactly merged sketch.

    Attributes:
      rows: Number of rows.
      counts: int64 `[d, K]`, rows of each code of each encoded column, K the largest number of codes.
      nulls: int64 by dataset column.
      moments: By numeric encoded column.
      distinct: Bottom-k sketch of values by dataset column.
      row_sketch: Bottom-k sketch of whole rows with their multiplicities.
      fingerprint: 64 bits that depend on every cell and its row number, not on batches.
      sample: Uniform sample of rows.
    """

    rows: int
    counts: np.ndarray
    nulls: dict[str, int]
    moments: dict[str, Moments]
    distinct: dict[str, BottomK]
    row_sketch: BottomK
    fingerprint: int
    sample: RowSample

    @property
    def duplicate_fraction(self) -> float:
        """Estimated share of rows that repeat an earlier row, 0 to 1; exact below 4,096 distinct rows."""
        seen = int(self.row_sketch.counts.sum())
        return 1.0 - len(self.row_sketch.counts) / seen if seen else 0.0


def merge(a: Profile, b: Profile) -> Profile:
    """Returns the profile of both parts together; commutative and associative, exactly."""
    return Profile(
        rows=a.rows + b.rows,
        counts=a.counts + b.counts,
        nulls={name: a.nulls[name] + b.nulls[name] for name in a.nulls},
        moments={name: a.moments[name].merge(b.moments[name]) for name in a.moments},
        distinct={name: a.distinct[name].merge(b.distinct[name]) for name in a.distinct},
        row_sketch=a.row_sketch.merge(b.row_sketch),
        fingerprint=(a.fingerprint + b.fingerprint) % 2**64,
        sample=a.sample.merge(b.sample),
    )


@dataclass(frozen=True)
class Profiler:
    """Makes profiles of batches under one codec, so that they can be merged.

    Attributes:
      codec: Fitted on the reference.
      sample_size: Rows in the sample.
      seed: Of the sample.
    """

    codec: Codec
    sample_size: int
    seed: int

    def grid(self, name: str) -> Grid:
        """Returns the fixed-point grid of a numeric encoded column: the reference's range."""
        edges = self.codec.encoders[self.codec.names.index(name)].edges  # type: ignore[attr-defined]
        return Grid.over(float(edges[0]), float(edges[-1]))

    def of(self, batch: pa.RecordBatch, row_start: int, sample_below: np.uint64 = TOP) -> Profile:
        """Returns the profile of one batch whose first row has number `row_start`.

        `sample_below` spares work where rows with a greater hash are known not to enter the sample; it never changes
        a merged result.
        """
        codec = self.codec
        coded = codec.encode(batch)
        num_codes = codec.num_codes
        counts = np.zeros((len(num_codes), int(num_codes.max())), np.int64)
        for j, k in enumerate(num_codes):
            counts[j, :k] = np.bincount(coded.codes[:, j], minlength=k)
        hashes = {name: hash_values(batch.column(name)) for name in codec.sources}
        row_hashes = hash_rows(hashes)
        numbers = np.arange(row_start, row_start + batch.num_rows, dtype=np.uint64)
        return Profile(
            rows=batch.num_rows,
            counts=counts,
            nulls={name: batch.column(name).null_count for name in codec.sources},
            moments={
                name: Moments.of(coded.values[:, j], self.grid(name))
                for j, name in enumerate(codec.names)
                if codec.numeric[j]
            },
            distinct={name: _distinct(batch.column(name), hashes[name]) for name in codec.sources},
            row_sketch=BottomK.of(row_hashes, ROW_SKETCH),
            fingerprint=int(mix(row_hashes ^ mix(numbers)).sum(dtype=np.uint64)),
            sample=RowSample.of(batch, row_start, self.sample_size, self.seed, sample_below),
        )

    def run(
        self,
        batches: Iterable[pa.RecordBatch],
        *,
        threads: int = 2,
        on_batch: Callable[[int], None] | None = None,
    ) -> Profile:
        """Profiles a whole stream (at least one batch), batches in parallel.

        Args:
          batches: In row order.
          threads: Batches profiled at a time.
          on_batch: Told the number of rows done so far.
        """
        whole: Profile | None = None

        def part(item: tuple[int, pa.RecordBatch]) -> Profile:
            # Whatever has been merged by now bounds what can still enter; an older bound only means more work.
            return self.of(item[1], item[0], TOP if whole is None else whole.sample.threshold())

        for profile in _map_in_order(part, _numbered(batches), threads):
            whole = profile if whole is None else merge(whole, profile)
            if on_batch is not None:
                on_batch(whole.rows)
        if whole is None:
            raise ValueError("no batches to profile")
        return whole


def sample_rows(
    batches: Iterable[pa.RecordBatch], size: int, seed: int, on_batch: Callable[[int], None] | None = None
) -> RowSample:
    """Returns a uniform sample of `size` rows of a stream (at least one batch), as `Profiler.run` would draw it."""
    sample: RowSample | None = None
    for start, batch in _numbered(batches):
        part = RowSample.of(batch, start, size, seed, TOP if sample is None else sample.threshold())
        sample = part if sample is None else sample.merge(part)
        if on_batch is not None:
            on_batch(start + batch.num_rows)
    if sample is None:
        raise ValueError("no batches to sample")
    return sample


def _numbered(batches: Iterable[pa.RecordBatch]) -> Iterator[tuple[int, pa.RecordBatch]]:
    start = 0
    for batch in batches:
        yield start, batch
        start += batch.num_rows


def _map_in_order(function: Callable, items: Iterable, threads: int) -> Iterator:
    """Maps in a thread pool, results in order, at most `threads` + 1 items in flight, so that memory stays bounded."""
    if threads <= 1:
        yield from map(function, items)
        return
    with ThreadPoolExecutor(threads) as pool:
        pending: list[Future] = []
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > threads:
                    yield pending.pop(0).result()
            while pending:
                yield pending.pop(0).result()
        finally:
            for future in pending:
                future.cancel()


def _distinct(values: pa.Array, hashes: np.ndarray) -> BottomK:
    """Returns the sketch of distinct non-null values; a value counts once, so that merging stays exact."""
    if isinstance(values, pa.DictionaryArray):
        used = np.bincount(values.indices.drop_null().to_numpy(), minlength=len(values.dictionary)) > 0
        hashes = hash_values(values.dictionary)[used]
    elif values.null_count:
        hashes = hashes[values.is_valid().to_numpy(zero_copy_only=False)]
    sketch = BottomK.of(hashes, VALUE_SKETCH)
    return BottomK(sketch.k, sketch.hashes, np.zeros(len(sketch.hashes), np.int64))
