"""Sequential trees: each column in turn from those before it, by a decision tree whose leaves are urns.

The joint distribution is factorised in the table's column order; each factor is a classification or regression tree
(CART), and a value is drawn from the training values in the leaf that a row falls into. It keeps most of the
structure, interactions included; it forgets what its leaves are too coarse for, and only ever repeats observed values.

References:
  Reiter, "Using CART to generate partially synthetic public use microdata", 2005; Nowok, Raab and Dibben,
  "synthpop: Bespoke Creation of Synthetic Data in R", 2016.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

from synthetic.columns import ColumnCodec
from synthetic.marginal import temper
from synthetic.table import check_request, derive_key, stream

__all__ = ["Leaves", "SequentialTrees", "fit"]


@dataclass(frozen=True)
class Leaves:
    """The urns of one column.

    Attributes:
      tree: Maps the columns before it to a leaf; None where there are none.
      donors: `[n]` training values, grouped by leaf, ascending within each.
      start, count: `[num_nodes]` where a leaf's donors begin and how many there are.
      num_levels: Number of levels of a code column, None for a number.
    """

    tree: DecisionTreeClassifier | DecisionTreeRegressor | None
    donors: np.ndarray
    start: np.ndarray
    count: np.ndarray
    num_levels: int | None

    def draw(self, before: np.ndarray, rng: np.random.Generator, temperature: float) -> np.ndarray:
        """Returns one value per row of `before`, `[n, j]`."""
        if self.tree is None or len(before) == 0:
            leaf = np.zeros(len(before), dtype=np.int64)
        else:
            leaf = self.tree.apply(_as_tree_input(before))
        u = rng.random(len(before))
        if temperature == 1.0:
            return self.donors[self.start[leaf] + (u * self.count[leaf]).astype(np.int64)]
        if self.num_levels is not None:
            return self._draw_tempered_codes(leaf, u, temperature)
        # Numbers: the rank within the leaf is drawn to the middle, as a normal's would be.
        u = np.clip(0.5 + (u - 0.5) * np.sqrt(temperature), 0.0, np.nextafter(1.0, 0.0))
        return self.donors[self.start[leaf] + (u * self.count[leaf]).astype(np.int64)]

    def _draw_tempered_codes(self, leaf: np.ndarray, u: np.ndarray, temperature: float) -> np.ndarray:
        assert self.num_levels is not None
        drawn = np.zeros(len(leaf), dtype=np.int64)
        for node in np.unique(leaf):
            rows = leaf == node
            donors = self.donors[self.start[node] : self.start[node] + self.count[node]].astype(np.int64)
            cumulative = np.cumsum(temper(np.bincount(donors, minlength=self.num_levels), temperature))
            drawn[rows] = np.minimum(np.searchsorted(cumulative, u[rows], side="right"), donors[-1])
        return drawn


@dataclass(frozen=True)
class SequentialTrees:
    """Fitted trees, see `fit`.

    Attributes:
      codec: Between table and matrices.
      leaves: One per part of `codec.order`.
    """

    codec: ColumnCodec
    leaves: tuple[Leaves, ...]

    def sample(self, n: int, key: int, temperature: float = 1.0) -> pa.Table:
        """Returns `n` rows; `temperature` acts on the draw within each leaf."""
        check_request(n, temperature)
        rng = stream(key, "trees")
        drawn = np.zeros((n, len(self.leaves)))
        for j, leaves in enumerate(self.leaves):
            drawn[:, j] = leaves.draw(drawn[:, :j], rng, temperature)
        return self.codec.decode(self.codec.from_order(drawn))


def fit(table: pa.Table, key: int, min_leaf: int = 5) -> SequentialTrees:
    """Returns the trees of `table`.

    Args:
      table: At least one row; types as `ColumnCodec.fit` takes them.
      key: Non-negative integer; breaks ties between splits and fills missing numbers.
      min_leaf: Fewest training rows in a leaf, 1 or more; 5 is synthpop's default.
    """
    if min_leaf < 1:
        raise ValueError(f"min_leaf must be 1 or more, got {min_leaf}")
    codec = ColumnCodec.fit(table)
    known = codec.in_order(codec.encode(table, stream(key, "fill")))
    leaves = []
    for j, part in enumerate(codec.order):
        num_levels = None if part.kind == "number" else codec.num_levels[part.index]
        leaves.append(_grow(known[:, :j], known[:, j], num_levels, min_leaf, derive_key(key, "tree", j)))
    return SequentialTrees(codec, tuple(leaves))


def _grow(before: np.ndarray, target: np.ndarray, num_levels: int | None, min_leaf: int, seed: int) -> Leaves:
    if before.shape[1] == 0:
        return Leaves(None, np.sort(target), np.array([0]), np.array([len(target)]), num_levels)
    kind = DecisionTreeRegressor if num_levels is None else DecisionTreeClassifier
    tree = kind(min_samples_leaf=min_leaf, random_state=seed)
    x = _as_tree_input(before)
    tree.fit(x, target)
    leaf = tree.apply(x)
    count = np.bincount(leaf, minlength=tree.tree_.node_count)
    start = np.concatenate([[0], np.cumsum(count)[:-1]])
    return Leaves(tree, target[np.lexsort((target, leaf))], start, count, num_levels)


def _as_tree_input(x: np.ndarray) -> np.ndarray:
    # scikit-learn's trees compare in float32; a date in nanoseconds fits, the largest float64 does not.
    limit = np.finfo(np.float32).max
    return np.clip(x, -limit, limit).astype(np.float32)
