"""The provisional verdict: a documented monotone rule on null-centred features, until fitted calibration replaces it.

Each head feature enters as its `excess` e = log(1 + max(0, z - 1)) over what the reference gives against itself, so it
can only ever raise the risk:

    logit p = bias + sum_i weight_i * e_i,     risk = 100 p

The weights are set by hand, on the datasets and generators that benchmarks/ names; their error rates on unseen data
have not been measured, which is why the report says `calibration: provisional`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from vr.detector.config import DetectorConfig
from vr.detector.metric import Feature, MetricSpec, excess

__all__ = ["Driver", "Judgement", "judge", "withhold_approval"]

# Weights by feature, with and without trained proxies. A head without the proxies leans more on the statistics.
BIAS = -3.2
WEIGHTS_TRAINED = {
    "generalization_gap.log_ratio": 1.1,
    "entropy_stability.coverage_deficit": 0.8,
    "correlation_preservation.dependence_change_rms": 0.6,
    "correlation_preservation.predictability": 0.5,
    "distribution_fidelity.tail_deficit": 0.3,
    "entropy_stability.duplicate_fraction": 0.3,
}
WEIGHTS_UNTRAINED = {
    "entropy_stability.coverage_deficit": 1.2,
    "correlation_preservation.dependence_change_rms": 0.8,
    "correlation_preservation.predictability": 0.9,
    "distribution_fidelity.tail_deficit": 0.3,
    "entropy_stability.duplicate_fraction": 0.3,
}
_LEVEL = 0.9


@dataclass(frozen=True)
class Driver:
    """One feature's part in the risk: `contribution` in logits, at least 0."""

    name: str
    excess: float
    weight: float

    @property
    def contribution(self) -> float:
        """What the feature adds to the logit."""
        return self.weight * self.excess


@dataclass(frozen=True)
class Judgement:
    """The answer before it is put in words.

    Attributes:
      probability: Of collapse, 0 to 1; None, as both ends, where nothing that the rule reads could be measured.
      lower: Lower end of its interval at `level`.
      upper: Upper end.
      verdict: approve, review or reject.
      drivers: Features by falling contribution.
      reason: One sentence.
    """

    probability: float | None
    lower: float | None
    upper: float | None
    level: float
    verdict: str
    drivers: tuple[Driver, ...]
    reason: str


def judge(
    features: Mapping[str, Feature], specs: Mapping[str, MetricSpec], config: DetectorConfig, *, with_reference: bool
) -> Judgement:
    """Returns the verdict on `features`, by qualified name such as `entropy_stability.coverage_deficit`.

    The interval moves every feature by as much as its mean over splits may be off (its own spread and the null's), all
    in the same direction; it widens with few rows. It holds no error of the rule itself, which is not yet known.
    """
    if not with_reference:
        return _unknown("without a reference no risk can be measured: give real rows with --reference")
    ratio = "generalization_gap.log_ratio"
    # A ratio without its null cannot be told from chance; without it the statistics alone must do.
    trained = ratio in features and excess(features[ratio], specs[ratio]) is not None
    weights = WEIGHTS_TRAINED if trained else WEIGHTS_UNTRAINED
    drivers, low, high = [], [], []
    for name, weight in weights.items():
        feature, spec = features.get(name), specs.get(name)
        if feature is None or spec is None or (e := excess(feature, spec)) is None:
            continue
        drivers.append(Driver(name, e, weight))
        low.append(weight * (excess(_moved(feature, spec, -1.0), spec) or 0.0))
        high.append(weight * (excess(_moved(feature, spec, 1.0), spec) or 0.0))
    if not drivers:
        return _unknown("no feature of the verdict could be measured on these rows and columns")
    value = _sigmoid(BIAS + sum(driver.contribution for driver in drivers))
    lower, upper = _sigmoid(BIAS + sum(low)), _sigmoid(BIAS + sum(high))
    risk = 100.0 * value
    if risk >= config.overall_threshold:
        verdict, text = "reject", "a model trained on this data will lose skill on real data"
    elif risk >= config.review_threshold:
        verdict, text = "review", "the signs are mixed: look at what drives the risk before training"
    else:
        verdict, text = "approve", "no sign that a model trained on this data will lose skill on real data"
    drivers.sort(key=lambda driver: -driver.contribution)
    return Judgement(value, lower, upper, _LEVEL, verdict, tuple(drivers), text)


def withhold_approval(judgement: Judgement, reason: str) -> Judgement:
    """Returns the judgement with an approval turned into a review, for `reason`; any other verdict stays."""
    if judgement.verdict != "approve":
        return judgement
    return replace(judgement, verdict="review", reason=reason)


def _unknown(reason: str) -> Judgement:
    return Judgement(None, None, None, _LEVEL, "review", (), reason)


def _moved(feature: Feature, spec: MetricSpec, direction: float) -> Feature:
    """Returns the feature with its value moved by 1.64 deviations over splits towards (+1) or away from (-1) harm."""
    assert feature.value is not None
    error = np.hypot(feature.spread or 0.0, feature.null_std or 0.0) * 1.645 / np.sqrt(2.0)
    if spec.two_sided:
        toward = np.sign(feature.value - (feature.null_mean or 0.0)) or 1.0
    else:
        toward = 1.0 if spec.higher_is_worse else -1.0
    return Feature(feature.value + direction * toward * error, feature.spread, feature.null_mean, feature.null_std)


def _sigmoid(x: float) -> float:
    return float(1.0 / (1.0 + np.exp(-x)))
