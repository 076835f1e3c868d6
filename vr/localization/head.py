"""The head that weighs a row's evidence: log-odds of each kind of defect against none, fitted to planted defects.

A multinomial logistic regression on piecewise linear evidence, fitted by `benchmarks/planted_defects.py` to real
datasets; `head.json` holds it, with the datasets and the share of wrong rows that it was fitted at.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

import numpy as np

from vr.localization.row_evidence import EVIDENCE, QUICK
from vr.stats.rowwise import rowwise_product

__all__ = ["CLASSES", "Head", "features", "load_head"]

CLASSES = (
    "near_duplicate",
    "outlier",
    "label_contradiction",
    "broken_dependence",
    "impossible_combination",
    "drifted_block",
    "generated_block",
)
_CUT = 5.0  # evidence beyond one in 100,000 says no more
_KNOTS = (0.0, 0.5, 1.0, 1.5, 2.0, 3.0)  # where its slope may change
_BLOCK_ROWS = 1_024  # weighed at once: their features stay within a core's cache


def features(tails: np.ndarray) -> np.ndarray:
    """Returns what the head is linear in, float `[n, len(_KNOTS) e]`, of `e` kinds of evidence `[n, e]`."""
    cut = np.minimum(tails, _CUT)
    return np.concatenate([np.maximum(cut - knot, 0.0) for knot in _KNOTS], axis=1)


@dataclass(frozen=True)
class Head:
    """Fitted weights.

    Attributes:
      weights: float `[len(CLASSES), len(_KNOTS) len(EVIDENCE)]`.
      bias: float `[len(CLASSES)]`.
      shares: float `[len(CLASSES)]`, of all rows, that each kind had where it was fitted: its prior.
    """

    weights: np.ndarray
    bias: np.ndarray
    shares: np.ndarray

    def log_odds(self, tails: np.ndarray) -> np.ndarray:
        """Returns log P(kind) / P(no defect), float `[n, len(CLASSES)]`."""
        result = np.empty((len(tails), len(CLASSES)))
        # Of a long file few rows have more than quick evidence; what they have not weighs nothing.
        more = tails[:, QUICK:].any(axis=1)
        for rows, of in ((np.flatnonzero(more), len(EVIDENCE)), (np.flatnonzero(~more), QUICK)):
            weights = self.weights.reshape(len(CLASSES), len(_KNOTS), len(EVIDENCE))[:, :, :of]
            weights = weights.reshape(len(CLASSES), -1).T
            for start in range(0, len(rows), _BLOCK_ROWS):
                block = rows[start : start + _BLOCK_ROWS]
                result[block] = rowwise_product(features(tails[block, :of]), weights)
        return result + self.bias

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> "Head":
        """Reads what `to_document` wrote.

        Raises:
          ValueError: It was fitted to other evidence or other kinds than this version's.
        """
        if (tuple(document["evidence"]), tuple(document["classes"])) != (EVIDENCE, CLASSES):
            raise ValueError("the head was fitted to other evidence: python -m benchmarks.planted_defects fits it anew")
        return cls(*(np.array(document[name], float) for name in ("weights", "bias", "shares")))

    def to_document(self) -> dict[str, Any]:
        """Returns it ready for JSON."""
        return {
            "evidence": list(EVIDENCE),
            "classes": list(CLASSES),
            "shares": np.round(self.shares, 6).tolist(),
            "bias": np.round(self.bias, 4).tolist(),
            "weights": np.round(self.weights, 4).tolist(),
        }


@cache
def load_head() -> Head:
    """Returns the head that is shipped."""
    return Head.of(json.loads(resources.files("vr.localization").joinpath("head.json").read_text()))
