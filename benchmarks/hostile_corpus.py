"""Small sound files of every format that vr reads, in several layouts each, for mutation."""

import gzip
import io
import json
import re
import struct
import tempfile
import zipfile
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from time import time

import h5py
import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

__all__ = ["corpus"]

_ROWS = 60


def corpus() -> dict[str, bytes]:
    """Returns files by name; the ending tells the format."""
    table = _table()
    flat = table.drop_columns(["nested", "point"])
    files = {
        name: _written(lambda sink, options=options: pq.write_table(table, sink, **options))
        for name, options in _PARQUET.items()
    }
    for codec in (None, "lz4", "zstd"):
        files[f"file_{codec}.arrow"] = _ipc(table, pa.ipc.new_file, codec)
        files[f"stream_{codec}.arrow"] = _ipc(table, pa.ipc.new_stream, codec)
    for ending, delimiter in (("csv", ","), ("tsv", "\t")):
        options = pacsv.WriteOptions(delimiter=delimiter)
        files[f"plain.{ending}"] = _written(lambda sink, options=options: pacsv.write_csv(flat, sink, options))
    files["packed.csv.gz"] = gzip.compress(files["plain.csv"], mtime=0)
    rows = [{name: _jsonable(value) for name, value in row.items()} for row in table.to_pylist()]
    files["lines.jsonl"] = "\n".join(map(json.dumps, rows)).encode()
    files["array.json"] = json.dumps(rows, indent=1).encode()
    files["packed.jsonl.gz"] = gzip.compress(files["lines.jsonl"], mtime=0)
    files["plain.h5"] = _in_folder("plain.h5", lambda path: _write_datasets(flat, path))
    for layout in ("table", "fixed"):
        frame = flat.drop_columns(["city", "kind"] if layout == "fixed" else []).to_pandas()
        begun = int(time())
        dated = _in_folder(
            f"{layout}.h5", lambda path, frame=frame, layout=layout: frame.to_hdf(path, key="k", format=layout)
        )
        files[f"{layout}.h5"] = _undated(dated, range(begun, int(time()) + 1))
    files["book.xlsx"] = _in_folder("book.xlsx", lambda path: _write_book(flat, path))
    return files


_PARQUET = {
    "snappy.parquet": {"compression": "snappy", "row_group_size": 25},
    "bare.parquet": {"compression": "none", "use_dictionary": False, "write_page_checksum": True},
    "zstd.parquet": {"compression": "zstd", "data_page_version": "2.0", "row_group_size": 40},
    "delta.parquet": {
        "compression": "none",
        "use_dictionary": False,
        "column_encoding": {"count": "DELTA_BINARY_PACKED", "size": "BYTE_STREAM_SPLIT", "city": "DELTA_BYTE_ARRAY"},
    },
}


def _table() -> pa.Table:
    rng = np.random.default_rng(11)
    start = datetime(2024, 1, 1)
    cities = ["Köln", "Łódź", None, 'a "quoted", cell', "x\ny"]
    return pa.table(
        {
            "count": pa.array(rng.integers(-50, 50, _ROWS)),
            "size": pa.array(np.round(rng.normal(size=_ROWS), 6), mask=np.arange(_ROWS) % 10 == 3),
            "city": pa.array([cities[i] for i in rng.integers(0, len(cities), _ROWS)]),
            "kind": pa.array([f"kind {i}" for i in rng.integers(0, 3, _ROWS)]),
            "kept": pa.array(rng.integers(0, 2, _ROWS).astype(bool)),
            "when": pa.array(
                [start + timedelta(hours=int(h)) for h in rng.integers(0, 9_000, _ROWS)], pa.timestamp("us")
            ),
            "nested": pa.array([[1, 2], None, []] * (_ROWS // 3)),
            "point": pa.array([{"x": 1.5, "y": "z"}, None, {"x": None, "y": ""}] * (_ROWS // 3)),
        }
    )


def _ipc(table: pa.Table, make: Callable, codec: str | None) -> bytes:
    coded = table.set_column(3, "kind", table["kind"].dictionary_encode())
    sink = pa.BufferOutputStream()
    with make(sink, coded.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
        writer.write_table(coded, max_chunksize=25)
    return sink.getvalue().to_pybytes()


def _written(write: Callable[[io.BytesIO], object]) -> bytes:
    sink = io.BytesIO()
    write(sink)
    return sink.getvalue()


def _in_folder(name: str, write: Callable[[Path], object]) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        write(path)
        return path.read_bytes()


def _undated(content: bytes, moments: range) -> bytes:
    """Each of PyTables' objects knows the second it was written in, as four bytes that no check sum covers."""
    for moment in moments:
        content = content.replace(struct.pack("<I", moment), struct.pack("<I", 1_704_067_200))
    return content


def _write_datasets(table: pa.Table, path: Path) -> None:
    with h5py.File(path, "w") as root:
        for name in ("count", "size", "kept"):
            root.create_dataset(name, data=table[name].to_pandas().to_numpy(), chunks=(16,), compression="gzip")
        root.create_dataset("city", data=[str(value) for value in table["city"].to_pylist()])
        root.create_dataset("wide", data=np.arange(3.0 * len(table)).reshape(-1, 3))
        root.create_dataset("fixed", data=np.array(["ab", "c"] * (len(table) // 2), "S4"))


def _write_book(table: pa.Table, path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    sheet.append(table.column_names)
    for row in pd.DataFrame(table.to_pydict()).itertuples(index=False):
        sheet.append([None if value is None or value != value else value for value in row])
    book.properties.created = datetime(2024, 1, 1)
    sink = io.BytesIO()
    book.save(sink)
    with zipfile.ZipFile(sink) as dated, zipfile.ZipFile(path, "w") as undated:
        for name in dated.namelist():
            # openpyxl writes the moment of saving over what the properties say: each second another file.
            content = re.sub(rb"(<dcterms:modified[^>]*>)[^<]*", rb"\g<1>2024-01-01T00:00:00Z", dated.read(name))
            undated.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)


def _jsonable(value: object) -> object:
    return str(value) if isinstance(value, datetime) else value
