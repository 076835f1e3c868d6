"""The words and marks that a reader of the report goes by: severity, risk level, type of collapse, what passed."""

import numpy as np
import pytest

from vr.detector.calibration import load_calibration
from vr.detector.config import DetectorConfig
from vr.detector.dimensions.base import Measurement
from vr.detector.metric import Feature
from vr.detector.registry import DIMENSIONS
from vr.pipeline import assemble
from vr.pipeline.report import Dimension, Status


@pytest.mark.parametrize(
    ("risk", "detected", "reject_from", "expected"),
    [
        (None, False, 90.0, "none"),
        (60.0, False, 90.0, "none"),
        (40.0, True, 90.0, "low"),
        (70.0, True, 90.0, "medium"),
        (90.0, True, 90.0, "high"),
        (45.0, True, 40.0, "high"),
    ],
)
def test_severity_goes_with_the_verdict(risk, detected, reject_from, expected):
    assert assemble.severity(risk, detected, reject_from) == expected


@pytest.mark.parametrize(
    ("risk", "expected"),
    [(None, None), (0.0, "low"), (19.9, "low"), (20.0, "medium"), (50.0, "medium"), (50.1, "high")],
)
def test_risk_levels_turn_at_20_and_50(risk, expected):
    assert assemble.risk_level(risk) == expected


def section(score, threshold):
    return Dimension(score=score, threshold=threshold, passed=score >= threshold, status=Status.measured)


def test_the_type_of_collapse_is_that_of_the_dimension_that_fails_by_most():
    found = {name: section(90.0, 60.0) for name in DIMENSIONS}
    assert assemble.collapse_type(found, True) is None
    # The lowest score of all, but it passes.
    found["spectral_coherence"] = section(52.0, 50.0)
    found["distribution_fidelity"] = section(58.0, 70.0)
    found["entropy_stability"] = section(57.0, 62.0)
    assert assemble.collapse_type(found, True) == "distribution"
    assert assemble.collapse_type(found, False) is None


@pytest.mark.parametrize("situation", ["trained", "untrained"])
def test_dimensions_are_scored_on_the_ladder_of_the_situation(situation):
    specs = DIMENSIONS["generalization_gap"].metrics
    share = Feature(specs["skill_lost_trees"].floor * 4.0, 0.0, 0.0, 0.0)
    measurements = {name: Measurement.missing("not now") for name in DIMENSIONS}
    measurements["generalization_gap"] = Measurement({"skill_lost_trees": share})
    ladder = load_calibration().ladders[situation]["generalization_gap"]
    config = DetectorConfig()
    found = assemble.dimension_sections(measurements, config, situation)
    section = found["generalization_gap"]
    assert section.score == pytest.approx(ladder.score(float(np.log1p(3.0))), abs=0.01)
    assert section.threshold == ladder.threshold
    assert section.passed == (section.score >= ladder.threshold)
    assert found["spectral_coherence"].reason == "not now"
    config.dimensions["generalization_gap"].threshold = 1.0
    assert assemble.dimension_sections(measurements, config, situation)["generalization_gap"].passed


def test_without_a_score_the_reason_is_why_nothing_can_be_scored():
    measurements = {name: Measurement({}) for name in DIMENSIONS}
    found = assemble.dimension_sections(measurements, DetectorConfig(), "without_reference", "needs a reference")
    assert {section.reason for section in found.values()} == {"needs a reference"}
