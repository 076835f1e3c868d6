"""Rows far from all others: more of them than real data has, or fewer, which is what lost tails look like.

A row is an outlier where its nearest row of a sample of the reference is farther than that of 99 in 100 other reference
rows. Of a dataset described alone: where its fifth neighbour is four robust deviations farther than the median row's
is, and more than twice as far: among a few discrete values most distances are the same, and the deviation is none.
"""

from dataclasses import dataclass

import numpy as np

from vr.detector.inputs import Side
from vr.detector.metric import Feature, MetricSpec
from vr.stats.coverage import nearest_distances

__all__ = ["Outliers", "SPEC", "find_outliers"]

SPEC = MetricSpec(
    "Outliers",
    "Share of rows farther from the reference than 99 in 100 of its own rows are; without a reference, of rows whose "
    "fifth neighbour is far beyond most rows' (four robust deviations). Fewer than real: the tails are gone.",
    0.005,
    two_sided=True,
)


@dataclass(frozen=True)
class Settings:
    """How far is far, and among how many rows."""

    base_rows: int = 600  # that distances are measured to
    max_rows: int = 3_000  # whose distances are measured
    min_rows: int = 60
    share: float = 0.01  # of the reference's own rows that count as outliers
    alone: float = 4.0  # robust deviations, without a reference
    most: int = 20  # rows that are named


@dataclass(frozen=True)
class Outliers:
    """What lies far out.

    Attributes:
      share: Of the rows that were looked at, with what the reference has, where there is one.
      rows: The farthest ones, by number, farthest first.
      looked_at: Rows that were looked at.
    """

    share: Feature
    rows: list[int]
    looked_at: int


def find_outliers(candidate: Side, reference: Side | None, seed: int, settings: Settings = Settings()) -> Outliers:
    """Returns the candidate's outliers; what cannot be told says why.

    Args:
      candidate: Its sample, or the dataset's that is described alone.
      reference: Its sample.
      seed: Of the rows that are looked at.
      settings: How far is far.
    """
    rng = np.random.default_rng([seed, 37])
    base = candidate if reference is None else reference
    if len(base) < settings.min_rows or not len(candidate):
        return Outliers(Feature.missing(f"outliers need {settings.min_rows} rows, there are {len(base)}"), [], 0)
    side = candidate.take(np.sort(rng.permutation(len(candidate))[: settings.max_rows]))
    if reference is None:
        anchors = side.take(np.sort(rng.permutation(len(side))[: settings.base_rows]))
        # Its own row may be among the anchors: one neighbour more, then, and it counts for none.
        distances = nearest_distances(side.features, anchors.features, 6)
        own = np.isin(side.rows, anchors.rows)
        far = np.where(own, distances[:, 5], distances[:, 4])
        limit = _limit(far, settings.alone)
        share = Feature(float(np.mean(far > limit)), reason="no null: measured of the dataset alone")
    else:
        order = rng.permutation(len(reference))
        num_base = min(settings.base_rows, len(reference) // 2)
        anchors = reference.take(order[:num_base]).features
        others = reference.take(order[num_base : num_base + settings.max_rows])
        own = nearest_distances(others.features, anchors, 1)[:, 0]
        far = nearest_distances(side.features, anchors, 1)[:, 0]
        limit = float(np.quantile(own, 1.0 - settings.share, method="inverted_cdf"))
        expected = float(np.mean(own > limit))
        # The limit is the sample's own quantile: it varies as a share of it does.
        error = float(np.sqrt(settings.share * (1.0 - settings.share) * (1.0 / len(own) + 1.0 / len(far))))
        share = Feature(float(np.mean(far > limit)), 0.0, expected, error)
    order = np.argsort(-far, kind="stable")
    rows = [int(side.rows[i]) for i in order[: settings.most] if far[i] > limit]
    return Outliers(share, rows, len(side))


def _limit(distances: np.ndarray, deviations: float) -> float:
    """Returns the distance that lies so many robust deviations of the logarithm above the median; repeats are at 0."""
    known = np.log(distances[distances > 0])
    if not len(known):
        return 0.0
    middle = float(np.median(known))
    # 1.4826 makes the median absolute deviation a normal distribution's standard deviation.
    beyond = deviations * 1.4826 * float(np.median(np.abs(known - middle)))
    return float(np.exp(middle + max(beyond, np.log(2.0))))
