"""How near is the mix planner's share of real rows to the share found by training at every mix?

    python -m benchmarks.mix_planner [--workers 2] [--minutes 60] [--only trees] [--collect]

Two minutes of one core for each lineage, resumable; lineages that were measured before are taken from the committed
results where `outputs/` has nothing newer. The truth: gradient-boosted trees, as for the study's labels,
are trained on the candidate mixed with 0, 10, ... 90 % of real rows that neither generator nor reference had, at equal
numbers of rows, several seeds; the share is where the measured harm, made monotone, falls below 0.1, the middle between
healthy and collapsed (other thresholds stand beside it). It is trained twice, by seeds of its own each time, and the
harm is the mean of both, since once is not exact enough to judge by: on the development lineages two such truths of 4
seeds and 8 draws of real rows agreed within a tenth in 86 % (`mix_planner_noise.py`), and moved no less by the real
rows that are held against the mixes than by the mixes. The second time has 4 seeds again and, as they cost a tenth, 40
draws of real rows. That was settled on the development lineages, before the others were trained again. `trainings` has
what either training says alone and how often the two agree; how often two means of two would is not measured. Fields
that begin with `first_` are of the first training alone.

The planner sees candidate and reference alone, once with the columns that the trees predict named as its targets and
once without, and its heads were fitted without the lineage's dataset and without its generator. With targets named it
also trains boosted trees of its own on every mix of the candidate and the reference (`trees`), of which nothing was
fitted to any lineage; what the same would find at the
three columns that forests predict best, where none are named, stands beside it (`trees_unnamed`) and is not shipped.
Intervals, and the level of risk of `by_level`, are from the lineages of other datasets, by heads some of which had seen
the dataset that is judged.
"""

import argparse
import json
import time
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
from benchmarks.datasets import DATASETS
from benchmarks.measure import RESULTS, save
from benchmarks.mending.heads import apart_calibration, apart_harm
from benchmarks.mending.measured import MAX_TARGETS, Arms
from benchmarks.mending.predicted import from_row, names_read, read, to_row
from benchmarks.mending.work import done, run_all
from benchmarks.skill_loss import measure_real
from synthetic.table import stream
from vr.data.source import open_source
from vr.detector.calibration import SKILL_LOST, SKILL_LOST_TARGETS, Calibration, load_calibration
from vr.detector.config import DetectorConfig
from vr.detector.dimensions.generalization_gap import skill_test
from vr.detector.harm import HarmModel, load_harm_model
from vr.detector.inputs import Inputs
from vr.detector.mixes import Mixes, harm_of_mixes, judge_mixes, measure_mixes
from vr.detector.trained_mixes import train_mixes
from vr.pipeline.config import Config
from vr.pipeline.intake import take_in
from vr.recommendation.mix_plan import MixPlan, plan_by_harm, plan_by_risk

FOLDER = Path("outputs/mix_planner")
SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)
DRAWS = 4
SEEDS = 4
AGAIN, REAL_AGAIN = range(SEEDS, 2 * SEEDS), range(2 * SEEDS, 12 * SEEDS)  # the second time's; of its real rows
UNNAMED, UNNAMED_DRAWS = 3, 4  # columns that nobody named, and divisions of the reference
THRESHOLDS = (0.05, 0.1, 0.15)  # of harm: below it healthy, the middle, above it collapsed
MIDDLE = 0.1
NEAR = 0.1
TAIL = 0.05
LEVELS = np.arange(5.0, 81.0)  # of risk
_UNTOLD = ("by_risk", "by_level", "by_harm", "by_forests", "by_trees")
_TOLD = tuple(f"{way}_of_targets" for way in ("by_risk", "by_harm", "by_forests", "by_trees"))
_TREES = {"trees": "_of_targets", "trees_unnamed": ""}  # what was trained, and the ending of its way's name
WAYS = (*_UNTOLD, *_TOLD)
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
    case, split, parts, candidate = made(id)
    return {
        "case": case.to_dict(),
        "rows": candidate.num_rows,
        "reference_rows": parts.reference.num_rows,
        **_truth(split, parts, candidate),
    }


def train_again(id: str) -> dict[str, Any]:
    """Returns a lineage's harm at every share, by other seeds and more draws of real rows."""
    _, split, parts, candidate = made(id)
    return _truth(split, parts, candidate, AGAIN, REAL_AGAIN)


def plan(id: str) -> dict[str, Any]:
    """Returns what the planner reads of a lineage's mixes."""
    _, split, parts, candidate = made(id)
    targets = DATASETS[split.dataset].targets[:MAX_TARGETS]
    return {
        "mixes": _planner(candidate, parts.reference),
        "mixes_of_targets": _planner(candidate, parts.reference, targets),
    }


def judge(id: str) -> dict[str, Any]:
    """Returns what heads that saw nothing of a planned lineage, and the shipped ones, say of its mixes."""
    case, planned = lineages()[id], done(FOLDER / "planned", [id])[id]
    apart, said = apart_calibration(case.dataset, case.source), {}
    for suffix in ("", "_of_targets"):
        mixes = planned[f"mixes{suffix}"]
        # As in a report: targets without skill to lose leave the judgement to all columns.
        of_targets = from_row(mixes[0][0])[SKILL_LOST_TARGETS].value is not None
        model = apart_harm(case.dataset, case.source, of_targets=of_targets)
        said[f"apart{suffix}"] = judged(mixes, apart, model)
        said[f"shipped{suffix}"] = judged(mixes, load_calibration(), load_harm_model(of_targets=of_targets))
    return said


def train_trees(id: str) -> dict[str, Any]:
    """Returns what the planner's own trees lose of a lineage's mixes with targets named, and the seconds they take."""
    return _trees(id, named=True)


def train_unnamed(id: str) -> dict[str, Any]:
    """Returns the same at the columns that forests predict best from the reference, as if these were the targets."""
    return _trees(id, named=False)


def _trees(id: str, *, named: bool) -> dict[str, Any]:
    _, split, parts, candidate = made(id)
    config = Config(targets=list(DATASETS[split.dataset].targets[:MAX_TARGETS]) if named else [])
    intake = take_in(open_source(candidate), open_source(parts.reference), config, 1, lambda *step: None)
    inputs = Inputs.of(intake, None, "no proxies were trained (cascade=none)", config.seed, 1)
    if not named:
        inputs = replace(inputs, targets=_best_predicted(inputs))
    begun = time.perf_counter()
    found = train_mixes(inputs, SHARES, most_draws=None if named else UNNAMED_DRAWS)
    seconds = round(time.perf_counter() - begun, 1)
    about = {"targets": len(inputs.targets), "seconds": seconds}
    if found is None:
        return {"lost": None, "counted": 0, **about}
    return {"lost": found.lost.round(4).tolist(), "counted": int(found.counts.sum()), **about}


def _best_predicted(inputs: Inputs) -> tuple[int, ...]:
    """Returns the columns with skill to lose that the skill test's forests predict best, but no part of a date."""
    test = skill_test(inputs)
    if test is None:
        return ()
    order = np.argsort(-test.skill, kind="stable")
    found = inputs.pair_columns[test.columns[order[test.can_lose[order]]]].tolist()
    return tuple(sorted([j for j in found if j in inputs.columns.parts][:UNNAMED]))


def made(id: str) -> tuple[Case, Split, Parts, pa.Table]:
    """Returns a lineage's case, split, real rows and candidate."""
    case = lineages()[id]
    split = next(each for each in splits([case.dataset]) if each.name == case.split)
    parts = parts_of(split)
    ((_, candidate),) = make_cases(split, parts, [case])
    return case, split, parts, candidate


def _truth(
    split: Split,
    parts: Parts,
    candidate: pa.Table,
    seeds: Sequence[int] = range(SEEDS),
    real_seeds: Sequence[int] = range(2 * SEEDS),
) -> dict[str, Any]:
    targets = DATASETS[split.dataset].targets[:MAX_TARGETS]
    real = measure_real(parts.pool, parts.test, targets, real_seeds, split.candidate_rows)
    arms = Arms((real,), tuple(seeds))
    n = min(candidate.num_rows, arms.arms[0].rows)
    arms = replace(arms, arms=(arms.at(n),)) if n < arms.arms[0].rows else arms
    curve = []
    for share in (0.0, *SHARES):
        found = arms.measure(lambda seed, share=share: mixed(split, parts, candidate, n, share, seed))
        curve.append({"s": found.s, "s_tail": found.s_tail, "by_seed": found.by_seed.tolist()})
    return {"noise": arms.noise, "curve": curve}


def mixed(split: Split, parts: Parts, candidate: pa.Table, rows: int, share: float, seed: int) -> pa.Table:
    """Returns a mix of a candidate and real rows that neither the planner nor the generator had."""
    others = parts.pool.slice(parts.reference.num_rows)
    num_real = round(share * rows)
    rng = stream(KEY, "mix", split.name, round(100 * share), seed)
    real = others.take(rng.permutation(others.num_rows)[:num_real])
    drawn = candidate.take(rng.permutation(candidate.num_rows)[: rows - num_real])
    return pa.concat_tables([drawn, real]).unify_dictionaries().combine_chunks()


def _planner(candidate: pa.Table, reference: pa.Table, targets: Sequence[str] = ()) -> list[list[dict[str, Any]]]:
    taken = read(candidate, reference, targets=targets)
    mixes = measure_mixes(taken.inputs, taken.features, taken.specs, SHARES, DRAWS)
    if mixes.reason is not None:
        raise RuntimeError(mixes.reason)
    return [[to_row(each, names_read()) for each in draws] for draws in mixes.features]


def found_by_training(curve: list[dict[str, Any]], threshold: float, seeds: list[int] | None = None) -> float:
    """Returns the share at which the monotone harm falls below a threshold; at 1 it is 0 by definition."""
    if seeds is None:
        return harm_crossing(_harm_of(curve), threshold)
    values = [np.mean([point["by_seed"][seed] for seed in seeds], axis=0) for point in curve]
    return harm_crossing([float(np.fmax(s, s_tail / 2)) for s, s_tail in values], threshold)


def _harm_of(curve: list[dict[str, Any]]) -> list[float]:
    return [float(np.fmax(point["s"], point["s_tail"] / 2)) for point in curve]


def harm_crossing(harm: Sequence[float], threshold: float) -> float:
    """Returns the share at which the harm at 0, 10, ... 90 %, made monotone, falls below a threshold."""
    x = np.array([0.0, *SHARES, 1.0])
    y = IsotonicRegression(increasing=False).fit_transform(x, [*harm, 0.0])
    below = np.flatnonzero(y < threshold)
    i = int(below[0])
    return 0.0 if i == 0 else float(x[i - 1] + (x[i] - x[i - 1]) * (y[i - 1] - threshold) / (y[i - 1] - y[i]))


def judged(mixed: list[list[dict[str, Any]]], calibration: Calibration, model: HarmModel) -> dict[str, Any]:
    """Returns what the planner reads of a lineage's mixes by a head and a model of expected harm, and its shares."""
    features = tuple(tuple(from_row(draw) for draw in draws) for draws in mixed)
    mixes = Mixes(np.array([0.0, *SHARES]), features)
    risks, harm = judge_mixes(mixes, SPECS, DetectorConfig(), calibration), harm_of_mixes(mixes, SPECS, model)
    if risks is None or harm is None:
        raise RuntimeError("nothing that the head reads was measured")
    # What the forests alone say, without the model that reads the other signs beside them.
    skill = SKILL_LOST if features[0][0][SKILL_LOST_TARGETS].value is None else SKILL_LOST_TARGETS
    lost = np.array([[one[skill].value for one in draws] for draws in features], float).mean(axis=1)
    return {
        "risk": risks.risk.round(2).tolist(),
        "review_from": round(risks.review_from, 2),
        "expected": harm.round(4).tolist(),
        "lost": lost.round(4).tolist(),
        "by_risk": _at(plan_by_risk(mixes.shares, risks.risk, risks.review_from)),
        "by_harm": _at(plan_by_harm(mixes.shares, harm, MIDDLE)),
        "by_forests": _at(plan_by_harm(mixes.shares, lost, MIDDLE)),
    }


def _at(plan: MixPlan) -> float:
    return 1.0 if plan.share is None else round(plan.share, 4)


def rows_of(results: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Returns each lineage's shares by the first training and by plan, by id."""
    rows = {}
    for id, result in results.items():
        curve, case = result["curve"], result["case"]
        draws = np.random.default_rng(0).integers(SEEDS, size=(200, SEEDS))
        spread = np.std([found_by_training(curve, MIDDLE, list(draw)) for draw in draws])
        rows[id] = {
            "case": id,
            "dataset": case["dataset"],
            "source": case["source"],
            "generation": case["generation"],
            "development": case["split"] in DEVELOPMENT,
            "rows": result["rows"],
            "reference_rows": result["reference_rows"],
            "first_noise": round(result["noise"], 4),
            **_trained([round(harm, 4) for harm in _harm_of(curve)]),
            "first_std": round(float(spread), 4),
            "first_by_halves": [round(found_by_training(curve, MIDDLE, s), 4) for s in ([0, 1], [2, 3])],
            "planned": dict(result["apart"])
            | {f"{name}_of_targets": value for name, value in result["apart_of_targets"].items()},
            "planned_by_shipped_head": result["shipped"]["by_risk"],
        }
    return rows


def _trained(harm: list[float]) -> dict[str, Any]:
    return {
        "harm": harm,
        "trained": {f"{threshold:g}": round(harm_crossing(harm, threshold), 4) for threshold in THRESHOLDS},
    }


def with_again(row: dict[str, Any], again: list[float]) -> dict[str, Any]:
    """Returns a lineage's row with the mean harm of both trainings in the place of that of the first.

    Args:
      row: Of the first training, or of both.
      again: Harm at every share by the second.
    """
    first = row.get("harm_first", row["harm"])
    apart = [round(harm_crossing(harm, MIDDLE), 4) for harm in (first, again)]
    both = [round((a + b) / 2.0, 5) for a, b in zip(first, again, strict=True)]
    return row | _trained(both) | {"harm_first": first, "harm_again": again, "trained_apart": apart}


def with_trees(row: dict[str, Any], trees: dict[str, Any], what: str = "trees") -> dict[str, Any]:
    """Returns a lineage's row with the share by the planner's trees; the expected loss's where they teach nothing."""
    ending = _TREES[what]
    share = row["planned"][f"by_harm{ending}"]
    if trees["lost"] is not None:
        share = _at(plan_by_harm(np.array([0.0, *SHARES, 1.0]), np.array(trees["lost"]), MIDDLE))
    return row | {what: trees, "planned": row["planned"] | {f"by_trees{ending}": share}}


def collect(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns how near planned shares are, with intervals over datasets, and each lineage's row."""
    for row in rows:
        others = [each for each in rows if each["dataset"] != row["dataset"]]
        planned = row["planned"]
        planned["level"] = level_of(others)
        planned["by_level"] = _at_level(row, planned["level"])
        planned["ends"] = {way: _ends(planned[way], errors_of(others, way, planned["level"])) for way in WAYS}
    judging, developing = ([row for row in rows if row["development"] is which] for which in (False, True))
    level = level_of(rows)
    return {
        "lineages": len(judging),
        "datasets": len({row["dataset"] for row in judging}),
        "development": len(developing),
        # Of all lineages: what the package ships.
        "level": level,
        "errors": {way: [round(end, 4) for end in errors_of(rows, way, level)] for way in WAYS},
        "baselines": _baselines(judging),
        "figures": {way: {f"{t:g}": _figures(judging, way, t) for t in THRESHOLDS} for way in WAYS},
        "on_development": {way: _values(developing, way, MIDDLE) for way in WAYS} if developing else {},
        "trainings": {
            name: _trainings(group) for name, group in (("judging", judging), ("development", developing)) if group
        },
        "by_kind": {
            name: {"lineages": len(group), **{way: _values(group, way, MIDDLE) for way in WAYS}}
            for name, group in _kinds(judging).items()
            if group
        },
        "rows": rows,
    }


def level_of(rows: list[dict[str, Any]]) -> float:
    """Returns the risk whose crossing is nearest to the shares found by training, in the mean of absolute gaps."""
    gaps = [np.mean([abs(_at_level(row, level) - row["trained"][f"{MIDDLE:g}"]) for row in rows]) for level in LEVELS]
    return float(LEVELS[int(np.argmin(gaps))])


def errors_of(rows: list[dict[str, Any]], way: str, level: float) -> tuple[float, float]:
    """Returns the 5 % and 95 % quantile of the trained less the planned share, the ranks those of one more lineage."""
    planned = [_at_level(row, level) if way == "by_level" else row["planned"][way] for row in rows]
    gaps = np.sort([row["trained"][f"{MIDDLE:g}"] - share for row, share in zip(rows, planned, strict=True)])
    last = max(0, int(TAIL * (len(gaps) + 1)) - 1)
    return float(gaps[last]), float(gaps[-1 - last])


def _at_level(row: dict[str, Any], level: float) -> float:
    return _at(plan_by_risk(np.array([0.0, *SHARES]), np.array(row["planned"]["risk"]), level))


def _ends(share: float, error: tuple[float, float]) -> list[float]:
    lower, upper = share + min(0.0, error[0]), share + max(0.0, error[1])
    return [round(max(0.0, lower), 4), round(min(1.0, upper), 4)]


def _figures(rows: list[dict[str, Any]], way: str, threshold: float) -> dict[str, Any]:
    """Returns `_values` with intervals over datasets."""

    def statistic(at: np.ndarray) -> dict[str, float]:
        return _values([rows[i] for i in at], way, threshold)

    values = statistic(np.arange(len(rows)))
    ends = cluster_intervals(statistic, np.array([row["dataset"] for row in rows]))
    return {name: [v, *np.round(ends[name], 4).tolist()] for name, v in values.items()}


def _values(rows: list[dict[str, Any]], way: str, threshold: float) -> dict[str, float]:
    """Returns how near planned shares are to those at which the measured harm falls below a threshold."""
    truth = np.array([row["trained"][f"{threshold:g}"] for row in rows])
    lower, upper = np.array([row["planned"]["ends"][way] for row in rows]).T
    gap = np.array([row["planned"][way] for row in rows]) - truth
    found = {
        "within_a_tenth": np.mean(np.abs(gap) <= NEAR + 1e-9),
        "asked_too_much": np.mean(gap > NEAR + 1e-9),
        "asked_too_little": np.mean(gap < -NEAR - 1e-9),
        "mean_gap": gap.mean(),
        "median_absolute_gap": np.median(np.abs(gap)),
        "in_interval": np.mean((truth >= lower - 1e-9) & (truth <= upper + 1e-9)),
        "mean_width": np.mean(upper - lower),
    }
    return {name: round(float(value), 4) for name, value in found.items()}


def _kinds(rows: list[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Returns the lineages by kind."""
    return {
        "harm_under_0.1": [row for row in rows if row["harm"][0] < MIDDLE],
        "harm_0.1_to_0.5": [row for row in rows if MIDDLE <= row["harm"][0] < 0.5],
        "harm_over_0.5": [row for row in rows if row["harm"][0] >= 0.5],
        "first_generation": [row for row in rows if row["generation"] == 1],
        "later_generations": [row for row in rows if row["generation"] > 1],
        "reference_under_400_rows": [row for row in rows if row["reference_rows"] < 400],
        "reference_of_400_or_more": [row for row in rows if row["reference_rows"] >= 400],
    }


def _baselines(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Returns how often one share for all is within a tenth at the middle, and two seeds of the first's others."""
    truth = np.array([row["trained"][f"{MIDDLE:g}"] for row in rows])
    halves = np.array([row["first_by_halves"] for row in rows])
    found = {f"always_{share:g}": truth - share for share in (0.0, 0.3, 0.5, 0.7)}
    found["first_two_seeds_against_two"] = halves[:, 0] - halves[:, 1]
    return {name: round(float(np.mean(np.abs(gap) <= NEAR + 1e-9)), 4) for name, gap in found.items()}


def _trainings(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Returns how often both trainings are within a tenth of each other, and each way of either."""
    apart = np.array([row["trained_apart"] for row in rows])

    def within(gap: np.ndarray) -> float:
        return round(float(np.mean(np.abs(gap) <= NEAR + 1e-9)), 4)

    planned = {way: np.array([row["planned"][way] for row in rows]) for way in WAYS}
    return {
        "one_against_the_other": within(apart[:, 0] - apart[:, 1]),
        "root_mean_square_gap": round(float(np.sqrt(np.mean(np.square(apart[:, 0] - apart[:, 1])))), 4),
        "against_the_first": {way: within(share - apart[:, 0]) for way, share in planned.items()},
        "against_the_second": {way: within(share - apart[:, 1]) for way, share in planned.items()},
    }


def committed() -> dict[str, dict[str, Any]]:
    """Returns the lineages' rows of the committed results, by id."""
    return {row["case"]: row for row in json.loads((RESULTS / "mix_planner.json").read_text())["rows"]}


def main() -> None:
    """Measures what is missing and writes the figures of what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=600.0, help="after which nothing is begun")
    parser.add_argument(
        "--only",
        nargs="+",
        default=["trained", "again", "planned", "judged", *_TREES],
        help="of trained, again, planned, judged, trees and trees_unnamed; all if absent",
    )
    parser.add_argument("--splits", nargs="+", default=[*SPLITS, *DEVELOPMENT], help="all by default")
    parser.add_argument("--collect", action="store_true", help="only write the figures of what is there")
    args = parser.parse_args()
    names = list(lineages(args.splits))
    tasks = {
        "trained": train,
        "again": train_again,
        "planned": plan,
        "judged": judge,
        "trees": train_trees,
        "trees_unnamed": train_unnamed,
    }
    if not args.collect:
        for what, task in tasks.items():
            if what in args.only:
                # What is judged was planned before.
                known = done(FOLDER / "planned", names) if what == "judged" else names
                run_all(FOLDER / what, list(known), task, args.workers, args.minutes)
    if set(names) != set(lineages()):
        return  # figures of a part are not kept
    trained, verdicts = (done(FOLDER / what, names) for what in ("trained", "judged"))
    new = rows_of({name: {**trained[name], **verdicts[name]} for name in names if name in trained and name in verdicts})
    before = committed()
    rows = {name: row for name, row in (before | new).items() if name in names}
    again = {name: row["harm_again"] for name, row in before.items() if "harm_again" in row}
    again |= {
        name: [round(harm, 4) for harm in _harm_of(result["curve"])]
        for name, result in done(FOLDER / "again", names).items()
    }
    # Not before all were trained twice: otherwise some would be judged by another truth.
    rows = {name: with_again(row, again[name]) for name, row in rows.items() if name in again}
    for what in _TREES:
        trees = {name: row[what] for name, row in before.items() if what in row} | done(FOLDER / what, names)
        rows = {name: with_trees(row, trees[name], what) for name, row in rows.items() if name in trees}
    found = collect([rows[name] for name in names if name in rows])
    save("mix_planner", found, "OMP_NUM_THREADS=1 python -m benchmarks.mix_planner")
    for way, figures in found["figures"].items():
        print(way, figures[f"{MIDDLE:g}"])


if __name__ == "__main__":
    main()
