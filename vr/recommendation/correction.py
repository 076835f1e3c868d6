"""Predicted risks moved by what came of earlier ones: empirical Bayes over the kinds of actions.

    e_jd ~ N(mu_j, s^2),   mu_j ~ N(0, tau^2),   E[mu_j | e] = m_j tau^2 / (tau^2 + s^2 / n_j)

e_jd is the mean error (measured less predicted risk, in points) of the fixes of dataset d by kind j alone, m_j the mean
of the n_j datasets. s^2 is pooled over the kinds, and taken at the upper end of its 90 % interval, so that few cases
that happen to agree move little; tau^2 is estimated by the moments of m_j about 0, and is 0 where chance explains them.

References:
  James and Stein 1961, Estimation with quadratic loss; Efron and Morris 1973, Stein's estimation rule and its
  competitors; DerSimonian and Laird 1986, for the moments.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import gammaincinv, ndtri

from vr.recommendation.actions import Effect
from vr.recommendation.hindsight import NO_GAIN, Case, errors_by_dataset

__all__ = ["FEWEST", "Correction", "corrected", "corrections"]

FEWEST = 5  # datasets of one kind of action, below which nothing of that kind is moved
_TAIL = 0.05  # of the variance that is taken
_EFFECT_LEVEL = 0.9  # of an effect's interval
_NOT_MOVED = "too few earlier fixes of its kind, or no error beyond chance"


@dataclass(frozen=True)
class Correction:
    """What to add to a predicted risk.

    Attributes:
      shift: In points.
      deviation: Its standard deviation.
      fixes: How many it was learned from.
      datasets: Of how many datasets.
    """

    shift: float
    deviation: float
    fixes: int
    datasets: int


def corrections(cases: Mapping[str, Sequence[Case]]) -> dict[str, Correction]:
    """Returns the correction of every kind of action that there is one for.

    Args:
      cases: By kind, fixes by one action alone; predictions as they were measured, not as they were moved.
    """
    errors = {kind: errors_by_dataset(some) for kind, some in sorted(cases.items()) if some}
    errors = {kind: values for kind, values in errors.items() if len(values) >= FEWEST}
    if not errors:
        return {}
    number = np.array([len(values) for values in errors.values()], float)
    mean = np.array([values.mean() for values in errors.values()])
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in errors.values())
    variance = max(squares / (2.0 * float(gammaincinv(0.5 * (number.sum() - len(number)), _TAIL))), NO_GAIN**2)
    between = max(0.0, float((number * mean**2).sum() - len(number) * variance) / float(number.sum()))
    if between == 0.0:
        return {}
    weight = between / (between + variance / number)
    return {
        kind: Correction(
            float(weight[i] * mean[i]),
            math.sqrt(float(weight[i] * variance / number[i])),
            len(cases[kind]),
            len(errors[kind]),
        )
        for i, kind in enumerate(errors)
    }


def corrected(effect: Effect, found: Correction | None) -> Effect:
    """Returns an effect moved by a correction, its interval wider by the correction's own; it stays in 0 to 100.

    Args:
      effect: As it was measured.
      found: Of its kind of action; None where there is none, which `basis` says then.
    """
    if effect.risk is None:
        return effect
    if found is None:
        return replace(effect, basis=f"{effect.basis}; not moved by history: {_NOT_MOVED}")
    risk = min(max(effect.risk + found.shift, 0.0), 100.0)
    own = float(ndtri(0.5 + _EFFECT_LEVEL / 2.0)) * found.deviation
    lower, upper = (effect.risk if end is None else end for end in (effect.lower, effect.upper))
    moved = f"moved by {risk - effect.risk:+.1f} points, from {effect.risk:.1f}"
    why = f"the error of {found.fixes} earlier fixes of its kind, of {found.datasets} datasets"
    return replace(
        effect,
        risk=risk,
        lower=max(0.0, risk - math.hypot(effect.risk - lower, own)),
        upper=min(100.0, risk + math.hypot(upper - effect.risk, own)),
        basis=f"{moved}, by {why}; {effect.basis}",
        shift=risk - effect.risk,
    )
