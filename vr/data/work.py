"""What one pass does with each partition of a dataset, and how what comes of it is merged, kept and sent."""

import hashlib
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import numpy as np
import pyarrow as pa

from vr.core.installed import version_of
from vr.data.codec import Codec
from vr.data.packed import pack, unpack
from vr.data.portable import (
    codec_of,
    pack_priority,
    pack_profile,
    pack_sample,
    packed_codec,
    priority_of,
    profile_of,
    sample_of,
)
from vr.data.priority import PrioritySample
from vr.data.profile import ROW_SKETCH, VALUE_SKETCH, Profile, Profiler, merge, pooled, sample_rows
from vr.data.sample import TOP, RowSample
from vr.data.strata import Strata

__all__ = ["ProfileWork", "SampleWork", "StratifiedWork", "Work", "work_of"]

_FORMAT = 1  # of kept states; raised where the same bytes would mean something else
State = TypeVar("State")


class Work(Protocol[State]):
    """One pass over a dataset, partition by partition; states of all partitions merge to that of the dataset."""

    @property
    def columns(self) -> list[str]:
        """Columns to read."""
        ...

    @property
    def bound(self) -> np.uint64:
        """Rows with a greater hash are left out of samples, see `vr.data.sample.bound_for`."""
        ...

    @property
    def digest(self) -> str:
        """What a partition's state depends on beside its rows, versions included."""
        ...

    def run(
        self,
        batches: Iterable[pa.RecordBatch],
        row_start: int,
        threads: int,
        on_rows: Callable[[int], None] | None = None,
    ) -> State:
        """Returns the state of one partition; `on_rows` is told how many of its rows are done."""
        ...

    def merge(self, first: State, *others: State) -> State:
        """Returns the state of several partitions together; commutative and associative, exactly."""
        ...

    def is_complete(self, state: State) -> bool:
        """Whether the merged state is that of the whole dataset: bounds may have left out too much."""
        ...

    def bound_of(self, state: State) -> np.uint64:
        """Returns the bound that a state's sample was drawn under."""
        ...

    def unbounded(self) -> "Work[State]":
        """Returns the same work without bounds."""
        ...

    def pack(self, state: State) -> bytes:
        """Returns a state as bytes."""
        ...

    def unpack(self, content: bytes) -> State:
        """Returns a state again; ValueError where the bytes are damaged."""
        ...

    def packed(self) -> bytes:
        """Returns the work itself as bytes, for another machine; see `work_of`."""
        ...


@dataclass(frozen=True)
class SampleWork:
    """Draws the rows that a codec is fitted to.

    Attributes:
      columns: To read.
      size: Rows of the sample.
      seed: Of the sample.
      bound: See `vr.data.sample.bound_for`.
    """

    columns: list[str]
    size: int
    seed: int
    bound: np.uint64 = TOP

    @property
    def digest(self) -> str:  # noqa: D102
        # Not the bound: it decides only how much is kept.
        return _digest("sample", [self.columns, self.size, self.seed])

    def run(  # noqa: D102
        self,
        batches: Iterable[pa.RecordBatch],
        row_start: int,
        threads: int,
        on_rows: Callable[[int], None] | None = None,
    ) -> RowSample:
        del threads  # there is nothing to do but to read
        return sample_rows(batches, self.size, self.seed, on_rows, row_start=row_start, bound=self.bound)

    def merge(self, first: RowSample, *others: RowSample) -> RowSample:  # noqa: D102
        return first.merge(*others)

    def is_complete(self, state: RowSample) -> bool:  # noqa: D102
        return state.is_complete

    def bound_of(self, state: RowSample) -> np.uint64:  # noqa: D102
        return state.bound

    def unbounded(self) -> "SampleWork":  # noqa: D102
        return replace(self, bound=TOP)

    def pack(self, state: RowSample) -> bytes:  # noqa: D102
        return pack_sample(state)

    def unpack(self, content: bytes) -> RowSample:  # noqa: D102
        return sample_of(content)

    def packed(self) -> bytes:  # noqa: D102
        told = {"columns": self.columns, "size": self.size, "seed": self.seed, "bound": int(self.bound)}
        return pack({"work": "sample", "told": told}, {})


@dataclass(frozen=True)
class ProfileWork:
    """Profiles rows under a codec.

    Attributes:
      profiler: Codec, sample, rows to watch for.
    """

    profiler: Profiler

    @property
    def columns(self) -> list[str]:  # noqa: D102
        return self.profiler.codec.sources

    @property
    def bound(self) -> np.uint64:  # noqa: D102
        return self.profiler.bound

    @property
    def digest(self) -> str:  # noqa: D102
        codec = hashlib.sha256(packed_codec(self.profiler.codec)).hexdigest()
        watch = hashlib.sha256(self.profiler.watch.tobytes()).hexdigest()
        return _digest("profile", [codec, watch, self.profiler.sample_size, self.profiler.seed])

    def run(  # noqa: D102
        self,
        batches: Iterable[pa.RecordBatch],
        row_start: int,
        threads: int,
        on_rows: Callable[[int], None] | None = None,
    ) -> Profile:
        return self.profiler.run(batches, threads=threads, on_batch=on_rows, row_start=row_start)

    def merge(self, first: Profile, *others: Profile) -> Profile:  # noqa: D102
        return merge(first, *others)

    def is_complete(self, state: Profile) -> bool:  # noqa: D102
        return state.sample.is_complete

    def bound_of(self, state: Profile) -> np.uint64:  # noqa: D102
        return state.sample.bound

    def unbounded(self) -> "ProfileWork":  # noqa: D102
        return ProfileWork(replace(self.profiler, bound=TOP))

    def pack(self, state: Profile) -> bytes:  # noqa: D102
        return pack_profile(state)

    def unpack(self, content: bytes) -> Profile:  # noqa: D102
        return profile_of(content)

    def packed(self) -> bytes:  # noqa: D102
        told = {
            "size": self.profiler.sample_size,
            "seed": self.profiler.seed,
            "bound": int(self.profiler.bound),
        }
        codec = np.frombuffer(packed_codec(self.profiler.codec), np.uint8)
        return pack({"work": "profile", "told": told}, {"codec": codec, "watch": self.profiler.watch})


_PIECE = 8_192  # rows coded at a time: of a thousand columns 80 MB


@dataclass(frozen=True)
class StratifiedWork:
    """Draws a stratified sample.

    Attributes:
      columns: To read, those of the codec among them.
      codec: What strata are told by.
      strata: Which row belongs where, and how many are drawn.
      seed: Of the ranks.
      below: Ranks from which on rows are left out of a partition's sample. As ranks go by the probabilities that rows
        are wanted with, 1 would hold about as many rows as are drawn, and partitions together hold some four times
        that, however many they are.
    """

    columns: list[str]
    codec: Codec
    strata: Strata
    seed: int
    below: float = 4.0

    @property
    def bound(self) -> np.uint64:  # noqa: D102
        # Its bound is `below`, which the digest has.
        return TOP

    @property
    def digest(self) -> str:  # noqa: D102
        codec, strata = (hashlib.sha256(part).hexdigest() for part in (packed_codec(self.codec), self.strata.pack()))
        return _digest("stratified", [self.columns, codec, strata, self.seed, self.below])

    def run(  # noqa: D102
        self,
        batches: Iterable[pa.RecordBatch],
        row_start: int,
        threads: int,
        on_rows: Callable[[int], None] | None = None,
    ) -> PrioritySample:
        return pooled(self._of, self.merge, batches, threads=threads, on_batch=on_rows, row_start=row_start)

    def _of(self, batch: pa.RecordBatch, row_start: int, known: PrioritySample | None) -> PrioritySample:
        strata, wanted = np.empty(batch.num_rows, np.int64), np.empty(batch.num_rows)
        for start in range(0, batch.num_rows, _PIECE):
            rows = slice(start, start + _PIECE)
            codes = self.codec.encode(batch.slice(start, _PIECE)).codes
            strata[rows], wanted[rows] = self.strata.of(codes)
        below = self.below if known is None else np.minimum(self.below, known.left_out)
        return PrioritySample.of(batch, row_start, strata, wanted, self.strata.sizes, self.seed, below)

    def merge(self, first: PrioritySample, *others: PrioritySample) -> PrioritySample:  # noqa: D102
        return first.merge(*others)

    def is_complete(self, state: PrioritySample) -> bool:  # noqa: D102
        return state.is_complete

    def bound_of(self, state: PrioritySample) -> np.uint64:  # noqa: D102
        return TOP

    def unbounded(self) -> "StratifiedWork":  # noqa: D102
        return replace(self, below=np.inf)

    def pack(self, state: PrioritySample) -> bytes:  # noqa: D102
        return pack_priority(state)

    def unpack(self, content: bytes) -> PrioritySample:  # noqa: D102
        return priority_of(content)

    def packed(self) -> bytes:  # noqa: D102
        told = {"columns": self.columns, "seed": self.seed, "below": self.below.hex()}
        parts = {"codec": packed_codec(self.codec), "strata": self.strata.pack()}
        return pack(
            {"work": "stratified", "told": told},
            {name: np.frombuffer(content, np.uint8) for name, content in parts.items()},
        )


def work_of(content: bytes) -> "SampleWork | ProfileWork | StratifiedWork":
    """Returns work from what its `packed` gave."""
    header, arrays = unpack(content)
    told = header["told"]
    if header["work"] == "stratified":
        codec, strata = codec_of(arrays["codec"].tobytes()), Strata.unpacked(arrays["strata"].tobytes())
        return StratifiedWork(told["columns"], codec, strata, told["seed"], float.fromhex(told["below"]))
    bound = np.uint64(told["bound"])
    if header["work"] == "sample":
        return SampleWork(told["columns"], told["size"], told["seed"], bound)
    codec = codec_of(arrays["codec"].tobytes())
    return ProfileWork(Profiler(codec, told["size"], told["seed"], arrays["watch"], bound))


def _digest(kind: str, parts: list) -> str:
    constants = [_FORMAT, ROW_SKETCH, VALUE_SKETCH]
    # What is loaded says which version it is; scikit-learn is loaded for texts alone.
    versions = [
        ["vr", version_of("vr")],
        ["numpy", np.__version__],
        ["pyarrow", pa.__version__],
        ["scikit-learn", version_of("scikit-learn")],
    ]
    return hashlib.sha256(json.dumps([kind, parts, constants, versions]).encode()).hexdigest()
