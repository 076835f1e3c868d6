"""The codec: a dataset as an `[n, d]` matrix of small integers, the same for candidate and reference."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from vr.core.errors import DataError
from vr.data.config import CodecConfig
from vr.data.encoders import (
    CategoricalEncoder,
    CyclicEncoder,
    Encoder,
    NumericEncoder,
    TextEncoder,
    as_strings,
    to_float,
)
from vr.data.schema import Column, ColumnKind, type_option

__all__ = ["Codec", "Coded", "encode_column", "fit_codec"]


@dataclass(frozen=True)
class Coded:
    """Rows as the statistics, the proxies and the localizer read them.

    Attributes:
      codes: uint16 `[n, d]`, column j in [0, num_codes[j]); 0 is null.
      values: float64 `[n, d]`, the number behind a numeric code (NaN where null or where the column has no numbers).
    """

    codes: np.ndarray
    values: np.ndarray

    def __len__(self) -> int:
        return len(self.codes)

    def take(self, rows: np.ndarray) -> "Coded":
        """Returns the rows at positions `rows`."""
        return Coded(_rows_of(self.codes, rows), _rows_of(self.values, rows))


@dataclass(frozen=True)
class Codec:
    """Encoders of all columns, fitted on the reference.

    Attributes:
      columns: The dataset's columns with their kinds, those left out included.
      encoders: One for each encoded column; a date gives several.
    """

    columns: tuple[Column, ...]
    encoders: tuple[Encoder, ...]

    @property
    def names(self) -> list[str]:
        """The encoded columns' names, `[d]`."""
        return [encoder.name for encoder in self.encoders]

    @property
    def sources(self) -> list[str]:
        """The dataset columns that are read, each once, in order."""
        return list(dict.fromkeys(encoder.source for encoder in self.encoders))

    @property
    def num_codes(self) -> np.ndarray:
        """Codes of each encoded column, int `[d]`."""
        return np.array([encoder.num_codes for encoder in self.encoders])

    @property
    def ordinal(self) -> np.ndarray:
        """True where codes rise with the value, bool `[d]`."""
        return np.array([encoder.ordinal for encoder in self.encoders])

    @property
    def numeric(self) -> np.ndarray:
        """True for the columns that `Coded.values` holds numbers of."""
        return np.array([isinstance(encoder, NumericEncoder) for encoder in self.encoders])

    def encode(self, batch: pa.RecordBatch | pa.Table, *, own: bool = False) -> Coded:
        """Returns the codes and values of `batch`'s rows.

        Args:
          batch: Rows with the codec's columns.
          own: They are the rows that the codec was fitted to (see `Encoder.encode_own`).

        Raises:
          DataError: where a column cannot be read as its kind.
        """
        codes = np.empty((batch.num_rows, len(self.encoders)), np.uint16, order="F")
        values = np.full((batch.num_rows, len(self.encoders)), np.nan, order="F")
        for j, encoder in enumerate(self.encoders):
            column = _one_chunk(batch.column(encoder.source))
            codes[:, j], numbers = encode_column(encoder, column)
            if numbers is not None:
                values[:, j] = numbers
            if own:
                codes[:, j] = encoder.encode_own(column)
        return Coded(codes, values)


def _rows_of(x: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Returns some rows of `x` in the order of memory that it has: what was gathered by column is read by column."""
    return x.T.take(rows, axis=1).T if x.flags.f_contiguous else x[rows]


def encode_column(encoder: Encoder, column: pa.Array) -> tuple[np.ndarray, np.ndarray | None]:
    """Returns the codes of one column, uint16 `[n]`, and the numbers behind them, float64 `[n]`, if there are any.

    Raises:
      DataError: where the column cannot be read as its kind.
    """
    try:
        if isinstance(encoder, NumericEncoder):
            numbers = to_float(column)
            return encoder.encode_floats(numbers), numbers
        return encoder.encode(column), None
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as err:
        raise DataError(
            f"cannot be read as {type(encoder).__name__.removesuffix('Encoder').lower()} ({err})",
            where=f"column '{encoder.source}'",
            hint=f"{type_option(encoder.source, 'categorical')} reads it as it is",
        ) from err


def fit_codec(columns: Sequence[Column], sample: pa.Table, config: CodecConfig, seed: int) -> Codec:
    """Fits a codec to `sample`, rows of the reference.

    Raises:
      DataError: if no column can be coded, or one cannot be read as its kind.
    """
    encoders: list[Encoder] = []
    for column in columns:
        values = _one_chunk(sample.column(column.name))
        try:
            encoders += _fit_column(column, values, config, seed)
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError) as err:
            raise DataError(
                f"cannot be read as {column.kind} ({err})",
                where=f"column '{column.name}'",
                hint=f"{type_option(column.name, 'categorical')} reads it as it is",
            ) from err
    if not encoders:
        raise DataError(
            "no column is left to compare: all are identifiers or ignored",
            hint=f"{type_option(columns[0].name, 'categorical')} keeps one" if columns else None,
        )
    return Codec(tuple(columns), tuple(encoders))


def _fit_column(column: Column, values: pa.Array, config: CodecConfig, seed: int) -> list[Encoder]:
    name = column.name
    match column.kind:
        case ColumnKind.identifier:
            return []
        case ColumnKind.numeric:
            return [NumericEncoder.fit(name, name, to_float(values), config.num_bins)]
        case ColumnKind.datetime:
            numeric = NumericEncoder.fit(name, name, to_float(values), config.num_bins)
            numeric = replace(numeric, type=_plain_type(values.type))
            parts = [CyclicEncoder(f"{name}[{part}]", name, part) for part in _parts_of(values.type)]
            return [numeric, *(part for part in parts if len(np.unique(part.encode(values))) > 1)]
        case ColumnKind.text:
            strings = as_strings(values)
            if strings.null_count < len(strings):
                return [TextEncoder.fit(name, name, strings, config.max_text_clusters, seed)]
            return [CategoricalEncoder(name, name, (), 0, 0)]
        case ColumnKind.empty:
            return [CategoricalEncoder(name, name, (), 0, 0)]
        case _:
            return [CategoricalEncoder.fit(name, name, values, config.max_categories)]


def _parts_of(type_: pa.DataType) -> list[str]:
    if pa.types.is_timestamp(type_):
        return ["hour", "weekday", "month"]
    if pa.types.is_date(type_):
        return ["weekday", "month"]
    return ["hour"] if pa.types.is_time(type_) else []


def _plain_type(type_: pa.DataType) -> pa.DataType:
    return type_.value_type if pa.types.is_dictionary(type_) else type_


def _one_chunk(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
