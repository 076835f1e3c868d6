"""A library's history as one document: what was recommended, what was applied, predicted and measured, fix by fix."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from vr.recommendation.hindsight import LEVEL, Case, Hindsight, look_back
from vr.signatures.history import History
from vr.signatures.records import Fix

__all__ = ["cases_of", "track_record"]


def track_record(history: History) -> dict[str, Any]:
    """Returns a history as JSON-able values.

    `predictions` says whether predicted risks came about: in `all` fixes that were validated since, in those `of_one`
    action, and by the kind of action whose prediction it is.
    """
    actions = Counter(each.prediction.kind for _, fix in history.fixes for each in fix.applied if each.status == "done")
    kinds = sorted({*history.recommended, *actions})
    return {
        "validations": history.num_validations,
        "datasets": history.num_datasets,
        "actions": {
            kind: {
                "recommended": history.recommended[kind],
                "predicted": history.measured[kind],
                "applied": actions[kind],
            }
            for kind in kinds
        },
        "fixes": [_fix(recorded, fix, history) for recorded, fix in history.fixes],
        "predictions": {
            "level": LEVEL,
            "all": _told(look_back(cases_of(history))),
            "of_one": _told(look_back(cases_of(history, of_one=True))),
            # An action's own error shows where it was the only one.
            "by_kind": {
                kind: _told(found)
                for kind in kinds
                if (found := look_back(cases_of(history, of_one=True, kind=kind))).cases
            },
        },
        "damaged": history.damaged,
    }


def cases_of(
    history: History,
    *,
    of_one: bool = False,
    kind: str | None = None,
    moved: bool = True,
    question: str | None = None,
) -> Sequence[Case]:
    """Returns the fixes whose outcome was measured beside a prediction.

    Args:
      history: Of a library.
      of_one: Only where one action alone was done.
      kind: Only where the prediction is of an action of this kind.
      moved: Whether predictions are as they were told, rather than as they were measured before history moved them.
      question: Only where the first report was of this head, these proxies and settings, see `vr.pipeline.history`.
    """
    found = []
    for _, fix in history.fixes:
        told, (after, _) = fix.foretold, history.outcome(fix)
        if told is None or told.risk is None or after is None or after.judged.risk is None or fix.before.risk is None:
            continue
        if (of_one and not fix.is_of_one) or kind not in (None, told.kind):
            continue
        if question not in (None, fix.before.question):
            continue
        predicted = told.risk if moved else told.risk - told.shift
        found.append(Case(fix.before.fingerprint, fix.before.risk, predicted, after.judged.risk))
    return found


def _fix(recorded: str, fix: Fix, history: History) -> dict[str, Any]:
    told, (after, reason) = fix.foretold, history.outcome(fix)
    if after is not None and after.judged.risk is None:
        reason = "its risk could not be measured"
    return {
        "recorded": recorded,
        "dataset": fix.before.name,
        "fingerprint": fix.before.fingerprint,
        "reference": fix.before.reference,
        "output": fix.output,
        "rows": fix.before.rows,
        "output_rows": fix.output_rows,
        "actions": [
            {"kind": each.prediction.kind, "status": each.status, "predicted_risk": each.prediction.risk}
            | each.model_dump(include={"as_told", "rows_removed", "cells_changed", "rows_added"})
            for each in fix.applied
        ],
        "verdict_before": fix.before.verdict,
        "risk_before": fix.before.risk,
        "skill_loss_before": fix.before.skill_lost,
        "predicted_by": None if told is None else told.kind,
        "risk_predicted": None if told is None else told.risk,
        "skill_loss_predicted": None if told is None else told.skill_lost,
        "verdict": None if after is None else after.judged.verdict,
        "risk": None if after is None else after.judged.risk,
        "skill_loss": None if after is None else after.judged.skill_lost,
        "reason": reason,
    }


def _told(found: Hindsight) -> dict[str, Any]:
    return {name: round(value, 4) if isinstance(value, float) else value for name, value in asdict(found).items()}
