"""What a reader with one minute sees: verdict, probability on its scale, eight scores, worst columns."""

from dataclasses import dataclass

from vr.detector.config import DIMENSIONS as ORDER
from vr.pipeline.page.explanations import BEYOND, CALIBRATION, DIMENSIONS, VERDICTS
from vr.pipeline.page.text import clip, number
from vr.pipeline.report import ColumnSummary, Plot, ValidationReport

__all__ = ["Gauge", "ScoreRow", "WorstColumn", "gauge", "percent", "scores", "verdict_words", "worst_columns"]

SPARK_BINS = 72
# A drift below this many times what real data gives is nothing to look into.
CALM = 2.0


@dataclass(frozen=True)
class Gauge:
    """A probability in percent with its interval, on a scale cut at the verdict's thresholds."""

    value: float | None
    lower: float | None
    upper: float | None
    text: str
    interval: str
    review: float
    reject: float
    calibration: str
    beyond: str


@dataclass(frozen=True)
class ScoreRow:
    """One dimension's score against its threshold; `state` is `pass`, `fail` or `none`."""

    key: str
    title: str
    score: float | None
    threshold: float
    state: str
    reason: str


@dataclass(frozen=True)
class WorstColumn:
    """A column whose distribution moved; `candidate` and `reference` are outlines for a small chart, or empty."""

    name: str
    kind: str
    drift: str
    expected: str
    times: str
    candidate: str
    reference: str
    anchor: str
    calm: bool


def verdict_words(report: ValidationReport) -> tuple[str, str]:
    """Returns the verdict's word and its meaning in one sentence."""
    return report.verdict.value.capitalize(), VERDICTS[report.verdict.value]


def gauge(report: ValidationReport) -> Gauge:
    """Returns the collapse probability and the zones of the verdict."""
    given = report.collapse_probability
    value, lower, upper = (None if v is None else 100 * v for v in (given.value, given.lower, given.upper))
    text = "not known" if value is None else f"{percent(value)} %"
    interval = clip(given.reason or "no interval")
    if lower is not None and upper is not None:
        interval = f"{100 * given.level:.0f} % interval: {percent(lower)} to {percent(upper)} %"
    used = report.calibration
    beyond = ", ".join(clip(name, 80) for name in used.beyond[:4])
    targets = f" To predict: {', '.join(clip(name, 80) for name in used.targets)}." if used.targets else ""
    return Gauge(
        value=value,
        lower=lower,
        upper=upper,
        text=text,
        interval=interval,
        review=used.review_from,
        reject=used.reject_from,
        calibration=f"{CALIBRATION[used.situation]}{targets} "
        f"Calibration {clip(used.version, 40)}: {clip(used.line, 400)}.",
        beyond=f"{BEYOND} {beyond}." if beyond else "",
    )


def percent(value: float) -> str:
    """Returns a percentage in words, never 0 or 100: nothing here is certain."""
    return "under 1" if 0 <= value < 1 else "over 99" if 99 < value <= 100 else f"{value:.0f}"


def scores(report: ValidationReport) -> list[ScoreRow]:
    """Returns the dimensions in their fixed order."""
    rows = []
    for key in sorted(report.dimensions, key=lambda k: ORDER.index(k) if k in ORDER else len(ORDER)):
        item = report.dimensions[key]
        state = "none" if item.score is None else "pass" if item.passed else "fail"
        title = DIMENSIONS[key].title if key in DIMENSIONS else clip(key, 60)
        reason = clip(item.reason or "") or ("not measured" if state == "none" else "")
        rows.append(ScoreRow(key, title, item.score, item.threshold, state, reason))
    return rows


def worst_columns(report: ValidationReport, anchors: dict[str, str], limit: int = 3) -> list[WorstColumn]:
    """Returns the columns that drifted furthest beyond what the reference gives against itself.

    Args:
      report: The report.
      anchors: Identifier of the distribution plot on the page, by column name.
      limit: How many columns at most.
    """
    known = [column for column in report.dataset.columns if column.drift is not None]
    known.sort(key=lambda column: -_excess(column))
    overlays = {
        plot.data.get("column"): plot
        for item in report.dimensions.values()
        for plot in item.evidence
        if plot.kind == "overlay"
    }
    rows = []
    for column in known[:limit]:
        if _excess(column) <= 0:
            break
        candidate, reference = _outlines(overlays.get(column.name))
        times = ""
        if column.drift and column.drift_null:
            ratio = column.drift / column.drift_null
            times = f"{ratio:,.0f} times" if ratio >= 10 else f"{ratio:.1f} times"
        rows.append(
            WorstColumn(
                clip(column.name, 80),
                clip(column.kind, 30),
                number(column.drift, 2),
                number(column.drift_null, 2),
                times,
                candidate,
                reference,
                anchors.get(column.name, ""),
                (column.drift or 0.0) < CALM * (column.drift_null or 0.0),
            )
        )
    return rows


def _excess(column: ColumnSummary) -> float:
    return (column.drift or 0.0) - (column.drift_null or 0.0)


def _outlines(plot: Plot | None, width: float = 96, height: float = 28) -> tuple[str, str]:
    """Two stepped outlines as SVG path data, both on one scale."""
    if plot is None or not plot.data["candidate"] or len(plot.data["candidate"]) > SPARK_BINS:
        return "", ""
    candidate, reference = plot.data["candidate"], plot.data["reference"]
    top = max(*candidate, *reference) or 1.0
    step = width / len(candidate)

    def outline(shares: list[float]) -> str:
        points = [f"M0 {height:g}"]
        for i, share in enumerate(shares):
            y = height - (height - 2) * share / top
            points.append(f"L{i * step:.1f} {y:.1f}L{(i + 1) * step:.1f} {y:.1f}")
        return "".join(points) + f"L{width:g} {height:g}"

    return outline(candidate), outline(reference)
