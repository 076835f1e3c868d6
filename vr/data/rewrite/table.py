"""A table written as a new file of whichever format its name stands for."""

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pacsv
import pyarrow.parquet as pq

__all__ = ["write_table"]

_ROWS = 4_096  # of JSON spelt at a time


def write_table(table: pa.Table, path: Path, format: str) -> None:
    """Writes `table` to `path`; text is compressed where the name says so (.gz, .bz2, .lz4, .zst).

    Args:
      table: Of columns as `vr.data.normal.normal_type` has them.
      path: The new file.
      format: `parquet`, `arrow`, `csv`, `tsv`, `json` or `jsonl`; of JSON one object a line. JSON has no NaN and no
        infinity: they become null.
    """
    if format == "parquet":
        pq.write_table(table, path)
        return
    if format == "arrow":
        with pa.ipc.new_file(str(path), table.schema) as writer:
            writer.write_table(table)
        return
    with pa.output_stream(str(path), compression="detect") as sink:
        if format in ("csv", "tsv"):
            options = pacsv.WriteOptions(delimiter="\t" if format == "tsv" else ",")
            pacsv.write_csv(_spelt(table), sink, options)
            return
        for batch in _spelt(table).to_batches(max_chunksize=_ROWS):
            lines = (json.dumps(row, allow_nan=False, ensure_ascii=False) for row in batch.to_pylist())
            sink.write("".join(f"{line}\n" for line in lines).encode())


def _spelt(table: pa.Table) -> pa.Table:
    """Returns a table with times as text, and numbers that text formats lack as null."""
    return pa.table({name: _text(table.column(name)) for name in table.schema.names})


def _text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    type_: Any = column.type
    if pa.types.is_duration(type_):
        return column.cast(pa.int64())
    if pa.types.is_temporal(type_):
        return column.cast(pa.string())
    if pa.types.is_floating(type_):
        return pc.if_else(pc.is_finite(column), column, pa.scalar(None, type_))
    return column
