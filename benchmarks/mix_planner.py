"""How near is the mix planner's share of real rows to the share found by training at every mix?

    python -m benchmarks.mix_planner [--workers 2] [--minutes 60] [--collect]

About a minute for each lineage on one core, resumable. The truth: gradient-boosted trees, as for the study's labels,
are trained on the candidate mixed with 0, 10, ... 90 % of real rows that neither generator nor reference had, at equal
numbers of rows, several seeds; the share is where the measured harm, made monotone, falls below 0.1, the middle between
healthy and collapsed (other thresholds stand beside it). The planner sees candidate and reference alone, and its head
was fitted without the lineage's dataset and without its generator.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.isotonic import IsotonicRegression

from benchmarks.collapse.cases import KEY, Case, Parts, Split, cases_of, make_cases, parts_of, splits
from benchmarks.collapse.evidence import SPECS
from benchmarks.collapse.protocol import cluster_intervals
from benchmarks.measure import save
from benchmarks.mending.heads import apart_calibration, apart_harm
from benchmarks.mending.measured import Arms
from benchmarks.mending.predicted import from_row, names_read, read, to_row
from benchmarks.mending.work import done, run_all
from synthetic.table import stream
from vr.detector.calibration import load_calibration
from vr.detector.config import DetectorConfig
from vr.detector.harm import load_harm_model
from vr.detector.mixes import Mixes, harm_of_mixes, judge_mixes, measure_mixes
from vr.recommendation.mix_plan import MixPlan, plan_by_harm, plan_by_risk

FOLDER = Path("outputs/mix_planner")
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
DRAWS = 4
SEEDS = 4
THRESHOLDS = (0.05, 0.1, 0.15)  # of harm: below it healthy, the middle, above it collapsed
MIDDLE = 0.1
NEAR = 0.1
_SKILL = "generalization_gap.skill_lost_trees"
# Splits whose labels are steady (a standard deviation of harm of 0.042 at most) and whose models are cheap, chosen
# before anything was measured; from each two lineages of different generators that replace: the deepest and the
# shallowest.
SPLITS = (
    "seattle_weather-0",
    "fair-1",
    "nassCDS-1",
    "cps91-1",
    "colon-0",
    "Phishing-0",
    "Default-1",
    "txhousing-1",
    "Bananas-1",
    "ImageSegments-0",
    "401ksubs-1",
    "crime1-0",
    "Wages-1",
    "gpa2-0",
    "loanapp-1",
    "spam7-0",
    "breast_cancer-0",
)
# Of other datasets, picked by the same rules before anything was measured of them: what a planner is designed and
# tuned on, so that the lineages above only judge.
DEVELOPMENT = (
    "NOxEmissions-1",
    "attrition-0",
    "stackoverflow-1",
    "loans_full_schema-1",
    "wagepan-1",
    "twoyear-1",
    "ames-1",
    "digits-1",
    "injury-0",
    "SLID-0",
)


def lineages(names: Sequence[str] = (*SPLITS, *DEVELOPMENT)) -> dict[str, Case]:
    """Returns two lineages of each split, by id."""
    by_name = {split.name: split for split in splits()}
    found = {}
    for name in names:
        cases = [
            case
            for case in cases_of(by_name[name])
            if (case.kind, case.workflow, case.seen, case.temperature) == ("lineage", "replace", False, 1.0)
        ]
        deep = max(cases, key=lambda case: case.generation)
        shallow = min((c for c in cases if c.source != deep.source), key=lambda case: case.generation)
        found |= {case.id: case for case in (deep, shallow)}
    return found


def train(id: str) -> dict[str, Any]:
    """Returns a lineage's harm at every share and seed."""
    case, split, parts, candidate = _made(id)
    return {
        "case": case.to_dict(),
        "rows": candidate.num_rows,
        "reference_rows": parts.reference.num_rows,
        **_truth(split, parts, candidate),
    }


def plan(id: str) -> dict[str, Any]:
    """Returns what the planner reads of a lineage's mixes."""
    _, _, parts, candidate = _made(id)
    return {"mixes": _planner(candidate, parts.reference)}


def _made(id: str) -> tuple[Case, Split, Parts, pa.Table]:
    case = lineages()[id]
    split = next(each for each in splits([case.dataset]) if each.name == case.split)
    parts = parts_of(split)
    ((_, candidate),) = make_cases(split, parts, [case])
    return case, split, parts, candidate


def _truth(split: Split, parts: Parts, candidate: pa.Table) -> dict[str, Any]:
    arms = Arms.of(split, parts, SEEDS, smaller=False)
    # Neither the reference, which the planner has, nor what the generator was fitted to.
    others = parts.pool.slice(parts.reference.num_rows)
    n = min(candidate.num_rows, arms.arms[0].rows)
    arms = replace(arms, arms=(arms.at(n),)) if n < arms.arms[0].rows else arms
    curve = []
    for share in (0.0, *SHARES):
        num_real = round(share * n)

        def mix(seed: int, share: float = share, num_real: int = num_real) -> pa.Table:
            rng = stream(KEY, "mix", split.name, round(100 * share), seed)
            real = others.take(rng.permutation(others.num_rows)[:num_real])
            made = candidate.take(rng.permutation(candidate.num_rows)[: n - num_real])
            return pa.concat_tables([made, real]).unify_dictionaries().combine_chunks()

        found = arms.measure(mix)
        curve.append({"s": found.s, "s_tail": found.s_tail, "by_seed": found.by_seed.tolist()})
    return {"noise": arms.noise, "curve": curve}


def _planner(candidate: pa.Table, reference: pa.Table) -> list[list[dict[str, Any]]]:
    taken = read(candidate, reference)
    mixes = measure_mixes(taken.inputs, taken.features, taken.specs, SHARES, DRAWS)
    if mixes.reason is not None:
        raise RuntimeError(mixes.reason)
    return [[to_row(each, names_read()) for each in draws] for draws in mixes.features]


def found_by_training(curve: list[dict[str, Any]], threshold: float, seeds: list[int] | None = None) -> float:
    """Returns the share at which the monotone harm falls below a threshold; at 1 it is 0 by definition."""
    if seeds is None:
        values = [[point["s"], point["s_tail"]] for point in curve]
    else:
        values = [np.mean([point["by_seed"][seed] for seed in seeds], axis=0) for point in curve]
    harm = [float(np.fmax(s, s_tail / 2)) for s, s_tail in values]
    x = np.array([0.0, *SHARES, 1.0])
    y = IsotonicRegression(increasing=False).fit_transform(x, [*harm, 0.0])
    below = np.flatnonzero(y < threshold)
    i = int(below[0])
    return 0.0 if i == 0 else float(x[i - 1] + (x[i] - x[i - 1]) * (y[i - 1] - threshold) / (y[i - 1] - y[i]))


def judged(result: dict[str, Any], *, apart: bool, error: float = 0.0) -> dict[str, Any]:
    """Returns what the planner says of a measured lineage, with a head that saw nothing of it, or the shipped one."""
    case = result["case"]
    calibration = apart_calibration(case["dataset"], case["source"]) if apart else load_calibration()
    features = tuple(tuple(from_row(draw) for draw in draws) for draws in result["mixes"])
    mixes = Mixes(np.array([0.0, *SHARES]), features)
    model = apart_harm(case["dataset"], case["source"]) if apart else load_harm_model()
    risks, harms = judge_mixes(mixes, SPECS, DetectorConfig(), calibration), harm_of_mixes(mixes, SPECS, model)
    if risks is None or harms is None:
        raise RuntimeError(f"{case['case']}: nothing that the head reads was measured")
    by_risk = plan_by_risk(risks.shares, risks.risk, risks.by_draw, risks.review_from, error)
    by_harm = plan_by_harm(mixes.shares, *harms, MIDDLE, error)
    # What the forests alone say, without the model that reads the other signs beside them.
    lost = np.array([[one[_SKILL].value for one in draws] for draws in features], float).T
    by_forests = plan_by_harm(mixes.shares, lost.mean(axis=0), lost, MIDDLE, error)
    return {
        "by_risk": _document(by_risk) | {"risk": risks.risk.round(2).tolist(), "review_from": risks.review_from},
        "by_harm": _document(by_harm) | {"harm": harms[0].round(4).tolist()},
        "by_forests": _document(by_forests) | {"lost": lost.mean(axis=0).round(4).tolist()},
    }


def _document(plan: MixPlan) -> dict[str, Any]:
    return {
        "share": 1.0 if plan.share is None else plan.share,
        "lower": float(SHARES[-1]) if plan.lower is None else plan.lower,
        "upper": 1.0 if plan.upper is None else plan.upper,
    }


def collect(results: dict[str, Any]) -> dict[str, Any]:
    """Returns each lineage's shares, and how near they are, with intervals over datasets."""
    rows = []
    for id, result in results.items():
        curve = result["curve"]
        draws = np.random.default_rng(0).integers(SEEDS, size=(200, SEEDS))
        trained = {f"{threshold:g}": round(found_by_training(curve, threshold), 4) for threshold in THRESHOLDS}
        spread = np.std([found_by_training(curve, MIDDLE, list(draw)) for draw in draws])
        rows.append(
            {
                "case": id,
                "dataset": result["case"]["dataset"],
                "rows": result["rows"],
                "noise": round(result["noise"], 4),
                "harm": [round(float(np.fmax(p["s"], p["s_tail"] / 2)), 4) for p in curve],
                "trained": trained,
                "trained_std": round(float(spread), 4),
                "planned": judged(result, apart=True),
                "planned_by_shipped_head": judged(result, apart=False)["by_risk"]["share"],
            }
        )
    datasets = np.array([row["dataset"] for row in rows])
    summary = {
        way: {f"{threshold:g}": _figures(rows, way, threshold, datasets) for threshold in THRESHOLDS}
        for way in ("by_risk", "by_harm", "by_forests")
    }
    return {
        "lineages": len(rows),
        "datasets": len(np.unique(datasets)),
        "baselines": _baselines(rows),
        "figures": summary,
        "rows": rows,
    }


def _figures(rows: list[dict[str, Any]], way: str, threshold: float, datasets: np.ndarray) -> dict[str, Any]:
    """Returns how near the planner's shares are to those at which the measured harm falls below a threshold."""
    planned, lower, upper = (
        np.array([row["planned"][way][key] for row in rows]) for key in ("share", "lower", "upper")
    )
    truth = np.array([row["trained"][f"{threshold:g}"] for row in rows])

    def figures(at: np.ndarray) -> dict[str, float]:
        gap = planned[at] - truth[at]
        return {
            "within_a_tenth": float(np.mean(np.abs(gap) <= NEAR + 1e-9)),
            "mean_gap": float(gap.mean()),
            "median_absolute_gap": float(np.median(np.abs(gap))),
            "in_interval": float(np.mean((truth[at] >= lower[at] - 1e-9) & (truth[at] <= upper[at] + 1e-9))),
        }

    values = figures(np.arange(len(rows)))
    ends = cluster_intervals(figures, datasets)
    return {name: [round(v, 4), *np.round(ends[name], 4).tolist()] for name, v in values.items()}


def _baselines(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Returns how often one share for all, the best in hindsight among others, is within a tenth at the middle."""
    truth = np.array([row["trained"][f"{MIDDLE:g}"] for row in rows])
    return {
        f"always_{share:g}": round(float(np.mean(np.abs(truth - share) <= NEAR + 1e-9)), 4) for share in (0.0, 0.3, 0.5)
    }


def main() -> None:
    """Measures what is missing and writes the figures of what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=600.0, help="after which nothing is begun")
    parser.add_argument(
        "--only", nargs="+", default=["trained", "planned"], help="of trained and planned; both if absent"
    )
    parser.add_argument("--splits", nargs="+", default=[*SPLITS, *DEVELOPMENT], help="all by default")
    parser.add_argument("--collect", action="store_true", help="only write the figures of what is there")
    args = parser.parse_args()
    names = list(lineages(args.splits))
    tasks = {"trained": train, "planned": plan}
    if not args.collect:
        for what, task in tasks.items():
            if what in args.only:
                run_all(FOLDER / what, names, task, args.workers, args.minutes)
    trained, planned = (done(FOLDER / what, names) for what in tasks)
    found = collect({name: {**trained[name], **planned[name]} for name in names if name in trained and name in planned})
    save("mix_planner", found, "python -m benchmarks.mix_planner")
    for way, figures in found["figures"].items():
        print(way, figures[f"{MIDDLE:g}"])


if __name__ == "__main__":
    main()
