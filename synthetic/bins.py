"""One column as few codes, and values back from codes and a position within each.

`Bins` are for numbers: quantile bins, every heavy point mass in one of its own. `Levels` are for categories: the
commonest ones, and one code for all the rest. Both draw only from what was observed, `Bins` with straight lines in
between, so a family that models codes alone still gives back numbers of the column's own resolution.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

__all__ = ["Bins", "Levels"]


@dataclass(frozen=True)
class Bins:
    """Bins of a number column.

    Attributes:
      ordered: `[n]` the observed values, ascending.
      start, count: `[m]` where a bin's values begin in `ordered`, and how many there are, 1 or more.
    """

    ordered: np.ndarray
    start: np.ndarray
    count: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray, most: int) -> "Bins":
        """Returns at most `most` bins of `x`, `[n]` finite with n of 1 or more.

        Up to `most` distinct values get a bin each. Beyond, bins hold equal shares of the rows as far as ties allow,
        and a value that alone would fill one has it to itself.
        """
        ordered = np.sort(x)
        _, first, counts = np.unique(ordered, return_index=True, return_counts=True)
        opens = np.ones(len(first), bool)
        shares = most
        while opens.sum() > most:
            opens = _opens(counts, shares)
            shares -= 1
        start = first[opens]
        return cls(ordered, start, np.diff(start, append=len(x)))

    @property
    def num_codes(self) -> int:
        """Number of bins."""
        return len(self.start)

    def encode(self, x: np.ndarray) -> np.ndarray:
        """Returns the bin of each value; one between two bins belongs to the upper."""
        below = np.searchsorted(self.ordered, x, side="right") - 1
        code = np.searchsorted(self.start, below, side="right") - 1
        last = self.ordered[self.start[code] + self.count[code] - 1]
        return np.clip(code + (x > last), 0, self.num_codes - 1)

    def position(self, x: np.ndarray) -> np.ndarray:
        """Returns the mid-rank of each value within its bin, in 0..1."""
        code = self.encode(x)
        both = np.searchsorted(self.ordered, x, side="left") + np.searchsorted(self.ordered, x, side="right")
        return np.clip((both / 2 - self.start[code]) / self.count[code], 0.0, 1.0)

    def value(self, code: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Returns the quantile `u`, in 0..1, of the values in each bin, linear between neighbours."""
        # As in `NumberMarginal.quantile`: the i-th of k values sits at (i + 1/2) / k.
        place = np.clip(u * self.count[code] - 0.5, 0.0, self.count[code] - 1.0)
        lower = place.astype(np.int64)
        upper = np.minimum(lower + 1, self.count[code] - 1)
        a, b = self.ordered[self.start[code] + lower], self.ordered[self.start[code] + upper]
        return a + (place - lower) * (b - a)

    def log_measure(self) -> np.ndarray:
        """Returns `[m]` the log of each bin's size, for whoever tempers a density rather than shares.

        The size of a bin is its width in normal scores, relative to the mean width; that of a point mass is 1.
        """
        n = len(self.ordered)
        edges = ndtri(np.clip(np.append(self.start, n) / n, 0.5 / n, 1 - 0.5 / n))
        spread = self.ordered[self.start] < self.ordered[self.start + self.count - 1]
        width = np.where(spread, np.maximum(np.diff(edges), 1e-9), 1.0)
        return np.where(spread, np.log(width / width[spread].mean() if spread.any() else width), 0.0)


@dataclass(frozen=True)
class Levels:
    """Codes of a category column.

    Attributes:
      common: Levels with a code of their own, most frequent first.
      rest, counts: The other levels that were seen, and how often; they share one code, the last.
    """

    common: np.ndarray
    rest: np.ndarray
    counts: np.ndarray

    @classmethod
    def fit(cls, codes: np.ndarray, num_levels: int, most: int) -> "Levels":
        """Returns at most `most` codes, 2 or more, for `codes`, `[n]` in `0 .. num_levels - 1`."""
        counts = np.bincount(codes, minlength=num_levels)
        order = np.argsort(-counts, kind="stable")
        order = order[counts[order] > 0]
        cut = len(order) if len(order) <= most else most - 1
        return cls(order[:cut], order[cut:], counts[order[cut:]])

    @property
    def num_codes(self) -> int:
        """Number of codes."""
        return len(self.common) + (len(self.rest) > 0)

    def encode(self, levels: np.ndarray) -> np.ndarray:
        """Returns the code of each level."""
        code = np.full(int(max(levels.max(initial=0), self.common.max(), self.rest.max(initial=0))) + 1, -1)
        code[self.common] = np.arange(len(self.common))
        code[self.rest] = len(self.common)
        return code[levels]

    def value(self, code: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Returns the level of each code; among the rest the one at `u`, in 0..1, of their frequencies."""
        if not len(self.rest):
            return self.common[code]
        cumulative = np.cumsum(self.counts / self.counts.sum())
        drawn = self.rest[np.minimum(np.searchsorted(cumulative, u, side="right"), len(self.rest) - 1)]
        return np.where(code < len(self.common), self.common[np.minimum(code, len(self.common) - 1)], drawn)

    def log_measure(self) -> np.ndarray:
        """Returns zeros: every level is of size 1."""
        return np.zeros(self.num_codes)


def _opens(counts: np.ndarray, shares: int) -> np.ndarray:
    """Whether each distinct value opens a new bin, where `shares` equal ones are wanted."""
    n = counts.sum()
    heavy = counts * shares >= n
    share = np.floor((np.cumsum(counts) - counts / 2) / n * shares)
    opens = np.ones(len(counts), bool)
    opens[1:] = (np.diff(share) > 0) | heavy[1:] | heavy[:-1]
    return opens
