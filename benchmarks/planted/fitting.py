"""Fits the head of the row scores to planted defects."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.linear_model import LogisticRegression

from vr.localization.head import CLASSES, Head, features
from vr.localization.row_evidence import Evidence

__all__ = ["KIND_OF", "Observed", "akin_to", "fit_head"]

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
# Rows of a generator are made by the same one whether they stand together or not.
_GENERATED = ("generated_block", "generated_rows")
_NEVER = -50.0  # log-odds of a kind of which there was no row
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


def akin_to(kind: str) -> set[str]:
    """Returns a planted kind and all that would teach a head about it: of the same class, or of the same generator."""
    same = {other for other, name in KIND_OF.items() if name == KIND_OF[kind]}
    return same | set(_GENERATED) if kind in _GENERATED else same


def fit_head(observed: Sequence[Observed], without: Collection[str] = (), seed: int = 0) -> Head:
    """Returns the head of some files; exact duplicates are told by equality and take no part.

    Args:
      observed: The files.
      without: Planted kinds whose files are left out, as if nobody had thought of them.
      seed: Of the sound rows that are fitted to.

    Raises:
      ValueError: They have no rows of some class, though none of its kinds was to be left out.
    """
    rng = np.random.default_rng(seed)
    rows, labels = [], []
    for one in observed:
        if one.kind == "exact_duplicates" or one.kind in without:
            continue
        label = np.where(one.wrong, CLASSES.index(KIND_OF[one.kind]) + 1, 0) if one.kind != "none" else one.wrong * 0
        kept = (one.wrong | (rng.random(len(label)) < _SOUND)) & ~one.repeated
        rows.append(one.evidence.tails[kept])
        labels.append(label[kept])
    x, y = features(np.concatenate(rows)), np.concatenate(labels)
    known = np.unique(y)
    absent = [name for i, name in enumerate(CLASSES, 1) if i not in known]
    if not set(absent) <= {KIND_OF[kind] for kind in without}:
        raise ValueError(f"no row was planted of the kinds {', '.join(absent)}")
    model = LogisticRegression(C=_PENALTY, max_iter=150, tol=1e-3).fit(x / 2.0, y)
    weights, bias = model.coef_ / 2.0, model.intercept_
    of_class, odds = np.zeros((len(CLASSES), x.shape[1])), np.full(len(CLASSES), _NEVER)
    of_class[known[1:] - 1] = weights[1:] - weights[0]
    # Against no defect, and with the sound rows that were left out put back.
    odds[known[1:] - 1] = bias[1:] - bias[0] + np.log(_SOUND)
    counts = np.bincount(y, minlength=len(CLASSES) + 1).astype(float)
    counts[0] /= _SOUND
    # A kind of which there was no row has none of the prior, but a logarithm.
    return Head(of_class, odds, np.maximum(counts[1:], 1.0) / counts.sum())
