"""The manifest of a fixed dataset: what was done to which rows, why, and from what to what."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from vr.core.installed import version_of
from vr.data.source import Source
from vr.pipeline.chosen import Chosen
from vr.pipeline.real_rows import RealRows
from vr.pipeline.report import ValidationReport
from vr.recommendation.edits import Change
from vr.recommendation.vocabulary import AddRealRows, FillRegions
from vr.signatures.records import TOGETHER, Prediction

__all__ = [
    "MANIFEST_VERSION",
    "Outcome",
    "compact",
    "identity_of",
    "manifest_name",
    "manifest_of",
    "outcomes",
    "validation_of",
]

MANIFEST_VERSION = "1.3.0"


@dataclass(frozen=True)
class Outcome:
    """What became of a chosen action.

    Attributes:
      chosen: The action.
      removed: int64 ascending, rows that it removed and none before it did.
      changed: int64 ascending, rows that stay with a cell changed.
      added: Rows appended.
      weighed: Rows that stay and have a weight.
      short: Rows that were to be appended besides, and that the file of real rows does not have.
      note: What else is to be known.
    """

    chosen: Chosen
    removed: np.ndarray
    changed: np.ndarray
    added: int = 0
    weighed: int = 0
    short: int = 0
    note: str | None = None


def manifest_name(name: str) -> str:
    """Returns what the manifest of a file is called."""
    return f"{name}.manifest.json"


def outcomes(
    chosen: Sequence[Chosen], changes: Sequence[Change], real: RealRows | None, num_rows: int
) -> list[Outcome]:
    """Returns what each action does, a row that several remove being the first one's.

    Args:
      chosen: Actions, in order.
      changes: One for each of those that are not skipped.
      real: Real rows that are appended.
      num_rows: Rows of the input.
    """
    left = iter(changes)
    of = [Change() if item.skipped else next(left) for item in chosen]
    gone = np.unique(np.concatenate([np.empty(0, np.int64), *(change.dropped for change in of)]))
    before = np.empty(0, np.int64)
    result = []
    for item, change in zip(chosen, of, strict=True):
        adds = short = 0
        if real is not None and not item.skipped and isinstance(item.action, AddRealRows):
            adds, short = real.even, item.action.rows - real.even
        elif real is not None and not item.skipped and isinstance(item.action, FillRegions):
            adds, short = sum(real.filled), sum(change.wanted) - sum(real.filled)
        weighed = num_rows - len(gone) if change.weights else 0
        note = f"{short:,} more real rows were wanted than there are" if short else change.note
        removed = np.setdiff1d(change.dropped, before)
        before = np.union1d(before, removed)
        result.append(Outcome(item, removed, np.setdiff1d(change.changed, gone), adds, weighed, short, note))
    return result


def compact(rows: np.ndarray) -> list[list[int]]:
    """Returns ascending row numbers as `[start, end]` pairs, the end exclusive."""
    if not len(rows):
        return []
    cuts = 1 + np.flatnonzero(np.diff(rows) != 1)
    starts, ends = rows[np.concatenate([[0], cuts])], rows[np.concatenate([cuts - 1, [len(rows) - 1]])] + 1
    return np.column_stack([starts, ends]).tolist()


def identity_of(
    report_digest: str,
    fingerprint: str,
    chosen: Sequence[Chosen],
    real: dict[str, Any] | None,
    scores_digest: str | None,
) -> str:
    """Returns a digest of all that decides the new file: the same command has the same.

    Args:
      report_digest: SHA-256 of report.json.
      fingerprint: Of the candidate.
      chosen: Actions, in order.
      real: Where added rows come from.
      scores_digest: SHA-256 of row_scores.parquet, None where no action reads it.
    """
    document = {
        "report": report_digest,
        "row_scores": scores_digest,
        "candidate": fingerprint,
        "actions": [[item.recommendation.priority, item.skipped] for item in chosen],
        "real": real and {key: real[key] for key in ("fingerprint", "rows")},
        "version": version_of("vr"),
    }
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()


def manifest_of(
    *,
    identity: str,
    candidate: Source,
    report: ValidationReport,
    report_digest: str,
    scores_digest: str | None,
    columns: Sequence[str],
    done: Sequence[Outcome],
    real: dict[str, Any] | None,
    output: dict[str, Any],
    weights: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Returns the manifest as JSON-able values; `validation` is filled in by who validates the new file.

    Args:
      identity: See `identity_of`.
      candidate: What was fixed.
      report: Whose recommendations were executed.
      report_digest: SHA-256 of report.json.
      scores_digest: SHA-256 of row_scores.parquet, None where no action reads it.
      columns: Those that fingerprints are of.
      done: What became of each action.
      real: Where added rows came from.
      output: The new file's name, rows, fingerprint and SHA-256.
      weights: Of its rows, see `vr.pipeline.weights.write_weights`; None where they have none.
    """
    return {
        "schema_version": MANIFEST_VERSION,
        "identity": identity,
        "input": {
            "uri": candidate.uri,
            "format": candidate.format,
            "rows": report.dataset.rows,
            "fingerprint": report.dataset.fingerprint,
        },
        "report": {
            "sha256": report_digest,
            "row_scores_sha256": scores_digest,
            "verdict": report.verdict.value,
            "risk_score": report.risk_score,
            "schema_version": report.schema_version,
        },
        "seed": report.run.seed,
        "fingerprint_columns": list(columns),
        "actions": [_action(outcome) for outcome in done],
        "real": real,
        "output": output,
        "weights": weights,
        "versions": {"vr": version_of("vr"), "pyarrow": pa.__version__},
        "validation": None,
    }


def validation_of(before: ValidationReport, after: ValidationReport, told: Prediction | None) -> dict[str, Any]:
    """Returns the verdict on the new file beside the one before, and beside what `told` predicted."""
    same = before.reference is not None and after.reference is not None
    changed = same and before.reference.fingerprint != after.reference.fingerprint  # type: ignore[union-attr]
    return {
        "verdict_before": before.verdict.value,
        "risk_score_before": before.risk_score,
        "verdict": after.verdict.value,
        "verdict_reason": after.verdict_reason,
        "risk_score": after.risk_score,
        "risk_score_predicted": None if told is None else told.risk,
        # The action whose prediction it is, or all of them where they were measured at once.
        "predicted_by": None if told is None or told.kind == TOGETHER else told.priority,
        "predicted_together": told is not None and told.kind == TOGETHER,
        "expected_skill_loss_before": _skill_lost(before),
        "expected_skill_loss": _skill_lost(after),
        "collapse_probability": after.collapse_probability.model_dump(mode="json"),
        "fingerprint": after.dataset.fingerprint,
        "note": "the reference is not the one of the report" if changed else _other_question(before, after),
    }


def _other_question(before: ValidationReport, after: ValidationReport) -> str | None:
    """Returns what is said where the two verdicts speak of other columns, as fewer rows may have less skill to lose."""
    if before.calibration.targets == after.calibration.targets:
        return None
    told = (", ".join(each.calibration.targets) or "all columns" for each in (before, after))
    return "the verdict before speaks of {}, the one after of {}".format(*told)


def _skill_lost(report: ValidationReport) -> float | None:
    lost = None if report.remedies is None else report.remedies.expected_skill_loss
    return None if lost is None else lost.value


def _action(outcome: Outcome) -> dict[str, Any]:
    told, skipped = outcome.chosen.recommendation, outcome.chosen.skipped
    did = len(outcome.removed) or len(outcome.changed) or outcome.added or outcome.weighed
    expected = told.expected_risk_score
    return {
        "priority": told.priority,
        "title": told.title,
        "reason": told.description,
        "action": told.action,
        "status": "skipped" if skipped else "done" if did else "nothing_to_do",
        "note": skipped or outcome.note,
        "rows_removed": len(outcome.removed),
        "removed": compact(outcome.removed),
        "cells_changed": len(outcome.changed),
        "changed": compact(outcome.changed),
        "rows_added": outcome.added,
        "rows_short": outcome.short,
        "rows_weighed": outcome.weighed,
        "expected_risk_score": None if expected is None else expected.model_dump(mode="json"),
    }
