"""Evidence plots made ready for the page: bounded, rounded, described in words and as a table.

The chart itself is drawn in the browser (`assets/page.js`) from `PlotView.data`; everything a reader without a pointer
or without scripts needs is in `PlotView.summary` and `PlotView.table`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from vr.pipeline.page.series import NAME, Swatch, rounded, series_view
from vr.pipeline.page.table import Table
from vr.pipeline.page.text import clip, count, number
from vr.pipeline.report import Plot

__all__ = ["PlotView", "view"]

MAX_BINS = 72
MAX_BARS = 24
MAX_LABELS = 30
MAX_STRETCHES = 240
MAX_TABLE_ROWS = 30
# From here on categories stand along the bottom, where there is room for them, not down the side.
MAX_SIDE_CATEGORIES = 12


@dataclass(frozen=True)
class PlotView:
    """A plot ready to be placed: `height` in CSS pixels is reserved before any script runs."""

    id: str
    kind: str
    title: str
    caption: str
    summary: str
    height: int
    data: dict[str, Any]
    table: Table
    legend: list[Swatch] = field(default_factory=list)
    large: bool = False


def view(plot: Plot, identifier: str) -> PlotView | None:
    """Returns `plot` made ready, or None where it holds nothing to draw."""
    parts = _KINDS[plot.kind](plot)
    if parts is None:
        return None
    title, caption = clip(plot.title, 140), clip(plot.caption, 600)
    table = parts.pop("table")
    return PlotView(
        id=identifier,
        kind=parts.pop("kind", plot.kind),
        title=title,
        caption=caption,
        summary=f"{title}. {parts.pop('summary')}",
        table=Table(f"{title}: values", *table),
        **parts,
    )


def _overlay(plot: Plot) -> dict[str, Any] | None:
    data = plot.data
    candidate, reference = list(data["candidate"]), list(data["reference"])
    if not candidate:
        return None
    if "edges" in data:
        edges, candidate, reference = _join_bins([number(edge) for edge in data["edges"]], candidate, reference)
        bins = [f"{low} to {high}" for low, high in zip(edges, edges[1:], strict=False)]
        side = False
    else:
        edges = []
        bins = [clip(name, 48) or "(empty)" for name in data["categories"]]
        bins, candidate, reference = _keep_common(bins, candidate, reference)
        side = len(bins) <= MAX_SIDE_CATEGORIES
    gaps = [abs(c - r) for c, r in zip(candidate, reference, strict=True)]
    worst = max(range(len(gaps)), key=gaps.__getitem__)
    column = clip(data.get("column", ""), NAME)
    rows = [[b, _share(c), _share(r)] for b, c, r in zip(bins, candidate, reference, strict=True)]
    return {
        "kind": "overlay-side" if side else "overlay",
        "data": {
            "bins": bins,
            "edges": edges,
            "candidate": rounded(candidate),
            "reference": rounded(reference),
            "column": column,
        },
        "height": 64 + 30 * len(bins) if side else 250,
        "summary": f"Share of rows in {len(bins)} bins, candidate against reference. The largest difference is at "
        f"{bins[worst]}: {_share(candidate[worst])} where the reference has {_share(reference[worst])}.",
        "table": (["Bin", "Candidate", "Reference"], rows, 0, frozenset({1, 2})),
        "legend": [Swatch("candidate", "candidate"), Swatch("ground", "reference")],
    }


def _join_bins(
    edges: list[str], candidate: list[float], reference: list[float]
) -> tuple[list[str], list[float], list[float]]:
    """Adds neighbouring bins together until no more than MAX_BINS are left."""
    step = -(-len(candidate) // MAX_BINS)
    if step == 1:
        return edges, candidate, reference
    starts = range(0, len(candidate), step)
    kept = [edges[i] for i in starts] + [edges[-1]]
    return kept, [sum(candidate[i : i + step]) for i in starts], [sum(reference[i : i + step]) for i in starts]


def _keep_common(
    names: list[str], candidate: list[float], reference: list[float]
) -> tuple[list[str], list[float], list[float]]:
    """Keeps the largest MAX_BINS categories in their own order and adds up the rest."""
    if len(names) <= MAX_BINS:
        return names, candidate, reference
    by_size = sorted(range(len(names)), key=lambda i: -max(candidate[i], reference[i]))
    kept = sorted(by_size[: MAX_BINS - 1])
    rest = by_size[MAX_BINS - 1 :]
    return (
        [names[i] for i in kept] + [f"{len(rest):,} others"],
        [candidate[i] for i in kept] + [sum(candidate[i] for i in rest)],
        [reference[i] for i in kept] + [sum(reference[i] for i in rest)],
    )


def _matrix(plot: Plot) -> dict[str, Any] | None:
    labels, values, null = plot.data["labels"], plot.data["values"], plot.data.get("null")
    if len(labels) < 2:
        return None
    size = [
        max((abs(v) for j, v in enumerate(row) if v is not None and i != j), default=0) for i, row in enumerate(values)
    ]
    kept = sorted(sorted(range(len(labels)), key=lambda i: -size[i])[:MAX_LABELS])
    names = [clip(labels[i], NAME) for i in kept]
    cells = [[values[i][j] for j in kept] for i in kept]
    pairs = [(names[i], names[j], cells[i][j]) for i in range(len(kept)) for j in range(i) if cells[i][j] is not None]
    pairs.sort(key=lambda pair: -abs(pair[2]))
    beyond = (
        "" if null is None else f"; {sum(abs(p[2]) > null for p in pairs)} of {len(pairs)} pairs lie beyond the null"
    )
    left_out = (
        "" if len(kept) == len(labels) else f" The {len(kept)} of {len(labels):,} columns that moved most are shown."
    )
    strongest = f"The strongest is {pairs[0][0]} with {pairs[0][1]}: {number(pairs[0][2])}" if pairs else "No pair"
    cell = 26 if len(kept) <= 14 else 18 if len(kept) <= 22 else 14
    return {
        "data": {"labels": names, "values": [rounded(row) for row in cells], "null": null},
        "height": cell * len(kept) + 20 + 7 * min(20, max(map(len, names))),
        "large": len(kept) > 14,
        "summary": f"Differences for {len(kept)} columns. {strongest}{beyond}.{left_out}",
        "table": (
            ["Column", "Column", "Difference"],
            [[a, b, number(v)] for a, b, v in pairs[:MAX_TABLE_ROWS]],
            max(0, len(pairs) - MAX_TABLE_ROWS),
            frozenset({2}),
        ),
        "legend": [Swatch("low", "lower than in the reference"), Swatch("high", "higher")]
        + ([] if null is None else [Swatch("faint", f"faint: within ±{number(null)}, as a real split gives")]),
    }


def _bars(plot: Plot) -> dict[str, Any] | None:
    data = plot.data
    known = [i for i, value in enumerate(data["values"]) if value is not None]
    if not known:
        return None
    kept = sorted(sorted(known, key=lambda i: -abs(data["values"][i]))[:MAX_BARS])
    names = [clip(data["labels"][i], NAME) for i in kept]
    values = [data["values"][i] for i in kept]
    means = _picked(data.get("null_mean"), kept)
    stds = _picked(data.get("null_std"), kept)
    unit = clip(data.get("unit", ""), 24)
    top = max(range(len(values)), key=lambda i: abs(values[i]))
    headers = ["Name", "Value"] + (["Real against real"] if means else [])
    rows = [
        [name, number(value)] + ([_spread_text(means[i], stds[i] if stds else None)] if means else [])
        for i, (name, value) in enumerate(zip(names, values, strict=True))
    ]
    legend = [Swatch("candidate", "here", "dot")] + (
        [Swatch("ground", "real against real, mean ± 2 sd")] if means else []
    )
    return {
        "data": {"labels": names, "values": rounded(values), "means": means, "stds": stds, "unit": unit},
        "height": 62 + 24 * len(kept),
        "summary": f"{len(kept)} bars; the largest is {names[top]}: {number(values[top])} {unit}".rstrip() + ".",
        "table": (headers, rows, len(known) - len(kept), frozenset({1, 2})),
        "legend": legend,
    }


def _strip(plot: Plot) -> dict[str, Any] | None:
    starts, ends, scores = (list(plot.data[key]) for key in ("row_start", "row_end", "score"))
    if not scores:
        return None
    step = -(-len(scores) // MAX_STRETCHES)
    cuts = range(0, len(scores), step)
    joined = [
        (starts[i], ends[min(i + step, len(ends)) - 1], _weighted(starts, ends, scores, i, i + step)) for i in cuts
    ]
    null = plot.data.get("null")
    ranked = sorted(joined, key=lambda item: -item[2])
    first = ranked[0]
    expected = "" if null is None else f", where {number(null)} is expected"
    return {
        "data": {
            "start": [item[0] for item in joined],
            "end": [item[1] for item in joined],
            "score": rounded([item[2] for item in joined]),
            "null": null,
        },
        "height": 190,
        "summary": f"Score along the file in {len(joined)} stretches; the highest is rows "
        f"{count(first[0])} to {count(first[1] - 1)}: {number(first[2])}{expected}.",
        "table": (
            ["From row", "To row", "Score"],
            [[count(a), count(b - 1), number(s)] for a, b, s in ranked[:MAX_TABLE_ROWS]],
            max(0, len(ranked) - MAX_TABLE_ROWS),
            frozenset({0, 1, 2}),
        ),
        "legend": [Swatch("candidate", "score")]
        if null is None
        else [Swatch("ground", "expected of real rows"), Swatch("candidate", "what lies above")],
    }


def _weighted(starts: list[int], ends: list[int], scores: list[float], low: int, high: int) -> float:
    weights = [end - start for start, end in zip(starts[low:high], ends[low:high], strict=True)]
    total = sum(weights)
    return sum(w * s for w, s in zip(weights, scores[low:high], strict=True)) / total if total else scores[low]


def _picked(values: Sequence[float | None] | None, kept: list[int]) -> list[float | None]:
    return [] if values is None else rounded([values[i] for i in kept])


def _spread_text(mean: float | None, std: float | None) -> str:
    return number(mean) if std is None or mean is None else f"{number(mean)} ± {number(std, 2)}"


def _share(value: float) -> str:
    return f"{100 * value:.1f} %"


_KINDS: dict[str, Callable[[Plot], dict[str, Any] | None]] = {
    "overlay": _overlay,
    "matrix": _matrix,
    "lines": series_view,
    "points": series_view,
    "bars": _bars,
    "strip": _strip,
}
