"""From what was measured to a judgement: all dimensions, and what the verdict makes of them."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from vr.cascade.config import changes_to
from vr.data.source import Source
from vr.detector import reference_free
from vr.detector.calibration import SKILL_LOST, SKILL_LOST_TARGETS
from vr.detector.dimensions.base import Measurement
from vr.detector.dimensions.generalization_gap import judged_targets
from vr.detector.inputs import Inputs
from vr.detector.metric import Feature, MetricSpec
from vr.detector.registry import DIMENSIONS
from vr.detector.verdict import Judgement, judge, withhold_approval
from vr.pipeline import assemble
from vr.pipeline.config import Config
from vr.pipeline.intake import Intake
from vr.pipeline.progress import Event, ProgressCallback
from vr.pipeline.report import Dimension

__all__ = ["Judged", "judged"]

_CALIBRATED_CASCADE = "laptop"  # whose tiers the labelled benchmark was measured with


@dataclass(frozen=True)
class Judged:
    """What was measured of a candidate, and the answer.

    Attributes:
      intake: Both datasets, with a note on the targets that the verdict does not speak of.
      measurements: By dimension.
      alone: What reads the candidate by itself, by qualified name; empty where there is a reference.
      features: All that was measured, by qualified name.
      specs: What each of them is.
      targets: Names of those that the verdict speaks of.
      judgement: The answer.
      sections: The report's, by dimension.
    """

    intake: Intake
    measurements: Mapping[str, Measurement]
    alone: Mapping[str, Feature]
    features: dict[str, Feature]
    specs: dict[str, MetricSpec]
    targets: list[str]
    judgement: Judgement
    sections: dict[str, Dimension]

    @property
    def risk(self) -> float | None:
        """Probability of collapse in percent; None where nothing that the verdict reads could be measured."""
        probability = self.judgement.probability
        return None if probability is None else round(100.0 * probability, 3)


def judged(reference: Source | None, intake: Intake, inputs: Inputs, config: Config, tell: ProgressCallback) -> Judged:
    """Measures all dimensions and judges.

    Args:
      reference: Real rows, where there are some; its schema is read.
      intake: Both datasets as they were taken in.
      inputs: The same with the cascade, where one was trained.
      config: Of the run.
      tell: Told of each dimension.
    """
    measurements = {}
    for index, (name, dimension) in enumerate(DIMENSIONS.items()):
        tell(Event("statistics", index, len(DIMENSIONS), name.replace("_", " ")))
        measurements[name] = dimension.measure(inputs)
    tell(Event("statistics", len(DIMENSIONS), len(DIMENSIONS)))
    features, specs = assemble.all_features(measurements)
    spoken_of = judged_targets(inputs)
    targets = [name for name, j in zip(config.targets, intake.targets, strict=True) if j in spoken_of]
    if left := [name for name in config.targets if name not in targets]:
        # First among them: it changes what the verdict speaks of.
        intake = replace(intake, notes=[_not_judged(left, targets, intake, features), *intake.notes])
    alone = {} if reference is not None else reference_free.measure(inputs)
    features, specs = features | alone, specs | reference_free.METRICS
    judgement = judge(features, specs, config.detector, with_reference=reference is not None)
    sections = assemble.dimension_sections(measurements, config.detector, judgement.situation, intake.splits_reason)
    judgement = _with_doubts(judgement, reference, intake, config)
    return Judged(intake, measurements, alone, features, specs, targets, judgement, sections)


def _with_doubts(judgement: Judgement, reference: Source | None, intake: Intake, config: Config) -> Judgement:
    """Returns a judgement with what no head knows of: proxies of another kind, columns that could not be compared."""
    with_proxies = judgement.situation.startswith("trained")
    if with_proxies and (changes := changes_to(_CALIBRATED_CASCADE, config.cascade)):
        strange = f"{', '.join(changes)} (calibrated with cascade={_CALIBRATED_CASCADE} as it ships)"
        judgement = replace(judgement, beyond=(*judgement.beyond, strange))
    if missing := _not_compared(reference, intake, config):
        judgement = withhold_approval(
            judgement,
            f"{len(missing)} of the reference's columns could not be compared ({', '.join(missing[:3])}"
            f"{', ...' if len(missing) > 3 else ''}): what they lost is not known",
        )
    if infinite := _newly_infinite(intake):
        judgement = withhold_approval(
            judgement, f"column '{infinite[0]}' has infinite values, which the reference has nowhere in it"
        )
    return judgement


def _not_judged(left: list[str], judged: list[str], intake: Intake, features: Mapping[str, Feature]) -> str:
    """Returns what is said of targets that the verdict does not speak of."""
    names = ", ".join(f"'{name}'" for name in left)
    found = features.get(SKILL_LOST_TARGETS)
    if found is None or (found.value is None and SKILL_LOST not in features):
        reason = intake.splits_reason if found is None else found.reason
        return f"what is lost at predicting {names} was not measured: {reason}"
    instead = ", ".join(f"'{name}'" for name in judged) or "all columns"
    return f"real rows hardly teach to predict {names}, so that there is no skill to lose: judged by {instead}"


def _not_compared(reference: Source | None, intake: Intake, config: Config) -> list[str]:
    """Returns the reference's columns that the candidate lacks or has of another type, those set to `ignore` aside."""
    if reference is None:
        return []
    ignored = {name for name, kind in {**config.reference.types, **config.data.types}.items() if kind == "ignore"}
    compared = {column.name for column in intake.codec.columns} | ignored
    return [name for name in reference.schema.names if name not in compared]


def _newly_infinite(intake: Intake) -> list[str]:
    """Returns the columns with infinite values in the candidate and none in the reference."""
    if intake.reference_profile is None:
        return []
    theirs = intake.reference_profile.moments
    return [name for name, m in intake.candidate_profile.moments.items() if m.infinite and not theirs[name].infinite]
