"""A chart as data: what a part of the pipeline wants drawn, before anything knows how a page draws it."""

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["Chart"]


@dataclass(frozen=True)
class Chart:
    """One chart of aggregated values; `data` by kind as `vr.pipeline.report.Plot` documents."""

    id: str
    kind: Literal["overlay", "matrix", "lines", "points", "bars", "strip"]
    title: str
    data: dict[str, Any]
    caption: str = ""
