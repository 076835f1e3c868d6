"""Fits the head of the row scores to planted defects."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

from vr.localization.head import CLASSES, Head, features
from vr.localization.row_evidence import Evidence

__all__ = ["KIND_OF", "Observed", "fit_head"]

# What a planted row is, in the head's words; rows of a generator among real ones break what ties the columns.
KIND_OF = {
    "near_duplicates": "near_duplicate",
    "label_flips": "label_contradiction",
    "outliers": "outlier",
    "shuffled_cells": "broken_dependence",
    "impossible_combinations": "impossible_combination",
    "drifted_block": "drifted_block",
    "generated_block": "generated_block",
    "generated_rows": "broken_dependence",
}
_SOUND = 0.06  # share of the sound rows that are fitted to: there are many more of them than of wrong ones
_PENALTY = 0.03  # inverse strength of the penalty; weaker ones say more than they know of other datasets


@dataclass(frozen=True)
class Observed:
    """The evidence of one file.

    Attributes:
      case: Its name.
      kind: Of the planted defect, `none` where nothing was planted.
      share: Of the rows.
      wrong: bool `[n]`, the planted rows.
      evidence: Of its rows.
      null: Of the reference's.
      repeated: bool `[n]`, rows that repeat an earlier one exactly.
    """

    case: str
    kind: str
    share: float
    wrong: np.ndarray
    evidence: Evidence
    null: np.ndarray
    repeated: np.ndarray


def fit_head(observed: Sequence[Observed], seed: int = 0) -> Head:
    """Returns the head of some files; exact duplicates are told by equality and take no part.

    Raises:
      ValueError: They have no rows of some kind.
    """
    rng = np.random.default_rng(seed)
    rows, labels = [], []
    for one in observed:
        if one.kind == "exact_duplicates":
            continue
        label = np.where(one.wrong, CLASSES.index(KIND_OF[one.kind]) + 1, 0) if one.kind != "none" else one.wrong * 0
        kept = (one.wrong | (rng.random(len(label)) < _SOUND)) & ~one.repeated
        rows.append(one.evidence.tails[kept])
        labels.append(label[kept])
    x, y = features(np.concatenate(rows)), np.concatenate(labels)
    absent = [name for i, name in enumerate(CLASSES, 1) if not (y == i).any()]
    if absent:
        raise ValueError(f"no row was planted of the kinds {', '.join(absent)}")
    model = LogisticRegression(C=_PENALTY, max_iter=150, tol=1e-3).fit(x / 2.0, y)
    weights, bias = model.coef_ / 2.0, model.intercept_
    # Against no defect, and with the sound rows that were left out put back.
    bias = bias[1:] - bias[0] + np.log(_SOUND)
    wrong, sound = float((y > 0).sum()), float((y == 0).sum()) / _SOUND
    return Head(weights[1:] - weights[0], bias, wrong / (wrong + sound))
