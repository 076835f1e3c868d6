"""Fits a calibrated head to labelled cases: the head, Platt's scaling, and thresholds by conformal risk control.

Scaling and thresholds are fitted to logits that each training case got from a head fitted without its dataset: on the
cases that a head was fitted to it looks surer than it is.
"""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize
from scipy.special import expit

from benchmarks.collapse.protocol import Cases, folds_by_dataset
from benchmarks.skill_loss import COLLAPSED_ABOVE, HEALTHY_BELOW
from vr.detector.calibration import Calibrated
from vr.detector.head import Head, fit_head

__all__ = ["fit_calibrated", "fit_platt", "risk_thresholds", "soft_target"]

RIDGE = 1.0
# Approvals among the clearly collapsed, rejections among the clearly healthy. At 2 % each more than 2 % of the answers
# that are left, without `review`, were wrong.
_MISSES, _FALSE_ALARMS = 0.015, 0.015
# The rate of misses counts this much more than the rate of false alarms where there is no `review`: a model ruined
# costs more than a look taken in vain.
_MISS_WEIGHT = 2.5
_FOLDS = 5


def fit_calibrated(cases: Cases, names: Sequence[str], ridge: float = RIDGE) -> Calibrated:
    """Returns a head on the features `names` with everything but its error card."""
    logits = np.empty(len(cases))
    folds = folds_by_dataset(cases, min(_FOLDS, len(np.unique(cases.datasets))))
    for fold in np.unique(folds):
        held = cases.take(folds == fold)
        logits[folds == fold] = _head(cases.take(folds != fold), names, ridge).logit(held.features)
    # A probability is that of collapsed rather than healthy: what lies between the two would only blunt it.
    logits, positive = logits[cases.clear], cases.positive[cases.clear]
    slope, intercept = fit_platt(logits, positive)
    approve_below, reject_from = risk_thresholds(expit(slope * logits + intercept), positive)
    order = np.argsort(logits, kind="stable")
    return Calibrated(
        head=_head(cases, names, ridge),
        slope=slope,
        intercept=intercept,
        logits=logits[order],
        positive=positive[order],
        approve_below=approve_below,
        detected_from=float(np.clip(_cut(positive), approve_below, reject_from)),
        reject_from=reject_from,
        fresh={name: _median(cases.features[name][cases.sources == "real"]) for name in names},
        ranges={name: _range(cases.features[name]) for name in names},
        card={},
    )


def soft_target(harm: np.ndarray) -> np.ndarray:
    """Returns what a head is fitted to: 0 healthy, 1 collapsed, in the grey band by where in it the harm lies."""
    return np.clip((harm - HEALTHY_BELOW) / (COLLAPSED_ABOVE - HEALTHY_BELOW), 0.0, 1.0)


def fit_platt(logits: np.ndarray, positive: np.ndarray) -> tuple[float, float]:
    """Returns slope (at least 0) and intercept of Platt's scaling, targets drawn in from 0 and 1 by one case.

    References:
      Platt 1999, Probabilistic outputs for support vector machines, equation 11 for the targets.
    """
    num = positive.sum(), (~positive).sum()
    target = np.where(positive, (num[0] + 1) / (num[0] + 2), 1 / (num[1] + 2))

    def loss(theta: np.ndarray) -> float:
        z = theta[0] * logits + theta[1]
        return float(np.sum(np.logaddexp(0.0, z) - target * z))

    found = minimize(loss, np.array([1.0, 0.0]), method="L-BFGS-B", bounds=[(0.0, None), (None, None)])
    return float(found.x[0]), float(found.x[1])


def risk_thresholds(
    probability: np.ndarray, positive: np.ndarray, misses: float = _MISSES, false_alarms: float = _FALSE_ALARMS
) -> tuple[float, float]:
    """Returns (approve below, reject from), so that approvals of collapsed and rejections of healthy cases are rare.

    Each is the most permissive threshold whose risk, in expectation over exchangeable cases, is bounded: with n cases
    of the kind and k errors among them, (k + 1) / (n + 1) is at most the level. Where the two leave no `review`, one
    threshold between them does for both, as near to one half as they allow.

    References:
      Angelopoulos et al. 2022, Conformal risk control (arXiv 2208.02814), theorem 1.
    """
    low = _most_permissive(probability[positive], misses)
    # Beyond the last one allowed, not at it: several may be tied there.
    high = min(1.0, float(np.nextafter(1.0 - _most_permissive(1.0 - probability[~positive], false_alarms), 2.0)))
    if low >= high:
        low = high = float(np.clip(0.5, high, low))
    return low, high


def _cut(positive: np.ndarray) -> float:
    """Returns the calibrated probability at which one more miss and one more false alarm weigh the same."""
    misses, alarms = _MISS_WEIGHT / max(1, positive.sum()), 1.0 / max(1, (~positive).sum())
    return float(alarms / (alarms + misses))


def _most_permissive(probability: np.ndarray, level: float) -> float:
    """Greatest threshold below which at most floor(level (n + 1) - 1) of the probabilities lie; 0 where none may."""
    allowed = int(np.floor(level * (len(probability) + 1) - 1 + 1e-9))
    return 0.0 if allowed < 0 else float(np.sort(probability)[allowed])


def _head(cases: Cases, names: Sequence[str], ridge: float) -> Head:
    return fit_head(cases.features, names, soft_target(cases.harm), ridge=ridge)


def _median(values: np.ndarray) -> float:
    present = values[np.isfinite(values)]
    return float(np.median(present)) if len(present) else 0.0


def _range(values: np.ndarray) -> tuple[float, float]:
    present = values[np.isfinite(values)]
    return (float(present.min()), float(present.max())) if len(present) else (-np.inf, np.inf)
