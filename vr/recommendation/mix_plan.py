"""The mix planner: the smallest share of real rows at which the verdict becomes `approve`, from measured mixes.

Risk is taken to fall as the share of real rows rises: the logits of the measured risks are made monotone by isotonic
regression, and the share is where they cross the verdict's threshold, between shares on a straight line. The interval
is that of the crossings of single draws (Student's, of one draw), joined with the planner's own error on mixes whose
share was found by training at every one of them.

References:
  Barlow et al. 1972, Statistical Inference under Order Restrictions, for isotonic regression.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import logit
from scipy.stats import norm, t
from sklearn.isotonic import IsotonicRegression

__all__ = ["MixPlan", "plan_mix", "real_rows_for", "smallest_share"]

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
      risk: float `[k]`, 0 to 100, made monotone.
      threshold: Risk below which the verdict is `approve`.
      reason: Why there is no share.
    """

    share: float | None
    lower: float | None
    upper: float | None
    level: float
    shares: np.ndarray
    risk: np.ndarray
    threshold: float
    reason: str | None = None


def plan_mix(
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
    shares, risk, by_draw = np.asarray(shares, float), np.asarray(risk, float), np.atleast_2d(by_draw)
    if len(shares) < 2 or (np.diff(shares) <= 0).any() or len(risk) != len(shares) != by_draw.shape[1]:
        raise ValueError(f"shares must ascend, two or more, with as many risks, got {len(shares)} and {len(risk)}")
    fitted = _monotone(shares, risk)
    share = smallest_share(shares, risk, threshold)
    if share is None:
        reason = f"at {shares[-1]:.0%} of real rows the risk is still {fitted[-1]:.0f}, and {threshold:.0f} is approved"
        return MixPlan(None, None, None, _LEVEL, shares, fitted, threshold, reason)
    # A draw that never crosses does so beyond the last share, at 1 at the latest.
    drawn = [smallest_share(shares, each, threshold) for each in by_draw]
    crossings = np.array([1.0 if one is None else one for one in drawn])
    half = error * norm.ppf(0.5 + _LEVEL / 2)
    if len(crossings) > 1:
        half = np.hypot(half, t.ppf(0.5 + _LEVEL / 2, len(crossings) - 1) * crossings.std(ddof=1))
    upper = share + half
    return MixPlan(
        share,
        float(max(0.0, share - half)),
        float(upper) if upper < 1.0 else None,
        _LEVEL,
        shares,
        fitted,
        threshold,
    )


def smallest_share(shares: np.ndarray, risk: np.ndarray, threshold: float) -> float | None:
    """Returns where the monotone risk crosses the threshold; None where it never does.

    Args:
      shares: float `[k]`, ascending.
      risk: float `[k]`, 0 to 100.
      threshold: 0 to 100.
    """
    fitted, level = _logits(_monotone(shares, risk)), float(_logits(np.array([threshold]))[0])
    below = np.flatnonzero(fitted < level)
    if not len(below):
        return None
    i = int(below[0])
    if i == 0:
        return float(shares[0])
    # Strictly above or at the level before, strictly below here.
    part = (fitted[i - 1] - level) / (fitted[i - 1] - fitted[i])
    return float(shares[i - 1] + part * (shares[i] - shares[i - 1]))


def real_rows_for(share: float, candidate_rows: int) -> int:
    """Returns how many real rows beside all of the candidate's make a share of the mix, rounded up; share below 1."""
    return int(np.ceil(candidate_rows * share / (1.0 - share) - 1e-9))


def _monotone(shares: np.ndarray, risk: np.ndarray) -> np.ndarray:
    """Returns the risks, 0 to 100, that never rise: least squares of the logits."""
    fit = IsotonicRegression(increasing=False).fit(shares, _logits(risk))
    return 100.0 / (1.0 + np.exp(-fit.predict(shares)))


def _logits(risk: np.ndarray) -> np.ndarray:
    return logit(np.clip(np.asarray(risk, float) / 100.0, _EDGE, 1.0 - _EDGE))
