"""The nearest rows of every row of a table of mixed types, and how likely that makes it.

Distance is Euclidean over the normal scores of numbers and the indicators of categories, scaled so that two rows that
differ in one category are as far apart as two numbers one standard deviation from each other.
"""

from typing import NamedTuple

import numpy as np
from scipy.special import ndtri
from sklearn.neighbors import NearestNeighbors

from synthetic.columns import ColumnCodec, Matrices
from synthetic.marginal import NumberMarginal
from synthetic.one_hot import OneHot

__all__ = ["Neighbours", "find_neighbours"]


class Neighbours(NamedTuple):
    """Nearest rows.

    Attributes:
      index: `[n, k]` the k nearest other rows of each, nearest first; the row itself where it is the only one.
      distance: `[n, k]` how far away they are.
      isolation: `[n]` normal score of the distance to the k-th: about -2 in the densest places, 2 in the emptiest.
    """

    index: np.ndarray
    distance: np.ndarray
    isolation: np.ndarray


def find_neighbours(codec: ColumnCodec, matrices: Matrices, num_neighbours: int) -> Neighbours:
    """Returns the neighbours of each of the rows in `matrices`, which `codec` made; at most n - 1 of them.

    A missing number counts as the median, and as different from those that are not missing.
    """
    n = len(matrices.numbers)
    x = _vectors(codec, matrices)
    if n < 2 or x.shape[1] == 0:
        return Neighbours(np.arange(n)[:, None], np.zeros((n, 1)), np.zeros(n))
    search = NearestNeighbors(n_neighbors=min(num_neighbours, n - 1)).fit(x)
    # Without an argument a row is none of its own neighbours, even where others equal it.
    distance, index = search.kneighbors()
    return Neighbours(index, distance, _normal_scores(distance[:, -1]))


def _vectors(codec: ColumnCodec, matrices: Matrices) -> np.ndarray:
    scores = np.zeros_like(matrices.numbers)
    for column in codec.columns:
        if column.number is not None:
            known = np.ones(len(scores), bool) if column.code is None else matrices.codes[:, column.code] == 0
            scores[known, column.number] = _normal_scores(matrices.numbers[known, column.number])
    num_numbers = scores.shape[1]
    x = OneHot.fit(Matrices(scores, matrices.codes), codec.num_levels).encode(Matrices(scores, matrices.codes))
    # Two rows of different levels differ in two indicators.
    x[:, num_numbers:] /= np.sqrt(2.0)
    return x


def _normal_scores(x: np.ndarray) -> np.ndarray:
    return ndtri(NumberMarginal.fit(x).mid_rank(x))
