"""Tables as data: what the page shows, bounded whatever the report holds."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from vr.pipeline.page.text import clip, is_interval, label, scalar

__all__ = ["Table", "flatten", "records"]


@dataclass(frozen=True)
class Table:
    """A table of short texts; `more` rows were left out, `numeric` marks the right-aligned columns.

    With `blocks` each row becomes a block of labelled values on a narrow screen.
    """

    caption: str
    headers: list[str]
    rows: list[list[str]]
    more: int = 0
    numeric: frozenset[int] = field(default_factory=frozenset)
    blocks: bool = False


def records(items: Sequence[dict[str, Any]], caption: str, limit: int, max_columns: int = 12) -> Table:
    """Returns loosely typed records as a table with one column for each key that holds short values.

    Curves and other nested values are left to report.json.
    """
    shown = list(items[:limit])
    keys = _short_keys(shown)[:max_columns]
    rows = [[scalar(item.get(key), 80) for key in keys] for item in shown]
    numeric = frozenset(
        i
        for i, key in enumerate(keys)
        if all(
            isinstance(item.get(key), (int, float, type(None))) and not isinstance(item.get(key), bool)
            for item in shown
        )
    )
    return Table(caption, [label(key) for key in keys], rows, max(0, len(items) - limit), numeric)


def _short_keys(items: Iterable[dict[str, Any]]) -> list[str]:
    keys: dict[str, None] = {}
    for item in items:
        for key, value in item.items():
            if not isinstance(value, (dict, list, tuple)) or is_interval(value):
                keys.setdefault(key)
    return list(keys)


def flatten(value: dict[str, Any], caption: str, limit: int) -> Table:
    """Returns nested settings as a table of dotted keys and values."""
    rows: list[list[str]] = []
    more = 0
    for key, leaf in _leaves(value, ""):
        if len(rows) < limit:
            rows.append([clip(key, 120), scalar(leaf, 120)])
        else:
            more += 1
    return Table(caption, ["Setting", "Value"], rows, more)


def _leaves(value: dict[str, Any], prefix: str) -> Iterable[tuple[str, Any]]:
    for key, item in value.items():
        path = f"{prefix}{key}"[:120]
        if isinstance(item, dict) and item and not is_interval(item):
            yield from _leaves(item, f"{path}.")
        else:
            yield path, item
