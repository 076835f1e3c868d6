"""What every format's reader offers, and how a library's exception becomes one line about a file."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import pyarrow as pa
from pyarrow import fs

from vr.core.errors import DataError
from vr.data.config import ReadingConfig
from vr.data.meter import Meter

if TYPE_CHECKING:
    from vr.data.store.ranges import RangeFile

__all__ = [
    "GroupedReader",
    "InputFile",
    "Reader",
    "group_rows",
    "reading",
    "told_layout",
    "unique_names",
]

# The first bytes of what is decompressed on the fly; the name does not matter.
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"BZh": "bz2", b"\x04\x22\x4d\x18": "lz4"}

# What pyarrow, h5py and Python's own decoders raise on bytes they cannot make sense of.
_READ_ERRORS = (pa.ArrowException, OSError, EOFError, UnicodeError)


def _nothing() -> None:
    """Nobody watches."""


@dataclass(frozen=True)
class InputFile:
    """One file of a dataset, on whatever filesystem it lives.

    Attributes:
      path: The name as the user knows it, for messages.
      size: Bytes as stored.
      filesystem: Where it lives.
      key: Its path within `filesystem`.
      modified_ns: When an object store says that it was written; None on a disk, which can be asked any time.
      limits: What reading it may take.
      stepped: Called by its reader at every step forward, which a watching process may wait for.
    """

    path: str
    size: int
    filesystem: fs.FileSystem
    key: str
    modified_ns: int | None = None
    limits: ReadingConfig = field(default_factory=ReadingConfig, repr=False, compare=False)
    stepped: Callable[[], None] = field(default=_nothing, repr=False, compare=False)
    _first: list = field(default_factory=list, init=False, repr=False, compare=False)

    @property
    def is_local(self) -> bool:
        """True where random reads are cheap."""
        return isinstance(self.filesystem, fs.LocalFileSystem)

    def open(self) -> pa.NativeFile:
        """Returns the raw bytes, seekable."""
        if self.is_local:
            return self.filesystem.open_input_file(self.key)
        return pa.PythonFile(self.open_ranges(), mode="r")

    def open_ranges(self) -> "RangeFile":
        """Returns the raw bytes of a file far away, read by ranges."""
        from vr.data.store.ranges import RangeFile

        return RangeFile(self.filesystem, self.key, self.size, self.path, self._first)

    def meter(self) -> Meter:
        """Returns what counts the decoded bytes of one pass."""
        return Meter(self.limits, self.size, self.path, self.stepped)

    def compression(self) -> str | None:
        """Returns what the bytes are compressed with, if they begin like gzip, zstd, bz2 or lz4."""
        with self.open() as raw:
            return _compression(raw)

    def stream(self) -> pa.NativeFile:
        """Returns the bytes in order, decompressed."""
        raw = self.open()
        codec = _compression(raw)
        raw.seek(0)
        return raw if codec is None else pa.CompressedInputStream(raw, codec)


def _compression(raw: pa.NativeFile) -> str | None:
    start = raw.read(4)
    return next((name for magic, name in _COMPRESSED.items() if start.startswith(magic)), None)


class Reader(Protocol):
    """One file (or frame) as Arrow batches in row order; opening it has already settled its types."""

    @property
    def schema(self) -> pa.Schema:
        """Columns as stored, all of them, names unique and not empty."""
        ...

    @property
    def num_rows(self) -> int | None:
        """Rows, or None where only a pass would tell."""
        ...

    @property
    def notes(self) -> Sequence[str]:
        """What was decided about odd input."""
        ...

    def read(self, schema: pa.Schema, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yields batches of any length holding at least the columns of `schema`.

        Text formats parse each column as the type that `schema` gives; formats that store types may yield their own,
        which the caller then casts. `batch_rows` is a wish.
        """
        ...


@runtime_checkable
class GroupedReader(Protocol):
    """A reader of a file whose groups of rows can be read one by one."""

    @property
    def group_rows(self) -> Sequence[int]:
        """Rows of each group."""
        ...

    def read_groups(self, schema: pa.Schema, batch_rows: int, first: int, stop: int) -> Iterator[pa.RecordBatch]:
        """Yields what `Reader.read` would, of the groups from `first` to before `stop`."""
        ...


def told_layout(reader: Reader) -> dict[str, Any] | None:
    """Returns what spares another process, which opens the same file, a pass over it; JSON-able, None for nothing.

    A reader that had to go through its file to open it has it as a property, as `vr.data.formats.blocks.Layout.told`.
    """
    return getattr(reader, "told_layout", None)


def group_rows(reader: Reader) -> list[int] | None:
    """Returns the rows of each part that can be read by itself, the whole file where none can; None if unknown."""
    if isinstance(reader, GroupedReader) and reader.group_rows:
        return list(reader.group_rows)
    return None if reader.num_rows is None else [reader.num_rows]


@contextmanager
def reading(where: str, hint: str = "it may be truncated or damaged: write it again") -> Iterator[None]:
    """Turns what goes wrong inside into a `DataError` that names `where`."""
    try:
        yield
    except FileNotFoundError as err:
        raise DataError("is not there any more", where=where) from err
    except PermissionError as err:
        raise DataError("may not be read", where=where, hint="check its permissions") from err
    except MemoryError as err:
        raise DataError(
            f"takes more memory than there is ({_short(err)})",
            where=where,
            hint="it may be damaged or made to fill a machine; if you trust it, raise reading.memory_bytes",
        ) from err
    except _READ_ERRORS as err:
        raise DataError(f"cannot be read ({_short(err)})", where=where, hint=hint) from err


def unique_names(names: Sequence[str], where: str) -> tuple[list[str], list[str]]:
    """Returns `names` with empty ones filled in as `column_<position from 1>`, and notes about that.

    Raises:
      DataError: if a name occurs twice.
    """
    filled = [name if name.strip() else f"column_{i}" for i, name in enumerate(names, 1)]
    seen: set[str] = set()
    for name in filled:
        if name in seen:
            raise DataError(f"column '{name}' occurs twice", where=where, hint="give every column a name of its own")
        seen.add(name)
    notes = [
        f"column {i} has no name: called '{new}'"
        for i, (old, new) in enumerate(zip(names, filled, strict=True), 1)
        if old != new
    ]
    return filled, notes


def _short(err: BaseException, limit: int = 200) -> str:
    text = " ".join(str(err).split()) or type(err).__name__
    return text if len(text) <= limit else text[: limit - 3] + "..."
