"""Puts the views of a report into the templates.

The page is one file: styles, scripts, the chart library and the charts' values are all within. Its
Content-Security-Policy names the hashes of its own scripts, so that nothing else can run and nothing can be fetched.
"""

import base64
import hashlib
import json
from functools import cache
from importlib import resources
from typing import Any

from vr.pipeline.extent import Extent
from vr.pipeline.page import sections, summary
from vr.pipeline.page.explanations import DIMENSIONS, SECTIONS
from vr.pipeline.page.nulls import TICKS, WIDTH, position
from vr.pipeline.page.text import clip, label
from vr.pipeline.page.variety import variety_view
from vr.pipeline.report import Status, ValidationReport

__all__ = ["render", "render_summary"]


def render(report: ValidationReport) -> str:
    """Returns the report as one self-contained HTML page of less than 3 MB, whatever its number of rows or columns."""
    shelf = sections.PlotShelf()
    rows = summary.scores(report)
    dimensions = sections.dimension_views(report, rows, shelf)
    cascade = sections.cascade_view(report, shelf)
    localization = sections.rows_view(report.localization, shelf)
    library, licence = _library()
    script = _asset("page.js")
    context = _headline(report, rows, shelf) | {
        "dimensions": dimensions,
        "cascade": cascade,
        "cascade_measured": report.cascade.status is Status.measured,
        "localization": localization,
        "localization_measured": report.localization.status is Status.measured,
        "actions": sections.action_views(report.recommendations, report.remedies),
        "remedies": sections.remedies_view(report.remedies, shelf),
        "more_actions": max(0, len(report.recommendations) - sections.MAX_ACTIONS),
        "diversity": sections.metric_rows(report.diversity.metrics, scored=False, intervals=report.diversity.intervals),
        "variety": variety_view(report.diversity),
        "signatures": sections.signatures_view(report),
        "dataset": sections.dataset_view(report.dataset, "Columns of the candidate"),
        "reference": report.reference and sections.dataset_view(report.reference, "Columns of the reference"),
        "run": sections.run_view(report),
        "explain": SECTIONS,
        "drivers": _drivers(report),
        "read_by_verdict": _read_by_verdict(report),
        "ticks": [(tick, position(tick)) for tick in TICKS],
        "scale_width": WIDTH,
        "style": _asset("page.css"),
        "library": library,
        "licence": licence,
        "script": script,
        "policy": _policy(library, script),
        "payload": _embedded({item.id: {"kind": item.kind, "data": item.data} for item in shelf.views}),
    }
    return _template("page.html.j2").render(context)


def render_summary(report: ValidationReport) -> str:
    """Returns verdict, probability, scores and worst columns as a fragment without scripts, for notebooks."""
    rows = summary.scores(report)
    return _template("summary.html.j2").render(_headline(report, rows, sections.PlotShelf()))


def _template(name: str) -> Any:
    # Loaded where there is something to fill.
    from vr.pipeline.page.templating import environment

    return environment().get_template(name)


def _headline(report: ValidationReport, rows: list[summary.ScoreRow], shelf: sections.PlotShelf) -> dict[str, Any]:
    word, meaning = summary.verdict_words(report)
    return {
        "report": report,
        "word": word,
        "meaning": meaning,
        "reason": clip(report.verdict_reason, 400),
        "gauge": summary.gauge(report),
        "scores": rows,
        "worst": summary.worst_columns(report, shelf.anchors),
        "not_measured": _not_measured(report),
        "verdict_only": report.extent is Extent.verdict,
        "name": clip(report.dataset.uri.rstrip("/").rsplit("/", 1)[-1], 80) or "dataset",
        "reference_name": report.reference and clip(report.reference.uri.rstrip("/").rsplit("/", 1)[-1], 80),
    }


def _not_measured(report: ValidationReport) -> list[str]:
    """What was not measured beside the dimensions, which say so in their own place."""
    items = [item for item in report.not_measured if not item.startswith(tuple(report.dimensions))]
    more = [f"and {len(items) - 12:,} more in report.json"] if len(items) > 12 else []
    return [clip(item, 80) for item in items[:12]] + more


def _drivers(report: ValidationReport) -> list[tuple[str, str]]:
    """What moved the verdict most: the name of a number and its dimension, by falling contribution."""
    return [
        _named(report, driver["feature"])
        for driver in report.drivers[:6]
        if driver.get("feature") and driver.get("contribution") != 0
    ]


def _read_by_verdict(report: ValidationReport) -> list[str]:
    """All numbers that enter the verdict, those that did not move it too."""
    named = [_named(report, driver["feature"]) for driver in report.drivers[:40] if driver.get("feature")]
    return [f"{name} ({title})" if title else name for name, title in named]


def _named(report: ValidationReport, feature: object) -> tuple[str, str]:
    """Returns the words for a qualified feature: its label and its dimension's title."""
    dimension, _, metric = str(feature).partition(".")
    item = report.dimensions.get(dimension)
    known = item.metrics.get(metric) if item else report.diversity.metrics.get(f"{dimension}_{metric}")
    name = clip(known.label, 80) if known and known.label else label(metric or dimension)
    return name, DIMENSIONS[dimension].title if dimension in DIMENSIONS else ""


def _policy(*scripts: str) -> str:
    hashes = " ".join(
        f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts
    )
    # Inline styles place marks by percent; they can neither run nor fetch.
    return (
        f"default-src 'none'; script-src {hashes}; style-src 'unsafe-inline'; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _embedded(value: object) -> str:
    """JSON that cannot end the script element it stands in, nor a line of a script."""
    text = json.dumps(value, allow_nan=False, separators=(",", ":"))
    # ensure_ascii has already written U+2028 and U+2029 as escapes.
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


@cache
def _asset(name: str) -> str:
    return resources.files("vr.pipeline.page").joinpath("assets", name).read_text(encoding="utf-8")


@cache
def _library() -> tuple[str, str]:
    """The chart library as one script, and the licences that travel with it."""
    return _asset("vega.min.js") + "\n" + _asset("vega-interpreter.min.js"), _asset("LICENSE.vega.txt")
