"""What a fitted head reads, and how sure it may be of what it says."""

from collections.abc import Mapping

import numpy as np

from vr.detector.metric import Feature, MetricSpec

__all__ = ["variables", "venn_abers"]


def variables(features: Mapping[str, Feature], specs: Mapping[str, MetricSpec]) -> dict[str, float]:
    """Returns what the heads read of each metric: how far it lies on the harmful side of its null; NaN if unknown.

    `NAME` is the shift from the null in units of hypot(null deviation, floor), `NAME:shift` in the metric's own unit. A
    metric that is bad either way is taken by its absolute shift.
    """
    found = {}
    for name, feature in features.items():
        spec = specs[name]
        shift = spread = float("nan")
        if feature.value is not None and feature.null_mean is not None and feature.null_std is not None:
            shift = feature.value - feature.null_mean
            shift = abs(shift) if spec.two_sided else shift if spec.higher_is_worse else -shift
            spread = float(np.hypot(feature.null_std, spec.floor))
        found[name] = shift / spread
        found[f"{name}:shift"] = shift
    return found


def venn_abers(logits: np.ndarray, positive: np.ndarray, logit: float) -> tuple[float, float]:
    """Returns the pair of probabilities that isotonic regression gives a case taken for negative, and for positive.

    Args:
      logits: float `[n]`, of cases that the head was not fitted to.
      positive: bool `[n]`.
      logit: Of the new case.

    Returns:
      `(p0, p1)`, p0 <= p1: one of them is calibrated whatever the distribution, as long as cases are exchangeable.

    References:
      Vovk and Petej 2014, Venn-Abers predictors (arXiv 1211.0025), section 4.
    """
    from sklearn.isotonic import IsotonicRegression

    pair = []
    for label in (0.0, 1.0):
        fit = IsotonicRegression(out_of_bounds="clip").fit(np.append(logits, logit), np.append(positive, label))
        pair.append(float(fit.predict([logit])[0]))
    return pair[0], pair[1]
