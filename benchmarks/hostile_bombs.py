"""Files that are small, or cheap to make, and cost their reader dearly: compression bombs, lies, endless rows."""

import bz2
import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import openpyxl
import pyarrow as pa
import pyarrow.parquet as pq

__all__ = ["BOMBS"]

_MIB = 1 << 20


def _parquet_of_one_string(path: Path) -> None:
    """A dictionary of one string of 10 MB, and 100,000 rows that point to it: a terabyte in some kilobytes."""
    words = pa.DictionaryArray.from_arrays(np.zeros(100_000, np.int32), pa.array(["x" * 10_000_000]))
    pq.write_table(pa.table({"a": words}), path, compression="zstd", store_schema=False)


def _parquet_of_constants(path: Path) -> None:
    """Run-length encoding: 10 columns of 20 million equal numbers are 1.6 GB."""
    schema = pa.schema([(f"c{i}", pa.int64()) for i in range(10)])
    column = pa.chunked_array([pa.array(np.full(1 << 20, 7))] * 20)
    pq.write_table(pa.table([column] * 10, schema=schema), path, compression="zstd", row_group_size=1 << 25)


def _gzip_of_csv(path: Path) -> None:
    """Members of 64 MiB of one repeated line, packed once: 4 GiB."""
    line = b"1,2,three\n"
    member = gzip.compress(line * (64 * _MIB // len(line)), 9, mtime=0)
    path.write_bytes(gzip.compress(b"a,b,c\n", mtime=0) + member * 64)


def _bzip_of_json(path: Path) -> None:
    """The same of JSON lines in bzip2, which packs repetition a thousand times closer."""
    line = b'{"a": 1, "b": "x"}\n'
    path.write_bytes(bz2.compress(line * (64 * _MIB // len(line))) * 64)


def _million_columns_csv(path: Path) -> None:
    count = 1_000_000
    path.write_text(",".join(f"c{i}" for i in range(count)) + "\n" + ",".join("1" * count) + "\n")


def _million_columns_arrow(path: Path) -> None:
    schema = pa.schema([(f"c{i}", pa.bool_()) for i in range(1_000_000)])
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, schema):
        pass


def _many_columns_parquet(path: Path) -> None:
    count = 100_000
    pq.write_table(pa.table([[1]] * count, names=[f"c{i}" for i in range(count)]), path)


def _one_line_csv(path: Path) -> None:
    """A quote that is never closed, and 256 MiB behind it."""
    with path.open("wb") as file:
        file.write(b'a,b\n1,"')
        for _ in range(256):
            file.write(b"x" * _MIB)


def _one_line_json(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b'{"a": 1, "b": "')
        for _ in range(256):
            file.write(b"x" * _MIB)


def _deep_json(path: Path) -> None:
    path.write_text('{"a": 1}\n{"a": ' + "[" * 3_000_000 + "\n")


def _escaped_quotes_json(path: Path) -> None:
    """A string of escaped quotes that is never closed: a regular expression that starts at each goes through all."""
    path.write_text('{"a": ' + "[" * 600 + '"' + '\\"' * 1_500_000 + "\n")


def _endless_hdf5(path: Path) -> None:
    """A dataset that says it has 2**50 rows and stores none."""
    with h5py.File(path, "w") as root:
        root.create_dataset("a", shape=(1 << 50,), chunks=(1 << 16,), dtype="f8")


def _wide_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as root:
        root.create_dataset("a", shape=(10, 1 << 40), chunks=(1, 1 << 16), dtype="f8")


def _borrowed_hdf5(path: Path) -> None:
    """A dataset whose bytes are those of another file of this machine."""
    with h5py.File(path, "w") as root:
        root.create_dataset("a", shape=(64,), dtype="u1", external=[("/etc/passwd", 0, 64)])


def _row_far_down_xlsx(path: Path) -> None:
    """The second row is number 4,000,000,000: a reader that fills in the rows between never comes to it."""
    _edited(path, "xl/worksheets/sheet1.xml", lambda xml: xml.replace(b'<row r="2"', b'<row r="4000000000"'))


def _entities_xlsx(path: Path) -> None:
    """A billion laughs: entities of entities, 10**9 in the end."""
    entities = b'<!ENTITY e0 "ha">' + b"".join(
        b'<!ENTITY e%d "%s">' % (i, b"&e%d;" % (i - 1) * 10) for i in range(1, 10)
    )
    _edited(
        path,
        "xl/sharedStrings.xml",
        lambda xml: b"<!DOCTYPE sst [" + entities + b"]>" + xml.replace(b"<t>name", b"<t>&e9;"),
    )


def _zeros_xlsx(path: Path) -> None:
    """A sheet with 2 GiB of spaces before its rows."""
    sink = io.BytesIO()
    _edited(path, "", bytes)
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            content = old.read(name)
            if name != "xl/worksheets/sheet1.xml":
                new.writestr(name, content)
                continue
            with new.open(name, "w", force_zip64=True) as member:
                before, mark, after = content.partition(b"<sheetData>")
                member.write(before)
                for _ in range(128):
                    member.write(b" " * (16 * _MIB))
                member.write(mark + after)
    path.write_bytes(sink.getvalue())


def _edited(path: Path, member: str, change: Callable[[bytes], bytes]) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in (["name", "size"], ["name of it", 1], ["x", 2]):
        sheet.append(row)
    sink = io.BytesIO()
    book.save(sink)
    with zipfile.ZipFile(sink) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, change(old.read(name)) if name == member else old.read(name))


# By file name: what writes it.
BOMBS: dict[str, Callable[[Path], None]] = {
    "one_string.parquet": _parquet_of_one_string,
    "constants.parquet": _parquet_of_constants,
    "packed.csv.gz": _gzip_of_csv,
    "packed.jsonl.bz2": _bzip_of_json,
    "million_columns.csv": _million_columns_csv,
    "million_columns.arrow": _million_columns_arrow,
    "many_columns.parquet": _many_columns_parquet,
    "one_line.csv": _one_line_csv,
    "one_line.jsonl": _one_line_json,
    "deep.jsonl": _deep_json,
    "escaped_quotes.jsonl": _escaped_quotes_json,
    "endless.h5": _endless_hdf5,
    "wide.h5": _wide_hdf5,
    "borrowed.h5": _borrowed_hdf5,
    "row_far_down.xlsx": _row_far_down_xlsx,
    "entities.xlsx": _entities_xlsx,
    "spaces.xlsx": _zeros_xlsx,
}
