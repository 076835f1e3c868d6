"""Arrow IPC: the file layout (also called feather) and the stream layout."""

from collections.abc import Iterator

import pyarrow as pa

from vr.data.formats.reader import InputFile, reading, unique_names
from vr.data.meter import check_columns

__all__ = ["IpcReader"]


class IpcReader:
    """One Arrow file; opening it reads the footer, or walks through a stream once to count its rows."""

    def __init__(self, file: InputFile):
        self.file = file
        with reading(file.path), file.stream() as stream:
            self.is_file = stream.read(6) == b"ARROW1"
        with reading(file.path):
            with self._open() as opened:
                schema = self.stored_schema = opened.schema
            check_columns(len(schema), file.limits, file.path)
            names, self.notes = unique_names(schema.names, file.path)
            self._stored = dict(zip(names, schema.names, strict=True))
            self._places = {name: i for i, name in enumerate(schema.names)}
            rows = [batch.num_rows for batch in self._batches(schema.names[:1])]
            self.num_rows = sum(rows)
            self.group_rows = rows if self.is_file else []  # of each batch; those of a stream come in order alone
            self.schema = pa.schema(
                [field.with_name(name) for name, field in zip(names, schema, strict=True)]
            ).remove_metadata()

    def read(self, schema: pa.Schema, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yields the stored batches, as long as they were written, cut down to the columns of `schema`."""
        del batch_rows
        return self._read(schema, None)

    def read_groups(self, schema: pa.Schema, batch_rows: int, first: int, stop: int) -> Iterator[pa.RecordBatch]:
        """Yields some batches of a file layout, see `read`."""
        del batch_rows
        return self._read(schema, range(first, stop))

    def _read(self, schema: pa.Schema, places: range | None) -> Iterator[pa.RecordBatch]:
        stored = [self._stored[name] for name in schema.names]
        with reading(self.file.path):
            for batch in self._batches(stored, places):
                # Before anything is computed with it: a damaged file must not crash the process.
                batch.validate(full=True)
                yield batch.select(stored).rename_columns(schema.names)

    @property
    def stored_name(self) -> dict[str, str]:
        """What each column, by its name in `schema`, is called in the file; in the file's order."""
        return dict(self._stored)

    def stored_batches(self) -> Iterator[pa.RecordBatch]:
        """Yields the batches as they are stored, every column of them."""
        return self._batches()

    def _open(self, columns: list[str] | None = None):
        if not self.is_file:
            return pa.ipc.open_stream(self.file.stream())
        included = None if columns is None else [self._places[name] for name in columns]
        return pa.ipc.open_file(self.file.open(), options=pa.ipc.IpcReadOptions(included_fields=included))

    def _batches(self, columns: list[str] | None = None, places: range | None = None) -> Iterator[pa.RecordBatch]:
        """Yields batches as they are stored, some or all columns; of a file also some of them."""
        meter = self.file.meter()
        with self._open(columns) as opened:
            if self.is_file:
                stored = map(opened.get_batch, range(opened.num_record_batches) if places is None else places)
            else:
                stored = iter(opened)
            for batch in stored:
                meter.add(0)  # a dictionary that all batches share would count again in each
                yield batch
