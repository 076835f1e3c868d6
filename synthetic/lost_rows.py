"""Damages that take rows away, or the variety among them."""

import numpy as np
import pyarrow as pa

from synthetic.columns import ColumnCodec, Matrices
from synthetic.edits import (
    Damaged,
    check_strength,
    choose_copies,
    count_rows,
    keep_rows,
    mask_of,
    mid_ranks,
    overwrite_rows,
)
from synthetic.neighbours import find_neighbours
from synthetic.table import stream

__all__ = ["cut_tails", "drop_mode", "duplicate_rows", "lose_rare_categories", "low_diversity", "near_duplicates"]

# The density of a row is judged by the distance to so many neighbours.
_NEIGHBOURS = 10


def drop_mode(table: pa.Table, strength: float, key: int) -> Damaged:
    """Returns the table without the `strength` share of rows that lie nearest to one random row: a lost mode.

    Nearness is Euclidean on the ranks of numbers, and 0 or 1 on categories.
    """
    check_strength(strength)
    rng = stream(key, "drop_mode")
    codec = ColumnCodec.fit(table)
    matrices = codec.encode(table, rng)
    centre = int(rng.integers(table.num_rows))
    ranks = mid_ranks(matrices.numbers)
    distance = ((ranks - ranks[centre]) ** 2).sum(axis=1) + (matrices.codes != matrices.codes[centre]).sum(axis=1)
    return keep_rows(table, np.sort(np.argsort(distance, kind="stable")[count_rows(strength, table) :]))


def cut_tails(table: pa.Table, strength: float, key: int) -> Damaged:
    """Returns the table without the `strength` share of rows that are most extreme in their most extreme number.

    Extremeness is the distance of the rank from the middle; `key` breaks ties.
    """
    check_strength(strength)
    rng = stream(key, "cut_tails")
    matrices = ColumnCodec.fit(table).encode(table, rng)
    extremeness = np.abs(mid_ranks(matrices.numbers) - 0.5).max(axis=1, initial=0.0)
    order = np.lexsort((rng.random(table.num_rows), -extremeness))
    return keep_rows(table, np.sort(order[count_rows(strength, table) :]))


def lose_rare_categories(table: pa.Table, strength: float, key: int) -> Damaged:
    """Returns the table without the `strength` share of rows that hold its rarest levels.

    A row is as rare as the rarest level in it; levels are those of categories and the values of few-valued numbers.
    So levels go one after the other, and only the last to go loses some of its rows. `key` breaks ties; where there
    are no levels, all rows tie.
    """
    check_strength(strength)
    rng = stream(key, "lose_rare_categories")
    codec = ColumnCodec.fit(table)
    matrices = codec.encode(table, rng)
    commonness = np.full(table.num_rows, table.num_rows)
    for column in codec.columns:
        if column.kind == "category":
            commonness = np.minimum(commonness, _counts(matrices.codes[:, column.code]))
        elif column.values is not None:
            commonness = np.minimum(commonness, _counts(matrices.numbers[:, column.number]))
    order = np.lexsort((rng.random(table.num_rows), commonness))
    return keep_rows(table, np.sort(order[count_rows(strength, table) :]))


def low_diversity(table: pa.Table, strength: float, key: int) -> Damaged:
    """Returns the table with its unlikeliest `strength` share of rows overwritten by copies of the likelier ones.

    What top-p sampling leaves of a distribution, at the same number of rows. How likely a row is, is read off its
    distance to its tenth neighbour; at strength 1 a single row is left.
    """
    check_strength(strength)
    rng = stream(key, "low_diversity")
    codec = ColumnCodec.fit(table)
    isolation = find_neighbours(codec, codec.encode(table, rng), _NEIGHBOURS).isolation
    order = np.lexsort((rng.random(table.num_rows), isolation))
    kept = max(1, table.num_rows - count_rows(strength, table))
    index = np.arange(table.num_rows)
    index[order[kept:]] = rng.choice(order[:kept], size=table.num_rows - kept)
    return Damaged(table.take(index), mask_of(table, order[kept:]))


def duplicate_rows(table: pa.Table, strength: float, key: int) -> Damaged:
    """Returns the table with a random `strength` share of its rows overwritten by exact copies of other rows."""
    check_strength(strength)
    rng = stream(key, "duplicate_rows")
    chosen, source = choose_copies(table, strength, rng)
    index = np.arange(table.num_rows)
    index[chosen] = source
    return Damaged(table.take(index), mask_of(table, chosen))


def near_duplicates(table: pa.Table, strength: float, key: int, jitter: float = 0.02) -> Damaged:
    """Returns the table with a `strength` share of its rows overwritten by slightly jittered copies of other rows.

    Args:
      table: Rows to damage.
      strength: Share of rows, 0..1.
      key: Non-negative integer.
      jitter: Standard deviation of the noise on each number, in standard deviations of its column. Few-valued
        columns mostly stay as they are, categories always.
    """
    check_strength(strength)
    rng = stream(key, "near_duplicates")
    codec = ColumnCodec.fit(table)
    matrices = codec.encode(table, rng)
    chosen, source = choose_copies(table, strength, rng)
    noise = rng.standard_normal((len(chosen), matrices.numbers.shape[1])) * jitter * matrices.numbers.std(axis=0)
    copies = codec.decode(Matrices(matrices.numbers[source] + noise, matrices.codes[source]))
    return overwrite_rows(table, chosen, copies)


def _counts(x: np.ndarray) -> np.ndarray:
    """How often the value of each row occurs in its column."""
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    return counts[inverse]
