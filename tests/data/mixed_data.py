"""One small table of mixed columns, and writers of it in every format that vr reads."""

import datetime
import io
import json
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.feather
import pyarrow.parquet as pq

from vr.data.source import Source

ROWS = 97


def mixed_table(rows: int = ROWS) -> pa.Table:
    rng = np.random.default_rng(7)
    days = [datetime.datetime(2024, 1, 1) + datetime.timedelta(hours=int(h)) for h in rng.integers(0, 9_000, rows)]
    return pa.table(
        {
            "count": pa.array(rng.integers(-50, 50, rows)),
            "size": pa.array(np.round(rng.normal(size=rows), 6), mask=np.arange(rows) % 10 == 3),
            "city": pa.array(["Köln", "Łódź", None, 'a "quoted", cell', "x\ny"] * (rows // 5) + ["Köln"] * (rows % 5)),
            "kept": pa.array(rng.integers(0, 2, rows).astype(bool)),
            "when": pa.array(days, pa.timestamp("us")),
        }
    )


def _write_xlsx(table: pa.Table, path: Path) -> None:
    book = openpyxl.Workbook()
    book.active.append(table.column_names)
    for row in zip(*table.to_pydict().values(), strict=True):
        book.active.append(row)
    book.save(path)


def _json_rows(table: pa.Table) -> list[dict]:
    return [{k: str(v) if k == "when" else v for k, v in row.items() if v is not None} for row in table.to_pylist()]


def _write_stream(table: pa.Table, path: Path) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table, max_chunksize=20)


def csv_bytes(table: pa.Table, delimiter: str = ",") -> bytes:
    sink = io.BytesIO()
    pacsv.write_csv(table, sink, pacsv.WriteOptions(delimiter=delimiter))
    return sink.getvalue()


# By file name: what writes the table there.
WRITERS: dict[str, Callable[[pa.Table, Path], None]] = {
    "t.parquet": lambda table, path: pq.write_table(table, path, row_group_size=30),
    "t.feather": lambda table, path: pyarrow.feather.write_feather(table, str(path), chunksize=30),
    "t.arrow": _write_stream,
    "t.csv": lambda table, path: path.write_bytes(csv_bytes(table)) and None,
    "t.tsv": lambda table, path: path.write_bytes(csv_bytes(table, "\t")) and None,
    "t.json": lambda table, path: path.write_text(json.dumps(_json_rows(table), indent=1)) and None,
    "t.jsonl": lambda table, path: path.write_text("\n".join(map(json.dumps, _json_rows(table)))) and None,
    "t.h5": lambda table, path: table.to_pandas().to_hdf(path, key="k", format="table"),
    "t.xlsx": _write_xlsx,
}


def rows_of(source: Source, columns: list[str] | None = None, batch_rows: int = 1000) -> dict[str, list]:
    """Returns all that a source yields, by column."""
    batches = list(source.batches(columns, batch_rows))
    assert [batch.num_rows for batch in batches[:-1]] == [batch_rows] * (len(batches) - 1)
    return pa.Table.from_batches(batches).to_pydict()


def write_h5(path: Path, **datasets: object) -> Path:
    with h5py.File(path, "w") as root:
        for name, values in datasets.items():
            root.create_dataset(name, data=values)
    return path


def pandas_frame() -> pd.DataFrame:
    return mixed_table().to_pandas()


def write_damaged(path: Path) -> None:
    """Writes a parquet file of 200,000 rows in four row groups, the last of which does not decode."""
    columns = {"a": np.arange(200_000), "b": np.random.default_rng(0).normal(size=200_000)}
    pq.write_table(pa.table(columns), path, row_group_size=50_000, compression="zstd")
    content = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(3).column(1).data_page_offset
    content[start + 100 : start + 1000] = bytes(900)
    path.write_bytes(content)
