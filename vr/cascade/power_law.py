"""The law L(N) = a N^-b + c, fitted to losses of several sizes and seeds by variable projection.

For a fixed exponent b the law is linear in (a, c), so only b is searched: a grid over [0.02, 2], then a finer one
around its best. No starting point, no local minimum (Golub and Pereyra 1973; arXiv 2603.22339). Two things differ from
the law as it is fitted to language models. a may be negative: more parameters on the same few rows raise the loss on
real ones, and on a candidate that teaches what is false they raise it on any number. And b can have a prior: three
sizes leave it open, two say nothing of it. Residuals have Huber's loss, in units of the spread over seeds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["EXPONENTS", "PowerLaw", "Sample", "finer", "fit", "fit_power_law", "penalty", "project"]

EXPONENTS = np.geomspace(0.02, 2.0, 200)
# The exponent of language models in parameters (Hoffmann et al. 2022, arXiv 2203.15556, approach 3). Others found
# 0.08 to 0.5: a factor of two is one standard deviation.
_EXPONENT, _FACTOR = 0.34, 2.0
_HUBER = 1.345  # spreads of a seed; a Gaussian loses 5 % of its information
_ROUNDS = 10  # of reweighting


@dataclass(frozen=True)
class PowerLaw:
    """L(N) = a N^-b + c with c at least 0; with a < 0 it rises towards c."""

    a: float
    b: float
    c: float

    def __call__(self, sizes: Any) -> Any:
        """Returns the loss at `sizes` parameters."""
        return self.a * np.asarray(sizes, float) ** -self.b + self.c


@dataclass(frozen=True)
class Sample:
    """Losses and inverse variances `[..., n]` at sizes `[n]`; leading axes are resamples."""

    sizes: np.ndarray
    losses: np.ndarray
    weights: np.ndarray

    @classmethod
    def of(cls, sizes: np.ndarray, losses: Sequence[np.ndarray]) -> "Sample":
        """Returns the sample of tiers of `sizes`, the losses of each one's seeds in `losses`."""
        counts = [len(x) for x in losses]
        variances = [_variance(x) for x in losses if len(x) > 1]
        # A tier of one or two seeds has no spread to speak of: every tier borrows from the pooled one.
        pooled = float(np.mean(variances or [1.0])) + 1e-12
        of_tier = [0.5 * (_variance(x) if len(x) > 1 else pooled) + 0.5 * pooled for x in losses]
        return cls(np.repeat(sizes, counts), np.concatenate(losses), 1.0 / np.repeat(of_tier, counts))

    def powers(self, sizes: Any, exponents: np.ndarray) -> np.ndarray:
        """Returns N^-b in units of the smallest size, so that a is a loss: `[G, len(sizes)]`."""
        return (np.asarray(sizes, float) / self.sizes.min()) ** -exponents[:, None]


def fit_power_law(sizes: Any, losses: Any, weights: Any, *, prior: bool = False, may_rise: bool = True) -> PowerLaw:
    """Returns the law of least Huber loss.

    Args:
      sizes: Parameters `[n]`, at least two different ones; three without a prior, since any exponent goes through two.
      losses: `[n]`, positive.
      weights: `[n]`, inverse variances.
      prior: Penalise exponents far from those of published laws.
      may_rise: Allow a negative `a`.
    """
    sample = Sample(np.asarray(sizes, float), np.asarray(losses, float), np.asarray(weights, float))
    return fit(sample, prior=prior, may_rise=may_rise)


def fit(sample: Sample, *, prior: bool = True, may_rise: bool = True) -> PowerLaw:
    """Returns the law of least Huber loss of one sample; as `fit_power_law`."""

    def best(exponents: np.ndarray) -> int:
        return int((project(sample, exponents, may_rise)[2] + prior * penalty(exponents)).argmin())

    fine = finer(best(EXPONENTS))
    b = fine[best(fine)]
    a, c, _ = (float(value[0]) for value in project(sample, np.array([b]), may_rise))
    return PowerLaw(float(a * sample.sizes.min() ** b), float(b), c)


def project(sample: Sample, exponents: np.ndarray, may_rise: bool = True) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns the best a (in units of the smallest size), c and Huber cost of each exponent, each `[..., G]`."""
    x = sample.powers(sample.sizes, exponents)
    y, w = sample.losses[..., None, :], sample.weights[..., None, :]
    shrink = np.ones(1)
    for _ in range(_ROUNDS):
        v = w * shrink + 0.0 * x
        total = v.sum(-1, keepdims=True)
        mean_x, mean_y = (v * x).sum(-1, keepdims=True) / total, (v * y).sum(-1, keepdims=True) / total
        scatter = np.maximum((v * (x - mean_x) ** 2).sum(-1, keepdims=True), 1e-300)
        a = (v * (x - mean_x) * (y - mean_y)).sum(-1, keepdims=True) / scatter
        a = a if may_rise else np.maximum(a, 0.0)
        c = mean_y - a * mean_x
        a = np.where(c < 0, (v * x * y).sum(-1, keepdims=True) / (v * x**2).sum(-1, keepdims=True), a)
        c = np.maximum(c, 0.0)
        z = np.abs(y - a * x - c) * np.sqrt(w)
        shrink = np.minimum(1.0, _HUBER / np.maximum(z, 1e-12))
    cost = np.where(z <= _HUBER, z**2, 2 * _HUBER * z - _HUBER**2).sum(-1)
    return a[..., 0], c[..., 0], cost


def finer(index: int) -> np.ndarray:
    """Returns a grid a fiftieth as coarse as `EXPONENTS`, two of its steps to either side of `index`."""
    return np.geomspace(EXPONENTS[max(index - 2, 0)], EXPONENTS[min(index + 2, len(EXPONENTS) - 1)], 201)


def penalty(exponents: np.ndarray) -> np.ndarray:
    """Returns the prior's part of the cost, `[G]`: squared distance from the published exponent, in its own spreads."""
    return (np.log(exponents / _EXPONENT) / np.log(_FACTOR)) ** 2


def _variance(x: np.ndarray) -> float:
    """Returns a Gaussian's variance by the median distance to the median: one wild seed must not look like spread."""
    # n / (n - 1) is close to the finite-sample factors of Croux and Rousseeuw (1992), from three seeds on.
    return float((1.4826 * np.median(np.abs(x - np.median(x))) * len(x) / (len(x) - 1)) ** 2)
