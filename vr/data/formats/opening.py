"""From the files of a dataset to their readers, and from a reader to batches of settled types.

All that looks at bytes which somebody else wrote is here or below, whichever process it runs in.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow as pa

from vr.core.errors import DataError
from vr.data.config import ReadingConfig
from vr.data.formats.blocks import Layout
from vr.data.formats.locate import format_by_name
from vr.data.formats.reader import GroupedReader, InputFile, Reader, reading
from vr.data.formats.sniff import check_looks, format_by_looks
from vr.data.meter import check_batch, joined_bytes
from vr.data.normal import normal_array

__all__ = ["common_format", "normal_batches", "open_reader"]


def common_format(files: Sequence[InputFile], wanted: str | None) -> str:
    """Returns the format of all `files`: as `wanted`, or as their names or, where those say nothing, their looks say.

    Raises:
      DataError: if they differ, or do not look like it.
    """
    formats = [wanted or format_by_name(file.path) or format_by_looks(file) for file in files]
    (common, _), *others = Counter(formats).most_common()
    if others:
        odd = next(file for file, each in zip(files, formats, strict=True) if each != common)
        raise DataError(
            f"is {formats[files.index(odd)]} among {common} files", where=odd.path, hint="keep one format in a dataset"
        )
    for file in files:
        check_looks(file, common)
    return common


def open_reader(file: InputFile, format: str, told: dict[str, Any] | None = None) -> Reader:
    """Returns the reader of one file; opening it settles its types.

    Args:
      file: The file.
      format: Its format.
      told: What `told_layout` gave of a reader of the same file.

    Raises:
      DataError: if it cannot be read.
    """
    # One branch a format, each importing its own module: h5py and openpyxl are slow to import and seldom needed.
    if format == "parquet":
        from vr.data.formats.parquet import ParquetReader

        return ParquetReader(file)
    if format in ("csv", "tsv"):
        from vr.data.formats.delimited import DelimitedReader

        layout = None if told is None else Layout.of(told)
        return DelimitedReader(file, "," if format == "csv" else "\t", layout)
    if format in ("json", "jsonl"):
        from vr.data.formats.jsonlines import JsonReader

        return JsonReader(file, None if told is None else Layout.of(told))
    if format == "arrow":
        from vr.data.formats.ipc import IpcReader

        return IpcReader(file)
    if format == "hdf5":
        from vr.data.formats.hdf5 import Hdf5Reader

        return Hdf5Reader(file)
    from vr.data.formats.excel import ExcelReader

    return ExcelReader(file)


def normal_batches(
    reader: Reader,
    where: str,
    schema: pa.Schema,
    batch_rows: int,
    limits: ReadingConfig,
    groups: Sequence[int] | None = None,
) -> Iterator[pa.RecordBatch]:
    """Yields what a reader reads with exactly the columns and types of `schema`, whole and of bearable size.

    Args:
      reader: Of one file or frame.
      where: What to call it in messages.
      schema: Types as of `vr.data.normal.normal_type`.
      batch_rows: Most rows of a batch; most readers come to as many.
      limits: `batch_bytes` counts.
      groups: First group of rows and the one after the last, of a `GroupedReader`; None for all rows.

    Raises:
      DataError: if the file turns out to be damaged, or a batch too large.
    """
    if groups is None:
        stream = reader.read(schema, batch_rows)
    else:
        assert isinstance(reader, GroupedReader)
        stream = reader.read_groups(schema, batch_rows, *groups)
    for stored in stream:
        # Whole buffers, as offsets have not been looked at yet.
        taken = max(1, stored.get_total_buffer_size())
        rows = min(batch_rows, max(1, stored.num_rows * joined_bytes(limits) // taken))
        for start in range(0, stored.num_rows, rows):
            batch = stored.slice(start, rows)
            arrays = []
            for field in schema:
                with reading(f"{where}, column '{field.name}'"):
                    array = batch.column(field.name)
                    array.validate(full=True)  # offsets, indices and UTF-8, at which nobody downstream looks again
                    arrays.append(normal_array(array, field.type))
            made = pa.RecordBatch.from_arrays(arrays, schema=schema)
            check_batch(made.num_rows, made.nbytes, limits, where)
            yield made
