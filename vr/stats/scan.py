"""Scan statistics: stretches of an ordered sample whose rows lie off the rest together.

Of every stretch the mean of its whitened readings is held against 0: m |mean|^2 is chi-squared where its rows are
ordinary. A row's reading is the best stretch that it lies in, and what ordinary files show is asked of the same rows in
random order, so that neither the number of stretches nor the readings' tails need a formula.

References:
  Kulldorff 1997, A spatial scan statistic; Arias-Castro, Donoho and Huo 2005, Near-optimal detection of geometric
  objects (stretches of geometric lengths).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc

__all__ = ["Scan", "scan", "whitened"]

_SHORTEST = 6  # rows of a stretch
_GROWTH = 1.4  # of its length to the next
_LONGEST = 0.25  # of the rows
_CUT = 4.0  # deviations at which a reading is cut: one extreme row is an outlier and no stretch
_SHRINKAGE = 0.1  # of the correlations towards none


@dataclass(frozen=True)
class Scan:
    """What was found.

    Attributes:
      evidence: float `[n]`, -log10 of the chi-squared tail of the best stretch through each row.
      null: The same in random orders, float `[n * num_permutations]`.
      greatest: Its greatest in each random order, float `[num_permutations]`.
      best: int `[n, 2]`, first row and end of the best stretch through each row.
    """

    evidence: np.ndarray
    null: np.ndarray
    greatest: np.ndarray
    best: np.ndarray

    def stretches(self) -> list[tuple[int, int, float]]:
        """Returns `(start, end, evidence)` of stretches beyond every random order's, best first, none overlapping."""
        threshold = self.greatest.max(initial=0.0)
        found: list[tuple[int, int, float]] = []
        for row in np.argsort(-self.evidence, kind="stable"):
            if self.evidence[row] <= threshold:
                break
            start, end = (int(x) for x in self.best[row])
            if all(end <= first or start >= last for first, last, _ in found):
                found.append((start, end, float(self.evidence[row])))
        return found


def whitened(x: np.ndarray, base: np.ndarray) -> np.ndarray:
    """Returns readings `x` `[n, k]` about their own median, uncorrelated and of variance 1 in `base` `[m, k]`.

    Where they vary more in `x`, of variance 1 there.
    """
    centre, spread = base.mean(axis=0), base.std(axis=0)
    scale = np.where(spread > 1e-9, spread, 1.0)
    ordinary, own = (np.clip((side - centre) / scale, -_CUT, _CUT) for side in (base, x))
    covariance = ordinary.T @ ordinary / max(1, len(ordinary)) + _SHRINKAGE * np.eye(x.shape[1])
    values, vectors = np.linalg.eigh(covariance)
    turn = vectors / np.sqrt(values)
    ordinary, own = ordinary @ turn, own @ turn
    own = own - np.median(own, axis=0)
    return own / np.maximum(np.maximum(own.std(axis=0), ordinary.std(axis=0)), 1e-6)


def scan(readings: np.ndarray, rng: np.random.Generator, num_permutations: int = 9) -> Scan:
    """Returns the best stretch through every row.

    Args:
      readings: float `[n, k]` in the rows' order, whitened.
      rng: Draws the random orders.
      num_permutations: Random orders.
    """
    n = len(readings)
    evidence, best = _best_stretches(readings)
    null = [_best_stretches(readings[rng.permutation(n)])[0] for _ in range(num_permutations)]
    greatest = np.array([each.max(initial=0.0) for each in null])
    return Scan(evidence, np.concatenate([*null, np.zeros(0)]), greatest, best)


def _best_stretches(readings: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    n, k = readings.shape
    sums = np.concatenate([np.zeros((1, k)), np.cumsum(readings, axis=0)])
    rows = np.arange(n)
    evidence, best = np.zeros(n), np.column_stack([rows, rows + 1])
    length = _SHORTEST
    while length <= min(n, max(_SHORTEST, int(_LONGEST * n))):
        # Starts an eighth of the length apart: few enough to be cheap, and no stretch is missed by much.
        step = max(1, length // 8)
        starts = np.arange(0, n - length + 1, step)
        found = _tail(np.square(sums[starts + length] - sums[starts]).sum(axis=1) / length, k)
        for back in range(-(-length // step)):
            index = rows // step - back
            through = (index >= 0) & (index < len(starts)) & (index * step + length > rows)
            there = rows[through]
            there = there[found[index[through]] > evidence[through]]
            evidence[there] = found[there // step - back]
            best[there, 0] = (there // step - back) * step
            best[there, 1] = best[there, 0] + length
        length = max(length + 1, int(_GROWTH * length))
    return evidence, best


def _tail(statistic: np.ndarray, k: int) -> np.ndarray:
    """Returns -log10 P(chi-squared of k degrees >= statistic), at most 300."""
    return -np.log10(np.maximum(chdtrc(k, statistic), 1e-300))
