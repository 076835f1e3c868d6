"""Columns of plain Python values, as JSON and workbooks give them where no Arrow parser can: type and array."""

import datetime
import json
from collections.abc import Sequence

import pyarrow as pa

from vr.data.formats.textual import infer_dates, join_types, parse_text

__all__ = ["array_of", "type_of"]

_INT64 = range(-(2**63), 2**63)


def type_of(values: Sequence[object]) -> tuple[pa.DataType, str | None]:
    """Returns the least type that holds all `values`, and what is mixed with text in them, if anything is.

    Strings that are all dates count as dates; one list or object makes the column nested.
    """
    types = {_type_of_one(value) for value in values}
    nested = [type_ for type_ in types if pa.types.is_nested(type_)]
    if nested:
        return min(nested, key=str), None
    joined = pa.null()
    for type_ in sorted(types, key=str):
        if (wider := join_types(joined, type_)) is None:
            return pa.string(), "numbers"
        joined = wider
    if pa.types.is_string(joined):
        return infer_dates(pa.array(values, pa.string())), None
    return joined, None


def array_of(values: Sequence[object], type_: pa.DataType) -> pa.Array:
    """Returns `values` as an array of `type_`; whatever is no string is spelt as in JSON where text is wanted."""
    if pa.types.is_null(type_):
        return pa.nulls(len(values))
    if pa.types.is_string(type_):
        return pa.array([_spelt(value) for value in values], type_)
    if all(value is None or isinstance(value, str) for value in values):
        return parse_text(pa.array(values, pa.string()), type_)
    if pa.types.is_floating(type_):
        values = [None if value is None else float(value) for value in values]  # type: ignore[arg-type]
    if pa.types.is_timestamp(type_) and any(type(value) is datetime.date for value in values):
        return pa.array([_at_midnight(value) for value in values], type_)
    return pa.array(values, type_)


def _type_of_one(value: object) -> pa.DataType:
    if value is None:
        return pa.null()
    if isinstance(value, bool):
        return pa.bool_()
    if isinstance(value, int):
        return pa.int64() if value in _INT64 else pa.float64()
    if isinstance(value, float):
        return pa.float64()
    if isinstance(value, str):
        return pa.string()
    if isinstance(value, datetime.datetime):
        return pa.timestamp("us")
    if isinstance(value, datetime.date):
        return pa.date32()
    if isinstance(value, datetime.time):
        return pa.time64("us")
    if isinstance(value, datetime.timedelta):
        return pa.duration("us")
    return pa.struct([]) if isinstance(value, dict) else pa.list_(pa.null())


def _spelt(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool | int | float):
        return json.dumps(value)
    return str(value)


def _at_midnight(value: object) -> object:
    return datetime.datetime(value.year, value.month, value.day) if type(value) is datetime.date else value
