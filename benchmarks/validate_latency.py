"""How long does a whole `vr validate` take, by preset, in a fresh process?

    python -m benchmarks.validate_latency [--rows 10000] [--columns 12] [--repeats 3] [--long] [--plain PYTHON]

Times the command line as a user meets it, imports and reports included: statistics only (`cascade=none`), of all
columns and for a named target; without Numba's loops and all else that a run leaves for later ones in the user's cache
(`nothing kept`), as after installing; `smoke`, and `laptop`, with the user's cache empty (`cold`) and filled
(`warm`). `--long` adds `laptop` on 1M x 20 against 1M x 20. Also times `import vr`. PYTHON is the interpreter of an
environment with `pip install .` and nothing else: `cascade=none` is timed there too, without pandas, which scikit-learn
and pyarrow load where it is installed. Writes results/validate_latency.json.
"""

import argparse
import os
import shlex
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.measure import rounds, save, summary
from benchmarks.profile_throughput import write

_RUN = """
import os, sys, tempfile
os.environ["XDG_CACHE_HOME"] = {cache!r} or tempfile.mkdtemp(dir={scratch!r})
if {is_first!r}:
    os.environ["NUMBA_CACHE_DIR"] = os.environ["XDG_CACHE_HOME"]
sys.argv[1:] = {words!r}
from vr.cli import main
if code := main():
    sys.exit(code)
from benchmarks.measure import account
print(account())
"""


def command(
    words: Sequence[str],
    scratch: Path,
    *,
    is_cold: bool = False,
    is_first: bool = False,
    python: str = sys.executable,
) -> list[str]:
    """Returns what runs `vr` with `words` in a fresh process, ends as it ends, and accounts for what it took.

    Args:
      words: The command line after `vr`.
      scratch: Where the compilation cache is.
      is_cold: Whether every run finds the cache empty, rather than as the last one left it.
      is_first: Whether it finds none of Numba's loops either.
      python: The interpreter.
    """
    cache = "" if is_cold or is_first else str(scratch / "cache")
    return [python, "-c", _RUN.format(cache=cache, scratch=str(scratch), is_first=is_first, words=list(words))]


def table(rows: int, columns: int, seed: int) -> pa.Table:
    """Returns a mixed table whose columns hang together: numbers from a few factors, every third one a category."""
    rng = np.random.default_rng(seed)
    loadings = np.random.default_rng(0).standard_normal((4, columns))
    x = rng.standard_normal((rows, 4)) @ loadings + 0.7 * rng.standard_normal((rows, columns))
    data: dict[str, pa.Array] = {}
    for j in range(columns):
        if j % 3 == 2:
            cuts = np.quantile(loadings[:, j], [0.2, 0.5, 0.8]) * 2
            data[f"c{j}"] = pa.array(np.array(["a", "b", "c", "d"])[np.searchsorted(np.sort(cuts), x[:, j])])
        else:
            data[f"x{j}"] = pa.array(np.round(np.exp(x[:, j] / 2), 3) if j % 3 else x[:, j])
    return pa.table(data)


def main() -> None:
    """Runs the rounds and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--columns", type=int, default=12)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--long", action="store_true")
    parser.add_argument("--plain", metavar="PYTHON")
    args = parser.parse_args()
    # Where it is set every run compiles the package's own sources again, which no installed package does.
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for seed, part in enumerate(("candidate", "reference")):
            pq.write_table(table(args.rows, args.columns, seed), folder / f"{part}.parquet")

        def validate(*overrides: str, suffix: str = "", **how: Any) -> list[str]:
            words = ["validate", f"{folder}/candidate{suffix}.parquet"]
            words += ["--reference", f"{folder}/reference{suffix}.parquet"]
            words += ["--output", f"{folder}/out", "--force", "--quiet", *overrides]
            return command(words, folder, **how)

        commands = {
            "import vr": [sys.executable, "-c", "import vr\nfrom benchmarks.measure import account\nprint(account())"],
            "cascade=none": validate("cascade=none"),
            "cascade=none, a target named": validate("cascade=none", "targets=[x0]"),
            "cascade=none, nothing kept": validate("cascade=none", is_first=True),
            "cascade=smoke, cold": validate("cascade=smoke", is_cold=True),
            "cascade=laptop, cold": validate("cascade=laptop", is_cold=True),
            "cascade=laptop, warm": validate("cascade=laptop"),
        }
        if args.plain:
            commands["cascade=none, plain install"] = validate("cascade=none", python=args.plain)
            commands["cascade=none, a target named, plain install"] = validate(
                "cascade=none", "targets=[x0]", python=args.plain
            )
        # One run of each that nobody counts fills the caches that later ones read.
        kept = {name: run for name, run in commands.items() if not name.endswith(("cold", "nothing kept"))}
        rounds({f"filling the caches, {name}": run for name, run in kept.items()}, 1)
        timings = rounds(commands, args.repeats)
        result = {
            "rows": args.rows,
            "columns": args.columns,
            "timings": {name: summary(each) for name, each in timings.items()},
            "budgets_s": {"cascade=none": 5, "cascade=laptop, cold": 60, "import vr": 0.5},
        }
        if args.long:
            for seed, part in enumerate(("candidate", "reference")):
                write(folder / f"{part}_long.parquet", 1_000_000, seed)
            long = {"1M x 20, cascade=laptop": validate("cascade=laptop", suffix="_long")}
            result["timings"] |= {name: summary(each) for name, each in rounds(long, 1).items()}
    save("validate_latency", result, shlex.join(["python", "-m", "benchmarks.validate_latency", *sys.argv[1:]]))


if __name__ == "__main__":
    main()
