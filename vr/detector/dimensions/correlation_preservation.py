"""Correlation preservation: do columns still tell about each other what they tell in the reference?"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vr.core.chart import Chart
from vr.detector.dimensions.base import Dimension, Measurement, needs_reference
from vr.detector.inputs import Inputs, Side
from vr.detector.metric import MetricSpec
from vr.stats.dependence import dependence_matrix, mutual_information_matrix
from vr.stats.predictability import predictability_transfer

__all__ = ["DIMENSION", "Settings"]


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
    "predictability_gap": MetricSpec(
        "Predictability lost",
        "Mean over columns of the R2 lost on reference rows when each column is predicted from all others by a ridge "
        "model fitted on the candidate rather than on the reference.",
        floor=0.01,
        judged=True,
    ),
}


def measure(inputs: Inputs, settings: Settings = Settings()) -> Measurement:
    """Returns the changes of pairwise dependence and of predictability, and the matrix of differences."""
    if reason := needs_reference(inputs):
        return Measurement.missing(reason)
    if len(inputs.pair_columns) < 2:
        return Measurement.missing("needs two columns or more")
    features = inputs.compare("correlation", _statistics(inputs, settings))
    return Measurement({name: features[name] for name in _METRICS}, (_matrix(inputs, settings),))


def _statistics(inputs: Inputs, settings: Settings) -> Callable[[Side, Side, np.random.Generator], dict[str, float]]:
    columns, pairs = inputs.columns, inputs.pair_columns
    num_codes, ordinal = columns.num_codes[pairs], columns.ordinal[pairs]
    upper = np.triu_indices(len(pairs), 1)

    def statistics(x: Side, base: Side, rng: np.random.Generator) -> dict[str, float]:
        a, b = x.codes[:, pairs], base.codes[:, pairs]
        change = (dependence_matrix(a, ordinal, num_codes) - dependence_matrix(b, ordinal, num_codes))[upper]
        mi_x = mutual_information_matrix(a, num_codes, ordinal, settings.max_codes)[upper]
        mi_base = mutual_information_matrix(b, num_codes, ordinal, settings.max_codes)[upper]
        total = mi_base.sum()
        return {
            "dependence_change_rms": float(np.sqrt(np.mean(change**2))),
            "dependence_change_max": float(np.abs(change).max()),
            "mutual_information_change": float(np.sqrt(np.mean((mi_x - mi_base) ** 2))),
            "mutual_information_lost": float(1.0 - mi_x.sum() / total) if total > 0 else float("nan"),
            "predictability_gap": _gap(x.features, base.features),
        }

    return statistics


def _gap(x: np.ndarray, base: np.ndarray) -> float:
    """Returns the mean R2 lost on the second half of `base` by fitting on `x` instead of on its first half."""
    half = len(base) // 2
    own = predictability_transfer(base[:half], base[half:])
    other = predictability_transfer(x[:half], base[half:])
    # A column nobody predicts says nothing; a fit far below the mean is as bad as useless, not infinitely bad.
    gap = np.maximum(own, 0.0) - np.maximum(other, -1.0)
    known = np.isfinite(gap) & (own > 0.02)
    return float(np.maximum(gap[known], -1.0).mean()) if known.any() else float("nan")


def _matrix(inputs: Inputs, settings: Settings) -> Chart:
    assert inputs.reference is not None
    columns, pairs = inputs.columns, inputs.pair_columns
    num_codes, ordinal = columns.num_codes[pairs], columns.ordinal[pairs]
    change = dependence_matrix(inputs.candidate.codes[:, pairs], ordinal, num_codes) - dependence_matrix(
        inputs.reference.codes[:, pairs], ordinal, num_codes
    )
    most = np.sort(np.argsort(-np.abs(change).max(axis=0), kind="stable")[: settings.chart_columns])
    split = inputs.splits[0]
    null = dependence_matrix(split.fresh.codes[:, pairs], ordinal, num_codes) - dependence_matrix(
        split.base.codes[:, pairs], ordinal, num_codes
    )
    return Chart(
        id="dependence-change",
        kind="matrix",
        title="Change in dependence, candidate minus reference",
        data={
            "labels": [columns.names[pairs[i]] for i in most],
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
