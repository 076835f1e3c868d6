"""How far out in its column each cell lies: -log10 of the share of real rows that lie as far out or farther."""

from dataclasses import dataclass

import numpy as np

__all__ = ["Typicality", "fit_typicality"]

_PER_RANGE = 4.0  # evidence, in factors of ten, for each central range that a number lies beyond all real ones
_MOST_BEYOND = 4.0


@dataclass(frozen=True)
class Typicality:
    """What real rows have in each column.

    Attributes:
      known: For each column its distinct numbers, ascending; none for a column without numbers.
      at: For each column float `[m]`, the evidence of each of them; before: float `[m + 1]`, of what lies before each.
      central: float `[d]`, what a column's central 96 % spans, at least a thousandth of its range.
      rarity: For each column float `[K]`, -log10 of the share of rows with a code as rare or rarer.
    """

    known: tuple[np.ndarray, ...]
    at: tuple[np.ndarray, ...]
    before: tuple[np.ndarray, ...]
    central: np.ndarray
    rarity: tuple[np.ndarray, ...]

    def read(self, codes: np.ndarray, values: np.ndarray) -> np.ndarray:
        """Returns the evidence of each cell, float `[n, d]`, of unsigned `codes` and float `values` `[n, d]`."""
        result = np.empty(codes.shape)
        for j, (known, rarity) in enumerate(zip(self.known, self.rarity, strict=True)):
            by_code = rarity[np.minimum(codes[:, j], len(rarity) - 1)]
            if not len(known):
                result[:, j] = by_code
                continue
            x = values[:, j]
            place = np.searchsorted(known, x)
            reached = np.minimum(place, len(known) - 1)
            found = np.where(known[reached] == x, self.at[j][reached], self.before[j][place])
            with np.errstate(over="ignore", invalid="ignore"):
                beyond = np.maximum(np.maximum(x - known[-1], known[0] - x), 0.0) / self.central[j]
            found += np.minimum(_PER_RANGE * beyond, _MOST_BEYOND)
            result[:, j] = np.where(np.isnan(x), by_code, found)
        return result


def fit_typicality(codes: np.ndarray, values: np.ndarray, numeric: np.ndarray, num_codes: np.ndarray) -> Typicality:
    """Reads off real rows what is typical.

    Args:
      codes: Unsigned `[n, d]`.
      values: float `[n, d]`, NaN where there is no number.
      numeric: bool `[d]`, columns that have numbers.
      num_codes: int `[d]`.
    """
    known, at, before, central, rarity = [], [], [], np.ones(len(num_codes)), []
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
        known.append(distinct)
        # Of a number's own ties both sides have all.
        at.append(_evidence(upto[1:], len(x) - upto[:-1], len(x)))
        before.append(_evidence(upto, len(x) - upto, len(x)))
    return Typicality(tuple(known), tuple(at), tuple(before), central, tuple(rarity))


def _evidence(below: np.ndarray, above: np.ndarray, rows: int) -> np.ndarray:
    """Returns -log10 of the two-sided tail, of how many of `rows` real numbers lie at or below and at or above."""
    return -np.log10(np.minimum(1.0, 2.0 * (np.minimum(above, below) + 1.0) / (rows + 1.0)))
