"""The mix planner: the smallest share of real rows that is enough, from measured mixes.

Enough is told in two ways: the verdict becomes `approve` (`plan_by_risk`), or the harm to expect of training on the mix
falls below a share of the skill (`plan_by_harm`), which is what collapse means. Either is taken to fall as the share of
real rows rises: what was measured is made monotone by isotonic regression, risks by their logits, and the share is
where it crosses the threshold, between shares on a straight line. The interval is that of the crossings of single draws
(Student's, of one draw), joined with an error of the planner itself, which the caller has to know.

References:
  Barlow et al. 1972, Statistical Inference under Order Restrictions, for isotonic regression.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit
from scipy.stats import norm, t
from sklearn.isotonic import IsotonicRegression

__all__ = ["MixPlan", "plan_by_risk", "plan_by_harm", "real_rows_for"]

_LEVEL = 0.9
_EDGE = 1e-4  # of a probability: nearer to 0 or 1 a logit says nothing but how near


@dataclass(frozen=True)
class MixPlan:
    """What share of real rows a dataset needs.

    Attributes:
      share: Of real rows in the mix, 0 to 1: 0 where none are needed, None where no share that was measured is enough.
      lower: Lower end of its interval, None without a share.
      upper: Upper end, None where it may be beyond every share that was measured.
      level: Nominal coverage of the interval.
      shares: float `[k]`, that were measured.
      measured: float `[k]`, the risk, 0 to 100, or the harm to expect, made monotone.
      threshold: Below which it is enough.
      reason: Why there is no share.
    """

    share: float | None
    lower: float | None
    upper: float | None
    level: float
    shares: np.ndarray
    measured: np.ndarray
    threshold: float
    reason: str | None = None


def plan_by_risk(
    shares: np.ndarray, risk: np.ndarray, by_draw: np.ndarray, threshold: float, error: float = 0.0
) -> MixPlan:
    """Returns the smallest share of real rows whose risk lies below a threshold.

    Args:
      shares: float `[k]`, ascending from 0, two or more.
      risk: float `[k]`, 0 to 100, of each share.
      by_draw: float `[m, k]`, the same of single draws.
      threshold: Risk, 0 to 100.
      error: Standard deviation of the planner's share about that of training, which widens the interval.

    Raises:
      ValueError: The lengths differ, or shares do not ascend.
    """
    level = float(_logits(np.array([threshold]))[0])
    share, ends, fitted = _plan(shares, _logits(risk), _logits(np.atleast_2d(by_draw)), level, error)
    measured = 100.0 * expit(fitted)
    reason = None
    if share is None:
        reason = f"at {shares[-1]:.0%} of real rows the risk is still {measured[-1]:.0f}, over {threshold:.0f}"
    return MixPlan(share, *ends, _LEVEL, np.asarray(shares, float), measured, threshold, reason)


def plan_by_harm(
    shares: np.ndarray, harm: np.ndarray, by_draw: np.ndarray, threshold: float, error: float = 0.0
) -> MixPlan:
    """Returns the smallest share of real rows at which the harm to expect is below a threshold.

    Args:
      shares: float `[k]`, ascending from 0, two or more.
      harm: float `[k]`, share of the skill that training would lose, 0 none.
      by_draw: float `[m, k]`, the same of single draws.
      threshold: Share of the skill.
      error: As `plan_by_risk` has it.

    Raises:
      ValueError: The lengths differ, or shares do not ascend.
    """
    share, ends, fitted = _plan(shares, np.asarray(harm, float), np.atleast_2d(by_draw), threshold, error)
    reason = None
    if share is None:
        reason = f"at {shares[-1]:.0%} of real rows {fitted[-1]:.0%} of the skill would still be lost"
    return MixPlan(share, *ends, _LEVEL, np.asarray(shares, float), fitted, threshold, reason)


def real_rows_for(share: float, candidate_rows: int) -> int:
    """Returns how many real rows beside all of the candidate's make a share of the mix, rounded up; share below 1."""
    return int(np.ceil(candidate_rows * share / (1.0 - share) - 1e-9))


def _plan(
    shares: np.ndarray, values: np.ndarray, by_draw: np.ndarray, level: float, error: float
) -> tuple[float | None, tuple[float | None, float | None], np.ndarray]:
    """Returns the share, the ends of its interval, and the monotone values."""
    shares = np.asarray(shares, float)
    if len(shares) < 2 or (np.diff(shares) <= 0).any() or not len(values) == len(shares) == by_draw.shape[1]:
        raise ValueError(f"shares must ascend, two or more, with as many values, got {len(shares)} and {len(values)}")
    fitted = _monotone(shares, values)
    share = _crossing(shares, fitted, level)
    if share is None:
        return None, (None, None), fitted
    # A draw that never crosses does so beyond the last share, at 1 at the latest.
    drawn = [_crossing(shares, _monotone(shares, each), level) for each in by_draw]
    crossings = np.array([1.0 if one is None else one for one in drawn])
    half = error * norm.ppf(0.5 + _LEVEL / 2)
    if len(crossings) > 1:
        half = np.hypot(half, t.ppf(0.5 + _LEVEL / 2, len(crossings) - 1) * crossings.std(ddof=1))
    upper = float(share + half)
    return share, (float(max(0.0, share - half)), upper if upper < 1.0 else None), fitted


def _monotone(shares: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Returns the values that never rise, nearest by least squares."""
    return IsotonicRegression(increasing=False).fit_transform(shares, values)


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
