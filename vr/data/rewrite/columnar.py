"""Parquet and Arrow files again: every column, nested ones too, with its stored type and all schema metadata.

Row groups and record batches are cut anew; parquet's compression is that of the file. What is lost is no data: bloom
filters, page indexes, and the compression of Arrow buffers (lz4 for .feather, none for others).
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from vr.core.errors import DataError
from vr.data.formats.ipc import IpcReader
from vr.data.formats.parquet import ParquetReader
from vr.data.formats.reader import reading
from vr.data.rewrite.edits import Edits

__all__ = ["rewrite_arrow", "rewrite_parquet"]

_BATCH_ROWS = 65_536
_VERSIONS = ("1.0", "2.4", "2.6")


def rewrite_parquet(readers: Sequence[ParquetReader], edits: Edits, path: Path) -> int:
    """Writes the rows of parquet files to `path`, one after another, and returns how many.

    Raises:
      DataError: where the files differ in their columns, or a row or cell to be written does not fit a column.
    """
    with pq.ParquetFile(readers[0].file.open()) as first:
        schema, metadata = first.schema_arrow, first.metadata
    version = metadata.format_version if metadata.format_version in _VERSIONS else "2.6"
    if any("[ns" in str(field.type) for field in schema):
        # Earlier versions have nanoseconds as INT96 alone, which is written no more.
        version = "2.6"
    written = 0
    with pq.ParquetWriter(path, schema, compression=_compression(metadata), version=version) as writer:  # type: ignore[arg-type]
        for batch in _edited(_parquet_batches(readers, schema), edits, schema, readers[0].stored_name):
            if not batch.num_rows:
                continue
            with _written(readers[0].file.path):
                writer.write_batch(batch, row_group_size=batch.num_rows)
            written += batch.num_rows
    return written


def rewrite_arrow(readers: Sequence[IpcReader], edits: Edits, path: Path) -> int:
    """Writes the rows of Arrow files to `path`, in the layout of the first (file or stream), and returns how many.

    Raises:
      DataError: where the files differ in their columns, or a row or cell to be written does not fit a column.
    """
    schema = readers[0].stored_schema
    compression = "lz4" if path.name.endswith(".feather") else None
    options = pa.ipc.IpcWriteOptions(compression=compression, emit_dictionary_deltas=True)
    new = pa.ipc.new_file if readers[0].is_file else pa.ipc.new_stream
    written = 0
    vocabulary = _Vocabulary()
    with new(path, schema, options=options) as writer:
        for batch in _edited(_arrow_batches(readers, schema), edits, schema, readers[0].stored_name):
            writer.write_batch(vocabulary.extended(batch))
            written += batch.num_rows
    return written


def _compression(metadata: pq.FileMetaData) -> dict[str, str] | str:
    """Returns each column's compression in the first row group."""
    if not metadata.num_row_groups:
        return "snappy"
    group = metadata.row_group(0)
    columns = (group.column(i) for i in range(group.num_columns))
    return {column.path_in_schema: column.compression.replace("UNCOMPRESSED", "NONE") for column in columns}


def _parquet_batches(readers: Sequence[ParquetReader], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for reader in readers:
        where = reader.file.path
        with reading(where), pq.ParquetFile(reader.file.open(), pre_buffer=False, buffer_size=1 << 18) as opened:
            _same_columns(opened.schema_arrow, schema, where, readers[0].file.path)
            yield from opened.iter_batches(_BATCH_ROWS)


def _arrow_batches(readers: Sequence[IpcReader], schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    for reader in readers:
        _same_columns(reader.stored_schema, schema, reader.file.path, readers[0].file.path)
        with reading(reader.file.path):
            for batch in reader.stored_batches():
                batch.validate()  # as when it was read: a damaged file must not crash the process
                yield batch


def _same_columns(schema: pa.Schema, first: pa.Schema, where: str, other: str) -> None:
    if schema.equals(first):
        return
    odd = next((a.name for a, b in zip(schema, first, strict=False) if not a.equals(b)), None)
    raise DataError(
        "has other columns" if odd is None else f"stores column '{odd}' in another place or type",
        where=where,
        hint=f"one file can be written of files that all have the columns of {other}",
    )


def _edited(
    batches: Iterator[pa.RecordBatch], edits: Edits, schema: pa.Schema, stored_name: dict[str, str]
) -> Iterator[pa.RecordBatch]:
    """Yields the rows that stay, cells changed, and then the rows that are added."""
    start = 0
    for batch in batches:
        end = start + batch.num_rows
        for name, cells in edits.cells.items():
            places, values = cells.within(start, end)
            if len(places):
                batch = _with_cells(batch, schema.get_field_index(stored_name[name]), places, values)
        kept = edits.kept(start, end)
        yield batch if kept.all() else batch.filter(pa.array(kept))
        start = end
        edits.on_rows(start)
    for added in edits.added():
        arrays = [_as_stored(added.column(name), schema.field(i), name) for i, name in enumerate(stored_name)]
        yield pa.RecordBatch.from_arrays(arrays, schema=schema)


def _with_cells(batch: pa.RecordBatch, column: int, places: np.ndarray, values: np.ndarray) -> pa.RecordBatch:
    field, array = batch.schema.field(column), batch.column(column)
    mask = np.zeros(batch.num_rows, bool)
    mask[places] = True
    with _fits(field):
        changed = pc.replace_with_mask(array, pa.array(mask), _numbers_as(values, field.type))
    return batch.set_column(column, field, changed)


def _numbers_as(values: np.ndarray, type_: pa.DataType) -> pa.Array:
    numbers = pa.array(values)
    # A whole number is spelled as one: 12, not 12.0.
    if pa.types.is_string(type_) or pa.types.is_large_string(type_):
        return pa.array([f"{value:.17g}" if value % 1 else f"{value:.0f}" for value in values], type_)
    return numbers.cast(type_, safe=pa.types.is_integer(type_))


def _as_stored(array: pa.Array, field: pa.Field, name: str) -> pa.Array:
    if isinstance(array, pa.DictionaryArray) and not pa.types.is_dictionary(field.type):
        array = array.dictionary_decode()
    if array.null_count and not field.nullable:
        raise DataError("has nulls, which the candidate's column cannot", where=f"real rows, column '{name}'")
    type_ = field.type
    with _fits(field):
        if isinstance(type_, pa.BaseExtensionType):
            return pa.ExtensionArray.from_storage(type_, array.cast(type_.storage_type))
        return array if array.type == type_ else array.cast(type_)


@contextmanager
def _written(where: str) -> Iterator[None]:
    """Turns what the format cannot hold into an error that names the file."""
    try:
        yield
    except pa.ArrowException as err:
        raise DataError(
            f"cannot be written again as it is ({' '.join(str(err).split())[:150]})",
            where=where,
            hint="save it as parquet 2.6, validate and fix that",
        ) from err


@contextmanager
def _fits(field: pa.Field) -> Iterator[None]:
    """Turns a value that a column cannot hold into an error that names the column."""
    try:
        yield
    except (pa.ArrowException, NotImplementedError) as err:
        raise DataError(
            f"cannot hold what is to be written ({' '.join(str(err).split())[:150]})",
            where=f"column '{field.name}', which is {field.type}",
            hint="give rows whose columns are of the candidate's types",
        ) from err


class _Vocabulary:
    """Keeps each dictionary an extension of the one before, since an Arrow file cannot replace one."""

    def __init__(self) -> None:
        self._known: dict[int, pa.Array] = {}

    def extended(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Returns the batch with its dictionary columns in terms of all values so far."""
        for i, field in enumerate(batch.schema):
            if not pa.types.is_dictionary(field.type):
                continue
            array = batch.column(i)
            known = self._known.get(i)
            if known is None or known.equals(array.dictionary):
                self._known[i] = array.dictionary
                continue
            new = array.dictionary.filter(pc.invert(pc.is_in(array.dictionary, known)))
            self._known[i] = known = pa.concat_arrays([known, new]) if len(new) else known
            # Through the values' positions, not the values: nulls are told by the index alone.
            moved = pc.index_in(array.dictionary, known).take(array.indices).cast(field.type.index_type)
            batch = batch.set_column(i, field, pa.DictionaryArray.from_arrays(moved, known, ordered=field.type.ordered))
        return batch
