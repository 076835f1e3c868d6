"""The mix planner: the smallest share of real rows that is enough, from measured mixes.

Enough is told in two ways: the verdict becomes `approve` (`plan_by_risk`), or the harm to expect of training on the mix
falls below a share of the skill (`plan_by_harm`), which is what collapse means; it may also be measured, by training on
every mix. Either is taken to fall as the share of real rows rises: what was measured is made monotone by isotonic
regression, risks by their logits, and the share is where it crosses the threshold, between shares on a straight line.
The interval is of the share that training on other real rows would find: the planned one and the quantiles of how far
off plans were where models were trained on every mix. What single draws of the rows differ by is a part of that.

References:
  Barlow et al. 1972, Statistical Inference under Order Restrictions, for isotonic regression.
  Lei et al. 2018, Distribution-free predictive inference for regression, for intervals by the quantiles of past errors.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

__all__ = ["MixPlan", "plan_by_risk", "plan_by_harm", "real_rows_for"]

_LEVEL = 0.9
_EDGE = 1e-4  # of a probability: nearer to 0 or 1 a logit says nothing but how near


@dataclass(frozen=True)
class MixPlan:
    """What share of real rows a dataset needs.

    Attributes:
      share: Of real rows in the mix, 0 to 1: 0 where none are needed, None where no share that was measured is enough.
      lower: Lower end of the interval of the share that training would find, None without a share.
      upper: Upper end, None where it may be real rows alone.
      level: Nominal coverage of the interval.
      shares: float `[k]`, that were measured.
      measured: float `[k]`, the risk, 0 to 100, or the harm to expect, made monotone.
      threshold: Below which it is enough.
      reason: Why there is no share.
      trained_rows: Of every mix, where models were trained on them and the harm is theirs; None where it is expected.
    """

    share: float | None
    lower: float | None
    upper: float | None
    level: float
    shares: np.ndarray
    measured: np.ndarray
    threshold: float
    reason: str | None = None
    trained_rows: int | None = None


def plan_by_risk(
    shares: np.ndarray, risk: np.ndarray, threshold: float, error: tuple[float, float] = (0.0, 0.0)
) -> MixPlan:
    """Returns the smallest share of real rows whose risk lies below a threshold.

    Args:
      shares: float `[k]`, ascending from 0, two or more.
      risk: float `[k]`, 0 to 100, of each share.
      threshold: Risk, 0 to 100.
      error: 5 % and 95 % quantile of the share found by training less the planned one.

    Raises:
      ValueError: The lengths differ, or shares do not ascend.
    """
    level = float(_logits(np.array([threshold]))[0])
    share, fitted = _plan(shares, _logits(risk), level)
    measured = 100.0 * expit(fitted)
    reason = None
    if share is None:
        reason = f"at {shares[-1]:.0%} of real rows the risk is still {measured[-1]:.0f}, over {threshold:.0f}"
    return MixPlan(share, *_ends(share, error), _LEVEL, np.asarray(shares, float), measured, threshold, reason)


def plan_by_harm(
    shares: np.ndarray, harm: np.ndarray, threshold: float, error: tuple[float, float] = (0.0, 0.0)
) -> MixPlan:
    """Returns the smallest share of real rows at which the harm is below a threshold.

    Args:
      shares: float `[k]`, ascending from 0, two or more.
      harm: float `[k]`, share of the skill that training is expected to lose, or was found to lose; 0 none.
      threshold: Share of the skill.
      error: As `plan_by_risk` has it.

    Raises:
      ValueError: The lengths differ, or shares do not ascend.
    """
    share, fitted = _plan(shares, np.asarray(harm, float), threshold)
    reason = None
    if share is None:
        reason = f"at {shares[-1]:.0%} of real rows {fitted[-1]:.0%} of the skill would still be lost"
    return MixPlan(share, *_ends(share, error), _LEVEL, np.asarray(shares, float), fitted, threshold, reason)


def real_rows_for(share: float, candidate_rows: int) -> int:
    """Returns how many real rows beside all of the candidate's make a share of the mix, rounded up; share below 1."""
    return int(np.ceil(candidate_rows * share / (1.0 - share) - 1e-9))


def _plan(shares: np.ndarray, values: np.ndarray, level: float) -> tuple[float | None, np.ndarray]:
    """Returns the share, and the values that never rise, nearest by least squares."""
    shares = np.asarray(shares, float)
    if len(shares) < 2 or (np.diff(shares) <= 0).any() or len(values) != len(shares):
        raise ValueError(f"shares must ascend, two or more, with as many values, got {len(shares)} and {len(values)}")
    # Few runs plan, and all would wait for its import.
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(increasing=False).fit_transform(shares, values)
    return _crossing(shares, fitted, level), fitted


def _ends(share: float | None, error: tuple[float, float]) -> tuple[float | None, float | None]:
    """Returns the ends of the interval; no upper one where it reaches real rows alone."""
    if share is None:
        return None, None
    # The planned share lies within, whichever way plans err.
    lower, upper = share + min(0.0, error[0]), share + max(0.0, error[1])
    return float(max(0.0, lower)), float(upper) if upper < 1.0 else None


def _crossing(shares: np.ndarray, fitted: np.ndarray, level: float) -> float | None:
    """Returns where falling values cross a level; None where they never do."""
    below = np.flatnonzero(fitted < level)
    if not len(below):
        return None
    i = int(below[0])
    if i == 0:
        return float(shares[0])
    # At the level or above it before, below it here.
    part = (fitted[i - 1] - level) / (fitted[i - 1] - fitted[i])
    return float(shares[i - 1] + part * (shares[i] - shares[i - 1]))


def _logits(risk: np.ndarray) -> np.ndarray:
    return logit(np.clip(np.asarray(risk, float) / 100.0, _EDGE, 1.0 - _EDGE))
