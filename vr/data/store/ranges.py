"""An object far away as a file: read by ranges, several at once and ahead of need, each tried again by itself.

pyarrow reads ranges in parallel too, but a range that fails fails the row group, and with it a pass over the data.
Where requests fail half of the time a row group of ten ranges would come through once in a thousand attempts.

What no client can see here: pyarrow 26 takes an answer of S3 that is shorter than asked, and says so itself in its
length, for a whole one. Of an answer that breaks off it raises.
"""

import bisect
import functools
import io
import threading
from collections.abc import Callable, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass

import pyarrow as pa
from pyarrow import fs

from vr.core.errors import DataError
from vr.data.store.retries import Absent, Forbidden, Passing, with_retries

__all__ = ["RangeFile"]

_BLOCK_BYTES = 1 << 20
_AHEAD = 8  # blocks asked for beyond the one at hand, once reading goes straight on
_KEPT = 16  # blocks held, for formats that go back and forth
_LARGEST_RANGE = 8 << 20
_JOINED_GAP = 64 << 10  # reading this much in vain costs less than another request
_PARALLEL = 8


@dataclass(frozen=True)
class _Piece:
    start: int
    stop: int
    content: "Future[bytes]"


class RangeFile(io.RawIOBase):
    """An object opened for reading.

    Args:
      filesystem: Where it lives.
      key: Its path there.
      size: Bytes that it must have, as it was listed.
      where: Its name for messages.
      first: What the store said of the object when any file of it was opened first; empty, and then filled, by the
        first of them.

    Reading raises a DataError where the object is gone, may not be read or is another than at first, a StoreError where
    the store failed for too long.
    """

    def __init__(self, filesystem: fs.FileSystem, key: str, size: int, where: str, first: list | None = None):
        super().__init__()
        self._where = where
        self._open = lambda: filesystem.open_input_file(key)
        self._native: pa.NativeFile | None = None
        self._first: list[tuple[int | None, str]] = [] if first is None else first
        self._lock = threading.Lock()
        self._size = size
        self._at = 0
        self._last_block = -2
        self._blocks: dict[int, _Piece] = {}
        self._planned: list[_Piece] = []

    def readable(self) -> bool:
        """Returns True."""
        return True

    def seekable(self) -> bool:
        """Returns True."""
        return True

    def size(self) -> int:
        """Returns the number of bytes."""
        return self._size

    def tell(self) -> int:
        """Returns where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Moves to where the next read begins."""
        self._at = max(0, offset + {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence])
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Returns the next `size` bytes, fewer only at the end."""
        stop = self._size if size is None or size < 0 else min(self._at + size, self._size)
        parts = []
        while self._at < stop:
            piece = self._piece_at(self._at)
            upto = min(stop, piece.stop)
            content = piece.content.result()
            whole = self._at == piece.start and upto == piece.stop
            parts.append(content if whole else content[self._at - piece.start : upto - piece.start])
            self._at = upto
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def plan(self, ranges: Iterable[tuple[int, int]], *, done_before: int = 0) -> None:
        """Begins to fetch ranges (start, stop) that will be read soon; forgets those that end at `done_before`."""
        for piece in self._planned:
            if piece.stop <= done_before:
                piece.content.cancel()
        self._planned = [piece for piece in self._planned if piece.stop > done_before]
        self._planned += [self._ask(start, stop) for start, stop in _requests(ranges)]
        self._planned.sort(key=lambda piece: piece.start)

    def close(self) -> None:
        """Gives up what is still being fetched."""
        if not self.closed:
            for piece in (*self._planned, *self._blocks.values()):
                piece.content.cancel()
            self._planned, self._blocks = [], {}
            with suppress(OSError), self._lock:
                if self._native is not None:
                    self._native.close()
        super().close()

    def _piece_at(self, offset: int) -> _Piece:
        i = bisect.bisect_right(self._planned, offset, key=lambda piece: piece.start) - 1
        if i >= 0 and offset < self._planned[i].stop:
            return self._planned[i]
        number = offset // _BLOCK_BYTES
        ahead = _AHEAD if number == self._last_block + 1 else 0
        if number != self._last_block:
            for each in range(number, number + 1 + ahead):
                self._want_block(each)
            self._last_block = number
        return self._want_block(number)

    def _want_block(self, number: int) -> _Piece:
        start = number * _BLOCK_BYTES
        # Taken out and put back: the oldest by use are first.
        piece = self._blocks.pop(number, None)
        if piece is None:
            piece = self._ask(start, max(start, min(start + _BLOCK_BYTES, self._size)))
        self._blocks[number] = piece
        while len(self._blocks) > _KEPT:
            self._blocks.pop(next(iter(self._blocks))).content.cancel()
        return piece

    def _ask(self, start: int, stop: int) -> _Piece:
        if start >= stop:
            empty: Future[bytes] = Future()
            empty.set_result(b"")
            return _Piece(start, stop, empty)
        return _Piece(start, stop, _pool().submit(self._fetch, start, stop))

    def _fetch(self, start: int, stop: int) -> bytes:
        def once() -> bytes:
            native = self._opened()
            try:
                content = native.read_at(stop - start, start)
            except BaseException as err:
                # Where a failed read leaves the object closed, the next attempt opens it again.
                with self._lock:
                    if self._native is native and native.closed:
                        self._native = None
                if isinstance(err, ValueError) and native.closed:
                    raise Passing("was closed by a read that failed", where=self._where) from None
                raise
            if len(content) != stop - start:
                raise Passing(f"sent {len(content):,} of {stop - start:,} bytes", where=self._where)
            return content

        return self._tried(once)

    def _opened(self) -> pa.NativeFile:
        """Returns the object opened, once for all threads: opening is a request too."""
        with self._lock:
            if self._native is None:
                native = self._open()
                # pyarrow opens an object of GCS at the first look, and holds it closed where that fails.
                if native.closed:
                    raise Passing("could not be opened", where=self._where)
                found = _size_and_version(native)
                if not self._first:
                    self._first.append(found)
                if self._first[0] != found or found[0] not in (None, self._size):
                    raise DataError("changed while it was read", where=self._where, hint="run again when it is written")
                self._native = native
            return self._native

    def _tried(self, call: Callable[[], bytes]) -> bytes:
        try:
            return with_retries(call, self._where)
        except Absent as err:
            raise DataError("is not there any more", where=self._where) from err
        except Forbidden as err:
            raise DataError(err.message, where=self._where, hint=err.hint) from err


def _size_and_version(native: pa.NativeFile) -> tuple[int | None, str]:
    """Returns what the store said of an object when it was opened, where it said anything."""
    try:
        about = {_text(name).lower(): _text(value) for name, value in (native.metadata() or {}).items()}
    except NotImplementedError:
        # pyarrow's word for a store that says nothing of its objects.
        return None, ""
    size = about.get("content-length") or about.get("size")
    return int(size) if size else None, about.get("generation") or about.get("etag", "")


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "replace")


def _requests(ranges: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
    """Returns ranges joined where little lies between them, and cut where they are so large that two are faster."""
    joined: list[list[int]] = []
    for start, stop in sorted(ranges):
        if joined and start - joined[-1][1] <= _JOINED_GAP:
            joined[-1][1] = max(joined[-1][1], stop)
        else:
            joined.append([start, stop])
    return [(at, min(at + _LARGEST_RANGE, stop)) for start, stop in joined for at in range(start, stop, _LARGEST_RANGE)]


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_PARALLEL, thread_name_prefix="vr-range")
