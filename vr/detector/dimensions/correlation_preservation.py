"""Correlation preservation: do columns still tell about each other what they tell in the reference?"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vr.core.chart import Chart
from vr.detector.dimensions.base import Dimension, Measurement, needs_reference
from vr.detector.inputs import Inputs, Side, Statistics
from vr.detector.metric import Feature, MetricSpec
from vr.stats.dependence import dependence_matrix, mutual_information_matrix
from vr.stats.predictability import ColumnBasis, fit_column_basis, predictability, prepare_test

__all__ = ["DIMENSION", "Settings", "compared"]


@dataclass(frozen=True)
class Settings:
    """What is measured how finely."""

    max_codes: int = 12  # codes a column keeps in the mutual information
    chart_columns: int = 24  # columns in the matrix drawn, those that changed most


_METRICS = {
    "dependence_change_rms": MetricSpec(
        "Dependence change, RMS",
        "Root mean square over pairs of the change in dependence: Spearman, Cramer's V or correlation ratio by kind.",
        floor=0.02,
        judged=True,
    ),
    "dependence_change_max": MetricSpec(
        "Dependence change, worst pair",
        "Largest change in dependence of any pair of columns.",
        floor=0.06,
        judged=True,
    ),
    "mutual_information_change": MetricSpec(
        "Mutual information change",
        "Root mean square over pairs of the change in bias-corrected mutual information.",
        floor=0.01,
        unit="nats",
        judged=True,
    ),
    "mutual_information_lost": MetricSpec(
        "Mutual information lost",
        "Share of the reference's total pairwise mutual information that the candidate lacks.",
        floor=0.05,
    ),
    "predictability": MetricSpec(
        "Predictability on real rows",
        "Mean R2 over predictable columns when each is predicted, on reference rows, from all others by a ridge model "
        "fitted on the candidate; the null is the same fitted on reference rows.",
        floor=0.01,
        judged=True,
        higher_is_worse=False,
    ),
}

_PREDICTABLE = 0.02  # cross-validated R2 from which a column counts


def compared(inputs: Inputs, settings: Settings = Settings()) -> dict[str, Feature]:
    """Returns what needs no training, over all splits: measured once, whoever asks first; there must be splits."""
    return inputs.compare("correlation", _statistics(inputs, settings))


def measure(inputs: Inputs, settings: Settings = Settings()) -> Measurement:
    """Returns the changes of pairwise dependence and of predictability, and the matrix of differences."""
    if reason := needs_reference(inputs):
        return Measurement.missing(reason)
    if len(inputs.pair_columns) < 2:
        return Measurement.missing("needs two columns or more")
    features = compared(inputs, settings)
    return Measurement({name: features[name] for name in _METRICS}, (_matrix(inputs, settings),))


def _statistics(inputs: Inputs, settings: Settings) -> Callable[[Side], Statistics]:
    columns, pairs = inputs.columns, inputs.pair_columns
    num_codes, ordinal = columns.num_codes[pairs], columns.ordinal[pairs]
    upper = np.triu_indices(len(pairs), 1)
    basis, known = inputs.of_reference("predictable", lambda reference: _predictable(reference, inputs))

    def dependence(side: Side) -> np.ndarray:
        return dependence_matrix(side.codes[:, pairs], ordinal, num_codes)[upper]

    def information(side: Side) -> np.ndarray:
        return mutual_information_matrix(side.codes[:, pairs], num_codes, ordinal, settings.max_codes)[upper]

    def against(base: Side) -> Statistics:
        base_dependence, base_information = dependence(base), information(base)
        total = base_information.sum()
        test = prepare_test(basis.transform(base.codes[:, pairs]), basis.groups, basis.targets)

        def mean_r2(x: Side) -> float:
            """Over the columns that the reference can predict at all, learnt from `x`, on the base."""
            r2 = test.learn(basis.transform(x.codes[:, pairs]))[known]
            # A model far worse than the mean is useless, not infinitely bad.
            r2 = np.maximum(r2[np.isfinite(r2)], -1.0)
            return float(r2.mean()) if len(r2) else float("nan")

        def statistics(x: Side, rng: np.random.Generator) -> dict[str, float]:
            change, mutual = dependence(x) - base_dependence, information(x)
            return {
                "dependence_change_rms": float(np.sqrt(np.mean(change**2))),
                "dependence_change_max": float(np.abs(change).max()),
                "mutual_information_change": float(np.sqrt(np.mean((mutual - base_information) ** 2))),
                "mutual_information_lost": float(1.0 - mutual.sum() / total) if total > 0 else float("nan"),
                "predictability": mean_r2(x),
            }

        return statistics

    return against


def _predictable(reference: Side, inputs: Inputs) -> tuple[ColumnBasis, np.ndarray]:
    """Returns the basis of the reference's columns, and those that it can predict at all."""
    columns, pairs = inputs.columns, inputs.pair_columns
    codes = reference.codes[:, pairs]
    basis = fit_column_basis(codes, columns.ordinal[pairs], columns.num_codes[pairs])
    rows = np.random.default_rng([inputs.seed, 4]).permutation(len(codes))[:4_000]
    own = predictability(basis.transform(codes[rows]), basis.groups, basis.targets)
    return basis, np.flatnonzero(own > _PREDICTABLE)


def _matrix(inputs: Inputs, settings: Settings) -> Chart:
    pairs = inputs.pair_columns

    def matrix(side: Side) -> np.ndarray:
        return dependence_matrix(side.codes[:, pairs], inputs.columns.ordinal[pairs], inputs.columns.num_codes[pairs])

    split = inputs.splits[0]
    own, null = inputs.of_reference(
        "dependence", lambda reference: (matrix(reference), matrix(split.fresh) - matrix(split.base)), len(split.base)
    )
    change = matrix(inputs.candidate) - own
    most = np.sort(np.argsort(-np.abs(change).max(axis=0), kind="stable")[: settings.chart_columns])
    return Chart(
        id="dependence-change",
        kind="matrix",
        title="Change in dependence, candidate minus reference",
        data={
            "labels": [inputs.columns.names[pairs[i]] for i in most],
            "values": change[np.ix_(most, most)].round(4).tolist(),
            "null": float(np.abs(null).max().round(4)),
        },
        caption="Spearman for ordered pairs, Cramer's V for categories, correlation ratio between the two.",
    )


DIMENSION = Dimension(
    "correlation_preservation",
    "Do columns still tell about each other what they tell in the reference?",
    _METRICS,
    measure,
)
