"""Rules that a reference keeps: ranges, whole numbers, functional dependencies, combinations that never occur."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vr.stats.dependence import pair_tables

if TYPE_CHECKING:
    from vr.detector.inputs import Columns, Side

__all__ = ["Rules"]

_MIN_SUPPORT = 3  # rows a value needs before its partner counts as decided by it
_MIN_EXPECTED = 8.0  # rows expected of a combination before its absence is a rule: by chance absent once in 3,000


@dataclass(frozen=True)
class Rules:
    """Rules read off one sample, to be held against another of similar size.

    Attributes:
      columns: The encoded columns.
      pairs: Columns whose pairs were looked at, positions `[p]`.
      seen: bool `[d, K]`, codes that occur.
      low: Least number of each column `[d]`, inf where there are none.
      high: Greatest number of each column `[d]`.
      whole: bool `[d]`, numeric columns of whole numbers only.
      decided: By pair (a, b) where a decides b: the partner code of each code of a, -1 where a's code is too rare.
      impossible: By pair (a, b): bool `[K_a, K_b]`, combinations that ought to occur by chance and do not.
    """

    columns: "Columns"
    pairs: np.ndarray
    seen: np.ndarray
    low: np.ndarray
    high: np.ndarray
    whole: np.ndarray
    decided: dict[tuple[int, int], np.ndarray]
    impossible: dict[tuple[int, int], np.ndarray]

    @classmethod
    def fit(cls, base: "Side", columns: "Columns", pairs: np.ndarray) -> "Rules":
        """Reads the rules off `base`."""
        num_codes = columns.num_codes
        seen = np.zeros((len(num_codes), int(num_codes.max())), bool)
        for j in range(len(num_codes)):
            seen[j, np.unique(base.codes[:, j])] = True
        low = np.where(np.isnan(base.values), np.inf, base.values).min(axis=0, initial=np.inf)
        high = np.where(np.isnan(base.values), -np.inf, base.values).max(axis=0, initial=-np.inf)
        whole = columns.numeric & ~_has_fraction(base.values).any(axis=0)
        decided: dict[tuple[int, int], np.ndarray] = {}
        impossible: dict[tuple[int, int], np.ndarray] = {}
        for i, tables in pair_tables(base.codes[:, pairs], num_codes[pairs]):
            for offset, padded in enumerate(tables):
                a, b = int(pairs[i]), int(pairs[i + 1 + offset])
                table = padded[: num_codes[a], : num_codes[b]]
                for key, counts in (((a, b), table), ((b, a), table.T)):
                    partner = _decides(counts)
                    if partner is not None:
                        decided[key] = partner
                expected = np.outer(table.sum(1), table.sum(0)) / max(1, table.sum())
                absent = (table == 0) & (expected >= _MIN_EXPECTED)
                if absent.any():
                    impossible[(a, b)] = absent
        return cls(columns, pairs, seen, low, high, whole, decided, impossible)

    def violations(self, x: "Side") -> dict[str, float]:
        """Returns the share of cells or rows of `x` that break each kind of rule, each 0 to 1."""
        off_grid = _has_fraction(x.values[:, self.whole])
        return {
            "out_of_range_fraction": float(self.out_of_range(x).mean()),
            "off_grid_fraction": float(off_grid.mean()) if off_grid.size else 0.0,
            "dependency_violations": float(self.broken_dependencies(x.codes).mean()),
            "impossible_combinations": float(self.impossible_rows(x.codes).mean()),
        }

    def out_of_range(self, x: "Side") -> np.ndarray:
        """Returns which cells hold a number beyond the range or a category that never occurs, bool `[n, d]`."""
        outside = (x.values < self.low) | (x.values > self.high)
        nominal = np.flatnonzero(~self.columns.ordinal)
        outside[:, nominal] = ~self.seen[nominal, x.codes[:, nominal]]
        return outside

    def broken_dependencies(self, codes: np.ndarray) -> np.ndarray:
        """Returns which rows break a functional dependency, bool `[n]`."""
        broken = np.zeros(len(codes), bool)
        for (a, b), partner in self.decided.items():
            expected = partner[codes[:, a]]
            broken |= (expected >= 0) & (expected != codes[:, b])
        return broken

    def impossible_rows(self, codes: np.ndarray) -> np.ndarray:
        """Returns which rows hold a combination that the reference never has, bool `[n]`."""
        found = np.zeros(len(codes), bool)
        for (a, b), absent in self.impossible.items():
            found |= absent[codes[:, a], codes[:, b]]
        return found


def _has_fraction(values: np.ndarray) -> np.ndarray:
    return np.isfinite(values) & (values != np.rint(values))


def _decides(counts: np.ndarray) -> np.ndarray | None:
    """Returns the partner of each row's code where the rows decide the columns without exception, else None."""
    supported = counts.sum(1) >= _MIN_SUPPORT
    if supported.sum() < 2 or ((counts > 0).sum(1)[supported] > 1).any():
        return None
    partner = np.where(supported, counts.argmax(1), -1)
    # A partner that is the same for every code is a constant, not a dependency.
    return partner if len(np.unique(partner[supported])) > 1 else None
