"""Regions of a table, in conditions on its columns: which rows lie in them, and how many more each of them needs.

    {"share": 0.12, "conditions": [{"column": "age", "lower": 60.5}, {"column": "city", "values": ["Lima"]}]}

Conditions are told in values and not in codes, so that rows of any file can be asked.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vr.core.errors import DataError
from vr.data.encoders import CategoricalEncoder, CyclicEncoder, Encoder, NumericEncoder, as_strings, to_float

__all__ = [
    "Condition",
    "Gap",
    "Part",
    "Region",
    "condition_of",
    "parse_region",
    "region_of",
    "rows_to_add",
    "weights_of",
]

_PARTS = ("hour", "weekday", "month")


@dataclass(frozen=True)
class Condition:
    """What the values of one column have to be.

    With bounds: numbers from `lower` up to but without `below`; times in seconds since 1970. With `values`: one of
    these texts, or any other where `excluded`. With neither: anything but null. Nulls besides where `null`, and nothing
    but nulls where that is all that is said.

    Attributes:
      column: Its name.
      lower: None: no lower bound.
      below: None: no upper bound.
      part: Of a date that the bounds are of: `hour` (0 to 23), `weekday` (0, Monday, to 6) or `month` (0 to 11).
      values: None: bounds decide.
      excluded: Whether `values` are those that do not belong.
      null: Whether nulls belong.
    """

    column: str
    lower: float | None = None
    below: float | None = None
    part: str | None = None
    values: tuple[str, ...] | None = None
    excluded: bool = False
    null: bool = False

    def __post_init__(self) -> None:
        if self.part is not None and self.part not in _PARTS:
            raise ValueError(f"part must be one of {', '.join(_PARTS)}, not {self.part!r}")
        if self.values is not None and not (self.lower is self.below is self.part is None):
            raise ValueError("a condition has bounds or values, not both")

    def holds(self, column: pa.Array) -> np.ndarray:
        """Returns which rows meet it, bool `[n]`.

        Raises:
          DataError: where the column's values are of a kind that cannot.
        """
        try:
            if self.values is not None:
                texts = as_strings(column)
                texts = texts.dictionary_decode() if isinstance(texts, pa.DictionaryArray) else texts
                found = pc.is_in(texts, value_set=pa.array(self.values, texts.type)).to_numpy(zero_copy_only=False)
                null = texts.is_null().to_numpy(zero_copy_only=False)
                return np.where(null, self.null, found != self.excluded)
            if self.part is None:
                numbers = to_float(column) if self._has_bounds else np.where(_is_null(column), np.nan, 0.0)
            else:
                codes = CyclicEncoder(self.column, self.column, self.part).encode(column)
                numbers = np.where(codes == 0, np.nan, codes - 1.0)
        except (pa.ArrowException, NotImplementedError) as err:
            raise DataError(
                f"holds {column.type}, which cannot be compared with what the region asks for",
                where=f"column '{self.column}'",
                hint="give rows whose columns hold what the reference's do",
            ) from err
        low = -np.inf if self.lower is None else self.lower
        within = (numbers >= low) & ((numbers < self.below) if self.below is not None else True)
        return np.where(np.isnan(numbers), self.null, within & (self._has_bounds or not self.null))

    @property
    def _has_bounds(self) -> bool:
        return self.lower is not None or self.below is not None

    def to_document(self) -> dict[str, Any]:
        """Returns it as JSON-able values; what is not set is left out."""
        told = {"column": self.column, "lower": self.lower, "below": self.below, "part": self.part}
        texts = None if self.values is None else list(self.values)
        told |= {"values": texts, "excluded": self.excluded or None, "null": self.null or None}
        return {key: value for key, value in told.items() if value is not None}


@dataclass(frozen=True)
class Region:
    """Rows that meet all of `conditions`, and the share of all rows that there should be of them, 0 to 1."""

    conditions: tuple[Condition, ...]
    share: float

    def to_document(self) -> dict[str, Any]:
        """Returns it as JSON-able values."""
        return {"share": self.share, "conditions": [each.to_document() for each in self.conditions]}


@dataclass(frozen=True)
class Part:
    """A part of both datasets.

    Attributes:
      words: Its conditions, for a reader.
      region: The same as rows can be asked, with the reference's share.
      candidate_share: Of the candidate's rows that lie there.
    """

    words: tuple[str, ...]
    region: Region
    candidate_share: float


@dataclass(frozen=True)
class Gap(Part):
    """A part that the candidate does not cover as the reference does.

    Attributes:
      rows: Real rows that it takes, beside those for the other gaps.
    """

    rows: int


def condition_of(encoder: Encoder, first: int, last: int) -> Condition | None:
    """Returns codes `first` to `last` of a column as a condition on its values; None of texts, whose codes are none.

    Categories that the encoder has no code of their own for go with its last codes.
    """
    null = first == 0
    if isinstance(encoder, CyclicEncoder):
        return Condition(encoder.source, max(0.0, first - 1.0), float(last), encoder.part, null=null)
    if isinstance(encoder, NumericEncoder):
        if last == 0:
            return Condition(encoder.source, null=True)
        lower = None if first <= 1 else float(encoder.edges[first - 2])
        below = None if last >= encoder.num_codes - 1 else float(encoder.edges[last - 1])
        return Condition(encoder.source, lower, below, null=null)
    if isinstance(encoder, CategoricalEncoder):
        kept = encoder.categories[: encoder.kept]
        inside = kept[max(0, first - 1) : last]
        if last <= encoder.kept:
            return Condition(encoder.source, values=inside, null=null)
        outside = tuple(name for name in kept if name not in inside)
        return Condition(encoder.source, values=outside, excluded=True, null=null)
    return None


def region_of(rows: pa.RecordBatch | pa.Table, regions: Sequence[Region]) -> np.ndarray:
    """Returns the first region that each row lies in, int `[n]`, -1 for none.

    Raises:
      DataError: where a column is missing, or holds another kind of values.
    """
    found = np.full(rows.num_rows, -1)
    for place in reversed(range(len(regions))):
        inside = np.ones(rows.num_rows, bool)
        for condition in regions[place].conditions:
            if condition.column not in rows.schema.names:
                raise DataError(
                    "is not among the columns that were compared",
                    where=f"column '{condition.column}'",
                    hint="validate again",
                )
            column = rows.column(condition.column)
            inside &= condition.holds(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column)
        found[inside] = place
    return found


def rows_to_add(counts: np.ndarray, num_rows: int, shares: np.ndarray) -> np.ndarray:
    """Returns how many rows of each region, int `[k]`, bring all of them to their shares of what there is then.

    `counts + added == shares * (num_rows + added.sum())` but for rounding, where a region lacks rows; one that has
    more than its share gets none.

    Args:
      counts: int `[k]`, rows that lie in each.
      num_rows: Rows in all.
      shares: `[k]`, their sum below 1.
    """
    lacking, total = np.zeros(len(counts), bool), float(num_rows)
    while True:
        # With more rows in all more regions lack some, never fewer: as many steps as regions at most.
        more = shares * total > counts
        if not (more & ~lacking).any():
            return np.where(lacking, np.rint(np.maximum(0.0, shares * total - counts)), 0.0).astype(int)
        lacking |= more
        total = (num_rows - counts[lacking].sum()) / (1.0 - shares[lacking].sum())


def weights_of(counts: np.ndarray, shares: np.ndarray, most: float) -> np.ndarray:
    """Returns the weight of a row of each stratum, float `[k]`, that gives all of them their shares.

    Post-stratification (Holt and Smith 1979). Between 1 / `most` and `most`, and 1 where a stratum has no rows to
    weigh; their mean over rows is not yet 1.

    Args:
      counts: `[k]`, rows that lie in each.
      shares: `[k]`, that they should have.
      most: 1 or more.
    """
    have = counts / max(1, counts.sum())
    return np.where(counts > 0, np.clip(shares / np.where(counts > 0, have, 1.0), 1.0 / most, most), 1.0)


def parse_region(given: Mapping[str, Any]) -> Region:
    """Returns the region that a document of `Region.to_document` says.

    Raises:
      KeyError, TypeError, ValueError: for settings that are missing, unknown or ill-typed.
    """
    if unknown := sorted(set(given) - {"share", "conditions"}):
        raise ValueError(f"a region has an unknown setting {unknown[0]!r}")
    share, conditions = given["share"], given["conditions"]
    if not _is_number(share) or not 0.0 < share < 1.0:
        raise ValueError(f"share must lie between 0 and 1, not {share!r}")
    if not isinstance(conditions, (list, tuple)) or not conditions:
        raise TypeError(f"conditions must be a list of them, not {conditions!r}")
    return Region(tuple(_condition(each) for each in conditions), float(share))


def _condition(given: Mapping[str, Any]) -> Condition:
    told = dict(given)
    column, values = told.pop("column"), told.pop("values", None)
    lower, below, part = (told.pop(name, None) for name in ("lower", "below", "part"))
    excluded, null = told.pop("excluded", False), told.pop("null", False)
    if told:
        raise ValueError(f"a condition has an unknown setting {min(told)!r}")
    if not isinstance(column, str):
        raise TypeError(f"column must be a name, not {column!r}")
    for name, value in (("lower", lower), ("below", below)):
        if value is not None and not _is_number(value):
            raise TypeError(f"{name} must be a finite number, not {value!r}")
    if values is not None and not (isinstance(values, list) and all(isinstance(each, str) for each in values)):
        raise TypeError(f"values must be a list of texts, not {values!r}")
    if not isinstance(excluded, bool) or not isinstance(null, bool):
        raise TypeError("excluded and null must be true or false")
    return Condition(column, lower, below, part, None if values is None else tuple(values), excluded, null)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and bool(np.isfinite(value))


def _is_null(column: pa.Array) -> np.ndarray:
    """Returns which values are null, NaN included, bool `[n]`."""
    plain = column.dictionary_decode() if isinstance(column, pa.DictionaryArray) else column
    return plain.is_null(nan_is_null=True).to_numpy(zero_copy_only=False)
