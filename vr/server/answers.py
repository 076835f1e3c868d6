"""Answers to the calls: parts of one report. Nothing is computed here that the report does not say."""

from collections.abc import Mapping
from typing import Any, TypeVar

from google.protobuf.message import Message

from vr.server._generated.vr.v1 import collapse_engine_pb2 as collapse
from vr.server._generated.vr.v1 import report_pb2
from vr.server._generated.vr.v1 import validation_engine_pb2 as validation
from vr.server.wire import to_message

__all__ = ["ANSWERS", "OF_VERDICT", "cascade_results", "whole_report"]

Report = Mapping[str, Any]
M = TypeVar("M", bound=Message)
# What a request may say; the rest is the operator's: addresses of machines, caches, a database with its password.
_OF_REQUESTS = frozenset(
    ("seed", "targets", "data", "reference", "cascade", "codec", "detector", "localization", "recommendation", "sample")
)
_REMOVES = ("deduplicate", "drop_rows")


def _part(kind: type[M], id: str, report: Report, *names: str, **more: Any) -> M:
    return to_message({"validation_id": id, **{name: report[name] for name in names}, **more}, kind)


def _unmeasured(reason: str) -> dict[str, Any]:
    return {"status": "not_measured", "reason": reason}


def diversity(id: str, report: Report) -> validation.AnalyzeDiversityResponse:
    """Answers AnalyzeDiversity."""
    drawn = report.get("stratified_sample") or _unmeasured("the validation is of an earlier version, which drew none")
    sample = {"status": drawn["status"], "reason": drawn["reason"]}
    if drawn["status"] == "measured":
        sample |= {"uri": drawn["uri"], "section": drawn}
    return _part(validation.AnalyzeDiversityResponse, id, report, "diversity", "dataset", "reference", sample=sample)


def pre_screen(id: str, report: Report) -> validation.PreScreenRiskResponse:
    """Answers PreScreenRisk."""
    answer = report["prescreen"]["answer"]
    return _part(
        validation.PreScreenRiskResponse,
        id,
        report,
        "prescreen",
        "signatures",
        "verdict",
        "verdict_reason",
        "risk_score",
        "risk_level",
        "collapse_probability",
        "calibration",
        proceed=None if answer is None else answer == "proceed",
    )


def predictions(id: str, report: Report) -> validation.GetPredictionsResponse:
    """Answers GetPredictions."""
    return _part(
        validation.GetPredictionsResponse,
        id,
        report,
        "scaling",
        "risk_score",
        "risk_level",
        "collapse_probability",
        "verdict",
    )


def detection(id: str, report: Report) -> collapse.DetectCollapseResponse:
    """Answers DetectCollapse."""
    drivers = report["drivers"]
    driven = sum(max(0.0, driver["contribution"]) for driver in drivers)
    causes = [
        driver | {"share": driver["contribution"] / driven if driver["contribution"] > 0 else None}
        for driver in drivers
    ]
    names = (
        "verdict",
        "verdict_reason",
        "risk_score",
        "risk_level",
        "collapse_probability",
        "collapse_detected",
        "collapse_type",
        "severity",
        "dimensions",
        "not_measured",
        "calibration",
    )
    return _part(collapse.DetectCollapseResponse, id, report, *names, root_causes=causes)


def problems(id: str, report: Report) -> collapse.LocalizeProblemsResponse:
    """Answers LocalizeProblems."""
    ablations = [
        {
            "category": advice["category"],
            "title": advice["title"],
            "removed_rows": advice["affected_rows"],
            "risk_score": report["risk_score"],
            "risk_score_after": advice["expected_risk_score"],
            "basis": advice["basis"],
        }
        for advice in report["recommendations"]
        if advice["action"].get("kind") in _REMOVES
    ]
    return _part(
        collapse.LocalizeProblemsResponse,
        id,
        report,
        "localization",
        ablations=ablations,
    )


def advice(id: str, report: Report) -> collapse.GenerateRecommendationsResponse:
    """Answers GenerateRecommendations."""
    return _part(
        collapse.GenerateRecommendationsResponse,
        id,
        report,
        "recommendations",
        combined_impact=_combined_impact(report),
        fix_plan=[each["action"] for each in report["recommendations"]],
    )


def _combined_impact(report: Report) -> dict[str, Any]:
    """Returns the risk that all measured recommendations bring at once, or that the only one brings."""
    advice, remedies = report["recommendations"], report.get("remedies") or {}
    several = remedies.get("together") or []
    most = max(several, key=lambda each: len(each["priorities"]), default=None)
    if most is not None:
        expected, priorities = most["expected_risk_score"], most["priorities"]
    elif len(advice) == 1:
        expected, priorities = advice[0]["expected_risk_score"], [advice[0]["priority"]]
    else:
        why = "no two of the recommendations were measured" if advice else "nothing is recommended"
        return _unmeasured(why)
    if expected is None or expected["value"] is None:
        return _unmeasured((expected or {}).get("reason") or "it was not measured")
    return {
        "status": "measured",
        "reason": None,
        "risk_score": expected["value"],
        "interval": expected,
        "priorities": priorities,
    }


def cascade_results(report: Report) -> validation.CascadeResults:
    """Returns what TrainCascade ends with."""
    return to_message({"cascade": report["cascade"], "scaling": report["scaling"]}, validation.CascadeResults)


def whole_report(report: Report) -> report_pb2.ValidationReport:
    """Returns what Validate ends with."""
    run = report["run"]
    configuration = {name: value for name, value in run["configuration"].items() if name in _OF_REQUESTS}
    return to_message({**report, "run": {**run, "configuration": configuration}}, report_pb2.ValidationReport)


# The unary calls that answer with a part of the report.
ANSWERS = {
    "AnalyzeDiversity": diversity,
    "PreScreenRisk": pre_screen,
    "GetPredictions": predictions,
    "DetectCollapse": detection,
    "LocalizeProblems": problems,
    "GenerateRecommendations": advice,
}
# The calls whose answers a verdict alone has all of, where nothing is trained.
OF_VERDICT = frozenset(("DetectCollapse", "PreScreenRisk", "GetPredictions", "TrainCascade"))
