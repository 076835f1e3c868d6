"""The types of values that were stored as text, and of columns that are spread over blocks and files.

A column's type is the least that holds all of its values: null < integer < float < text, null < date < timestamp (in s,
us, ns) < text, null < boolean < text. The join is associative and commutative, so a type does not depend on where
blocks, batches or files begin.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Typing", "infer_dates", "infer_text", "join_types", "parse_text", "settle"]

# Number of leading values of a text column in which numbers are looked for, to say that it mixes both.
_MIX_ROWS = 65_536
_HEAD = 64
_NUMBER = r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$"
_TRUE = ("true", "True", "TRUE")
_BOOLEANS = (*_TRUE, "false", "False", "FALSE")
_TEMPORAL = (
    pa.date32(),
    *(pa.timestamp(unit) for unit in ("s", "us", "ns")),
    *(pa.timestamp(unit, "UTC") for unit in ("s", "us", "ns")),
)
_CANDIDATES = (pa.int64(), pa.float64(), pa.bool_(), *_TEMPORAL)
_UNITS = ("s", "ms", "us", "ns")


def infer_text(strings: pa.Array, candidates: Sequence[pa.DataType] = _CANDIDATES) -> pa.DataType:
    """Returns the least type that holds every value of `strings`; null if there is none."""
    if strings.null_count == len(strings):
        return pa.null()
    return next((type_ for type_ in candidates if _holds(strings, type_)), pa.string())


def infer_dates(strings: pa.Array) -> pa.DataType:
    """Returns the least date or timestamp type that holds every value of `strings`, or text."""
    return infer_text(strings, _TEMPORAL)


def parse_text(strings: pa.Array, type_: pa.DataType) -> pa.Array:
    """Returns `strings` as `type_`, spaces around numbers ignored.

    Raises:
      pyarrow.ArrowInvalid: naming the first value that is none.
    """
    if pa.types.is_boolean(type_):
        if not _all_in(strings, _BOOLEANS):
            raise pa.ArrowInvalid("Failed to parse string as true or false")
        return _keep_nulls(pc.is_in(strings, pa.array(_TRUE)), strings)
    if pa.types.is_null(type_):
        return pa.nulls(len(strings))
    if not (pa.types.is_integer(type_) or pa.types.is_floating(type_)):
        return strings.cast(type_)
    try:
        return strings.cast(type_)
    except pa.ArrowInvalid:
        return pc.utf8_trim(strings, " \t").cast(type_)


def join_types(a: pa.DataType, b: pa.DataType) -> pa.DataType | None:
    """Returns the least type that holds the values of both without loss, or None where only text would."""
    if a == b or pa.types.is_null(b):
        return a
    if pa.types.is_null(a):
        return b
    if pa.types.is_dictionary(a) and pa.types.is_dictionary(b) and a.value_type == b.value_type:
        return a
    if _is_string(a) and _is_string(b):
        return pa.large_string() if pa.large_string() in (a, b) else pa.string()
    if _is_number(a) and _is_number(b):
        return _join_numbers(a, b)
    if pa.types.is_date(a) and pa.types.is_date(b):
        return pa.date64()
    if pa.types.is_date(a) and pa.types.is_timestamp(b) and b.tz is None:
        return b
    if pa.types.is_timestamp(a) and pa.types.is_date(b):
        return join_types(b, a)
    if pa.types.is_timestamp(a) and pa.types.is_timestamp(b) and a.tz == b.tz:
        return pa.timestamp(max(a.unit, b.unit, key=_UNITS.index), a.tz)
    return None


@dataclass
class Typing:
    """The type of one column so far, over the blocks seen."""

    type: pa.DataType = field(default_factory=pa.null)
    mixed: str | None = None  # what met text: numbers, dates or booleans
    rows: int = 0

    def see_text(self, strings: pa.Array) -> None:
        """Widens the type by a block of values stored as text."""
        if pa.types.is_string(self.type):
            self._look_for_numbers(strings)
        elif pa.types.is_null(self.type) or not _holds(strings, self.type):
            self.see(infer_text(strings))
            if pa.types.is_string(self.type):
                self._look_for_numbers(strings)
        self.rows += len(strings)

    def see(self, type_: pa.DataType) -> None:
        """Widens the type by a block of values of `type_`; one nested block makes the column nested."""
        nested = next((each for each in (self.type, type_) if pa.types.is_nested(each)), None)
        joined = nested or join_types(self.type, type_)
        if joined is None:
            self.mixed = self.mixed or _family(type_ if _is_string(self.type) else self.type)
        self.type = pa.string() if joined is None else joined

    def note(self, name: str) -> list[str]:
        """Returns what a reader of the report should know about the column's values."""
        return [f"column '{name}' mixes {self.mixed} and text: read as text"] if self.mixed else []

    def _look_for_numbers(self, strings: pa.Array) -> None:
        if not self.mixed and self.rows < _MIX_ROWS:
            hits = pc.match_substring_regex(strings.slice(0, _MIX_ROWS - self.rows), _NUMBER)
            self.mixed = "numbers" if pc.any(hits).as_py() else None


def settle(columns: Sequence[str], blocks: Iterable[pa.RecordBatch]) -> tuple[list[Typing], int]:
    """Returns the typing of every column of a stream of text blocks, and the number of rows."""
    typings = [Typing() for _ in columns]
    rows = 0
    for block in blocks:
        rows += block.num_rows
        for typing, strings in zip(typings, block.columns, strict=True):
            typing.see_text(strings)
    return typings, rows


def _holds(strings: pa.Array, type_: pa.DataType) -> bool:
    if pa.types.is_boolean(type_):
        return _all_in(strings, _BOOLEANS)
    try:
        # A cast that fails still tries, and complains about, every value: ask a few first.
        parse_text(strings.slice(0, _HEAD), type_)
        parse_text(strings, type_)
    except pa.ArrowInvalid:
        return False
    # Arrow reads 0x1F as an integer but not as a float, so that integer < float would not hold.
    return not pa.types.is_integer(type_) or not pc.any(pc.match_substring(strings, "x", ignore_case=True)).as_py()


def _all_in(strings: pa.Array, values: Sequence[str]) -> bool:
    return bool(pc.all(pc.or_kleene(pc.is_in(strings, pa.array(values)), pc.is_null(strings))).as_py())


def _keep_nulls(values: pa.Array, like: pa.Array) -> pa.Array:
    return pc.if_else(pc.is_valid(like), values, pa.scalar(None, values.type)) if like.null_count else values


def _is_string(type_: pa.DataType) -> bool:
    inner = type_.value_type if pa.types.is_dictionary(type_) else type_
    return pa.types.is_string(inner) or pa.types.is_large_string(inner)


def _family(type_: pa.DataType) -> str:
    if pa.types.is_temporal(type_):
        return "dates"
    if pa.types.is_boolean(type_):
        return "true/false"
    return "numbers" if _is_number(type_) else "other values"


def _is_number(type_: pa.DataType) -> bool:
    return pa.types.is_integer(type_) or pa.types.is_floating(type_)


def _join_numbers(a: pa.DataType, b: pa.DataType) -> pa.DataType:
    if pa.types.is_floating(a) or pa.types.is_floating(b):
        return pa.float64()
    if pa.types.is_signed_integer(a) == pa.types.is_signed_integer(b):
        return max(a, b, key=lambda type_: type_.bit_width)
    return pa.float64() if pa.uint64() in (a, b) else pa.int64()
