"""Extrapolation in size: L(N) = A N^-B + C by variable projection, with intervals that own up to what is unknown.

For a fixed exponent B the law is linear in (A, C), so only B is searched: a grid over [0.02, 2], then a refinement. No
starting point, no local minimum (Golub and Pereyra 1973; arXiv 2603.22339). The interval is the union of a hierarchical
bootstrap over seeds and of the profile over B with a t quantile; it is shown beside the plain ranking of the largest
tier, which no fitted law has been seen to beat (DataDecide, arXiv 2504.11393).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.stats import t as student_t

__all__ = ["WIDENING", "PowerLaw", "extrapolate", "fit_power_law"]

_LOW, _HIGH, _GRID = 0.02, 2.0, 200
# Both intervals together cover too little of what a true power law would give at ten times the largest size; widened so
# much they cover about 95 % (benchmarks/results/scaling_coverage.json). The benchmark of real tiers will replace it.
WIDENING = 2.5
_HORIZON = 10.0  # times the largest fitted size; further, the form itself is a guess


@dataclass(frozen=True)
class PowerLaw:
    """L(N) = a N^-b + c with a, c at least 0; `residual` is the weighted sum of squares."""

    a: float
    b: float
    c: float
    residual: float

    def __call__(self, sizes: Any) -> Any:
        """Returns the loss at `sizes` parameters."""
        return self.a * np.asarray(sizes, float) ** -self.b + self.c


def fit_power_law(sizes: np.ndarray, losses: np.ndarray, weights: np.ndarray) -> PowerLaw:
    """Returns the weighted least-squares fit.

    Args:
      sizes: Parameters `[n]`, at least two different ones.
      losses: `[n]`, positive.
      weights: `[n]`, inverse variances.
    """
    # In units of the smallest size, so that a is a loss.
    unit = float(np.min(sizes))
    x = np.asarray(sizes, float) / unit

    def at(exponent: float) -> tuple[float, float, float]:
        return _linear(x**-exponent, losses, weights)

    grid = np.geomspace(_LOW, _HIGH, _GRID)
    residuals = np.array([at(b)[2] for b in grid])
    best = int(residuals.argmin())
    bounds = (float(grid[max(best - 1, 0)]), float(grid[min(best + 1, _GRID - 1)]))
    b = float(minimize_scalar(lambda e: at(e)[2], bounds=bounds, method="bounded").x)
    if residuals[best] < at(b)[2]:
        b = float(grid[best])
    a, c, residual = at(b)
    return PowerLaw(a * unit**b, b, c, residual)


def extrapolate(
    sizes: Sequence[float],
    reference: Sequence[np.ndarray],
    candidate: Sequence[np.ndarray],
    *,
    target: float | None,
    level: float,
    rng: np.random.Generator,
    num_resamples: int = 200,
) -> dict[str, Any] | None:
    """Returns the candidate's law, its loss at the target size, and its excess over the reference's there.

    Args:
      sizes: Parameters of each tier, ascending.
      reference: Losses of each tier's members trained on the reference, finite.
      candidate: Losses of the same members trained on the candidate.
      target: Size to extrapolate to; capped at ten times the largest tier, which None means.
      level: Coverage of the intervals.
      rng: Of the bootstrap.
      num_resamples: Of the bootstrap.

    Returns:
      JSON-able values, or None with fewer than two tiers of finite losses.
    """
    kept = [i for i in range(len(sizes)) if len(reference[i]) and len(candidate[i])]
    if len(kept) < 2:
        return None
    n = np.array([float(sizes[i]) for i in kept])
    arms = [[np.asarray(arm[i], float) for i in kept] for arm in (candidate, reference)]
    horizon = _HORIZON * float(n.max())
    goal = min(target or horizon, horizon)
    laws = [_fit_arm(n, arm) for arm in arms]
    resampled = []
    for _ in range(num_resamples):
        # Both arms of a seed are drawn together: they share initialisation and batches.
        picks = [rng.integers(0, len(x), len(x)) for x in arms[0]]
        pair = [_fit_arm(n, [x[p[: len(x)] % len(x)] for x, p in zip(arm, picks, strict=True)]) for arm in arms]
        resampled.append((pair[0](goal), np.log(pair[0](goal) / pair[1](goal))))
    tail = (1.0 - level) / 2.0
    low, high = np.quantile(np.array(resampled, float), [tail, 1.0 - tail], axis=0)
    profile = _profile_interval(n, arms[0], goal, level)
    value = float(laws[0](goal))
    excess = float(np.log(laws[0](goal) / laws[1](goal)))
    x, y = np.repeat(n, [len(v) for v in arms[0]]), np.concatenate(arms[0])
    spread = float(np.sum((y - y.mean()) ** 2))
    identified = profile is not None and profile[2] > 0.0
    largest = [float(arm[-1].mean()) for arm in arms]
    return {
        "a": laws[0].a,
        "b": laws[0].b,
        "c": laws[0].c,
        "r_squared": 1.0 - float(np.sum((y - laws[0](x)) ** 2)) / spread if spread > 0 else None,
        "target_parameters": goal,
        "asymptote_identified": identified,
        "predicted_loss": {
            "value": value,
            "lower": max(0.0, value - WIDENING * (value - min(low[0], value, *(profile[:1] if profile else ())))),
            "upper": value + WIDENING * (max(high[0], value, *(profile[1:2] if profile else ())) - value),
            "level": level,
        },
        "predicted_excess_loss": {
            "value": excess,
            "lower": float(excess - WIDENING * (excess - min(low[1], excess))),
            "upper": float(excess + WIDENING * (max(high[1], excess) - excess)),
            "level": level,
            "unit": "log ratio to the reference-trained proxy",
        },
        "largest_tier": {"parameters": float(n[-1]), "candidate_loss": largest[0], "reference_loss": largest[1]},
        "points": [
            {"parameters": float(size), "candidate": c.tolist(), "reference": r.tolist()}
            for size, c, r in zip(n, *arms, strict=True)
        ],
        "reference_law": {"a": laws[1].a, "b": laws[1].b, "c": laws[1].c},
    }


def _linear(power: np.ndarray, losses: np.ndarray, weights: np.ndarray) -> tuple[float, float, float]:
    """Returns the best (a, c), both at least 0, of a power + c, and the weighted sum of squares."""
    total = weights.sum()
    mean_x, mean_y = weights @ power / total, weights @ losses / total
    variance = weights @ (power - mean_x) ** 2
    a = max(0.0, float(weights @ ((power - mean_x) * (losses - mean_y)) / variance)) if variance > 0 else 0.0
    c = mean_y - a * mean_x
    if c < 0:
        a, c = float(weights @ (power * losses) / (weights @ power**2)), 0.0
    return max(a, 0.0), float(c), float(weights @ (losses - a * power - c) ** 2)


def _fit_arm(sizes: np.ndarray, losses: list[np.ndarray]) -> PowerLaw:
    x, y, weights = _flat(sizes, losses)
    return fit_power_law(x, y, weights)


def _flat(sizes: np.ndarray, losses: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    # A tier of one or two seeds has no spread to speak of: every tier borrows from the pooled one.
    pooled = np.mean([np.var(v, ddof=1) for v in losses if len(v) > 1] or [1.0]) + 1e-12
    variances = [0.5 * (np.var(v, ddof=1) if len(v) > 1 else pooled) + 0.5 * pooled for v in losses]
    counts = [len(v) for v in losses]
    return np.repeat(sizes, counts), np.concatenate(losses), 1.0 / np.repeat(variances, counts)


def _profile_interval(
    sizes: np.ndarray, losses: list[np.ndarray], goal: float, level: float
) -> tuple[float, float, float] | None:
    """Returns least and greatest loss at `goal`, and least asymptote, over exponents the data do not rule out."""
    x, y, weights = _flat(sizes, losses)
    freedom = len(y) - 3
    if freedom < 1:
        return None
    best = fit_power_law(x, y, weights)
    scale = max(best.residual / freedom, 1e-12)
    limit = best.residual + scale * student_t.ppf(0.5 + level / 2.0, freedom) ** 2
    unit = float(x.min())
    allowed = []
    for b in np.geomspace(_LOW, _HIGH, _GRID):
        a, c, residual = _linear((x / unit) ** -b, y, weights)
        if residual <= limit:
            allowed.append((a * (goal / unit) ** -b + c, c))
    values = np.array(allowed or [(best(goal), best.c)])
    return float(values[:, 0].min()), float(values[:, 0].max()), float(values[:, 1].min())
