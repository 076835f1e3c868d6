"""What does a pass over a dataset cost against its rows and its columns, and what does that say of ten billion rows?

    OMP_NUM_THREADS=1 python -m benchmarks.rows_and_columns measure [--rows 10000 ... --columns 10 ... --folder DIR]
    OMP_NUM_THREADS=1 python -m benchmarks.rows_and_columns measure --rows 1000000000 --columns   # 10^9 rows
    OMP_NUM_THREADS=1 python -m benchmarks.rows_and_columns costs
    python -m benchmarks.rows_and_columns page

`measure` runs `vr profile` as a command of its own and writes each point to results/rows_and_columns.json, where it
replaces an older one of the same size. Datasets of over 4,000,000 rows are that many rows in one parquet file of 20
columns and hard links to it, so that they fit a disk; each link is read and decoded by itself. Peak memory is that of
the command and of the process that parses files, added up. `costs` measures what distribution adds: states packed,
unpacked and merged, and Ray's tasks. `page` draws docs/images/scale.svg and writes the tables of docs/scale.md. Linux.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import RESULTS, rounds, save
from benchmarks.profile_throughput import write

NAME = "rows_and_columns"
FILE_ROWS, COLUMNS = 4_000_000, 20
WIDE_ROWS = 20_000
ROWS = (10_000, 100_000, 1_000_000, 10_000_000, 100_000_000)
WIDTHS = (10, 50, 200, 1_000, 2_000)

# What the command takes together with the process that parses files, which it has ended by the time it returns.
_SCRIPT = """
import json, sys, threading, time
from pathlib import Path
peaks, ended = {{}}, threading.Event()
def watch():
    while not ended.wait(0.02):
        for each in Path("/proc/self/task").glob("*/children"):
            try:
                for pid in each.read_text().split():
                    peaks[pid] = int(Path(f"/proc/{{pid}}/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
            except (OSError, IndexError):
                pass
watcher = threading.Thread(target=watch)
watcher.start()
begun = time.perf_counter()
stages = {{}}
from vr.config import compose
from vr.session import run_profile
def tell(event):
    first, _ = stages.get(event.stage, (time.perf_counter(), 0))
    stages[event.stage] = first, time.perf_counter()
config = compose(["data.uri=" + json.dumps({uri!r})])
result = run_profile(config, output={output!r}, progress=tell)
plain = time.perf_counter() - begun
ended.set()
watcher.join()
assert result["dataset"]["rows"] == {rows}, result["dataset"]["rows"]
from benchmarks.measure import account
told = json.loads(account())
# Not what `account` says: that begins with what the process had that started this one.
own = int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0]) * 1024
told["peak_bytes"] = own + max(peaks.values(), default=0)
print(json.dumps({{**told, "inner_s": plain}}))
"""


def write_rows(folder: Path, rows: int) -> None:
    """Makes a dataset of `rows` rows: one file, or links to one of 4,000,000."""
    folder.mkdir()
    if rows < FILE_ROWS:
        return write(folder / "part-0000.parquet", rows, 1)
    if rows % FILE_ROWS and rows != 10_000_000:
        raise SystemExit(f"--rows: beyond {FILE_ROWS:,}, multiples of it, or 10,000,000")
    size = FILE_ROWS if rows % FILE_ROWS == 0 else 2_500_000
    base = folder.parent / f"base_{size}.parquet"
    if not base.exists():
        write(base, size, 1)
    for i in range(rows // size):
        os.link(base, folder / f"part-{i:04d}.parquet")


def write_columns(folder: Path, columns: int) -> None:
    """Makes a dataset of 20,000 rows and so many columns, numbers and categories in turn."""
    folder.mkdir()
    rng = np.random.default_rng(columns)
    table: dict[str, pa.Array] = {}
    for i in range(columns):
        if i % 2:
            levels = np.array([f"level_{j}" for j in range(10 + 10 * (i % 10))])
            table[f"c{i}"] = pa.array(levels[rng.integers(0, len(levels), WIDE_ROWS)])
        else:
            table[f"x{i}"] = pa.array(rng.standard_normal(WIDE_ROWS))
    pq.write_table(pa.table(table), folder / "part.parquet")


def measure(rows: Sequence[int], widths: Sequence[int], repeats: int, folder: Path) -> None:
    """Measures and writes the points, one after the other, so that one that is broken off costs no other."""
    for size in rows:
        _point("rows", size, COLUMNS, lambda path, size=size: write_rows(path, size), repeats, folder)
    for width in widths:
        _point("columns", WIDE_ROWS, width, lambda path, width=width: write_columns(path, width), repeats, folder)


def _point(axis: str, rows: int, columns: int, make: Callable[[Path], None], repeats: int, parent: Path) -> None:
    with tempfile.TemporaryDirectory(dir=parent) as folder:
        data, output = Path(folder) / "data", Path(folder) / "out"
        make(data)
        script = _SCRIPT.format(uri=str(data), output=str(output), rows=rows)
        name = f"{rows:,} x {columns:,}"
        timings = rounds({name: [sys.executable, "-c", script]}, repeats, timeout_s=6 * 3_600)[name]
    result = _result()
    points = [
        each
        for each in result.get("points", [])
        if (each["axis"], each["rows"], each["columns"]) != (axis, rows, columns)
    ]
    points.append(
        {
            "axis": axis,
            "rows": rows,
            "columns": columns,
            "seconds": round(statistics.median(each.inner_s or each.wall_s for each in timings), 3),
            "peak_bytes": max(each.peak_bytes for each in timings),
            "repeats": repeats,
            "load_average": os.getloadavg()[0],
        }
    )
    points.sort(key=lambda each: (each["axis"], each["rows"], each["columns"]))
    _save({**result, "points": points})


def costs() -> None:
    """Measures what it costs to keep, send and merge states, and to give Ray a task."""
    from vr.data.codec import fit_codec
    from vr.data.config import CodecConfig, Isolation, ReadingConfig
    from vr.data.engine import LocalEngine
    from vr.data.passes import Passes
    from vr.data.profile import Profiler
    from vr.data.ray_engine import RayEngine
    from vr.data.sample import bound_for
    from vr.data.schema import infer_columns
    from vr.data.source import open_source
    from vr.data.work import ProfileWork, SampleWork

    parts, part_rows = 64, 20_000
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder / "part-00.parquet", part_rows, 1)
        for i in range(1, parts):
            os.link(folder / "part-00.parquet", folder / f"part-{i:02d}.parquet")
        source = open_source(folder, reading=ReadingConfig(isolation=Isolation.never))
        table = pa.Table.from_batches(list(open_source(folder / "part-00.parquet").batches()))
        codec = fit_codec(infer_columns(table, {}, CodecConfig()), table, CodecConfig(), 0)
        # As partitions of a dataset of ten billion rows would be bounded.
        work = ProfileWork(Profiler(codec, 20_000, 0, bound=bound_for(20_000, 2_500 * part_rows)))
        state = work.run(source.batches(work.columns), 0, 2)
        content = work.pack(state)
        pack_s, unpack_s, merge_s = (
            _seconds(lambda: work.pack(state)),
            _seconds(lambda: work.unpack(content)),
            _seconds(lambda: work.merge(*[state] * 16)) / 16,
        )
        # Tasks that read little: what is left is Ray's own, and opening a file.
        small = SampleWork(["x1"], 100, 0, bound_for(100, parts * part_rows))
        engine = RayEngine(workers=2)
        try:
            begun = time.perf_counter()
            Passes(engine, part_rows).run(source, small, 65_536, lambda done: None)
            start_s = time.perf_counter() - begun
            task_s = _seconds(lambda: Passes(engine, part_rows).run(source, small, 65_536, lambda done: None)) / parts
        finally:
            engine.close()
        one_s = _seconds(lambda: Passes(LocalEngine(1), part_rows).run(source, work, 65_536, lambda done: None))
    found = {
        "state_bytes": len(content),
        "pack_s": round(pack_s, 5),
        "unpack_s": round(unpack_s, 5),
        "merge_s": round(merge_s, 5),
        "ray_start_s": round(start_s, 2),
        "ray_task_s": round(task_s, 4),
        "rows_per_s_one_thread": round(parts * part_rows / one_s),
        "load_average": os.getloadavg()[0],
    }
    print(json.dumps(found, indent=1))
    _save({**_result(), "costs": found})


def _seconds(do: Callable[[], Any], repeats: int = 5) -> float:
    taken = []
    for _ in range(repeats):
        begun = time.perf_counter()
        do()
        taken.append(time.perf_counter() - begun)
    return statistics.median(taken)


def _result() -> dict[str, Any]:
    path = RESULTS / f"{NAME}.json"
    found = json.loads(path.read_text()) if path.exists() else {}
    return {name: found[name] for name in ("points", "costs") if name in found}


def _save(result: dict[str, Any]) -> None:
    save(NAME, result, f"OMP_NUM_THREADS=1 python -m benchmarks.{NAME} measure, costs")


def main(arguments: Sequence[str] | None = None) -> None:
    """Does as one of the commands says."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    points = commands.add_parser("measure")
    points.add_argument("--rows", type=int, nargs="*", default=ROWS)
    points.add_argument("--columns", type=int, nargs="*", default=WIDTHS)
    points.add_argument("--repeats", type=int, default=1)
    points.add_argument("--folder", type=Path, help="for the files, which take under a gigabyte")
    commands.add_parser("costs")
    commands.add_parser("page")
    args = parser.parse_args(arguments)
    if args.command == "measure":
        measure(args.rows, args.columns, args.repeats, args.folder)
    elif args.command == "costs":
        costs()
    else:
        from benchmarks.scale_page import write_page

        write_page()


if __name__ == "__main__":
    main()
