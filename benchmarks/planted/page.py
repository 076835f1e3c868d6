"""Writes the tables of docs/localization.md from benchmarks/results/planted_defects.json.

python -m benchmarks.planted.page
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

__all__ = ["calibration_error", "put", "short", "table", "tables", "write_tables"]

ROOT = Path(__file__).parent.parent.parent
RESULT, PAGE = ROOT / "benchmarks" / "results" / "planted_defects.json", ROOT / "docs" / "localization.md"
_NAMES = {
    "vr": "vr",
    "vr_unseen": "vr, kind unseen",
    "isolation_forest": "IsolationForest",
    "local_outlier_factor": "LOF",
    "nearest_reference": "kNN to reference",
    "two_sample_classifier": "two-sample classifier",
    "datalab": "Datalab",
}


def calibration_error(cases: Sequence[dict], least: int = 0) -> float:
    """Returns the expected calibration error of all rows, of bins from number `least` on."""
    bins = np.sum([case["confidence"] for case in cases], axis=0)[least:]
    bins = bins[bins[:, 0] > 0]
    return float(np.abs(bins[:, 1] - bins[:, 2]).sum() / bins[:, 0].sum()) if len(bins) else 0.0


def tables(result: dict) -> dict[str, str]:
    """Returns the page's tables by name."""
    cases = [case for case in result["cases"] if case["kind"] != "none"]
    return {
        "auroc": _methods(result, cases, 0),
        "precision": _methods(result, cases, 1),
        "shares": _shares(result, cases),
        "confidence": _confidence(result["cases"]),
        "kinds": _confusion(result, cases),
    }


def _mean(cases: Sequence[dict], method: str, which: int) -> float:
    # Of each dataset first, so that none counts for more.
    names = dict.fromkeys(case["dataset"] for case in cases)
    means = [np.mean([c["scores"][method][which] for c in cases if c["dataset"] == name]) for name in names]
    return float(np.mean(means))


def _methods(result: dict, cases: Sequence[dict], which: int) -> str:
    methods = list(_NAMES)
    lines = [["planted", *(_NAMES[method] for method in methods)]]
    rows = []
    for kind in result["kinds"]:
        rows.append([_mean([c for c in cases if c["kind"] == kind], method, which) for method in methods])
        lines.append([kind.replace("_", " "), *_bold(rows[-1])])
    lines.append(["mean", *_bold(np.mean(rows, axis=0))])
    return table(lines)


def _bold(values: Sequence[float]) -> list[str]:
    return [f"**{short(x)}**" if x == max(values) else short(x) for x in values]


def short(x: float) -> str:
    """Returns a share as the page writes it."""
    return f"{x:.3f}".removeprefix("0") if x < 0.9995 else "1.00"


def _shares(result: dict, cases: Sequence[dict]) -> str:
    shares = sorted({case["share"] for case in cases})
    lines = [["planted", *(f"AUROC, {share:.0%} of rows" for share in shares)]]
    for kind in result["kinds"]:
        own = [c for c in cases if c["kind"] == kind]
        values = [_mean([c for c in own if c["share"] == share], "vr", 0) for share in shares]
        lines.append([kind.replace("_", " "), *(short(x) for x in values)])
    return table(lines)


def _confidence(cases: Sequence[dict]) -> str:
    bins = np.sum([case["confidence"] for case in cases], axis=0)
    lines = [["confidence", "rows", "mean confidence", "share planted"]]
    for i, (rows, total, wrong) in enumerate(bins):
        if rows:
            edges = f"{i / len(bins):.1f} to {(i + 1) / len(bins):.1f}"
            lines.append([edges, f"{int(rows):,}", f"{total / rows:.2f}", f"{wrong / rows:.2f}"])
    note = f"Expected calibration error over all rows {calibration_error(cases):.3f}"
    return f"{table(lines)}\n\n{note}; over rows of a confidence of 0.1 or more {calibration_error(cases, 1):.3f}."


def _confusion(result: dict, cases: Sequence[dict]) -> str:
    named = {
        kind: np.sum([case["named"] for case in cases if case["kind"] == kind], axis=0) for kind in result["kinds"]
    }
    used = [i for i in range(len(result["defects"])) if sum(counts[i] for counts in named.values())]
    lines = [["planted", *(result["defects"][i].replace("_", " ") for i in used)]]
    for kind, counts in named.items():
        lines.append([kind.replace("_", " "), *(f"{counts[i] / counts.sum():.0%}" for i in used)])
    return table(lines)


def table(lines: Sequence[Sequence[str]]) -> str:
    """Returns lines of cells, the first of them the head, as Markdown."""
    head, *rest = (f"| {' | '.join(line)} |" for line in lines)
    return "\n".join([head, "|---" * len(lines[0]) + "|", *rest])


def write_tables(page: Path = PAGE, result: Path = RESULT) -> None:
    """Puts every table of the planted defects on the page."""
    put(tables(json.loads(result.read_text())), page)


def put(found: Mapping[str, str], page: Path) -> None:
    """Puts each table between its two marks on the page, by name."""
    text = page.read_text()
    for name, own in found.items():
        marks = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
        if not marks.search(text):
            raise ValueError(f"{page.name} has no place for the table '{name}'")
        text = marks.sub(lambda at, own=own: f"{at[1]}{own}\n{at[2]}", text)
    page.write_text(text)


if __name__ == "__main__":
    write_tables()
