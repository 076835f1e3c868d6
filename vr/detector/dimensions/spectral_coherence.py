"""Spectral coherence: do the principal directions, and any rhythm along time, stay the reference's?"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from vr.core.chart import Chart
from vr.detector.dimensions.base import Dimension, Measurement, needs_reference
from vr.detector.inputs import Inputs, Side, Statistics
from vr.detector.metric import Feature, MetricSpec
from vr.detector.proxies import proxy_feature
from vr.stats.spectra import (
    autocorrelation,
    effective_rank,
    principal_angles,
    spectrum_divergence,
    welch_spectrum_distance,
)

__all__ = ["DIMENSION", "Settings", "compared"]


@dataclass(frozen=True)
class Settings:
    """What is measured how finely."""

    max_directions: int = 5  # principal directions whose angles count
    max_lag: int = 10  # of the autocorrelation
    num_stretches: int = 8  # contiguous stretches compared along time


_METRICS = {
    "spectrum_divergence": MetricSpec(
        "Eigen-spectrum divergence",
        "Divergence between the normalised eigenvalues of the two rank-correlation matrices.",
        floor=0.002,
        judged=True,
    ),
    "principal_angle": MetricSpec(
        "Principal angle, mean",
        "Mean angle between the leading eigenspaces that hold half of the reference's variance.",
        floor=0.05,
        unit="radians",
        judged=True,
    ),
    "effective_rank_change": MetricSpec(
        "Effective rank change",
        "Logarithm of the candidate's effective rank over the reference's; smoothing raises it, collapse lowers it.",
        floor=0.02,
        two_sided=True,
        judged=True,
    ),
    "welch_distance": MetricSpec(
        "Power spectrum distance",
        "Mean over numeric columns of the log-spectral distance of Welch spectra along the first date column, in "
        "stretches of equal length.",
        floor=0.5,
        unit="dB",
    ),
    "autocorrelation_change": MetricSpec(
        "Autocorrelation change",
        "Mean over numeric columns of the largest autocorrelation change, lags 1 to 10, in the same stretches.",
        floor=0.05,
    ),
    "network_spectrum_change": MetricSpec(
        "Network spectrum change",
        "Divergence between the energy by frequency of candidate- and reference-trained proxies on real rows; the null "
        "is the third arm's.",
        floor=0.002,
        proxies=True,
    ),
}


def compared(inputs: Inputs, settings: Settings = Settings()) -> dict[str, Feature]:
    """Returns what needs no training, over all splits: measured once, whoever asks first; there must be splits."""
    return inputs.compare("spectral", _statistics(inputs, settings))


def measure(inputs: Inputs, settings: Settings = Settings()) -> Measurement:
    """Returns the changes of the eigen-spectrum, of rhythm along time, and of the proxies' own spectrum."""
    if reason := needs_reference(inputs):
        return Measurement.missing(reason)
    if len(inputs.pair_columns) < 2:
        return Measurement.missing("needs two columns or more")
    features = compared(inputs, settings) | _rhythm(inputs, settings)
    features["network_spectrum_change"] = proxy_feature(inputs, "spectrum_divergence")
    return Measurement({name: features[name] for name in _METRICS}, (_chart(inputs),))


def _statistics(inputs: Inputs, settings: Settings) -> Callable[[Side], Statistics]:
    pairs = inputs.pair_columns

    def against(base: Side) -> Statistics:
        q = base.rank_correlation(pairs)
        shares = np.sort(np.linalg.eigvalsh(q))[::-1] / len(q)
        directions = int(np.clip(np.searchsorted(np.cumsum(shares), 0.5) + 1, 1, settings.max_directions))

        def statistics(x: Side, rng: np.random.Generator) -> dict[str, float]:
            p = x.rank_correlation(pairs)
            return {
                "spectrum_divergence": spectrum_divergence(p, q),
                "principal_angle": float(np.mean(principal_angles(p, q, directions))),
                "effective_rank_change": float(np.log(effective_rank(p) / effective_rank(q))),
            }

        return statistics

    return against


def _rhythm(inputs: Inputs, settings: Settings) -> dict[str, Feature]:
    """Returns how the order in time differs, on contiguous stretches of equal length.

    Not on the splits: rows drawn at random from two files of different length leave different gaps in time, and the
    same series would look like two.
    """
    names, time = ("welch_distance", "autocorrelation_change"), inputs.columns.time
    if time is None:
        return {name: Feature.missing("no date column that orders the rows") for name in names}
    assert inputs.reference is not None
    assert inputs.reference_profile is not None
    sides, profiles = (inputs.candidate, inputs.reference), (inputs.candidate_profile, inputs.reference_profile)
    if any(len(side) < profile.rows for side, profile in zip(sides, profiles, strict=True)):
        reason = "only a sample of the rows was kept, and their neighbours in time are missing"
        return {name: Feature.missing(reason) for name in names}
    length = min(len(inputs.candidate), len(inputs.reference) // 2)
    columns = [j for j in map(int, np.flatnonzero(inputs.columns.numeric)) if j != time]
    observed, null = [], []
    # The same stretches for every column: two of the reference, side by side, and one of the candidate.
    for share in np.linspace(0.0, 1.0, settings.num_stretches):
        starts = [int(share * (len(side) - width)) for side, width in zip(sides, (length, 2 * length), strict=True)]
        x, fresh, base = [], [], []
        for j in columns:
            a, b = (_in_time(side, time, j) for side in sides)
            x.append(a[starts[0] : starts[0] + length])
            fresh.append(b[starts[1] : starts[1] + length])
            base.append(b[starts[1] + length : starts[1] + 2 * length])
        observed.append(_rhythm_distances(x, base, settings))
        null.append(_rhythm_distances(fresh, base, settings))
    return {
        name: Feature.of([pair[i] for pair in observed], [pair[i] for pair in null]) for i, name in enumerate(names)
    }


def _rhythm_distances(x: list[np.ndarray], base: list[np.ndarray], settings: Settings) -> tuple[float, float]:
    """Returns the two distances, means over the columns that vary on both sides; NaN where none does."""
    welch, lags = [], []
    for a, b in zip(x, base, strict=True):
        if min(len(a), len(b)) > 2 * settings.max_lag and np.ptp(a) > 0 and np.ptp(b) > 0:
            welch.append(welch_spectrum_distance(a, b))
            change = autocorrelation(a, settings.max_lag) - autocorrelation(b, settings.max_lag)
            lags.append(np.abs(change[1:]).max())
    return (float(np.mean(welch)), float(np.mean(lags))) if welch else (float("nan"), float("nan"))


def _in_time(side: Side, time: int, column: int) -> np.ndarray:
    present = np.isfinite(side.values[:, time]) & np.isfinite(side.values[:, column])
    order = np.argsort(side.values[present, time], kind="stable")
    return side.values[present, column][order]


def _chart(inputs: Inputs) -> Chart:
    assert inputs.reference is not None
    pairs = inputs.pair_columns
    spectra = [
        np.sort(np.linalg.eigvalsh(side.rank_correlation(pairs)))[::-1] for side in (inputs.candidate, inputs.reference)
    ]
    rank = list(range(1, len(pairs) + 1))
    series = [
        {"name": name, "arm": name, "x": rank, "y": np.maximum(values, 0).round(5).tolist()}
        for name, values in zip(("candidate", "reference"), spectra, strict=True)
    ]
    return Chart(
        id="eigen-spectrum",
        kind="lines",
        title="Eigenvalues of the rank correlation",
        data={
            "x_label": "rank",
            "y_label": "eigenvalue",
            "x_scale": "linear",
            "y_scale": "linear",
            "series": series,
        },
        caption="A steeper fall than the reference's means fewer directions hold the variance.",
    )


DIMENSION = Dimension(
    "spectral_coherence",
    "Do the principal directions, and any rhythm along time, stay the reference's?",
    _METRICS,
    measure,
)
