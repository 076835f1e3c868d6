"""How fast is the pass over all rows, and a validation without training, beside pyarrow, SDMetrics and Evidently?

    pip install --target PEERS sdmetrics evidently
    python -m benchmarks.profile_throughput --peers PEERS [--rows 1000000] [--repeats 3]

One run on one machine, the commands in turn: a plain pyarrow decode of a parquet file of 10 numeric and 10 categorical
columns (10 to 100 levels), `vr`'s profile of it, SDMetrics' quality report and Evidently's drift preset of it against a
second file, and the command `vr validate` of the same two files with `cascade=none`, its reports and row scores
written, and with `--verdict-only`. Each is a process of its own; import time is reported apart, since a decode in a
fresh process is mostly imports. A peer that is not installed is left out. Writes results/profile_throughput.json.
"""

import argparse
import shlex
import sys
import tempfile
from importlib.machinery import PathFinder
from importlib.metadata import distributions
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import ratio, rounds, save, summary

_SCRIPTS = {
    "decode": """
import time, pyarrow.parquet as pq
pq.read_table({a!r}, columns=['x0']); begun = time.perf_counter()
pq.read_table({a!r}); plain = time.perf_counter() - begun
""",
    "vr profile": """
import time
from vr.data.config import CodecConfig
from vr.data.codec import fit_codec
from vr.data.profile import Profiler, sample_rows
from vr.data.schema import infer_columns
from vr.data.source import open_source
source = open_source({a!r})
sample = sample_rows(open_source({b!r}).batches(batch_rows=65_536), 20_000, 0)
codec = fit_codec(infer_columns(sample.table, {{}}, CodecConfig()), sample.table, CodecConfig(), 0)
begun = time.perf_counter()
profile = Profiler(codec, 20_000, 0).run(source.batches(), threads=2)
plain = time.perf_counter() - begun
assert profile.rows == {rows}
""",
    "sdmetrics quality": """
import time, warnings
warnings.filterwarnings("ignore")
import pandas as pd
from sdmetrics.reports.single_table import QualityReport
begun = time.perf_counter()
a, b = pd.read_parquet({a!r}), pd.read_parquet({b!r})
kinds = {{c: {{"sdtype": "numerical" if c.startswith("x") else "categorical"}} for c in a}}
QualityReport().generate(b, a, {{"columns": kinds}}, verbose=False)
plain = time.perf_counter() - begun
""",
    "evidently drift": """
import time, warnings
warnings.filterwarnings("ignore")
import pandas as pd
from evidently import Report
from evidently.presets import DataDriftPreset
begun = time.perf_counter()
a, b = pd.read_parquet({a!r}), pd.read_parquet({b!r})
Report([DataDriftPreset()]).run(a, b).dict()
plain = time.perf_counter() - begun
""",
}
_VALIDATE = """
import sys, time
begun = time.perf_counter()
from vr.cli import main
words = ["validate", {a!r}, "--reference", {b!r}, "--output", {out!r}, "--force", "--quiet", "cascade=none"]
if code := main([*words, *{more!r}]):
    sys.exit(code)
plain = time.perf_counter() - begun
"""
_VALIDATIONS = {"vr validate": [], "vr validate --verdict-only": ["--verdict-only"]}
_PEERS = {"sdmetrics quality": "sdmetrics", "evidently drift": "evidently"}
_TAIL = """
import json
from benchmarks.measure import account
print(json.dumps({**json.loads(account()), "inner_s": plain}))
"""


def write(path: Path, rows: int, seed: int) -> None:
    """Writes a table of 10 numeric columns (half whole numbers) and 10 categorical ones of 10 to 100 levels."""
    rng = np.random.default_rng(seed)
    columns: dict[str, pa.Array] = {}
    for i in range(10):
        numbers = rng.standard_normal(rows) if i % 2 else rng.integers(0, 1_000, rows)
        columns[f"x{i}"] = pa.array(numbers)
    for i in range(10):
        levels = np.array([f"level_{j}" for j in range(10 * (i + 1))])
        columns[f"c{i}"] = pa.array(levels[rng.integers(0, len(levels), rows)])
    pq.write_table(pa.table(columns), path)


def main() -> None:
    """Runs the rounds and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--peers", help="folder that SDMetrics and Evidently are installed in, apart from vr")
    args = parser.parse_args()
    apart = [] if args.peers is None else [args.peers]
    absent = [name for name, package in _PEERS.items() if PathFinder.find_spec(package, [*apart, *sys.path]) is None]
    for name in absent:
        print(f"{name}: left out, as it is not installed")
    with tempfile.TemporaryDirectory() as folder:
        a, b = Path(folder) / "candidate.parquet", Path(folder) / "reference.parquet"
        write(a, args.rows, 1)
        write(b, args.rows, 2)
        fields = {"a": str(a), "b": str(b), "rows": args.rows}
        commands = {}
        for name, script in _SCRIPTS.items():
            head = f"import sys; sys.path[:0] = {apart!r}\n" if name in _PEERS else ""
            if name not in absent:
                commands[name] = [sys.executable, "-c", head + script.format(**fields) + _TAIL]
        for name, more in _VALIDATIONS.items():
            script = _VALIDATE.format(**fields, out=f"{folder}/{len(commands)}", more=more)
            commands[name] = [sys.executable, "-c", script + _TAIL]
        timings = rounds(commands, args.repeats)
    ratios = {"profile over decode, imports left out": ratio(timings["vr profile"], timings["decode"], inner=True)}
    for name in _PEERS.keys() - set(absent):
        ratios[f"{name} over validate, whole processes"] = ratio(timings[name], timings["vr validate"])
        ratios[f"{name} over the verdict alone"] = ratio(timings[name], timings["vr validate --verdict-only"])
    result = {
        "rows": args.rows,
        "columns": 20,
        "peers": {
            each.name: each.version for each in distributions(path=[*apart, *sys.path]) if each.name in _PEERS.values()
        },
        "timings": {name: summary(each) for name, each in timings.items()},
        "ratios": dict(sorted(ratios.items())),
        "budgets": {
            "profile over decode": "at most 4",
            "sdmetrics quality over validate": "at least 15",
            "evidently drift over validate": "at least 25",
        },
    }
    for name, value in result["ratios"].items():
        print(f"{name}: {value}")
    save("profile_throughput", result, shlex.join(["python", "-m", "benchmarks.profile_throughput", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
