"""csv and tsv again: rows that stay are copied character by character, however their cells are spelled and quoted."""

import csv
import io
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import numpy as np

from vr.core.errors import DataError
from vr.data.formats.delimited import DelimitedReader
from vr.data.rewrite.edits import Edits
from vr.data.rewrite.text import as_text, number, open_text, pieces

__all__ = ["rewrite_delimited"]


def rewrite_delimited(readers: Sequence[DelimitedReader], edits: Edits, path: Path) -> int:
    """Writes the rows of csv or tsv files to `path`, one after another under one header, and returns how many.

    Raises:
      DataError: where the files differ in their headers or delimiters, or cannot be cut into the rows that were read.
    """
    first = readers[0]
    with open_text(path, first.file, first.encoding) as text:
        writer = _Writer(text, first, edits)
        for reader in readers:
            if (reader.names, reader.delimiter) != (first.names, first.delimiter):
                raise DataError(
                    "has other columns, or another delimiter",
                    where=reader.file.path,
                    hint=f"one file can be written of files that all have the header of {first.file.path}",
                )
            writer.copy(reader)
        writer.add()
    return writer.written


class _Writer:
    """Copies records, counting rows of the old files and of the new one."""

    def __init__(self, text: IO[str], reader: DelimitedReader, edits: Edits):
        self._text = text
        self._edits = edits
        self._names, self._delimiter = reader.names, reader.delimiter
        self._newline: str | None = None  # as the header ends
        self._is_ended = True
        self._rows = 0
        self.written = 0

    def copy(self, reader: DelimitedReader) -> None:
        """Copies a file's rows, and its header where it is the first."""
        start, header = self._rows, True
        for records in _records(reader):
            if header and self._newline is None:
                self._put(records[:1])
                self._newline = _LINE_END.search(records[0])[0] if self._is_ended else "\n"  # type: ignore[index]
            self._put(self._edited(records[1:] if header else records))
            header = False
        if self._rows - start != reader.num_rows:
            raise DataError(
                f"is cut into {self._rows - start:,} rows here, and was read as {reader.num_rows:,}",
                where=reader.file.path,
                hint="save it as parquet: its quotes or line ends can be read in more than one way",
            )

    def add(self) -> None:
        """Appends the rows that are added, quoted where they must be."""
        for batch in self._edits.added():
            columns = [as_text(batch.column(name), name) for name in self._names]
            buffer = io.StringIO()
            writer = csv.writer(buffer, delimiter=self._delimiter, lineterminator=self._newline or "\n")
            writer.writerows(zip(*columns, strict=True))
            self._put([buffer.getvalue()])
            self.written += batch.num_rows

    def _edited(self, records: list[str]) -> list[str]:
        start, end = self._rows, self._rows + len(records)
        for name, cells in self._edits.cells.items():
            for at, value in zip(*cells.within(start, end), strict=True):
                records[at] = _with_cell(records[at], self._names.index(name), number(value), self._delimiter)
        kept = np.flatnonzero(self._edits.kept(start, end))
        self._rows = end
        self.written += len(kept)
        self._edits.on_rows(end)
        return [records[at] for at in kept]

    def _put(self, records: Sequence[str]) -> None:
        if records:
            # The last line of a file may have no end: it gets one before anything follows.
            self._text.write(("" if self._is_ended else self._newline or "\n") + "".join(records))
            self._is_ended = _LINE_END.search(records[-1]) is not None


_LINE_END = re.compile(r"(?:\r\n|\n|\r)\Z")


def _field(delimiter: str) -> str:
    # As pyarrow reads: a quote means something at the start of a field alone. Possessive, so that a quote that is not
    # closed within the text at hand is no match rather than another one.
    d = re.escape(delimiter)
    return rf'(?:"(?:[^"]++|"")*+"[^{d}\r\n]*+|[^"{d}\r\n][^{d}\r\n]*+|)'


def _records(reader: DelimitedReader) -> Iterator[list[str]]:
    """Yields a file's records with their line ends, blank lines before them included, some thousands at a time."""
    field, d = _field(reader.delimiter), re.escape(reader.delimiter)
    # Where nothing follows, a line feed may still come after a carriage return, and a quote after a quote.
    record = re.compile(rf"[\ufeff\r\n]*+(?!\Z){field}(?:{d}{field})*+(?>\r\n|\n|\r)(?!\Z)")
    text = ""
    for piece in pieces(reader.file, reader.encoding):
        text += piece
        at, found = 0, []
        while match := record.match(text, at):
            found.append(match[0])
            at = match.end()
        text = text[at:]
        if found:
            yield found
    last = re.compile(rf"[\ufeff\r\n]*+(?!\Z){field}(?:{d}{field})*+(?>\r\n|\n|\r|\Z)")
    found, at = [], 0
    while match := last.match(text, at):
        found.append(match[0])
        at = match.end()
    if text[at:].strip("\ufeff\r\n"):
        raise DataError("has a quote that is never closed", where=reader.file.path, hint="mend it and validate again")
    if found:
        yield found


def _with_cell(record: str, place: int, value: str, delimiter: str) -> str:
    field = re.compile(_field(delimiter))
    at = len(record) - len(record.lstrip("\ufeff\r\n"))
    for _ in range(place):
        at = field.match(record, at).end() + len(delimiter)  # type: ignore[union-attr]
    return record[:at] + value + record[field.match(record, at).end() :]  # type: ignore[union-attr]
