"""What is done with every case: its label measured, its features and its peers' scores computed. One file a split.

Each stage runs in two worker processes, a split at a time, and keeps one parquet file for each split under
`outputs/collapse/<stage>/`, named by the split and by a digest of what it depends on, with a row for each case; the
rows that are there are not made again.
"""

import hashlib
import json
import os
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import replace
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.collapse.cases import KEY, Case, Parts, Split, cases_of, made_of, make_cases, parts_of
from benchmarks.collapse.cases import splits as all_splits

__all__ = ["STAGES", "WORK", "first_round", "made_by", "missing_cases", "run_stage", "stage_table", "take_committed"]

WORK = Path("outputs/collapse")
_PACKAGES = ("numpy", "scipy", "scikit-learn", "pyarrow", "jax", "flax", "optax")
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
    usual = min(split.candidate_rows, parts.pool.num_rows)
    # Real rows are drawn anew for each seed, so this side takes more of them to be as sure.
    draws = range(2 * len(seeds))
    arms: dict[int, RealArm] = {usual: measure_real(parts.pool, parts.test, targets, draws, usual)}
    rows = []
    for case, table in cases:
        size = min(table.num_rows, parts.pool.num_rows)
        if size not in arms:
            arms[size] = measure_real(parts.pool, parts.test, targets, draws, size, arms[usual])
        loss = skill_loss(table, arms[size], seeds)
        rows.append(
            {
                **case.to_dict(),
                "rows": table.num_rows,
                "reference_rows": split.reference_rows,
                "s": loss.s,
                "s_tail": loss.s_tail,
                "harm": loss.harm,
                "noise": loss.noise,
                "label": label(loss) if np.isfinite(loss.harm) else "unknown",
                # A change that finds nothing to change, as jitter without numbers, leaves no case of its kind.
                "unchanged": case.kind in ("damage", "harmless") and table.equals(made_of(case, split, parts)),
                "by_target": json.dumps({name: list(pair) for name, pair in loss.by_target.items()}),
            }
        )
    return rows


def features(split: Split, parts: Parts, cases: list[tuple[Case, pa.Table]]) -> list[Row]:
    """Returns every case's metrics with their nulls, from the statistics and the tiers that have a null.

    Probes of gradients and of the loss landscape, a quarter of the time, are left to the `cascade` stage.
    """
    return _measured(parts, cases, tiers=2, probes=False)


def cascade(split: Split, parts: Parts, cases: list[tuple[Case, pa.Table]]) -> list[Row]:
    """Returns the same from the whole laptop cascade."""
    return _measured(parts, cases, tiers=3, probes=True)


def targets(split: Split, parts: Parts, cases: list[tuple[Case, pa.Table]]) -> list[Row]:
    """Returns the skill lost at the label's target columns, as for a user who names them, and at each by itself."""
    from benchmarks.datasets import DATASETS
    from vr.data.source import open_source
    from vr.detector.calibration import SKILL_LOST_TARGETS
    from vr.detector.dimensions.generalization_gap import skill_test
    from vr.detector.inputs import Inputs
    from vr.pipeline.config import Config
    from vr.pipeline.intake import take_in

    config = Config(targets=list(DATASETS[split.dataset].targets[:_MAX_TARGETS]))
    nulls: dict = {}
    rows = []
    for case, table in cases:
        begun = time.perf_counter()
        taken = take_in(open_source(table), open_source(parts.reference), config, 1, lambda *step: None)
        inputs = Inputs.of(taken, None, "no proxies were trained", 0, 1, nulls)
        row: Row = {"case": case.id}
        test = skill_test(inputs)
        if test is not None and test.of_targets:
            codes = inputs.candidate.codes[:, inputs.pair_columns]
            lost = test.lost(codes)
            row |= {SKILL_LOST_TARGETS: lost.share, f"{SKILL_LOST_TARGETS}:spread": lost.spread}
            row |= {f"{SKILL_LOST_TARGETS}:null_mean": 0.0, f"{SKILL_LOST_TARGETS}:null_std": test.null_std}
            row["by_target"] = json.dumps(
                {
                    inputs.columns.names[inputs.pair_columns[j]]: [by_column / skill, null / skill, skill]
                    for j, by_column, null, skill, counts in zip(
                        test.columns, lost.by_column, test.null_by_column, test.skill, test.can_lose, strict=True
                    )
                    if counts
                }
            )
        rows.append({**row, "seconds": time.perf_counter() - begun})
    return rows


def peers(split: Split, parts: Parts, cases: list[tuple[Case, pa.Table]]) -> list[Row]:
    """Returns every case's score by each public tool."""
    from benchmarks.collapse.peers import scores

    return [{"case": case.id, **scores(table, parts.reference)} for case, table in cases]


def reference_free(split: Split, parts: Parts, cases: list[tuple[Case, pa.Table]]) -> list[Row]:
    """Returns every case's metrics that need no reference, and none is given."""
    from vr.data.source import open_source
    from vr.detector.inputs import Inputs
    from vr.detector.reference_free import measure
    from vr.pipeline.config import Config
    from vr.pipeline.intake import take_in

    rows = []
    for case, table in cases:
        begun = time.perf_counter()
        taken = take_in(open_source(table), None, Config(), 1, lambda *step: None)
        found = measure(Inputs.of(taken, None, "needs a reference", 0, 1))
        row = {"case": case.id, **{name: feature.value for name, feature in found.items()}}
        rows.append({**row, "seconds": time.perf_counter() - begun})
    return rows


def _measured(parts: Parts, cases: list[tuple[Case, pa.Table]], tiers: int, probes: bool) -> list[Row]:
    from vr.cascade.config import CascadeConfig, Execution
    from vr.cascade.train import run_cascade
    from vr.core.errors import DataError
    from vr.data.source import open_source
    from vr.detector.inputs import Inputs
    from vr.detector.registry import DIMENSIONS
    from vr.pipeline.config import Config
    from vr.pipeline.intake import take_in

    chosen = CascadeConfig().tiers[:tiers]
    if not probes:
        chosen = [replace(tier, gradients=False, curvature=False, half_arms=False) for tier in chosen]
    settings = CascadeConfig(tiers=chosen, threads=1, execution=Execution.looped)
    config = Config(cascade=settings)
    prepared: dict = {}
    nulls: dict = {}
    rows = []
    for case, table in cases:
        begun = time.perf_counter()
        taken = take_in(open_source(table), open_source(parts.reference), config, 1, lambda *step: None)
        assert taken.reference is not None
        pairs = taken.pair_columns
        try:
            trained = run_cascade(
                taken.reference.codes[:, pairs],
                taken.candidate.codes[:, pairs],
                taken.columns.num_codes[pairs].tolist(),
                settings,
                0,
                prepared=prepared,
            )
        except DataError as error:
            # Where nearly all of the reference is in the candidate, what is left to judge by is not enough.
            print(f"{case.id} has no features: {error}", flush=True)
            continue
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
            for name in ("log_ratio_all", "log_ratio_half", "log_ratio_rare", "skill_lost", "skill_lost_rare"):
                reading = tier.readings[name]
                row[f"{tier.name}.{name}"] = reading.value
                row[f"{tier.name}.{name}:spread"] = reading.spread
                row[f"{tier.name}.{name}:null_mean"] = reading.null_mean
                row[f"{tier.name}.{name}:null_std"] = reading.null_std
        rows.append({**row, "seconds": time.perf_counter() - begun})
    return rows


# A stage's version goes up when its code changes what it gives.
STAGES: dict[str, tuple[int, Callable[[Split, Parts, list[tuple[Case, pa.Table]]], list[Row]]]] = {
    "labels": (4, labels),
    "features": (7, features),
    "targets": (2, targets),
    "cascade": (7, cascade),
    "peers": (2, peers),
    "reference_free": (1, reference_free),
}


def stage_path(stage: str, split: Split) -> Path:
    """Returns where a stage keeps a split's rows; the name changes with the split and with the stage's version."""
    return WORK / stage / f"{split.name}-{_digest(STAGES[stage][0], split)}.parquet"


def stage_cases(stage: str, split: Split) -> list[Case]:
    """Returns the cases that a stage is run on: all, or a third of them, the same kinds and depths on other splits."""
    cases = cases_of(split)
    return [case for i, case in enumerate(cases) if stage != "cascade" or (i + split.ordinal) % 3 == 0]


def missing_cases(stage: str, split: Split) -> list[Case]:
    """Returns the cases that a stage has no row of yet."""
    path = stage_path(stage, split)
    there = set(pq.read_table(path, columns=["case"])["case"].to_pylist()) if path.exists() else set()
    return [case for case in stage_cases(stage, split) if case.id not in there]


def made_by(stage: str) -> dict[str, str]:
    """Returns what a stage's rows depend on beside the case, as the metadata of its results."""
    return {
        "stage_version": str(STAGES[stage][0]),
        "splits": _digest(KEY, all_splits()),
        "versions": json.dumps({name: version(name) for name in _PACKAGES}),
    }


def take_committed(stage: str, splits: list[Split], results: Path) -> int:
    """Puts a stage's committed rows where a run looks for what is done, for splits without a file; returns how many.

    Raises:
      ValueError: The committed rows were made by another version of the stage, of other splits or by other packages.
    """
    found = pq.read_table(results / f"{stage}.parquet")
    stored = {key.decode(): value.decode() for key, value in (found.schema.metadata or {}).items()}
    for what, expected in made_by(stage).items():
        if stored.get(what) != expected:
            raise ValueError(f"{stage}.parquet was made with {what} {stored.get(what)}, not {expected}")
    taken = 0
    for split in splits:
        wanted = pa.array([case.id for case in stage_cases(stage, split)])
        rows = found.filter(pc.is_in(pc.field("case"), wanted))
        path = stage_path(stage, split)
        if rows.num_rows and not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            _write(rows.replace_schema_metadata(None), path)
            taken += rows.num_rows
    return taken


def _digest(*parts: object) -> str:
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


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
    pending = [split for split in splits if missing_cases(stage, split)]
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
    """Returns the rows of all cases that are done, in the order of the splits."""
    tables = []
    for split in splits:
        path = stage_path(stage, split)
        if path.exists():
            wanted = pa.array([case.id for case in stage_cases(stage, split)])
            tables.append(pq.read_table(path).filter(pc.is_in(pc.field("case"), wanted)))
    if not tables:
        raise FileNotFoundError(f"no split has its {stage} yet: python -m benchmarks.collapse.study {stage}")
    return pa.concat_tables(tables, promote_options="permissive").combine_chunks()


def cached_cases(split: Split, parts: Parts, wanted: list[Case]) -> list[tuple[Case, pa.Table]]:
    """Returns a split's cases, made once and kept under `outputs/collapse/cases/`."""
    folder = _case_folder(split)
    paths = {case.id: folder / f"{case.id.replace('/', '_')}.parquet" for case in wanted}
    for case, table in make_cases(split, parts, [case for case in wanted if not paths[case.id].exists()]):
        _write(table, paths[case.id])
    return [(case, pq.read_table(paths[case.id])) for case in wanted]


def cached_reference(split: Split, parts: Parts) -> pa.Table:
    """Returns a split's reference as it was when first made, kept beside the cases.

    SDMetrics wants another pandas than the rest, which reads some datasets with other last bits: a classifier would
    tell the cases from the reference by those.
    """
    path = _case_folder(split) / "reference.parquet"
    if not path.exists():
        _write(parts.reference, path)
    return pq.read_table(path)


def _case_folder(split: Split) -> Path:
    folder = WORK / "cases" / f"{split.name}-{_digest(split)}"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _run(stage: str, split: Split) -> tuple[int, float]:
    import warnings

    warnings.filterwarnings("ignore")
    begun = time.perf_counter()
    parts = parts_of(split)
    parts = replace(parts, reference=cached_reference(split, parts))
    cases = missing_cases(stage, split)
    rows = STAGES[stage][1](split, parts, cached_cases(split, parts, cases))
    path = stage_path(stage, split)
    path.parent.mkdir(parents=True, exist_ok=True)
    made = pa.Table.from_pylist(rows)
    if path.exists():
        made = pa.concat_tables([pq.read_table(path), made], promote_options="permissive")
    _write(made, path)
    return len(rows), time.perf_counter() - begun


def _write(table: pa.Table, path: Path) -> None:
    part = path.with_suffix(f".{os.getpid()}.part")
    pq.write_table(table, part)
    part.replace(path)
