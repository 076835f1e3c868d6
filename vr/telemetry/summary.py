"""The short verdict for a person at a terminal."""

import shutil
import sys
import textwrap
from pathlib import Path
from typing import Any

from vr.core.printable import printable
from vr.pipeline.extent import Extent
from vr.pipeline.report import ColumnSummary, DatasetSection, Dimension, Interval, Status, ValidationReport

__all__ = ["print_profile", "print_summary", "profile_lines", "summary_lines", "worst_columns"]

_STYLES = {"approve": "bold green", "review": "bold yellow", "reject": "bold red"}
_BAR_CELLS = 10
_INDENT = 15

# One line: pieces of text with a style each, "" for none.
Line = list[tuple[str, str]]


def summary_lines(
    report: ValidationReport, *, report_path: Path | str | None, width: int = 100, bars: bool = False
) -> list[Line]:
    """Returns at most 30 lines: the verdict, the dimensions, the worst columns, what to do first, notes.

    Args:
      report: The report.
      report_path: The page or file to look at next; None where nothing was written.
      width: Columns of the terminal.
      bars: Draw each score as a bar of blocks beside its number.
    """
    style = _STYLES[report.verdict.value]
    lines: list[Line] = [
        [
            (report.verdict.value.upper(), style),
            (f"   collapse probability {_interval(report.collapse_probability)}", ""),
            ("" if report.risk_score is None else f"   risk {report.risk_score:.0f} of 100, {report.risk_level}", ""),
        ]
    ]
    if report.collapse_probability.value is not None:
        lines += _wrapped(report.verdict_reason, width)
    if report.calibration.targets:
        lines += _wrapped(f"judged for predicting {', '.join(report.calibration.targets)}", width)
    lines += _wrapped(f"calibration {report.calibration.version}: {report.calibration.line}", width, style="dim")
    if report.calibration.beyond:
        beyond = ", ".join(report.calibration.beyond[:3])
        lines += _wrapped(f"outside of anything the calibration has seen: {beyond}", width, style="dim")
    lines += [[], *_dimension_lines(report.dimensions, bars=bars), []]
    columns = [_column(column) for column in worst_columns(report)]
    if columns:
        lines += _labelled("worst columns", "; ".join(columns), width, most=2)
    if report.recommendations:
        first = min(report.recommendations, key=lambda item: item.priority)
        lines += _labelled("do first", first.title, width, most=2)
    if (mix := _mix(report)) is not None:
        lines += _labelled("real rows", mix, width, most=2)
    if report.extent is Extent.verdict:
        lines += _labelled("not asked for", "diversity, rows to blame, what to do (--verdict-only)", width, most=1)
    lines += _note_lines(report, width)
    if report_path is not None:
        # Never wrapped: somebody will copy it.
        lines.append([(f"{'report':<{_INDENT}}", "dim"), (str(report_path), "")])
    return lines


def _mix(report: ValidationReport) -> str | None:
    """Returns the share of real rows that is enough, where it was sought."""
    found = None if report.remedies is None else report.remedies.mix
    if found is None or found.share is None:
        return None
    share = found.share
    if share.value is None or share.lower is None:
        return f"no share that was measured is enough: {found.reason}"
    upper = "or more" if share.upper is None else f"to {share.upper:.0%}"
    enough = f"{share.value:.0%} of the mix is enough ({share.lower:.0%} {upper} at {share.level:.0%})"
    return enough if found.real_rows is None else f"{enough}: {found.real_rows:,} beside all of these"


def _note_lines(report: ValidationReport, width: int, most: int = 3) -> list[Line]:
    """Returns the first notes on what was read, two lines each at most, and how many more there are."""
    notes = list(report.dataset.notes)
    if report.reference is not None:
        notes += [f"reference: {note}" for note in report.reference.notes]
    lines = [line for note in notes[:most] for line in _labelled("note", _clipped(note, 400), width, most=2)]
    if len(notes) > most:
        lines += _labelled("", f"and {len(notes) - most:,} more in the report", width, most=1)
    return lines


def worst_columns(report: ValidationReport, most: int = 3) -> list[ColumnSummary]:
    """Returns the columns that drifted furthest beyond what the reference gives against itself, worst first.

    An excess too small to show in the two printed decimals does not count.
    """
    drifted = [column for column in report.dataset.columns if _excess(column) >= 0.01]
    return sorted(drifted, key=lambda column: (-_excess(column), column.name))[:most]


def print_summary(report: ValidationReport, *, report_path: Path | str | None) -> None:
    """Prints the summary on stdout, in colour where it is a terminal."""
    terminal = sys.stdout.isatty()
    width = shutil.get_terminal_size((100, 24)).columns if terminal else 100
    blocks = terminal and (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    lines = summary_lines(report, report_path=report_path, width=width, bars=blocks)
    if not terminal:
        sys.stdout.write(printable("".join("".join(text for text, _ in line).rstrip() + "\n" for line in lines)))
        return
    from rich.console import Console
    from rich.text import Text

    console = Console(highlight=False)
    for line in lines:
        console.print(Text.assemble(*((printable(text), style) for text, style in line)), soft_wrap=True)


def _dimension_lines(dimensions: dict[str, Dimension], *, bars: bool) -> list[Line]:
    names = max((len(name) for name in dimensions), default=0)
    gap = " " * (_BAR_CELLS + 2 if bars else 0)
    lines: list[Line] = [[(f"{'dimension':<{names}}  score{gap}  threshold", "dim")]]
    for name, dimension in dimensions.items():
        measured = dimension.status is Status.measured and dimension.score is not None
        score = f"{dimension.score:5.0f}" if measured else "    -"
        outcome, style = _outcome(dimension)
        bar = f"  {_bar(dimension.score if measured else None)}" if bars else ""
        lines.append(
            [
                (f"{name:<{names}}  {score}", ""),
                (bar, style),
                (f"  {dimension.threshold:9.0f}", "dim"),
                (f"  {outcome}", style),
            ]
        )
    return lines


def _outcome(dimension: Dimension) -> tuple[str, str]:
    if dimension.status is not Status.measured:
        reason = textwrap.shorten(dimension.reason or "no reason given", 50, placeholder=" ...")
        return f"not measured: {reason}", "dim"
    return ("ok", "green") if dimension.passed else ("below", "red")


def _bar(score: float | None) -> str:
    full = 0 if score is None else round(score / 100 * _BAR_CELLS)
    return "\u2588" * full + "\u2591" * (_BAR_CELLS - full)


def _interval(interval: Interval) -> str:
    if interval.value is None:
        return f"unknown ({interval.reason or 'no reason given'})"
    if interval.lower is None or interval.upper is None:
        return f"{interval.value:.2f}"
    return f"{interval.value:.2f} ({interval.lower:.2f} to {interval.upper:.2f} at {interval.level:.0%})"


def _excess(column: ColumnSummary) -> float:
    return (column.drift or 0.0) - (column.drift_null or 0.0)


def _column(column: ColumnSummary) -> str:
    null = "" if column.drift_null is None else f", real {column.drift_null:.2f}"
    return f"{_clipped(column.name, 30)} (drift {column.drift:.2f}{null})"


def _clipped(name: str, most: int) -> str:
    name = " ".join(name.split())
    return name if len(name) <= most else name[: most - 3] + "..."


def _labelled(label: str, text: str, width: int, *, most: int) -> list[Line]:
    room = max(width - _INDENT, 20)
    rows = textwrap.wrap(text, room, max_lines=most, placeholder=" ...")
    return [[(f"{label if i == 0 else '':<{_INDENT}}", "dim"), (row, "")] for i, row in enumerate(rows)]


def _wrapped(text: str, width: int, style: str = "") -> list[Line]:
    return [[(row, style)] for row in textwrap.wrap(text, max(width, 30), max_lines=3, placeholder=" ...")]


def profile_lines(profile: dict[str, Any], *, most_columns: int = 20) -> list[str]:
    """Returns a profile as lines: what was read, its columns, and the numbers about the whole of it.

    Args:
      profile: What `vr.pipeline.describe.profile` gives: a `dataset` section, and further sections with `metrics`.
      most_columns: Columns shown before the rest is only counted.
    """
    dataset = DatasetSection.model_validate(profile["dataset"])
    lines = [f"{dataset.uri}: {dataset.rows:,} rows, {len(dataset.columns)} columns, {dataset.format}", ""]
    shown = dataset.columns[:most_columns]
    names = min(max((len(column.name) for column in shown), default=0), 30)
    lines.append(f"{'column':<{names}}  {'kind':<12}{'nulls':>10}{'distinct':>12}")
    for column in shown:
        nulls, distinct = ("-" if count is None else f"{count:,}" for count in (column.nulls, column.distinct))
        lines.append(f"{_clipped(column.name, names):<{names}}  {column.kind:<12}{nulls:>10}{distinct:>12}")
    if len(dataset.columns) > most_columns:
        lines.append(f"and {len(dataset.columns) - most_columns} more")
    metrics = [
        (name, metric)
        for section in profile.values()
        if isinstance(section, dict)
        for name, metric in section.get("metrics", {}).items()
        if metric.get("value") is not None
    ]
    if metrics:
        width = max(len(metric.get("label") or name) for name, metric in metrics)
        lines += [
            "",
            *(
                f"{metric.get('label') or name:<{width}}  {metric['value']:.6g} {metric['unit']}".rstrip()
                for name, metric in metrics
            ),
        ]
    lines += _variety_lines(profile.get("diversity", {}))
    return [*lines, *([""] if dataset.notes else []), *(f"note: {note}" for note in dataset.notes)]


def _variety_lines(diversity: dict[str, Any], most: int = 8) -> list[str]:
    """Returns clusters with their shares, then what stands out and what to do about it."""
    lines = []
    clusters = diversity.get("clusters", [])
    if len(clusters) > 1:
        lines += ["", f"{'cluster':>9}  rows with"]
        for cluster in clusters[:most]:
            rows = ", ".join(f"{row:,}" for row in cluster["rows"])
            words = " and ".join(cluster["conditions"]) or "no column sets it apart"
            lines.append(f"{100 * cluster['share']:7.1f} %  {_clipped(words, 160)} (such as rows {rows})")
    for finding in diversity.get("findings", [])[:most]:
        rows = ", ".join(f"{row:,}" for row in finding["rows"][:5])
        lines += ["", f"found: {finding['text']}" + (f" (rows {rows})" if rows else ""), f"do:    {finding['advice']}"]
    return lines


def print_profile(profile: dict[str, Any], *, folder: Path | str | None) -> None:
    """Prints a profile on stdout, and where its file is."""
    lines = profile_lines(profile)
    if folder is not None:
        lines += ["", f"written to {folder}"]
    sys.stdout.write(printable("\n".join(lines) + "\n"))
