"""One validation from end to end, statistics only: real rows against real rows, and a damaged copy of them.

python -m vr.doctor.trial FOLDER

Writes small files to FOLDER and prints one line of JSON. It is a program of its own, so that what it takes is its own.
"""

import json
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

import vr
from vr.core.memory import peak_bytes

__all__ = ["trial", "write_datasets"]

_ROWS = 400
_LEVELS = ("rare", "low", "middle", "high")


def trial(folder: Path) -> dict[str, Any]:
    """Validates twice and returns what came of it.

    Returns:
      {"fresh": {"verdict", "risk_score"}, "damaged": the same, "first_s", "second_s", "peak_bytes"}.

    Raises:
      VrError: if something of vr does not work.
    """
    write_datasets(folder)
    found: dict[str, Any] = {}
    for name, seconds in (("fresh", "first_s"), ("damaged", "second_s")):
        begun = time.perf_counter()
        # From files: the process that reads them is tried too.
        report = vr.validate(
            str(folder / f"{name}.parquet"), str(folder / "reference.parquet"), overrides=["cascade=none"]
        )
        found[seconds] = round(time.perf_counter() - begun, 3)
        found[name] = {"verdict": report.verdict.value, "risk_score": report.risk_score}
    return found | {"peak_bytes": peak_bytes()}


def write_datasets(folder: Path) -> None:
    """Writes reference.parquet, fresh.parquet and damaged.parquet: 400 rows of five columns each."""
    for seed, name in enumerate(("reference", "fresh")):
        pq.write_table(_table(np.random.default_rng(seed)), folder / f"{name}.parquet")
    fresh = pq.read_table(folder / "fresh.parquet")
    rng = np.random.default_rng(2)
    columns = {}
    for name in fresh.column_names:
        values = fresh[name].to_numpy(zero_copy_only=False)
        # What a generator does that knows columns only, and knows them from an eighth of the rows: no joint structure,
        # few distinct values, no tails.
        middle = np.sort(values)[len(values) // 8 : -len(values) // 8] if values.dtype.kind == "f" else values
        columns[name] = rng.choice(rng.choice(middle, len(values) // 8), len(values))
    pq.write_table(pa.table(columns), folder / "damaged.parquet")


def _table(rng: np.random.Generator) -> pa.Table:
    x = rng.standard_normal((_ROWS, 4))
    x[:, 1] += x[:, 0]
    x[:, 2] += x[:, 1] ** 2 - 1
    levels = np.array(_LEVELS)[np.searchsorted([-1.5, 0.0, 1.2], x[:, 3] + 0.5 * x[:, 0])]
    return pa.table({**{f"x{i}": column for i, column in enumerate(x.T)}, "level": levels})


if __name__ == "__main__":
    sys.stdout.write(json.dumps(trial(Path(sys.argv[1]))) + "\n")
