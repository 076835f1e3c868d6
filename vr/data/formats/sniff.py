"""What a file looks like from its first bytes, whatever it is called."""

import codecs

from vr.core.errors import DataError
from vr.data.formats.reader import InputFile, reading

__all__ = ["check_looks", "declared_encoding", "format_by_looks"]

_MAGIC = {
    b"PAR1": "parquet",
    b"PARE": "encrypted parquet",
    b"ARROW1": "arrow",
    b"\xff\xff\xff\xff": "arrow",  # the stream layout: a continuation marker
    b"FEA1": "feather version 1",
    b"\x89HDF\r\n\x1a\n": "hdf5",
    b"PK\x03\x04": "xlsx",  # or any other zip: openpyxl tells
    b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1": "an old Excel workbook (xls)",
    b"%PDF": "a PDF",
    b"SQLite format 3": "an SQLite database",
}
_BOMS = {codecs.BOM_UTF8: "utf-8-sig", codecs.BOM_UTF16_LE: "utf-16", codecs.BOM_UTF16_BE: "utf-16"}
_PEEK = 1 << 16

# An object's first key is quoted; a bracket alone may just as well open a csv header.
_JSON_STARTS = ('{"', "{}", '[{"', "[{}", "[]")
_ACCEPTS = {
    "csv": {"text", "bracket"},
    "tsv": {"text", "bracket"},
    "json": {"json", "bracket"},
    "jsonl": {"json", "bracket"},
}
_FORMAT_OF = {name: name for name in ("parquet", "arrow", "hdf5", "xlsx", "json")} | {"text": "csv", "bracket": "csv"}


def declared_encoding(start: bytes) -> str:
    """Returns the encoding that a byte-order mark declares; UTF-8 without one."""
    return next((encoding for mark, encoding in _BOMS.items() if start.startswith(mark)), "utf-8")


def format_by_looks(file: InputFile) -> str:
    """Returns the format of a file whose name says nothing.

    Raises:
      DataError: if it looks like nothing that vr reads.
    """
    looks = _looks(file)
    if looks not in _FORMAT_OF:
        raise DataError(f"looks like {looks}, which is not read", where=file.path, hint="save it as parquet or csv")
    return _FORMAT_OF[looks]


def check_looks(file: InputFile, format: str) -> None:
    """Raises a `DataError` unless the file looks like its `format`."""
    looks = _looks(file)
    if looks in _ACCEPTS.get(format, {format}):
        return
    right = _FORMAT_OF.get(looks)
    raise DataError(
        f"should be {format} but looks like {'csv or other text' if right == 'csv' else looks}",
        where=file.path,
        hint="save it as parquet or csv" if right is None else f"rename it or pass --format {right}",
    )


def _looks(file: InputFile) -> str:
    """Returns a format's name, `text`, `bracket` (text that may be JSON), or words for what vr does not read."""
    with reading(file.path), file.stream() as stream:
        start = stream.read(_PEEK)
    for magic, name in _MAGIC.items():
        if start.startswith(magic):
            return name
    encoding = declared_encoding(start)
    if b"\x00" in start and encoding != "utf-16":
        return "binary data of no known format"
    head = "".join(start.decode(encoding, "ignore")[:1000].split())
    if head.startswith(_JSON_STARTS):
        return "json"
    return "bracket" if head.startswith(("[", "{")) else "text"
