"""Real rows that a user gives to be appended: as many as are wanted, drawn evenly, in their own order."""

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

__all__ = ["RealRows"]

_PANDAS_INDEX = re.compile(r"__index_level_\d+__")
_TYPED_BY_VALUES = ("csv", "tsv", "json", "jsonl")


@dataclass(frozen=True)
class RealRows:
    """Rows to append.

    Attributes:
      wanted: How many, all of the file's where it has fewer than were asked for.
      document: Where they come from, for the manifest.
    """

    wanted: int
    document: dict[str, Any]
    _source: Source = field(repr=False)
    _types: Mapping[str, pa.DataType | None] = field(repr=False)
    _seed: int = field(repr=False)

    @classmethod
    def of(
        cls, real: Source, candidate: Source, wanted: int, report: ValidationReport, columns: Sequence[str]
    ) -> "RealRows":
        """Returns the rows of `real` that are to be appended to `candidate`.

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
        if rows < wanted:
            document["note"] = f"{wanted:,} rows were recommended, and the file has {rows:,}"
        if report.reference is not None and document["fingerprint"] == report.reference.fingerprint:
            document["note"] = (
                "these are the reference's own rows: what is added can judge nothing any more, and a validation "
                "against the same reference leaves them out"
            )
        # Parquet and Arrow columns keep their stored type, whatever is appended.
        read = candidate.schema if candidate.format in _TYPED_BY_VALUES else pa.schema([])
        types = {name: read.field(name).type if name in read.names else None for name in names}
        return cls(min(rows, wanted), document, real, types, report.run.seed)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yields the rows, the same ones every time: the candidate's columns, those of text in its types.

        Of each batch as many are drawn as a draw from all rows would take of it (hypergeometric), so that exactly the
        number wanted comes out of one pass.

        Raises:
          DataError: where a text file's column is of a type that cannot hold a value as it is.
        """
        rng = np.random.default_rng([self._seed, 17])
        known = [name for name in self._types if name in self._source.schema.names]
        left, wanted = self.document["rows"], self.wanted
        for batch in self._source.batches(known):
            size = batch.num_rows
            take = int(rng.hypergeometric(wanted, left - wanted, size)) if wanted < left else size
            chosen = np.sort(rng.permutation(size)[:take])
            left, wanted = left - size, wanted - take
            if take:
                rows = batch.take(pa.array(chosen)) if take < size else batch
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


def _is_open(type_: pa.DataType | None) -> bool:
    # What is not read has no type, what is all null takes any, and a dictionary holds what its file says.
    return type_ is None or pa.types.is_null(type_) or pa.types.is_dictionary(type_)
