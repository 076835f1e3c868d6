"""Damages with a strength and known rows: what a detector should find, and where.

    table, rows = DAMAGES["flip_labels"](real, strength=0.1, key=0)

Every damage takes a table, a strength in 0..1 (0 changes nothing) and a key, and returns the damaged table with a mask
of the rows that it damaged. Damages that remove rows leave none to point at: their mask is all False.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from synthetic.columns import ColumnCodec, Matrices
from synthetic.table import stream

__all__ = [
    "DAMAGES",
    "Damaged",
    "cut_tails",
    "drifted_block",
    "drop_mode",
    "duplicate_rows",
    "flip_labels",
    "near_duplicates",
    "shuffle_cells",
    "shuffle_columns",
]


class Damaged(NamedTuple):
    """A damaged table.

    Attributes:
      table: Same schema as the input.
      rows: `[table.num_rows]` bool, the damaged rows of `table`.
    """

    table: pa.Table
    rows: np.ndarray


def drop_mode(table: pa.Table, strength: float, key: int) -> Damaged:
    """Returns the table without the `strength` share of rows that lie nearest to one random row: a lost mode.

    Nearness is Euclidean on the ranks of numbers, and 0 or 1 on categories.
    """
    _check(strength)
    rng = stream(key, "drop_mode")
    codec = ColumnCodec.fit(table)
    matrices = codec.encode(table, rng)
    centre = int(rng.integers(table.num_rows))
    ranks = _ranks(matrices.numbers)
    distance = ((ranks - ranks[centre]) ** 2).sum(axis=1) + (matrices.codes != matrices.codes[centre]).sum(axis=1)
    return _keep(table, np.sort(np.argsort(distance, kind="stable")[_count(strength, table) :]))


def cut_tails(table: pa.Table, strength: float, key: int) -> Damaged:
    """Returns the table without the `strength` share of rows that are most extreme in their most extreme number.

    Extremeness is the distance of the rank from the middle; `key` breaks ties.
    """
    _check(strength)
    rng = stream(key, "cut_tails")
    matrices = ColumnCodec.fit(table).encode(table, rng)
    extremeness = np.abs(_ranks(matrices.numbers) - 0.5).max(axis=1, initial=0.0)
    order = np.lexsort((rng.random(table.num_rows), -extremeness))
    return _keep(table, np.sort(order[_count(strength, table) :]))


def shuffle_columns(table: pa.Table, strength: float, key: int) -> Damaged:
    """Returns the table with every column permuted on its own within a random `strength` share of the rows.

    The marginals stay exactly as they are; at strength 1 all dependence is gone.
    """
    _check(strength)
    rng = stream(key, "shuffle_columns")
    chosen = _choose(table, strength, rng)
    return _permuted(table, chosen, table.column_names, rng)


def duplicate_rows(table: pa.Table, strength: float, key: int) -> Damaged:
    """Returns the table with a random `strength` share of its rows overwritten by exact copies of other rows."""
    _check(strength)
    rng = stream(key, "duplicate_rows")
    chosen, source = _copies(table, strength, rng)
    index = np.arange(table.num_rows)
    index[chosen] = source
    return Damaged(table.take(index), _mask(table, chosen))


def near_duplicates(table: pa.Table, strength: float, key: int, jitter: float = 0.02) -> Damaged:
    """Returns the table with a `strength` share of its rows overwritten by slightly jittered copies of other rows.

    Args:
      table: Rows to damage.
      strength: Share of rows, 0..1.
      key: Non-negative integer.
      jitter: Standard deviation of the noise on each number, in standard deviations of its column. Few-valued
        columns mostly stay as they are, categories always.
    """
    _check(strength)
    rng = stream(key, "near_duplicates")
    codec = ColumnCodec.fit(table)
    matrices = codec.encode(table, rng)
    chosen, source = _copies(table, strength, rng)
    noise = rng.standard_normal((len(chosen), matrices.numbers.shape[1])) * jitter * matrices.numbers.std(axis=0)
    copies = codec.decode(Matrices(matrices.numbers[source] + noise, matrices.codes[source]))
    return _overwrite(table, chosen, copies)


def flip_labels(table: pa.Table, strength: float, key: int, column: str | None = None) -> Damaged:
    """Returns the table with one column permuted within a random `strength` share of the rows: label noise.

    Args:
      table: Rows to damage.
      strength: Share of rows, 0..1; among them a permuted label may happen to be the right one.
      key: Non-negative integer.
      column: The label; None for the last column.
    """
    _check(strength)
    rng = stream(key, "flip_labels")
    label = table.column_names[-1] if column is None else column
    return _permuted(table, _choose(table, strength, rng), [label], rng)


def shuffle_cells(table: pa.Table, strength: float, key: int) -> Damaged:
    """Returns the table where, in a random `strength` share of the rows, about half of the cells come from others.

    At least one cell of each of these rows is exchanged.
    """
    _check(strength)
    rng = stream(key, "shuffle_cells")
    chosen = _choose(table, strength, rng)
    hit = rng.random((len(chosen), table.num_columns)) < 0.5
    hit[np.arange(len(chosen)), rng.integers(table.num_columns, size=len(chosen))] = True
    result = table
    for j, name in enumerate(table.column_names):
        index = np.arange(table.num_rows)
        rows = chosen[hit[:, j]]
        index[rows] = rng.integers(table.num_rows, size=len(rows))
        result = result.set_column(j, table.schema.field(j), table[name].take(index))
    return Damaged(result, _mask(table, chosen))


def drifted_block(table: pa.Table, strength: float, key: int, shift: float = 1.0) -> Damaged:
    """Returns the table with a contiguous block, a `strength` share of the rows, whose numbers have drifted.

    Where there are no numbers, each category in the block becomes its column's commonest.

    Args:
      table: Rows to damage.
      strength: Share of rows, 0..1.
      key: Non-negative integer; decides where the block lies.
      shift: Standard deviations by which each number moves, up or down by chance; it is clipped to its range.
    """
    _check(strength)
    rng = stream(key, "drifted_block")
    codec = ColumnCodec.fit(table)
    size = _count(strength, table)
    start = int(rng.integers(table.num_rows - size + 1))
    block = np.arange(start, start + size)
    matrices = codec.encode(table, rng)
    numbers, codes = matrices.numbers[block], matrices.codes[block]
    if numbers.shape[1]:
        sign = rng.choice([-1.0, 1.0], size=numbers.shape[1])
        numbers = numbers + shift * sign * matrices.numbers.std(axis=0)
    else:
        codes = np.tile([np.bincount(column).argmax() for column in matrices.codes.T], (size, 1))
    return _overwrite(table, block, codec.decode(Matrices(numbers, codes)))


def _check(strength: float) -> None:
    if not 0.0 <= strength <= 1.0:
        raise ValueError(f"strength must be in 0..1, got {strength}")


def _count(strength: float, table: pa.Table) -> int:
    return round(strength * table.num_rows)


def _choose(table: pa.Table, strength: float, rng: np.random.Generator) -> np.ndarray:
    return np.sort(rng.permutation(table.num_rows)[: _count(strength, table)])


def _copies(table: pa.Table, strength: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows to overwrite, and for each the row to copy: one that is itself kept, as long as any is."""
    chosen = _choose(table, strength, rng)
    kept = np.setdiff1d(np.arange(table.num_rows), chosen)
    if len(kept) == 0:
        # Everything is a copy of one row, which then is no copy itself.
        kept, chosen = chosen[:1], chosen[1:]
    return chosen, rng.choice(kept, size=len(chosen))


def _mask(table: pa.Table, rows: np.ndarray) -> np.ndarray:
    mask = np.zeros(table.num_rows, bool)
    mask[rows] = True
    return mask


def _keep(table: pa.Table, rows: np.ndarray) -> Damaged:
    return Damaged(table.take(rows), np.zeros(len(rows), bool))


def _permuted(table: pa.Table, rows: np.ndarray, names: list[str], rng: np.random.Generator) -> Damaged:
    result = table
    for name in names:
        index = np.arange(table.num_rows)
        index[rows] = rng.permutation(rows)
        j = table.column_names.index(name)
        result = result.set_column(j, table.schema.field(j), table[name].take(index))
    return Damaged(result, _mask(table, rows))


def _overwrite(table: pa.Table, rows: np.ndarray, replacement: pa.Table) -> Damaged:
    joined = pa.concat_tables([table, replacement]).unify_dictionaries().combine_chunks()
    index = np.arange(table.num_rows)
    index[rows] = table.num_rows + np.arange(len(rows))
    return Damaged(joined.take(index), _mask(table, rows))


def _ranks(numbers: np.ndarray) -> np.ndarray:
    """Mid-ranks in 0..1 of each column."""
    n = max(len(numbers), 1)
    ordered = np.sort(numbers, axis=0)
    ranks = np.zeros_like(numbers)
    for j in range(numbers.shape[1]):
        below = np.searchsorted(ordered[:, j], numbers[:, j], "left")
        ranks[:, j] = (below + np.searchsorted(ordered[:, j], numbers[:, j], "right")) / (2 * n)
    return ranks


Damage = Callable[[pa.Table, float, int], Damaged]

DAMAGES: dict[str, Damage] = {
    damage.__name__: damage
    for damage in (
        drop_mode,
        cut_tails,
        shuffle_columns,
        duplicate_rows,
        near_duplicates,
        flip_labels,
        shuffle_cells,
        drifted_block,
    )
}
