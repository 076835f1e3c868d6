"""The study's results as labelled cases: measured labels joined with features and peers' scores.

Cases that leave the verdict's question open are left out, by what was measured of real rows alone: splits whose label
would be the luck of the draw, and changes that found nothing to change.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.collapse.protocol import Cases
from vr.detector.calibration import SKILL_LOST_TARGETS, WORST_TARGET, variables
from vr.detector.metric import Feature, MetricSpec
from vr.detector.reference_free import METRICS
from vr.detector.registry import DIMENSIONS

__all__ = [
    "MAX_NOISE",
    "RESULTS",
    "RULED_OUT_NOISE",
    "SPECS",
    "by_single_targets",
    "is_settled",
    "load_cases",
    "versions_of",
]

RESULTS = Path(__file__).parents[1] / "results" / "collapse"
# Standard deviation of `harm` of real rows against real rows, by the luck of the draw. Healthy and collapsed are a
# tenth apart: at a third of that real rows leave the healthy by luck in 7 of 100 draws, at half of it in 16. Chosen
# after errors at both limits had been seen, so the card has all cases together on a line too.
MAX_NOISE = 0.1 / 3
# Up to here cases are judged too, on a line of their own, and teach nothing; beyond it a label says too little.
RULED_OUT_NOISE = 0.05
_BY_TARGET = ["case", "by_target"]
# Real rows as they are, in another order or fewer of them: one source, or each would train what judges the others.
_REAL_ROWS = ("real", "permute_rows", "permute_columns", "subsample")

SPECS: dict[str, MetricSpec] = {
    f"{name}.{metric}": spec for name, dimension in DIMENSIONS.items() for metric, spec in dimension.metrics.items()
} | METRICS


def load_cases(
    stages: Sequence[str] = ("features",),
    columns: Sequence[str] = (),
    results: Path = RESULTS,
    seen: bool = False,
    noise: float = MAX_NOISE,
) -> tuple[Cases, pa.Table]:
    """Returns the labelled cases that all of `stages` have, with their variables, and their labels' rows.

    Args:
      stages: Whose results are joined: `features` (the statistics and the tiers that have a null), `cascade` (every
        tier), `reference_free`, `peers`.
      columns: Columns that are no metric of the detector and are wanted as they are, such as a peer's score.
      results: Folder of the stages' parquet files.
      seen: With the cases that are made from the reference itself.
      noise: Up to which noise of a label.
    """
    labels = pq.read_table(results / "labels.parquet").to_pylist()
    found = [{row["case"]: row for row in pq.read_table(results / f"{name}.parquet").to_pylist()} for name in stages]
    rows, values = [], []
    for row in labels:
        parts = [each.get(row["case"]) for each in found]
        if not is_settled(row, noise) or None in parts or (row["seen"] and not seen):
            continue
        measured = {name: value for part in parts if part is not None for name, value in part.items()}
        measured |= _worst_target(json.loads(measured.get("by_target") or "{}"))
        rows.append(row)
        values.append(_variables(measured) | {name: _number(measured[name]) for name in columns})
    names = sorted({name for each in values for name in each})
    features = {name: np.array([each.get(name, np.nan) for each in values]) for name in names}
    column = {name: np.array([row[name] for row in rows]) for name in ("case", "dataset", "source", "harm")}
    sources = np.where(np.isin(column["source"], _REAL_ROWS), "real", column["source"])
    cases = Cases(column["case"], column["dataset"], sources, column["harm"], features)
    return cases, pa.Table.from_pylist(rows)


def by_single_targets(cases: Cases, table: pa.Table, results: Path = RESULTS) -> tuple[Cases, np.ndarray]:
    """Returns every case once for each of its label's targets, as for a user who names that column alone.

    The harm is what is lost at that column, and so is the skill that forests lose; everything else is the case's.

    Args:
      cases: As `load_cases` gives them, `targets` among the stages.
      table: Their labels' rows.
      results: Folder of the stages' parquet files.

    Returns:
      The cases, and int `[m]`, which of `cases` each is.
    """
    measured = dict(zip(*(pq.read_table(results / "targets.parquet")[c].to_pylist() for c in _BY_TARGET), strict=True))
    ids, positions, harms, lost = [], [], [], []
    for i, row in enumerate(table.select(_BY_TARGET).to_pylist()):
        found = json.loads(measured[row["case"]] or "{}")
        for name, (s, s_tail) in json.loads(row["by_target"]).items():
            if name in found and np.isfinite(s):
                ids.append(f"{row['case']}/{name}")
                positions.append(i)
                harms.append(float(np.fmax(s, s_tail / 2)))
                share, null, _ = found[name]
                alone = Feature(share, None, 0.0, null)
                lost.append(variables({SKILL_LOST_TARGETS: alone, WORST_TARGET: alone}, SPECS))
    at = np.array(positions, int)
    singles = cases.take(at)
    features = dict(singles.features) | {name: np.array([each[name] for each in lost]) for name in lost[0]}
    return Cases(np.array(ids), singles.datasets, singles.sources, np.array(harms), features), at


def versions_of(stage: str, results: Path = RESULTS) -> dict[str, str]:
    """Returns the versions of the packages that made a stage's results."""
    return json.loads((pq.read_schema(results / f"{stage}.parquet").metadata or {})[b"versions"])


def is_settled(row: dict, noise: float = MAX_NOISE) -> bool:
    """Whether a row of the labels can judge a verdict: measured, changed by its change, and not by luck."""
    return np.isfinite(row["harm"]) and row["noise"] <= noise and not row["unchanged"]


def _variables(row: dict) -> dict[str, float]:
    features = {}
    for name in SPECS:
        value = row.get(name)
        if value is None or not np.isfinite(value):
            features[name] = Feature.missing("not measured")
        else:
            features[name] = Feature(
                value, *(row.get(f"{name}:{part}") for part in ("spread", "null_mean", "null_std"))
            )
    return variables(features, SPECS)


def _worst_target(found: Mapping[str, Sequence[float]]) -> dict[str, float]:
    """Returns the columns of the metric on the target that loses most; `found` has a target's share and its null."""
    if not found:
        return {}
    share, null, _ = max(found.values())
    values = {"": share, ":null_mean": 0.0, ":null_std": null}
    return {f"{WORST_TARGET}{part}": value for part, value in values.items()}


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)
