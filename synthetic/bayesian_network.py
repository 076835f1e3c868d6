"""Bayesian network: the best tree of pairwise dependence between discretised columns.

Numbers are cut into quantile bins, the columns are joined by the tree with the most mutual information, and a row is
drawn from its root downwards; numbers come back from the observed values of their bin. It keeps every column, which
values are missing, and one dependence per column exactly as counted; it forgets whatever two columns share beyond
the path between them, and what goes on within a bin.

References:
  Chow and Liu, "Approximating discrete probability distributions with dependence trees", 1968.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from synthetic.columns import ColumnCodec
from synthetic.discrete import Discrete, count_pairs, mutual_information
from synthetic.marginal import temper_sized
from synthetic.table import check_request, stream

__all__ = ["Edge", "Network", "fit"]

# Bins of a number column: about n ** (1/3), so that a pair of them has about n ** (1/3) rows for each cell.
_FEWEST_BINS, _MOST_BINS = 4, 24
_MOST_LEVELS = 32


@dataclass(frozen=True)
class Edge:
    """How one column is drawn.

    Attributes:
      column: Of the table.
      parent: The column it depends on, drawn before it; None for the root.
      probabilities: `[parent's codes, codes]`, rows sum to 1; one row for the root.
    """

    column: int
    parent: int | None
    probabilities: np.ndarray


@dataclass(frozen=True)
class Network:
    """A fitted tree, see `fit`.

    Attributes:
      codec, discrete: From table to matrices to codes.
      edges: One per column, parents first.
    """

    codec: ColumnCodec
    discrete: Discrete
    edges: tuple[Edge, ...]

    def sample(self, n: int, key: int, temperature: float = 1.0) -> pa.Table:
        """Returns `n` rows; `temperature` acts on the draw of every code, given its parent's."""
        check_request(n, temperature)
        rng = stream(key, "network")
        codes = np.zeros((n, len(self.edges)), dtype=np.int64)
        log_measure = self.discrete.log_measure()
        for edge in self.edges:
            table = temper_sized(edge.probabilities, log_measure[edge.column], temperature).cumsum(axis=1)
            row = np.zeros(n, np.int64) if edge.parent is None else codes[:, edge.parent]
            # Against the last entry, which rounding may leave off 1, no draw falls beyond the last possible code.
            codes[:, edge.column] = (table[row] <= (rng.random(n) * table[row, -1])[:, None]).sum(axis=1)
        return self.codec.decode(self.discrete.decode(codes, rng.random(codes.shape)))


def fit(table: pa.Table, key: int, num_bins: int | None = None) -> Network:
    """Returns the Chow-Liu tree of `table`.

    Args:
      table: At least one row; types as `ColumnCodec.fit` takes them.
      key: Non-negative integer; nothing in this fit is random, so it changes nothing.
      num_bins: At most so many bins for a number, 1 or more; None for about n ** (1/3).
    """
    if num_bins is not None and num_bins < 1:
        raise ValueError(f"num_bins must be 1 or more, got {num_bins}")
    codec = ColumnCodec.fit(table)
    matrices = codec.encode(table, stream(key, "fill"))
    by_size = int(np.clip(round(table.num_rows ** (1 / 3)), _FEWEST_BINS, _MOST_BINS))
    discrete = Discrete.fit(codec, matrices, num_bins or by_size, _MOST_LEVELS)
    pairs = count_pairs(discrete.encode(matrices), discrete.num_codes)
    parents = _tree(mutual_information(pairs, table.num_rows))
    edges = []
    for column, parent in parents:
        of_column = slice(pairs.start[column], pairs.start[column] + discrete.num_codes[column])
        if parent is None:
            counts = np.diag(pairs.counts)[None, of_column]
        else:
            counts = pairs.counts[pairs.start[parent] : pairs.start[parent] + discrete.num_codes[parent], of_column]
        edges.append(Edge(column, parent, counts / counts.sum(axis=1, keepdims=True)))
    return Network(codec, discrete, tuple(edges))


def _tree(weight: np.ndarray) -> list[tuple[int, int | None]]:
    """Columns and their parents in the order Prim's algorithm adds them, from the column with the most weight."""
    root = int(weight.sum(axis=1).argmax())
    tree: list[tuple[int, int | None]] = [(root, None)]
    outside = np.ones(len(weight), bool)
    outside[root] = False
    parent = np.full(len(weight), root)
    best = weight[root].copy()
    for _ in range(len(weight) - 1):
        column = int(np.where(outside, best, -1.0).argmax())
        tree.append((column, int(parent[column])))
        outside[column] = False
        closer = weight[column] > best
        parent[closer], best[closer] = column, weight[column][closer]
    return tree
