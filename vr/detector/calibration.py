"""The fitted calibration: what a head reads, how its logit becomes a probability, and how sure that is.

One versioned file, `calibration.json`, holds a head for each situation (`trained`: with proxies, `untrained`: with the
statistics alone, either of them `_for_targets` where the columns that are to be predicted are named,
`without_reference`) with its error card, and the scales of the dimensions' scores.
`experiments/calibrate.py` writes it.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from scipy.special import expit

from vr.detector.head import Head
from vr.detector.ladder import Ladder
from vr.detector.metric import Feature, MetricSpec, harmful_shift

__all__ = [
    "SKILL_LOST",
    "SKILL_LOST_TARGETS",
    "WORST_TARGET",
    "Calibrated",
    "Calibration",
    "load_calibration",
    "metrics_of",
    "variables",
    "venn_abers",
]

# A run measures the skill that forests lose at all columns, or at those that somebody named to be predicted.
SKILL_LOST = "generalization_gap.skill_lost_trees"
SKILL_LOST_TARGETS = "generalization_gap.skill_lost_targets"
WORST_TARGET = "generalization_gap.skill_lost_worst_target"


def variables(features: Mapping[str, Feature], specs: Mapping[str, MetricSpec]) -> dict[str, float]:
    """Returns what the heads read of each metric: how far it lies on the harmful side of its null; NaN if unknown.

    `NAME` is the shift from the null in units of hypot(null deviation, floor), `NAME:shift` in the metric's own unit,
    `NAME:raw` the value itself, negated where less is worse. A metric that is bad either way is taken by its absolute
    shift.
    """
    found = {}
    for name, feature in features.items():
        spec = specs[name]
        shift, unit = harmful_shift(feature, spec)
        found[name] = shift / unit
        found[f"{name}:shift"] = shift
        value = float("nan") if feature.value is None else feature.value
        found[f"{name}:raw"] = value if spec.higher_is_worse else -value
    return found


def metrics_of(names: Iterable[str]) -> list[str]:
    """Returns the metrics that variables are of, each once."""
    return list(dict.fromkeys(name.split(":")[0] for name in names))


@dataclass(frozen=True)
class Calibrated:
    """A head with all that its answer needs.

    Attributes:
      head: From features to a logit.
      slope: Of Platt's scaling, probability = sigmoid(slope * logit + intercept).
      intercept: Of the same.
      logits: float `[n]`, ascending, of clear cases that a head fitted without their dataset judged.
      positive: bool `[n]`, which of them had collapsed.
      approve_below: Probability up to which the answer is `approve`.
      detected_from: Probability from which an answer without `review` is `collapsed`; between the other two.
      reject_from: Probability from which it is `reject`; between the two it is `review`.
      fresh: `{variable: its median over fresh real rows}`, what drivers are counted from.
      ranges: `{variable: (least, most)}` over the calibration cases.
      card: Error rates on cases whose dataset and source the head had not seen.
    """

    head: Head
    slope: float
    intercept: float
    logits: np.ndarray
    positive: np.ndarray
    approve_below: float
    detected_from: float
    reject_from: float
    fresh: Mapping[str, float]
    ranges: Mapping[str, tuple[float, float]]
    card: Mapping[str, Any]

    def reviewing_only(self) -> "Calibrated":
        """Returns the same head with every answer a `review`, for one whose other answers were too often wrong."""
        return replace(self, approve_below=0.0, detected_from=1.0, reject_from=1.0)

    def line(self, cases: str = "any_label") -> str:
        """Returns the error card in one sentence, on clear cases, by default with those whose label is not as sure."""
        clear = self.card[cases]

        def percent(name: str, cases: Mapping[str, Any] = clear) -> str:
            value, low, high = (100 * x for x in cases[name])
            return f"{value:.1f} % ({low:.1f} to {high:.1f})"

        alone = cases == "one_target"
        kind, datasets = ("clear cases of one target", "datasets") if alone else ("clear cases", "judged_datasets")
        line = (
            f"on {clear['cases'][0]:,} {kind} of {self.card[datasets]} real datasets, by heads that had "
            f"seen neither a case's dataset nor its generator: {percent('collapsed_approved')} of the collapsed "
            f"approved, {percent('healthy_rejected')} of the healthy rejected, {percent('review_share')} left to review"
        )
        made_from = self.card.get("from_reference", {})
        # A head that never approves has nothing to confess here.
        if made_from.get("collapsed_approved", [0.0])[0] > 0.0:
            approved = percent("collapsed_approved", made_from)
            line += f"; of the collapsed made from the reference itself, {approved} approved"
        return line

    def probability(self, features: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns the probability of collapse of every case, float `[n]`."""
        return expit(self.slope * self.head.logit(features) + self.intercept)

    def interval(self, low: float, high: float) -> tuple[float, float]:
        """Returns what the calibration cases allow for logits from `low` to `high`, see `venn_abers`."""
        return venn_abers(self.logits, self.positive, low)[0], venn_abers(self.logits, self.positive, high)[1]

    def beyond(self, features: Mapping[str, float]) -> list[str]:
        """Returns the metrics that lie outside what the calibration cases showed, on either side."""
        outside = [
            name.split(":")[0]
            for name, (least, most) in self.ranges.items()
            if np.isfinite(features.get(name, np.nan)) and not least <= features[name] <= most
        ]
        return list(dict.fromkeys(outside))

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-able values."""
        return {
            "head": self.head.to_dict(),
            "slope": round(self.slope, 8),
            "intercept": round(self.intercept, 8),
            "logits": np.round(self.logits, 5).tolist(),
            "positive": self.positive.astype(int).tolist(),
            "approve_below": round(self.approve_below, 6),
            "detected_from": round(self.detected_from, 6),
            "reject_from": round(self.reject_from, 6),
            "fresh": {name: round(value, 6) for name, value in self.fresh.items()},
            "ranges": {name: [round(end, 6) for end in ends] for name, ends in self.ranges.items()},
            "card": self.card,
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Calibrated":
        """Returns what `to_dict` gave."""
        return cls(
            head=Head.from_dict(document["head"]),
            slope=float(document["slope"]),
            intercept=float(document["intercept"]),
            logits=np.array(document["logits"], float),
            positive=np.array(document["positive"], bool),
            approve_below=float(document["approve_below"]),
            detected_from=float(document["detected_from"]),
            reject_from=float(document["reject_from"]),
            fresh={name: float(value) for name, value in document["fresh"].items()},
            ranges={name: (float(a), float(b)) for name, (a, b) in document["ranges"].items()},
            card=document["card"],
        )


@dataclass(frozen=True)
class Calibration:
    """All that was fitted.

    Attributes:
      version: What reports name.
      heads: By situation.
      made_by: Versions of the packages that measured.
      ladders: By situation, `trained` and `untrained`, and dimension; none where a dimension cannot be measured there.
    """

    version: str
    heads: Mapping[str, Calibrated]
    made_by: Mapping[str, str] = field(default_factory=dict)
    ladders: Mapping[str, Mapping[str, Ladder]] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-able values."""
        heads = {name: head.to_dict() for name, head in self.heads.items()}
        ladders = {
            situation: {name: ladder.to_dict() for name, ladder in each.items()}
            for situation, each in self.ladders.items()
        }
        return {"version": self.version, "made_by": dict(self.made_by), "heads": heads, "ladders": ladders}


@cache
def load_calibration() -> Calibration:
    """Returns the calibration that the package ships."""
    document = json.loads(files("vr.detector").joinpath("calibration.json").read_text(encoding="utf-8"))
    heads = {name: Calibrated.from_dict(head) for name, head in document["heads"].items()}
    ladders = {
        situation: {name: Ladder.from_dict(ladder) for name, ladder in each.items()}
        for situation, each in document["ladders"].items()
    }
    return Calibration(document["version"], heads, document["made_by"], ladders)


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
    if np.isnan(logit):
        raise ValueError("a logit that is no number")
    order, place = np.unique(np.append(logits, logit), return_inverse=True)
    here = int(place[-1])
    counts = np.bincount(place).tolist()
    sums = np.bincount(place[:-1], positive, minlength=len(order)).tolist()
    lower = _isotonic_at(here, sums, counts)
    sums[here] += 1.0
    return lower, _isotonic_at(here, sums, counts)


def _isotonic_at(here: int, sums: list[float], counts: list[int]) -> float:
    """Returns the non-decreasing fit at one of several places in order, by pooling those that violate the order.

    References:
      Ayer et al. 1955, An empirical distribution function for sampling with incomplete information.
    """
    pools: list[tuple[float, int, int]] = []  # sum, number, first place
    for first, (total, count) in enumerate(zip(sums, counts, strict=True)):
        while pools and pools[-1][0] * count >= total * pools[-1][1]:
            before, number, first = pools.pop()
            total, count = total + before, count + number
        pools.append((total, count, first))
    total, count, _ = next(pool for pool in reversed(pools) if pool[2] <= here)
    return total / count
