"""Signatures for tests, random ones that are the same for the same seed, and records of a history."""

from typing import Any

import numpy as np

from vr.signatures.components import NAMES
from vr.signatures.records import Applied, Fix, Judged, Prediction, Validation
from vr.signatures.signature import LABELS, Origin, Outcome, Signature


def signatures(number: int, seed: int = 0) -> list[Signature]:
    rng = np.random.default_rng(seed)
    found = []
    for i in range(number):
        values = [None if rng.random() < 0.05 else round(float(x), 4) for x in 5.0 * rng.standard_normal(len(NAMES))]
        outcome = Outcome(LABELS[int(rng.integers(3))], round(float(rng.uniform(-0.1, 1.2)), 4))
        origin = Origin(f"data {seed}-{i}", "lineage", "gaussian_copula", "replace", int(rng.integers(1, 17)))
        found.append(Signature(tuple(values), origin, outcome))
    return found


def judged(fingerprint: str = "a", risk: float | None = 80.0, **changes: Any) -> Judged:
    given = {
        "name": "made.csv",
        "fingerprint": fingerprint,
        "rows": 650,
        "reference": "r",
        "question": "q",
        "seed": 0,
        "verdict": "review",
        "risk": risk,
        "skill_lost": 0.2,
    }
    return Judged(**given | changes)


def prediction(kind: str = "drop_rows", risk: float | None = 20.0, priority: int = 1) -> Prediction:
    return Prediction(priority=priority, kind=kind, rows=30, risk=risk, lower=None, upper=None, skill_lost=0.1)


def applied(kind: str = "drop_rows", risk: float | None = 20.0, status: str = "done", **changes: Any) -> Applied:
    given = {"status": status, "as_told": status == "done", "rows_removed": 30, "cells_changed": 0, "rows_added": 0}
    return Applied(prediction=prediction(kind, risk, changes.pop("priority", 1)), **given | changes)


def validation(fingerprint: str = "a", risk: float | None = 80.0, **changes: Any) -> Validation:
    recommended = changes.pop("recommended", (prediction(),))
    return Validation(judged=judged(fingerprint, risk, **changes), recommended=recommended)


def fix(fingerprint: str = "a", output: str = "b", *done: Applied, **changes: Any) -> Fix:
    before = judged(fingerprint, changes.pop("risk", 80.0), **changes)
    return Fix(before=before, applied=done or (applied(),), output=output, output_rows=620)
