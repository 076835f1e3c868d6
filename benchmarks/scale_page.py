"""The figures of docs/scale.md and its picture, from results/rows_and_columns.json alone.

python -m benchmarks.rows_and_columns page
"""

import json
from pathlib import Path
from typing import Any

from benchmarks.collapse.accuracy_page import fill
from benchmarks.measure import RESULTS

__all__ = ["PAGE", "tables", "write_page"]

PAGE = Path(__file__).parents[1] / "docs" / "scale.md"
PICTURE = PAGE.parent / "images" / "scale.svg"
TARGET, WORKERS = 10_000_000_000, 64
# `vr profile` reads its dataset twice: for the sample that the codec is fitted to, and for the profile.
PASSES = 2


def write_page() -> None:
    """Writes the tables and draws the picture."""
    result = json.loads((RESULTS / "rows_and_columns.json").read_text(encoding="utf-8"))
    page = PAGE.read_text(encoding="utf-8")
    for name, lines in tables(result).items():
        page = fill(page, name, lines)
    PAGE.write_text(page, encoding="utf-8")
    _draw(result["points"])
    print(f"{PAGE} and its picture are up to date")


def tables(result: dict[str, Any]) -> dict[str, list[str]]:
    """Returns the lines of each table of the page."""
    return {
        "rows": _points(result["points"], "rows"),
        "columns": _points(result["points"], "columns"),
        "calculation": _calculation(result),
    }


def _points(points: list[dict[str, Any]], axis: str) -> list[str]:
    lines = [
        "| rows | columns | seconds | million cells a second | peak memory | load average |",
        "|---|---|---|---|---|---|",
    ]
    for each in (each for each in points if each["axis"] == axis):
        cells = each["rows"] * each["columns"] / each["seconds"] / 1e6
        lines.append(
            f"| {each['rows']:,} | {each['columns']:,} | {each['seconds']:,.1f} | {cells:.1f} "
            f"| {each['peak_bytes'] / 1e6:,.0f} MB | {each['load_average']:.1f} |"
        )
    return lines


def _calculation(result: dict[str, Any]) -> list[str]:
    points = [each for each in result["points"] if each["axis"] == "rows"]
    small, before, largest = points[0], points[-2], points[-1]
    slope = (largest["seconds"] - before["seconds"]) / (largest["rows"] - before["rows"])
    cores = result["machine"]["cores"]
    one = small["seconds"] + slope * TARGET
    costs = result["costs"]
    # As `vr.data.partition` cuts by default.
    partitions = -(-TARGET // ((1 << 26) // largest["columns"]))
    reading = cores * slope * TARGET / WORKERS
    merging = PASSES * partitions * (costs["unpack_s"] + costs["merge_s"])
    giving = PASSES * partitions * costs["ray_task_s"] / WORKERS
    many = small["seconds"] + costs["ray_start_s"] + reading + giving + merging
    row_us, merge_ms = slope * 1e6, 1e3 * (costs["unpack_s"] + costs["merge_s"])
    return [
        f"- A row costs {row_us:.2f} us: the slope between {before['rows']:,} and {largest['rows']:,} rows, on {cores} "
        f"cores. What does not grow with the rows takes {small['seconds']:.0f} s.",
        f"- **{TARGET:,} rows on one such machine**: {small['seconds']:.0f} s + {row_us:.2f} us x {TARGET:,} = "
        f"**{one / 3600:.1f} hours**, in the {largest['peak_bytes'] / 1e6:.0f} MB of {largest['rows']:,} rows.",
        f"- **The same on {WORKERS} workers of one core each**: {cores} cores x {row_us:.2f} us x rows / {WORKERS} = "
        f"{reading / 60:.0f} minutes of reading and profiling; {PASSES} passes of {partitions:,} partitions, each a "
        f"task of {1e3 * costs['ray_task_s']:.0f} ms beside its work ({giving:.0f} s on {WORKERS} workers) and a state "
        f"of {costs['state_bytes'] / 1e3:.0f} kB that one process unpacks and merges in {merge_ms:.1f} ms "
        f"({merging:.0f} s, as if none of it went on beside the workers); {costs['ray_start_s']:.0f} s to start Ray: "
        f"**{many / 60:.0f} minutes** together.",
    ]


def _draw(points: list[dict[str, Any]]) -> None:
    import matplotlib

    matplotlib.use("svg")
    import matplotlib.pyplot as plt

    matplotlib.rcParams.update({"svg.hashsalt": "vr", "font.size": 9, "axes.spines.top": False})
    figure, axes = plt.subplots(2, 2, figsize=(7.0, 4.4), layout="constrained")
    for column, axis in enumerate(("rows", "columns")):
        chosen = [each for each in points if each["axis"] == axis]
        sizes = [each[axis] for each in chosen]
        for row, (key, scale, label) in enumerate(
            (("seconds", 1.0, "seconds"), ("peak_bytes", 1e-9, "peak memory, GB"))
        ):
            values = [each[key] * scale for each in chosen]
            axes[row, column].plot(sizes, values, "o-", color="#2a5d9f", markersize=4, linewidth=1.2)
            axes[row, column].set(xscale="log", xlabel=axis, ylabel=label)
            if key == "seconds":
                axes[row, column].set_yscale("log")
            else:
                axes[row, column].set_ylim(0, 1.25 * max(1.0, *values))
                axes[row, column].axhline(1.0, color="#b3432b", linewidth=0.8, linestyle="--")
    figure.savefig(PICTURE, metadata={"Date": None})
    plt.close(figure)
