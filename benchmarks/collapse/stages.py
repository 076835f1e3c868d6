"""What is done with every case: its label measured, its features and its peers' scores computed. One file a split.

Each stage runs in two worker processes, a split at a time, and keeps one parquet file for each split under
`outputs/collapse/<stage>/`, named by the split and by a digest of what it depends on; what is there is not made again.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.collapse.cases import Case, Parts, Split, cases_of, make_cases, parts_of

__all__ = ["STAGES", "WORK", "first_round", "run_stage", "stage_table"]

WORK = Path("outputs/collapse")
_MAX_TARGETS = 5

# One worker a core: libraries with threads of their own would only crowd each other. XLA sizes its pools by NPROC, and
# the generators that are networks give the same rows at the same number of threads only.
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NPROC": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}

Row = dict[str, Any]


def labels(split: Split, parts: Parts, cases: list[tuple[Case, pa.Table]]) -> list[Row]:
    """Returns the measured skill loss of every case, at the candidate's own number of rows."""
    from benchmarks.datasets import DATASETS
    from benchmarks.skill_loss import RealArm, label, measure_real, skill_loss

    targets = DATASETS[split.dataset].targets[:_MAX_TARGETS]
    # The fewer the rows, the noisier a model and the cheaper.
    seeds = range(3 if split.candidate_rows > 800 else 5)
    arms: dict[int, RealArm] = {}
    rows = []
    for case, table in cases:
        size = min(table.num_rows, parts.pool.num_rows)
        if size not in arms:
            # Real rows are drawn anew for each seed, so this side takes more of them to be as sure.
            arms[size] = measure_real(parts.pool, parts.test, targets, range(2 * len(seeds)), size)
        loss = skill_loss(table, arms[size], seeds)
        rows.append(
            {
                **case.to_dict(),
                "rows": table.num_rows,
                "reference_rows": split.reference_rows,
                "s": loss.s,
                "s_tail": loss.s_tail,
                "harm": loss.harm,
                "label": label(loss),
                "by_target": json.dumps({name: list(pair) for name, pair in loss.by_target.items()}),
            }
        )
    return rows


def features(split: Split, parts: Parts, cases: list[tuple[Case, pa.Table]]) -> list[Row]:
    """Returns every case's metrics with their nulls, from the statistics and the tiers that have a null."""
    return _measured(parts, cases, tiers=2)


def cascade(split: Split, parts: Parts, cases: list[tuple[Case, pa.Table]]) -> list[Row]:
    """Returns the same from the whole laptop cascade, for every third case."""
    return _measured(parts, [pair for i, pair in enumerate(cases) if (i + split.ordinal) % 3 == 0], tiers=3)


def peers(split: Split, parts: Parts, cases: list[tuple[Case, pa.Table]]) -> list[Row]:
    """Returns every case's score by each public tool."""
    from benchmarks.collapse.peers import scores

    return [{"case": case.id, **scores(table, parts.reference)} for case, table in cases]


def _measured(parts: Parts, cases: list[tuple[Case, pa.Table]], tiers: int) -> list[Row]:
    from vr.cascade.config import CascadeConfig, Execution
    from vr.cascade.train import run_cascade
    from vr.data.source import open_source
    from vr.detector.inputs import Inputs
    from vr.detector.registry import DIMENSIONS
    from vr.pipeline.config import Config
    from vr.pipeline.intake import take_in

    settings = CascadeConfig(tiers=CascadeConfig().tiers[:tiers], threads=1, execution=Execution.looped)
    config = Config(cascade=settings)
    prepared: dict = {}
    nulls: dict = {}
    rows = []
    for case, table in cases:
        begun = time.perf_counter()
        taken = take_in(open_source(table), open_source(parts.reference), config, 1, lambda *step: None)
        assert taken.reference is not None
        pairs = taken.pair_columns
        trained = run_cascade(
            taken.reference.codes[:, pairs],
            taken.candidate.codes[:, pairs],
            taken.columns.num_codes[pairs].tolist(),
            settings,
            0,
            prepared=prepared,
        )
        inputs = Inputs.of(taken, trained, None, 0, 1, nulls)
        found = {name: dimension.measure(inputs) for name, dimension in DIMENSIONS.items()}
        row: Row = {"case": case.id, "rows": len(taken.candidate), "columns": len(taken.columns.names)}
        for name, measurement in found.items():
            for metric, feature in measurement.features.items():
                row[f"{name}.{metric}"] = feature.value
                row[f"{name}.{metric}:spread"] = feature.spread
                row[f"{name}.{metric}:null_mean"] = feature.null_mean
                row[f"{name}.{metric}:null_std"] = feature.null_std
        for tier in trained.tiers:
            for reading in ("log_ratio_all", "log_ratio_half", "log_ratio_rare"):
                row[f"{tier.name}.{reading}"] = tier.readings[reading].value
        rows.append({**row, "seconds": time.perf_counter() - begun})
    return rows


# A stage's version goes up when its code changes what it gives.
STAGES: dict[str, tuple[int, Callable[[Split, Parts, list[tuple[Case, pa.Table]]], list[Row]]]] = {
    "labels": (1, labels),
    "features": (1, features),
    "cascade": (1, cascade),
    "peers": (1, peers),
}


def stage_path(stage: str, split: Split) -> Path:
    """Returns where a stage keeps a split's rows; the name changes with the cases and with the stage's version."""
    content = json.dumps([STAGES[stage][0], repr(split), [case.to_dict() for case in cases_of(split)]])
    return WORK / stage / f"{split.name}-{hashlib.sha256(content.encode()).hexdigest()[:12]}.parquet"


def first_round(splits: list[Split]) -> list[Split]:
    """Returns one split of every dataset, large and small by turns."""
    of_dataset: dict[str, list[Split]] = {}
    for split in splits:
        of_dataset.setdefault(split.dataset, []).append(split)
    return [each[turn % len(each)] for turn, each in enumerate(of_dataset.values())]


def run_stage(stage: str, splits: list[Split], workers: int = 2) -> None:
    """Runs a stage over the splits that have no file yet; an interruption loses the splits in flight.

    One split of every dataset comes first, large and small by turns, so that what is there early covers everything;
    within a round the longest come first, so that no worker is left alone with one at the end.
    """
    first = {split.name for split in first_round(splits)}
    pending = [split for split in splits if not stage_path(stage, split).exists()]
    pending.sort(key=lambda split: (split.name not in first, -split.candidate_rows))
    print(f"{stage}: {len(splits) - len(pending)} of {len(splits)} splits are there", flush=True)
    begun = time.perf_counter()
    # Before the workers start, as libraries read it when they load.
    os.environ |= _ONE_THREAD
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(_run, stage, split): split for split in pending}
        for done, future in enumerate(as_completed(futures), start=1):
            rows, seconds = future.result()
            left = (time.perf_counter() - begun) / done * (len(pending) - done)
            print(
                f"{stage}: {futures[future].name}, {rows} cases in {seconds:.0f} s; "
                f"{done} of {len(pending)}, about {left / 60:.0f} min left",
                flush=True,
            )


def stage_table(stage: str, splits: list[Split]) -> pa.Table:
    """Returns the rows of all splits that are done, in the order of the splits."""
    paths = [stage_path(stage, split) for split in splits]
    tables = [pq.read_table(path) for path in paths if path.exists()]
    if not tables:
        raise FileNotFoundError(f"no split has its {stage} yet: python -m benchmarks.collapse.study {stage}")
    return pa.concat_tables(tables, promote_options="permissive").combine_chunks()


def cached_cases(split: Split, parts: Parts) -> list[tuple[Case, pa.Table]]:
    """Returns the split's cases, made once and kept under `outputs/collapse/cases/`."""
    folder = WORK / "cases" / stage_path("labels", split).stem
    cases = cases_of(split)
    paths = [folder / f"{i}.parquet" for i in range(len(cases))]
    if not (folder / "done").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for case, table in make_cases(split, parts):
            pq.write_table(table, paths[cases.index(case)])
        (folder / "done").touch()
    return [(case, pq.read_table(path)) for case, path in zip(cases, paths, strict=True)]


def _run(stage: str, split: Split) -> tuple[int, float]:
    import warnings

    warnings.filterwarnings("ignore")
    begun = time.perf_counter()
    parts = parts_of(split)
    rows = STAGES[stage][1](split, parts, cached_cases(split, parts))
    path = stage_path(stage, split)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    pq.write_table(pa.Table.from_pylist(rows), part)
    part.replace(path)
    return len(rows), time.perf_counter() - begun
