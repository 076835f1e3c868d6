"""JSON: one object per line, or one array of objects.

pyarrow parses a block of lines; where it cannot (the values of a column change their kind), or where a column that is
text in the end looked like numbers within the block, Python parses that block again. Arrays are Python's alone.
"""

import codecs
import itertools
import json
import re
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json as pajson

from vr.core.errors import DataError
from vr.data.formats.pyvalues import array_of, type_of
from vr.data.formats.reader import InputFile, reading, unique_names
from vr.data.formats.sniff import declared_encoding
from vr.data.formats.textual import Typing, infer_dates, parse_text
from vr.data.meter import check_columns, shown_bytes

__all__ = ["JsonReader"]

_BLOCK_BYTES = 4 << 20
_SPACE = " \t\r\n"
_SPACES, _SPACES_AND_COMMAS = re.compile(r"[ \t\r\n]*"), re.compile(r"[ \t\r\n,]*")
_MAX_DIGITS = 300
_MAX_DEPTH = 500
# Possessive, and content with a string that never ends: else a block of escaped quotes would take hours.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_OPENING, _CLOSING = ([ord(sign) for sign in signs] for signs in ("[{", "]}"))

Row = dict[str, Any]


class JsonReader:
    """One JSON file; opening it makes one pass, which settles types and counts rows.

    A key that is missing from an object is null; columns come in the order of their first appearance.
    """

    def __init__(self, file: InputFile):
        self.file = file
        self.notes: list[str] = []
        self._line = 1  # that the block at hand begins at
        self._decoder = json.JSONDecoder(object_pairs_hook=self._row, parse_int=_integer)
        with reading(file.path), file.stream() as stream:
            self.encoding = declared_encoding(stream.read(4))
        try:
            typings = self._settle()
        except UnicodeDecodeError:
            self.encoding = "latin-1"
            self.notes.append(f"file {file.path} is not UTF-8: read as latin-1")
            typings = self._settle()
        self._stored = list(typings)
        names, notes = unique_names(self._stored, file.path)
        with reading(file.path):  # an escape such as \\ud800 alone is no text
            self.schema = pa.schema([(new, typings[old].type) for new, old in zip(names, self._stored, strict=True)])
        self.notes += notes
        self.notes += [note for new, old in zip(names, self._stored, strict=True) for note in typings[old].note(new)]

    @property
    def stored_name(self) -> dict[str, str]:
        """What each column, by its name in `schema`, is called in the file."""
        return dict(zip(self.schema.names, self._stored, strict=True))

    def read(self, schema: pa.Schema, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yields blocks of the columns of `schema`, parsed as its types; null where this file lacks one."""
        del batch_rows  # a block is a number of bytes
        stored = {str(name): old for name, old in zip(self.schema.names, self._stored, strict=True)}
        wanted = [(stored.get(str(field.name), str(field.name)), field.type) for field in schema]
        with reading(self.file.path, "the file changed since it was opened: run again"):
            for block in self._blocks():
                table = None if isinstance(block, list) else _parse(block)
                if table is None or any(_lost_its_spelling(table, name, type_) for name, type_ in wanted):
                    rows = self._rows(block)
                    arrays = [array_of([row.get(name) for row in rows], type_) for name, type_ in wanted]
                else:
                    arrays = [_column(table, name, type_) for name, type_ in wanted]
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)

    def _settle(self) -> dict[str, Typing]:
        typings: dict[str, Typing] = {}
        self.num_rows = 0
        for block in self._blocks():
            table = None if isinstance(block, list) else _parse(block)
            if table is not None:
                self.num_rows += table.num_rows
                check_columns(table.num_columns, self.file.limits, self.file.path)
                for name in table.column_names:
                    values = table[name].combine_chunks()
                    type_ = infer_dates(values) if pa.types.is_string(values.type) else values.type
                    typings.setdefault(name, Typing()).see(type_)
                continue
            rows = self._rows(block)
            self.num_rows += len(rows)
            names = dict.fromkeys(name for row in rows for name in row)
            check_columns(len(names), self.file.limits, self.file.path)
            for name in names:
                with reading(f"{self.file.path}, column {name!r}"):
                    type_, mixed = type_of([row.get(name) for row in rows])
                typing = typings.setdefault(name, Typing())
                typing.see(type_)
                typing.mixed = typing.mixed or mixed
        check_columns(len(typings), self.file.limits, self.file.path)
        return typings

    def _blocks(self) -> Iterator[bytes | list[Row]]:
        """Yields whole objects, some megabytes at a time: lines as they are, an array's items decoded."""
        pieces = self._text()
        piece = next(pieces)
        start = piece.lstrip("\ufeff" + _SPACE)
        self._line = 1 + piece[: len(piece) - len(start)].count("\n")
        while not start and (piece := next(pieces, None)) is not None:
            start = piece.lstrip(_SPACE)
            self._line += piece[: len(piece) - len(start)].count("\n")
        if start.startswith("["):
            yield from self._items(start[1:], pieces)
        else:
            yield from self._whole_lines(start, pieces)

    def _text(self) -> Iterator[str]:
        """Yields the file's text in pieces.

        Raises:
          UnicodeError: if it is not in `self.encoding`; outside `reading`, for the caller may try another.
        """
        decoder = codecs.getincrementaldecoder(self.encoding)()
        with reading(self.file.path):
            stream = self.file.stream()
        meter = self.file.meter()
        with stream:
            piece = b" "
            while piece:
                with reading(self.file.path):
                    piece = stream.read(_BLOCK_BYTES)
                meter.add(len(piece))
                yield decoder.decode(piece, final=not piece)

    def _items(self, text: str, pieces: Iterator[str]) -> Iterator[list[Row]]:
        """Yields the objects of an array whose opening bracket has been taken off."""
        rows: list[Row] = []
        at = 0
        while True:
            at = _skip(text, at, _SPACES_AND_COMMAS)
            if text.startswith("]", at):
                break
            try:
                row, end = self._decoder.raw_decode(text, at)
            except json.JSONDecodeError as err:
                self._check_row(len(text) - at)
                more = next(pieces, None)  # the object may go on
                if more is None:
                    raise self._broken(text[err.pos :]) from err
                if rows:
                    yield rows
                self._line += text.count("\n", 0, at)
                text, at, rows = text[at:] + more, 0, []
                continue
            except RecursionError as err:
                raise self._too_deep(text, at) from err
            rows.append(self._object(row, text[at:end]))
            at = end
        if rows:
            yield rows
        for piece in itertools.chain([text[at + 1 :]], pieces):
            if rest := piece.strip(_SPACE):
                raise self._broken(rest)

    def _rows(self, block: bytes | list[Row]) -> list[Row]:
        """Returns a block's objects; here damage and repeated keys are reported."""
        if isinstance(block, list):
            return block
        text, at, rows = block.decode(), 0, []
        while (at := _skip(text, at, _SPACES)) < len(text):
            try:
                row, end = self._decoder.raw_decode(text, at)
            except json.JSONDecodeError as err:
                raise self._broken(text[at:]) from err
            except RecursionError as err:
                raise self._too_deep(text, at) from err
            rows.append(self._object(row, text[at:end]))
            at = end
        return rows

    def _row(self, pairs: list[tuple[str, object]]) -> Row:
        row = dict(pairs)
        if len(row) < len(pairs):
            unique_names([name or "''" for name, _ in pairs], self.file.path)
        return row

    def _check_row(self, length: int) -> None:
        if length > self.file.limits.row_bytes:
            raise DataError(
                f"has a row of over {shown_bytes(self.file.limits.row_bytes)}",
                where=f"{self.file.path}, line {self._line}",
                hint="look for a quote or bracket that is never closed, or raise reading.row_bytes",
            )

    def _object(self, value: object, text: str) -> Row:
        if not isinstance(value, dict):
            raise self._broken(text)
        return value

    def _broken(self, near: str) -> DataError:
        return DataError(
            f"is damaged, or no list of JSON objects, at {near[:40]!r}" if near else "ends too early",
            where=self.file.path,
            hint="write one object per line, or one array of objects",
        )

    def _too_deep(self, text: str, at: int) -> DataError:
        return DataError(
            "is nested too deeply to be read",
            where=f"{self.file.path}, line {self._line + text.count(chr(10), 0, at)}",
            hint="write one flat object per row",
        )

    def _whole_lines(self, text: str, pieces: Iterator[str]) -> Iterator[bytes]:
        """Yields whole lines, about a piece at a time."""
        for piece in pieces:
            head, newline, rest = (text + piece).rpartition("\n")
            if newline and head.strip(_SPACE):
                yield head.encode()
            self._line += head.count("\n") + len(newline)
            self._check_row(len(rest))
            text = rest
        if text.strip(_SPACE):
            yield text.encode()


def _skip(text: str, at: int, signs: re.Pattern[str]) -> int:
    found = signs.match(text, at)
    return at if found is None else found.end()


def _integer(digits: str) -> int | float:
    # Python refuses to read more than some thousands of digits, and floats end at 309.
    return int(digits) if len(digits) <= _MAX_DIGITS else float(digits)


def _parse(block: bytes) -> pa.Table | None:
    """Returns a block of lines, dates still as strings, or None where only Python can tell."""
    if _is_deep(block):
        return None
    options = pajson.ReadOptions(block_size=len(block) + 1)
    try:
        table = pajson.read_json(pa.BufferReader(block), options)
        dates = [field.with_type(pa.string()) for field in table.schema if pa.types.is_timestamp(field.type)]
        if dates:
            # What pyarrow takes for a date depends on the block: have the strings instead.
            parse = pajson.ParseOptions(explicit_schema=pa.schema(dates))
            table = pajson.read_json(pa.BufferReader(block), options, parse).select(table.column_names)
    except pa.ArrowException:
        return None
    # Objects without any key would lose their number of rows.
    return table if table.num_columns else None


def _is_deep(block: bytes) -> bool:
    """True where values are nested so deeply that pyarrow would overflow the stack, and take the process with it."""
    if block.count(b"[") + block.count(b"{") <= block.count(b"\n") + _MAX_DEPTH:
        return False
    outside = np.frombuffer(_STRING.sub(b"", block), np.uint8)
    signs = outside[np.isin(outside, _OPENING + _CLOSING)]
    steps = np.where(np.isin(signs, _OPENING), np.int8(1), np.int8(-1))
    return bool(steps.cumsum(dtype=np.int32).max(initial=0) > _MAX_DEPTH)


def _lost_its_spelling(table: pa.Table, name: str, wanted: pa.DataType) -> bool:
    """True where text is wanted but the block has been read as numbers."""
    if name not in table.column_names or not pa.types.is_string(wanted):
        return False
    given = table.schema.field(name).type
    return not (pa.types.is_string(given) or pa.types.is_null(given))


def _column(table: pa.Table, name: str, type_: pa.DataType) -> pa.Array:
    if name not in table.column_names:
        return pa.nulls(table.num_rows, type_)
    values = table[name].combine_chunks()
    return parse_text(values, type_) if pa.types.is_string(values.type) else values.cast(type_)
