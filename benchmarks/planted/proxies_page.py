"""Writes the tables of docs/localization.md from planted_proxies.json and influence_scores.json.

python -m benchmarks.planted.proxies_page
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from benchmarks.planted.page import PAGE, ROOT, put, short, table

__all__ = ["METHODS", "RESULTS", "tables", "write_tables"]

RESULTS = ROOT / "benchmarks" / "results"
METHODS = {
    "report": "the report",
    "report_gradients": "the report, localization.gradients=true",
    "surprise": "cell of greatest conditional surprise",
    "outermost": "outermost cell",
    "loss": "cell of greatest loss by the proxies",
    "gradients": "gradients alone, of the loss by reference-trained proxies",
    "difference": "gradients alone, of its difference to candidate-trained ones",
    "chance": "chance",
}


def tables(planted: Mapping, scores: Mapping) -> dict[str, str]:
    """Returns the tables by name, of both results."""
    return {
        "proxies rows": _rows(planted["rows"]),
        "proxies cells": _cells(planted["cells"]),
        "datamodeling": _datamodeling(list(scores["datasets"].values())),
        "dropping": _dropping(list(scores["datasets"].values())),
    }


def _rows(found: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    lines = [["planted", *(f"{what}, {name}" for what in ("AUROC", "AP") for name in found)]]
    kinds = list(next(iter(found.values())))
    for kind in kinds:
        lines.append([kind.replace("_", " "), *(short(one[kind][i]) for i in (0, 1) for one in found.values())])
    means = [np.mean([one[kind][i] for kind in kinds]) for i in (0, 1) for one in found.values()]
    return table([*lines, ["mean", *(short(float(mean)) for mean in means)]])


def _cells(found: Mapping[str, Mapping[str, float]]) -> str:
    lines = [
        ["named first by", *(f"{name.replace('_', ' ')} ({one['rows']:,.0f} rows)" for name, one in found.items())]
    ]
    lines += [[words, *(f"{one[method]:.2f}" for one in found.values())] for method, words in METHODS.items()]
    return table(lines)


def _datamodeling(found: Sequence[Mapping]) -> str:
    lines = [["method", "single rows", "their mean"]]
    for method in found[0]["datamodeling"]:
        values = [np.mean([one["datamodeling"][method][of] for one in found]) for of in ("rows", "mean")]
        lines.append([method, *(f"{value:.2f}" for value in values)])
    return table(lines)


def _dropping(found: Sequence[Mapping]) -> str:
    lines = [["the tenth that is dropped", "change of the held-out loss, nats a cell", "by dataset"]]
    for method in found[0]["dropping"]:
        each = [one["dropping"][method]["mean"] for one in found]
        lines.append([method, f"{np.mean(each):+.4f}", ", ".join(f"{value:+.4f}" for value in each)])
    return table(lines)


def write_tables(page: Path = PAGE) -> None:
    """Puts every table between its two marks on the page."""
    planted, scores = (
        json.loads((RESULTS / f"{name}.json").read_text()) for name in ("planted_proxies", "influence_scores")
    )
    put(tables(planted, scores), page)


if __name__ == "__main__":
    write_tables()
