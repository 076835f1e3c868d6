"""Fits the model of expected harm to the study's labelled cases, and judges it on datasets that it had not seen."""

from dataclasses import replace

import numpy as np
from scipy.optimize import minimize
from scipy.stats import spearmanr

from benchmarks.collapse.protocol import Cases, cluster_intervals
from vr.detector.calibration import SKILL_LOST, SKILL_LOST_TARGETS
from vr.detector.harm import HarmModel, design
from vr.detector.head import rank_knots

__all__ = ["RANKED", "SKILL", "SKILL_OF_TARGETS", "fit_harm", "judged_harm"]

SKILL, SKILL_OF_TARGETS = f"{SKILL_LOST}:shift", f"{SKILL_LOST_TARGETS}:shift"
RANKED = (
    "entropy_stability.coverage_deficit",
    "spectral_coherence.spectrum_divergence",
    "statistical_consistency.classifier_auroc",
    "correlation_preservation.dependence_change_rms",
)
_KINKS = np.array([-0.1, 0.1, 0.3])
_SMOOTH = 0.05  # of harm: errors below it count by their square, those above by their size
_RIDGE = 1.0
_LIMITS = (-0.1, 1.5)  # of harm: beyond them it is as good, or as bad, as can be
_BANDS = np.array([0.1, 0.3])


def fit_harm(cases: Cases, skill: str = SKILL) -> HarmModel:
    """Returns a model without its errors and card; `skill` is the share of skill lost that it reads.

    The loss is a smooth absolute one: harm has heavy tails, and it is the middle that remedies move through.
    """
    knots, heights = zip(*(rank_knots(cases.features[name]) for name in RANKED), strict=True)
    size = len(_KINKS) + len(RANKED)
    model = HarmModel(
        skill,
        _KINKS,
        np.zeros(len(_KINKS)),
        RANKED,
        np.array(knots),
        np.array(heights),
        np.zeros(len(RANKED)),
        0.0,
        _BANDS,
        np.zeros((len(_BANDS) + 1, 2)),
        {},
    )
    x, y = design(cases.features, model), np.clip(cases.harm, *_LIMITS)

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        error = theta[0] + x @ theta[1:] - y
        size = np.sqrt(error**2 + _SMOOTH**2)
        slope = error / size
        value = float(size.sum() + 0.5 * _RIDGE * theta[1:] @ theta[1:])
        return value, np.concatenate([[slope.sum()], x.T @ slope + _RIDGE * theta[1:]])

    start = np.concatenate([[0.0], np.full(size, 0.2)])
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(None, None)] + [(0.0, None)] * size).x
    r = len(_KINKS)
    return replace(model, bias=float(found[0]), slopes=found[1 : 1 + r], weights=found[1 + r :])


def judged_harm(cases: Cases, skill: str = SKILL) -> HarmModel:
    """Returns the model fitted to all cases, with errors and card by models that had seen nothing of a case."""
    expected = np.empty(len(cases))
    for dataset in np.unique(cases.datasets):
        for source in np.unique(cases.sources[cases.datasets == dataset]):
            rows = (cases.datasets == dataset) & (cases.sources == source)
            apart = (cases.datasets != dataset) & (cases.sources != source)
            expected[rows] = fit_harm(cases.take(apart), skill).expected(cases.take(rows).features)
    gap = cases.harm - expected
    band = np.searchsorted(_BANDS, expected)
    errors = np.array([np.quantile(gap[band == b], [0.05, 0.95]) for b in range(len(_BANDS) + 1)])

    def figures(rows: np.ndarray) -> dict[str, float]:
        return {
            "spearman": float(spearmanr(expected[rows], cases.harm[rows]).statistic),
            "median_absolute_error": float(np.median(np.abs(gap[rows]))),
            "right_side_of_a_tenth": float(np.mean((expected[rows] > 0.1) == cases.positive[rows])),
        }

    ends = cluster_intervals(figures, cases.datasets)
    values = figures(np.arange(len(gap)))
    card = {name: [round(value, 4), *np.round(ends[name], 4).tolist()] for name, value in values.items()}
    sizes = {"cases": len(cases), "datasets": len(np.unique(cases.datasets)), "sources": len(np.unique(cases.sources))}
    return replace(
        fit_harm(cases, skill), errors=errors, card={"protocol": "leave-dataset-and-source-out", **sizes, **card}
    )
