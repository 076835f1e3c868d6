"""What the calls answer, as types: sections of the report, as report.json has them."""

from typing import Any

from pydantic import BaseModel, ConfigDict

from vr.pipeline.report import (
    CalibrationSection,
    CascadeSection,
    DatasetSection,
    Dimension,
    DiversitySection,
    Interval,
    LocalizationSection,
    PreScreenSection,
    Recommendation,
    SignatureMatch,
    Status,
    Verdict,
)

__all__ = ["Cascade", "Detection", "Diversity", "Predictions", "PreScreen", "Problems", "Recommendations"]


class _Answer(BaseModel):
    # A newer server may say more.
    model_config = ConfigDict(extra="ignore", frozen=True)
    validation_id: str


class Part(BaseModel):
    """Something that was measured, or the reason why it was not."""

    model_config = ConfigDict(extra="allow", frozen=True)
    status: Status
    reason: str | None = None


class Diversity(_Answer):
    """Answer of AnalyzeDiversity."""

    diversity: DiversitySection
    dataset: DatasetSection
    reference: DatasetSection | None
    sample: Part


class PreScreen(_Answer):
    """Answer of PreScreenRisk; `proceed` is None where it could not be measured, and True is no approval."""

    proceed: bool | None
    prescreen: PreScreenSection
    signatures: list[SignatureMatch]
    verdict: Verdict
    verdict_reason: str
    risk_score: float | None
    risk_level: str | None
    collapse_probability: Interval
    calibration: CalibrationSection


class Predictions(_Answer):
    """Answer of GetPredictions."""

    scaling: dict[str, Any]
    risk_score: float | None
    risk_level: str | None
    collapse_probability: Interval
    verdict: Verdict


class Detection(_Answer):
    """Answer of DetectCollapse."""

    verdict: Verdict
    verdict_reason: str
    risk_score: float | None
    risk_level: str | None
    collapse_probability: Interval
    collapse_detected: bool
    collapse_type: str | None
    severity: str
    dimensions: dict[str, Dimension]
    not_measured: list[str]
    root_causes: list[dict[str, Any]]
    calibration: CalibrationSection


class Problems(_Answer):
    """Answer of LocalizeProblems."""

    localization: LocalizationSection
    ablations: list[dict[str, Any]]


class CombinedImpact(Part):
    """The risk that the recommendations with these priorities bring at once."""

    risk_score: float | None = None
    interval: Interval | None = None
    priorities: list[int] = []


class Recommendations(_Answer):
    """Answer of GenerateRecommendations."""

    recommendations: list[Recommendation]
    combined_impact: CombinedImpact
    fix_plan: list[dict[str, Any]]


class Cascade(_Answer):
    """What TrainCascade ends with."""

    cascade: CascadeSection
    scaling: dict[str, Any]
