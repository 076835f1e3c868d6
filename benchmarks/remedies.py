"""Is the tool right about its remedies: does a predicted gain come about, and does the greater one buy more?

    python -m benchmarks.remedies [--workers 2] [--minutes 60] [--collect]

About half a minute for each candidate on one core, resumable. Remedies are done to candidates of the study by the
tool's own executor: flagged rows dropped at several confidences, repeats removed, numbers clipped, real rows mixed in.
Predicted: the risk after less the risk before, by a head that was fitted without the candidate's dataset and without
its generator or damage, from what the tool measures again on its sample. Held against two measurements: the risk that
the same head gives the mended file when that is validated from the start, less the risk before; and harm after less
harm before, by gradient-boosted trees as for the study's labels, against as many real rows as are left. The row scores'
own head was fitted to planted defects in other datasets than these.
"""

import argparse
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from benchmarks.collapse.cases import KEY, Case, Parts, Split, cases_of, make_cases, parts_of, splits
from benchmarks.collapse.evidence import SPECS
from benchmarks.collapse.protocol import cluster_intervals
from benchmarks.measure import save
from benchmarks.mending.actions import mended, remedies
from benchmarks.mending.heads import apart_calibration, apart_harm
from benchmarks.mending.measured import Arms, Measured
from benchmarks.mending.predicted import from_row, names_read, read, to_row
from benchmarks.mending.work import done, run_all
from synthetic.table import stream
from vr.detector.config import DetectorConfig
from vr.detector.harm import expected_harm
from vr.detector.remeasure import remeasure
from vr.detector.verdict import judge

FOLDER = Path("outputs/remedies")
SEEDS = 4
DRAWS = 2
NO_GAIN = 0.5  # of risk, 0 to 100, as `vr.recommendation.actions` has it
COLLAPSED = 0.15
# Splits with steady labels and cheap models, of datasets whose rows the row scores' head was not fitted to, chosen
# before anything was measured. Of each: every damage, the shallowest and the deepest lineage, and a mild mix.
SPLITS = (
    "seattle_weather-0",
    "Default-1",
    "Phishing-0",
    "colon-0",
    "gpa2-0",
    "Bananas-1",
    "breast_cancer-0",
    "401ksubs-1",
    "Wages-1",
    "loanapp-1",
    "OJ-0",
    "gbsg2-0",
    "attrition-0",
    "spam7-0",
)


def candidates() -> dict[str, Case]:
    """Returns the candidates by id, a round of every split at a time, so that what is there early covers everything."""
    by_name = {split.name: split for split in splits()}
    columns = []
    for name in SPLITS:
        cases = [case for case in cases_of(by_name[name]) if not case.seen and case.temperature == 1.0]
        replaced = [case for case in cases if case.workflow == "replace"]
        damaged = [case for case in cases if case.kind == "damage"]
        chosen = damaged[:2]
        chosen += [max(replaced, key=lambda case: case.generation), min(replaced, key=lambda case: case.generation)]
        chosen += damaged[2:]
        chosen += [case for case in cases if case.workflow == "mix"][:1]
        columns.append(chosen)
    most = max(len(column) for column in columns)
    found = [column[i] for i in range(most) for column in columns if i < len(column)]
    return {case.id: case for case in found}


@cache
def _prepared(name: str) -> tuple[Split, Parts, Arms, dict]:
    split = next(each for each in splits() if each.name == name)
    parts = parts_of(split)
    return split, parts, Arms.of(split, parts, SEEDS, smaller=True), {}


def measure(id: str) -> dict[str, Any]:
    """Returns a candidate's remedies, predicted and measured."""
    case = candidates()[id]
    split, parts, arms, nulls = _prepared(case.split)
    ((_, candidate),) = make_cases(split, parts, [case])
    names = names_read()
    taken = read(candidate, parts.reference, nulls)
    others = parts.pool.slice(parts.reference.num_rows)
    before = arms.measure(lambda seed: candidate)
    rows = []
    for remedy in remedies(candidate, taken):
        after = arms.measure(lambda seed, r=remedy: mended(candidate, r, others, stream(KEY, id, r.name, seed)))
        again = [
            remeasure(taken.inputs, taken.features, "untrained", remedy.changed, 1, first=draw) for draw in range(DRAWS)
        ]
        # As somebody does it: once.
        fixed = read(mended(candidate, remedy, others, stream(KEY, id, remedy.name, 0)), parts.reference, nulls)
        rows.append(
            {
                "remedy": remedy.name,
                "rows": remedy.rows,
                "measured": _document(after),
                "validated": to_row(fixed.features, names),
                "predicted": [None if one.features is None else to_row(one.features, names) for one in again],
                "reason": again[0].reason,
            }
        )
    return {
        "case": case.to_dict(),
        "rows": candidate.num_rows,
        "noise": arms.noise,
        "measured": _document(before),
        "features": to_row(taken.features, names),
        "remedies": rows,
    }


def _document(found: Measured) -> dict[str, Any]:
    return {
        "harm": found.harm,
        "harm_of_all": found.harm_of_all,
        "s": found.s,
        "s_tail": found.s_tail,
        "by_seed": found.by_seed.tolist(),
    }


def _judged(features: dict[str, Any], calibration: Any) -> tuple[float, float]:
    """Returns the risk, 0 to 100, and the head's logit."""
    found = judge(from_row(features), SPECS, DetectorConfig(), with_reference=True, calibration=calibration)
    if found.probability is None:
        return float("nan"), float("nan")
    p = float(np.clip(found.probability, 1e-6, 1 - 1e-6))
    return 100.0 * found.probability, float(np.log(p / (1 - p)))


def applied(results: dict[str, Any]) -> list[dict[str, Any]]:
    """Returns every remedy with its predicted and measured change."""
    rows = []
    for id, result in results.items():
        case = result["case"]
        calibration = apart_calibration(case["dataset"], case["source"])
        risk, logit = _judged(result["features"], calibration)
        model = apart_harm(case["dataset"], case["source"])
        before = expected_harm(from_row(result["features"]), SPECS, model)
        skill = "generalization_gap.skill_lost_trees"
        for each in result["remedies"]:
            drawn = [one for one in each["predicted"] if one is not None]
            if not drawn:
                continue
            after = _mean(drawn)
            risk_after, logit_after = _judged(after, calibration)
            expected = expected_harm(from_row(after), SPECS, model)
            if before is None or expected is None:
                continue
            by_draw = [_judged(one, calibration)[0] - risk for one in drawn]
            risk_validated, logit_validated = _judged(each["validated"], calibration)
            again = expected_harm(from_row(each["validated"]), SPECS, model)
            validated = None if again is None else round(again.value - before.value, 4)
            by_seed = np.array(each["measured"]["by_seed"]) - np.array(result["measured"]["by_seed"])
            rows.append(
                {
                    "case": id,
                    "dataset": case["dataset"],
                    "kind": case["kind"],
                    "source": case["source"],
                    "remedy": each["remedy"],
                    "rows": each["rows"],
                    "of_rows": result["rows"],
                    "noise": round(result["noise"], 4),
                    "harm": round(result["measured"]["harm"], 4),
                    "measured_change": round(each["measured"]["harm"] - result["measured"]["harm"], 4),
                    "measured_change_of_all": round(
                        each["measured"]["harm_of_all"] - result["measured"]["harm_of_all"], 4
                    ),
                    "measured_error": round(float(by_seed[:, 0].std(ddof=1) / np.sqrt(len(by_seed))), 4),
                    "risk": round(risk, 2),
                    "risk_change": round(risk_after - risk, 3),
                    "risk_change_by_draw": [round(value, 3) for value in by_draw],
                    "logit_change": round(logit_after - logit, 4),
                    "harm_change": round(expected.value - before.value, 4),
                    "validated_risk_change": round(risk_validated - risk, 3),
                    "validated_logit_change": round(logit_validated - logit, 4),
                    "validated_harm_change": validated,
                    "skill_change": round(after[skill][0] - result["features"][skill][0], 4),
                }
            )
    return rows


def _mean(drawn: list[dict[str, Any]]) -> dict[str, Any]:
    found = {}
    for name, (value, *rest) in drawn[0].items():
        found[name] = [None if value is None else float(np.mean([one[name][0] for one in drawn])), *rest]
    return found


def collect(results: dict[str, Any]) -> dict[str, Any]:
    """Returns the figures, by action, with intervals over datasets, and the remedies one by one."""
    rows = applied(results)
    groups = {
        "all": rows,
        "drops": [row for row in rows if row["remedy"].startswith("drop_")],
        "drops_of_collapsed": [r for r in rows if r["remedy"].startswith("drop_") and r["harm"] > COLLAPSED],
        "mixes": [row for row in rows if row["remedy"].startswith("mix_")],
        "deduplicate": [row for row in rows if row["remedy"] == "deduplicate"],
        "clip": [row for row in rows if row["remedy"] == "clip"],
        "of_collapsed": [row for row in rows if row["harm"] > COLLAPSED],
    }
    return {
        "candidates": len(results),
        "remedies": len(rows),
        "by_action": {name: _figures(group) for name, group in groups.items() if len(group) >= 3},
        "rows": rows,
    }


def _figures(rows: list[dict[str, Any]]) -> dict[str, Any]:
    columns = {name: np.array([row[name] for row in rows]) for name in rows[0] if not isinstance(rows[0][name], list)}

    def statistic(at: np.ndarray) -> dict[str, float]:
        measured, whole = columns["measured_change"][at], columns["measured_change_of_all"][at]
        gain = columns["risk_change"][at] < -NO_GAIN
        found = {
            f"spearman_{name}": float(spearmanr(columns[f"{name}_change"][at], measured).statistic)
            for name in ("harm", "risk", "logit", "skill")
        }
        # Of the verdict's own numbers: what was predicted of them, and what a validation of the mended file says.
        for name in ("risk", "logit", "harm"):
            predicted, validated = columns[f"{name}_change"][at], columns[f"validated_{name}_change"][at].astype(float)
            told = np.isfinite(validated)
            found[f"spearman_{name}_validated"] = float(spearmanr(predicted[told], validated[told]).statistic)
            found[f"{name}_error_validated"] = float(np.median(np.abs(predicted - validated)[told]))
        fallen = columns["validated_risk_change"][at] < 0.0
        found["gain_validated"] = float(np.mean(fallen[gain])) if gain.any() else float("nan")
        found["spearman_risk_of_all"] = float(spearmanr(columns["risk_change"][at], whole).statistic)
        found["predicted_gains"] = float(gain.sum())
        found["gain_came"] = float(np.mean(measured[gain] < 0.0)) if gain.any() else float("nan")
        found["gain_came_of_all"] = float(np.mean(whole[gain] < 0.0)) if gain.any() else float("nan")
        found["no_gain_came"] = float(np.mean(measured[~gain] < 0.0)) if (~gain).any() else float("nan")
        return found

    values = statistic(np.arange(len(rows)))
    ends = cluster_intervals(statistic, columns["dataset"])
    known = {name: value for name, value in values.items() if np.isfinite(value)}
    figures = {name: [round(value, 4), *np.round(ends[name], 4).tolist()] for name, value in known.items()}
    return {"remedies": len(rows), "datasets": len(np.unique(columns["dataset"])), **figures}


def main() -> None:
    """Measures what is missing and writes the figures of what is there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=600.0, help="after which nothing is begun")
    parser.add_argument("--collect", action="store_true", help="only write the figures of what is there")
    args = parser.parse_args()
    names = list(candidates())
    if not args.collect:
        run_all(FOLDER, names, measure, args.workers, args.minutes)
    found = collect(done(FOLDER, names))
    save("remedies", found, "python -m benchmarks.remedies")
    for name, figures in found["by_action"].items():
        print(name, figures)


if __name__ == "__main__":
    main()
