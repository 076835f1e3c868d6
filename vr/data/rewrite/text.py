"""What text formats share: the old file's text in its own encoding, the new one's bytes, and numbers as text."""

import codecs
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import pyarrow as pa

from vr.core.errors import DataError
from vr.data.formats.reader import InputFile, reading

__all__ = ["as_text", "number", "open_text", "pieces"]

_PIECE_BYTES = 4 << 20
_COMPRESSIONS = {".gz": "gzip", ".zst": "zstd", ".bz2": "bz2", ".lz4": "lz4"}


def pieces(file: InputFile, encoding: str) -> Iterator[str]:
    """Yields a file's text, its byte-order mark first where there is one, some megabytes at a time."""
    decoder = codecs.getincrementaldecoder(_exact(file, encoding))()
    with reading(file.path), file.stream() as stream:
        piece = b" "
        while piece:
            piece = stream.read(_PIECE_BYTES)
            yield decoder.decode(piece, final=not piece)


@contextmanager
def open_text(path: Path, file: InputFile, encoding: str) -> Iterator[IO[str]]:
    """Opens a file for text in the encoding of `file`, compressed where the name of `path` says so."""
    codec = next((codec for ending, codec in _COMPRESSIONS.items() if path.name.lower().endswith(ending)), None)
    with pa.OSFile(str(path), "wb") as raw:
        sink = raw if codec is None else pa.CompressedOutputStream(raw, codec)
        with sink, codecs.getwriter(_exact(file, encoding))(sink) as text:  # type: ignore[arg-type]
            yield text  # type: ignore[misc]


def number(value: float) -> str:
    """Returns a number's shortest text that reads back as the same; whole numbers without a point."""
    return str(int(value)) if value == int(value) and abs(value) < 2**63 else repr(float(value))


def as_text(array: pa.Array, name: str) -> list[str | None]:
    """Returns a column's values as their texts, None for null.

    Raises:
      DataError: where it holds what has no text.
    """
    plain = array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array
    try:
        return plain.cast(pa.string()).to_pylist()
    except (pa.ArrowException, NotImplementedError) as err:
        raise DataError(f"holds {array.type}, which has no text", where=f"real rows, column '{name}'") from err


def _exact(file: InputFile, encoding: str) -> str:
    # The file's byte-order mark is kept as a character of the text; these encodings would take it or add their own.
    if encoding != "utf-16":
        return encoding.removesuffix("-sig")
    with reading(file.path), file.stream() as stream:
        return "utf-16-le" if stream.read(2) == codecs.BOM_UTF16_LE else "utf-16-be"
