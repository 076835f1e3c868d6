"""JSON: one object per line, or one array of objects.

pyarrow parses a block of lines; where it cannot (the values of a column change their kind), or where a column that is
text in the end looked like numbers within the block, Python parses that block again. Arrays are Python's alone.
"""

import codecs
import itertools
import json
import re
from collections.abc import Generator, Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json as pajson

from vr.core.errors import DataError
from vr.data.formats.blocks import Block, BlockFile, Layout, parse_blocks
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
_Block = Block | list[Row]  # lines, or some of an array's objects


class JsonReader:
    """One JSON file; opening it makes one pass, which settles types, counts rows and cuts lines into blocks.

    A key that is missing from an object is null; columns come in the order of their first appearance.

    Args:
      file: The file.
      layout: What was found when it was opened before; the pass is then spared.
    """

    def __init__(self, file: InputFile, layout: Layout | None = None):
        self.file = file
        self._line = 1  # of an array, where the piece at hand begins
        self._decoder = json.JSONDecoder(object_pairs_hook=self._row, parse_int=_integer)
        self.layout = self._found() if layout is None else layout
        self.encoding = self.layout.encoding
        self.schema = self.layout.schema
        self.notes = self.layout.notes
        self.num_rows = sum(self.layout.rows)
        self._lines = self.block_file()
        self._lines.check(self.layout.stamp)
        # An array's objects lie anywhere on its lines.
        self._has_ranges = bool(self.layout.starts) and self._lines.has_ranges()

    @property
    def told_layout(self) -> dict[str, Any]:
        """What opening the file found out, see `vr.data.formats.reader.told_layout`."""
        return self.layout.told()

    @property
    def stored_name(self) -> dict[str, str]:
        """What each column, by its name in `schema`, is called in the file."""
        return dict(zip(self.schema.names, self.layout.stored, strict=True))

    @property
    def group_rows(self) -> list[int]:
        """Rows of each block of lines; none where blocks are not found by their place."""
        return self.layout.rows if self._has_ranges else []

    def read(self, schema: pa.Schema, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yields blocks of the columns of `schema`, parsed as its types; null where this file lacks one."""
        if self._has_ranges:
            return self.read_groups(schema, batch_rows, 0, len(self.layout.rows))
        return self._read(schema, self._blocks(), self.file.size > _BLOCK_BYTES)

    def read_groups(self, schema: pa.Schema, batch_rows: int, first: int, stop: int) -> Iterator[pa.RecordBatch]:
        """Yields some blocks of lines, see `read`."""
        del batch_rows  # a block is a number of bytes
        blocks = self._lines.at(self.layout.starts[first : stop + 1])
        return self._read(schema, blocks, stop - first > 1)

    def _read(self, schema: pa.Schema, blocks: Iterator[_Block], are_many: bool) -> Iterator[pa.RecordBatch]:
        stored = self.stored_name
        wanted = [(stored.get(str(field.name), str(field.name)), field.type) for field in schema]

        def typed(block: _Block) -> pa.RecordBatch:
            table = None if isinstance(block, list) else _parse(_text_of(block))
            if table is None or any(_lost_its_spelling(table, name, type_) for name, type_ in wanted):
                rows = self._rows(block)
                arrays = [array_of([row.get(name) for row in rows], type_) for name, type_ in wanted]
            else:
                arrays = [_column(table, name, type_) for name, type_ in wanted]
            return pa.RecordBatch.from_arrays(arrays, schema=schema)

        self._lines.check(self.layout.stamp)
        with reading(self.file.path, "the file changed since it was opened: run again"):
            yield from parse_blocks(typed, blocks, are_many)

    def _found(self) -> Layout:
        """Returns what one pass over the file finds out."""
        with reading(self.file.path), self.file.stream() as stream:
            declared = declared_encoding(stream.read(4))
        self.encoding = "utf-8" if declared == "utf-8-sig" else declared
        stamp = self.block_file().stamp()
        if self.encoding == "utf-16":
            with reading(self.file.path):
                return self._settled(stamp, [])
        try:
            return self._settled(stamp, [])
        except UnicodeDecodeError:
            self.encoding = "latin-1"
            return self._settled(stamp, [f"file {self.file.path} is not UTF-8: read as latin-1"])

    def _settled(self, stamp: list[int | None], notes: list[str]) -> Layout:
        self._lines = self.block_file()
        typings: dict[str, Typing] = {}
        starts: list[int] = []
        rows: list[int] = []

        def noted(blocks: Iterator[_Block]) -> Iterator[_Block]:
            for block in blocks:
                if not isinstance(block, list):
                    starts.extend([block.stop] if starts else [block.start, block.stop])
                yield block

        for num_rows, seen in parse_blocks(self._seen, noted(self._blocks()), self.file.size > _BLOCK_BYTES):
            rows.append(num_rows)
            for name, type_, mixed in seen:
                typing = typings.setdefault(name, Typing())
                typing.see(type_)
                typing.mixed = typing.mixed or mixed
        check_columns(len(typings), self.file.limits, self.file.path)
        stored = list(typings)
        names, more = unique_names(stored, self.file.path)
        with reading(self.file.path):  # an escape such as \\ud800 alone is no text
            schema = pa.schema([(new, typings[old].type) for new, old in zip(names, stored, strict=True)])
        more += [note for new, old in zip(names, stored, strict=True) for note in typings[old].note(new)]
        return Layout(stamp, self.encoding, schema, notes + more, starts, rows, stored)

    def _seen(self, block: _Block) -> tuple[int, list[tuple[str, pa.DataType, str | None]]]:
        """Returns a block's rows, and of each of its columns the name, the type and what is mixed in it."""
        table = None if isinstance(block, list) else _parse(_text_of(block))
        if table is not None:
            check_columns(table.num_columns, self.file.limits, self.file.path)
            seen = []
            for name in table.column_names:
                values = table[name].combine_chunks()
                type_ = infer_dates(values) if pa.types.is_string(values.type) else values.type
                seen.append((name, type_, None))
            return table.num_rows, seen
        rows = self._rows(block)
        names = dict.fromkeys(name for row in rows for name in row)
        check_columns(len(names), self.file.limits, self.file.path)
        seen = []
        for name in names:
            with reading(f"{self.file.path}, column {name!r}"):
                seen.append((name, *type_of([row.get(name) for row in rows])))
        return len(rows), seen

    def _blocks(self) -> Iterator[_Block]:
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
            pieces.close()
            yield from self._lines.cut()

    def _text(self) -> Generator[str]:
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
                raise self._too_deep(self._line + text.count("\n", 0, at)) from err
            rows.append(self._object(row, text[at:end]))
            at = end
        if rows:
            yield rows
        for piece in itertools.chain([text[at + 1 :]], pieces):
            if rest := piece.strip(_SPACE):
                raise self._broken(rest)

    def _rows(self, block: _Block) -> list[Row]:
        """Returns a block's objects; here damage and repeated keys are reported."""
        if isinstance(block, list):
            return block
        text, at, rows = _text_of(block).decode(), 0, []
        while (at := _skip(text, at, _SPACES)) < len(text):
            try:
                row, end = self._decoder.raw_decode(text, at)
            except json.JSONDecodeError as err:
                raise self._broken(text[at:]) from err
            except RecursionError as err:
                raise self._too_deep(self._lines.line_at(block.start) + text.count("\n", 0, at)) from err
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
            raise self._too_long(self._line)

    def _too_long(self, line: int) -> DataError:
        return DataError(
            f"has a row of over {shown_bytes(self.file.limits.row_bytes)}",
            where=f"{self.file.path}, line {line}",
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

    def _too_deep(self, line: int) -> DataError:
        return DataError(
            "is nested too deeply to be read",
            where=f"{self.file.path}, line {line}",
            hint="write one flat object per row",
        )

    def block_file(self) -> BlockFile:
        """Returns the file as blocks that are yet to be cut."""

        def too_long(start: int) -> DataError:
            return self._too_long(self._lines.line_at(start))

        return BlockFile(self.file, self.encoding, _BLOCK_BYTES, lambda text: text.rfind(b"\n") + 1, too_long)


def _text_of(block: Block) -> bytes:
    """Returns the lines of a block, without the file's byte-order mark.

    Raises:
      UnicodeDecodeError: if they are not UTF-8.
    """
    block.content.decode()
    return block.content if block.start else block.content.removeprefix(codecs.BOM_UTF8)


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
