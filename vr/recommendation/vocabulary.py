"""The closed vocabulary of actions: what a report may ask for and `vr fix` can execute, as JSON and as types.

    {"version": 1, "kind": "deduplicate", "columns": ["a", "b"], "keep_repeats": 20}
    {"version": 1, "kind": "drop_rows", "min_confidence": 0.8, "except_defects": ["exact_duplicate"]}
    {"version": 1, "kind": "drop_rows", "ranges": [[100, 180]]}
    {"version": 1, "kind": "clip", "column": "z", "lower": 0.0, "upper": 12.5}
    {"version": 1, "kind": "repair", "column": "z", "factor": 1000.0, "lower": 0.0, "upper": 15.0, "decimals": 2}
    {"version": 1, "kind": "add_real_rows", "rows": 429}
    {"version": 1, "kind": "fill_regions", "regions": [{"share": 0.1, "conditions": [{"column": "a", "lower": 2.0}]}]}
    {"version": 1, "kind": "reweight", "most": 4.0, "strata": [{"share": 0.3, "conditions": [...]}, ...]}
    {"version": 1, "kind": "give_reference"}

Every action says what state to reach rather than what to take away (`keep_repeats`, bounds), so that one that is done
again changes nothing.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import numpy as np

from vr.core.errors import DataError
from vr.recommendation.regions import Region, parse_region

__all__ = [
    "MOST_FILLED",
    "NEED_REAL_ROWS",
    "VERSION",
    "AddRealRows",
    "Clip",
    "Deduplicate",
    "DropRows",
    "Executable",
    "FillRegions",
    "GiveReference",
    "Repair",
    "Reweight",
    "in_ranges",
    "parse_action",
    "to_document",
]

VERSION = 1
# Of regions to be filled together: beyond it twenty rows come for each one that there is, which is another dataset.
MOST_FILLED = 0.95


@dataclass(frozen=True)
class Deduplicate:
    """Removes rows that repeat an earlier row in all of `columns`, until `keep_repeats` of them are left.

    First occurrences stay. Which repeats stay is drawn by the seed and the row number, evenly along the file. Where
    there are columns that were not compared, `beside`, rows that look alike may differ, and nothing is removed.
    """

    kind: ClassVar[str] = "deduplicate"
    columns: tuple[str, ...]
    keep_repeats: int = 0
    beside: tuple[str, ...] = ()


@dataclass(frozen=True)
class DropRows:
    """Removes rows, by their scores or by number.

    Attributes:
      min_confidence: Those of at least this confidence in row_scores.parquet, 0 to 1; None: none by score.
      except_defects: Defects whose rows stay whatever their confidence; but an `exact_duplicate` goes where the row
        that it repeats goes by its score.
      ranges: `(start, end)` row numbers of the candidate, the end exclusive.
    """

    kind: ClassVar[str] = "drop_rows"
    min_confidence: float | None = None
    except_defects: tuple[str, ...] = ()
    ranges: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class Clip:
    """Moves the numbers of a column that lie outside of `lower` to `upper`, infinite ones too, to the nearer end."""

    kind: ClassVar[str] = "clip"
    column: str
    lower: float
    upper: float


@dataclass(frozen=True)
class Repair:
    """Divides numbers of a column that are in another unit by the factor between the units.

    These are the numbers of the rows in `ranges`, and where there are none those outside of `lower` to `upper`; of
    either such as lie within after it.

    Attributes:
      column: Its name.
      factor: Above 0 and not 1.
      lower: Least number that there may be.
      upper: Greatest.
      decimals: To which what comes out is rounded where that only takes away the division's own rounding; None: not.
      ranges: `(start, end)` row numbers of the candidate, the end exclusive, where all numbers are in the other unit.
    """

    kind: ClassVar[str] = "repair"
    column: str
    factor: float
    lower: float
    upper: float
    decimals: int | None = None
    ranges: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True)
class AddRealRows:
    """Appends `rows` real rows out of a file that the user gives, all of them where it has fewer."""

    kind: ClassVar[str] = "add_real_rows"
    rows: int


@dataclass(frozen=True)
class FillRegions:
    """Appends real rows that lie in `regions`, out of a file that the user gives, until each has its share of all rows.

    Fewer where the file has not so many. No row is appended both for this and for `AddRealRows`.
    """

    kind: ClassVar[str] = "fill_regions"
    regions: tuple[Region, ...]


@dataclass(frozen=True)
class Reweight:
    """Gives each row a weight, so that `strata` have their shares; the rows stay as they are.

    Attributes:
      strata: Disjoint parts of the table, and the share that each should have.
      most: No weight is beyond `most`, or 1 / `most`, before their mean is made 1.
    """

    kind: ClassVar[str] = "reweight"
    strata: tuple[Region, ...]
    most: float


@dataclass(frozen=True)
class GiveReference:
    """Asks for real rows to validate against; nothing that could be done to the candidate itself."""

    kind: ClassVar[str] = "give_reference"


Executable = Deduplicate | DropRows | Clip | Repair | AddRealRows | FillRegions | Reweight | GiveReference
NEED_REAL_ROWS = (AddRealRows, FillRegions)


def to_document(action: Executable) -> dict[str, Any]:
    """Returns the action as JSON-able values; what is not set is left out."""
    if isinstance(action, FillRegions):
        settings: dict[str, Any] = {"regions": [region.to_document() for region in action.regions]}
    elif isinstance(action, Reweight):
        settings = {"most": action.most, "strata": [region.to_document() for region in action.strata]}
    else:
        settings = {name: _plain(value) for name, value in asdict(action).items() if value not in (None, ())}
    return {"version": VERSION, "kind": action.kind, **settings}


def in_ranges(rows: np.ndarray, ranges: Sequence[tuple[int, int]]) -> np.ndarray:
    """Returns which row numbers lie in one of the half-open ranges, bool `[n]`."""
    found = np.zeros(len(rows), bool)
    for start, end in ranges:
        found |= (rows >= start) & (rows < end)
    return found


def parse_action(document: Mapping[str, Any], where: str) -> Executable:
    """Returns the action that a document of `to_document` says.

    Args:
      document: Of a report, which anybody may have edited.
      where: What to call it in messages.

    Raises:
      DataError: for a version or kind that is not known, and for settings that are missing, unknown or ill-typed.
    """
    version, kind = document.get("version"), document.get("kind")
    if version != VERSION:
        raise DataError(
            f"is of version {version!r}, and {VERSION} is known", where=where, hint="make the report with this vr"
        )
    if kind not in _READERS:
        raise DataError(f"kind {kind!r} is not known", where=where, hint=f"there are {', '.join(_READERS)}")
    settings = {name: value for name, value in document.items() if name not in ("version", "kind")}
    try:
        action = _READERS[kind](settings)
    except (KeyError, TypeError, ValueError) as err:
        why = f"lacks {err}" if isinstance(err, KeyError) else str(err)
        raise DataError(f"{kind}: {why}", where=where, hint="make the report again") from err
    if settings:
        raise DataError(f"{kind}: has an unknown setting {min(settings)!r}", where=where, hint="make the report again")
    return action


def _deduplicate(given: dict[str, Any]) -> Deduplicate:
    columns, keep = _names(given.pop("columns"), "columns"), _count(given.pop("keep_repeats", 0), "keep_repeats")
    return Deduplicate(columns, keep, _names(given.pop("beside", ()), "beside", least=0))


def _drop_rows(given: dict[str, Any]) -> DropRows:
    confidence = given.pop("min_confidence", None)
    if confidence is not None and not 0.0 < (confidence := _number(confidence, "min_confidence")) <= 1.0:
        raise ValueError(f"min_confidence must lie above 0, up to 1, not {confidence:g}")
    ranges = _ranges(given.pop("ranges", ()))
    if confidence is None and not ranges:
        raise ValueError("names no rows: it needs min_confidence or ranges")
    return DropRows(confidence, _names(given.pop("except_defects", ()), "except_defects", least=0), ranges)


def _clip(given: dict[str, Any]) -> Clip:
    return Clip(*_column_and_bounds(given))


def _repair(given: dict[str, Any]) -> Repair:
    column, lower, upper = _column_and_bounds(given)
    if not 0.0 < (factor := _number(given.pop("factor"), "factor")) != 1.0:
        raise ValueError(f"factor must be above 0 and not 1, not {factor:g}")
    decimals = given.pop("decimals", None)
    if decimals is not None:
        _count(decimals, "decimals")
    return Repair(column, factor, lower, upper, decimals, _ranges(given.pop("ranges", ())))


def _add_real_rows(given: dict[str, Any]) -> AddRealRows:
    rows = _count(given.pop("rows"), "rows")
    if not rows:
        raise ValueError("rows must be 1 or more")
    return AddRealRows(rows)


def _fill_regions(given: dict[str, Any]) -> FillRegions:
    found = _regions(given, "regions")
    if (total := sum(region.share for region in found)) > MOST_FILLED:
        raise ValueError(f"the regions' shares must add up to {MOST_FILLED:g} at most, not {total:g}")
    return FillRegions(found)


def _reweight(given: dict[str, Any]) -> Reweight:
    strata = _regions(given, "strata")
    if (most := _number(given.pop("most"), "most")) < 1.0:
        raise ValueError(f"most must be 1 or more, not {most:g}")
    return Reweight(strata, most)


def _regions(given: dict[str, Any], what: str) -> tuple[Region, ...]:
    regions = given.pop(what)
    if not isinstance(regions, (list, tuple)) or not regions:
        raise TypeError(f"{what} must be a list of regions, not {regions!r}")
    return tuple(parse_region(region) for region in regions)


def _give_reference(given: dict[str, Any]) -> GiveReference:
    return GiveReference()


_READERS: dict[str, Callable[[dict[str, Any]], Executable]] = {
    Deduplicate.kind: _deduplicate,
    DropRows.kind: _drop_rows,
    Clip.kind: _clip,
    Repair.kind: _repair,
    AddRealRows.kind: _add_real_rows,
    FillRegions.kind: _fill_regions,
    Reweight.kind: _reweight,
    GiveReference.kind: _give_reference,
}


def _column_and_bounds(given: dict[str, Any]) -> tuple[str, float, float]:
    column = given.pop("column")
    if not isinstance(column, str):
        raise TypeError(f"column must be a name, not {column!r}")
    lower, upper = _number(given.pop("lower"), "lower"), _number(given.pop("upper"), "upper")
    if lower > upper:
        raise ValueError(f"lower ({lower:g}) lies above upper ({upper:g})")
    return column, lower, upper


def _ranges(value: Any) -> tuple[tuple[int, int], ...]:
    ranges = tuple((_count(a, "ranges"), _count(b, "ranges")) for a, b in value)
    if any(start >= end for start, end in ranges):
        raise ValueError("ranges must each be [start, end) with start below end")
    return ranges


def _names(value: Any, what: str, least: int = 1) -> tuple[str, ...]:
    if not isinstance(value, (list, tuple)) or len(value) < least or not all(isinstance(name, str) for name in value):
        raise TypeError(f"{what} must be a list of names, not {value!r}")
    return tuple(value)


def _count(value: Any, what: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise TypeError(f"{what} must be whole numbers of 0 or more, not {value!r}")
    return value


def _number(value: Any, what: str) -> float:
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not math.isfinite(value):
        raise TypeError(f"{what} must be a finite number, not {value!r}")
    return float(value)


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, tuple) else value
