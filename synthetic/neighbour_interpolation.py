"""Interpolation between neighbours: a row, one of its nearest neighbours, and a new row somewhere between the two.

Numbers lie on the straight line between the two rows, categories come from either. It keeps whatever is smooth at the
scale of a neighbourhood; it forgets the outer skin of the data, which nothing lies beyond, and draws lines across gaps
and from point masses to their surroundings.

References:
  Chawla et al., "SMOTE: Synthetic Minority Over-sampling Technique", 2002, with its rule for categories made random.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from synthetic.columns import ColumnCodec, Matrices
from synthetic.neighbours import Neighbours, find_neighbours
from synthetic.table import check_request, stream

__all__ = ["Interpolation", "fit"]


@dataclass(frozen=True)
class Interpolation:
    """Training rows and their neighbours, see `fit`.

    Attributes:
      codec: Between table and matrices.
      rows: The training rows.
      neighbours: Of the training rows.
    """

    codec: ColumnCodec
    rows: Matrices
    neighbours: Neighbours

    def sample(self, n: int, key: int, temperature: float = 1.0) -> pa.Table:
        """Returns `n` rows; `temperature` acts on the choice of the first row.

        At 1 all are as likely; elsewhere a row weighs `exp(-(1 / temperature - 1) isolation)`, so that below 1 those
        in dense places are favoured. The neighbour and the place on the line are always chosen evenly.
        """
        check_request(n, temperature)
        rng = stream(key, "interpolation")
        log_weight = -(1.0 / temperature - 1.0) * self.neighbours.isolation
        weight = np.exp(log_weight - log_weight.max())
        first = rng.choice(len(weight), size=n, p=weight / weight.sum())
        second = self.neighbours.index[first, rng.integers(self.neighbours.index.shape[1], size=n)]
        share = rng.random((n, 1))
        from_second = rng.random((n, self.rows.codes.shape[1])) < share
        codes = np.where(from_second, self.rows.codes[second], self.rows.codes[first])
        a, b = self._present(first, second)
        return self.codec.decode(Matrices(a + share * (b - a), codes))

    def _present(self, first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The numbers of both rows; one that is missing in one of them as it is in the other."""
        a, b = self.rows.numbers[first], self.rows.numbers[second]
        for column in self.codec.columns:
            if column.number is not None and column.code is not None:
                a_missing, b_missing = (self.rows.codes[rows, column.code] == 1 for rows in (first, second))
                j = column.number
                a[:, j], b[:, j] = np.where(a_missing, b[:, j], a[:, j]), np.where(b_missing, a[:, j], b[:, j])
        return a, b


def fit(table: pa.Table, key: int, num_neighbours: int = 5) -> Interpolation:
    """Returns the interpolation between the rows of `table`.

    Args:
      table: At least one row, which without a second is repeated; types as `ColumnCodec.fit` takes them.
      key: Non-negative integer; only used to fill missing numbers.
      num_neighbours: Neighbours to choose from, 1 or more; 5 as in the paper.
    """
    if num_neighbours < 1:
        raise ValueError(f"num_neighbours must be 1 or more, got {num_neighbours}")
    codec = ColumnCodec.fit(table)
    rows = codec.encode(table, stream(key, "fill"))
    return Interpolation(codec, rows, find_neighbours(codec, rows, num_neighbours))
