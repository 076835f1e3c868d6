"""Which of a report's recommendations are to be executed, and which of those can be."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

from vr.core.errors import ConfigError, DataError
from vr.pipeline.extent import Extent
from vr.pipeline.report import SCHEMA_VERSION, Recommendation, ValidationReport
from vr.recommendation.vocabulary import (
    NEED_REAL_ROWS,
    Clip,
    Deduplicate,
    Executable,
    GiveReference,
    Repair,
    Reweight,
    parse_action,
)

__all__ = ["Chosen", "choose", "load_report"]

_FIRST_EXECUTABLE = (1, 3)  # the report's schema whose actions have the form that is executed here


@dataclass(frozen=True)
class Chosen:
    """A recommendation to be executed.

    Attributes:
      recommendation: As the report has it.
      action: What it says to do.
      skipped: Why it is not done; None where it is.
    """

    recommendation: Recommendation
    action: Executable
    skipped: str | None = None


def load_report(path: Path) -> tuple[ValidationReport, str]:
    """Returns a report and the SHA-256 of its file.

    Raises:
      ConfigError: if there is none, or it is of a schema whose actions are not known.
    """
    try:
        text = path.read_bytes()
        document = json.loads(text)
        version = str(document["schema_version"])
        major_minor = tuple(int(part) for part in version.split(".")[:2])
    except OSError as err:
        raise ConfigError(
            f"cannot be read ({err.strerror})", where=str(path), hint="give the report.json of a `vr validate`"
        ) from err
    except (ValueError, KeyError, TypeError, AttributeError) as err:
        raise ConfigError(
            "is no report of vr", where=str(path), hint="give the report.json of a `vr validate`"
        ) from err
    ours = tuple(int(part) for part in SCHEMA_VERSION.split(".")[:2])
    if not (major_minor[0] == ours[0] and _FIRST_EXECUTABLE <= major_minor <= ours):
        raise ConfigError(
            f"is of schema_version {version}, whose actions this vr does not execute",
            where=str(path),
            hint=f"validate again with this vr, whose reports are of {SCHEMA_VERSION}",
        )
    try:
        return ValidationReport.model_validate(document), hashlib.sha256(text).hexdigest()
    except ValueError as err:
        raise ConfigError("is a damaged report", where=str(path), hint="validate again") from err


def choose(report: ValidationReport, top: int | None, *, has_real: bool) -> list[Chosen]:
    """Returns the first `top` recommendations, all by default, and which of them cannot be done with what is given.

    Raises:
      ConfigError: where there are not so many, or nothing would be done.
      DataError: where an action is none that is known.
    """
    if report.extent is Extent.verdict:
        raise ConfigError(
            "is of a verdict alone, which recommends nothing",
            where="--report",
            hint="validate without --verdict-only",
        )
    listed = sorted(report.recommendations, key=lambda item: item.priority)
    if not listed:
        raise ConfigError("recommends nothing: there is nothing to fix", where="--report")
    if top is not None and not 1 <= top <= len(listed):
        raise ConfigError(f"must lie in 1 to {len(listed)}, which the report recommends, not {top}", where="--top")
    chosen = []
    for item in listed[:top]:
        action = parse_action(item.action, f"recommendation {item.priority}")
        skipped = None
        if isinstance(action, GiveReference):
            skipped = "needs real rows to judge by: validate with --reference"
        elif isinstance(action, Deduplicate) and action.beside:
            skipped = (
                f"cannot be done: rows that look alike may differ in columns that were not compared "
                f"({', '.join(action.beside[:3])}{', ...' if len(action.beside) > 3 else ''})"
            )
        elif isinstance(action, NEED_REAL_ROWS) and not has_real:
            skipped = f"needs about {item.affected_rows:,} real rows: give them with --real FILE"
        chosen.append(Chosen(item, action, skipped))
    cells = (Clip, Repair)
    once = [("", a.column) if isinstance(a, cells) else (a.kind, "") for a in (item.action for item in chosen)]
    if any(
        isinstance(i.action, (*cells, *NEED_REAL_ROWS, Reweight)) and once.count(key) > 1
        for i, key in zip(chosen, once, strict=True)
    ):
        raise DataError(
            "adds real rows, fills regions, weighs rows, or clips or repairs one column, more than once",
            where="--report",
            hint="make the report again",
        )
    if all(item.skipped for item in chosen):
        raise ConfigError(
            "nothing can be done: " + "; ".join(f"{item.recommendation.title} {item.skipped}" for item in chosen),
            where="--report" if top is None else "--top",
        )
    return chosen
