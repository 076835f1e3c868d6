"""csv and tsv, through pyarrow's streaming reader.

Every cell is read as a string and parsed here, on the typing pass at open as on every later one, so that both see the
same types whatever the block. (It is also faster: pyarrow's stream converts on one thread.)
"""

import csv
import io
import re
from collections.abc import Iterator

import pyarrow as pa
import pyarrow.csv as pacsv

from vr.core.errors import DataError
from vr.data.formats.reader import InputFile, reading, unique_names
from vr.data.formats.sniff import declared_encoding
from vr.data.formats.textual import parse_text, settle
from vr.data.meter import check_columns, shown_bytes

__all__ = ["DelimitedReader"]

# pyarrow's own list, without those that could be a word, and with pandas' <NA>.
_NULLS = ["", "#N/A", "#N/A N/A", "#NA", "-NaN", "-nan", "1.#QNAN", "-1.#IND", "1.#IND", "-1.#QNAN", "<NA>"]
_NULLS += ["N/A", "NA", "NULL", "NaN", "n/a", "nan", "null"]
_BLOCK_BYTES = 4 << 20
_MAX_BLOCK_BYTES = 1 << 30  # pyarrow counts in 32 bits
_OTHER_DELIMITERS = {";": "semicolon", "\t": "tab", "|": "bar"}


class DelimitedReader:
    """One csv or tsv file; opening it makes one pass, which settles types and counts rows.

    The block size grows until the longest row fits; what does not decode as UTF-8 is read as latin-1; a csv file whose
    header holds no comma but a semicolon, tab or bar is split there. Blank lines are skipped.
    """

    def __init__(self, file: InputFile, delimiter: str = ","):
        self.file = file
        self.notes: list[str] = []
        self.delimiter = delimiter
        self._block_bytes = _BLOCK_BYTES
        with reading(file.path), file.stream() as stream:
            self.encoding = declared_encoding(stream.read(4))
        if self.encoding == "utf-8-sig":
            self.encoding = "utf-8"  # pyarrow drops the mark itself
        if self.encoding == "utf-16":
            self.notes.append(f"file {file.path} is read as UTF-16")
        try:
            typings = self._open()
        except UnicodeError:
            self.encoding = "latin-1"
            self.notes.append(f"file {file.path} is not UTF-8: read as latin-1")
            typings = self._open()
        self.schema = pa.schema([(name, typing.type) for name, typing in zip(self.names, typings, strict=True)])
        self.notes += [note for name, typing in zip(self.names, typings, strict=True) for note in typing.note(name)]

    def read(self, schema: pa.Schema, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yields blocks of the columns of `schema`, parsed as its types."""
        del batch_rows  # a block is a number of bytes
        for block in self._strings(schema.names):
            arrays = []
            for name, strings in zip(schema.names, block.columns, strict=True):
                with reading(f"{self.file.path}, column '{name}'", "the file changed since it was opened: run again"):
                    arrays.append(parse_text(strings, schema.field(name).type))
            yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _open(self):
        header = self._header()
        if len(header) == 1 and self.delimiter == ",":
            for sign, word in _OTHER_DELIMITERS.items():
                if sign in header[0]:
                    self.delimiter = sign
                    self.notes.append(f"file {self.file.path} is split at each {word}")
                    header = self._header()
                    break
        check_columns(len(header), self.file.limits, self.file.path)
        self.names, notes = unique_names(header, self.file.path)
        typings, self.num_rows = settle(self.names, self._strings(self.names))
        self.notes += [note for note in notes if note not in self.notes]
        return typings

    def _header(self) -> list[str]:
        while True:
            try:
                with reading(self.file.path, "the first line must name the columns"), self._reader() as stream:
                    return stream.schema.names
            except DataError as err:
                self._grow(err)

    def _strings(self, names: list[str]) -> Iterator[pa.RecordBatch]:
        """Yields the named columns as strings, from the start of the file, growing the blocks where rows need it."""
        done = 0
        while True:
            at = 0
            meter = self.file.meter()
            try:
                with reading(self.file.path), self._reader(names) as stream:
                    for block in stream:
                        meter.add(block.nbytes)
                        at += block.num_rows
                        if at > done:  # another block size cuts elsewhere: skip what was yielded before
                            yield block.slice(max(0, done - (at - block.num_rows)))
                            done = at
                return
            except DataError as err:
                self._grow(err)

    def _grow(self, err: DataError) -> None:
        """Enlarges the blocks if a row did not fit, else raises `err` or a better one."""
        cause = str(err.__cause__)
        if "UTF8" in cause or isinstance(err.__cause__, UnicodeError):
            if self.encoding == "utf-8":
                raise UnicodeError(cause) from err
        elif "straddl" in cause and self._block_bytes < min(self.file.limits.row_bytes, _MAX_BLOCK_BYTES):
            self._block_bytes = min(4 * self._block_bytes, _MAX_BLOCK_BYTES)
            return
        elif "straddl" in cause:
            raise DataError(
                f"has a row of over {shown_bytes(self._block_bytes)}",
                where=self.file.path,
                hint="look for a quote that is never closed, or raise reading.row_bytes",
            ) from err
        elif "Empty CSV" in cause:
            raise DataError("has no rows", where=self.file.path) from err
        elif ragged := re.search(r"Expected (\d+) columns, got (\d+)", cause):
            raise DataError(
                f"has {ragged[2]} values where the header names {ragged[1]} columns",
                where=f"{self.file.path}, line {self._ragged_line(int(ragged[1]))}",
                hint="mend or quote that line",
            ) from err
        raise err

    def _reader(self, names: list[str] | None = None) -> pacsv.CSVStreamingReader:
        options = {"column_names": self.names, "skip_rows_after_names": 1} if names is not None else {}
        return pacsv.open_csv(
            self.file.stream(),
            read_options=pacsv.ReadOptions(block_size=self._block_bytes, encoding=self.encoding, **options),
            parse_options=pacsv.ParseOptions(delimiter=self.delimiter, newlines_in_values=True),
            convert_options=pacsv.ConvertOptions(
                null_values=_NULLS,
                strings_can_be_null=True,
                include_columns=names,
                column_types=None if names is None else dict.fromkeys(self.names, pa.string()),
            ),
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
