"""Extrapolation in size, with intervals that own up to what is unknown, and the largest tier's own ranking beside it.

Both arms' losses over the tiers are fitted by `power_law`. The interval unites a bootstrap over seeds, both arms of a
seed together, with the profile over the exponent, and is widened by the factors in `widening.json`. The plain ranking
of the largest tier stands beside it always: no fitted law has been seen to beat it (DataDecide, arXiv 2504.11393).
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
from scipy.special import stdtrit

from vr.cascade.power_law import EXPONENTS, Sample, finer, fit, penalty, project

__all__ = ["HORIZON", "Widening", "extrapolate", "load_widening"]

HORIZON = 10.0  # times the largest fitted size; further, the form itself is a guess
_COARSE = EXPONENTS[::4]  # for the bootstrap: its quantiles do not feel a step of a tenth in the exponent
_UNIT = "log ratio to the reference-trained proxy"


@dataclass(frozen=True)
class Widening:
    """Factors on the half-widths of the two intervals at level 0.95, and where they come from."""

    loss: float
    excess: float
    origin: dict[str, Any]


@cache
def load_widening() -> Widening:
    """Returns the factors that the package ships."""
    return Widening(**json.loads(files("vr.cascade").joinpath("widening.json").read_text(encoding="utf-8")))


def extrapolate(
    sizes: Sequence[float],
    reference: Sequence[np.ndarray],
    candidate: Sequence[np.ndarray],
    *,
    target: float | None,
    level: float,
    rng: np.random.Generator,
    num_resamples: int = 200,
    widening: Widening | None = None,
) -> dict[str, Any] | None:
    """Returns the candidate's law, its loss at the target size, and its excess over the reference's there.

    Args:
      sizes: Parameters of each tier, ascending.
      reference: Losses of each tier's members trained on the reference, finite.
      candidate: Losses of the same members trained on the candidate, in the same order.
      target: Size to extrapolate to; capped at ten times the largest tier, which None means.
      level: Coverage of the intervals.
      rng: Of the bootstrap.
      num_resamples: Of the bootstrap.
      widening: Instead of the shipped one.

    Returns:
      JSON-able values, or None with fewer than two tiers of finite losses. `single_tier_excess_loss` is what the
      largest tier says by itself: the log ratio of its paired seeds with Student's interval, and the arm that it finds
      worse.
    """
    kept = [i for i in range(len(sizes)) if len(reference[i]) and len(candidate[i])]
    if len(kept) < 2:
        return None
    widening = widening or load_widening()
    n = np.array([float(sizes[i]) for i in kept])
    arms = [[np.asarray(arm[i], float) for i in kept] for arm in (candidate, reference)]
    horizon = HORIZON * float(n.max())
    goal = float(np.clip(target or horizon, n.min(), horizon))
    samples = [Sample.of(n, arm) for arm in arms]
    laws = [fit(sample) for sample in samples]
    losses = [float(law(goal)) for law in laws]
    ends = _ends(samples, arms, goal, level, rng, num_resamples)
    loss = _interval(losses[0], ends[0], widening.loss, level)
    x, y = samples[0].sizes, samples[0].losses
    spread = float(np.sum((y - y.mean()) ** 2))
    return {
        "a": laws[0].a,
        "b": laws[0].b,
        "c": laws[0].c,
        "r_squared": 1.0 - float(np.sum((y - laws[0](x)) ** 2)) / spread if spread > 0 else None,
        "target_parameters": goal,
        "target_capped": target is not None and target > horizon,
        "asymptote_identified": _identified(samples[0], level),
        "predicted_loss": loss | {"lower": max(0.0, loss["lower"])},
        "predicted_excess_loss": _interval(float(np.log(losses[0] / losses[1])), ends[1], widening.excess, level)
        | {"unit": _UNIT},
        "single_tier_excess_loss": _single_tier(arms[0][-1], arms[1][-1], level),
        "largest_tier": {
            "parameters": float(n[-1]),
            "candidate_loss": float(arms[0][-1].mean()),
            "reference_loss": float(arms[1][-1].mean()),
        },
        "points": [
            {"parameters": float(size), "candidate": c.tolist(), "reference": r.tolist()}
            for size, c, r in zip(n, *arms, strict=True)
        ],
        "reference_law": {"a": laws[1].a, "b": laws[1].b, "c": laws[1].c},
    }


def _ends(
    samples: list[Sample],
    arms: list[list[np.ndarray]],
    goal: float,
    level: float,
    rng: np.random.Generator,
    num_resamples: int,
) -> list[tuple[float, float]]:
    """Returns the ends, not yet widened, of the candidate's loss at `goal` and of its log ratio to the reference's."""
    drawn = _resampled(samples, arms, goal, rng, num_resamples)
    profiled = _profiled(samples, goal, level)
    tail = (1.0 - level) / 2.0
    found = []
    for bootstrap, profile in zip((drawn[0], np.log(drawn[0] / drawn[1])), profiled, strict=True):
        low, high = np.quantile(bootstrap, [tail, 1.0 - tail])
        found.append((min(float(low), profile[0]), max(float(high), profile[1])))
    return found


def _resampled(
    samples: list[Sample], arms: list[list[np.ndarray]], goal: float, rng: np.random.Generator, count: int
) -> list[np.ndarray]:
    """Returns both arms' losses at `goal` `[count]`, from seeds drawn again within each tier."""
    # Both arms of a seed are drawn together: they share initialisation and batches.
    picks = [rng.integers(0, len(x), (count, len(x))) for x in arms[0]]
    found = []
    for sample, arm in zip(samples, arms, strict=True):
        losses = np.concatenate([x[p] for x, p in zip(arm, picks, strict=True)], axis=-1)
        # Weights are those of all seeds: a resample of three may be one seed three times.
        again = Sample(sample.sizes, losses, np.broadcast_to(sample.weights, losses.shape))
        a, c, cost = project(again, _COARSE)
        best = (cost + penalty(_COARSE)).argmin(axis=-1)[:, None]
        power = sample.powers([goal], _COARSE)[best[:, 0], 0]
        found.append(np.take_along_axis(a, best, 1)[:, 0] * power + np.take_along_axis(c, best, 1)[:, 0])
    return found


def _profiled(samples: list[Sample], goal: float, level: float) -> list[tuple[float, float]]:
    """Returns the ends of the candidate's loss and of the log ratio over the exponents that are not ruled out.

    The log ratio's exponent is shared by both arms: two free ones would leave nothing of their pairing.
    """
    found = []
    for arms in (samples[:1], samples):
        exponents, laws = _allowed_laws(arms, level, prior=True)
        power = arms[0].powers([goal], exponents)[:, 0]
        losses = [a * power + c for a, c in laws]
        values = losses[0] if len(losses) == 1 else np.log(losses[0] / losses[1])
        found.append((float(values.min()), float(values.max())))
    return found


def _allowed_laws(
    samples: list[Sample], level: float, *, prior: bool
) -> tuple[np.ndarray, list[tuple[np.ndarray, np.ndarray]]]:
    """Returns the exponents within Student's t of the best that all samples share, and each one's a and c at them."""

    def cost_of(fitted: list[tuple[np.ndarray, ...]], grid: np.ndarray) -> np.ndarray:
        return np.sum([each[2] for each in fitted], axis=0) + prior * penalty(grid)

    coarse = cost_of([project(sample, EXPONENTS) for sample in samples], EXPONENTS)
    grid = np.union1d(EXPONENTS, finer(int(coarse.argmin())))
    fitted = [project(sample, grid) for sample in samples]
    cost = cost_of(fitted, grid)
    freedom = max(1, sum(len(sample.losses) for sample in samples) - 3)
    # Where the law misses the tiers by more than their seeds spread, the misfit is the scale.
    scale = max(1.0, float(cost.min()) / freedom)
    allowed = cost <= cost.min() + scale * stdtrit(freedom, 0.5 + level / 2.0) ** 2
    return grid[allowed], [(a[allowed], c[allowed]) for a, c, _ in fitted]


def _identified(sample: Sample, level: float) -> bool:
    """Returns whether the losses alone, without the prior, rule out an asymptote of 0 and that there is none."""
    if len(np.unique(sample.sizes)) < 3:
        return False
    exponents, ((_, c),) = _allowed_laws([sample], level, prior=False)
    # At the least exponent the law is a straight line in log N, up or down.
    return bool(exponents[0] > EXPONENTS[0] and (c > 0).all())


def _interval(value: float, ends: tuple[float, float], factor: float, level: float) -> dict[str, Any]:
    return {
        "value": value,
        "lower": float(value - factor * max(0.0, value - ends[0])),
        "upper": float(value + factor * max(0.0, ends[1] - value)),
        "level": level,
    }


def _single_tier(candidate: np.ndarray, reference: np.ndarray, level: float) -> dict[str, Any]:
    ratios = np.log(candidate / reference)
    mean, count = float(ratios.mean()), len(ratios)
    if count < 2:
        return {"value": mean, "lower": None, "upper": None, "level": level, "unit": _UNIT, "worse": "undecided"}
    half = float(stdtrit(count - 1, 0.5 + level / 2.0) * ratios.std(ddof=1) / np.sqrt(count))
    worse = "undecided" if abs(mean) <= half else "candidate" if mean > 0 else "reference"
    return {
        "value": mean,
        "lower": mean - half,
        "upper": mean + half,
        "level": level,
        "unit": _UNIT,
        "worse": worse,
    }
