"""The diversity section: what stands out and what to do, then clusters, combinations, repeats and columns as tables."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vr.pipeline.page.table import Table
from vr.pipeline.page.text import MISSING, clip, count, number
from vr.pipeline.report import Cluster, ColumnDiversity, DiversitySection, RarePattern

__all__ = ["variety_view"]

_MOST = 20  # of each table
_KINDS = {"lost": "lost", "new": "not in the reference", "odd": "hardly any row"}


def variety_view(section: DiversitySection) -> dict[str, Any]:
    """Returns the tables of what was found; those without a row are left out of the page."""
    compared = any(cluster.reference_share is not None for cluster in section.clusters)
    nulls = any(column.entropy_null is not None for column in section.columns)
    return {
        "findings": [
            {
                "text": clip(_sentence(found.text), 400),
                "advice": clip(_sentence(found.advice), 300),
                "rows": _examples(found.rows, "rows"),
                "reference_rows": _examples(found.reference_rows, "rows of the reference"),
            }
            for found in section.findings[:_MOST]
        ],
        "more_findings": max(0, len(section.findings) - _MOST),
        "clusters": Table(
            "Clusters of the reference, and who has how much of each" if compared else "Clusters",
            [
                "Rows with",
                "Share",
                *(["Share of the reference", "Apart, in sd", "Density against real"] if compared else ["Density"]),
                "Rows near the centre",
            ],
            [_cluster(cluster, compared=compared) for cluster in section.clusters[:_MOST]],
            max(0, len(section.clusters) - _MOST),
            frozenset({1, 2, 3, 4} if compared else {1, 2}),
            blocks=True,
        ),
        "rare": Table(
            "Rare combinations of values, more telling ones first",
            ["Values", "What", "Rows here", "Expected", "Reference rows", "Examples"],
            [_pattern(pattern) for pattern in section.rare_patterns[:_MOST]],
            max(0, len(section.rare_patterns) - _MOST),
            frozenset({2, 3, 4}),
            blocks=True,
        ),
        "near": Table(
            "Rows that nearly repeat each other",
            ["Row", "Other row", "They differ in"],
            [
                [count(pair.row), count(pair.other_row), clip(", ".join(pair.columns), 160)]
                for pair in section.near_duplicates[:_MOST]
            ],
            max(0, len(section.near_duplicates) - _MOST),
            frozenset({0, 1}),
            blocks=True,
        ),
        "columns": Table(
            "Variety of columns" + (", those that lost most first" if nulls else ""),
            [
                "Column",
                "Effective values",
                *(["Real against real"] if nulls else []),
                "Gini",
                *(["Real against real"] if nulls else []),
                "Commonest value",
                "Its share",
                *(["In the reference"] if nulls else []),
            ],
            [_column(column, nulls=nulls) for column in section.columns[:_MOST]],
            max(0, len(section.columns) - _MOST),
            frozenset({1, 2, 3, 4, 6, 7} if nulls else {1, 2, 4}),
            blocks=True,
        ),
        "outliers": _examples(section.outlier_rows, "rows"),
    }


def _sentence(text: str) -> str:
    # Not `capitalize`, which would change the names of columns.
    return text[:1].upper() + text[1:]


def _cluster(cluster: Cluster, *, compared: bool) -> list[str]:
    words = clip(" and ".join(cluster.conditions), 320) or "no column sets it apart"
    if not compared:
        return [words, _percent(cluster.share), number(cluster.density, 2), _numbers(cluster.rows)]
    away = ratio = None
    if cluster.reference_share is not None and cluster.deviation:
        away = (cluster.share - cluster.reference_share) / cluster.deviation
    if cluster.density and cluster.reference_density:
        ratio = cluster.density / cluster.reference_density
    rows = _numbers(cluster.rows) if cluster.rows else f"{_numbers(cluster.reference_rows)} of the reference"
    return [words, _percent(cluster.share), _percent(cluster.reference_share), number(away, 2), number(ratio, 2), rows]


def _pattern(pattern: RarePattern) -> list[str]:
    return [
        clip(" and ".join(pattern.conditions), 320),
        _KINDS[pattern.kind],
        count(pattern.count),
        MISSING if pattern.expected is None else count(round(pattern.expected)),
        count(pattern.reference_count),
        _numbers(pattern.rows) + (" of the reference" if pattern.kind == "lost" else ""),
    ]


def _column(column: ColumnDiversity, *, nulls: bool) -> list[str]:
    return [
        clip(column.name, 80),
        _effective(column.entropy),
        *([_effective(column.entropy_null)] if nulls else []),
        number(column.gini, 2),
        *([number(column.gini_null, 2)] if nulls else []),
        clip(column.top, 80),
        _percent(column.top_share),
        *([_percent(column.reference_top_share)] if nulls else []),
    ]


def _effective(entropy: float | None) -> str:
    return MISSING if entropy is None else number(float(np.exp(entropy)))


def _percent(share: float | None) -> str:
    return MISSING if share is None else f"{100.0 * share:.1f} %"


def _numbers(rows: Sequence[int]) -> str:
    return ", ".join(count(row) for row in rows[:5])


def _examples(rows: Sequence[int], what: str) -> str:
    return f"{what} {_numbers(rows)}{', ...' if len(rows) > 5 else ''}" if rows else ""
