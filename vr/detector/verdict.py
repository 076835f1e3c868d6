"""The verdict: a fitted monotone head on null-centred features, its probability, and how sure that is.

    logit = bias + sum_i weight_i g_i(x_i),   p = sigmoid(slope * logit + intercept),   risk = 100 p

with weights of at least 0 and g_i non-decreasing: worse in any feature can only raise the risk. The numbers are those
of `calibration.json`, with the error rates that they had on datasets and generators they were not fitted to.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from vr.detector.calibration import (
    SKILL_LOST,
    SKILL_LOST_TARGETS,
    WORST_TARGET,
    Calibrated,
    Calibration,
    load_calibration,
    variables,
)
from vr.detector.config import DetectorConfig
from vr.detector.metric import Feature, MetricSpec

__all__ = [
    "Driver",
    "Judgement",
    "judge",
    "knows_the_reference",
    "loses_a_target",
    "situation_of",
    "withhold_approval",
]

# With proxies the head that reads them; it needs their null, without which a ratio cannot be told from chance.
_PROXIES = "generalization_gap.log_ratio"
# Far below its null the share of skill lost says that the candidate knows the very rows that judge it. The least that
# any of the study's cases had, none of them made from its reference, is -1.3 deviations, and -1.6 where the label's
# targets are named; at one target alone 7 of 3,593 lie below.
_KNOWS_THE_REFERENCE = -2.0
_MOST_LOST = 0.15  # of a single target's skill, where a dataset may be approved
_LEVEL = 0.9
_LOW_RISK = 20.0
_MOST_MISSING = 0.25  # share of a head's weight that may be unmeasured in an approval
_DEVIATIONS = 1.645  # of a feature's error on either side, for the interval's level


@dataclass(frozen=True)
class Driver:
    """One feature's part in the risk.

    Attributes:
      name: `dimension.metric`.
      excess: How far it lies on the harmful side of its null, in deviations; None where it has no null.
      contribution: What it adds to the logit beyond what fresh real rows show, at least 0.
    """

    name: str
    excess: float | None
    contribution: float


@dataclass(frozen=True)
class Judgement:
    """The answer before it is put in words.

    Attributes:
      probability: Of collapse, 0 to 1; None, as both ends, where nothing that the head reads could be measured.
      lower: Lower end of its interval at `level`.
      upper: Upper end.
      verdict: approve, review or reject.
      drivers: Features by falling contribution.
      reason: One sentence.
      review_from: Risk, 0 to 100, from which the verdict is `review`.
      reject_from: Risk from which it is `reject`.
      detected: The two-way answer, without `review`; False where nothing is known.
      situation: Which head judged, see `situation_of`.
      beyond: What lies outside of what the head was calibrated on, by feature.
    """

    probability: float | None
    lower: float | None
    upper: float | None
    level: float
    verdict: str
    drivers: tuple[Driver, ...]
    reason: str
    review_from: float
    reject_from: float
    detected: bool
    situation: str
    beyond: tuple[str, ...] = ()


def judge(
    features: Mapping[str, Feature],
    specs: Mapping[str, MetricSpec],
    config: DetectorConfig,
    *,
    with_reference: bool,
    calibration: Calibration | None = None,
) -> Judgement:
    """Returns the verdict on `features`, by qualified name such as `entropy_stability.coverage_deficit`.

    The interval moves every feature by as much as its mean over splits may be off (its own spread and the null's), all
    in the same direction, and takes at either end what the calibration cases allow there (Venn-Abers).

    Args:
      features: All that was measured.
      specs: What each feature is.
      config: Thresholds, where they are not to be the calibrated ones.
      with_reference: Whether there was one.
      calibration: The fitted heads; those that the package ships by default.
    """
    heads = (load_calibration() if calibration is None else calibration).heads
    values = variables(features, specs)
    situation = situation_of(features) if with_reference else "without_reference"
    fitted = heads[situation]
    review_from = 100.0 * fitted.approve_below if config.review_threshold is None else config.review_threshold
    reject_from = 100.0 * fitted.reject_from if config.overall_threshold is None else config.overall_threshold
    # One that the user moved takes the other with it rather than overtake it.
    if config.overall_threshold is None:
        reject_from = max(reject_from, review_from)
    review_from = min(review_from, reject_from)
    if not any(np.isfinite(values.get(name, np.nan)) for name in fitted.head.names):
        text = "no feature of the verdict could be measured on these rows and columns"
        return Judgement(None, None, None, _LEVEL, "review", (), text, review_from, reject_from, False, situation)
    moved = [
        variables({name: _moved(feature, specs[name], side) for name, feature in features.items()}, specs)
        for side in (-_DEVIATIONS, _DEVIATIONS)
    ]
    probability = float(fitted.probability(_row(values, fitted))[0])
    low, high = sorted(float(fitted.head.logit(_row(each, fitted))[0]) for each in moved)
    lower, upper = fitted.interval(low, high)
    risk = 100.0 * probability
    if risk >= reject_from:
        verdict, text = "reject", "a model trained on this data will lose skill on real data"
    elif risk >= review_from:
        verdict, text = "review", "the signs are mixed: look at what drives the risk before training"
        if probability >= fitted.detected_from:
            text = "the signs are mixed and lean towards collapse: look at what drives the risk before training"
        if not with_reference:
            text = "without real rows to compare with nothing can be approved or rejected: give some with --reference"
    else:
        sign = "no sign" if risk < _LOW_RISK else "no strong sign"
        verdict, text = "approve", f"{sign} that a model trained on this data will lose skill on real data"
    judgement = Judgement(
        probability,
        min(lower, probability),
        max(upper, probability),
        _LEVEL,
        verdict,
        _drivers(values, specs, fitted),
        text,
        review_from,
        reject_from,
        # Never against the verdict, wherever its thresholds were moved to.
        bool(review_from <= risk and (risk >= reject_from or probability >= fitted.detected_from)),
        situation,
        tuple(specs[name].label for name in fitted.beyond(values)),
    )
    missing = _missing(values, fitted)
    # A table of independent columns has nothing to predict, and so nothing of that to lose.
    if _weight_of(missing, fitted) > _MOST_MISSING:
        words = ", ".join(specs[name].label for name in missing if name in specs)
        judgement = withhold_approval(judgement, f"what the verdict reads could not all be measured: {words}")
    if knows_the_reference(values, of_targets=situation.endswith("_for_targets")):
        judgement = withhold_approval(
            judgement,
            "it teaches more about the reference's own rows than other real rows do, as data made from them does: "
            "judge it by real rows that its generator has not seen",
        )
    if loses_a_target(values):
        share = values[f"{WORST_TARGET}:shift"]
        judgement = withhold_approval(judgement, f"one of the columns to be predicted loses {share:.0%} of its skill")
    return judgement


def situation_of(features: Mapping[str, Feature]) -> str:
    """Returns which head judges what was measured against a reference.

    `trained` with proxies and their null, `untrained` without; either of them `_for_targets` where the skill lost at
    columns that the user wants predicted was measured.
    """

    def known(name: str) -> bool:
        feature = features.get(name)
        return feature is not None and feature.value is not None and feature.null_std is not None

    situation = "trained" if known(_PROXIES) else "untrained"
    return f"{situation}_for_targets" if known(SKILL_LOST_TARGETS) else situation


def loses_a_target(values: Mapping[str, Any]) -> Any:
    """Returns whether one of the columns to be predicted loses more of its skill than a healthy dataset may.

    What several lose together may be little where one of them is lost.

    Args:
      values: As `knows_the_reference` has them.

    Returns:
      bool, or an array of them; False where it was not measured.
    """
    lost, away = values.get(f"{WORST_TARGET}:shift", 0.0), values.get(WORST_TARGET, 0.0)
    return np.greater(lost, _MOST_LOST) & np.greater(away, _DEVIATIONS)


def knows_the_reference(values: Mapping[str, Any], *, of_targets: bool = False) -> Any:
    """Returns whether a candidate teaches more about the reference's own rows than other real rows do.

    Args:
      values: Variables as `calibration.variables` gives them: numbers, or arrays of many cases.
      of_targets: By the skill lost at named targets, not at all columns.

    Returns:
      bool, or an array of them; False where it was not measured.
    """
    return np.less(values.get(SKILL_LOST_TARGETS if of_targets else SKILL_LOST, 0.0), _KNOWS_THE_REFERENCE)


def withhold_approval(judgement: Judgement, reason: str) -> Judgement:
    """Returns the judgement with an approval turned into a review, for `reason`; any other verdict stays."""
    if judgement.verdict != "approve":
        return judgement
    return replace(judgement, verdict="review", reason=reason)


def _missing(values: Mapping[str, float], fitted: Calibrated) -> list[str]:
    """Returns the metrics that a head gives weight and that were not measured."""
    names = [name for name, weight in zip(fitted.head.names, fitted.head.weights, strict=True) if weight > 0]
    return list(dict.fromkeys(name.split(":")[0] for name in names if not np.isfinite(values.get(name, np.nan))))


def _weight_of(metrics: list[str], fitted: Calibrated) -> float:
    """Returns the share of a head's weight that some metrics carry, 0 to 1."""
    head = fitted.head
    carried = [weight for name, weight in zip(head.names, head.weights, strict=True) if name.split(":")[0] in metrics]
    return float(sum(carried) / max(head.weights.sum(), 1e-12))


def _row(values: Mapping[str, float], fitted: Calibrated) -> dict[str, np.ndarray]:
    return {name: np.array([values.get(name, np.nan)]) for name in fitted.head.names}


def _drivers(values: Mapping[str, float], specs: Mapping[str, MetricSpec], fitted: Calibrated) -> tuple[Driver, ...]:
    """Returns each metric's part, its variables together."""
    head = fitted.head
    parts = head.contributions(_row(values, fitted))[0] - head.contributions(_row(fitted.fresh, fitted))[0]
    metrics: dict[str, float] = {}
    for name, part in zip(head.names, fitted.slope * parts, strict=True):
        metric = name.split(":")[0]
        metrics[metric] = metrics.get(metric, 0.0) + float(part)
    found = [
        Driver(name, values[name] if np.isfinite(values.get(name, np.nan)) else None, max(0.0, part))
        for name, part in metrics.items()
        if any(np.isfinite(values.get(name + suffix, np.nan)) for suffix in ("", ":raw"))
    ]
    return tuple(sorted(found, key=lambda driver: -driver.contribution))


def _moved(feature: Feature, spec: MetricSpec, deviations: float) -> Feature:
    """Returns the feature with its value moved towards (positive) or away from harm by deviations of its mean."""
    if feature.value is None:
        return feature
    # A mean over splits of one sample, which overlap, is taken to be no surer than one of them.
    error = np.hypot(feature.spread or 0.0, feature.null_std or 0.0) * deviations
    if spec.two_sided:
        distance = feature.value - (feature.null_mean or 0.0)
        # Away from harm is towards the null, not beyond it.
        error = max(error, -abs(distance))
        toward = np.sign(distance) or 1.0
    else:
        toward = 1.0 if spec.higher_is_worse else -1.0
    return replace(feature, value=float(feature.value + toward * error))
