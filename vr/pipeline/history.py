"""A run's and a fix's records in the history of the library that the run was configured with."""

import hashlib
import json
import logging
from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

from vr.cascade.config import DECIDES
from vr.core.plain import to_plain
from vr.detector.calibration import load_calibration
from vr.pipeline.config import Config
from vr.pipeline.report import DatasetSection, Interval, Recommendation, ValidationReport
from vr.recommendation.vocabulary import Reweight
from vr.signatures.config import SignaturesConfig
from vr.signatures.records import TOGETHER, Applied, Fix, Judged, Prediction, Record, Validation

__all__ = ["corrections_of", "fix_record", "remember", "validation_record"]

_LOG = logging.getLogger(__name__)
_MOST_NAME = 200  # characters of a dataset's name


def remember(config: SignaturesConfig, records: Callable[[], Sequence[Record]]) -> None:
    """Keeps what `records` gives where there is a library and history is wanted; a failure is a warning, no error."""
    if config.library is None or not config.history:
        return
    try:
        from vr.signatures.database import Database
        from vr.signatures.history import keep

        with Database(config.library, create=False) as database:
            keep(database, records())
    except Exception as error:  # noqa: BLE001 - whatever a database does, the run is done and stands
        text = " ".join(str(error).split()) or type(error).__name__
        _LOG.warning("nothing was kept in the history (signatures.history=false leaves it alone): %s", text)


def validation_record(report: ValidationReport) -> Validation:
    """Returns what history keeps of a report."""
    return Validation(judged=_judged(report), recommended=tuple(map(_prediction, report.recommendations)))


def fix_record(report: ValidationReport, manifest: dict[str, Any]) -> Fix:
    """Returns what history keeps of a fix.

    Args:
      report: Whose recommendations were executed.
      manifest: Of the new file, see `vr.pipeline.manifest`.
    """
    predictions = {each.priority: _prediction(each) for each in report.recommendations}
    applied = tuple(_applied(action, predictions[action["priority"]]) for action in manifest["actions"])
    return Fix(
        before=_judged(report),
        applied=applied,
        together=_together(report, applied),
        output=manifest["output"]["fingerprint"],
        output_rows=manifest["output"]["rows"],
    )


def corrections_of(config: Config) -> dict[str, dict[str, Any]]:
    """Returns by how much predicted risks are to be moved, by kind of action and as JSON-able values.

    Raises:
      ConfigError: There is no such library.
      LibraryError: It cannot be read.
    """
    if not config.recommendation.history or config.signatures.library is None:
        return {}
    from vr.pipeline.track_record import cases_of
    from vr.recommendation.correction import corrections
    from vr.signatures.database import Database
    from vr.signatures.history import read

    with Database(config.signatures.library, create=False) as database:
        history = read(database)
    kinds = {fix.foretold.kind for _, fix in history.fixes if fix.foretold is not None}
    # Errors of another head, or of other proxies, are not this run's.
    question = _question_of(
        load_calibration().version,
        ("trained" if config.cascade.tiers else "untrained") + ("_for_targets" if config.targets else ""),
        config.cascade.preset,
        to_plain(config),
    )
    found = corrections(
        {kind: cases_of(history, of_one=True, kind=kind, moved=False, question=question) for kind in kinds}
    )
    return {kind: asdict(each) for kind, each in found.items()}


def _together(report: ValidationReport, applied: Sequence[Applied]) -> Prediction | None:
    """Returns what was measured of just the actions that were done, as they were told; None where nothing was."""
    done = [each for each in applied if each.status == "done"]
    if report.remedies is None or not all(each.as_told for each in done):
        return None
    priorities = sorted(each.prediction.priority for each in done)
    for told in report.remedies.together:
        if told.priorities == priorities and told.expected_risk_score.value is not None:
            return Prediction(
                priority=0,
                kind=TOGETHER,
                rows=sum(each.prediction.rows for each in done),
                risk=told.expected_risk_score.value,
                lower=told.expected_risk_score.lower,
                upper=told.expected_risk_score.upper,
                skill_lost=_value(told.expected_skill_loss),
            )
    return None


def _judged(report: ValidationReport) -> Judged:
    lost = None if report.remedies is None else _value(report.remedies.expected_skill_loss)
    return Judged(
        name=_name(report.dataset),
        fingerprint=report.dataset.fingerprint,
        rows=report.dataset.rows,
        reference=None if report.reference is None else report.reference.fingerprint,
        question=_question(report),
        seed=report.run.seed,
        verdict=report.verdict.value,
        risk=report.risk_score,
        skill_lost=lost,
    )


def _prediction(told: Recommendation) -> Prediction:
    expected = told.expected_risk_score
    return Prediction(
        priority=told.priority,
        kind=told.action["kind"],
        rows=told.affected_rows,
        risk=_value(expected),
        shift=told.history_shift,
        lower=None if expected is None else expected.lower,
        upper=None if expected is None else expected.upper,
        skill_lost=_value(told.expected_skill_loss),
    )


def _applied(action: dict[str, Any], prediction: Prediction) -> Applied:
    # Of a file with fewer real rows than were asked for all are added, which the prediction is not of.
    fewer = action["rows_short"] > 0
    return Applied(
        prediction=prediction,
        status=action["status"],
        # A validation reads no weights, so that it says nothing of what was measured with them.
        as_told=action["status"] == "done" and not fewer and action["action"]["kind"] != Reweight.kind,
        rows_removed=action["rows_removed"],
        cells_changed=action["cells_changed"],
        rows_added=action["rows_added"],
    )


def _question(report: ValidationReport) -> str:
    told = report.calibration
    return _question_of(told.version, told.situation, report.cascade.preset, report.run.configuration)


def _question_of(version: str, situation: str, preset: str, settings: dict[str, Any]) -> str:
    """Returns a digest of what decides a risk beside the datasets and the seed."""
    cascade = settings.get("cascade", {})
    document = {
        "calibration": [version, situation],
        "cascade": [preset, *(cascade.get(name) for name in DECIDES)],
        "sample": settings.get("sample"),
        "codec": settings.get("codec"),
        "types": settings.get("data", {}).get("types"),
    }
    if targets := settings.get("targets"):
        document["targets"] = sorted(targets)
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


def _name(dataset: DatasetSection) -> str:
    name = dataset.uri.rstrip("/").rsplit("/", 1)[-1][:_MOST_NAME]
    # A file's name need not be text.
    return name.encode(errors="replace").decode()


def _value(interval: Interval | None) -> float | None:
    return None if interval is None else interval.value
