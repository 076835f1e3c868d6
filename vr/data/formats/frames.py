"""Objects in memory that speak the Arrow PyCapsule stream: pandas, polars, duckdb, pyarrow and others."""

import sys
from collections.abc import Iterator
from typing import Any

import pyarrow as pa

from vr.core.errors import DataError
from vr.data.formats.reader import reading, unique_names

__all__ = ["FrameReader", "frame_name"]

_WANTED = (
    "give a path, or a pandas or polars frame, a pyarrow Table, RecordBatchReader or Dataset, a duckdb relation, "
    "or any other object with __arrow_c_stream__"
)


def frame_name(data: object) -> str:
    """Returns what to call an object in messages and reports, such as `<pandas.DataFrame>`."""
    kind = type(data)
    return f"<{kind.__module__.split('.')[0]}.{kind.__qualname__}>"


class FrameReader:
    """A frame in memory.

    A stream can be drained only once, and a query would be run on every pass: whatever is no table already is drained
    into one when it is opened. A pyarrow Dataset alone is read again on every pass.
    """

    def __init__(self, data: object):
        self._name = frame_name(data)
        hint = "every column must hold one type: see what the object's own conversion to Arrow says"
        self._table: Any = data
        with reading(self._name, hint):
            self._is_dataset = _is_dataset(data)
            if self._is_dataset:
                self.num_rows = self._table.count_rows()
            else:
                self._table = _table(data, self._name)
                self.num_rows = self._table.num_rows
        names, self.notes = unique_names(self._table.schema.names, self._name)
        self._stored = dict(zip(names, self._table.schema.names, strict=True))
        self.schema = pa.schema(
            [field.with_name(name) for name, field in zip(names, self._table.schema, strict=True)]
        ).remove_metadata()

    def read(self, schema: pa.Schema, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yields batches of the columns of `schema`; a table's own chunks are not copied."""
        stored = [self._stored[name] for name in schema.names]
        with reading(self._name):
            if self._is_dataset:
                batches = self._table.to_batches(columns=stored, batch_size=batch_rows)
            else:
                batches = self._table.select(stored).to_batches(max_chunksize=None)
            for batch in batches:
                yield batch.rename_columns(schema.names)


def _is_dataset(data: object) -> bool:
    # Importing pyarrow.dataset imports pandas; where nobody has, no object can be of its kind.
    pads = sys.modules.get("pyarrow.dataset")
    return pads is not None and isinstance(data, pads.Dataset)


def _table(data: object, name: str) -> pa.Table:
    if not (hasattr(data, "__arrow_c_stream__") or hasattr(data, "__arrow_c_array__")):
        raise DataError("is not a dataset", where=name, hint=_WANTED)
    try:
        return pa.table(data)
    except (ValueError, TypeError) as err:
        if isinstance(err, pa.ArrowException):
            raise
        # pandas: duplicate names and the like.
        raise DataError(str(err), where=name, hint="give every column a name of its own and one type") from err
