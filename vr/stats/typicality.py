"""How far out in its column each cell lies: -log10 of the share of real rows that lie as far out or farther."""

from dataclasses import dataclass

import numpy as np

from vr.stats.search import SortedKeys

__all__ = ["Typicality", "fit_typicality"]

_PER_RANGE = 4.0  # evidence, in factors of ten, for each central range that a number lies beyond all real ones
_MOST_BEYOND = 4.0
_BLOCK_ROWS = 4_096  # whose cells are read at once, within a core's cache


@dataclass(frozen=True)
class Typicality:
    """What real rows have in each column.

    Attributes:
      known: For each column its distinct numbers; None for a column without numbers.
      evidence: For each column float `[2 m + 1]`, of what lies before each of them, and of each, in turn, and of what
        lies behind the last.
      central: float `[d]`, what a column's central 96 % spans, at least a thousandth of its range.
      rarity: For each column float `[K]`, -log10 of the share of rows with a code as rare or rarer.
    """

    known: tuple[SortedKeys | None, ...]
    evidence: tuple[np.ndarray, ...]
    central: np.ndarray
    rarity: tuple[np.ndarray, ...]

    def read(self, codes: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Returns the evidence of each cell, float `[n, d]`, of unsigned `codes` and float `values` `[n, d]`."""
        result = np.empty(codes.shape)
        for j, (known, rarity) in enumerate(zip(self.known, self.rarity, strict=True)):
            if known is None:
                result[:, j] = rarity.take(codes[:, j], mode="clip")
                continue
            x = values[:, j]
            place = known.place(x)
            result[:, j] = self.evidence[j].take(2 * place + known.is_at(place, x))
            low, high = known.keys[0], known.keys[-1]
            beyond = np.flatnonzero((x < low) | (x > high))
            with np.errstate(over="ignore", invalid="ignore"):
                ranges = np.maximum(low - x[beyond], x[beyond] - high) / self.central[j]
            result[beyond, j] += np.minimum(_PER_RANGE * ranges, _MOST_BEYOND)
            missing = np.flatnonzero(np.isnan(x))
            result[missing, j] = rarity.take(codes[missing, j], mode="clip")
        return result

    def extremes(self, codes: np.ndarray, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the greatest evidence of each row's cells, and that of all of them added up, both float `[n]`."""
        greatest, total = np.empty(len(codes)), np.empty(len(codes))
        for start in range(0, len(codes), _BLOCK_ROWS):
            rows = slice(start, start + _BLOCK_ROWS)
            cells = self.read(codes[rows], values[rows])
            greatest[rows], total[rows] = cells.max(axis=1, initial=0.0), cells.sum(axis=1)
        return greatest, total


def fit_typicality(codes: np.ndarray, values: np.ndarray, numeric: np.ndarray, num_codes: np.ndarray) -> Typicality:
    """Reads off real rows what is typical.

    Args:
      codes: Unsigned `[n, d]`.
      values: float `[n, d]`, NaN where there is no number.
      numeric: bool `[d]`, columns that have numbers.
      num_codes: int `[d]`.
    """
    known, evidence, central, rarity = [], [], np.ones(len(num_codes)), []
    for j, k in enumerate(num_codes):
        counts = np.bincount(codes[:, j], minlength=k)
        order = np.argsort(counts, kind="stable")
        # Codes as rare as each, itself included.
        share = np.cumsum(counts[order])[np.searchsorted(counts[order], counts, side="right") - 1]
        rarity.append(-np.log10((share + 1.0) / (len(codes) + 1.0)))
        x = np.sort(values[np.isfinite(values[:, j]), j]) if numeric[j] else np.zeros(0)
        if len(x):
            low, high = np.quantile(x, [0.02, 0.98])
            with np.errstate(over="ignore"):
                central[j] = max(high - low, 1e-3 * (x[-1] - x[0])) or 1.0
        distinct, counts = np.unique(x, return_counts=True)
        upto = np.concatenate([[0], np.cumsum(counts)])
        either = np.empty(2 * len(distinct) + 1)
        either[::2] = _evidence(upto, len(x) - upto, len(x))
        # Of a number's own ties both sides have all.
        either[1::2] = _evidence(upto[1:], len(x) - upto[:-1], len(x))
        known.append(SortedKeys(distinct) if len(distinct) else None)
        evidence.append(either)
    return Typicality(tuple(known), tuple(evidence), central, tuple(rarity))


def _evidence(below: np.ndarray, above: np.ndarray, rows: int) -> np.ndarray:
    """Returns -log10 of the two-sided tail, of how many of `rows` real numbers lie at or below and at or above."""
    return -np.log10(np.minimum(1.0, 2.0 * (np.minimum(above, below) + 1.0) / (rows + 1.0)))
