"""How a table is edited, and what comes of it: the parts that all damages are made of."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from synthetic.marginal import NumberMarginal

__all__ = [
    "Damage",
    "Damaged",
    "check_strength",
    "choose_copies",
    "choose_rows",
    "count_rows",
    "keep_rows",
    "mask_of",
    "mid_ranks",
    "overwrite_rows",
    "permute_within",
    "untouched",
]


class Damaged(NamedTuple):
    """A damaged table.

    Attributes:
      table: Same schema as the input.
      rows: `[table.num_rows]` bool, the damaged rows of `table`.
    """

    table: pa.Table
    rows: np.ndarray


Damage = Callable[[pa.Table, float, int], Damaged]


def check_strength(strength: float) -> None:
    """Raises ValueError unless `strength` is in 0..1."""
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"strength must be in 0..1, got {strength}")


def count_rows(strength: float, table: pa.Table) -> int:
    """Returns how many rows a share of `strength` is."""
    return round(strength * table.num_rows)


def choose_rows(table: pa.Table, strength: float, rng: np.random.Generator) -> np.ndarray:
    """Returns a random share of the rows, ascending."""
    return np.sort(rng.permutation(table.num_rows)[: count_rows(strength, table)])


def choose_copies(table: pa.Table, strength: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Returns rows to overwrite, and for each the row to copy: one that is itself kept, as long as any is."""
    chosen = choose_rows(table, strength, rng)
    kept = np.setdiff1d(np.arange(table.num_rows), chosen)
    if len(kept) == 0:
        # Everything is a copy of one row, which then is no copy itself.
        kept, chosen = chosen[:1], chosen[1:]
    return chosen, rng.choice(kept, size=len(chosen))


def mask_of(table: pa.Table, rows: np.ndarray) -> np.ndarray:
    """Returns `[table.num_rows]` bool, True at `rows`."""
    mask = np.zeros(table.num_rows, bool)
    mask[rows] = True
    return mask


def untouched(table: pa.Table) -> Damaged:
    """Returns the table as it is, with no row damaged."""
    return Damaged(table, np.zeros(table.num_rows, bool))


def keep_rows(table: pa.Table, rows: np.ndarray) -> Damaged:
    """Returns only `rows` of the table, none of them damaged."""
    return untouched(table.take(rows))


def permute_within(table: pa.Table, rows: np.ndarray, names: Sequence[str], rng: np.random.Generator) -> Damaged:
    """Returns the table with each of the columns `names` permuted on its own among `rows`."""
    result = table
    for name in names:
        index = np.arange(table.num_rows)
        index[rows] = rng.permutation(rows)
        j = table.column_names.index(name)
        result = result.set_column(j, table.schema.field(j), table[name].take(index))
    return Damaged(result, mask_of(table, rows))


def overwrite_rows(table: pa.Table, rows: np.ndarray, replacement: pa.Table) -> Damaged:
    """Returns the table with the rows of `replacement`, one for each of `rows`, in their place."""
    joined = pa.concat_tables([table, replacement]).unify_dictionaries().combine_chunks()
    index = np.arange(table.num_rows)
    index[rows] = table.num_rows + np.arange(len(rows))
    return Damaged(joined.take(index), mask_of(table, rows))


def mid_ranks(numbers: np.ndarray) -> np.ndarray:
    """Returns the mid-ranks of each column of `numbers`, `[n, p]`, in 0..1."""
    if not len(numbers):
        return numbers
    columns = [NumberMarginal.fit(x).mid_rank(x) for x in numbers.T]
    return np.column_stack(columns) if columns else numbers
