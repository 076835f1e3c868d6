"""Changes that ought to do no harm: what a detector should let pass.

    table = HARMLESS["jitter"](real, strength=0.5, key=0)

Every change takes a table, a strength in 0..1 (0 changes nothing) and a key, and returns the changed table. Each says
why it ought not to harm whoever trains on the table; whether it does is for a measurement to say, not for this module.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
from scipy.special import ndtri

from synthetic.columns import Column, ColumnCodec, Matrices
from synthetic.edits import check_strength, choose_rows, count_rows
from synthetic.marginal import NumberMarginal
from synthetic.table import stream

__all__ = [
    "HARMLESS",
    "covariate_shift",
    "jitter",
    "light_duplication",
    "permute_columns",
    "permute_rows",
    "round_numbers",
    "subsample",
]

# At full strength, in standard deviations of a column: the noise of `jitter`, the widest step of `round_numbers`.
_JITTER, _STEP = 0.05, 0.2
# A value that more than this share of the rows have is a point mass, and means something exact.
_POINT_MASS = 0.02


def permute_rows(table: pa.Table, strength: float, key: int) -> pa.Table:
    """Returns the table with a `strength` share of its rows in each other's places.

    Harmless because rows are exchangeable: no learner of tables may depend on their order.
    """
    check_strength(strength)
    rng = stream(key, "permute_rows")
    index = np.arange(table.num_rows)
    chosen = choose_rows(table, strength, rng)
    index[chosen] = rng.permutation(chosen)
    return table.take(index)


def permute_columns(table: pa.Table, strength: float, key: int) -> pa.Table:
    """Returns the table with a `strength` share of its columns, two or more, in each other's places.

    Harmless because columns are known by their names.
    """
    check_strength(strength)
    rng = stream(key, "permute_columns")
    index = np.arange(table.num_columns)
    # Round in a circle: of a few columns, a random permutation would often leave all where they are.
    chosen = rng.permutation(index)[: max(2, round(strength * len(index))) if strength else 0]
    index[chosen] = np.roll(chosen, 1)
    return table.select([table.column_names[j] for j in index])


def jitter(table: pa.Table, strength: float, key: int) -> pa.Table:
    """Returns the table with normal noise of `strength` x 0.05 standard deviations on its numbers.

    Not on few-valued numbers and not on a value that more than a fiftieth of the rows have, which is exact for a
    reason; noise is rounded as the column is, so that coarse columns hardly change.

    Harmless because at full strength it is a four-hundredth of the column's variance: less than most measurements err
    by, and nothing that a split or a slope could follow.
    """
    check_strength(strength)
    rng = stream(key, "jitter")

    def move(x: np.ndarray, column: Column) -> np.ndarray:
        noise = rng.standard_normal(len(x)) * strength * _JITTER * _spread(x)
        return x + np.where(_is_point_mass(x), 0.0, noise)

    return _move_numbers(table, move, rng)


def subsample(table: pa.Table, strength: float, key: int) -> pa.Table:
    """Returns a random 1 - `strength` of the rows, one or more, in their order.

    Harmless, as long as enough rows are left, because they are an unbiased draw: what is lost is size, which a
    comparison at equal numbers of rows takes out.
    """
    check_strength(strength)
    rng = stream(key, "subsample")
    kept = max(min(1, table.num_rows), table.num_rows - count_rows(strength, table))
    return table.take(np.sort(rng.permutation(table.num_rows)[:kept]))


def covariate_shift(table: pa.Table, strength: float, key: int, column: str | None = None) -> pa.Table:
    """Returns a sample of the rows, without replacement, that favours one end of one column.

    A row weighs `exp(strength z)`, z the normal score of a number, or a random normal score for each level of a
    category; a missing value weighs as the middle does. A 1 - `strength` / 2 share of the rows is drawn, in turn by
    weight (Efraimidis and Spirakis, "Weighted random sampling with a reservoir", 2006), and kept in order.

    Harmless because whether a row is kept depends on that column alone: given it, the distribution of every other
    column stays as it was, so what is to be learned about them is the same, and every region keeps some of its rows.

    Args:
      table: One row or more.
      strength: 0..1.
      key: Non-negative integer.
      column: The column to shift along; None for one by chance that varies and is not the last, where labels stand.
    """
    check_strength(strength)
    rng = stream(key, "covariate_shift")
    codec = ColumnCodec.fit(table)
    matrices = codec.encode(table, rng)
    scores = {entry.name: _scores(entry, matrices, rng) for entry in codec.columns}
    varied = [name for name in table.column_names[:-1] if np.ptp(scores[name]) > 0] or table.column_names
    chosen = varied[int(rng.integers(len(varied)))] if column is None else column
    kept = table.num_rows - count_rows(strength / 2, table)
    # Exponential waiting times at the rate of the weights: the first to come are drawn in turn by weight.
    waiting = rng.exponential(size=table.num_rows) * np.exp(-strength * scores[chosen])
    return table.take(np.sort(np.argsort(waiting, kind="stable")[:kept]))


def round_numbers(table: pa.Table, strength: float, key: int) -> pa.Table:
    """Returns the table with fewer digits in its numbers; nothing here is random.

    Each column is rounded to the largest power of ten that is at most `strength` x 0.2 standard deviations, if that
    is coarser than it is already; few-valued numbers, point masses, dates and times stay as they are.

    Harmless because rounding to a step h adds at most h^2 / 12 to a variance, here a three-hundredth of it; rounding
    of this kind is what other people's exports do.
    """
    check_strength(strength)
    rng = stream(key, "round_numbers")

    def move(x: np.ndarray, column: Column) -> np.ndarray:
        step = strength * _STEP * _spread(x)
        if step <= 0.0 or pa.types.is_temporal(column.type):
            return x
        # Dividing by a whole power keeps 0.1 from becoming 0.1000000001.
        digits = min(-int(np.floor(np.log10(step))), 300)
        rounded = (
            np.rint(x * 10.0**digits) / 10.0**digits if digits >= 0 else np.rint(x / 10.0**-digits) * 10.0**-digits
        )
        return np.where(_is_point_mass(x), x, rounded)

    return _move_numbers(table, move, rng)


def light_duplication(table: pa.Table, strength: float, key: int) -> pa.Table:
    """Returns the table with a random `strength` share of its rows appended once more.

    Harmless because it weighs every part of the table alike: an unbiased draw of rows counts twice, so expected
    frequencies stay, and none counts more than twice.
    """
    check_strength(strength)
    chosen = choose_rows(table, strength, stream(key, "light_duplication"))
    return table.take(np.concatenate([np.arange(table.num_rows), chosen]))


def _move_numbers(
    table: pa.Table, move: Callable[[np.ndarray, Column], np.ndarray], rng: np.random.Generator
) -> pa.Table:
    """The table with `move` applied to the present values of each number column that is not few-valued."""
    codec = ColumnCodec.fit(table)
    matrices = codec.encode(table, rng)
    numbers = matrices.numbers.copy()
    moved = []
    for column in codec.columns:
        if column.number is not None and column.values is None:
            present = _present(column, matrices)
            before = numbers[present, column.number]
            numbers[present, column.number] = move(before, column)
            moved.append(column.name)
    decoded = codec.decode(Matrices(numbers, matrices.codes))
    # Columns that nothing was done to are passed on: a whole number beyond 2**53 would not survive the round trip.
    arrays = [decoded[name] if name in moved else table[name] for name in table.column_names]
    return pa.table(arrays, schema=table.schema)


def _present(column: Column, matrices: Matrices) -> np.ndarray:
    if column.code is None:
        return np.ones(len(matrices.numbers), bool)
    return matrices.codes[:, column.code] == 0


def _spread(x: np.ndarray) -> float:
    """Standard deviation, or that of a normal with the same quartiles where this is less: a few giants do not count.

    Where half of the values or more are one value, 0.
    """
    low, high = np.quantile(x, [0.25, 0.75])
    return float(min(np.std(x), (high - low) / 1.349))


def _is_point_mass(x: np.ndarray) -> np.ndarray:
    _, inverse, counts = np.unique(x, return_inverse=True, return_counts=True)
    return counts[inverse] > _POINT_MASS * len(x)


def _scores(column: Column, matrices: Matrices, rng: np.random.Generator) -> np.ndarray:
    scores = np.zeros(len(matrices.numbers))
    if column.kind == "number":
        present = _present(column, matrices)
        x = matrices.numbers[present, column.number]
        scores[present] = ndtri(NumberMarginal.fit(x).mid_rank(x))
    elif column.kind == "category":
        codes = matrices.codes[:, column.code]
        scores = rng.standard_normal(codes.max() + 1)[codes]
    return scores


Harmless = Callable[[pa.Table, float, int], pa.Table]

HARMLESS: dict[str, Harmless] = {
    change.__name__: change
    for change in (
        permute_rows,
        permute_columns,
        jitter,
        subsample,
        covariate_shift,
        round_numbers,
        light_duplication,
    )
}
