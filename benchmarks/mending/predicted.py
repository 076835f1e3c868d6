"""What the tool measures of a candidate of the study, by its own stages, without proxies."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from benchmarks.collapse.harm import RANKED, SKILL, SKILL_OF_TARGETS
from vr.data.source import open_source
from vr.detector.calibration import load_calibration, metrics_of
from vr.detector.inputs import Inputs
from vr.detector.metric import Feature, MetricSpec
from vr.detector.registry import DIMENSIONS
from vr.pipeline import assemble
from vr.pipeline.config import Config
from vr.pipeline.intake import Intake, take_in

__all__ = ["Taken", "from_row", "names_read", "read", "to_row"]


@dataclass(frozen=True)
class Taken:
    """A candidate taken in and measured."""

    config: Config
    intake: Intake
    inputs: Inputs
    features: Mapping[str, Feature]
    specs: Mapping[str, MetricSpec]


def read(candidate: pa.Table, reference: pa.Table, nulls: dict | None = None, targets: Sequence[str] = ()) -> Taken:
    """Returns a candidate measured against a reference, for the targets where some are named.

    `nulls` is shared by the candidates of one reference.
    """
    config = Config(targets=list(targets))
    intake = take_in(open_source(candidate), open_source(reference), config, 1, lambda *step: None)
    inputs = Inputs.of(intake, None, "no proxies were trained (cascade=none)", config.seed, 1, nulls)
    features, specs = assemble.all_features({name: each.measure(inputs) for name, each in DIMENSIONS.items()})
    return Taken(config, intake, inputs, features, specs)


def names_read() -> list[str]:
    """Returns the features that the heads without proxies and the models of expected harm read."""
    return metrics_of([*load_calibration().heads["untrained"].head.names, SKILL, SKILL_OF_TARGETS, *RANKED])


def to_row(features: Mapping[str, Feature], names: list[str]) -> dict[str, Any]:
    """Returns some features as JSON-able values."""
    found = {}
    for name in names:
        # Of what is left of a small candidate a dimension may be missing as a whole.
        each = features.get(name, Feature.missing("not measured"))
        found[name] = [each.value, each.spread, each.null_mean, each.null_std]
    return found


def from_row(row: Mapping[str, Any]) -> dict[str, Feature]:
    """Returns the features of `to_row`."""
    return {
        name: Feature.missing("not measured") if value is None else Feature(value, *rest)
        for name, (value, *rest) in row.items()
    }
