"""A table as one small code per cell, and back: for families and damages that count.

Every column of the table is one column of codes: a number its bin, a category its level, a missing value a code of its
own. Beside the codes stands each cell's position within its code, in 0..1, which codes alone forget.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_matrix

from synthetic.bins import Bins, Levels
from synthetic.columns import Column, ColumnCodec, Matrices

__all__ = ["Discrete", "Pairs", "count_pairs", "mutual_information"]


@dataclass(frozen=True)
class Discrete:
    """A fitted map from matrices to codes and back.

    Attributes:
      codec: Of the table.
      parts: One per column of the table; None for a column without any value, whose only code is 0.
      num_codes: `[d]` number of codes of each column; the last code of a number with missing values means missing.
    """

    codec: ColumnCodec
    parts: tuple[Bins | Levels | None, ...]
    num_codes: tuple[int, ...]

    @classmethod
    def fit(cls, codec: ColumnCodec, matrices: Matrices, most_bins: int, most_levels: int) -> "Discrete":
        """Returns the map for the table that `codec` encoded as `matrices`, see `Bins.fit` and `Levels.fit`."""
        parts: list[Bins | Levels | None] = []
        num_codes = []
        for column in codec.columns:
            part: Bins | Levels | None = None
            if column.kind == "category":
                part = Levels.fit(matrices.codes[:, column.code], codec.num_levels[column.code or 0], most_levels)
            elif column.kind == "number":
                part = Bins.fit(matrices.numbers[~_missing(column, matrices), column.number], most_bins)
            parts.append(part)
            num_codes.append((1 if part is None else part.num_codes) + (column.kind == "number" and column.has_missing))
        return cls(codec, tuple(parts), tuple(num_codes))

    def encode(self, matrices: Matrices) -> np.ndarray:
        """Returns the codes, `[n, d]` int64."""
        codes = np.zeros((len(matrices.numbers), len(self.parts)), dtype=np.int64)
        for j, (column, part) in enumerate(zip(self.codec.columns, self.parts, strict=True)):
            if isinstance(part, Levels):
                codes[:, j] = part.encode(matrices.codes[:, column.code])
            elif isinstance(part, Bins):
                bins = part.encode(matrices.numbers[:, column.number])
                codes[:, j] = np.where(_missing(column, matrices), part.num_codes, bins)
        return codes

    def position(self, matrices: Matrices) -> np.ndarray:
        """Returns where each number lies within its bin, `[n, d]` in 0..1; 1/2 for every other cell."""
        place = np.full((len(matrices.numbers), len(self.parts)), 0.5)
        for j, (column, part) in enumerate(zip(self.codec.columns, self.parts, strict=True)):
            if isinstance(part, Bins):
                place[:, j] = np.where(
                    _missing(column, matrices), 0.5, part.position(matrices.numbers[:, column.number])
                )
        return place

    def decode(self, codes: np.ndarray, u: np.ndarray) -> Matrices:
        """Returns the matrices with these codes, `[n, d]`, at the positions `u`, `[n, d]` in 0..1."""
        order = self.codec.order
        numbers = np.zeros((len(codes), sum(part.kind == "number" for part in order)))
        levels = np.zeros((len(codes), len(self.codec.num_levels)), dtype=np.int64)
        for j, (column, part) in enumerate(zip(self.codec.columns, self.parts, strict=True)):
            if isinstance(part, Levels):
                levels[:, column.code] = part.value(codes[:, j], u[:, j])
            elif isinstance(part, Bins):
                numbers[:, column.number] = part.value(np.minimum(codes[:, j], part.num_codes - 1), u[:, j])
                if column.code is not None:
                    levels[:, column.code] = codes[:, j] == part.num_codes
        return Matrices(numbers, levels)

    def log_measure(self) -> list[np.ndarray]:
        """Returns the log of the size of each code, per column `[num_codes[j]]`: see `Bins.log_measure`."""
        sizes = [np.zeros(1) if part is None else part.log_measure() for part in self.parts]
        return [np.append(size, np.zeros(k - len(size))) for size, k in zip(sizes, self.num_codes, strict=True)]


def _missing(column: Column, matrices: Matrices) -> np.ndarray:
    if column.code is None:
        return np.zeros(len(matrices.numbers), bool)
    return matrices.codes[:, column.code] == 1


class Pairs(NamedTuple):
    """How often every two codes of a table occur in one row.

    Attributes:
      counts: `[s, s]`, s the codes of all columns one after the other.
      start: `[d]` where each column's codes begin.
    """

    counts: np.ndarray
    start: np.ndarray


def count_pairs(codes: np.ndarray, num_codes: tuple[int, ...]) -> Pairs:
    """Returns the counts of all pairs of `codes`, `[n, d]` with column j in `0 .. num_codes[j] - 1`."""
    n, d = codes.shape
    start = np.concatenate([[0], np.cumsum(num_codes)[:-1]]).astype(np.int64)
    shape = (n, int(sum(num_codes)))
    seen = csr_matrix((np.ones(n * d), (codes + start).ravel(), np.arange(0, n * d + 1, d)), shape=shape)
    return Pairs((seen.T @ seen).toarray(), start)


def mutual_information(pairs: Pairs, num_rows: int) -> np.ndarray:
    """Returns the mutual information of every two columns in nats, `[d, d]`, with zeros on the diagonal.

    Less its expectation under independence, to first order (k - 1)(l - 1) / 2n for k and l codes that occur, and not
    below 0: otherwise columns with many codes would seem to depend on everything.

    References:
      Miller, "Note on the bias of information estimates", 1955.
    """
    share = pairs.counts / num_rows
    marginal = np.diag(share)
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.where(share > 0, share * np.log(share / np.outer(marginal, marginal)), 0.0)
    information = np.add.reduceat(np.add.reduceat(terms, pairs.start, axis=0), pairs.start, axis=1)
    freedom = np.add.reduceat((marginal > 0).astype(np.float64), pairs.start) - 1.0
    information = np.maximum(information - np.outer(freedom, freedom) / (2 * num_rows), 0.0)
    np.fill_diagonal(information, 0.0)
    return information
