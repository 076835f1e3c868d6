"""A monotone logistic head on monotonically reshaped features: more of any feature can only raise the risk.

    p = sigmoid(bias + sum_i w_i g_i(x_i)),   w_i >= 0,   g_i non-decreasing

g_i is the feature's rank among the training cases, piecewise linear between knots: the features are heavy-tailed, and
on raw values one outlier decides a linear head. Few features, no interactions: what fits the training generators more
closely than this falls apart on others.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import expit

__all__ = ["Head", "fit_head", "rank_knots"]

_KNOTS = 17


@dataclass(frozen=True)
class Head:
    """A fitted head.

    Attributes:
      names: Features, `k` of them.
      knots: float `[k, m]`, ascending values of each feature.
      heights: float `[k, m]`, what each knot is mapped to, ascending, 0 to 1.
      weights: float `[k]`, at least 0.
      bias: Of the logit.
      absent: float `[k]`, what a feature that was not measured stands for: no shift from its null, or, where it has no
        null, its median. A table on which nothing can be predicted has no predictability to lose.
    """

    names: tuple[str, ...]
    knots: np.ndarray
    heights: np.ndarray
    weights: np.ndarray
    bias: float
    absent: np.ndarray

    def contributions(self, features: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns what each feature adds to the logit, float `[n, k]`; one that is NaN adds what `absent` does."""
        return _reshaped(features, self.names, self.knots, self.heights, self.absent) * self.weights

    def logit(self, features: Mapping[str, np.ndarray]) -> np.ndarray:
        """Returns the logit of every case, float `[n]`."""
        return self.bias + self.contributions(features).sum(axis=1)

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-able values."""
        return {
            "names": list(self.names),
            "knots": np.round(self.knots, 8).tolist(),
            "heights": np.round(self.heights, 8).tolist(),
            "weights": np.round(self.weights, 8).tolist(),
            "bias": round(self.bias, 8),
            "absent": np.round(self.absent, 8).tolist(),
        }

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Head":
        """Returns the head of a document that `to_dict` made."""
        arrays = {name: np.array(document[name], float) for name in ("knots", "heights", "weights", "absent")}
        return cls(tuple(document["names"]), bias=float(document["bias"]), **arrays)


def fit_head(
    features: Mapping[str, np.ndarray],
    names: Sequence[str],
    target: np.ndarray,
    weight: np.ndarray | None = None,
    ridge: float = 1.0,
) -> Head:
    """Fits a head by penalised maximum likelihood.

    Args:
      features: By name, float `[n]`; NaN where not measured.
      names: Those to use.
      target: float `[n]` in 0..1: 1 collapsed, 0 healthy, between where the measured harm lies between.
      weight: float `[n]` of each case, 1 by default.
      ridge: Penalty on the squared weights, in units of one case of weight 1.
    """
    # Whoever only asks a head does not wait for it.
    from scipy.optimize import minimize

    knots, heights = zip(*(rank_knots(features[name]) for name in names), strict=True)
    absent = np.array([_absent(name, features[name]) for name in names])
    x = _reshaped(features, names, np.array(knots), np.array(heights), absent)
    w = np.ones(len(target)) if weight is None else np.asarray(weight, float)

    def loss(theta: np.ndarray) -> tuple[float, np.ndarray]:
        logit = theta[0] + x @ theta[1:]
        # log(1 + e^z) - t z, stable for either sign of z.
        value = w @ (np.logaddexp(0.0, logit) - target * logit) + 0.5 * ridge * theta[1:] @ theta[1:]
        slope = w * (expit(logit) - target)
        return value, np.concatenate([[slope.sum()], x.T @ slope + ridge * theta[1:]])

    start = np.concatenate([[0.0], np.full(len(names), 0.5)])
    bounds = [(None, None)] + [(0.0, None)] * len(names)
    found = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds)
    return Head(tuple(names), np.array(knots), np.array(heights), found.x[1:], float(found.x[0]), absent)


def rank_knots(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns quantile knots of a feature and their mid-ranks."""
    present = np.sort(values[np.isfinite(values)])
    if not len(present):
        return np.linspace(0.0, 1.0, _KNOTS), np.full(_KNOTS, 0.5)
    knots = np.quantile(present, np.linspace(0.0, 1.0, _KNOTS))
    below, up_to = (np.searchsorted(present, knots, side=side) for side in ("left", "right"))
    heights = (below + up_to) / (2.0 * len(present))
    # Equal knots have equal heights, so that it does not matter which of them np.interp takes.
    return knots, heights


def _absent(name: str, values: np.ndarray) -> float:
    present = values[np.isfinite(values)]
    return float(np.median(present)) if name.endswith(":raw") and len(present) else 0.0


def _reshaped(
    features: Mapping[str, np.ndarray],
    names: Sequence[str],
    knots: np.ndarray,
    heights: np.ndarray,
    absent: np.ndarray,
) -> np.ndarray:
    columns = []
    for name, xs, ys, instead in zip(names, knots, heights, absent, strict=True):
        values = np.asarray(features[name], float)
        columns.append(np.interp(np.where(np.isfinite(values), values, instead), xs, ys))
    return np.column_stack(columns)
