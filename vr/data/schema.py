"""What kind of thing each column is, inferred from the reference and overridable."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc

from vr.core.errors import DataError
from vr.data.config import CodecConfig

__all__ = ["Column", "ColumnKind", "common_columns", "infer_columns"]


class ColumnKind(StrEnum):
    """How a column is coded."""

    numeric = "numeric"
    categorical = "categorical"
    datetime = "datetime"
    text = "text"
    identifier = "identifier"  # a name for the row, not a property of it: left out
    empty = "empty"  # all null in the reference


@dataclass(frozen=True)
class Column:
    """A column's name and kind; `note` says what was decided about it, for the report."""

    name: str
    kind: ColumnKind
    note: str | None = None


def common_columns(reference: pa.Schema, candidate: pa.Schema) -> tuple[list[str], list[str]]:
    """Returns the columns both sides have in comparable types, in the reference's order, and notes on the others.

    Raises:
      DataError: if no column is left.
    """
    names, notes = [], []
    for field in reference:
        if field.name not in candidate.names:
            notes.append(f"column '{field.name}' is missing from the candidate: not compared")
        elif _family(field.type) != _family(other := candidate.field(field.name).type):
            if "null" in (_family(field.type), _family(other)):
                names.append(field.name)
                continue
            notes.append(
                f"column '{field.name}' is {field.type} in the reference but {other} in the candidate: not compared; "
                f"types={{{field.name}: numeric}} or another type on the side that is wrong mends it"
            )
        else:
            names.append(field.name)
    notes += [
        f"column '{name}' is missing from the reference: not compared"
        for name in candidate.names
        if name not in reference.names
    ]
    if not names:
        raise DataError(
            f"no column in common: the reference has {_some(reference.names)}, the candidate {_some(candidate.names)}",
            hint="both files must name their columns alike",
        )
    return names, notes


def infer_columns(sample: pa.Table, types: Mapping[str, str], config: CodecConfig) -> list[Column]:
    """Returns the kind of every column of `sample` (reference rows in file order), `types` overriding."""
    for name in types:
        if name not in sample.column_names and types[name] != "ignore":
            raise DataError(
                "no such column in both datasets", where=f"types.{name}", hint=f"there are {_some(sample.column_names)}"
            )
    return [
        Column(name, ColumnKind(types[name])) if name in types else _infer(name, sample[name], config)
        for name in sample.column_names
        if types.get(name) != "ignore"
    ]


def _infer(name: str, values: pa.ChunkedArray, config: CodecConfig) -> Column:
    family = _family(values.type)
    valid = len(values) - values.null_count
    if valid == 0:
        return Column(name, ColumnKind.empty, f"column '{name}' is all null in the reference")
    if family == "temporal":
        return Column(name, ColumnKind.datetime)
    if family == "boolean":
        return Column(name, ColumnKind.categorical)
    if family == "number":
        if pa.types.is_integer(values.type) and _is_row_number(values):
            return Column(
                name,
                ColumnKind.identifier,
                f"column '{name}' numbers the rows: left out; types={{{name}: numeric}} keeps it",
            )
        return Column(name, ColumnKind.numeric)
    strings = _plain(values)
    distinct = pc.count_distinct(strings, mode="only_valid").as_py()
    mean_length = pc.mean(pc.binary_length(strings)).as_py() or 0.0
    if distinct > config.max_categories and mean_length >= config.min_text_length:
        return Column(name, ColumnKind.text)
    if valid >= 50 and distinct >= 0.95 * valid:
        return Column(
            name,
            ColumnKind.identifier,
            f"column '{name}' has a value of its own in almost every row: left out as an identifier; "
            f"types={{{name}: text}} keeps it",
        )
    return Column(name, ColumnKind.categorical)


def _is_row_number(values: pa.ChunkedArray) -> bool:
    if values.null_count or len(values) < 50:
        return False
    numbers = values.to_numpy()  # not their differences: those of unsigned integers wrap around
    return bool((numbers[1:] > numbers[:-1]).all() or (numbers[1:] < numbers[:-1]).all())


def _plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


def _family(type_: pa.DataType) -> str:
    if pa.types.is_dictionary(type_):
        return _family(type_.value_type)
    if pa.types.is_boolean(type_):
        return "boolean"
    if pa.types.is_integer(type_) or pa.types.is_floating(type_) or pa.types.is_decimal(type_):
        return "number"
    if pa.types.is_temporal(type_):
        return "temporal"
    if pa.types.is_null(type_):
        return "null"
    return "string"


def _some(names: list[str], limit: int = 6) -> str:
    shown = ", ".join(f"'{name}'" for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
