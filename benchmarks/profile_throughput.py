"""How fast is the pass over all rows, and a validation without training, beside pyarrow and SDMetrics?

    pip install -e .[peers] && python -m benchmarks.profile_throughput [--rows 1000000] [--repeats 3]

One run on one machine, the commands in turn: a plain pyarrow decode of a parquet file of 10 numeric and 10 categorical
columns (10 to 100 levels), `vr`'s profile of it, SDMetrics' quality report of it against a second file, and
`vr validate` of the same two files with `cascade=none`. Each command is a process of its own; import time is reported
apart (`python -c "import ..."`), since a decode in a fresh process is mostly imports. Writes
results/profile_throughput.json.
"""

import argparse
import sys
import tempfile
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
    "vr validate": """
import time
begun = time.perf_counter()
import vr
vr.validate({a!r}, reference={b!r}, overrides=["cascade=none"])
plain = time.perf_counter() - begun
""",
}
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
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        a, b = Path(folder) / "candidate.parquet", Path(folder) / "reference.parquet"
        write(a, args.rows, 1)
        write(b, args.rows, 2)
        fields = {"a": str(a), "b": str(b), "rows": args.rows}
        commands = {name: [sys.executable, "-c", script.format(**fields) + _TAIL] for name, script in _SCRIPTS.items()}
        timings = rounds(commands, args.repeats)
    result = {
        "rows": args.rows,
        "columns": 20,
        "timings": {name: summary(each) for name, each in timings.items()},
        "ratios": {
            "profile over decode, imports left out": ratio(timings["vr profile"], timings["decode"], inner=True),
            "quality report over validate, whole processes": ratio(
                timings["sdmetrics quality"], timings["vr validate"]
            ),
        },
        "budgets": {"profile over decode": "at most 4", "quality report over validate": "at least 10"},
    }
    for name, value in result["ratios"].items():
        print(f"{name}: {value}")
    save("profile_throughput", result, "python -m benchmarks.profile_throughput")


if __name__ == "__main__":
    main()
