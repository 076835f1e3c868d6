"""Real rows that a user gives to be appended: drawn evenly, or out of regions of the table, in their own order."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from vr.core.errors import DataError
from vr.data.hashing import fingerprint_of, hash_batch, hash_values
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
        even = _drawn(rows, min(rows, wanted), np.random.default_rng([report.run.seed, 17]))
        inside = _inside(real, [region for region, _ in regions], even)
        picked = [
            np.random.default_rng([report.run.seed, 18, i]).permutation(there)[:number]
            for i, (there, (_, number)) in enumerate(zip(inside, regions, strict=True))
        ]
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


def _drawn(rows: int, wanted: int, rng: np.random.Generator) -> np.ndarray:
    """Returns the numbers of `wanted` of `rows` rows, int64 ascending.

    Of each block as many are drawn as a draw from all rows would take of it (hypergeometric), so that memory grows with
    what is drawn.
    """
    found = [np.empty(0, np.int64)]
    for start in range(0, rows, _BLOCK_ROWS):
        size, left = min(_BLOCK_ROWS, rows - start), rows - start
        take = int(rng.hypergeometric(wanted, left - wanted, size)) if wanted < left else size
        found.append(start + np.sort(rng.permutation(size)[:take]))
        wanted -= take
    return np.concatenate(found)


def _inside(real: Source, regions: Sequence[Region], taken: np.ndarray) -> list[np.ndarray]:
    """Returns the numbers of the rows that lie in each region, those in `taken` (ascending) left out."""
    found: list[list[np.ndarray]] = [[np.empty(0, np.int64)] for _ in regions]
    columns = list(dict.fromkeys(condition.column for region in regions for condition in region.conditions))
    start = 0
    for batch in real.batches(columns) if regions else ():
        place = region_of(batch, regions)
        end = start + batch.num_rows
        place[taken[slice(*np.searchsorted(taken, [start, end]))] - start] = -1
        for i, rows in enumerate(found):
            rows.append(start + np.flatnonzero(place == i))
        start = end
    return [np.concatenate(rows) for rows in found]


def _is_open(type_: pa.DataType | None) -> bool:
    # What is not read has no type, what is all null takes any, and a dictionary holds what its file says.
    return type_ is None or pa.types.is_null(type_) or pa.types.is_dictionary(type_)
