"""What does reading in a process of its own cost, in seconds and memory, by format?

    OMP_NUM_THREADS=1 python -m benchmarks.isolation_cost [--rows 1000000] [--repeats 5]

The table of `profile_throughput.py` (10 numeric and 10 categorical columns) as parquet, a tenth of it as csv and JSON
lines. Each is opened, drained, and profiled as `vr validate` does, within the process and from one of its own, in turn.
Processor seconds are those of both processes, and bear a busy machine better than those of a clock. `start` is a
process until it is ready: opening a parquet file of one row. Linux only. Writes results/isolation_cost.json.
"""

import argparse
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from benchmarks.measure import save
from benchmarks.profile_throughput import write
from vr.data.codec import Codec, fit_codec
from vr.data.config import CodecConfig, Isolation, ReadingConfig
from vr.data.profile import Profiler, sample_rows
from vr.data.schema import infer_columns
from vr.data.source import Source, open_source

_TICKS = os.sysconf("SC_CLK_TCK")


def children() -> list[str]:
    """Returns the numbers of the processes that this one started."""
    return [pid for each in Path("/proc/self/task").glob("*/children") for pid in each.read_text().split()]


def processor_s() -> float:
    """Returns the processor seconds of this process and of those that it started and still has."""
    stats = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in children()]
    return time.process_time() + sum(int(stat[11]) + int(stat[12]) for stat in stats) / _TICKS


def peak_bytes() -> int:
    """Returns the peak memory of the one process that this one started."""
    (pid,) = children()
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) * 1024


def main() -> None:
    """Runs the rounds and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    seconds: dict[str, list[tuple[float, float]]] = {}
    peaks: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / name for name in ("large.parquet", "part.csv", "part.jsonl", "row.parquet")}
        codec = _prepare(paths, args.rows)
        for _ in range(args.repeats):
            for isolation in (Isolation.never, Isolation.always):
                for name, path in paths.items():
                    _round(name, path, isolation, codec, seconds, peaks)
    medians = {
        name: {
            "wall_s": round(statistics.median(wall for wall, _ in each), 4),
            "processor_s": round(statistics.median(cpu for _, cpu in each), 4),
        }
        for name, each in seconds.items()
    }
    for name, each in medians.items():
        print(name, each)
    result = {"rows": args.rows, "repeats": args.repeats, "medians": medians, "reading_process_peak_bytes": peaks}
    result["load_average"] = os.getloadavg()
    save("isolation_cost", result, "OMP_NUM_THREADS=1 python -m benchmarks.isolation_cost")


def _prepare(paths: dict[str, Path], rows: int) -> Codec:
    write(paths["large.parquet"], rows, 1)
    part = pq.read_table(paths["large.parquet"]).slice(0, rows // 10)
    pacsv.write_csv(part, paths["part.csv"])
    part.to_pandas().to_json(paths["part.jsonl"], orient="records", lines=True)
    pq.write_table(part.slice(0, 1), paths["row.parquet"])
    sample = sample_rows(open_source(paths["large.parquet"]).batches(), 20_000, 0).table
    return fit_codec(infer_columns(sample, {}, CodecConfig()), sample, CodecConfig(), 0)


def _round(
    name: str,
    path: Path,
    isolation: Isolation,
    codec: Codec,
    seconds: dict[str, list[tuple[float, float]]],
    peaks: dict[str, int],
) -> None:
    """Opens, drains and profiles one file, and notes what it took under the name of each step."""

    def measured(step: str, do: Callable[[], Any]) -> Any:
        wall, cpu = time.perf_counter(), processor_s()
        done = do()
        took = (time.perf_counter() - wall, processor_s() - cpu)
        seconds.setdefault(f"{name}, {step}, {isolation.value}", []).append(took)
        return done

    starts = name == "row.parquet"
    source: Source = measured(
        "start" if starts else "open", lambda: open_source(path, reading=ReadingConfig(isolation=isolation))
    )
    if not starts:
        measured("drain", lambda: sum(batch.num_rows for batch in source.batches()))
        measured("profile", lambda: Profiler(codec, 20_000, 0).run(source.batches(), threads=2))
    if isolation is Isolation.always:
        peaks[name] = max(peaks.get(name, 0), peak_bytes())


if __name__ == "__main__":
    main()
