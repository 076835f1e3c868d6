"""Statistical consistency: can the two be told apart, and does the candidate keep the reference's rules?"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vr.core.chart import Chart
from vr.detector.dimensions.base import Dimension, Measurement
from vr.detector.inputs import Inputs, Side, Statistics
from vr.detector.metric import Feature, MetricSpec
from vr.detector.rules import Rules
from vr.stats.dependence import coarsen_codes
from vr.stats.divergences import chi_squared_homogeneity, histograms, jensen_shannon_divergence
from vr.stats.kernels import kernel_mean, median_bandwidth, mmd2_unbiased
from vr.stats.patterns import pattern_tables
from vr.stats.twosample import classifier_two_sample

__all__ = ["DIMENSION", "Settings", "drift_along_file"]


@dataclass(frozen=True)
class Settings:
    """What is measured how finely."""

    num_triples: int = 16  # triples of columns in the joint-pattern chi-squared
    triple_codes: int = 4
    num_blocks: int = 8  # stretches of the file compared with the whole
    num_permutations: int = 8  # null of the drift: the same rows in random order


_METRICS = {
    "classifier_auroc": MetricSpec(
        "Two-sample classifier",
        "Cross-fitted AUROC of telling candidate rows from reference rows; detectable is not yet harmful.",
        floor=0.05,
        unit="AUROC",
        judged=True,
    ),
    "mmd": MetricSpec(
        "Maximum mean discrepancy",
        "Unbiased squared MMD of the rows as points, Gaussian kernel at the median distance.",
        floor=0.002,
        judged=True,
    ),
    "joint_pattern_effect": MetricSpec(
        "Joint-pattern chi-squared effect",
        "Cramer's V of dataset against joint pattern in three columns, mean over triples.",
        floor=0.02,
        judged=True,
    ),
    "out_of_range_fraction": MetricSpec(
        "Values out of range",
        "Share of numeric cells beyond the reference's range, and of categories it never has.",
        floor=0.002,
        judged=True,
    ),
    "off_grid_fraction": MetricSpec(
        "Values off the grid",
        "Share of cells with a fraction in columns where the reference has whole numbers only.",
        floor=0.01,
    ),
    "dependency_violations": MetricSpec(
        "Functional dependencies broken",
        "Share of rows that break a rule 'this column decides that one' which the reference keeps.",
        floor=0.005,
        judged=True,
    ),
    "impossible_combinations": MetricSpec(
        "Impossible combinations",
        "Share of rows with a pair of values that the reference never combines though both are common.",
        floor=0.005,
        judged=True,
    ),
    "drift_along_file": MetricSpec(
        "Drift along the file",
        "Mean Jensen-Shannon divergence of eight stretches of the file against the whole; null: the rows shuffled.",
        floor=0.01,
        unit="nats",
    ),
}


_BLOCK_ROWS = 20  # least rows in a stretch


def measure(inputs: Inputs, settings: Settings = Settings()) -> Measurement:
    """Returns detectability and broken rules; without a reference only the drift along the file."""
    drift, charts = drift_along_file(inputs.candidate, inputs, settings)
    if not inputs.splits:
        return Measurement({"drift_along_file": drift}, charts)
    features = dict(inputs.compare("consistency", _statistics(inputs, settings)))
    features["drift_along_file"] = drift
    return Measurement({name: features[name] for name in _METRICS}, charts)


def _statistics(inputs: Inputs, settings: Settings) -> Callable[[Side], Statistics]:
    columns, pairs = inputs.columns, inputs.pair_columns
    num_codes, ordinal = columns.num_codes[pairs], columns.ordinal[pairs]
    rng = np.random.default_rng([inputs.seed, 8])
    width = min(3, len(pairs))
    triples = np.array([rng.choice(len(pairs), width, replace=False) for _ in range(settings.num_triples)])

    def patterns(side: Side) -> np.ndarray:
        coarse, coarse_codes = coarsen_codes(side.codes[:, pairs], num_codes, ordinal, settings.triple_codes)
        return pattern_tables(coarse, triples, coarse_codes)

    def against(base: Side) -> Statistics:
        rules, base_patterns = Rules.fit(base, columns, pairs), patterns(base)
        # One kernel for the candidate and for the fresh rows: the base's own.
        bandwidth = median_bandwidth(base.features, base.features)
        within = kernel_mean(base.features, bandwidth)

        def statistics(x: Side, rng: np.random.Generator) -> dict[str, float]:
            effects = chi_squared_homogeneity(patterns(x), base_patterns).effect_size
            auroc, _, _ = classifier_two_sample(x.codes, base.codes, rng)
            return {
                "classifier_auroc": auroc,
                "mmd": mmd2_unbiased(x.features, base.features, bandwidth, within),
                "joint_pattern_effect": float(np.mean(effects)),
                **rules.violations(x),
            }

        return statistics

    return against


def drift_along_file(side: Side, inputs: Inputs, settings: Settings = Settings()) -> tuple[Feature, tuple[Chart, ...]]:
    """Returns how much stretches of a file differ from the whole, beside the same rows shuffled, and a chart of it."""
    num_blocks = min(settings.num_blocks, len(side) // _BLOCK_ROWS)
    if num_blocks < 2:
        return Feature.missing(f"{len(side)} rows are too few to have stretches"), ()

    whole = histograms(side.codes, inputs.columns.num_codes)
    blocks = np.repeat(np.arange(num_blocks), [len(rows) for rows in np.array_split(side.rows, num_blocks)])
    # Where each cell is counted in its block's histograms.
    places = np.arange(whole.shape[0]) * whole.shape[1] + side.codes

    def by_block(order: np.ndarray) -> np.ndarray:
        cells = blocks[:, None] * whole.size + places[order]
        counts = np.bincount(cells.ravel(), minlength=num_blocks * whole.size)
        return jensen_shannon_divergence(counts.reshape(num_blocks, *whole.shape), whole).mean(axis=-1)

    observed = by_block(np.arange(len(side)))
    rng = np.random.default_rng([inputs.seed, 9])
    null = np.array([by_block(rng.permutation(len(side))) for _ in range(settings.num_permutations)])
    feature = Feature.of([float(observed.mean())], null.mean(axis=1).tolist())
    starts = [int(rows[0]) for rows in np.array_split(side.rows, num_blocks)]
    ends = [*starts[1:], int(side.rows[-1]) + 1]
    chart = Chart(
        id="drift",
        kind="strip",
        title="Drift along the file",
        data={
            "row_start": starts,
            "row_end": ends,
            "score": observed.round(6).tolist(),
            "null": float(null.mean().round(6)),
        },
        caption="Jensen-Shannon divergence of each stretch from the whole file, in nats, mean over columns.",
    )
    return feature, (chart,)


DIMENSION = Dimension(
    "statistical_consistency",
    "Can the two be told apart, and does the candidate keep the reference's rules?",
    _METRICS,
    measure,
)
