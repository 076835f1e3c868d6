"""Generalization gap: does a model trained on the candidate do worse on real rows than one trained on real rows?"""

from dataclasses import dataclass

import numpy as np

from vr.core.chart import Chart
from vr.detector.dimensions.base import Dimension, Measurement, needs_cascade
from vr.detector.inputs import Inputs, Side, Statistics
from vr.detector.metric import MetricSpec
from vr.detector.proxies import loss_curves, proxy_feature

__all__ = ["DIMENSION", "Settings"]


@dataclass(frozen=True)
class Settings:
    """Which evidence is drawn."""

    scaling_points: int = 24  # sizes at which the fitted law is drawn


_METRICS = {
    "log_ratio": MetricSpec(
        "Loss ratio, all cells",
        "Mean over seeds, and over tiers with a null, of log(L_candidate / L_reference) on held-out real rows, "
        "each cell left out; null: two parts of the reference against each other.",
        floor=0.008,
        unit="log ratio",
        judged=True,
    ),
    "log_ratio_half": MetricSpec(
        "Loss ratio, half the cells hidden",
        "The same when half of a row's cells are hidden at once.",
        floor=0.008,
        unit="log ratio",
    ),
    "log_ratio_rare": MetricSpec(
        "Loss ratio, rare rows",
        "The same on the tenth of real rows that are least likely under the reference's marginals.",
        floor=0.015,
        unit="log ratio",
        judged=True,
    ),
    "skill_lost": MetricSpec(
        "Skill lost",
        "Mean over predictable columns of (L_candidate - L_reference) / (L_marginal - L_reference) on held-out real "
        "rows, of the largest tier with a null: 0 none of the reference's skill is lost, 1 all of it.",
        floor=0.1,
        judged=True,
    ),
    "skill_lost_rare": MetricSpec("Skill lost, rare rows", "The same on rare rows.", floor=0.2),
    "copied_fraction": MetricSpec(
        "Rows copied from the reference",
        "Share of candidate rows that equal a reference row in every code and number; null: between two parts of it.",
        floor=0.02,
    ),
}


def measure(inputs: Inputs, settings: Settings = Settings()) -> Measurement:
    """Returns the paired loss ratios of the proxies, and how much of the candidate is memorised."""
    if reason := needs_cascade(inputs):
        return Measurement.missing(reason)
    features = {
        "log_ratio": proxy_feature(inputs, "log_ratio_all"),
        "log_ratio_half": proxy_feature(inputs, "log_ratio_half"),
        "log_ratio_rare": proxy_feature(inputs, "log_ratio_rare"),
        "skill_lost": proxy_feature(inputs, "skill_lost"),
        "skill_lost_rare": proxy_feature(inputs, "skill_lost_rare"),
        **inputs.compare("memorisation", _copied),
    }
    return Measurement(features, (*loss_curves(inputs), *_scaling(inputs, settings)))


def _copied(base: Side) -> Statistics:
    base_rows = _rows(base)
    return lambda x, rng: {"copied_fraction": float(np.isin(_rows(x), base_rows).mean())}


def _rows(side: Side) -> np.ndarray:
    cells = np.ascontiguousarray(np.column_stack([side.codes.astype(float), np.nan_to_num(side.values, nan=-1.0)]))
    return cells.view(np.dtype((np.void, cells.shape[1] * 8))).ravel()


def _scaling(inputs: Inputs, settings: Settings) -> tuple[Chart, ...]:
    assert inputs.cascade is not None
    found = inputs.cascade.scaling
    if found is None:
        return ()
    sizes = np.array([point["parameters"] for point in found["points"]])
    grid = np.geomspace(sizes.min(), found["target_parameters"], settings.scaling_points)
    laws = {"candidate": found, "reference": found["reference_law"]}
    series = [
        {
            "name": f"{arm}, fitted",
            "arm": arm,
            "x": grid.round(0).tolist(),
            "y": (law["a"] * grid ** -law["b"] + law["c"]).round(5).tolist(),
        }
        for arm, law in laws.items()
    ]
    series += [
        {
            "name": f"{arm}, trained",
            "arm": arm,
            "x": sizes.tolist(),
            "y": [round(float(np.mean(point[arm])), 5) for point in found["points"]],
        }
        for arm in laws
    ]
    caption = "L(N) = A N^-B + C fitted to every seed; the largest tier's own ranking is the safer guide."
    if not found["asymptote_identified"]:
        caption += " The asymptote is not identified: the data allow C = 0."
    return (
        Chart(
            id="scaling",
            kind="lines",
            title="Loss by model size, extrapolated",
            data={
                "x_label": "parameters",
                "y_label": "loss on real rows, nats a cell",
                "x_scale": "log",
                "y_scale": "linear",
                "series": series,
            },
            caption=caption,
        ),
    )


DIMENSION = Dimension(
    "generalization_gap",
    "Does a model trained on the candidate do worse on real rows than one trained on real rows?",
    _METRICS,
    measure,
)
