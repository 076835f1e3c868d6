"""Clusters of the real rows, and how many of a candidate's rows, how densely, lie in each.

HDBSCAN finds them in a sample of the reference (of the dataset itself, where there is none), in its leading principal
directions. Any other row belongs where its nearest row of that sample does, so that all rows are assigned by one rule:
the shares of both sides are of rows that took no part in finding the clusters.

References:
  Campello, Moulavi and Sander 2013, Density-based clustering based on hierarchical density estimates.
"""

from dataclasses import dataclass

import numpy as np

from vr.detector.inputs import Columns, Side
from vr.diversity.hdbscan import cluster_labels
from vr.diversity.words import distinctive_conditions

__all__ = ["Cluster", "Clustering", "Clusters", "find_clusters"]

_BLOCK_ROWS = 1_024  # rows assigned at once: 4 MB of distances, within a cache
_PLACED_ROWS = 4_096
_ROUNDING = 1e-13  # of a squared distance that comes from products, over the largest squared norm


@dataclass(frozen=True)
class Settings:
    """How finely clusters are sought."""

    max_rows: int = 700  # rows that they are found in
    min_rows: int = 60
    dimensions: int = 8  # leading principal directions: HDBSCAN calls most rows of wider spaces noise
    min_share: float = 0.03  # of the rows, for a cluster
    neighbours: int = 5  # for densities, as for HDBSCAN's own
    density_rows: int = 200  # of either side, where the densities of a cluster are compared
    density_draws: int = 12  # pairs of parts of its real rows: what chance does to a ratio of densities


@dataclass(frozen=True)
class Clustering:
    """The clusters as a map from rows to labels.

    Attributes:
      centre: float `[p]`.
      directions: float `[p, q]`, the principal directions.
      points: float `[m, q]`, the rows that clusters were found in.
      labels: int `[m]`, from 0 by falling size; -1 lies in no cluster.
    """

    centre: np.ndarray
    directions: np.ndarray
    points: np.ndarray
    labels: np.ndarray

    @classmethod
    def fit(cls, features: np.ndarray, settings: Settings = Settings()) -> "Clustering":
        """Returns the clusters of `features`, float `[m, p]`; a single one where HDBSCAN finds none or only noise."""
        features = np.asarray(features, float)
        centre = features.mean(axis=0)
        directions = _principal_directions(features - centre, settings.dimensions)
        points = (features - centre) @ directions
        size = max(10, int(settings.min_share * len(points)))
        labels = cluster_labels(points, size, settings.neighbours)
        if labels.max() < 1:
            labels = np.zeros(len(points), np.int64)
        else:
            order = np.argsort(-np.bincount(labels[labels >= 0]), kind="stable")
            rank = np.empty(len(order), np.int64)
            rank[order] = np.arange(len(order))
            labels = np.where(labels >= 0, rank[np.maximum(labels, 0)], -1)
        return cls(centre, directions, points, labels)

    @property
    def num_clusters(self) -> int:
        """How many there are, at least 1."""
        return int(self.labels.max()) + 1

    def place(self, features: np.ndarray) -> np.ndarray:
        """Returns `features`, float `[n, p]`, in the principal directions, `[n, q]`."""
        # In blocks: in double precision a wide sample takes many times its own memory.
        blocks = range(0, len(features), _PLACED_ROWS)
        placed = [(features[start : start + _PLACED_ROWS] - self.centre) @ self.directions for start in blocks]
        return np.concatenate(placed) if placed else np.empty((0, self.directions.shape[1]))

    def assign(self, features: np.ndarray) -> np.ndarray:
        """Returns the label of each row of `features`, int `[n]`: that of the nearest row that clusters are made of."""
        # Nearest is where x . y - |y|^2 / 2 is greatest; the last coordinate carries the second term.
        points = np.column_stack([self.points, -0.5 * np.square(self.points).sum(axis=1)]).T.astype(np.float32)
        nearest = np.empty(len(features), np.int64)
        for start in range(0, len(features), _BLOCK_ROWS):
            rows = self.place(features[start : start + _BLOCK_ROWS])
            closeness = np.column_stack([rows, np.ones(len(rows))]).astype(np.float32) @ points
            nearest[start : start + _BLOCK_ROWS] = np.argmax(closeness, axis=1)
        return self.labels[nearest]


def _principal_directions(centred: np.ndarray, most: int) -> np.ndarray:
    """Returns the leading principal directions, float `[p, q]`, q at least 1 and at most `most`."""
    num_rows, width = centred.shape
    if width <= num_rows:
        (_, values, rows), least = np.linalg.svd(centred, full_matrices=False), 1e-9
    else:
        # Of few rows in a wide space from the products between rows, which are fewer.
        squares, vectors = np.linalg.eigh(centred @ centred.T)
        values, least = np.sqrt(np.maximum(squares[::-1], 0.0)), 1e-6
        rows = vectors.T[::-1][:most] @ centred / np.maximum(values[:most], 1e-30)[:, None]
    kept = max(1, min(most, int((values > least * max(values[0], 1e-30)).sum())))
    return rows[:kept].T


@dataclass(frozen=True)
class Cluster:
    """One cluster; shares are of the rows that took no part in finding it.

    Attributes:
      conditions: What sets its rows apart, in words.
      columns: The columns of the conditions.
      share: Of the candidate's rows (of the dataset's).
      reference_share: Of the reference's; None without one.
      deviation: Standard error of their difference, were both drawn from one distribution; None without a reference.
      density: One over the median distance to the fifth neighbour in it, of as many rows as `reference_density` is of.
      reference_density: Likewise; None without a reference. Either is None where there are too few rows to tell.
      density_deviation: Standard deviation of the logarithm of their ratio, were both sides' rows real: that of halves
        of the cluster's real rows. None where there are too few of them.
      rows: Rows of the candidate near its centre, by number; of the reference, where the candidate has none.
      reference_rows: Likewise of the reference.
    """

    conditions: list[str]
    columns: list[str]
    share: float
    reference_share: float | None
    deviation: float | None
    density: float | None
    reference_density: float | None
    density_deviation: float | None
    rows: list[int]
    reference_rows: list[int]

    @property
    def z(self) -> float | None:
        """How many standard errors the candidate's share lies above the reference's; None without a reference."""
        if self.reference_share is None or not self.deviation:
            return None
        return (self.share - self.reference_share) / self.deviation

    @property
    def density_z(self) -> float | None:
        """How many deviations the candidate's log density lies above the reference's; None where that is not known."""
        if not (self.density and self.reference_density and self.density_deviation):
            return None
        return float(np.log(self.density / self.reference_density) / self.density_deviation)


@dataclass(frozen=True)
class Clusters:
    """All clusters and what lies in none.

    Attributes:
      clusters: By falling size in the sample that they were found in.
      num_fitted: Rows that they were found in.
      outside: Share of the candidate's rows in no cluster.
      reference_outside: Of the reference's; None without one.
      outside_deviation: Standard error of their difference, as `Cluster.deviation`.
      clustering: To assign further rows.
    """

    clusters: list[Cluster]
    num_fitted: int
    outside: float
    reference_outside: float | None
    outside_deviation: float | None
    clustering: Clustering


def find_clusters(
    candidate: Side, reference: Side | None, columns: Columns, seed: int, settings: Settings = Settings()
) -> Clusters | str:
    """Returns the clusters with both sides' shares, or why there are none.

    Args:
      candidate: Its sample, or the dataset's that is described alone.
      reference: Its sample.
      columns: The encoded columns.
      seed: Of the rows that clusters are found in.
      settings: How finely.
    """
    base = candidate if reference is None else reference
    if len(base) < settings.min_rows or not len(candidate):
        return f"clusters need {settings.min_rows} rows, there are {len(base)}"
    order = np.random.default_rng([seed, 23]).permutation(len(base))
    num_fitted = min(settings.max_rows, len(base) // 2)
    fitted, others = base.take(order[:num_fitted]), base.take(np.sort(order[num_fitted:]))
    clustering = Clustering.fit(fitted.features, settings)
    theirs = None if reference is None else others
    own = others if reference is None else candidate
    own_labels = clustering.assign(own.features)
    their_labels = None if theirs is None else clustering.assign(theirs.features)
    found = [
        _cluster(label, clustering, (own, own_labels), (theirs, their_labels), base, columns, settings)
        for label in range(clustering.num_clusters)
    ]
    there, deviation = None, None
    if their_labels is not None:
        there = float(np.mean(their_labels < 0))
        deviation = _deviation((own_labels < 0).sum(), len(own), (their_labels < 0).sum(), len(their_labels))
    return Clusters(found, num_fitted, float(np.mean(own_labels < 0)), there, deviation, clustering)


def _deviation(first: int, first_rows: int, second: int, second_rows: int) -> float:
    """Returns the standard error of the difference of two shares of one distribution; never 0."""
    pooled = (first + second + 1.0) / (first_rows + second_rows + 2.0)
    return float(np.sqrt(pooled * (1.0 - pooled) * (1.0 / first_rows + 1.0 / second_rows)))


def _cluster(
    label: int,
    clustering: Clustering,
    own: tuple[Side, np.ndarray],
    theirs: tuple[Side | None, np.ndarray | None],
    base: Side,
    columns: Columns,
    settings: Settings,
) -> Cluster:
    (side, labels), (reference, their_labels) = own, theirs
    inside = side.take(np.flatnonzero(labels == label))
    real = None
    if reference is not None and their_labels is not None:
        real = reference.take(np.flatnonzero(their_labels == label))
    described = inside if real is None or not len(real) else real
    conditions, names = [], []
    if len(described) and clustering.num_clusters > 1:
        conditions, names = distinctive_conditions(columns, described.codes, base.codes)
    centre = clustering.points[clustering.labels == label].mean(axis=0)
    # Half of the real rows, so that their two halves show what chance does to a ratio of densities.
    most = min(settings.density_rows, len(inside), len(inside) if real is None else len(real) // 2)
    share, reference_share, deviation = len(inside) / len(side), None, None
    if real is not None and reference is not None:
        reference_share = len(real) / len(reference)
        deviation = _deviation(len(inside), len(side), len(real), len(reference))
    points = None if real is None else clustering.place(real.features)
    return Cluster(
        conditions,
        names,
        share,
        reference_share,
        deviation,
        _density(clustering.place(inside.features), most, settings.neighbours),
        None if points is None else _density(points, most, settings.neighbours),
        None if points is None else _density_deviation(points, most, settings),
        _central(inside, clustering, centre),
        [] if real is None else _central(real, clustering, centre),
    )


def _density(points: np.ndarray, num_rows: int, k: int) -> float | None:
    if num_rows <= 2 * k:
        return None
    points = points[np.arange(num_rows) * len(points) // num_rows]
    points = points - points.mean(axis=0)
    # So few rows that all distances take less time than a search for the nearest. By products, in an eighth of the time
    # of differences; they round in proportion to the squared norms.
    norms = np.einsum("ij,ij->i", points, points)
    squared = points @ (-2.0 * points.T)
    squared += norms
    squared += norms[:, None]
    np.fill_diagonal(squared, np.inf)
    squared = np.partition(squared, k - 1, axis=1)[:, k - 1]
    squared[squared < _ROUNDING * norms.max()] = 0.0
    distance = float(np.median(np.sqrt(squared)))
    return 1.0 / distance if distance > 0 else None


def _density_deviation(points: np.ndarray, num_rows: int, settings: Settings) -> float | None:
    """Returns the root mean square log ratio of the densities of two disjoint random parts of `points`."""
    rng, ratios = np.random.default_rng(len(points)), []
    for _ in range(settings.density_draws):
        order = rng.permutation(len(points))
        parts = points[order[:num_rows]], points[order[num_rows : 2 * num_rows]]
        first, second = (_density(part, num_rows, settings.neighbours) for part in parts)
        if first is None or second is None:
            return None
        ratios.append(np.log(first / second))
    return float(np.sqrt(np.mean(np.square(ratios)))) or None


def _central(side: Side, clustering: Clustering, centre: np.ndarray, most: int = 3) -> list[int]:
    apart = np.linalg.norm(clustering.place(side.features) - centre, axis=1)
    return [int(row) for row in side.rows[np.argsort(apart, kind="stable")[:most]]]
