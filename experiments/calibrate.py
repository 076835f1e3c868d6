"""Fits the verdict's heads to the study's labelled cases and writes the calibration that the package ships.

    python -m experiments.calibrate [--output vr/detector/calibration.json] [--answers FILE]

Minutes. Reads benchmarks/results/collapse/*.parquet; every figure of the error card comes from heads that had seen
neither the dataset nor the source (generator family, damage or harmless change) of the case that they judge. Writes,
beside the calibration, what they said case by case: benchmarks/results/collapse/answers.parquet.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.collapse.evidence import (
    MAX_NOISE,
    RESULTS,
    RULED_OUT_NOISE,
    by_single_targets,
    load_cases,
    versions_of,
)
from benchmarks.collapse.fitting import fit_calibrated
from benchmarks.collapse.judging import Answers, answer, by_group, card
from benchmarks.collapse.ladders import fit_ladders
from benchmarks.collapse.protocol import Cases
from vr.detector.calibration import SKILL_LOST, SKILL_LOST_TARGETS, Calibration

CALIBRATION = Path(__file__).parents[1] / "vr" / "detector" / "calibration.json"
VERSION = "2026.11.8"
# A head that is wrong more often than this where it does not say `review` may say nothing else.
_MOST_ERRORS = 0.1
LINES = ("all", "clear", "abstaining", "from_reference", "noisy_labels", "any_label", "one_target")  # of a card
NOISES = ("under 0.02", "0.02 to 0.033", "0.033 to 0.042", "0.042 to 0.05")
SIZES = ("under 300", "300 to 499", "500 to 999", "from 1000")

_SKILL, _SKILL_OF_TARGETS = f"{SKILL_LOST}:shift", f"{SKILL_LOST_TARGETS}:shift"
HEADS: dict[str, tuple[str, ...]] = {
    "trained": (
        _SKILL,
        "generalization_gap.log_ratio",
        "spectral_coherence.spectrum_divergence",
        "correlation_preservation.dependence_change_rms:shift",
    ),
    "without_reference": tuple(
        f"reference_free.{name}:raw"
        for name in (
            "predictability_spread",
            "tail_length",
            "empty_combinations",
            "missing_mass",
            "near_duplicates",
            "duplicates",
        )
    ),
    "untrained": (
        _SKILL,
        "entropy_stability.coverage_deficit",
        "spectral_coherence.spectrum_divergence",
        "statistical_consistency.classifier_auroc",
        "correlation_preservation.dependence_change_rms:shift",
    ),
}
# For who names the columns to be predicted: the skill lost at these in the place of that lost at all columns.
HEADS |= {
    f"{situation}_for_targets": tuple(_SKILL_OF_TARGETS if name == _SKILL else name for name in HEADS[situation])
    for situation in ("trained", "untrained")
}


def main() -> None:
    """Fits, judges, writes and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=CALIBRATION)
    parser.add_argument("--answers", type=Path, default=RESULTS / "answers.parquet")
    parser.add_argument("--workers", type=int, default=2)
    args = parser.parse_args()
    everything, table = load_cases(["features", "targets", "reference_free"], seen=True, noise=RULED_OUT_NOISE)
    teaches = teaching(table)
    cases = everything.take(teaches)
    # They judge, and teach no head.
    singles, of_case = by_single_targets(everything, table)
    together, mask = everything.joined(singles), np.concatenate([teaches, np.zeros(len(singles), bool)])
    heads, said = {}, {}
    for situation, names in HEADS.items():
        with_reference = situation != "without_reference"
        judged, teaching_mask = (together, mask) if with_reference else (everything, teaches)
        every = answer(judged, names, args.workers, teaching_mask)
        answers = every.take(np.arange(len(everything)))
        fitted = fit_calibrated(cases, names)
        found = card(cases, answers.take(teaches))
        if max(found["abstaining"].get(kind, [0.0])[0] for kind in ("fpr", "fnr")) > _MOST_ERRORS:
            fitted, answers = fitted.reviewing_only(), _reviewing(answers)
        found = _card(everything, table, answers)
        if with_reference:
            settled = np.flatnonzero(teaches[of_case])
            found["one_target"] = card(singles.take(settled), every.take(len(everything) + settled))["clear"]
        heads[situation] = replace(fitted, card=found)
        said[situation] = answers
        _print(situation, heads[situation].card)
    ladders = fit_ladders((cases, rungs_of(table.filter(pa.array(teaches)))), _whole_cascade())
    document = Calibration(VERSION, heads, versions_of("features"), ladders).to_dict()
    args.output.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    _write_answers(args.answers, table, said)
    print(f"{args.output}: {', '.join(heads)}; ladders of {len(ladders['trained'])} dimensions")


def _whole_cascade() -> tuple[Cases, np.ndarray]:
    cases, table = load_cases(["cascade"])
    return cases, rungs_of(table)


def teaching(table: pa.Table) -> np.ndarray:
    """Returns which cases heads are fitted to, bool `[n]`: with settled labels, made apart from the reference."""
    return ~np.array(table["seen"]) & (table["noise"].to_numpy() <= MAX_NOISE)


def rungs_of(table: pa.Table) -> np.ndarray:
    """Returns which cases are rungs of the ladders, bool `[n]`: those that somebody degraded, for better or worse."""
    return np.isin(table["kind"].to_pylist(), ["lineage", "damage"])


def _reviewing(answers: Answers) -> Answers:
    """Returns the answers of a head that may say nothing but `review`."""
    nothing = np.zeros(len(answers.probability), bool)
    return Answers(answers.probability, nothing, nothing, nothing)


def _card(everything: Cases, table: pa.Table, answers: Answers) -> dict[str, Any]:
    """Returns the error card of the cases that heads may be fitted to, with lines for the clear ones of the others."""
    apart, settled = ~np.array(table["seen"]), table["noise"].to_numpy() <= MAX_NOISE
    others = {"from_reference": ~apart & settled, "noisy_labels": apart & ~settled, "any_label": apart}
    lines = {name: card(everything.take(rows), answers.take(rows))["clear"] for name, rows in others.items()}
    judged = len(np.unique(everything.datasets[apart]))
    noises = by_group(everything.take(apart), answers.take(apart), _noises(table)[apart])
    rows = teaching(table)
    cases, answers, table = everything.take(rows), answers.take(rows), table.filter(pa.array(rows))
    return {
        "protocol": "leave-dataset-and-source-out",
        "datasets": len(np.unique(cases.datasets)),
        "judged_datasets": judged,
        "sources": len(np.unique(cases.sources)),
        **card(cases, answers),
        **lines,
        "by_source": by_group(cases, answers, np.array(table["source"].to_pylist())),
        "by_reference_rows": by_group(cases, answers, _sizes(table)),
        "by_kind": by_group(cases, answers, np.array(table["kind"].to_pylist())),
        "by_label_noise": noises,
        "by_dataset": by_group(cases, answers, cases.datasets),
    }


def _sizes(table: pa.Table) -> np.ndarray:
    """Returns each case's number of reference rows as one of a few ranges."""
    rows = table["reference_rows"].to_numpy()
    return np.array(SIZES)[np.digitize(rows, [300, 500, 1_000])]


def _noises(table: pa.Table) -> np.ndarray:
    """Returns the noise of each case's label as one of a few ranges."""
    return np.array(NOISES)[np.digitize(table["noise"].to_numpy(), [0.02, MAX_NOISE, 0.042], right=True)]


def _write_answers(path: Path, table: pa.Table, said: dict[str, Answers]) -> None:
    for situation, answers in said.items():
        verdict = np.where(answers.reject, "reject", np.where(answers.approve, "approve", "review"))
        table = table.append_column(f"{situation}_probability", pa.array(answers.probability.round(5)))
        table = table.append_column(f"{situation}_collapsed", pa.array(answers.collapsed))
        table = table.append_column(f"{situation}_verdict", pa.array(verdict))
    pq.write_table(table, path, compression="zstd")


def _print(situation: str, found: dict[str, Any]) -> None:
    print(f"{situation}: {found['datasets']} datasets, {found['sources']} sources", flush=True)
    for kind in LINES:
        if kind not in found:
            continue
        values = {name: v for name, v in found[kind].items() if len(v) == 3}
        text = "  ".join(f"{name} {v[0]:.3f} ({v[1]:.3f} to {v[2]:.3f})" for name, v in values.items())
        print(f"  {kind:14} {found[kind]['cases'][0]} cases, {found[kind]['positives'][0]} collapsed: {text}")


if __name__ == "__main__":
    main()
