"""csv and tsv, through pyarrow's reader, a block of whole rows at a time.

Every cell is read as a string and parsed here, on the typing pass at open as on every later one, so that both see the
same types whatever the block.
"""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import pyarrow.csv as pacsv

from vr.core.errors import DataError
from vr.data.formats.blocks import Block, BlockFile, Layout, parse_blocks
from vr.data.formats.delimited_rows import header_end, rows_end
from vr.data.formats.reader import InputFile, reading, unique_names
from vr.data.formats.sniff import declared_encoding
from vr.data.formats.textual import Typing, parse_text, settle
from vr.data.meter import check_columns, shown_bytes

__all__ = ["DelimitedReader"]

# pyarrow's own list, without those that could be a word, and with pandas' <NA>.
_NULLS = ["", "#N/A", "#N/A N/A", "#NA", "-NaN", "-nan", "1.#QNAN", "-1.#IND", "1.#IND", "-1.#QNAN", "<NA>"]
_NULLS += ["N/A", "NA", "NULL", "NaN", "n/a", "nan", "null"]
_BLOCK_BYTES = 4 << 20
_MAX_BLOCK_BYTES = (1 << 31) - 1  # pyarrow counts in 32 bits
_OTHER_DELIMITERS = {";": "semicolon", "\t": "tab", "|": "bar"}


class _NotUtf8Error(DataError):
    """Text that was read as UTF-8 is something else."""


class DelimitedReader:
    """One csv or tsv file; opening it makes one pass, which cuts it into blocks, settles types and counts rows.

    What does not decode as UTF-8 is read as latin-1, but for what begins with the mark of UTF-16; a csv file whose
    header holds no comma but a semicolon, tab or bar is split there. Blank lines are skipped.

    Args:
      file: The file.
      delimiter: Between cells.
      layout: What was found when it was opened before; the pass is then spared.
    """

    def __init__(self, file: InputFile, delimiter: str = ",", layout: Layout | None = None):
        self.file = file
        self.delimiter = delimiter
        self.layout = self._found() if layout is None else layout
        self.delimiter = self.layout.delimiter
        self.encoding = self.layout.encoding
        self.schema = self.layout.schema
        self.names = self.schema.names
        self.notes = self.layout.notes
        self.num_rows = sum(self.layout.rows)
        self._blocks = self.block_file()
        self._blocks.check(self.layout.stamp)
        self._has_ranges = self._blocks.has_ranges()

    @property
    def told_layout(self) -> dict[str, Any]:
        """What opening the file found out, see `vr.data.formats.reader.told_layout`."""
        return self.layout.told()

    @property
    def group_rows(self) -> list[int]:
        """Rows of each block; none where blocks are not found by their place."""
        return self.layout.rows if self._has_ranges else []

    def read(self, schema: pa.Schema, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yields blocks of the columns of `schema`, parsed as its types."""
        if self._has_ranges:
            return self.read_groups(schema, batch_rows, 0, len(self.layout.rows))
        return self._read(schema, self._blocks.cut(self.layout.starts[0]), len(self.layout.rows))

    def read_groups(self, schema: pa.Schema, batch_rows: int, first: int, stop: int) -> Iterator[pa.RecordBatch]:
        """Yields some blocks, see `read`."""
        del batch_rows  # a block is a number of bytes
        return self._read(schema, self._blocks.at(self.layout.starts[first : stop + 1]), stop - first)

    def _read(self, schema: pa.Schema, blocks: Iterable[Block], count: int) -> Iterator[pa.RecordBatch]:
        def typed(strings: pa.RecordBatch) -> pa.RecordBatch:
            arrays = []
            for name, column in zip(schema.names, strings.columns, strict=True):
                with reading(f"{self.file.path}, column '{name}'", "the file changed since it was opened: run again"):
                    arrays.append(parse_text(column, schema.field(name).type))
            return pa.RecordBatch.from_arrays(arrays, schema=schema)

        self._blocks.check(self.layout.stamp)
        yield from self._parsed(blocks, schema.names, typed, count > 1)

    def _found(self) -> Layout:
        """Returns what one pass over the file finds out."""
        with reading(self.file.path), self.file.stream() as stream:
            start = stream.read(4)
        declared = declared_encoding(start)
        self.encoding = "utf-8" if declared == "utf-8-sig" else declared
        first = len(codecs.BOM_UTF8) if declared == "utf-8-sig" else 0
        stamp = self.block_file().stamp()
        notes = [f"file {self.file.path} is read as UTF-16"] if self.encoding == "utf-16" else []
        delimiter = self.delimiter
        try:
            return self._settled(stamp, first, notes)
        except _NotUtf8Error:
            self.encoding, self.delimiter = "latin-1", delimiter
            return self._settled(stamp, first, [*notes, f"file {self.file.path} is not UTF-8: read as latin-1"])

    def _settled(self, stamp: list[int | None], first: int, notes: list[str]) -> Layout:
        header, start = self._header(first)
        if len(header) == 1 and self.delimiter == ",":
            for sign, word in _OTHER_DELIMITERS.items():
                if sign in header[0]:
                    self.delimiter = sign
                    notes = [*notes, f"file {self.file.path} is split at each {word}"]
                    header, start = self._header(first)
                    break
        check_columns(len(header), self.file.limits, self.file.path)
        self.names, more = unique_names(header, self.file.path)
        starts, rows = [start], []

        def noted(blocks: Iterable[Block]) -> Iterator[Block]:
            for block in blocks:
                starts.append(block.stop)
                yield block

        def counted(strings: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for each in strings:
                rows.append(each.num_rows)
                yield each

        blocks = noted(self.block_file().cut(start))
        strings = self._parsed(blocks, self.names, lambda each: each, self.file.size > _BLOCK_BYTES)
        typings, _ = settle(self.names, counted(strings))
        found: Iterable[tuple[str, Typing]] = list(zip(self.names, typings, strict=True))
        return Layout(
            stamp=stamp,
            encoding=self.encoding,
            schema=pa.schema([(name, typing.type) for name, typing in found]),
            notes=[*notes, *more, *(note for name, typing in found for note in typing.note(name))],
            starts=starts,
            rows=rows,
            stored=header,
            delimiter=self.delimiter,
        )

    def _header(self, first: int) -> tuple[list[str], int]:
        """Returns the names in the first line that is not blank, and where that ends."""
        for block in self.block_file().cut(first):
            if block.content.strip(b"\r\n"):
                content = block.content[: header_end(block.content, self.delimiter)]
                with self._explained("the first line must name the columns"):
                    names = self._parse(content + b"\n", None).schema.names
                size = len(content.decode().encode(self.encoding)) if self.encoding == "latin-1" else len(content)
                return names, block.start + size
        raise DataError("has no rows", where=self.file.path)

    def _parsed(
        self,
        blocks: Iterable[Block],
        names: list[str],
        then: Callable[[pa.RecordBatch], pa.RecordBatch],
        are_many: bool,
    ) -> Iterator[pa.RecordBatch]:
        """Yields what `then` makes of the named columns of each block as strings."""
        meter = self.file.meter()

        def parse(block: Block) -> tuple[int, pa.RecordBatch]:
            with self._explained():
                strings = self._parse(block.content, names)
            return max(strings.nbytes, len(block.content)), then(strings)

        for num_bytes, batch in parse_blocks(parse, blocks, are_many):
            meter.add(num_bytes)
            yield batch

    def _parse(self, content: bytes, names: list[str] | None) -> pa.RecordBatch:
        """Returns the named columns of some rows as strings; where there are no names the first row has them."""
        if names is not None and content.startswith(codecs.BOM_UTF8):
            content = b"\n" + content  # else pyarrow would drop the mark, which is text in the middle of a file
        table = pacsv.read_csv(
            pa.BufferReader(content),
            read_options=pacsv.ReadOptions(
                block_size=min(2 * len(content), _MAX_BLOCK_BYTES),
                use_threads=False,
                column_names=None if names is None else self.names,
            ),
            parse_options=pacsv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                null_values=_NULLS,
                strings_can_be_null=True,
                include_columns=names,
                column_types=None if names is None else dict.fromkeys(self.names, pa.string()),
            ),
        )
        columns = [each.chunk(0) if each.num_chunks == 1 else each.combine_chunks() for each in table.columns]
        return pa.RecordBatch.from_arrays(columns, table.column_names)

    @contextmanager
    def _explained(self, hint: str = "it may be truncated or damaged: write it again") -> Iterator[None]:
        """Turns what goes wrong inside into a `DataError`, of a kind of its own for text that is not UTF-8."""
        try:
            with reading(self.file.path, hint):
                yield
        except DataError as err:
            cause = str(err.__cause__)
            # First, for such a message quotes the row, whatever that says.
            if ragged := re.search(r"Expected (\d+) columns, got (\d+)", cause):
                raise DataError(
                    f"has {ragged[2]} values where the header names {ragged[1]} columns",
                    where=f"{self.file.path}, line {self._ragged_line(int(ragged[1]))}",
                    hint="mend or quote that line",
                ) from err
            if "invalid UTF8 data" in cause or isinstance(err.__cause__, UnicodeError):
                raise _NotUtf8Error(err.message, where=err.where, hint=err.hint) from err
            raise

    def block_file(self) -> BlockFile:
        """Returns the file as blocks that are yet to be cut."""

        def ends(text: bytes) -> int:
            return rows_end(text, self.delimiter)

        return BlockFile(self.file, self.encoding, _BLOCK_BYTES, ends, self._too_long)

    def _too_long(self, start: int) -> DataError:
        del start  # the file's first row may be as good as its last
        return DataError(
            f"has a row of over {shown_bytes(self.file.limits.row_bytes)}",
            where=self.file.path,
            hint="look for a quote that is never closed, or raise reading.row_bytes",
        )

    def _ragged_line(self, expected: int) -> int | str:
        """Returns the number (from 1) of the first line that has not `expected` values; for messages only."""
        with self.file.stream() as stream:
            text = io.TextIOWrapper(stream, encoding=self.encoding, errors="replace", newline="")
            rows = csv.reader(text, delimiter=self.delimiter)
            try:
                return next((rows.line_num for row in rows if row and len(row) != expected), "unknown")
            except csv.Error:  # Python limits a cell's length
                return "unknown"
