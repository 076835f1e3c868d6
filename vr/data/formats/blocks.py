"""Text files cut into blocks of whole rows, which are parsed beside each other and found again by their place.

What opening such a file found out, by reading it through once, is its `Layout`: another process that is given it reads
any of the blocks without another look at the rest.
"""

import codecs
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from vr.core.errors import DataError
from vr.data.formats.reader import InputFile, reading
from vr.data.ordered import map_in_order

__all__ = ["Block", "BlockFile", "Layout", "parse_blocks", "told_of_blocks"]

_THREADS = 4  # what lies parsed and waits is memory
_Block = TypeVar("_Block")
_Result = TypeVar("_Result")


class Block(NamedTuple):
    """Whole rows of a text file.

    Attributes:
      start: Where it begins among the file's bytes, decompressed; where these are UTF-16, among those of UTF-8.
      stop: Where it ends.
      content: The rows in UTF-8, or what is to be held against it.
    """

    start: int
    stop: int
    content: bytes


@dataclass(frozen=True)
class Layout:
    """What a text file was found to hold when it was read through.

    Attributes:
      stamp: Bytes and time of change of the file, see `BlockFile.stamp`.
      encoding: utf-8, latin-1 or utf-16.
      schema: Columns and their types.
      notes: What was decided about odd input.
      starts: Where each block begins, and where the last one ends.
      rows: Of each block.
      stored: What each column is called in the file.
      delimiter: Of csv.
    """

    stamp: list[int | None]
    encoding: str
    schema: pa.Schema
    notes: list[str]
    starts: list[int]
    rows: list[int]
    stored: list[str]
    delimiter: str = ""

    def told(self) -> dict[str, Any]:
        """Returns it as JSON can hold it, with the lists that it has itself."""
        return {**vars(self), "schema": self.schema.serialize().to_pybytes().hex()}

    @classmethod
    def of(cls, told: dict[str, Any]) -> "Layout":
        """Returns it again."""
        return cls(**{**told, "schema": pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(told["schema"])))})


def told_of_blocks(told: dict[str, Any], first: int, stop: int) -> dict[str, Any]:
    """Returns what `Layout.told` gave, as of a file of the blocks from `first` to before `stop` alone."""
    return {**told, "starts": told["starts"][first : stop + 1], "rows": told["rows"][first:stop]}


class BlockFile:
    """A text file as blocks.

    Args:
      file: The file.
      encoding: utf-8, latin-1 or utf-16; utf-8 is not checked.
      block_bytes: Of a block; one has more where a row does.
      rows_end: Tells of text that begins with a row where its last whole row ends; 0 where none does.
      too_long: Makes the error about a row of over `reading.row_bytes`, from where it begins.
    """

    def __init__(
        self,
        file: InputFile,
        encoding: str,
        block_bytes: int,
        rows_end: Callable[[bytes], int],
        too_long: Callable[[int], DataError],
    ):
        self._file = file
        self._encoding = encoding
        self._block_bytes = block_bytes
        self._rows_end = rows_end
        self._too_long = too_long

    def has_ranges(self) -> bool:
        """Whether blocks can be read from their place: what is compressed or recoded is read from its start."""
        with reading(self._file.path):
            return self._encoding != "utf-16" and self._file.compression() is None

    def stamp(self) -> list[int | None]:
        """Returns bytes and time of change of the file as it is now; of one in a store as it was listed."""
        if not self._file.is_local:
            return [self._file.size, self._file.modified_ns]
        with reading(self._file.path):
            told = os.stat(self._file.key)
            return [told.st_size, told.st_mtime_ns]

    def check(self, stamp: list[int | None]) -> None:
        """Raises a `DataError` if the file is not as it was."""
        if self.stamp() != stamp:
            raise self._changed()

    def cut(self, start: int = 0) -> Iterator[Block]:
        """Yields the file from `start`, where a row begins, in blocks that are cut on the way.

        Raises:
          DataError: if it cannot be read, is not in its encoding, which is not asked of UTF-8, or has too long a row.
        """
        most = max(self._block_bytes, self._file.limits.row_bytes)
        count = self._block_bytes
        with self._pieces(start) as pieces:
            text, is_over = pieces.next(count)
            while True:
                # What comes before the end of the file is one block, whether its last line is ended or not.
                piece, is_over = (b"", True) if is_over else pieces.next(count)
                end = 0 if is_over and len(text) <= most else self._rows_end(text)
                if not end and len(text) > most:
                    raise self._too_long(start)
                if end:
                    yield self._block(start, text[:end])
                    start, text = start + end, text[end:]
                text += piece
                if is_over:
                    break
                # Twice as much where no row ended: what is looked through again is then no more than the row itself.
                count = self._block_bytes if end else max(count, min(len(text), most + 1 - len(text)))
            if text:
                yield self._block(start, text)

    def at(self, starts: Sequence[int]) -> Iterator[Block]:
        """Yields the blocks between consecutive places of a file that has ranges.

        Raises:
          DataError: if it cannot be read, or is shorter than it was.
        """
        with reading(self._file.path):
            raw = self._file.open()
        meter = self._file.meter()
        with raw:
            for start, stop in pairwise(starts):
                with reading(self._file.path):
                    raw.seek(start)
                    content = raw.read(stop - start)
                if len(content) != stop - start:
                    raise self._changed()
                meter.add(len(content))
                yield Block(start, stop, self._recoded(content))

    def line_at(self, place: int) -> int:
        """Returns the number (from 1) of the line that begins at a place; for messages only."""
        line = 1
        with self._pieces(0) as pieces:
            is_over = False
            while place > 0 and not is_over:
                piece, is_over = pieces.next(self._block_bytes)
                line += piece.count(b"\n", 0, place)
                place -= len(piece)
        return line

    def _changed(self) -> DataError:
        return DataError("has changed since it was opened", where=self._file.path, hint="run it again")

    def _pieces(self, start: int) -> "_Pieces":
        return _Pieces(self._file, self._encoding, start)

    def _block(self, start: int, text: bytes) -> Block:
        """Returns whole rows as a block, none of them of over `reading.row_bytes`."""
        at, most = 0, self._file.limits.row_bytes
        while len(text) - at > most:
            end = self._rows_end(text[at : at + most])
            if not end:
                raise self._too_long(start + at)
            at += end
        return Block(start, start + len(text), self._recoded(text))

    def _recoded(self, content: bytes) -> bytes:
        return content.decode("latin-1").encode() if self._encoding == "latin-1" else content


class _Pieces:
    """The bytes of a file from a place on, decompressed, UTF-16 as UTF-8; metered, also where nobody wants them."""

    def __init__(self, file: InputFile, encoding: str, start: int):
        self._path = file.path
        self._meter = file.meter()
        self._decoder = codecs.getincrementaldecoder(encoding)() if encoding == "utf-16" else None
        self._kept = b""
        with reading(file.path):
            self._stream = file.stream()
        while start > 0:
            piece, is_over = self.next(start)
            self._kept, start = piece[start:], 0 if is_over else start - len(piece)

    def next(self, count: int) -> tuple[bytes, bool]:
        """Returns about `count` bytes more, and whether the file is over."""
        with reading(self._path):
            piece = self._stream.read(count)
        self._meter.add(len(piece))
        is_over = not piece
        if self._decoder is not None:
            with reading(self._path):
                piece = self._decoder.decode(piece, final=is_over).encode()
        kept, self._kept = self._kept, b""
        return kept + piece, is_over

    def __enter__(self) -> "_Pieces":
        return self

    def __exit__(self, *_: object) -> None:
        self._stream.close()


def parse_blocks(parse: Callable[[_Block], _Result], blocks: Iterable[_Block], are_many: bool) -> Iterator[_Result]:
    """Yields what `parse` makes of every block, in order; of many, several are parsed at a time."""
    threads = min(_THREADS, os.cpu_count() or 1)
    return map_in_order(parse, blocks, threads) if are_many and threads > 1 else map(parse, blocks)
