"""What a dataset is, and how raw columns become a tidy Arrow table."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

__all__ = ["Dataset", "Raw", "columns_of", "from_flags", "named", "number", "sample", "text", "tidy_table", "yes_or_no"]

Raw = dict[str, np.ndarray]

# Above this a dataset is a fixed random sample of its rows: more would cost time and say nothing new.
MOST_ROWS = 20_000


@dataclass(frozen=True)
class Dataset:
    """A real table.

    Attributes:
      name: Name in `DATASETS`.
      package: Distribution that ships it; `describe` adds the installed version.
      rows: Number of rows.
      targets: Columns to measure skill on.
      read: Reads the raw columns, as NumPy arrays of one length.
      tidy: Turns them into the table.
    """

    name: str
    package: str
    rows: int
    targets: tuple[str, ...]
    read: Callable[[], Raw]
    tidy: Callable[[Raw], pa.Table]


def columns_of(frame: Any) -> Raw:
    """Returns a data frame's columns by name."""
    return {str(column): frame[column].to_numpy() for column in frame}


def number(x: np.ndarray) -> pa.Array:
    """An int64 column where all values are whole, else float64; NaN becomes null."""
    x = np.asarray(x, dtype=np.float64)
    present = x[~np.isnan(x)]
    if (present == np.rint(present)).all():
        return pa.array(np.nan_to_num(x).astype(np.int64), mask=np.isnan(x))
    if np.array_equal(present, present.astype(np.float32)):
        # Stored as float32 by its authors: 0.1 came out as 0.10000000149. The shortest decimal is what they wrote.
        x = np.array([float(str(value)) for value in x.astype(np.float32)])
    return pa.array(x, mask=np.isnan(x))


def text(x: np.ndarray) -> pa.Array:
    """A string column without the blanks around its values; what is no string becomes null."""
    return pa.array([value.strip() if isinstance(value, str) else None for value in x], pa.string())


def yes_or_no(x: np.ndarray) -> pa.Array:
    """A bool column from numbers (all but 0 mean yes) or words (yes, no or their first letters)."""
    if x.dtype.kind == "O":
        words = {"y": True, "yes": True, "n": False, "no": False}
        return pa.array([words[value.lower()] if isinstance(value, str) else None for value in x], pa.bool_())
    x = np.asarray(x, dtype=np.float64)
    return pa.array(np.nan_to_num(x) != 0, mask=np.isnan(x))


def named(x: np.ndarray, names: Mapping[int, str] | None = None) -> pa.Array:
    """A string column: `names[code]`, or the code itself; codes without a name, and NaN, become null."""
    codes = [None if np.isnan(value) else int(value) for value in np.asarray(x, dtype=np.float64)]
    if names is None:
        return pa.array([None if code is None else str(code) for code in codes], pa.string())
    return pa.array([None if code is None else names.get(code) for code in codes], pa.string())


def from_flags(raw: Raw, flags: Mapping[str, str], otherwise: str | None) -> pa.Array:
    """One string column from a group of 0/1 columns; rows with none of them set are `otherwise`."""
    rows = len(next(iter(raw.values())))
    values = np.full(rows, otherwise, dtype=object)
    for column, name in flags.items():
        values[raw[column] == 1] = name
    return pa.array(values, pa.string())


def sample(table: pa.Table) -> pa.Table:
    """Returns `MOST_ROWS` random rows in their order, the same ones each time; all where there are no more."""
    if table.num_rows <= MOST_ROWS:
        return table
    drawn = np.random.default_rng(0).choice(table.num_rows, MOST_ROWS, replace=False)
    return table.take(np.sort(drawn))


def tidy_table(
    raw: Raw,
    *,
    drop: tuple[str, ...] = (),
    yes: tuple[str, ...] = (),
    codes: Mapping[str, Mapping[int, str] | None] | None = None,
    extra: Mapping[str, pa.Array] | None = None,
) -> pa.Table:
    """The raw columns less `drop`, in their order, then `extra`; what is neither `yes` nor `codes` stays."""
    codes = codes or {}
    columns: dict[str, pa.Array] = {}
    for name, x in raw.items():
        if name in drop:
            continue
        if name in yes:
            columns[name] = yes_or_no(x)
        elif name in codes:
            columns[name] = named(x, codes[name])
        else:
            columns[name] = text(x) if x.dtype.kind == "O" else number(x)
    return pa.table({**columns, **(extra or {})})
