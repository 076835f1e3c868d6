"""Entropy stability: is the reference's variety still there, its rare patterns and far corners included?"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vr.core.chart import Chart
from vr.detector.dimensions.base import Dimension, Measurement
from vr.detector.inputs import Columns, Inputs, Side, Statistics
from vr.detector.metric import Feature, MetricSpec
from vr.stats.coverage import Balls
from vr.stats.dependence import coarsen_codes, pair_entropies
from vr.stats.entropy import entropy_nats, vendi_order2
from vr.stats.patterns import effective_generations, pattern_tables

__all__ = ["DIMENSION", "Settings", "compared", "duplicate_fraction"]


@dataclass(frozen=True)
class Settings:
    """What is measured how finely."""

    neighbours: int = 5  # k of the coverage balls
    num_triples: int = 24  # triples of columns whose joint patterns are counted
    triple_codes: int = 6  # codes a column keeps in a triple
    rare_fraction: float = 0.01  # a pattern with at most this share of rows is rare
    num_charts: int = 24  # columns in the entropy chart


_METRICS = {
    "coverage_deficit": MetricSpec(
        "Coverage deficit",
        "Share of reference rows without a candidate row among their five nearest reference neighbours' ball (PRDC).",
        floor=0.025,
        judged=True,
    ),
    "entropy_deficit": MetricSpec(
        "Entropy deficit, columns",
        "Mean over columns of the reference's entropy minus the candidate's, bias-corrected.",
        floor=0.015,
        unit="nats",
        judged=True,
    ),
    "pair_entropy_deficit": MetricSpec(
        "Entropy deficit, pairs",
        "Mean over pairs of columns of the reference's joint entropy minus the candidate's.",
        floor=0.03,
        unit="nats",
    ),
    "uncovered_mass": MetricSpec(
        "Uncovered reference mass",
        "Share of reference rows whose pattern in three columns never occurs in the candidate, mean over triples.",
        floor=0.01,
        judged=True,
    ),
    "rare_patterns_lost": MetricSpec(
        "Rare patterns lost",
        "Share of the reference's rare patterns in three columns (2 rows to 1 %) that the candidate lacks.",
        floor=0.03,
        judged=True,
    ),
    "vendi_deficit": MetricSpec(
        "Vendi score deficit",
        "Logarithm of the reference's order-2 Vendi score (effective number of distinct rows) over the candidate's.",
        floor=0.05,
        two_sided=True,
    ),
    "duplicate_fraction": MetricSpec(
        "Exact duplicates",
        "Share of rows that repeat an earlier row, in samples of equal size.",
        floor=0.01,
        judged=True,
    ),
    "duplicates_in_file": MetricSpec(
        "Exact duplicates in the whole file",
        "Share of all rows that repeat an earlier row.",
        floor=0.02,
    ),
    "effective_generations": MetricSpec(
        "Effective generations",
        "How many rounds of resampling would lose as many patterns as the candidate lacks.",
        floor=0.5,
        unit="generations",
    ),
}


def compared(inputs: Inputs, settings: Settings = Settings()) -> dict[str, Feature]:
    """Returns what needs no training, over all splits: measured once, whoever asks first; there must be splits."""
    return inputs.compare("entropy", _statistics(inputs, settings))


def measure(inputs: Inputs, settings: Settings = Settings()) -> Measurement:
    """Returns what variety is missing; without a reference only the duplicates."""
    in_file = inputs.candidate_profile.duplicate_fraction
    if not inputs.splits:
        return Measurement({"duplicates_in_file": Feature(in_file, reason="without a reference there is no null")})
    features = dict(compared(inputs, settings))
    features["duplicates_in_file"] = Feature(
        in_file, reason="no null at the file's size; 'Exact duplicates' compares at equal size"
    )
    return Measurement({name: features[name] for name in _METRICS}, (_chart(inputs, settings),))


def duplicate_fraction(side: Side) -> float:
    """Returns the share of rows equal to an earlier row, in codes and in numbers, 0 to 1."""
    if not len(side):
        return 0.0
    return 1.0 - len(set(side.row_keys())) / len(side)


def _statistics(inputs: Inputs, settings: Settings) -> Callable[[Side], Statistics]:
    columns, pairs = inputs.columns, inputs.pair_columns
    num_codes, ordinal = columns.num_codes[pairs], columns.ordinal[pairs]
    rng = np.random.default_rng([inputs.seed, 3])
    width = min(3, len(pairs))
    triples = np.unique(
        [np.sort(rng.choice(len(pairs), width, replace=False)) for _ in range(settings.num_triples)], axis=0
    )

    upper = np.triu_indices(len(pairs), 1)

    def variety(side: Side) -> dict[str, float]:
        of_pairs = pair_entropies(side.codes[:, pairs], num_codes)[upper]
        return {
            "entropy_deficit": float(np.mean(_entropies(side, columns))),
            "pair_entropy_deficit": float(of_pairs.mean()) if len(pairs) > 1 else float("nan"),
            "vendi_deficit": float(np.log(vendi_order2(side.features))),
        }

    def patterns(side: Side) -> np.ndarray:
        # The coarsening depends on the codec alone, so a pattern is the same thing on both sides.
        coarse, coarse_codes = coarsen_codes(side.codes[:, pairs], num_codes, ordinal, settings.triple_codes)
        return pattern_tables(coarse, triples, coarse_codes)

    def against(base: Side) -> Statistics:
        balls = Balls.fit(base.features, settings.neighbours)
        base_variety, base_patterns = variety(base), patterns(base)
        most = max(2, settings.rare_fraction * len(base))
        rare = (base_patterns >= 2) & (base_patterns <= most)
        num_rare = rare.sum(axis=1)
        some = num_rare > 0

        def statistics(x: Side, rng: np.random.Generator) -> dict[str, float]:
            found = patterns(x)
            absent = found == 0
            uncovered = (base_patterns * absent).sum(axis=1) / len(base)
            lost = (rare & absent).sum(axis=1)[some] / num_rare[some]
            own = variety(x)
            return {
                "coverage_deficit": 1.0 - balls.coverage(x.features),
                **{name: base_variety[name] - own[name] for name in own},
                "uncovered_mass": float(np.mean(uncovered)),
                "rare_patterns_lost": float(np.mean(lost)) if len(lost) else float("nan"),
                "duplicate_fraction": duplicate_fraction(x),
                # All triples in one likelihood: each alone has few patterns to lose.
                "effective_generations": effective_generations(base_patterns.ravel(), found.ravel()),
            }

        return statistics

    return against


def _entropies(side: Side, columns: Columns) -> np.ndarray:
    return entropy_nats(columns.histograms(side))


def _chart(inputs: Inputs, settings: Settings) -> Chart:
    columns = inputs.columns

    def of_real(reference: Side) -> tuple[np.ndarray, np.ndarray]:
        nulls = [_entropies(s.base, columns) - _entropies(s.fresh, columns) for s in inputs.splits]
        return _entropies(reference, columns), np.array(nulls)

    splits = inputs.splits
    own, nulls = inputs.of_reference("entropies", of_real, len(splits), len(splits[0].base))
    values = own - _entropies(inputs.candidate, columns)
    worst = np.argsort(-values, kind="stable")[: settings.num_charts]
    return Chart(
        id="entropy-deficit",
        kind="bars",
        title="Entropy lost by column",
        data={
            "labels": [columns.names[j] for j in worst],
            "values": values[worst].round(5).tolist(),
            "null_mean": nulls.mean(axis=0)[worst].round(5).tolist(),
            "null_std": nulls.std(axis=0, ddof=1)[worst].round(5).tolist(),
            "unit": "nats",
        },
        caption="Reference minus candidate; the band is what two parts of the reference differ by.",
    )


DIMENSION = Dimension(
    "entropy_stability",
    "Is the reference's variety still there, its rare patterns and far corners included?",
    _METRICS,
    measure,
)
