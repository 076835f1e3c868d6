"""The page below the fold: one bounded view for each part of the report."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from vr.core.printable import numbered
from vr.pipeline.page.derived import loss_curves, scaling_fit
from vr.pipeline.page.explanations import DIMENSIONS, Explanation
from vr.pipeline.page.nulls import NullMark, mark
from vr.pipeline.page.plots import PlotView, view
from vr.pipeline.page.summary import ScoreRow, percent
from vr.pipeline.page.table import Table, flatten, records
from vr.pipeline.page.text import clip, count, is_interval, label, number, scalar
from vr.pipeline.report import (
    ColumnSummary,
    CombinedEffect,
    DatasetSection,
    ForecastSection,
    Generations,
    Interval,
    LocalizationSection,
    Metric,
    MissingRegion,
    OwnMetric,
    Plot,
    PreScreenSection,
    Recommendation,
    RemediesSection,
    RowFinding,
    ValidationReport,
)

__all__ = ["ActionView", "DimensionView", "MetricRow", "PlotGroup", "PlotShelf"]

MAX_PLOTS = 8
MAX_METRICS = 40
MAX_ROWS = 20
MAX_COLUMNS = 60
MAX_ACTIONS = 12
MAX_NOTES = 30
MAX_SETTINGS = 160
# All charts together, in characters of JSON; a page stays under 3 MB whatever a report holds.
PLOT_BUDGET = 900_000


@dataclass(frozen=True)
class PlotGroup:
    """Plots shown together; `more` were left out."""

    plots: list[PlotView]
    more: int = 0


@dataclass
class PlotShelf:
    """Hands out identifiers and keeps the charts of a page within PLOT_BUDGET."""

    views: list[PlotView] = field(default_factory=list)
    spent: int = 0
    anchors: dict[str, str] = field(default_factory=dict)

    def place(self, plots: Iterable[Plot]) -> PlotGroup:
        """Returns the plots that there is something to draw of and room for."""
        kept: list[PlotView] = []
        more = 0
        for plot in plots:
            if len(kept) == MAX_PLOTS:
                more += 1
                continue
            item = view(plot, f"plot-{len(self.views)}")
            if item is None:
                continue
            # The table beside the chart repeats its values, hence twice.
            size = 2 * len(str(item.data))
            if self.spent + size > PLOT_BUDGET:
                more += 1
                continue
            self.spent += size
            self.views.append(item)
            kept.append(item)
            if plot.kind == "overlay" and isinstance(plot.data.get("column"), str):
                self.anchors.setdefault(plot.data["column"], item.id)
        return PlotGroup(kept, more)


@dataclass(frozen=True)
class MetricRow:
    """One number beside its null, or beside why there is none."""

    title: str
    description: str
    value: str
    unit: str
    null: str
    no_null: str
    mark: NullMark | None
    unmarked: str
    reason: str
    counted: bool


@dataclass(frozen=True)
class DimensionView:
    """One dimension with its numbers and its evidence."""

    row: ScoreRow
    explanation: Explanation
    metrics: list[MetricRow]
    more_metrics: int
    group: PlotGroup


@dataclass(frozen=True)
class ActionView:
    """One recommendation as text."""

    title: str
    category: str
    description: str
    rows: str
    risk: str
    unknown: str
    basis: str
    cost: list[tuple[str, str]]
    price: list[tuple[str, str]]


def metric_rows(
    metrics: Mapping[str, Metric], *, scored: bool = True, intervals: Mapping[str, Interval] | None = None
) -> list[MetricRow]:
    """Returns the numbers of a dimension, those furthest from their null first.

    Args:
      metrics: By key.
      scored: Whether some make a score.
      intervals: By key, where a number has one of its own.
    """
    marked = [(key, metric, mark(metric)) for key, metric in metrics.items()]
    # Only where the report tells the numbers that make the score from those that explain it.
    told = scored and any(getattr(metric, "judged", False) for metric in metrics.values())
    marked.sort(key=lambda item: (item[1].value is None, item[2] is None, -item[2].z if item[2] else 0.0))
    rows = []
    for key, metric, dot in marked[:MAX_METRICS]:
        null = ""
        if metric.null_mean is not None:
            null = number(metric.null_mean) + (f" ± {number(metric.null_std, 2)}" if metric.null_std else "")
        elif isinstance(metric, OwnMetric) and metric.reference is not None:
            null = f"{number(metric.reference)} in the reference's file"
        rows.append(
            MetricRow(
                clip(metric.label, 80) or label(key),
                clip(metric.description),
                number(metric.value) + _own_interval((intervals or {}).get(key)),
                clip(metric.unit, 24),
                null,
                clip(metric.reason or "no null", 80),
                dot,
                "no spread in the null" if metric.null_mean is not None else "",
                clip(metric.reason or "not defined here") if metric.value is None else "",
                bool(getattr(metric, "judged", False)) or not told,
            )
        )
    return rows


def _own_interval(found: Interval | None) -> str:
    if found is None or found.lower is None or found.upper is None:
        return ""
    return f" ({number(found.lower)} to {number(found.upper)})"


def dimension_views(report: ValidationReport, rows: list[ScoreRow], shelf: PlotShelf) -> list[DimensionView]:
    """Returns the dimensions in the order of `rows`."""
    views = []
    for row in rows:
        item = report.dimensions[row.key]
        explanation = DIMENSIONS.get(row.key, Explanation(row.title, "", ""))
        more = max(0, len(item.metrics) - MAX_METRICS)
        views.append(DimensionView(row, explanation, metric_rows(item.metrics), more, shelf.place(item.evidence)))
    return views


def cascade_view(report: ValidationReport, shelf: PlotShelf) -> dict[str, Any]:
    """Returns tiers, curves, the scaling fit and the trained models."""
    cascade, scaling = report.cascade, report.scaling
    fit = scaling_fit(cascade, scaling)
    facts = [
        (label(key), scalar(value))
        for key, value in list(scaling.items())[:MAX_SETTINGS]
        if key != "reason" and (value["value"] is not None if is_interval(value) else isinstance(value, (int, float)))
    ]
    return {
        "tiers": records(cascade.tiers, "Tiers of the cascade", 12),
        "models": records(cascade.models, "Trained models", 60, max_columns=14),
        "group": shelf.place(loss_curves(cascade) + ([fit] if fit else [])),
        "scaling": facts,
        "scaling_reason": clip(scaling.get("reason") or ""),
        "unidentified": scaling.get("asymptote_identified") is False,
    }


def rows_view(section: LocalizationSection, shelf: PlotShelf) -> dict[str, Any]:
    """Returns the strip along the file, the rows to look at first, and contiguous regions."""
    listed = section.rows[:MAX_ROWS]
    # What the proxies say of a row takes room only where they were asked.
    columns: dict[str, Callable[[RowFinding], str]] = {
        "Row": lambda r: count(r.row),
        "Score": lambda r: number(r.score),
        "Confidence": lambda r: number(r.confidence),
    }
    if any(r.influence is not None for r in listed):
        columns["Influence"] = lambda r: "" if r.influence is None else number(r.influence)
    numeric = len(columns)
    columns |= {"Defects": lambda r: _names(r.defects, 4), "Columns": lambda r: _names(r.columns, 6)}
    if any(r.cells for r in listed):
        columns["Loss by cell, nats"] = lambda r: _cells(r.cells)
    columns["Why"] = lambda r: clip(r.reason, 320)
    rows = [[cell(r) for cell in columns.values()] for r in listed]
    regions = [
        [
            count(r.row_start),
            count(r.row_end - 1),
            clip(r.defect, 60).replace("_", " "),
            number(r.score),
            _names(r.columns, 6),
        ]
        for r in section.regions[:MAX_ROWS]
    ]
    missing = [
        [
            clip(" and ".join(m.conditions), 320),
            _percent(m.reference_share),
            _percent(m.candidate_share),
            clip(_example(m), 320),
        ]
        for m in section.missing_regions[:MAX_ROWS]
    ]
    return {
        "group": shelf.place(section.evidence),
        "missing": Table(
            "Missing: parts of the reference that the candidate does not cover",
            ["Where", "Share of the reference", "Share of the candidate", "A row of the reference there"],
            missing,
            max(0, len(section.missing_regions) - MAX_ROWS),
            frozenset({1, 2}),
            blocks=True,
        ),
        "rows": Table(
            "Rows to look at first, counted from 0",
            list(columns),
            rows,
            max(0, len(section.rows) - MAX_ROWS),
            frozenset(range(numeric)),
            blocks=True,
        ),
        "regions": Table(
            "Regions: stretches of suspicious rows",
            ["From row", "To row", "Defect", "Score", "Columns"],
            regions,
            max(0, len(section.regions) - MAX_ROWS),
            frozenset({0, 1, 3}),
            blocks=True,
        ),
    }


def _names(names: list[str], limit: int) -> str:
    text = ", ".join(clip(name, 40).replace("_", " ") if limit == 4 else clip(name, 40) for name in names[:limit])
    return text + (f" and {len(names) - limit:,} more" if len(names) > limit else "")


def _cells(cells: dict[str, float]) -> str:
    """Returns the three cells that a row's loss is due to most."""
    worst = sorted(cells.items(), key=lambda cell: (-cell[1], cell[0]))[:3]
    return ", ".join(f"{clip(name, 40)} {number(share)}" for name, share in worst)


def _percent(share: float) -> str:
    return f"{100.0 * share:.1f} %"


def _example(region: MissingRegion) -> str:
    if not region.examples:
        return ""
    cells = ", ".join(f"{clip(name, 40)} = {clip(value, 40)}" for name, value in list(region.examples[0].items())[:12])
    return f"row {count(region.reference_rows[0])}: {cells}" if region.reference_rows else cells


def action_views(recommendations: list[Recommendation], remedies: RemediesSection | None) -> list[ActionView]:
    """Returns the recommendations by priority, their prices in the remedies' currency."""
    currency = "" if remedies is None else clip(remedies.currency, 12)
    ordered = sorted(recommendations, key=lambda item: item.priority)
    return [
        ActionView(
            clip(item.title, 140),
            label(item.category),
            clip(item.description, 600),
            count(item.affected_rows),
            _risk(item.expected_risk_score),
            clip((item.expected_risk_score and item.expected_risk_score.reason) or "", 120),
            clip(item.basis, 400),
            [(label(k), scalar(v, 80)) for k, v in list(item.cost.items())[:6] if v is not None],
            _price(item, currency),
        )
        for item in ordered[:MAX_ACTIONS]
    ]


def _price(item: Recommendation, currency: str) -> list[tuple[str, str]]:
    lost = item.expected_skill_loss
    facts = [] if lost is None or lost.value is None else [("Skill lost afterwards", f"{100.0 * lost.value:.0f} %")]
    if item.price is None:
        return facts
    front = {True: ", on the front", False: ", beaten by another action", None: ""}[item.on_front]
    return [*facts, ("Price", f"{number(item.price)} {currency}{front}".strip())]


def remedies_view(section: RemediesSection | None, shelf: PlotShelf) -> dict[str, Any]:
    """Returns the front of risk and price, and the mix with real rows that would be approved."""
    if section is None:
        return {"front": PlotGroup([], 0), "together": [], "mix": [], "curve": PlotGroup([], 0), "forecast": None}
    front, mix = shelf.place(section.evidence), section.mix
    view = {"front": front, "together": [_together(each) for each in section.together]}
    if mix.share is None or mix.approve_below is None:
        return {**view, "mix": [], "curve": PlotGroup([], 0), "forecast": _forecast(section.forecast, shelf)}
    by_harm = "" if mix.share_by_harm is None else _enough(mix.share_by_harm)
    facts = [
        ("Real rows in a mix that is approved", _enough(mix.share)),
        ("In one that is expected to keep nine tenths of the skill", by_harm),
        ("Real rows beside all of these", "" if mix.real_rows is None else count(mix.real_rows)),
        ("Approved below a risk of", number(mix.approve_below)),
        ("Why", clip(mix.reason or "", 200)),
    ]
    return {
        **view,
        "mix": [fact for fact in facts if fact[1]],
        "curve": shelf.place(mix.evidence),
        "forecast": _forecast(section.forecast, shelf),
    }


def _together(effect: CombinedEffect) -> tuple[str, str]:
    """Returns which actions, and what they bring at once."""
    lost = effect.expected_skill_loss.value
    after = "" if lost is None else f", skill lost afterwards {100.0 * lost:.0f} %"
    said = _risk(effect.expected_risk_score)
    reason = clip(effect.expected_risk_score.reason or "", 120)
    return f"Actions {numbered(effect.priorities)}", f"risk {said}{after}" if said else reason


def _forecast(section: ForecastSection, shelf: PlotShelf) -> dict[str, Any] | None:
    if section.replace is None or section.accumulate is None:
        return None
    facts = [
        ("Refitted to its own output alone", _generations(section.replace, section.generations)),
        ("With everything before beside it", _generations(section.accumulate, section.generations)),
    ]
    return {"facts": facts, "plots": shelf.place(section.evidence)}


def _generations(found: Generations, walked: int | None) -> str:
    beyond = f"more than {walked}"
    value, lower, upper = (beyond if end is None else f"{end:.0f}" for end in (found.median, found.first, found.last))
    return value if lower == upper else f"{value} (from {lower} to {upper}, by the kind of generator)"


def _enough(share: Interval) -> str:
    if share.value is None or share.lower is None:
        return "none of the shares measured is enough"
    upper = "or more" if share.upper is None else f"to {share.upper:.0%}"
    return f"{share.value:.0%} ({share.lower:.0%} {upper} at {share.level:.0%})"


def _risk(expected: Interval | None) -> str:
    if expected is None or expected.value is None:
        return ""
    text = f"{expected.value:.0f}"
    if expected.lower is None or expected.upper is None:
        return text
    return f"{text} ({expected.lower:.0f} to {expected.upper:.0f})"


def dataset_view(section: DatasetSection, caption: str) -> dict[str, Any]:
    """Returns facts, notes and the columns, those that drifted most first."""
    order = sorted(section.columns, key=lambda c: (c.drift is None, -((c.drift or 0) - (c.drift_null or 0))))
    drifted = any(column.drift is not None for column in order)
    noted = any(_column_note(column) for column in order)
    headers = (
        ["Column", "Kind", "Nulls", "Distinct"]
        + (["Drift", "Expected"] if drifted else [])
        + (["Note"] if noted else [])
    )
    rows = []
    for column in order[:MAX_COLUMNS]:
        row = [clip(column.name, 80), clip(column.kind, 30), count(column.nulls), count(column.distinct)]
        row += [number(column.drift, 2), number(column.drift_null, 2)] if drifted else []
        row += [clip(_column_note(column), 160)] if noted else []
        rows.append(row)
    return {
        "facts": [
            ("From", clip(section.uri, 200)),
            ("Format", clip(section.format, 40)),
            ("Rows", count(section.rows)),
            ("Columns", count(len(section.columns))),
            ("Fingerprint", clip(section.fingerprint, 80)),
        ],
        "notes": [clip(note) for note in section.notes[:MAX_NOTES]],
        "more_notes": max(0, len(section.notes) - MAX_NOTES),
        "columns": Table(
            caption,
            headers,
            rows,
            max(0, len(order) - MAX_COLUMNS),
            frozenset({2, 3, 4, 5} if drifted else {2, 3}),
            blocks=True,
        ),
    }


def _column_note(column: ColumnSummary) -> str:
    return column.note or (column.reason if column.nulls is None else None) or ""


def run_view(report: ValidationReport) -> dict[str, Any]:
    """Returns what ran, on what, for how long."""
    run = report.run
    versions = ", ".join(f"{clip(k, 30)} {clip(v, 30)}" for k, v in list(run.versions.items())[:30])
    return {
        "facts": [
            ("Started", clip(run.started, 60)),
            ("Took", f"{number(run.seconds)} s"),
            ("Seed", str(run.seed)),
            ("Devices", _names(run.devices, 8)),
            ("Versions", versions),
            ("Report schema", report.schema_version),
        ],
        "stages": records(run.stages, "Stages of the run", 40),
        "tiers": records(
            [{"tier": tier, "seconds": seconds} for tier, seconds in run.cascade_seconds.items()],
            "Training time of all models of a tier",
            20,
        ),
        "configuration": flatten(run.configuration, "Configuration as composed", MAX_SETTINGS),
    }


def signatures_view(report: ValidationReport) -> dict[str, Any]:
    """Returns what was known before any training: the answer, and the known datasets that look most alike."""
    found = report.prescreen
    rows = []
    for match in report.signatures[:MAX_ROWS]:
        outcome = match.historical_outcome
        made = " ".join(part for part in (outcome.source or outcome.kind, outcome.workflow) if part)
        rows.append(
            [
                number(match.similarity, 2),
                clip(f"{made} of {outcome.dataset}".replace("_", " "), 120),
                count(outcome.generation) if outcome.generation else "",
                number(outcome.strength) if outcome.strength else "",
                outcome.label,
                "" if outcome.skill_lost is None else f"{100 * outcome.skill_lost:.0f} %",
                "" if outcome.tail_skill_lost is None else f"{100 * outcome.tail_skill_lost:.0f} %",
                clip((match.collapse_type or "").replace("_", " "), 40),
                clip(match.signature_id, 40),
            ]
        )
    headers = ["Similarity", "Made by", "Generation", "Strength", "Outcome", "Skill lost", "On rare rows", "Collapse"]
    table = Table(
        "Known datasets that look most alike, best first",
        [*headers, "Signature"],
        rows,
        max(0, len(report.signatures) - MAX_ROWS),
        frozenset({0, 2, 3, 5, 6}),
        blocks=True,
    )
    return {"table": table, "answer": _answer(found), "line": clip(found.line, 400) if found else ""}


def _answer(found: PreScreenSection | None) -> str:
    """Returns the pre-screen's answer in a sentence or two."""
    if found is None or found.collapse_probability is None or found.collapse_probability.value is None:
        return f"Not measured: {clip((found and found.reason) or 'this report has no pre-screen', 200)}."
    p = percent(found.collapse_probability.value * 100)
    words = "Stop before training" if found.answer == "stop" else "Proceed to training"
    text = f"{words}: a collapse probability of {p} % before anything was trained"
    text += f" (stop from {100 * (found.stop_from or 0.0):.0f} %)."
    if found.stopped:
        text += " Nothing was trained (signatures.stop=true)."
    if found.outside_library:
        text += " Outside the library: no known dataset is near enough to tell what it resembles."
    return text
