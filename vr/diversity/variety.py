"""What grows with the number of rows: joint patterns, Vendi scores, near repeats; on samples of equal size."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vr.detector.inputs import Inputs, Side
from vr.detector.metric import Feature, MetricSpec
from vr.stats.dependence import coarsen_codes
from vr.stats.entropy import entropy_nats, gini
from vr.stats.kernels import median_bandwidth
from vr.stats.near_rows import allowed_differences, near_rows
from vr.stats.patterns import MissingMass, missing_mass, pattern_tables
from vr.stats.vendi import RandomFeatures

__all__ = ["METRICS", "Variety", "joint_statistics", "joint_variety"]


@dataclass(frozen=True)
class Settings:
    """What is measured how finely."""

    num_triples: int = 16
    triple_codes: int = 6  # codes a column keeps in a triple
    max_rows: int = 600  # rows of a side for Vendi scores and near repeats
    num_frequencies: int = 64
    num_kept: int = 32  # eigenvalues that the truncated Vendi score keeps
    # Of the median distance: at the median itself the kernel calls most rows of a table alike.
    bandwidth: float = 0.5
    differing: float = 0.1  # share of the columns that near rows may differ in


METRICS: dict[str, MetricSpec] = {
    "pattern_entropy": MetricSpec(
        "Joint entropy of three columns",
        "Mean over triples of columns of the entropy of their joint patterns (six codes a column).",
        0.03,
        "nats",
        higher_is_worse=False,
    ),
    "pattern_gini": MetricSpec(
        "Concentration of joint patterns (Gini)",
        "Mean over triples of the inequality among the counts of the patterns that occur: 0 where all are equally "
        "common, near 1 where a few hold nearly all rows.",
        0.02,
    ),
    "pattern_missing_mass": MetricSpec(
        "Missing mass of joint patterns (Good-Turing)",
        "Probability that one more row shows a pattern in three columns that none of these rows shows, mean over "
        "triples. Lower than real: rare patterns are gone.",
        0.005,
        two_sided=True,
    ),
    "vendi_gaussian": MetricSpec(
        "Vendi score, order 2, Gaussian kernel",
        "Effective number of different rows at half the reference's median distance, by random features.",
        0.5,
        "rows",
        higher_is_worse=False,
    ),
    "vendi_truncated": MetricSpec(
        "Vendi score, order 1, truncated",
        "Effective number of the kernel's 32 leading directions that rows lie in.",
        0.5,
        "directions",
        higher_is_worse=False,
    ),
    "near_duplicates": MetricSpec(
        "Near duplicates",
        "Share of rows that another row equals in all but a tenth of the columns (at least one), as coded.",
        0.02,
    ),
    "near_copies": MetricSpec(
        "Near copies of reference rows",
        "Share of rows that a reference row equals in all but a tenth of the columns (at least one), as coded.",
        0.02,
    ),
}


@dataclass(frozen=True)
class Variety:
    """What was measured.

    Attributes:
      features: By metric of `METRICS`.
      missing_mass: Of the candidate's joint patterns with its 95 % interval, at the size of the comparison.
      num_rows: That size.
    """

    features: dict[str, Feature]
    missing_mass: MissingMass
    num_rows: int


def joint_variety(inputs: Inputs, compared: Mapping[str, Feature], settings: Settings = Settings()) -> Variety:
    """Returns the metrics over all splits, or of the candidate's whole sample where there are none.

    Args:
      inputs: Both samples.
      compared: What `joint_statistics` gives over all splits; empty where there are none.
      settings: As they were then.
    """
    if inputs.splits:
        features = compared
        rows = len(inputs.splits[0].candidate)
        sides = [split.candidate for split in inputs.splits]
    else:
        reason = inputs.splits_reason or "needs a reference"
        side = inputs.candidate
        rows, sides = len(side), [side]
        found = joint_statistics(inputs, settings)(side)(side) if rows else {}
        found["near_copies"] = float("nan")
        features = {}
        for name in METRICS:
            value = found.get(name, float("nan"))
            features[name] = Feature(value, reason=reason) if np.isfinite(value) else Feature.missing(reason)
    return Variety({name: features[name] for name in METRICS}, _interval(_Patterns.of(inputs, settings), sides), rows)


def joint_statistics(
    inputs: Inputs, settings: Settings = Settings()
) -> Callable[[Side], Callable[[Side], dict[str, float]]]:
    """Returns what prepares a base, and then measures `METRICS` of a side against it."""
    patterns = _Patterns.of(inputs, settings)
    pairs, seed = inputs.pair_columns, inputs.seed
    differing = allowed_differences(len(pairs), settings.differing)
    points = (inputs.candidate if inputs.reference is None else inputs.reference).features
    # One kernel for all splits, so that they are numbers of one thing.
    sigma = settings.bandwidth * median_bandwidth(points[::2], points[1::2])
    random_features = RandomFeatures.draw(points.shape[1], sigma, seed, settings.num_frequencies)

    def against(base: Side) -> Callable[[Side], dict[str, float]]:
        few = base.take(np.arange(min(settings.max_rows, len(base))))
        occurs = patterns.counts(base) > 0

        def statistics(x: Side) -> dict[str, float]:
            counts = patterns.counts(x)
            part = x.take(np.arange(min(settings.max_rows, len(x))))
            sums = random_features.sums(part.features)
            near = near_rows(part.codes[:, pairs], differing).partner >= 0
            copies = near_rows(part.codes[:, pairs], differing, few.codes[:, pairs]).partner >= 0
            return {
                "pattern_entropy": float(np.mean(entropy_nats(counts))),
                "pattern_gini": float(
                    np.mean([gini(each[known | (each > 0)]) for each, known in zip(counts, occurs, strict=True)])
                ),
                "pattern_missing_mass": float(np.mean(np.sum(counts == 1, axis=1) / len(x))),
                "vendi_gaussian": sums.vendi_order2(),
                "vendi_truncated": sums.truncated_vendi(settings.num_kept),
                "near_duplicates": float(near.mean()),
                "near_copies": float(copies.mean()),
            }

        return statistics

    return against


@dataclass(frozen=True)
class _Patterns:
    """Triples of columns, and how their joint patterns are counted."""

    pairs: np.ndarray
    num_codes: np.ndarray
    ordinal: np.ndarray
    triples: np.ndarray
    codes: int

    @classmethod
    def of(cls, inputs: Inputs, settings: Settings) -> "_Patterns":
        pairs = inputs.pair_columns
        rng = np.random.default_rng([inputs.seed, 29])
        width = min(3, len(pairs))
        triples = np.unique(
            [np.sort(rng.choice(len(pairs), width, replace=False)) for _ in range(settings.num_triples)], axis=0
        )
        columns = inputs.columns
        return cls(pairs, columns.num_codes[pairs], columns.ordinal[pairs], triples, settings.triple_codes)

    def counts(self, side: Side) -> np.ndarray:
        """Returns the counts of all possible patterns of each triple, `[t, k]`."""
        coarse, sizes = coarsen_codes(side.codes[:, self.pairs], self.num_codes, self.ordinal, self.codes)
        return pattern_tables(coarse, self.triples, sizes)


def _interval(patterns: _Patterns, sides: Sequence[Side]) -> MissingMass:
    """Returns the mean of the estimate and of its ends over triples and splits.

    Triples share their rows and splits most of theirs, so that they vary as one, and many of them are no narrower.
    """
    found = [
        missing_mass(int((counts == 1).sum()), len(side), int((counts == 2).sum()))
        for side in sides
        for counts in patterns.counts(side)
    ]
    return MissingMass(*np.mean(found, axis=0).tolist())
