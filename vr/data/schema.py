"""What kind of thing each column is, inferred from the reference and overridable."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import pyarrow as pa
import pyarrow.compute as pc

from vr.core.errors import DataError
from vr.data.config import CodecConfig

__all__ = ["Column", "ColumnKind", "common_columns", "infer_columns", "type_option"]


class ColumnKind(StrEnum):
    """How a column is coded."""

    numeric = "numeric"
    categorical = "categorical"
    datetime = "datetime"
    text = "text"
    identifier = "identifier"  # a name for the row, not a property of it: left out
    empty = "empty"  # all null in the rows that kinds are told by


@dataclass(frozen=True)
class Column:
    """A column's name and kind; `note` says what was decided about it, for the report."""

    name: str
    kind: ColumnKind
    note: str | None = None


def type_option(name: str, kind: str) -> str:
    """Returns what gives column `name` the type `kind`: an option to paste, or Python where no option can hold it."""
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_-]*", name):
        return f"data.types.{name}={kind}"
    # What Hydra's grammar reads without quotes; it takes none around a key.
    if re.fullmatch(r"[A-Za-z_][A-Za-z0-9_.-]*( [A-Za-z0-9_.-]+)*", name):
        return f"'data.types={{{name}: {kind}}}'"
    return f"vr.validate(..., config={{'data': {{'types': {{{name!r}: {kind!r}}}}}}})"


def common_columns(
    reference: pa.Schema,
    candidate: pa.Schema,
    types: Mapping[str, str] | None = None,
    where: str | None = None,
) -> tuple[list[str], list[str]]:
    """Returns the columns both sides have in comparable types, in the reference's order, and notes on the others.

    Args:
      reference: Its columns.
      candidate: Its columns.
      types: What the user says columns are, by name: that makes two storage types comparable; `ignore` leaves out.
      where: Both datasets, for the error.

    Raises:
      DataError: if no column is left.
    """
    types = types or {}
    ignored = {name for name, kind in types.items() if kind == "ignore"}
    names, notes = [], []
    for field in reference:
        if field.name in ignored:
            continue
        if field.name not in candidate.names:
            notes.append(f"column '{field.name}' is missing from the candidate: not compared")
            continue
        other = candidate.field(field.name).type
        families = {_family(field.type), _family(other)}
        if len(families) == 1 or "null" in families or field.name in types:
            names.append(field.name)
        else:
            remedy = type_option(field.name, _common_kind(families))
            notes.append(
                f"column '{field.name}' is {field.type} in the reference but {other} in the candidate: not compared; "
                f"{remedy} compares it"
            )
    notes += [
        f"column '{name}' is missing from the reference: not compared"
        for name in candidate.names
        if name not in reference.names and name not in ignored
    ]
    if not names:
        raise DataError(
            f"no column in common: the reference has {some(reference.names)}, the candidate {some(candidate.names)}",
            where=where,
            hint=next((note for note in notes if "compares it" in note), "both files must name their columns alike"),
        )
    return names, notes


def _common_kind(families: set[str]) -> str:
    """Returns what both of two families can be read as."""
    if families == {"boolean", "number"}:
        return "numeric"
    return "datetime" if families == {"temporal", "string"} else "categorical"


def infer_columns(sample: pa.Table, types: Mapping[str, str], config: CodecConfig) -> list[Column]:
    """Returns the kind of every column of `sample` (reference rows in file order), `types` overriding."""
    for name in types:
        if name not in sample.column_names and types[name] != "ignore":
            raise DataError(
                "no such column",
                where=f"data.types.{name}",
                hint=f"there are {some(sample.column_names)}",
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
        return Column(name, ColumnKind.empty, f"column '{name}' is all null")
    if family == "temporal":
        return Column(name, ColumnKind.datetime)
    if family == "boolean":
        return Column(name, ColumnKind.categorical)
    if family == "number":
        if pa.types.is_integer(values.type) and _is_row_number(values):
            return Column(
                name,
                ColumnKind.identifier,
                f"column '{name}' numbers the rows: left out; {type_option(name, 'numeric')} keeps it",
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
            f"{type_option(name, 'text')} keeps it",
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


def some(names: Sequence[str], limit: int = 6) -> str:
    """Returns the first names in words, and how many more there are."""
    shown = ", ".join(f"'{name}'" for name in names[:limit])
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
