"""How surprising each cell of a row is, given the row's other cells: -log p(x_j | x_-j) by a few randomised trees.

One forest a column, fitted to real rows. A tree splits on the others' codes so as to part the column's rank (its
commonest categories), which is one cheap output; how often each class of the column occurs is counted in its leaves
afterwards. So a forest gives a whole distribution at the price of one number.

References:
  Geurts, Ernst and Wehenkel 2006, Extremely randomized trees; Provost and Domingos 2003, Tree induction for
  probability-based ranking (averaged and smoothed leaf frequencies).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vr.core.workers import each
from vr.stats.forests import Forest, grow_forest

__all__ = ["Conditionals", "classes_of", "fit_conditionals"]

_TREES, _LEAF_ROWS = 12, 3
_SHARE_TRIED = 2 / 3  # of the other columns, at each split
_MOST_CLASSES = 24
_OUTPUTS = 4  # indicators of a nominal column that a tree splits by
_PRIOR = 0.03  # weight of the column's own distribution beside the forest's: bounds a surprise
_SPILL = 0.3  # weight of either neighbouring class in an ordered column: next to a value is not far from it


@dataclass(frozen=True)
class _Conditional:
    """The distribution of one column given the others; `frequencies` float32 `[nodes, classes]`, of rows in a leaf."""

    others: np.ndarray
    classes: np.ndarray
    share: np.ndarray
    forest: Forest
    frequencies: np.ndarray

    def probability(self, codes: np.ndarray, seen: np.ndarray) -> np.ndarray:
        """Returns float `[n]`, that of the class `seen` of each row: `probabilities` at it, for less."""
        total = np.zeros(len(codes), np.float32)
        for leaf in self.forest.leaves(codes[:, self.others]):
            total += self.frequencies[leaf, seen]
        return (total / _TREES + _PRIOR * self.share[seen]) / (1.0 + _PRIOR)

    def probabilities(self, codes: np.ndarray) -> np.ndarray:
        """Returns float `[n, classes]`."""
        total = np.zeros((len(codes), len(self.share)), np.float32)
        for leaf in self.forest.leaves(codes[:, self.others]):
            total += self.frequencies[leaf]
        return (total / _TREES + _PRIOR * self.share) / (1.0 + _PRIOR)


@dataclass(frozen=True)
class Conditionals:
    """Forests of some columns.

    Attributes:
      columns: int `[p]`, positions of those that have a forest.
    """

    columns: np.ndarray
    _conditionals: tuple[_Conditional, ...]

    def surprise(self, codes: np.ndarray) -> np.ndarray:
        """Returns -log p(cell | the row's other cells) in nats, float `[n, p]`, of unsigned codes `[n, d]`."""
        result = np.empty((len(codes), len(self._conditionals)))
        for i, (j, conditional) in enumerate(zip(self.columns, self._conditionals, strict=True)):
            seen = conditional.classes[np.minimum(codes[:, j], len(conditional.classes) - 1)]
            result[:, i] = -np.log(conditional.probability(codes, seen))
        return result

    def likeliest(self, codes: np.ndarray, column: int) -> np.ndarray:
        """Returns the code that the other cells make likeliest in `column`, int `[n]`; -1 where it has no forest."""
        found = np.flatnonzero(self.columns == column)
        if not len(found):
            return np.full(len(codes), -1)
        conditional = self._conditionals[int(found[0])]
        # Of a class of several codes the middle one stands for all.
        members = [np.flatnonzero(conditional.classes == k) for k in range(len(conditional.share))]
        middle = np.array([codes_of[len(codes_of) // 2] for codes_of in members])
        return middle[conditional.probabilities(codes).argmax(axis=1)]


def classes_of(codes: np.ndarray, num_codes: int, ordinal: bool, most: int = _MOST_CLASSES) -> np.ndarray:
    """Returns the class of each code, int `[num_codes]`: itself, or one of at most `most` groups.

    Neighbouring codes of an ordered column are grouped to equal shares; of a nominal one the rarest share the last.
    """
    if num_codes <= most:
        return np.arange(num_codes)
    counts = np.bincount(codes, minlength=num_codes)
    if ordinal:
        middle = (np.cumsum(counts) - counts / 2) / max(1, counts.sum())
        group = np.minimum((middle * most).astype(int), most - 1)
        return np.unique(group, return_inverse=True)[1]
    result = np.empty(num_codes, int)
    result[np.argsort(-counts, kind="stable")] = np.minimum(np.arange(num_codes), most - 1)
    return result


def fit_conditionals(
    codes: np.ndarray,
    ordinal: np.ndarray,
    num_codes: np.ndarray,
    parts: Sequence[Sequence[int]],
    columns: np.ndarray,
    seed: int,
    threads: int = 1,
) -> Conditionals:
    """Fits a forest to each of `columns`.

    Args:
      codes: Unsigned `[n, d]`, real rows.
      ordinal: bool `[d]`.
      num_codes: int `[d]`.
      parts: Positions that belong to one column of the file, which do not predict each other.
      columns: int `[p]`, positions to predict.
      seed: Of the trees.
      threads: Forests at a time.
    """
    own = {j: group for group in parts for j in group}

    def conditional(j: int) -> _Conditional:
        others = np.setdiff1d(np.arange(codes.shape[1]), own[j])
        x = codes[:, others]
        classes = classes_of(codes[:, j], int(num_codes[j]), bool(ordinal[j]))
        seen = classes[codes[:, j]]
        count = int(classes.max()) + 1
        share = (np.bincount(seen, minlength=count) + 0.5) / (len(seen) + 0.5 * count)
        target, outputs = _target(codes[:, j], int(num_codes[j]), bool(ordinal[j]), seen, share)
        forest = grow_forest(
            x,
            target,
            seed + j,
            trees=_TREES,
            leaf_rows=_LEAF_ROWS,
            num_classes=outputs,
            tried=max(1, round(_SHARE_TRIED * len(others))),
        )
        frequencies = _frequencies(forest.leaves(x), seen, len(forest.column), count)
        if ordinal[j] and count > _OUTPUTS:
            frequencies = _spilt(frequencies)
        frequencies /= np.maximum(frequencies.sum(axis=1, keepdims=True), 1e-9)
        # What its nodes predict is not asked for.
        forest = replace(forest, means=forest.means[:0])
        return _Conditional(others, classes, share.astype(np.float32), forest, frequencies)

    return Conditionals(np.asarray(columns), tuple(each(conditional, np.asarray(columns).tolist(), threads)))


def _target(
    codes: np.ndarray, num_codes: int, ordinal: bool, seen: np.ndarray, share: np.ndarray
) -> tuple[np.ndarray, int | None]:
    """Returns what a column's trees split by, `[n]`: its rank and None, or its commonest classes and their number."""
    if ordinal:
        counts = np.bincount(codes, minlength=num_codes)
        return ((np.cumsum(counts) - counts / 2) / len(codes))[codes], None
    common = np.argsort(-share, kind="stable")[:_OUTPUTS]
    place = np.full(len(share), -1)
    place[common] = np.arange(len(common))
    return place[seen], len(common)


def _frequencies(leaves: np.ndarray, seen: np.ndarray, num_nodes: int, num_classes: int) -> np.ndarray:
    """Returns how many rows of each class end in each node, float32 `[nodes, classes]`."""
    table = np.bincount((leaves.astype(np.int64) * num_classes + seen).ravel(), minlength=num_nodes * num_classes)
    return table.astype(np.float32).reshape(num_nodes, num_classes)


def _spilt(table: np.ndarray) -> np.ndarray:
    """Returns the counts with some of each class added to either neighbour."""
    spilt = table.copy()
    spilt[:, 1:] += _SPILL * table[:, :-1]
    spilt[:, :-1] += _SPILL * table[:, 1:]
    return spilt
