"""Are numbers in another unit found and given back, and are files with none left alone?

    OMP_NUM_THREADS=1 python -m benchmarks.unit_errors [--draws 3] [--datasets NAME ...]

Each table is halved at random, at most 1,500 rows a half: one half is the reference, the other the candidate, as it is
and with one column of numbers in another unit, in some rows or in a stretch, where that lies being told. Writes
results/unit_errors.json. Three minutes on one core.
"""

import argparse
import shlex
import sys
import warnings
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks import datasets
from benchmarks.measure import save
from synthetic.wrong_cells import wrong_units
from vr.data.encoders import to_float
from vr.data.source import open_source
from vr.localization.regions import Region
from vr.pipeline.config import Config
from vr.pipeline.intake import take_in
from vr.pipeline.numbers import unit_errors_of
from vr.recommendation.units import UnitError, repaired

MAX_ROWS = 1_500
STRENGTHS = (0.02, 0.1)
FACTORS = (12, 1_000)


def found(candidate: pa.Table, reference: pa.Table, stretches: list[tuple[int, int]]) -> list[UnitError]:
    """Returns the unit errors of a candidate with these stretches."""
    intake = take_in(open_source(candidate), open_source(reference), Config(), 1, lambda *step: None)
    return unit_errors_of(intake, [Region(start, end, "outlier", 0.9) for start, end in stretches])


def planted(
    candidate: pa.Table, reference: pa.Table, strength: float, key: int, factor: int, *, stretch: bool
) -> dict[str, Any] | None:
    """Returns how many cells were planted, changed and given back; None where no column can hold them."""
    wrong, rows = wrong_units(candidate, strength, key, factor)
    if not rows.any():
        return None
    column = next(name for name in wrong.column_names if not wrong[name].equals(candidate[name]))
    j = candidate.column_names.index(column)
    stretches = []
    if stretch:
        # The same column, and as many rows in one place.
        start = int(np.random.default_rng(key).integers(len(candidate) - rows.sum() + 1))
        rows = np.isin(np.arange(len(candidate)), np.arange(start, start + rows.sum()))
        times = pa.array(to_float(candidate[column].combine_chunks()) * np.where(rows, factor, 1), from_pandas=True)
        wrong = candidate.set_column(j, candidate.schema.field(j), times.cast(candidate.schema.field(j).type))
        stretches = [(start, start + int(rows.sum()))]
    before, now = (to_float(table[column].combine_chunks()) for table in (candidate, wrong))
    off = (now != before) & ~np.isnan(before)
    errors = found(wrong, reference, stretches)
    mine = next((error.action for error in errors if error.action.column == column), None)
    made = now if mine is None else repaired(mine, now, np.arange(len(now)))
    changed = (made != now) & ~np.isnan(now)
    return {
        "column": column,
        "cells": int(off.sum()),
        "factor": None if mine is None else mine.factor,
        "changed": int(changed.sum()),
        "given_back": int((changed & off & np.isclose(made, before, rtol=1e-12, atol=0.0)).sum()),
        "other_columns": sum(error.action.column != column for error in errors),
    }


def _summary(files: list[dict[str, Any]], factor: int) -> dict[str, Any]:
    right = [each for each in files if each["factor"] == factor]
    changed, given_back = (sum(each[name] for each in files) for name in ("changed", "given_back"))
    return {
        "files": len(files),
        "found": len(right),
        "with_another_factor": sum(each["factor"] is not None for each in files) - len(right),
        "with_another_column": sum(each["other_columns"] > 0 for each in files),
        "cells": sum(each["cells"] for each in files),
        "changed": changed,
        "given_back": given_back,
        "share_given_back_where_found": round(
            sum(each["given_back"] for each in right) / max(1, sum(each["cells"] for each in right)), 4
        ),
    }


def main() -> None:
    """Runs all tables and writes the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--datasets", nargs="*", default=sorted(datasets.DATASETS))
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    healthy, wrong = [], []
    for name in args.datasets:
        for draw in range(args.draws):
            candidate, reference = datasets.halves(name, MAX_ROWS, np.random.default_rng([draw, 5]))
            healthy.append(len(found(candidate, reference, [(0, len(candidate) // 5)])))
            for factor in FACTORS:
                for strength in STRENGTHS:
                    for stretch in (False, True):
                        told = planted(candidate, reference, strength, draw, factor, stretch=stretch)
                        if told is not None:
                            setting = {"factor_planted": factor, "strength": strength, "stretch": stretch}
                            wrong.append({"dataset": name, "draw": draw, **setting, **told})
        print(name, wrong[-1] if wrong else None, flush=True)
    summary: dict[str, Any] = {"healthy": {"files": len(healthy), "with_an_error": int(np.count_nonzero(healthy))}}
    for factor in FACTORS:
        for strength in STRENGTHS:
            for stretch in (False, True):
                key = f"{'stretch' if stretch else 'cells'} of {strength:.0%}, factor {factor}"
                asked = (factor, strength, stretch)
                files = [e for e in wrong if (e["factor_planted"], e["strength"], e["stretch"]) == asked]
                summary[key] = _summary(files, factor)
    for key, value in summary.items():
        print(key, value)
    command = shlex.join(["python", "-m", "benchmarks.unit_errors", *sys.argv[1:]])
    save("unit_errors", {"summary": summary, "files": wrong}, command)


if __name__ == "__main__":
    main()
