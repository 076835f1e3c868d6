"""Evidence on one scale: how rare a row's reading would be among real rows, as -log10 of its tail probability."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from vr.stats.search import SortedKeys

__all__ = ["TailScale"]


@dataclass(frozen=True)
class TailScale:
    """Upper-tail probabilities of a reading, calibrated on reference rows.

    Within the null sample the probability is empirical; beyond its greatest value the tail goes on exponentially at the
    rate of its upper tenth, so that extreme rows keep an order. Where the upper tenth is one value there is none, and
    what lies beyond it is as rare as one in the sample's size.

    Attributes:
      null: float64 ascending, the reading on reference rows.
      rate: Readings for each further factor of ten; infinite where it is not known.
    """

    null: np.ndarray
    rate: float

    @classmethod
    def fit(cls, null: np.ndarray) -> "TailScale":
        """Calibrates on `null` (float `[n]`, at least one value)."""
        null = np.sort(np.asarray(null, float))
        upper = null[-1] - np.quantile(null, 0.9)
        rate = float(upper) / max(1.0, np.log10(0.1 * len(null) + 1.0))
        return cls(null, rate if upper > 1e-9 * max(1.0, abs(null[-1])) else np.inf)

    @cached_property
    def _within(self) -> tuple[SortedKeys, np.ndarray]:
        """The distinct null readings, and the evidence of a reading by how many of them are smaller."""
        distinct, first = np.unique(self.null, return_index=True)
        above = len(self.null) - np.append(first, len(self.null))
        return SortedKeys(distinct), -np.log10((above + 1.0) / (len(self.null) + 1.0))

    def __call__(self, readings: np.ndarray) -> np.ndarray:
        """Returns -log10 P(null >= reading) for each reading `[n]`, at least 0; NaN readings count as 0."""
        readings = np.asarray(readings, float)
        keys, evidence = self._within
        result = evidence.take(keys.place(readings))
        beyond = np.flatnonzero(readings > self.null[-1])
        result[beyond] += np.minimum((readings[beyond] - self.null[-1]) / self.rate, 6.0)
        result[np.isnan(readings)] = 0.0
        return result
