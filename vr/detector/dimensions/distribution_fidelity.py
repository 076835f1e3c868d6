"""Distribution fidelity: does each column, and the cloud of rows, look like the reference's?"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vr.core.chart import Chart
from vr.detector.dimensions.base import Dimension, Measurement, needs_reference
from vr.detector.inputs import Inputs, Side, Statistics
from vr.detector.metric import Feature, MetricSpec
from vr.stats.divergences import (
    chi_squared_homogeneity,
    column_distances,
    hellinger_gaussian,
    jensen_shannon_divergence,
    kl_divergence,
    sliced_wasserstein,
    sorted_columns,
    tail_bounds,
    tail_mass,
)

__all__ = ["DIMENSION", "Settings", "compared", "column_drift"]


@dataclass(frozen=True)
class Settings:
    """What is measured how finely."""

    tail: float = 0.01  # reference mass that counts as a tail, on each side
    num_projections: int = 32  # directions of the sliced distance
    num_charts: int = 6  # columns drawn, worst first


_METRICS = {
    "jensen_shannon_mean": MetricSpec(
        "Jensen-Shannon, mean over columns",
        "Mean over columns of the Jensen-Shannon divergence between the histograms of codes.",
        floor=0.004,
        unit="nats",
        judged=True,
    ),
    "jensen_shannon_max": MetricSpec(
        "Jensen-Shannon, worst column",
        "Largest Jensen-Shannon divergence between a column's two histograms.",
        floor=0.015,
        unit="nats",
        judged=True,
    ),
    "kolmogorov_smirnov_mean": MetricSpec(
        "Kolmogorov-Smirnov, mean",
        "Mean over numeric columns of the largest gap between the two distribution functions.",
        floor=0.02,
    ),
    "kolmogorov_smirnov_max": MetricSpec(
        "Kolmogorov-Smirnov, worst column",
        "Largest gap between the two distribution functions of any numeric column.",
        floor=0.04,
    ),
    "wasserstein_mean": MetricSpec(
        "Wasserstein-1, mean",
        "Mean over numeric columns of the earth mover's distance, in units of the reference's robust scale.",
        floor=0.05,
        unit="scales",
    ),
    "kl_mean": MetricSpec(
        "KL divergence, mean",
        "Mean over columns of KL(reference || candidate) of histograms smoothed by half a count.",
        floor=0.01,
        unit="nats",
    ),
    "chi_squared_mean": MetricSpec(
        "Chi-squared effect, mean",
        "Mean over columns of Cramer's V of the 2 x K table of dataset against code.",
        floor=0.02,
    ),
    "sliced_wasserstein": MetricSpec(
        "Sliced Wasserstein",
        "Mean earth mover's distance of the two clouds of rows over random directions.",
        floor=0.03,
        unit="scales",
        judged=True,
    ),
    "copula_hellinger": MetricSpec(
        "Hellinger of Gaussian copulas",
        "Hellinger distance between the Gaussians fitted to the columns' normal scores.",
        floor=0.03,
        judged=True,
    ),
    "tail_deficit": MetricSpec(
        "Tail mass lost",
        "1 - share of candidate values in the reference's outer 1 % tails over the 2 % expected, mean over columns.",
        floor=0.10,
        judged=True,
    ),
}


def compared(inputs: Inputs, settings: Settings = Settings()) -> dict[str, Feature]:
    """Returns what needs no training, over all splits: measured once, whoever asks first; there must be splits."""
    return inputs.compare(_SHARED, _statistics(inputs, settings))


def measure(inputs: Inputs, settings: Settings = Settings()) -> Measurement:
    """Returns the marginal and cloud distances of the candidate, and overlays of its worst columns."""
    if reason := needs_reference(inputs):
        return Measurement.missing(reason)
    features = compared(inputs, settings)
    drift = column_drift(inputs, settings)
    worst = sorted(drift, key=lambda name: -_beyond(drift[name]))[: settings.num_charts]
    return Measurement(
        {name: features[name] for name in _METRICS if name in features},
        tuple(_overlay(inputs, name) for name in worst),
    )


def column_drift(inputs: Inputs, settings: Settings = Settings()) -> dict[str, Feature]:
    """Returns each encoded column's Jensen-Shannon divergence in nats, beside its null; empty without a reference."""
    if needs_reference(inputs):
        return {}
    features = inputs.compare(_SHARED, _statistics(inputs, settings))
    return {name: features[f"js:{name}"] for name in inputs.columns.names}


_SHARED = "distribution"
_TAIL_ROWS = 8.0  # rows expected in a column's tails for their share to say anything


def _statistics(inputs: Inputs, settings: Settings) -> Callable[[Side], Statistics]:
    columns = inputs.columns
    numeric = columns.numeric
    pairs = inputs.pair_columns

    def against(base: Side) -> Statistics:
        q, base_copula = columns.histograms(base), _copula_correlation(base, pairs)
        # The base's own tails: those of the whole reference would hold the fresh rows in their making.
        tails = _Tails.fit(base.values[:, numeric], settings.tail)
        ordered = sorted_columns(base.values[:, numeric])
        return lambda x, rng: statistics(x, base, q, base_copula, tails, ordered, rng)

    def statistics(
        x: Side,
        base: Side,
        q: np.ndarray,
        base_copula: np.ndarray,
        tails: "_Tails",
        ordered: list[np.ndarray],
        rng: np.random.Generator,
    ) -> dict[str, float]:
        p = columns.histograms(x)
        js = jensen_shannon_divergence(p, q)
        result = {
            "jensen_shannon_mean": float(js.mean()),
            "jensen_shannon_max": float(js.max()),
            "kl_mean": float(np.mean(kl_divergence(q, p))),
            "chi_squared_mean": float(np.nanmean(chi_squared_homogeneity(p, q).effect_size)),
            "sliced_wasserstein": sliced_wasserstein(x.features, base.features, rng, settings.num_projections),
            "copula_hellinger": hellinger_gaussian(_copula_correlation(x, pairs), base_copula),
            **{f"js:{name}": float(js[j]) for j, name in enumerate(columns.names)},
        }
        if numeric.any():
            ks, w1 = column_distances(sorted_columns(x.values[:, numeric]), ordered)
            result |= {
                "kolmogorov_smirnov_mean": _mean(ks),
                "kolmogorov_smirnov_max": float(np.nanmax(ks)) if np.isfinite(ks).any() else np.nan,
                "wasserstein_mean": _mean(w1),
                "tail_deficit": _mean(tails.deficit(x.values[:, numeric])),
            }
        return result

    return against


@dataclass(frozen=True)
class _Tails:
    """Where a base's tails begin, `[d]` each, and the share of its own values that lies in them."""

    lower: np.ndarray
    upper: np.ndarray
    expected: np.ndarray

    @classmethod
    def fit(cls, values: np.ndarray, tail: float) -> "_Tails":
        lower, upper = tail_bounds(values, tail)
        return cls(lower, upper, np.add(*tail_mass(values, lower, upper)))

    def deficit(self, values: np.ndarray) -> np.ndarray:
        """Returns the share of tail mass that `values [n, d]` lack, `[d]`; NaN where too little is expected."""
        found = np.add(*tail_mass(values, self.lower, self.upper))
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(self.expected * len(values) >= _TAIL_ROWS, 1.0 - found / self.expected, np.nan)


def _copula_correlation(side: Side, columns: np.ndarray) -> np.ndarray:
    """Returns the correlation of the Gaussian copula that has the columns' rank correlation (Kruskal 1958, eq. 8.5).

    The sine can leave the cone of correlations by a little; what it makes negative is cut off.
    """
    correlation = 2.0 * np.sin(np.pi / 6.0 * side.rank_correlation(columns))
    eigenvalues, vectors = np.linalg.eigh(correlation)
    if eigenvalues[0] >= 0:
        return correlation
    kept = (vectors * np.maximum(eigenvalues, 0.0)) @ vectors.T
    scale = np.sqrt(np.diag(kept))
    return kept / np.outer(scale, scale)


def _mean(values: np.ndarray) -> float:
    finite = values[np.isfinite(values)]
    return float(finite.mean()) if len(finite) else float("nan")


def _beyond(feature: Feature) -> float:
    if feature.value is None:
        return 0.0
    return feature.value - (feature.null_mean or 0.0)


def _overlay(inputs: Inputs, name: str) -> Chart:
    assert inputs.reference is not None
    j = inputs.columns.names.index(name)
    num_codes = int(inputs.columns.num_codes[j])
    shares = [
        (np.bincount(side.codes[:, j], minlength=num_codes) / max(1, len(side))).round(6).tolist()
        for side in (inputs.candidate, inputs.reference)
    ]
    used = [i for i in range(num_codes) if shares[0][i] or shares[1][i]]
    labels = inputs.columns.labels[j]
    return Chart(
        id=f"distribution-{j}",
        kind="overlay",
        title=name,
        data={
            "column": name,
            "categories": [labels[i] for i in used],
            "candidate": [shares[0][i] for i in used],
            "reference": [shares[1][i] for i in used],
        },
        caption="Share of rows in each bin of the codec, which was fitted on the reference.",
    )


DIMENSION = Dimension(
    "distribution_fidelity",
    "Does each column, and the cloud of rows, look like the reference's?",
    _METRICS,
    measure,
)
