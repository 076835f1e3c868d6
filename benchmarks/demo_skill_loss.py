"""Which generator family's eighth generation has truly collapsed on the demo's datasets, by measured skill loss?

    OMP_NUM_THREADS=1 python -m benchmarks.demo_skill_loss --output benchmarks/results/demo_skill_loss.json

About ten minutes on one core. Generation 0, the real rows that the lineages start from, is the trivial baseline.
"""

import argparse
import json
import platform
import time
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow as pa

from benchmarks.datasets import DATASETS, describe, load
from benchmarks.demo_cases import demo_case, split
from benchmarks.skill_loss import label, measure_real, skill_loss
from synthetic.families import FAMILIES

DEMO_DATASETS = ("randhie", "fair", "401ksubs", "gpa2")
GENERATIONS = (1, 2, 4, 8)


def measure(dataset: str, families: list[str], seed: int, model_seeds: tuple[int, ...]) -> list[dict[str, object]]:
    """Returns one record per candidate of `dataset`: its skill loss and label."""
    parts = split(load(dataset), seed)
    targets = DATASETS[dataset].targets
    rows = parts["train"].num_rows
    # No generator saw the reference or the fresh rows; three times the rows needed, so that seeds differ in rows too.
    pool = pa.concat_tables([parts["reference"], parts["fresh"]])
    arm = measure_real(pool, parts["test"], targets, model_seeds, rows)
    # Generation 0 are the real rows that every lineage starts from.
    candidates = [("real", 0, parts["train"])]
    for family in families:
        case = demo_case(dataset, seed, family, max(GENERATIONS))
        candidates += [(family, generation, case[f"generation_{generation}"]) for generation in GENERATIONS]
    records = []
    for family, generation, table in candidates:
        loss = skill_loss(table, arm)
        records.append(
            {
                "dataset": dataset,
                "seed": seed,
                "family": family,
                "generation": generation,
                "rows": rows,
                "s": round(loss.s, 4),
                "s_tail": round(loss.s_tail, 4),
                "harm": round(loss.harm, 4),
                "label": label(loss),
                "by_target": {name: [_finite(s), _finite(tail)] for name, (s, tail) in loss.by_target.items()},
            }
        )
        print(
            f"{dataset:10} {family:17} {generation}  s {loss.s:6.3f}  s_tail {loss.s_tail:6.3f}  {label(loss)}",
            flush=True,
        )
    return records


def _finite(x: float) -> float | None:
    return round(x, 4) if np.isfinite(x) else None


def main() -> None:
    """Measures every family on every demo dataset and writes one JSON file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--datasets", nargs="+", default=list(DEMO_DATASETS), choices=sorted(DATASETS))
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=sorted(FAMILIES))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--model-seeds", type=int, default=3)
    options = parser.parse_args()

    start = time.perf_counter()
    seeds = tuple(range(options.model_seeds))
    records = [record for name in options.datasets for record in measure(name, options.families, options.seed, seeds)]
    result = {
        "question": "skill lost by training on generation g of each family, instead of on as many fresh real rows",
        "definition": "s = (L_candidate - L_real) / (L_prior - L_real); collapsed if max(s, s_tail / 2) > 0.15",
        "seed": options.seed,
        "model_seeds": len(seeds),
        "datasets": [describe(name) for name in options.datasets],
        "versions": {name: version(name) for name in ("numpy", "scikit-learn", "pyarrow")},
        "python": platform.python_version(),
        "seconds": round(time.perf_counter() - start, 1),
        "results": records,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n")
    print(f"wrote {options.output} after {result['seconds']} s")


if __name__ == "__main__":
    main()
