"""Parquet: columns projected at the reader, strings as dictionaries where the file stores them so."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.parquet as pq

from vr.data.formats.reader import InputFile, reading, unique_names

__all__ = ["ParquetReader"]

# A plain string takes a 4-byte length and its characters, a dictionary index at most about 20 bits: below this mean
# size the pages hold indices, and reading them as a dictionary saves more than half of the time.
_DICTIONARY_BYTES = 4.0
_BUFFER_BYTES = 1 << 18  # per column; a tenth faster than none on 1M x 20, at a third of the memory


class ParquetReader:
    """One parquet file; opening it reads the footer only."""

    def __init__(self, file: InputFile):
        self.file = file
        with reading(file.path), pq.ParquetFile(file.open()) as opened:
            self._metadata = opened.metadata
            schema = opened.schema_arrow
        names, self.notes = unique_names(schema.names, file.path)
        self._stored = dict(zip(names, schema.names, strict=True))
        self.num_rows = self._metadata.num_rows
        encoded = _dictionary_columns(self._metadata)
        self._dictionaries = [name for name in schema.names if name in encoded and _is_string(schema.field(name).type)]
        self.schema = pa.schema(
            [
                (name, pa.dictionary(pa.int32(), pa.string()) if field.name in self._dictionaries else field.type)
                for name, field in zip(names, schema, strict=True)
            ]
        )

    def read(self, schema: pa.Schema, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yields batches of the columns of `schema` as stored."""
        stored = [self._stored[name] for name in schema.names]
        # Locally small reads are cheap, and a row group of any size need not be held. Far away a group's columns must
        # be fetched in few requests, and one group at a time, or pyarrow would hold the whole file.
        groups = [None] if self.file.is_local else [[i] for i in range(self._metadata.num_row_groups)]
        with (
            reading(self.file.path),
            pq.ParquetFile(
                self.file.open(),
                metadata=self._metadata,
                read_dictionary=self._dictionaries,
                pre_buffer=not self.file.is_local,
                buffer_size=_BUFFER_BYTES if self.file.is_local else 0,
            ) as opened,
        ):
            for group in groups:
                for batch in opened.iter_batches(batch_rows, row_groups=group, columns=stored):
                    # Asking for `a` also gives a nested `a.b`: select again.
                    yield batch.select(stored).rename_columns(schema.names)


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
