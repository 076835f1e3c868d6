"""Does the extrapolation hold on real training: does it foretell the loss of proxies eight times larger than its own?

    python -m benchmarks.scaling_holdout [SPLIT ...] [--workers 2] [--ship]

Sixteen splits of the collapse study, of 230 to 3,000 reference rows, numeric, categorical and mixed. On each, proxies
are trained on the reference, on fresh real rows, on the mildest lineage and on a collapsed one: the three tiers of
`laptop` as they ship, and once a fourth, eight times larger than the third. Then tiers 1 and 2 foretell tier 3, and
tiers 1 to 3 foretell tier 4. Beside every forecast stands what needs no law: the largest fitted tier's own loss, and
its own ranking.

Two processor minutes for the smallest splits, about seven for the largest; half an hour to an hour with two workers. A
split's losses are kept in outputs/scaling_holdout/ and not trained again, so that an interrupted run goes on; whatever
is there is gathered into results/scaling_holdout.json. With `--ship` the factors that make the intervals cover are
written where the package reads them, vr/cascade/widening.json.

The fourth tier goes on as the third follows the second: eight times the parameters, half the learning rate; and the
third's steps, rows and number of seeds. That rule is a choice, and it matters where data is bad: on a collapsed
candidate of randhie the third tier's own rate gave a loss higher by 5 %, on the reference one higher by 0.1 %.

Two losses are followed. `final` is the one that `vr` reports: each cell left out, after all steps. `best` is the lowest
that the held-out curve of half-masked rows reached while training, which somebody who stops early gets: on few rows the
final one rises with size.

The law's form was chosen by looking at six of the splits, `SEEN`; every figure is given for the other ten alone, too.
"""

import argparse
import hashlib
import json
import math
import os
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from benchmarks.collapse.cases import Split, cases_of, parts_of, splits
from benchmarks.collapse.evidence import RESULTS
from benchmarks.collapse.stages import _ONE_THREAD, cached_cases, cached_reference
from benchmarks.measure import save
from benchmarks.scaling_forecasts import LEVEL, gather, table
from vr.cascade.config import CascadeConfig, Execution, TierConfig
from vr.pipeline.report import write_atomically

# The longest first, so that no worker is left alone with one at the end.
SPLITS = (
    "stackoverflow-0",
    "randhie-0",
    "crime1-0",
    "twoyear-0",
    "DoctorVisits-0",
    "SLID-0",
    "ImageSegments-0",
    "gpa2-0",
    "txhousing-1",
    "spam7-0",
    "401ksubs-1",
    "GSSvocab-1",
    "NOxEmissions-0",
    "nwtco-1",
    "seattle_weather-0",
    "Phishing-0",
)
# The law's form (a sign that is free, a prior, Huber's loss) was chosen by looking at these.
SEEN = ("randhie-0", "SLID-0", "gpa2-0", "NOxEmissions-0", "seattle_weather-0", "Phishing-0")
WORK = Path("outputs/scaling_holdout")
SHIPPED = Path("vr/cascade/widening.json")
_VERSION = 1  # of what a split's file holds
_LEAST_DATASETS = 8  # that a shipped factor rests on


def tiers() -> list[TierConfig]:
    """Returns the laptop's tiers with their two arms only, and the fourth."""
    three = [
        replace(tier, null_arm=False, gradients=False, curvature=False, half_arms=False)
        for tier in CascadeConfig().tiers
    ]
    last = three[-1]
    return [*three, replace(last, name="tier_4", width=4_096, learning_rate=last.learning_rate / 2)]


def candidates(split: Split, labels: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Returns the split's candidates with their measured harm: fresh rows, the mildest lineage, a collapsed one.

    Args:
      split: Whose.
      labels: Rows of the study's labels; of the collapsed lineages the one of median harm is taken.
    """
    of_split = (row for row in labels if row["split"] == split.name and not row["seen"])
    own = {row["case"]: row for row in of_split if row["label"] != "unknown"}
    harm = {case: row["harm"] for case, row in own.items()}
    lineages = sorted((case for case, row in own.items() if row["kind"] == "lineage"), key=harm.__getitem__)
    collapsed = [case for case in lineages if own[case]["label"] == "collapsed"]
    real = f"{split.name}/real"
    return {case: harm.get(case, math.nan) for case in (real, lineages[0], collapsed[len(collapsed) // 2])}


def train_split(split: Split) -> dict[str, Any]:
    """Returns every arm's losses at every tier."""
    from vr.cascade.train import run_cascade
    from vr.data.source import open_source
    from vr.pipeline.config import Config
    from vr.pipeline.intake import take_in

    begun, cpu = time.perf_counter(), time.process_time()
    config = CascadeConfig(tiers=tiers(), threads=1, execution=Execution.looped)
    harm = candidates(split, pq.read_table(RESULTS / "labels.parquet").to_pylist())
    parts = parts_of(split)
    reference = cached_reference(split, parts)
    prepared: dict = {}
    arms: dict[str, Any] = {}
    sizes: list[dict[str, Any]] = []
    for case, candidate in cached_cases(split, parts, [case for case in cases_of(split) if case.id in harm]):
        taken = take_in(open_source(candidate), open_source(reference), Config(cascade=config), 1, lambda *step: None)
        assert taken.reference is not None
        pairs = taken.pair_columns
        codes = taken.reference.codes[:, pairs], taken.candidate.codes[:, pairs]
        result = run_cascade(*codes, taken.columns.num_codes[pairs].tolist(), config, 0, prepared=prepared)
        # The reference's arms are the same for all candidates, or there is no one truth of theirs.
        assert not sizes or sizes[0]["train_rows"] == result.tiers[0].train_rows, case.id
        sizes = [
            {
                key: value
                for key, value in asdict(tier).items()
                if key in ("name", "parameters", "width", "seeds", "steps", "train_rows", "test_rows", "prior_loss")
            }
            for tier in result.tiers
        ]
        for arm, name in (("reference", "reference"), ("candidate", case.id)):
            arms[name] = [
                _losses([m for m in result.models if m.tier == tier.name and m.arm == arm]) for tier in result.tiers
            ]
        minutes = (time.perf_counter() - begun) / 60
        ratio = result.tiers[-1].readings["log_ratio_all"].value
        print(f"{case.id}: log ratio {ratio:+.3f} at tier 4, {minutes:.1f} min so far", flush=True)
    rates = [tier.learning_rate for tier in config.tiers]
    return {
        "split": split.name,
        "dataset": split.dataset,
        "reference_rows": split.reference_rows,
        "harm": harm,
        "tiers": [size | {"learning_rate": rate} for size, rate in zip(sizes, rates, strict=True)],
        "arms": arms,
        "seconds": round(time.perf_counter() - begun, 1),
        "cpu_s": round(time.process_time() - cpu, 1),
    }


def _losses(models: list[Any]) -> dict[str, list[float | None]]:
    """Returns a tier's losses by seed, None of one that diverged, and their mean curve."""
    curves = [model.loss_curve["loss"] if model.status == "trained" else None for model in models]
    return {
        "final": [None if curve is None else model.loss for model, curve in zip(models, curves, strict=True)],
        "best": [None if curve is None else min(curve) for curve in curves],
        "curve": np.mean([curve for curve in curves if curve is not None], axis=0).round(4).tolist(),
    }


def ship(result: dict[str, Any]) -> None:
    """Writes the factors of the final loss, the larger one of both horizons, for the package to read.

    Raises:
      SystemExit: with too few datasets.
    """
    rows = {
        quantity: [
            row
            for row in result["summaries"]
            if (row["among"], row["followed"], row["quantity"]) == ("all", "final", quantity)
        ]
        for quantity in ("loss", "excess")
    }
    factors = {quantity: [row["factor"] for row in each] for quantity, each in rows.items()}
    datasets = len(result["splits"])
    if datasets < _LEAST_DATASETS or any(factor is None for each in factors.values() for factor in each):
        raise SystemExit(f"{datasets} datasets are too few to ship a factor")
    origin = {
        "made_by": "python -m benchmarks.scaling_holdout --ship",
        "result": "benchmarks/results/scaling_holdout.json",
        "level": LEVEL,
        "splits": result["splits"],
        "coverage_on_left_out_datasets": {
            quantity: [row["coverage"]["widened_by_other_datasets"] for row in each] for quantity, each in rows.items()
        },
    }
    document = {quantity: max(each) for quantity, each in factors.items()} | {"origin": origin}
    SHIPPED.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print(f"wrote {SHIPPED}")


def path_of(split: Split) -> Path:
    """Returns where a split's losses are kept; the name changes with whatever they depend on."""
    digest = hashlib.sha256(repr((_VERSION, split, tiers())).encode()).hexdigest()[:12]
    return WORK / f"{split.name}-{digest}.json"


def missing(names: Sequence[str]) -> list[Split]:
    """Returns the splits of these names that have no file yet, the longest first."""
    return [split for split in _splits(names) if not path_of(split).exists()]


def _splits(names: Sequence[str]) -> list[Split]:
    return sorted((split for split in splits() if split.name in names), key=lambda split: SPLITS.index(split.name))


def _run(split: Split) -> float:
    import warnings

    warnings.filterwarnings("ignore")
    document = train_split(split)
    write_atomically(path_of(split), json.dumps(document).encode())
    return document["seconds"]


def main() -> None:
    """Trains what is missing, gathers what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("splits", nargs="*", default=list(SPLITS), help="train these only")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--ship", action="store_true", help=f"write {SHIPPED}")
    args = parser.parse_args()
    if unknown := [name for name in args.splits if name not in SPLITS]:
        parser.error(f"no such split here: {', '.join(unknown)}; there are {', '.join(SPLITS)}")
    pending = missing(args.splits)
    print(f"{len(args.splits) - len(pending)} of {len(args.splits)} splits are there", flush=True)
    begun = time.perf_counter()
    # Before the workers start, as libraries read it when they load.
    os.environ |= _ONE_THREAD
    with ProcessPoolExecutor(args.workers, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(_run, split): split for split in pending}
        for done, future in enumerate(as_completed(futures), start=1):
            left = (time.perf_counter() - begun) / done * (len(pending) - done)
            print(
                f"{futures[future].name} in {future.result():.0f} s; {done} of {len(pending)}, "
                f"about {left / 60:.0f} min left",
                flush=True,
            )
    absent = [split.name for split in missing(SPLITS)]
    paths = [path_of(split) for split in _splits(SPLITS) if split.name not in absent]
    print(f"{len(paths)} of {len(SPLITS)} splits are gathered", flush=True)
    result = gather([json.loads(path.read_text(encoding="utf-8")) for path in paths], SEEN)
    result["missing"] = absent
    print(table(result), flush=True)
    save("scaling_holdout", result, "python -m benchmarks.scaling_holdout")
    if args.ship:
        ship(result)


if __name__ == "__main__":
    main()
