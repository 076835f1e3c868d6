"""What does reading in a process of its own cost, in seconds and memory, by format?

    OMP_NUM_THREADS=1 python -m benchmarks.isolation_cost [--rows 1000000] [--repeats 5]

The table of `profile_throughput.py` (10 numeric and 10 categorical columns) as parquet, a tenth of it as csv and JSON
lines. Each is opened, then drained, then profiled as `vr validate` does, within the process and from one of its own, in
turn. Seconds are without imports but with the start of the reading process, which is given apart too: `open` of a file
of one row. Writes results/isolation_cost.json.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import pyarrow.csv as pacsv
import pyarrow.parquet as pq

from benchmarks.measure import ratio, rounds, save, summary
from benchmarks.profile_throughput import write

_SCRIPT = """
import json, resource, time
from vr.data.codec import fit_codec
from vr.data.config import CodecConfig, Isolation, ReadingConfig
from vr.data.profile import Profiler, sample_rows
from vr.data.schema import infer_columns
from vr.data.source import open_source
reading = ReadingConfig(isolation=Isolation.{isolation})
sample = sample_rows(open_source({codec!r}).batches(), 20_000, 0)
codec = fit_codec(infer_columns(sample.table, {{}}, CodecConfig()), sample.table, CodecConfig(), 0)
begun = time.perf_counter()
source = open_source({path!r}, reading=reading)
if {step!r} == "drain":
    for batch in source.batches():
        del batch
elif {step!r} == "profile":
    Profiler(codec, 20_000, 0).run(source.batches(), threads=2)
inner_s = time.perf_counter() - begun
del source
usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
print(json.dumps(dict(inner_s=inner_s, cpu_s=sum(usage.ru_utime + usage.ru_stime for usage in usages),
                      peak_bytes=sum(usage.ru_maxrss for usage in usages) * 1024)))
"""


def main() -> None:
    """Runs the rounds and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=5)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        paths = {name: Path(folder) / name for name in ("large.parquet", "part.csv", "part.jsonl", "row.parquet")}
        write(paths["large.parquet"], args.rows, 1)
        part = pq.read_table(paths["large.parquet"]).slice(0, args.rows // 10)
        pacsv.write_csv(part, paths["part.csv"])
        part.to_pandas().to_json(paths["part.jsonl"], orient="records", lines=True)
        pq.write_table(part.slice(0, 1), paths["row.parquet"])
        cases = [("row.parquet", "open")]
        cases += [(name, step) for name in paths if name != "row.parquet" for step in ("drain", "profile")]
        commands = {
            f"{name} {step} {isolation}": [
                sys.executable,
                "-c",
                _SCRIPT.format(
                    isolation=isolation, codec=str(paths["large.parquet"]), path=str(paths[name]), step=step
                ),
            ]
            for name, step in cases
            for isolation in ("never", "always")
        }
        timings = rounds(commands, args.repeats)
    result = {
        "rows": args.rows,
        "columns": 20,
        "timings": {name: summary(each) for name, each in timings.items()},
        "ratios": {
            f"{name} {step}, isolated over within": ratio(
                timings[f"{name} {step} always"], timings[f"{name} {step} never"], inner=True
            )
            for name, step in cases
        },
    }
    for name, value in result["ratios"].items():
        print(f"{name}: {value}")
    save("isolation_cost", result, "OMP_NUM_THREADS=1 python -m benchmarks.isolation_cost")


if __name__ == "__main__":
    main()
