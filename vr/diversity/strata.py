"""Strata for a sample: clusters in proportion, and more of what a uniform sample would hardly hold.

Clusters are found by k-means on the codes of a first, uniform sample. A code, a pair of coarse codes or a cluster that
under one row in a hundred belongs to is rare where fewer rows of it than a floor would be drawn in proportion: its rows
are wanted with the probability that gives it the floor, or up to twice that, so that they fall into a few strata. Rows
far from all centres are wanted more, too. The floor gives way where rare rows are so many that ordinary rows would be
drawn with less than half of the probability that a uniform sample has.

References:
  Sculley 2010, Web-scale k-means clustering.
  Cochran 1977, Sampling techniques, section 5.5: proportional allocation.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import ndtri

from vr.core.workers import single_threaded
from vr.data.strata import Strata, levels
from vr.detector.inputs import Columns
from vr.stats.dependence import coarsen_codes
from vr.stats.entropy import entropy_nats

__all__ = ["Fitted", "Settings", "fit_strata"]


@dataclass(frozen=True)
class Settings:
    """How many strata, and what is kept of what is rare."""

    clusters: int = 16
    first_rows: int = 50  # of the first sample, and
    drawn_rows: int = 20  # of the one that is drawn, for each cluster; else there are fewer clusters
    max_columns: int = 24  # the most varied: 276 pairs
    codes: int = 8  # codes a column keeps in pairs
    rare: float = 0.01  # share of the rows from which on nothing is rare
    floor: float = 30.0  # rows of what is rare that the sample is to hold
    ordinary: float = 0.5  # of a uniform sample's probability is left to ordinary rows, at least
    outliers: float = 0.001  # share of the rows that are taken for outliers, at most
    outlier_rows: float = 0.02  # share of the sample that they may take


@dataclass(frozen=True)
class Fitted:
    """Strata, and what they are.

    Attributes:
      strata: The rule.
      base: Probability that an ordinary row is wanted with.
      floor: Rows of each rare code, pair and cluster that the sample is expected to hold, or all where there are fewer.
      outlier_share: Of the first sample's rows.
      rare_codes: How many codes are wanted more than an ordinary row is.
      rare_pairs: How many pairs of coarse codes are, those that the first sample has.
    """

    strata: Strata
    base: float
    floor: float
    outlier_share: float
    rare_codes: int
    rare_pairs: int


def fit_strata(
    codes: np.ndarray,
    columns: Columns,
    counts: np.ndarray,
    size: int,
    seed: int,
    settings: Settings = Settings(),
) -> Fitted:
    """Returns the strata of a dataset from which `size` rows are to be drawn.

    Args:
      codes: uint16 `[m, d]`, a uniform sample of it, at least one row.
      columns: The encoded columns.
      counts: int64 `[d, K]`, how many of all its rows have each code.
      size: 100 or more, since every stratum has room for two rows.
      seed: Of k-means.
      settings: How finely.
    """
    num_rows = int(counts[0].sum())
    rate = min(1.0, size / num_rows)
    most_clusters = max(1, min(settings.clusters, len(codes) // settings.first_rows, size // settings.drawn_rows))
    one, in_pairs = _rule_for_one(codes, columns, counts, most_clusters, seed, settings)
    apart, cluster = one.nearest(codes)
    limit = float(np.quantile(apart, 1.0 - settings.outliers, method="inverted_cdf"))
    far = apart > limit
    outlier = min(1.0, settings.outlier_rows * rate / max(float(far.mean()), 1.0 / len(codes)))
    rarity = np.maximum(one.rarity(codes), one.ordinary[cluster])
    floor, base = _floor(rarity, np.where(far, outlier, 0.0), rate, settings)
    rule = _rule_for(one, floor, base)
    rule = replace(rule, limit=limit, outlier=outlier)
    stratum, wanted = rule.of(codes)
    num_levels = int(levels(np.array([base]))[0][0]) + 1
    drawn = np.bincount(stratum, wanted, rule.num_clusters + num_levels)
    # Codes that the first sample has no row of are known by their counts.
    unseen = (_in_sample(codes, counts.shape[1]) == 0) & (counts > 0) & (rule.single > base)
    at, of_code = levels(rule.single[unseen])
    np.add.at(drawn, rule.num_clusters + at, of_code * counts[unseen] * (len(codes) / num_rows))
    sizes = np.full(len(drawn), num_rows) if size >= num_rows else _allocated(drawn / drawn.sum() * size)
    rare_pairs = int(((floor * one.paired > base) & (in_pairs > 0)).sum())
    return Fitted(replace(rule, sizes=sizes), base, floor, float(far.mean()), int((rule.single > 0).sum()), rare_pairs)


def _rule_for_one(
    codes: np.ndarray, columns: Columns, counts: np.ndarray, most_clusters: int, seed: int, settings: Settings
) -> tuple[Strata, np.ndarray]:
    """Returns the rule with all that is rare wanted as for a floor of one row, and the rows of each pair of codes.

    It has no sizes and no outliers yet, and no ordinary row is wanted.
    """
    num_rows = int(counts[0].sum())
    rare, each = settings.rare * num_rows, num_rows / len(codes)
    kept = np.sort(np.argsort(-entropy_nats(counts), kind="stable")[: settings.max_columns])
    coarse = _coarse(columns, kept, counts.shape[1], settings.codes)
    points = [_points(columns, j, counts[j], of_code) for j, of_code in zip(kept, coarse, strict=True)]
    distances = _distances(points, codes[:, kept], most_clusters, seed)
    pairs, in_pairs = _pair_counts(columns, kept, coarse, codes)
    none = np.zeros(distances.shape[2])
    rule = Strata(
        none,
        none,
        kept,
        distances,
        limit=np.inf,
        outlier=0.0,
        single=_for_one(counts, rare),
        coarse=coarse,
        pairs=pairs,
        # A pair that the first sample has no row of counts as one that it has one row of.
        paired=_for_one(np.maximum(in_pairs, 1.0) * each, rare),
    )
    of_cluster = np.bincount(rule.nearest(codes)[1], minlength=len(none)) * each
    return replace(rule, ordinary=_for_one(of_cluster, rare)), in_pairs


def _for_one(rows: np.ndarray, rare: float) -> np.ndarray:
    """Returns the probability that gives what so many rows have a floor of one row; 0 where they are not rare."""
    return np.where((rows > 0) & (rows < rare), 1.0 / np.maximum(rows, 1.0), 0.0)


def _rule_for(one: Strata, floor: float, base: float) -> Strata:
    """Returns a rule for a floor of more than one row, where ordinary rows are wanted with `base`."""
    paired = _above(base, floor * one.paired)
    used = paired.any(axis=(1, 2))
    return replace(
        one,
        ordinary=np.clip(floor * one.ordinary, base, 1.0),
        single=_above(base, floor * one.single),
        pairs=one.pairs[used],
        paired=paired[used],
    )


def _above(base: float, wanted: np.ndarray) -> np.ndarray:
    """Returns probabilities, those that ask for no more than any row has as 0."""
    return np.where(wanted > base, np.minimum(1.0, wanted), 0.0)


def _coarse(columns: Columns, kept: np.ndarray, num_codes: int, most: int) -> np.ndarray:
    """Returns the coarse code of each code of each column, int64 `[c, K]`."""
    result = np.zeros((len(kept), num_codes), np.int64)
    for place, j in enumerate(kept):
        own = int(columns.num_codes[j])
        every = np.arange(own, dtype=np.uint16)[:, None]
        result[place, :own] = coarsen_codes(every, columns.num_codes[[j]], columns.ordinal[[j]], most)[0][:, 0]
    return result


def _points(columns: Columns, j: int, counts: np.ndarray, coarse: np.ndarray) -> np.ndarray:
    """Returns the coordinates of each code of a column, float64 `[K, q]`, of total variance 1 among all rows.

    Of an ordinal column they are its normal score, by the middle of its ranks; of a nominal one an axis for each coarse
    code.
    """
    total = counts.sum()
    if columns.ordinal[j]:
        ranks = np.cumsum(counts) - 0.5 * counts
        points = ndtri((ranks + 0.5) / (total + 1.0))[:, None]
    else:
        points = np.eye(int(coarse.max()) + 1)[coarse]
    centred = points - counts @ points / total
    variance = float((counts @ centred**2).sum() / total)
    # A nearly constant column must not be blown up without bound.
    return centred / np.sqrt(max(variance, 0.05))


def _distances(points: list[np.ndarray], codes: np.ndarray, num_clusters: int, seed: int) -> np.ndarray:
    """Returns what each code adds to the squared distance from each centre, float64 `[c, K, h]`, h at most as asked."""
    rows = np.concatenate([of_code[codes[:, place]] for place, of_code in enumerate(points)], axis=1)
    ends = np.cumsum([of_code.shape[1] for of_code in points])
    centres = np.split(_centres(rows, num_clusters, seed), ends[:-1], axis=1)
    return np.stack(
        [
            np.square(of_code[:, None, :] - centre[None]).sum(axis=2)
            for of_code, centre in zip(points, centres, strict=True)
        ]
    )


def _centres(rows: np.ndarray, num_clusters: int, seed: int) -> np.ndarray:
    """Returns the centres of those clusters that have rows, float64 `[h, q]`."""
    from sklearn.cluster import MiniBatchKMeans

    # A centre for no more rows than there are different ones.
    num_clusters = min(num_clusters, len(np.unique(rows, axis=0)))
    # Threads add up in an order of their own.
    with single_threaded():
        means = MiniBatchKMeans(num_clusters, n_init=3, random_state=seed).fit(rows)  # type: ignore[arg-type]
        used = np.unique(means.predict(rows))
    return np.asarray(means.cluster_centers_)[used]


def _pair_counts(
    columns: Columns, kept: np.ndarray, coarse: np.ndarray, codes: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the pairs of columns, int64 `[p, 2]` places in `kept`, and the rows of each pair of coarse codes."""
    size = int(coarse.max()) + 1
    owner = {j: head for head, parts in columns.parts.items() for j in parts}
    merged = [of_code[codes[:, j]] for of_code, j in zip(coarse, kept, strict=True)]
    # Parts of one date hang together by themselves.
    pairs = [
        (a, b) for a in range(len(kept)) for b in range(a + 1, len(kept)) if owner[int(kept[a])] != owner[int(kept[b])]
    ]
    counts = np.zeros((len(pairs), size, size))
    for place, (a, b) in enumerate(pairs):
        counts[place] = np.bincount(merged[a] * size + merged[b], minlength=size * size).reshape(size, size)
    return np.array(pairs, np.int64).reshape(-1, 2), counts


def _floor(rarity: np.ndarray, far: np.ndarray, rate: float, settings: Settings) -> tuple[float, float]:
    """Returns the floor that there is room for and the probability that an ordinary row is wanted with then.

    Args:
      rarity: `[m]`, what a row is wanted with for a floor of one.
      far: `[m]`, what it is wanted with as an outlier.
      rate: Share of the rows that are drawn.
      settings: The floor that is wished for, and what is to be left to ordinary rows.
    """

    def base_at(floor: float) -> float:
        special = np.maximum(np.minimum(1.0, floor * rarity), far)
        rounded = levels(special)[1]
        return _bisected(lambda base: float(np.where(special > base, rounded, base).mean()) <= rate, 1.0)

    floor = _bisected(lambda floor: base_at(floor) >= settings.ordinary * rate, settings.floor)
    return floor, base_at(floor)


def _bisected(holds: Callable[[float], bool], top: float) -> float:
    """Returns a number up to `top` that a condition holds for and hardly beyond which it does not; `top` if it can."""
    if holds(top):
        return top
    low, high = 0.0, top
    for _ in range(40):
        middle = 0.5 * (low + high)
        low, high = (middle, high) if holds(middle) else (low, middle)
    return low


def _allocated(shares: np.ndarray) -> np.ndarray:
    """Returns whole numbers that have the sum of `shares` and are next to them (largest remainders).

    None is below 2, or 1 where nothing is known to be there: what no row of is drawn nothing can be estimated of. Where
    there are more strata than that leaves room for, the sum is more.
    """
    total = round(float(shares.sum()))
    least = np.where(shares > 0, 2, 1)
    sizes = np.maximum(least, np.floor(shares).astype(np.int64))
    order = np.argsort(np.floor(shares) - shares, kind="stable")
    sizes[order[: max(0, total - int(sizes.sum()))]] += 1
    while sizes.sum() > total and (sizes > least).any():
        sizes[np.argmax(np.where(sizes > least, sizes - shares, -np.inf))] -= 1
    return sizes


def _in_sample(codes: np.ndarray, width: int) -> np.ndarray:
    """Returns how many rows of `codes`, `[m, d]`, have each code, int64 `[d, width]`."""
    return np.stack([np.bincount(column, minlength=width)[:width] for column in codes.T])
