"""Damages that leave every row in its place and change cells."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from synthetic.columns import Column, ColumnCodec, Matrices
from synthetic.discrete import Discrete, Pairs, count_pairs, mutual_information
from synthetic.edits import (
    Damaged,
    check_strength,
    choose_rows,
    count_rows,
    mask_of,
    overwrite_rows,
    permute_within,
    untouched,
)
from synthetic.table import stream

__all__ = [
    "break_pair",
    "drifted_block",
    "flip_labels",
    "impossible_combinations",
    "shuffle_cells",
    "shuffle_columns",
    "wrong_units",
]

# Codes that numbers and categories are cut into where the dependence of two columns is counted.
_BINS, _LEVELS = 8, 32


def shuffle_columns(table: pa.Table, strength: float, key: int) -> Damaged:
    """Returns the table with every column permuted on its own within a random `strength` share of the rows.

    The marginals stay exactly as they are; at strength 1 all dependence is gone.
    """
    check_strength(strength)
    rng = stream(key, "shuffle_columns")
    chosen = choose_rows(table, strength, rng)
    return permute_within(table, chosen, table.column_names, rng)


def break_pair(table: pa.Table, strength: float, key: int) -> Damaged:
    """Returns the table with one column of its most dependent pair permuted within a `strength` share of the rows.

    Most dependent is the pair with the most mutual information between codes. Of the two the one is permuted that
    depends less on the other columns, so that little but the pair breaks. A table of one column is left as it is.
    """
    check_strength(strength)
    rng = stream(key, "break_pair")
    _, _, pairs = _count(table, rng)
    information = mutual_information(pairs, table.num_rows)
    if len(information) < 2:
        return untouched(table)
    pair = np.array(np.unravel_index(information.argmax(), information.shape))
    column = int(pair[information[pair].sum(axis=1).argmin()])
    return permute_within(table, choose_rows(table, strength, rng), [table.column_names[column]], rng)


def flip_labels(table: pa.Table, strength: float, key: int, column: str | None = None) -> Damaged:
    """Returns the table with one column permuted within a random `strength` share of the rows: label noise.

    Args:
      table: Rows to damage.
      strength: Share of rows, 0..1; among them a permuted label may happen to be the right one.
      key: Non-negative integer.
      column: The label; None for the last column.
    """
    check_strength(strength)
    rng = stream(key, "flip_labels")
    label = table.column_names[-1] if column is None else column
    return permute_within(table, choose_rows(table, strength, rng), [label], rng)


def shuffle_cells(table: pa.Table, strength: float, key: int) -> Damaged:
    """Returns the table where, in a random `strength` share of the rows, about half of the cells come from others.

    At least one cell of each of these rows is exchanged.
    """
    check_strength(strength)
    rng = stream(key, "shuffle_cells")
    chosen = choose_rows(table, strength, rng)
    hit = rng.random((len(chosen), table.num_columns)) < 0.5
    hit[np.arange(len(chosen)), rng.integers(table.num_columns, size=len(chosen))] = True
    source = np.tile(np.arange(table.num_rows)[:, None], table.num_columns)
    for j in range(table.num_columns):
        rows = chosen[hit[:, j]]
        source[rows, j] = rng.integers(table.num_rows, size=len(rows))
    return Damaged(_take_cells(table, source), mask_of(table, chosen))


def impossible_combinations(table: pa.Table, strength: float, key: int) -> Damaged:
    """Returns the table where, in a random `strength` share of the rows, two cells contradict each other.

    Both are values of their columns, but no row has them together, where a number counts as the eighth of its column
    that it lies in. The more often chance would have brought two such codes together, the likelier they are chosen. If
    every two codes do occur together, they are the two that do so least often for what chance would give. A table of
    one column is left as it is.
    """
    check_strength(strength)
    rng = stream(key, "impossible_combinations")
    discrete, codes, pairs = _count(table, rng)
    owner = np.repeat(np.arange(table.num_columns), discrete.num_codes)
    weight = _contradictions(pairs, owner)
    if not weight.any():
        return untouched(table)
    chosen = choose_rows(table, strength, rng)
    cells = rng.choice(weight.size, size=len(chosen), p=weight.ravel() / weight.sum())
    source = np.tile(np.arange(table.num_rows)[:, None], table.num_columns)
    for of_pair in np.unravel_index(cells, weight.shape):
        for code in np.unique(of_pair):
            column, hit = owner[code], chosen[of_pair == code]
            donors = np.flatnonzero(codes[:, column] == code - pairs.start[column])
            source[hit, column] = rng.choice(donors, size=len(hit))
    return Damaged(_take_cells(table, source), mask_of(table, chosen))


def wrong_units(table: pa.Table, strength: float, key: int, factor: int = 1000) -> Damaged:
    """Returns the table with one number column multiplied by `factor` in a `strength` share of the rows.

    Args:
      table: Rows to damage. The column is one that can hold the products, with many values if there is such a one;
        where no column can, the table is left as it is.
      strength: Share of rows, 0..1; they are chosen among those that have a value other than 0, and are all of these
        where they are fewer.
      key: Non-negative integer; chooses column and rows.
      factor: 2 or more.
    """
    check_strength(strength)
    if factor < 2:
        raise ValueError(f"factor must be 2 or more, got {factor}")
    rng = stream(key, "wrong_units")
    able = [column for column in ColumnCodec.fit(table).columns if _can_hold(column, factor)]
    able = [column for column in able if column.values is None] or able
    if not able:
        return untouched(table)
    column = able[int(rng.integers(len(able)))]
    values = table[column.name]
    nonzero = pc.and_(pc.is_finite(values), pc.not_equal(values, pa.scalar(0, values.type))).fill_null(False)
    eligible = np.flatnonzero(nonzero.to_numpy())
    mask = mask_of(table, rng.permutation(eligible)[: count_rows(strength, table)])
    products = pc.if_else(pa.array(mask), pc.multiply(values, pa.scalar(factor, values.type)), values)
    j = table.column_names.index(column.name)
    return Damaged(table.set_column(j, table.schema.field(j), products), mask)


def drifted_block(table: pa.Table, strength: float, key: int, shift: float = 1.0) -> Damaged:
    """Returns the table with a contiguous block, a `strength` share of the rows, whose numbers have drifted.

    Where there are no numbers, each category in the block becomes its column's commonest.

    Args:
      table: Rows to damage.
      strength: Share of rows, 0..1.
      key: Non-negative integer; decides where the block lies.
      shift: Standard deviations by which each number moves, up or down by chance; it is clipped to its range.
    """
    check_strength(strength)
    rng = stream(key, "drifted_block")
    codec = ColumnCodec.fit(table)
    size = count_rows(strength, table)
    start = int(rng.integers(table.num_rows - size + 1))
    block = np.arange(start, start + size)
    matrices = codec.encode(table, rng)
    numbers, codes = matrices.numbers[block], matrices.codes[block]
    if numbers.shape[1]:
        sign = rng.choice([-1.0, 1.0], size=numbers.shape[1])
        numbers = numbers + shift * sign * matrices.numbers.std(axis=0)
    else:
        codes = np.tile([np.bincount(column).argmax() for column in matrices.codes.T], (size, 1))
    return overwrite_rows(table, block, codec.decode(Matrices(numbers, codes)))


def _take_cells(table: pa.Table, source: np.ndarray) -> pa.Table:
    """The table whose cell (i, j) is that of row `source[i, j]`, `[n, d]`."""
    arrays = [column.take(index) for column, index in zip(table.columns, source.T, strict=True)]
    return pa.table(arrays, schema=table.schema)


def _count(table: pa.Table, rng: np.random.Generator) -> tuple[Discrete, np.ndarray, Pairs]:
    codec = ColumnCodec.fit(table)
    matrices = codec.encode(table, rng)
    discrete = Discrete.fit(codec, matrices, _BINS, _LEVELS)
    codes = discrete.encode(matrices)
    return discrete, codes, count_pairs(codes, discrete.num_codes)


def _contradictions(pairs: Pairs, owner: np.ndarray) -> np.ndarray:
    """How much two codes, `[s, s]`, should be chosen to contradict each other: 0 for most, and within a column."""
    marginal = np.diag(pairs.counts)
    # Up to a factor what chance alone would give; each pair once.
    expected = np.outer(marginal, marginal) * np.less.outer(owner, owner)
    possible = expected > 0
    if not possible.any():
        return expected
    ratio = np.divide(pairs.counts, expected, out=np.full_like(expected, np.inf), where=possible)
    return expected * (ratio == ratio.min())


def _can_hold(column: Column, factor: int) -> bool:
    largest = factor * max(abs(column.low), abs(column.high))
    if column.kind != "number" or largest == 0:
        return False
    if pa.types.is_integer(column.type):
        return largest <= np.iinfo(column.type.to_pandas_dtype()).max
    return pa.types.is_float32(column.type) or pa.types.is_float64(column.type)
