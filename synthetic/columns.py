"""A table of mixed types as two plain matrices and back: what every generator family is fitted on.

Numbers (integers, floats, dates and times) become one float column each; everything with levels (strings, bools,
dictionaries) becomes one column of codes. A missing value is a level of its own in a code column; a number column
with missing values gets a code column "missing or not" beside it, and its holes are filled with values drawn from
those present, so that the families see complete matrices and still learn where values are missing.
"""

from dataclasses import dataclass, field
from typing import Literal, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["Column", "ColumnCodec", "Matrices", "Part"]

# A number column with at most this many distinct values only ever takes one of them again.
_FEW_VALUES = 20
# Numbers written with at most this many decimals are written so again.
_MOST_DECIMALS = 6

_DTYPE_OF_WIDTH = {32: pa.int32(), 64: pa.int64()}


class Part(NamedTuple):
    """One column of the matrices: `kind` says which matrix, `index` which column of it."""

    kind: Literal["number", "code"]
    index: int


class Matrices(NamedTuple):
    """A table as matrices.

    Attributes:
      numbers: `[n, p]` float64, finite.
      codes: `[n, q]` int64, column `j` in `0 .. num_levels[j] - 1`.
    """

    numbers: np.ndarray
    codes: np.ndarray


@dataclass(frozen=True)
class Column:
    """How one column of the table is encoded.

    Attributes:
      name, type: As in the table's schema.
      kind: `empty` for a column without any value.
      number, code: Index of its column in either matrix, or None. A number column with missing values has both.
      levels: Values of a category column, sorted; the missing level, if there is one, comes after them.
      has_missing: Whether any value was missing (null or NaN).
      missing_is_nan: Missing values are written as NaN, because the column has NaN and no null.
      low, high: Observed range of a number column.
      values: The distinct values of a few-valued number column, else None.
      decimals: Decimals that suffice to write every observed number, or None.
    """

    name: str
    type: pa.DataType
    kind: Literal["number", "category", "empty"]
    number: int | None = None
    code: int | None = None
    levels: pa.Array = field(default_factory=lambda: pa.nulls(0))
    has_missing: bool = False
    missing_is_nan: bool = False
    low: float = 0.0
    high: float = 0.0
    values: np.ndarray | None = None
    decimals: int | None = None


@dataclass(frozen=True)
class ColumnCodec:
    """Encoder and decoder of tables of one schema, see the module's head.

    Attributes:
      schema: Schema of the table it was fitted on; decoded tables have exactly this one.
      columns: One entry per column, in the table's order.
      num_levels: `[q]` number of levels of each code column.
      order: Columns of both matrices in the table's order; the missing flag of a number comes before it.
    """

    schema: pa.Schema
    columns: tuple[Column, ...]
    num_levels: tuple[int, ...]
    order: tuple[Part, ...]

    @classmethod
    def fit(cls, table: pa.Table) -> "ColumnCodec":
        """Returns the codec of `table`.

        Raises:
          ValueError: The table has no rows, a repeated column name, or an infinite value.
          TypeError: A column's type is neither a number, a date or time, a bool, a string nor a dictionary of these.
        """
        if table.num_rows == 0 or table.num_columns == 0:
            raise ValueError(f"a generator needs rows and columns, got {table.num_rows} x {table.num_columns}")
        if len(set(table.column_names)) < table.num_columns:
            raise ValueError("a generator needs distinct column names")
        columns: list[Column] = []
        order: list[Part] = []
        num_levels: list[int] = []
        for entry in table.schema:
            values = _plain(table[entry.name])
            column = _describe(entry, values, sum(part.kind == "number" for part in order), len(num_levels))
            if column.code is not None:
                order.append(Part("code", column.code))
                num_levels.append(_count_levels(column))
            if column.number is not None:
                order.append(Part("number", column.number))
            columns.append(column)
        return cls(table.schema, tuple(columns), tuple(num_levels), tuple(order))

    def encode(self, table: pa.Table, rng: np.random.Generator) -> Matrices:
        """Returns the matrices of the table the codec was fitted on; `rng` fills the holes of number columns."""
        num_numbers = sum(part.kind == "number" for part in self.order)
        numbers = np.zeros((table.num_rows, num_numbers))
        codes = np.zeros((table.num_rows, len(self.num_levels)), dtype=np.int64)
        for column in self.columns:
            values = _plain(table[column.name])
            if column.kind == "category":
                found = pc.call_function("index_in", [values], pc.SetLookupOptions(column.levels))
                codes[:, column.code] = found.fill_null(len(column.levels)).to_numpy(zero_copy_only=False)
            elif column.kind == "number":
                x = _to_float(values)
                missing = np.isnan(x)
                if column.code is not None:
                    codes[:, column.code] = missing
                    x[missing] = rng.choice(x[~missing], size=int(missing.sum()))
                numbers[:, column.number] = x
        return Matrices(numbers, codes)

    def decode(self, matrices: Matrices) -> pa.Table:
        """Returns a table of the codec's schema; numbers are brought back into range, resolution and type."""
        num_rows = max(len(matrices.numbers), len(matrices.codes))
        arrays = [self._decode_column(column, matrices, num_rows) for column in self.columns]
        return pa.Table.from_arrays(arrays, schema=self.schema)

    def in_order(self, matrices: Matrices) -> np.ndarray:
        """Returns both matrices as one, `[n, d]` float64, its columns as in `order`."""
        return np.column_stack(
            [(matrices.numbers if part.kind == "number" else matrices.codes)[:, part.index] for part in self.order]
            or [np.zeros((len(matrices.numbers), 0))]
        ).astype(np.float64)

    def from_order(self, x: np.ndarray) -> Matrices:
        """Returns the matrices that `in_order` joined to `x`, `[n, d]`; codes must be whole numbers."""
        kinds = np.array([part.kind == "number" for part in self.order], dtype=bool)
        return Matrices(x[:, kinds], x[:, ~kinds].astype(np.int64))

    def _decode_column(self, column: Column, matrices: Matrices, num_rows: int) -> pa.Array:
        if column.kind == "empty":
            if column.missing_is_nan:
                return pa.array(np.full(num_rows, np.nan), type=column.type)
            return pa.nulls(num_rows, type=column.type)
        if column.kind == "category":
            codes = matrices.codes[:, column.code]
            indices = pa.array(codes, mask=codes >= len(column.levels))
            if pa.types.is_dictionary(column.type):
                return pa.DictionaryArray.from_arrays(indices.cast(column.type.index_type), column.levels).cast(
                    column.type
                )
            return column.levels.take(indices)
        x = _in_range(matrices.numbers[:, column.number], column)
        missing = np.zeros(num_rows, bool) if column.code is None else matrices.codes[:, column.code] == 1
        return _from_float(x, missing, column)


def _plain(values: pa.ChunkedArray) -> pa.ChunkedArray:
    """Dictionary columns as their values; other columns as they are."""
    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


def _describe(entry: pa.Field, values: pa.ChunkedArray, number: int, code: int) -> Column:
    name, kind = entry.name, values.type
    if pa.types.is_null(kind) or values.null_count == len(values):
        return Column(name, entry.type, "empty")
    is_category = pa.types.is_dictionary(entry.type) or pa.types.is_boolean(kind) or _is_text(kind)
    if is_category:
        levels = values.drop_null().unique().sort()
        return Column(name, entry.type, "category", code=code, levels=levels, has_missing=values.null_count > 0)
    x = _to_float(values, name)
    missing = np.isnan(x)
    nan_only = bool(missing.any()) and values.null_count == 0
    if missing.all():
        return Column(name, entry.type, "empty", missing_is_nan=nan_only)
    present = x[~missing]
    if not np.isfinite(present).all():
        raise ValueError(f"{name}: infinite values cannot be generated; replace or drop them")
    distinct = np.unique(present)
    return Column(
        name,
        entry.type,
        "number",
        number=number,
        code=code if missing.any() else None,
        has_missing=bool(missing.any()),
        missing_is_nan=nan_only,
        low=float(distinct[0]),
        high=float(distinct[-1]),
        values=distinct if len(distinct) <= _FEW_VALUES else None,
        decimals=_decimals(distinct),
    )


def _is_text(kind: pa.DataType) -> bool:
    types = (pa.types.is_string, pa.types.is_large_string, pa.types.is_binary, pa.types.is_large_binary)
    return any(is_type(kind) for is_type in types)


def _count_levels(column: Column) -> int:
    return 2 if column.kind == "number" else len(column.levels) + column.has_missing


def _to_float(values: pa.ChunkedArray, name: str = "") -> np.ndarray:
    """A number column as float64 with NaN for whatever is missing."""
    kind = values.type
    if pa.types.is_temporal(kind):
        values = values.cast(_DTYPE_OF_WIDTH[kind.bit_width])
    elif not (pa.types.is_integer(kind) or pa.types.is_floating(kind)):
        raise TypeError(f"{name}: columns of type {kind} cannot be generated; cast or drop the column")
    return np.array(values.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _from_float(x: np.ndarray, missing: np.ndarray, column: Column) -> pa.Array:
    if pa.types.is_floating(column.type):
        if column.missing_is_nan:
            return pa.array(np.where(missing, np.nan, x)).cast(column.type)
        return pa.array(x, mask=missing).cast(column.type)
    whole = x.astype(np.uint64 if pa.types.is_uint64(column.type) else np.int64)
    array = pa.array(whole, mask=missing)
    if pa.types.is_temporal(column.type):
        return array.cast(_DTYPE_OF_WIDTH[column.type.bit_width]).cast(column.type)
    return array.cast(column.type)


def _in_range(x: np.ndarray, column: Column) -> np.ndarray:
    """Nearest value the column can take: an observed one, or a rounded one within the observed range."""
    if column.values is not None:
        middles = (column.values[1:] + column.values[:-1]) / 2
        return column.values[np.searchsorted(middles, x)]
    if not pa.types.is_floating(column.type):
        # Beyond 2**53 a bound may have been rounded out of the type's range on its way to float64.
        low, high = column.low, column.high
        bits = np.iinfo(np.uint64 if pa.types.is_uint64(column.type) else np.int64)
        if int(high) > bits.max:
            high = np.nextafter(high, 0.0)
        return np.clip(np.rint(x), low, high)
    if column.decimals is not None:
        x = np.round(x, column.decimals)
    return np.clip(x, column.low, column.high)


def _decimals(distinct: np.ndarray) -> int | None:
    for decimals in range(_MOST_DECIMALS + 1):
        if np.allclose(np.round(distinct, decimals), distinct, rtol=1e-12, atol=0.0):
            return decimals
    return None
