"""Plots of series (lines, points) made ready for the page, and the legend that all kinds share."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from vr.pipeline.page.text import clip, number
from vr.pipeline.report import Plot

__all__ = ["NAME", "Swatch", "rounded", "series_view"]

MAX_SERIES = 10
MAX_POINTS = 120
MAX_TABLE_ROWS = 30
DASHES = ("", "6 3", "2 3", "8 3 2 3")
# Longest name of a column, a series or an axis.
NAME = 60


@dataclass(frozen=True)
class Swatch:
    """One entry of a legend: a colour by its name in the stylesheet.

    Drawn as a block without `dash`, as a dot with "dot", else as a line with that dash pattern.
    """

    color: str
    text: str
    dash: str | None = None


def series_view(plot: Plot) -> dict[str, Any] | None:
    """Returns the parts of a `PlotView` for series, or None where there are none to draw."""
    data = plot.data
    given = [series for series in data["series"] if len(series["x"])]
    if not given:
        return None
    shown = given[:MAX_SERIES]
    x_label, y_label = clip(data.get("x_label", "x"), NAME), clip(data.get("y_label", "y"), NAME)
    fallback = "points" if plot.kind == "points" else "line"
    shown = [{"mark": fallback} | item for item in shown]
    styled = _styles(shown)
    series = []
    rows: list[list[str]] = []
    for item, swatch in zip(shown, styled, strict=True):
        keep = _spread(len(item["x"]), MAX_POINTS)
        entry: dict[str, Any] = {"name": swatch.text, "color": swatch.color, "dash": swatch.dash, "mark": item["mark"]}
        for key in ("x", "y", "lower", "upper"):
            if item.get(key) is not None:
                entry[key] = rounded([item[key][i] for i in keep], 6)
        series.append(entry)
        for i in _spread(len(entry["x"]), max(4, MAX_TABLE_ROWS // len(shown))):
            rows.append([swatch.text, number(entry["x"][i]), _with_bounds(entry, i)])
    left_out = "" if len(given) == len(shown) else f" {len(given) - len(shown)} more series are in report.json."
    ends = "; ".join(f"{s['name']} ends at {number(s['y'][-1])}" for s in series[:4])
    return {
        "kind": "lines",
        "data": {
            "series": series,
            "x_label": x_label,
            "y_label": y_label,
            "x_scale": _scale(data.get("x_scale"), series, "x"),
            "y_scale": _scale(data.get("y_scale"), series, "y"),
        },
        "height": 280,
        "summary": f"{y_label} over {x_label} for {len(shown)} series: {ends}.{left_out}",
        "table": (["Series", x_label, y_label], rows, 0, frozenset({1, 2})),
        "legend": styled,
    }


def _styles(series: Sequence[dict[str, Any]]) -> list[Swatch]:
    """Colours a series by its arm, and tells several of one arm apart by their dashes."""
    seen: dict[str, int] = {}
    swatches = []
    for item in series:
        arm = item.get("arm")
        color = arm if arm in ("candidate", "reference", "null") else f"s{seen.get('', 0) % 6 + 1}"
        family = color if color == arm else ""
        dash = DASHES[seen.get(family, 0) % len(DASHES)] if family else ""
        dash = dash if item["mark"] == "line" else "dot"
        seen[family] = seen.get(family, 0) + 1
        swatches.append(Swatch(color, clip(item.get("name", arm or "series"), NAME), dash))
    return swatches


def _scale(wanted: str | None, series: Sequence[dict[str, Any]], axis: str) -> str:
    """A log scale only where every value on it is positive."""
    keys = ("x",) if axis == "x" else ("y", "lower", "upper")
    positive = all(v is None or v > 0 for item in series for key in keys for v in item.get(key, ()))
    return "log" if wanted == "log" and positive else "linear"


def _with_bounds(entry: dict[str, Any], i: int) -> str:
    text = number(entry["y"][i])
    if entry.get("lower") is None or entry.get("upper") is None or entry["lower"][i] is None:
        return text
    return f"{text} ({number(entry['lower'][i])} to {number(entry['upper'][i])})"


def _spread(length: int, limit: int) -> list[int]:
    """Indices spread evenly over `length`, both ends among them, no more than `limit`."""
    if length <= limit:
        return list(range(length))
    return sorted({round(i * (length - 1) / (limit - 1)) for i in range(limit)})


def rounded(values: Sequence[float | None], digits: int = 4) -> list[float | None]:
    """Returns fewer digits than a double has: a chart cannot show them, and the file stays small."""
    return [None if value is None else float(f"{value:.{digits}g}") for value in values]
