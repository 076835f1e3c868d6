"""Real rows that a user gives to be appended: drawn evenly, or out of regions of the table, in their own order."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from vr.core.errors import DataError
from vr.data.hashing import fingerprint_of, hash_batch, hash_values, mix
from vr.data.schema import common_columns
from vr.data.source import Source
from vr.pipeline.report import ValidationReport
from vr.recommendation.regions import Region, region_of

__all__ = ["RealRows"]

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")
_TYPED_BY_VALUES = ("csv", "tsv", "json", "jsonl")
_BLOCK_ROWS = 65_536  # of which rows are drawn at a time


@dataclass(frozen=True)
class RealRows:
    """Rows to append.

    Attributes:
      even: How many are drawn from all of the file, all of them where it has fewer than were asked for.
      filled: How many are drawn out of each region beside these, all there are where the file has fewer.
      document: Where they come from, for the manifest.
    """

    even: int
    filled: tuple[int, ...]
    document: dict[str, Any]
    _chosen: np.ndarray = field(repr=False)
    _source: Source = field(repr=False)
    _types: Mapping[str, pa.DataType | None] = field(repr=False)

    @classmethod
    def of(
        cls,
        real: Source,
        candidate: Source,
        wanted: int,
        report: ValidationReport,
        columns: Sequence[str],
        regions: Sequence[tuple[Region, int]] = (),
    ) -> "RealRows":
        """Returns the rows of `real` that are to be appended to `candidate`.

        Args:
          real: Real rows.
          candidate: What they are appended to.
          wanted: How many to draw from all of them.
          report: Whose recommendations are executed; its seed decides which are drawn.
          columns: Those that fingerprints are of.
          regions: Regions, and how many of the rows in each are wanted beside these.

        Raises:
          DataError: where a column of the candidate is missing, or holds another kind of values.
        """
        # What pandas adds to number the rows is nobody's data: null in the new ones.
        names = list(candidate.readers[0].schema.names)
        missing = [name for name in names if name not in real.schema.names and not _PANDAS_INDEX.fullmatch(name)]
        if missing:
            raise DataError(
                f"lacks column '{missing[0]}', or holds what cannot be copied in it",
                where=real.uri,
                hint="give real rows with all of the candidate's columns",
            )
        alike, _ = common_columns(candidate.schema, real.schema)
        if other := [name for name in candidate.schema.names if name not in alike]:
            raise DataError(
                f"is {real.schema.field(other[0]).type}, and {candidate.schema.field(other[0]).type} in the candidate",
                where=f"{real.uri}, column '{other[0]}'",
                hint="give real rows whose columns hold what the candidate's do",
            )
        rows = fingerprint = 0
        for batch in real.batches(columns):
            fingerprint = (fingerprint + fingerprint_of(hash_batch(batch, columns), rows)) % 2**64
            rows += batch.num_rows
        document: dict[str, Any] = {"uri": real.uri, "rows": rows, "fingerprint": f"{fingerprint:016x}"}
        if report.reference is not None and document["fingerprint"] == report.reference.fingerprint:
            document["note"] = (
                "these are the reference's own rows: what is added can judge nothing any more, and a validation "
                "against the same reference leaves them out"
            )
        # Parquet and Arrow columns keep their stored type, whatever is appended.
        read = candidate.schema if candidate.format in _TYPED_BY_VALUES else pa.schema([])
        types = {name: read.field(name).type if name in read.names else None for name in names}
        even = _drawn(rows, wanted, report.run.seed)
        picked = _inside(real, regions, even, report.run.seed)
        chosen = np.sort(np.concatenate([even, *picked]))
        return cls(len(even), tuple(len(each) for each in picked), document, chosen, real, types)

    @property
    def total(self) -> int:
        """How many rows are appended."""
        return len(self._chosen)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yields the rows, the same ones every time: the candidate's columns, those of text in its types.

        Raises:
          DataError: where a text file's column is of a type that cannot hold a value as it is.
        """
        known = [name for name in self._types if name in self._source.schema.names]
        start = 0
        for batch in self._source.batches(known):
            end = start + batch.num_rows
            chosen = self._chosen[slice(*np.searchsorted(self._chosen, [start, end]))] - start
            start = end
            if len(chosen):
                rows = batch.take(pa.array(chosen)) if len(chosen) < batch.num_rows else batch
                arrays = [self._typed(rows, n) if n in known else pa.nulls(rows.num_rows) for n in self._types]
                yield pa.RecordBatch.from_arrays(arrays, names=list(self._types))

    def _typed(self, rows: pa.RecordBatch, name: str) -> pa.Array:
        """Returns a column in the candidate's type, which other values would turn into another for its old rows too."""
        array, type_ = rows.column(name), self._types[name]
        if _is_open(type_) or array.type == type_:
            return array
        try:
            if getattr(array.type, "tz", None) is not None and getattr(type_, "tz", None) is None:
                raise pa.ArrowInvalid("the time zone would be lost")
            plain = array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array
            typed = plain.cast(type_)
            # Arrow takes the time of day from a timestamp without a word.
            if not np.array_equal(hash_values(typed), hash_values(plain)):
                raise pa.ArrowInvalid("values would be lost")
            return typed
        except (pa.ArrowException, NotImplementedError) as err:
            raise DataError(
                f"is {array.type} and does not fit {type_}, which it is in the candidate "
                f"({' '.join(str(err).split())[:150]})",
                where=f"{self._source.uri}, column '{name}'",
                hint="give real rows with values as the candidate's are",
            ) from err


class _Drawn:
    """A simple random sample of rows, those whose numbers have the least hashes; memory grows with what is drawn."""

    def __init__(self, wanted: int, stream: Sequence[int]):
        """Takes how many rows to draw, and what seeds the hashes."""
        self._wanted = wanted
        self._salt = np.random.default_rng(stream).integers(0, 2**64, 1, np.uint64)
        self._bound = np.uint64(2**64 - 1)
        self._rows: list[np.ndarray] = []
        self._held = 0

    def add(self, rows: np.ndarray) -> None:
        """Takes row numbers to draw from, int64, each of them once."""
        found = rows[self._hashes(rows) <= self._bound] if self._wanted else rows[:0]
        self._rows.append(found)
        self._held += len(found)
        if self._held > 2 * self._wanted + _BLOCK_ROWS:
            self._rows = [self.rows()]
            self._held = self._wanted
            self._bound = self._hashes(self._rows[0]).max()

    def rows(self) -> np.ndarray:
        """Returns the numbers of those that are drawn, int64 ascending, all of them where there are fewer."""
        rows = np.concatenate([np.empty(0, np.int64), *self._rows])
        if len(rows) > self._wanted:
            rows = rows[np.argsort(self._hashes(rows))[: self._wanted]]
        return np.sort(rows)

    def _hashes(self, rows: np.ndarray) -> np.ndarray:
        # Of a bijection, so that no two rows tie.
        return mix(rows.view(np.uint64) ^ self._salt)


def _drawn(rows: int, wanted: int, seed: int) -> np.ndarray:
    """Returns the numbers of `wanted` of `rows` rows, int64 ascending."""
    drawn = _Drawn(wanted, [seed, 17])
    for start in range(0, rows, _BLOCK_ROWS):
        drawn.add(np.arange(start, min(start + _BLOCK_ROWS, rows)))
    return drawn.rows()


def _inside(real: Source, regions: Sequence[tuple[Region, int]], taken: np.ndarray, seed: int) -> list[np.ndarray]:
    """Returns the numbers of as many rows of each region as it wants, those in `taken` (ascending) left out."""
    drawn = [_Drawn(wanted, [seed, 18, i]) for i, (_, wanted) in enumerate(regions)]
    asked = [region for region, _ in regions]
    columns = list(dict.fromkeys(condition.column for region in asked for condition in region.conditions))
    start = 0
    for batch in real.batches(columns) if regions else ():
        place = region_of(batch, asked)
        end = start + batch.num_rows
        place[taken[slice(*np.searchsorted(taken, [start, end]))] - start] = -1
        for i, each in enumerate(drawn):
            each.add(start + np.flatnonzero(place == i))
        start = end
    return [each.rows() for each in drawn]


def _is_open(type_: pa.DataType | None) -> bool:
    # What is not read has no type, what is all null takes any, and a dictionary holds what its file says.
    return type_ is None or pa.types.is_null(type_) or pa.types.is_dictionary(type_)
