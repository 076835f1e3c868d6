"""The defects: a file of real rows, a share of them made wrong in one known way.

Each kind takes the file and the rows to make wrong, and returns the file with the rows that are wrong. A copy always
stands after the row that it repeats, since of two equal rows nothing but their order can say which is the copy.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from synthetic.columns import ColumnCodec, Matrices
from synthetic.edits import Damaged, choose_rows, count_rows, mask_of, mid_ranks, overwrite_rows
from synthetic.table import stream
from synthetic.wrong_cells import drifted_block, impossible_combinations, shuffle_cells

__all__ = ["KINDS", "Material", "plant"]

_JITTER = 0.02  # standard deviations by which a near duplicate's numbers differ from what they repeat


@dataclass(frozen=True)
class Material:
    """What a file is made of.

    Attributes:
      table: Real rows that neither the reference nor the generator has.
      generated: As many rows of a collapsed generator, fitted to other real rows.
      label: The column that is flipped: the one that can be predicted best.
    """

    table: pa.Table
    generated: pa.Table
    label: str


def plant(material: Material, kind: str, share: float, key: int) -> Damaged:
    """Returns the file with a defect of `kind` in a `share` of its rows, and which rows these are."""
    return KINDS[kind](material, share, key)


def _exact_duplicates(material: Material, share: float, key: int) -> Damaged:
    table = material.table
    chosen, source = _later_copies(table, share, stream(key, "exact_duplicates"))
    index = np.arange(table.num_rows)
    index[chosen] = source
    return Damaged(table.take(index), mask_of(table, chosen))


def _near_duplicates(material: Material, share: float, key: int) -> Damaged:
    table, rng = material.table, stream(key, "near_duplicates")
    codec = ColumnCodec.fit(table)
    matrices = codec.encode(table, rng)
    chosen, source = _later_copies(table, share, rng)
    numbers = matrices.numbers[source]
    numbers = numbers + rng.standard_normal(numbers.shape) * _JITTER * matrices.numbers.std(axis=0)
    return overwrite_rows(table, chosen, codec.decode(Matrices(numbers, matrices.codes[source])))


def _label_flips(material: Material, share: float, key: int) -> Damaged:
    """A category becomes another, by their frequency; a number moves by half of its column's ranks."""
    table, rng = material.table, stream(key, "label_flips")
    codec = ColumnCodec.fit(table)
    (column,) = (column for column in codec.columns if column.name == material.label)
    matrices = codec.encode(table, rng)
    chosen = choose_rows(table, share, rng)
    j = table.column_names.index(material.label)
    index = np.arange(table.num_rows)
    if column.kind == "category":
        codes = matrices.codes[:, column.code]
        for row in chosen:
            index[row] = rng.choice(np.flatnonzero(codes != codes[row]))
    else:
        ranks = mid_ranks(matrices.numbers[:, [column.number]])[:, 0]
        order = np.argsort(ranks, kind="stable")
        wanted = np.searchsorted(ranks[order], (ranks[chosen] + 0.5) % 1.0)
        index[chosen] = order[np.minimum(wanted, len(order) - 1)]
    changed = table.set_column(j, table.schema.field(j), table[material.label].take(index))
    return Damaged(changed, mask_of(table, chosen))


def _outliers(material: Material, share: float, key: int) -> Damaged:
    """Half of the rows have one number beyond its range, half have every number in either outer fiftieth of it."""
    table, rng = material.table, stream(key, "outliers")
    codec = ColumnCodec.fit(table)
    matrices = codec.encode(table, rng)
    able = [column for column in codec.columns if column.kind == "number" and column.low < column.high]
    many = [column for column in able if column.values is None] or able
    chosen = choose_rows(table, share, rng)
    index = np.tile(np.arange(table.num_rows)[:, None], table.num_columns)
    for row in chosen[1::2]:
        for column in many:
            x = matrices.numbers[:, column.number]
            edge = np.quantile(x, [0.02, 0.98])
            outer = np.flatnonzero(x <= edge[0] if rng.random() < 0.5 else x >= edge[1])
            index[row, table.column_names.index(column.name)] = rng.choice(outer)
    result = pa.table([c.take(i) for c, i in zip(table.columns, index.T, strict=True)], schema=table.schema)
    one = rng.integers(len(able), size=table.num_rows)
    for position, column in enumerate(able):
        j = table.column_names.index(column.name)
        values = result[column.name].to_numpy(zero_copy_only=False).astype(float)
        for row in chosen[::2][one[chosen[::2]] == position]:
            beyond = rng.uniform(0.25, 1.0) * (column.high - column.low)
            values[row] = column.high + beyond if rng.random() < 0.5 else column.low - beyond
        whole = not pa.types.is_floating(column.type)
        array = pa.array(np.rint(values) if whole else values, from_pandas=True)
        result = result.set_column(j, table.schema.field(j), array.cast(column.type, safe=False))
    return Damaged(result, mask_of(table, chosen))


def _generated_block(material: Material, share: float, key: int) -> Damaged:
    table, rng = material.table, stream(key, "generated_block")
    size = count_rows(share, table)
    start = int(rng.integers(table.num_rows - size + 1))
    return overwrite_rows(table, np.arange(start, start + size), material.generated.slice(0, size))


def _generated_rows(material: Material, share: float, key: int) -> Damaged:
    table = material.table
    chosen = choose_rows(table, share, stream(key, "generated_rows"))
    return overwrite_rows(table, chosen, material.generated.slice(0, len(chosen)))


def _later_copies(table: pa.Table, share: float, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows to overwrite, and for each an earlier row that is itself kept."""
    chosen = np.sort(1 + rng.permutation(table.num_rows - 1)[: count_rows(share, table)])
    kept = np.setdiff1d(np.arange(table.num_rows), chosen)
    return chosen, np.array([rng.choice(kept[kept < row]) for row in chosen], int)


KINDS: dict[str, Callable[[Material, float, int], Damaged]] = {
    "exact_duplicates": _exact_duplicates,
    "near_duplicates": _near_duplicates,
    "label_flips": _label_flips,
    "outliers": _outliers,
    "shuffled_cells": lambda material, share, key: shuffle_cells(material.table, share, key),
    "impossible_combinations": lambda material, share, key: impossible_combinations(material.table, share, key),
    "drifted_block": lambda material, share, key: drifted_block(material.table, share, key),
    "generated_block": _generated_block,
    "generated_rows": _generated_rows,
}
