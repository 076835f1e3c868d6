"""How exact is the share that `mix_planner` holds planned ones against, on the lineages that it is designed on?

    python -m benchmarks.mix_planner_noise [--workers 2] [--minutes 60] [--collect]

Fifteen minutes of one core, resumable. The share found by training is found three times, by seeds and real rows of its
own each time (`truths`). A planner that knew it would be within a tenth of one of them as often as another one is
(`pairs_within_a_tenth`). Only development lineages are trained on: the others judge.
"""

import argparse
from dataclasses import replace
from itertools import combinations
from typing import Any

import numpy as np

from benchmarks.datasets import DATASETS
from benchmarks.measure import save
from benchmarks.mending.measured import MAX_TARGETS
from benchmarks.mending.work import done, run_all
from benchmarks.mix_planner import (
    DEVELOPMENT,
    FOLDER,
    MIDDLE,
    NEAR,
    SEEDS,
    SHARES,
    committed,
    harm_crossing,
    lineages,
    made,
    mixed,
)
from benchmarks.skill_loss import MAX_SPREAD, MIN_SKILL, measure_real, skill_loss

TRUTHS = 3
REAL = 2 * SEEDS  # draws of real rows for each truth


def train(name: str) -> dict[str, Any]:
    """Returns the losses of one truth's runs at each target, over all and over rare test rows."""
    id, truth = name.rsplit("/", 1)
    _, split, parts, candidate = made(id)
    targets = DATASETS[split.dataset].targets[:MAX_TARGETS]
    n, k = split.candidate_rows, int(truth)
    runs = [measure_real(parts.pool, parts.test, targets, (s,), n) for s in range(REAL * k, REAL * (k + 1))]
    # Whether a column counts is told by all runs, afterwards.
    arm = replace(runs[0], counts={target: np.ones(2, bool) for target in targets})
    mixes: dict[str, list[list[list[float]]]] = {target: [] for target in targets}
    for seed in range(SEEDS * k, SEEDS * (k + 1)):
        curve = [skill_loss(mixed(split, parts, candidate, n, x, seed), arm, (seed,)) for x in (0.0, *SHARES)]
        for target in targets:
            real, prior = arm.losses[target]
            mixes[target].append([(real + point.by_target[target] * (prior - real)).tolist() for point in curve])
    return {
        "rows": n,
        "pool": parts.pool.num_rows,
        "real": {target: [run.losses[target][0].tolist() for run in runs] for target in targets},
        "prior": {target: arm.losses[target][1].tolist() for target in targets},
        "mix": mixes,
    }


def share_of(truths: list[dict[str, Any]], mixes: list[int], real: list[int]) -> float:
    """Returns the share found by the mixes of some truths against the real rows of some."""
    values = []
    for target, prior in truths[0]["prior"].items():
        runs = np.concatenate([np.array(truths[k]["real"][target]) for k in real])
        skill = np.array(prior) - runs.mean(axis=0)
        left = max(1.0 - truths[0]["rows"] / truths[0]["pool"], 1.0 / truths[0]["pool"])
        # As `measure_real` has it.
        counts = (skill >= MIN_SKILL * np.array(prior)) & (
            runs.std(axis=0, ddof=1) / np.sqrt(left) <= MAX_SPREAD * skill
        )
        lost = np.concatenate([np.array(truths[k]["mix"][target]) for k in mixes]).mean(axis=0) - runs.mean(axis=0)
        values.append(np.where(counts, lost / np.where(counts, skill, 1.0), np.nan))
    s, s_tail = np.array([[_mean(column) for column in one] for one in np.moveaxis(np.array(values), 0, 2)]).T
    return harm_crossing(np.fmax(s, s_tail / 2).tolist(), MIDDLE)


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")


def collect(truths: dict[str, list[dict[str, Any]]], planned: dict[str, float]) -> dict[str, Any]:
    """Returns spreads of the shares over the lineages, root mean square, and each lineage's shares."""
    every = list(range(TRUTHS))
    rows = [
        {
            "case": id,
            "truths": [round(share_of(found, [k], [k]), 4) for k in every],
            "of_other_mixes": [round(share_of(found, [k], every), 4) for k in every],
            "of_other_real_rows": [round(share_of(found, every, [k]), 4) for k in every],
            "truth": round(share_of(found, every, every), 4),
            "planned": planned[id],
        }
        for id, found in truths.items()
    ]
    pairs = [abs(a - b) <= NEAR + 1e-9 for row in rows for a, b in combinations(row["truths"], 2)]
    spreads = {
        f"std_{what}": _root_mean_square([float(np.std(row[what], ddof=1)) for row in rows])
        for what in ("truths", "of_other_mixes", "of_other_real_rows")
    }
    return {
        "lineages": len(rows),
        "pairs_within_a_tenth": round(float(np.mean(pairs)), 4),
        **spreads,
        "rms_planned_less_truth": _root_mean_square([row["planned"] - row["truth"] for row in rows]),
        "rows": rows,
    }


def _root_mean_square(values: list[float]) -> float:
    return round(float(np.sqrt(np.mean(np.square(values)))), 4)


def main() -> None:
    """Measures what is missing and writes the figures once all is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=600.0, help="after which nothing is begun")
    parser.add_argument("--collect", action="store_true", help="only write the figures of what is there")
    args = parser.parse_args()
    ids = list(lineages(DEVELOPMENT))
    trained = [f"{id}/{k}" for k in range(TRUTHS) for id in ids]
    if not args.collect:
        run_all(FOLDER / "truths", trained, train, args.workers, args.minutes)
    truths = done(FOLDER / "truths", trained)
    missing = [name for name in trained if name not in truths]
    if missing:
        print(f"{len(missing)} truths are missing, {missing[0]} first")
        return
    planned = {id: row["planned"]["by_trees_of_targets"] for id, row in committed().items()}
    found = collect({id: [truths[f"{id}/{k}"] for k in range(TRUTHS)] for id in ids}, planned)
    save("mix_planner_noise", found, "OMP_NUM_THREADS=1 python -m benchmarks.mix_planner_noise")
    print({name: value for name, value in found.items() if name != "rows"})


if __name__ == "__main__":
    main()
