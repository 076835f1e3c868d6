"""How well one cloud of points covers another: nearest neighbours, precision, recall, density, coverage.

Features are `float [n, p]` on comparable scales (standardised numbers, one-hot codes). Distances are Euclidean.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from vr.stats.rowwise import in_whole_blocks

__all__ = ["Balls", "Neighbours", "Prdc", "nearest_distances", "nearest_neighbours", "prdc"]

# Rows taken at once against all rows of the other side: 128 x 4096 float32 distances are 2 MB, near a cache's size.
_BLOCK_ROWS = 128
_FOUND_ROWS = 512  # taken at once against a neighbour of each


class Prdc(NamedTuple):
    """Precision, recall and coverage in [0, 1]; density at least 0, about 1 for samples of one distribution."""

    precision: float
    recall: float
    density: float
    coverage: float


def nearest_distances(x: np.ndarray, y: np.ndarray, k: int, exclude_self: bool = False) -> np.ndarray:
    """Returns the distance from every row of x to its k nearest rows of y, ascending.

    Args:
      x: `float [n, p]`.
      y: `float [m, p]`.
      k: Number of neighbours.
      exclude_self: x and y are the same rows, and row i is no neighbour of itself (its duplicates are).

    Returns:
      `float64 [n, k]`; infinite where y has too few rows.
    """
    return nearest_neighbours(x, y, k, exclude_self)[0]


def nearest_neighbours(
    x: np.ndarray, y: np.ndarray, k: int, exclude_self: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Returns distances to, and row numbers of, the k nearest rows of y for every row of x.

    The search is exact up to float32 rounding; the distances of the rows found are computed again in float64, so that
    an exact duplicate is at distance 0.

    Args:
      x: `float [n, p]`.
      y: `float [m, p]`.
      k: Number of neighbours.
      exclude_self: x and y are the same rows, and row i is no neighbour of itself (its duplicates are).

    Returns:
      `(distances float64 [n, k], rows int64 [n, k])`, ascending; infinite and -1 where y has too few rows.
    """
    return Neighbours(y).nearest(x, k, exclude_self)


class Neighbours:
    """Rows among which neighbours are looked for, made ready once for all that ask.

    Args:
      points: `float [m, p]`.
    """

    def __init__(self, points: np.ndarray):
        self.points = np.asarray(points)
        # Squared distances come from norms and products; centring keeps float32 from cancelling.
        self._centre = self.points.astype(float).mean(axis=0) if len(self.points) else np.zeros(self.points.shape[1])
        self._search = _searcher(_float32(self.points - self._centre))

    def __len__(self) -> int:
        return len(self.points)

    def nearest(self, x: np.ndarray, k: int, exclude_self: bool = False) -> tuple[np.ndarray, np.ndarray]:
        """Returns distances to, and row numbers of, the k nearest; see `nearest_neighbours`."""
        x = np.asarray(x)
        distances, rows = np.full((len(x), k), np.inf), np.full((len(x), k), -1, dtype=np.int64)
        num_searched = min(k + exclude_self, len(self.points))
        if not len(x) or num_searched == 0:
            return distances, rows
        centred = np.subtract(x, self._centre, out=np.empty(x.shape, np.float32), casting="same_kind")
        # Of rows that are equally near, which is found must not depend on the other rows of x.
        found = self._search(in_whole_blocks(centred), num_searched)[: len(x)]
        if exclude_self:
            found = _without_self(found)
        num_found = found.shape[1]
        squared = np.empty(found.shape)
        for start in range(0, len(x), _FOUND_ROWS):
            block = slice(start, start + _FOUND_ROWS)
            for i in range(num_found):
                apart = np.subtract(x[block], self.points[found[block, i]], dtype=float)
                squared[block, i] = np.square(apart, out=apart).sum(axis=1)
        order = np.argsort(squared, axis=1, kind="stable")
        distances[:, :num_found] = np.sqrt(np.take_along_axis(squared, order, axis=1))
        rows[:, :num_found] = np.take_along_axis(found, order, axis=1)
        return distances, rows


def prdc(reference: np.ndarray, candidate: np.ndarray, k: int = 5, max_rows: int = 4096) -> Prdc:
    """Returns precision, recall, density and coverage of a candidate against a reference.

    A row's ball reaches to its k-th nearest neighbour among its own sample. Precision is the share of candidate rows in
    a ball of the reference, recall the share of reference rows in a ball of the candidate; density counts the balls
    that a candidate row lies in, over k; coverage is the share of reference balls with a candidate row inside. All
    depend on the numbers of rows: compare at equal n, and against a reference split.

    Args:
      reference: `float [n, p]`.
      candidate: `float [m, p]`.
      k: Neighbours that set a ball's radius, at least 1.
      max_rows: Evenly spaced rows kept of a longer sample; the cost grows with the product of the two lengths.

    Returns:
      `Prdc`; NaN where a side has k rows or fewer.

    References:
      Kynkaanniemi et al. 2019, Improved precision and recall metric (precision, recall, eq. 2); Naeem et al. 2020,
      Reliable fidelity and diversity metrics (density, coverage, eq. 3-5).
    """
    reference, candidate = _thinned(reference, max_rows), _thinned(candidate, max_rows)
    if min(len(reference), len(candidate)) <= k:
        return Prdc(*[float("nan")] * 4)
    balls = Balls.fit(reference, k, max_rows)
    c, c_norms, slack = balls.place(candidate)
    r_radii, c_radii = balls.squared_radii + slack, _squared_radii(c, c_norms, k) + slack
    num_balls = np.empty(len(c), dtype=np.int64)
    recalled, covered = np.zeros(len(reference), bool), np.zeros(len(reference), bool)
    for block, squared in _squared_distances(c, c_norms, balls.points, balls.norms):
        inside = squared <= r_radii
        num_balls[block] = np.count_nonzero(inside, axis=1)
        covered |= inside.any(axis=0)
        recalled |= (squared <= c_radii[block, None]).any(axis=0)
    return Prdc(
        precision=float(np.mean(num_balls > 0)),
        recall=float(recalled.mean()),
        density=float(num_balls.mean() / k),
        coverage=float(covered.mean()),
    )


@dataclass(frozen=True)
class Balls:
    """A reference's balls, made once and held against several candidates.

    Attributes:
      k: Neighbours that set a ball's radius.
      max_rows: Evenly spaced rows kept of a longer sample.
      centre: float64 `[p]`, subtracted from every row, so that float32 distances do not cancel.
      points: float32 `[n, p]`, the reference's rows about the centre.
      norms: float32 `[n]`, their squared lengths.
      squared_radii: float32 `[n]`; infinite where the reference has k rows or fewer.
    """

    k: int
    max_rows: int
    centre: np.ndarray
    points: np.ndarray
    norms: np.ndarray
    squared_radii: np.ndarray

    @classmethod
    def fit(cls, reference: np.ndarray, k: int = 5, max_rows: int = 4096) -> "Balls":
        """Returns the balls of `reference`, float `[n, p]`; see `prdc` for the arguments."""
        reference = _thinned(reference, max_rows)
        centre = reference.mean(axis=0) if len(reference) else np.zeros(reference.shape[1])
        points = _float32(reference - centre)
        norms = np.square(points).sum(axis=1)
        radii = np.full(len(points), np.inf, np.float32)
        return cls(k, max_rows, centre, points, norms, _squared_radii(points, norms, k) if len(points) > k else radii)

    def place(self, candidate: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.float32]:
        """Returns a candidate's rows about the centre, their squared lengths, and the slack that rounding asks for.

        With the slack a point on a ball's surface (or a duplicate, radius 0) counts as inside.
        """
        points = _float32(_thinned(candidate, self.max_rows) - self.centre)
        norms = np.square(points).sum(axis=1)
        return points, norms, np.float32(4e-7 * np.sqrt(points.shape[1]) * (self.norms.mean() + norms.mean()))

    def coverage(self, candidate: np.ndarray) -> float:
        """Returns the share of balls with a row of `candidate`, float `[m, p]`, inside: `prdc(...).coverage`."""
        if min(len(self.points), len(candidate)) <= self.k:
            return float("nan")
        points, norms, slack = self.place(candidate)
        covered = np.zeros(len(self.points), bool)
        for _, squared in _squared_distances(points, norms, self.points, self.norms):
            covered |= (squared.min(axis=0) - slack) <= self.squared_radii
        return float(covered.mean())


def _squared_distances(
    x: np.ndarray, x_norms: np.ndarray, y: np.ndarray, y_norms: np.ndarray
) -> Iterator[tuple[slice, np.ndarray]]:
    """Yields float32 squared distances from blocks of rows of x to all rows of y, each in the place of the last one."""
    # Both norms ride along as two more coordinates, so that one product gives the distance.
    x_extended = np.column_stack([x, np.ones_like(x_norms), x_norms])
    y_extended = np.column_stack([-2.0 * y, y_norms, np.ones_like(y_norms)]).T
    # Memory that is asked for anew each time costs more than the product.
    squared = np.empty((min(_BLOCK_ROWS, len(x)), len(y)), np.float32)
    for start in range(0, len(x), _BLOCK_ROWS):
        block = slice(start, min(start + _BLOCK_ROWS, len(x)))
        yield block, np.matmul(x_extended[block], y_extended, out=squared[: block.stop - start])


def _squared_radii(x: np.ndarray, norms: np.ndarray, k: int) -> np.ndarray:
    """Squared distance of each row to its k-th nearest other row; at these sizes faster than an index."""
    radii = np.empty(len(x), dtype=np.float32)
    for block, squared in _squared_distances(x, norms, x, norms):
        rows = np.arange(block.start, block.stop)
        squared[rows - block.start, rows] = np.inf
        radii[block] = np.partition(squared, k - 1, axis=1)[:, k - 1]
    return np.maximum(radii, 0.0)


def _thinned(x: np.ndarray, max_rows: int) -> np.ndarray:
    x = np.asarray(x, float)
    return x if len(x) <= max_rows else x[np.arange(max_rows) * len(x) // max_rows]


def _float32(x: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(x, dtype=np.float32)


def _searcher(y: np.ndarray) -> Callable[[np.ndarray, int], np.ndarray]:
    """Returns what gives the row numbers of the k nearest rows of y for other rows, exactly, nearest first."""
    try:
        import faiss
    except ImportError:
        from sklearn.neighbors import NearestNeighbors

        brute = NearestNeighbors(algorithm="brute").fit(y)
        return lambda x, k: brute.kneighbors(x, k, return_distance=False)
    index = faiss.IndexFlatL2(y.shape[1])
    index.add(y)
    return lambda x, k: index.search(x, k)[1]


def _without_self(found: np.ndarray) -> np.ndarray:
    """Drops each row's own number, or its last neighbour where duplicates crowded it out."""
    is_self = found == np.arange(len(found))[:, None]
    is_self[~is_self.any(axis=1), -1] = True
    return found[~is_self].reshape(len(found), found.shape[1] - 1)
