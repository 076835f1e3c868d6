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
from scipy.special import chdtrc, gammaln

__all__ = ["Scan", "scan", "whitened"]

_SHORTEST = 6  # rows of a stretch
_GROWTH = 1.4  # of its length to the next
_LONGEST = 0.25  # of the rows
_CUT = 4.0  # deviations at which a reading is cut: one extreme row is an outlier and no stretch
_MOST_STRETCHES = 8
_MOST_POINTS = 4_096  # of a longer sample, groups of neighbouring rows are scanned
_DEVIATIONS = 4.7  # above the mean of 15 random orders' greatest: another Gumbel variable is above it once in 200
_SHRINKAGE = 0.1  # of the correlations towards none


@dataclass(frozen=True)
class Scan:
    """What was found.

    Attributes:
      evidence: float `[n]`, -log10 of the chi-squared tail of the stretch that each row lies in, where that is one of
        `stretches`; else of the best one through it, those aside.
      null: The same of rows in random orders, float.
      stretches: `(start, end, evidence)` beyond what is the greatest in one random order of 200, best first.
      greatest: float, the greatest evidence in each of the random orders.
    """

    evidence: np.ndarray
    null: np.ndarray
    stretches: tuple[tuple[int, int, float], ...]
    greatest: np.ndarray

    def surprise(self, evidence: np.ndarray) -> np.ndarray:
        """Returns -log10 of how likely it is that the best stretch of a random order has so much evidence.

        By the Gumbel distribution that has the mean and the deviation of `greatest`: fifteen orders know its far tail
        badly, so that 3 is not one in a thousand but one in some 250. It is of the file and not of a
        row: the best chance stretch covers hundreds of rows in one file and none in the next, and among all rows of
        all files each of them would look rarer than it is.
        """
        if not len(self.greatest):
            return np.zeros(np.shape(evidence))
        scale = max(float(self.greatest.std(ddof=1)) * np.sqrt(6.0) / np.pi, 1e-9)
        y = (np.asarray(evidence, float) - float(self.greatest.mean())) / scale + np.euler_gamma
        # -expm1(-exp(-y)) is exp(-y) where that is small, and cannot be told from it where it is too small for a float.
        return np.where(y > 30.0, y / np.log(10.0), -np.log10(-np.expm1(-np.exp(-np.clip(y, -30.0, 30.0)))))


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


def scan(readings: np.ndarray, rng: np.random.Generator, num_permutations: int = 15) -> Scan:
    """Returns the best stretch through every row.

    Args:
      readings: float `[n, k]` in the rows' order, whitened.
      rng: Draws the random orders.
      num_permutations: Random orders.
    """
    size = max(1, -(-len(readings) // _MOST_POINTS))
    if size > 1:
        starts = np.arange(0, len(readings), size)
        rows = np.diff(np.append(starts, len(readings)))
        found = scan(np.add.reduceat(readings, starts, axis=0) / np.sqrt(rows)[:, None], rng, num_permutations)
        widened = ((start * size, min(end * size, len(readings)), e) for start, end, e in found.stretches)
        return Scan(np.repeat(found.evidence, rows), found.null, tuple(widened), found.greatest)
    n = len(readings)
    null = [_evidence(_windows(readings[rng.permutation(n)]), *readings.shape) for _ in range(num_permutations)]
    greatest = np.array([each.max(initial=0.0) for each in null])
    threshold = 0.0
    if len(greatest):
        threshold = max(greatest.max(), greatest.mean() + _DEVIATIONS * greatest.std(ddof=1))
    rest, taken = readings.copy(), np.zeros(n)
    stretches: list[tuple[int, int, float]] = []
    while True:
        windows = _windows(rest)
        evidence = _evidence(windows, *readings.shape)
        top = int(evidence.argmax()) if n else 0
        if not n or evidence[top] <= threshold or len(stretches) == _MOST_STRETCHES:
            break
        start, end, found = _sharpened(rest, *_best(windows, top))
        stretches.append((start, end, found))
        taken[start:end] = np.maximum(taken[start:end], found)
        # Its rows aside: what overlaps a stretch is not itself one.
        rest[start:end] = 0.0
    own = np.where(taken > 0.0, taken, evidence)
    return Scan(own, np.concatenate([*null, np.zeros(0)]), tuple(stretches), greatest)


def _sharpened(readings: np.ndarray, start: int, end: int) -> tuple[int, int, float]:
    """Returns the stretch with either end moved, by up to an eighth of its length, to the greatest evidence."""
    n, k = readings.shape
    reach = max(2, (end - start) // 8 + 1)
    first = max(0, start - reach)
    sums = np.concatenate([np.zeros((1, k)), np.cumsum(readings[first : min(n, end + reach)], axis=0)])
    starts = np.arange(first, min(start + reach, end - 2) + 1)
    best = (start, end, -1.0)
    for last in range(max(end - reach, start + reach + 2), min(n, end + reach) + 1):
        able = starts[starts < last - 1]
        if len(able):
            statistic = np.square(sums[last - first] - sums[able - first]).sum(axis=1) / (last - able)
            found = _tail(statistic, k)
            i = int(found.argmax())
            if found[i] > best[2]:
                best = (int(able[i]), last, float(found[i]))
    if best[2] < 0.0:
        whole = readings[start:end].sum(axis=0)
        return start, end, float(_tail(np.square(whole).sum() / (end - start), k))
    return best


def _windows(readings: np.ndarray) -> list[tuple[int, int, np.ndarray]]:
    """Returns for each length of stretches the length, the rows from one start to the next, and m |mean|^2 of each."""
    n, k = readings.shape
    sums = np.concatenate([np.zeros((1, k)), np.cumsum(readings, axis=0)])
    result = []
    length = _SHORTEST
    while length <= min(n, max(_SHORTEST, int(_LONGEST * n))):
        # Starts an eighth of the length apart: few enough to be cheap, and no stretch is missed by much.
        step = max(1, length // 8)
        apart = sums[length::step] - sums[: n - length + 1 : step]
        found = np.einsum("nk,nk->n", apart, apart) / length
        result.append((length, step, found))
        length = max(length + 1, int(_GROWTH * length))
    return result


def _evidence(windows: list[tuple[int, int, np.ndarray]], n: int, k: int) -> np.ndarray:
    """Returns the evidence of the best stretch through every row, float `[n]`, 0 where there is none."""
    greatest = np.zeros(n)
    for length, step, found in windows:
        # Between one start and the next the same stretches go through every row, but for the last, which may end there.
        whole, part = divmod(length, step)
        between = -(-n // step)
        best, ends = np.zeros(between), np.zeros(between)
        for back in range(whole):
            upto = min(between - back, len(found))
            np.maximum(best[back : back + upto], found[:upto], out=best[back : back + upto])
        upto = max(0, min(between - whole, len(found)))
        ends[whole : whole + upto] = found[:upto]
        through = np.repeat(best[:, None], step, axis=1)
        through[:, :part] = np.maximum(through[:, :part], ends[:, None])
        np.maximum(greatest, through.reshape(-1)[:n], out=greatest)
    # All of them have as many degrees of freedom, so that the greatest is the least likely.
    return _tail(greatest, k)


def _best(windows: list[tuple[int, int, np.ndarray]], row: int) -> tuple[int, int]:
    """Returns the stretch of most evidence through `row`, the shortest of equals."""
    best, most = (row, row + 1), 0.0
    for length, step, found in windows:
        for index in range(min(row // step, len(found) - 1), -1, -1):
            if index * step + length <= row:
                break
            if found[index] > most:
                best, most = (index * step, index * step + length), float(found[index])
    return best


def _tail(statistic: np.ndarray, k: int) -> np.ndarray:
    """Returns -log10 P(chi-squared of k degrees >= statistic), also where that is too small for a float."""
    near = np.asarray(chdtrc(k, statistic))
    result = -np.log10(np.maximum(near, 1e-300))
    far = near <= 1e-250
    if far.any():
        # The tail's leading terms, good where the statistic is far beyond k, as it is there.
        half, order = np.asarray(statistic, float)[far] / 2.0, k / 2.0 - 1.0
        tail = half - order * np.log(half) + gammaln(k / 2.0) - np.log1p(np.maximum(order / half, 0.0))
        result = np.array(result)
        result[far] = tail / np.log(10.0)
    return result
