"""Does a stratified sample hold what is rare, at what cost to everything else, and what does its pass take?

    OMP_NUM_THREADS=1 python -m benchmarks.stratified_sample [--rows 1000] [--draws 10] [--datasets NAME ...]
    OMP_NUM_THREADS=1 python -m benchmarks.stratified_sample --time [--million 1]

Real tables of 4,000 rows or more, each sampled uniformly and by strata, with as many rows. `held`: share of the
combinations of two columns' values (coarsened to 8 each) that between 5 rows and one row in 200 of the whole table
have, and the sample any. `totals`: root mean square, over these combinations, of the relative error of the estimated
number of their rows. `ks`: root mean square, over columns, of the Kolmogorov-Smirnov distance from the whole table.
A quarter of each table, 2,000 rows at least, is the first sample. Writes results/stratified_sample.json and
results/stratified_pass.json.
"""

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.datasets import DATASETS, load
from benchmarks.measure import save
from vr.data.config import Isolation, ReadingConfig
from vr.data.engine import LocalEngine
from vr.data.passes import Passes
from vr.data.profile import Profiler, sample_rows
from vr.data.source import open_source
from vr.data.work import ProfileWork, StratifiedWork
from vr.detector.inputs import Columns
from vr.diversity.standing import standing
from vr.diversity.strata import fit_strata
from vr.pipeline.config import Config
from vr.pipeline.intake import Intake, take_in
from vr.stats.dependence import coarsen_codes

LEAST_ROWS = 4_000
KINDS = ("held", "totals", "ks", "confidence", "drawn")
DRAWN = ("uniform", "strata")


def pairs_of(codes: np.ndarray, columns: Columns) -> np.ndarray:
    """Returns the combination of each row in each pair of columns, int64 `[n, pairs]`, numbered through."""
    coarse, sizes = coarsen_codes(codes, columns.num_codes, columns.ordinal, 8)
    owner = {j: head for head, parts in columns.parts.items() for j in parts}
    made, start = [], 0
    for i in range(len(sizes)):
        for j in range(i + 1, len(sizes)):
            if owner[i] != owner[j]:
                made.append(start + coarse[:, i].astype(np.int64) * int(sizes[j]) + coarse[:, j])
                start += int(sizes[i] * sizes[j])
    return np.column_stack(made)


def taken(table: pa.Table, seed: int) -> Intake:
    """Returns the table taken in, with a quarter of it as the first sample."""
    config = Config(seed=seed)
    config = replace(config, sample=replace(config.sample, rows=max(2_000, table.num_rows // 4)))
    return take_in(open_source(table), None, config, 1, lambda *_: None)


def compared(name: str, rows: int, draws: int) -> dict[str, float | str | int] | None:
    """Returns how samples of one table do, None of a table that is too short or has one column."""
    table = load(name)
    if table.num_rows < max(LEAST_ROWS, 2 * rows) or table.num_columns < 2:
        return None
    source, intake = open_source(table), taken(table, 0)
    counts, columns = intake.candidate_profile.counts, intake.columns
    codes = intake.codec.encode(table).codes
    pairs = pairs_of(codes, columns)
    known = np.bincount(pairs.ravel())
    rare = np.flatnonzero((known >= 5) & (known <= table.num_rows / 200))
    if not len(rare):
        return None
    strata = fit_strata(intake.candidate.codes, columns, counts, rows, 0).strata
    found: dict[str, list[tuple[float, ...]]] = {kind: [] for kind in DRAWN}
    for seed in range(1, draws + 1):
        uniform = sample_rows(source.batches(), rows, seed)
        drawn = Passes().run(source, StratifiedWork(source.schema.names, intake.codec, strata, seed), 65_536, id)
        of_uniform = np.full(rows, table.num_rows / rows)
        for kind, chosen, weights in (("uniform", uniform.rows, of_uniform), ("strata", drawn.rows, drawn.weights)):
            stands = standing(codes[chosen], weights, counts)
            told = np.bincount(pairs[chosen].ravel(), np.repeat(weights, pairs.shape[1]), len(known))[rare]
            error = np.sqrt(np.mean((told / known[rare] - 1.0) ** 2))
            ks = np.sqrt(np.mean(stands.ks**2))
            found[kind].append((np.mean(told > 0), error, ks, stands.confidence, len(chosen)))
    result: dict[str, float | str | int] = {"dataset": name, "rows": table.num_rows, "rare": len(rare)}
    for kind, each in found.items():
        means = np.mean(each, axis=0)
        result |= {f"{what}_{kind}": float(mean) for what, mean in zip(KINDS, means, strict=True)}
    return result


def timed(million: int, threads: int) -> dict[str, float | int]:
    """Returns seconds of the profile's pass and of the stratified one over a parquet file of 20 columns, in turn."""
    import sklearn.cluster  # noqa: F401 - its import is no part of the fit

    rng = np.random.default_rng(0)
    rows = million * 1_000_000
    columns: dict[str, Any] = {f"x{i}": rng.standard_normal(rows) for i in range(12)}
    columns |= {f"k{i}": rng.zipf(1.6, rows).clip(max=40) for i in range(4)}
    names = pa.array([f"name {i}" for i in range(60)])
    columns |= {f"s{i}": names.take(pa.array(rng.geometric(0.1, rows).clip(max=59))) for i in range(4)}
    seconds: dict[str, list[float]] = {"profile": [], "strata": []}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.parquet"
        pq.write_table(pa.table(columns), path, row_group_size=1 << 17)
        source = open_source(path, reading=ReadingConfig(isolation=Isolation.never))
        passes = Passes(LocalEngine(threads))
        intake = take_in(source, None, Config(), threads, lambda *_: None)
        counts = intake.candidate_profile.counts
        started = time.perf_counter()
        strata = fit_strata(intake.candidate.codes, intake.columns, counts, 10_000, 0).strata
        fitted = time.perf_counter() - started
        works: dict[str, Any] = {
            "profile": ProfileWork(Profiler(intake.codec, 20_000, 0)),
            "strata": StratifiedWork(source.schema.names, intake.codec, strata, 0),
        }
        for _ in range(3):
            for kind, work in works.items():
                started = time.perf_counter()
                passes.run(source, work, 65_536, lambda done: None)
                seconds[kind].append(time.perf_counter() - started)
    medians = {f"{kind}_s": float(np.median(each)) for kind, each in seconds.items()}
    return {"rows": rows, "columns": 20, "threads": threads, "fit_s": fitted, **medians}


def lines_of(found: Sequence[dict[str, Any]]) -> list[str]:
    """Returns the means over tables, uniform and by strata."""
    return [
        f"{what:<12}" + "  ".join(f"{np.mean([each[f'{what}_{kind}'] for each in found]):.4f}" for kind in DRAWN)
        for what in KINDS
    ]


def main() -> None:
    """Measures, and prints what was found."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--time", action="store_true")
    parser.add_argument("--rows", type=int, default=1_000)
    parser.add_argument("--draws", type=int, default=10)
    parser.add_argument("--million", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--datasets", nargs="*", default=sorted(DATASETS))
    arguments = parser.parse_args()
    command = "OMP_NUM_THREADS=1 python -m benchmarks.stratified_sample"
    if arguments.time:
        spent = timed(arguments.million, arguments.threads)
        save("stratified_pass", spent, f"{command} --time --million {arguments.million}")
        print(spent)
        return
    found = [each for name in arguments.datasets if (each := compared(name, arguments.rows, arguments.draws))]
    save("stratified_sample", {"datasets": found}, f"{command} --rows {arguments.rows} --draws {arguments.draws}")
    print(f"{len(found)} tables", *lines_of(found), sep="\n")


if __name__ == "__main__":
    main()
