"""Parquet: columns projected at the reader, strings as dictionaries where the file stores them so."""

from collections.abc import Iterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from vr.data.formats.reader import InputFile, reading, unique_names
from vr.data.meter import check_columns

__all__ = ["ParquetReader"]

# A plain string takes a 4-byte length and its characters, a dictionary index at most about 20 bits: below this mean
# size the pages hold indices, and reading them as a dictionary saves more than half of the time.
_DICTIONARY_BYTES = 4.0
# What a footer may hold: one string, and the entries of one list. pyarrow's own limits let one of a gigabyte through.
_FOOTER_LIMITS: dict[str, Any] = {"thrift_string_size_limit": 64 << 20, "thrift_container_size_limit": 1_000_000}
_STEP_BYTES = 32 << 20  # decoded at a time, as far as the footer can be believed
_BUFFER_BYTES = 1 << 18  # per column; a tenth faster than none on 1M x 20, at a third of the memory
_BUFFERS_BYTES = 1 << 26  # of all columns
_LEAST_BUFFER_BYTES = 1 << 13


class ParquetReader:
    """One parquet file; opening it reads the footer only."""

    def __init__(self, file: InputFile):
        self.file = file
        with reading(file.path), pq.ParquetFile(file.open(), **_FOOTER_LIMITS) as opened:
            self._metadata = opened.metadata
            check_columns(self._metadata.num_columns, file.limits, file.path)
            schema = opened.schema_arrow
            # Here still: a name that is not UTF-8 shows when it is asked for.
            names, self.notes = unique_names(schema.names, file.path)
            self._stored = dict(zip(names, schema.names, strict=True))
            self.num_rows = self._metadata.num_rows
            encoded = _dictionary_columns(self._metadata)
            self._dictionaries = [
                name for name in schema.names if name in encoded and _is_string(schema.field(name).type)
            ]
            self.schema = pa.schema(
                [
                    (name, pa.dictionary(pa.int32(), pa.string()) if field.name in self._dictionaries else field.type)
                    for name, field in zip(names, schema, strict=True)
                ]
            )

    @property
    def stored_name(self) -> dict[str, str]:
        """What each column, by its name in `schema`, is called in the file; in the file's order."""
        return dict(self._stored)

    @property
    def group_rows(self) -> list[int]:
        """Rows of each row group."""
        return [self._metadata.row_group(i).num_rows for i in range(self._metadata.num_row_groups)]

    def read(self, schema: pa.Schema, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yields batches of the columns of `schema` as stored."""
        return self.read_groups(schema, batch_rows, 0, self._metadata.num_row_groups)

    def read_groups(self, schema: pa.Schema, batch_rows: int, first: int, stop: int) -> Iterator[pa.RecordBatch]:
        """Yields batches of some row groups, see `read`."""
        stored = [self._stored[name] for name in schema.names]
        rows = min(batch_rows, self._rows_a_time())
        meter = self.file.meter()
        read = self._near if self.file.is_local else self._far
        for batch in read(stored, rows, range(first, stop)):
            # What it decodes to is streamed, and sparse columns become small files: rows are held against the footer.
            meter.add(0)
            # Asking for `a` also gives a nested `a.b`: select again.
            yield batch.select(stored).rename_columns(schema.names)

    def _rows_a_time(self) -> int:
        groups = [self._metadata.row_group(i) for i in range(self._metadata.num_row_groups)]
        a_row = max(1, max((group.total_byte_size // max(1, group.num_rows) for group in groups), default=1))
        return max(1, _STEP_BYTES // a_row)

    def _near(self, columns: list[str], batch_rows: int, places: range) -> Iterator[pa.RecordBatch]:
        """Yields batches by small reads, which are cheap on a disk: a row group of any size need not be held."""
        size = min(_BUFFER_BYTES, max(_LEAST_BUFFER_BYTES, _BUFFERS_BYTES // max(1, len(columns))))
        with reading(self.file.path), self._open(self.file.open(), buffer_size=size) as opened:
            yield from opened.iter_batches(batch_rows, row_groups=list(places), columns=columns)

    def _far(self, columns: list[str], batch_rows: int, places: range) -> Iterator[pa.RecordBatch]:
        """Yields batches a row group at a time, its columns fetched in few requests while the one before is decoded."""
        groups = [_ranges(self._metadata.row_group(i), set(columns)) for i in places]
        with reading(self.file.path), self.file.open_ranges() as ranges:
            ranges.plan(groups[0] if groups else [])
            with self._open(pa.PythonFile(ranges, mode="r")) as opened:
                for i, group, following in zip(places, groups, [*groups[1:], []], strict=True):
                    ranges.plan(following, done_before=min((start for start, _ in group), default=0))
                    yield from opened.iter_batches(batch_rows, row_groups=[i], columns=columns)

    def _open(self, file: pa.NativeFile, **options) -> pq.ParquetFile:
        # Its own read-ahead would hold the whole file.
        return pq.ParquetFile(
            file,
            metadata=self._metadata,
            read_dictionary=self._dictionaries,
            pre_buffer=False,
            page_checksum_verification=True,
            **_FOOTER_LIMITS,
            **options,
        )


def _ranges(group: pq.RowGroupMetaData, columns: set[str]) -> list[tuple[int, int]]:
    """Returns where the column chunks of a row group begin and end, those of nested columns included."""
    found = []
    for column in (group.column(i) for i in range(group.num_columns)):
        if column.path_in_schema in columns or column.path_in_schema.partition(".")[0] in columns:
            start = column.data_page_offset
            if column.dictionary_page_offset:
                start = min(start, column.dictionary_page_offset)
            found.append((start, start + column.total_compressed_size))
    return found


def _dictionary_columns(metadata: pq.FileMetaData) -> set[str]:
    """Returns the flat columns whose pages hold little but dictionary indices, judged over all row groups."""
    num_bytes: dict[str, int] = {}
    plain: set[str] = set()
    for group in (metadata.row_group(i) for i in range(metadata.num_row_groups)):
        for column in (group.column(i) for i in range(group.num_columns)):
            num_bytes[column.path_in_schema] = num_bytes.get(column.path_in_schema, 0) + column.total_uncompressed_size
            if not {"RLE_DICTIONARY", "PLAIN_DICTIONARY"} & set(column.encodings):
                plain.add(column.path_in_schema)
    limit = _DICTIONARY_BYTES * max(metadata.num_rows, 1)
    return {path for path, size in num_bytes.items() if path not in plain and size < limit}


def _is_string(type_: pa.DataType) -> bool:
    return pa.types.is_string(type_) or pa.types.is_large_string(type_) or pa.types.is_string_view(type_)
