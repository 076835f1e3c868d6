"""The fitted calibration: heads, what turns their logits into probabilities and verdicts, and how often they err.

One versioned file, `calibration.json` beside this module, made by `python -m experiments.calibrate` from the committed
study. Three heads, by what could be measured: with trained proxies, with statistics alone, and without a reference.
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np
from scipy.special import expit

from vr.detector.head import Head
from vr.detector.metric import Feature, MetricSpec

__all__ = ["Calibrated", "Calibration", "load_calibration", "venn_abers", "variables"]


@dataclass(frozen=True)
class Calibrated:
    """One head with what was fitted on its predictions for unseen datasets and sources.

    Attributes:
      head: From variables to a logit.
      slope: The probability is `expit(slope * logit + intercept)` (Platt 1999).
      intercept: See `slope`.
      logits: float `[n]` ascending, out-of-sample logits of the study's cases.
      positive: bool `[n]`, which of them had collapsed.
      approve_below: Probability below which the verdict is `approve`.
      reject_from: Probability from which it is `reject`.
      card: Error rates on unseen datasets and sources, with intervals.
    """

    head: Head
    slope: float
    intercept: float
    logits: np.ndarray
    positive: np.ndarray
    approve_below: float
    reject_from: float
    card: Mapping[str, Any]

    def probability(self, logit: float) -> float:
        """Returns the calibrated probability of collapse."""
        return float(expit(self.slope * logit + self.intercept))

    def interval(self, logit: float) -> tuple[float, float]:
        """Returns the Venn-Abers pair: what the study's cases near this logit leave open, the probability within."""
        low, high = venn_abers(self.logits, self.positive, logit)
        value = self.probability(logit)
        return min(low, value), max(high, value)


@dataclass(frozen=True)
class Calibration:
    """All heads, and the range of datasets they were fitted on.

    Attributes:
      version: Of the file.
      heads: By `trained`, `untrained` and `alone`.
      ranges: By quantity (`rows`, `reference_rows`, `columns`): least and greatest in the study.
    """

    version: str
    heads: Mapping[str, Calibrated]
    ranges: Mapping[str, tuple[float, float]]

    def outside(self, **quantities: float) -> list[str]:
        """Returns, in words, which quantities lie beyond what the study held."""
        found = []
        for name, value in quantities.items():
            low, high = self.ranges[name]
            if not low <= value <= high:
                found.append(f"{name.replace('_', ' ')} {value:,.0f}, studied {low:,.0f} to {high:,.0f}")
        return found


def variables(features: Mapping[str, Feature], specs: Mapping[str, MetricSpec]) -> dict[str, float]:
    """Returns what the heads read of each metric: how far it lies on the harmful side of its null; NaN if unknown.

    `NAME` is the shift from the null in units of hypot(null deviation, floor), `NAME:shift` in the metric's own unit. A
    metric that is bad either way is taken by its absolute shift.
    """
    found = {}
    for name, feature in features.items():
        spec = specs[name]
        shift = spread = float("nan")
        if feature.value is not None and feature.null_mean is not None and feature.null_std is not None:
            shift = feature.value - feature.null_mean
            shift = abs(shift) if spec.two_sided else shift if spec.higher_is_worse else -shift
            spread = float(np.hypot(feature.null_std, spec.floor))
        found[name] = shift / spread
        found[f"{name}:shift"] = shift
    return found


def venn_abers(logits: np.ndarray, positive: np.ndarray, logit: float) -> tuple[float, float]:
    """Returns the pair of probabilities that isotonic regression gives a case taken for negative, and for positive.

    Args:
      logits: float `[n]`, of cases that the head was not fitted to.
      positive: bool `[n]`.
      logit: Of the new case.

    Returns:
      `(p0, p1)`, p0 <= p1: one of them is calibrated whatever the distribution, as long as cases are exchangeable.

    References:
      Vovk and Petej 2014, Venn-Abers predictors (arXiv 1211.0025), section 4.
    """
    from sklearn.isotonic import IsotonicRegression

    pair = []
    for label in (0.0, 1.0):
        fit = IsotonicRegression(out_of_bounds="clip").fit(np.append(logits, logit), np.append(positive, label))
        pair.append(float(fit.predict([logit])[0]))
    return pair[0], pair[1]


@functools.cache
def load_calibration() -> Calibration:
    """Returns the calibration that ships with the package."""
    document = json.loads(resources.files("vr.detector").joinpath("calibration.json").read_text())
    heads = {
        name: Calibrated(
            Head.from_dict(entry["head"]),
            float(entry["slope"]),
            float(entry["intercept"]),
            np.array(entry["logits"], float),
            np.array(entry["positive"], bool),
            float(entry["approve_below"]),
            float(entry["reject_from"]),
            entry["card"],
        )
        for name, entry in document["heads"].items()
    }
    return Calibration(document["version"], heads, {k: tuple(v) for k, v in document["ranges"].items()})
