"""One column at a time: empirical quantiles of numbers, tempered frequencies of codes."""

from dataclasses import dataclass

import numpy as np

__all__ = ["CodeMarginal", "NumberMarginal", "temper", "temper_sized"]


def temper(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Returns `p ** (1 / temperature)`, normalised over the last axis; zero stays zero.

    Args:
      probabilities: `[..., k]`, non-negative, with a positive sum along the last axis.
      temperature: Positive.
    """
    # Dividing by the largest first keeps a low temperature from underflowing to 0 / 0.
    relative = probabilities / probabilities.max(axis=-1, keepdims=True)
    powered = relative ** (1.0 / temperature)
    return powered / powered.sum(axis=-1, keepdims=True)


def temper_sized(probabilities: np.ndarray, log_measure: np.ndarray, temperature: float) -> np.ndarray:
    """Returns `m (p / m) ** (1 / temperature)`, normalised over the last axis: the density is tempered, not the share.

    Among quantile bins of a number all shares are alike, and sharpening them would only favour chance.

    Args:
      probabilities: As for `temper`.
      log_measure: `[k]` log of the size m of each outcome; zeros make it `temper`.
      temperature: Positive.
    """
    with np.errstate(divide="ignore"):
        log_density = np.log(probabilities) - log_measure
    # Tempering the excess over the densest outcome keeps a low temperature from overflowing.
    excess = log_density - log_density.max(axis=-1, keepdims=True)
    powered = np.exp(excess / temperature + log_measure)
    return powered / powered.sum(axis=-1, keepdims=True)


@dataclass(frozen=True)
class NumberMarginal:
    """Empirical distribution of a number column, linear between neighbouring values.

    Attributes:
      ordered: `[n]` the observed values, ascending.
    """

    ordered: np.ndarray

    @classmethod
    def fit(cls, x: np.ndarray) -> "NumberMarginal":
        """Returns the distribution of `x`, `[n]` finite."""
        return cls(np.sort(x))

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """Returns the values below which a share `u` of the distribution lies; `u` in 0..1.

        The i-th smallest value sits at (i + 1/2) / n, so a value that fills a share of the rows keeps that share.
        """
        n = len(self.ordered)
        return np.interp(u * n - 0.5, np.arange(n), self.ordered)

    def mid_rank(self, x: np.ndarray) -> np.ndarray:
        """Returns the mean of P(X < x) and P(X <= x): in 0..1, ties share one value."""
        below = np.searchsorted(self.ordered, x, side="left")
        up_to = np.searchsorted(self.ordered, x, side="right")
        return (below + up_to) / (2 * len(self.ordered))


@dataclass(frozen=True)
class CodeMarginal:
    """Frequencies of a code column.

    Attributes:
      probabilities: `[k]`, sums to 1.
    """

    probabilities: np.ndarray

    @classmethod
    def fit(cls, codes: np.ndarray, num_levels: int) -> "CodeMarginal":
        """Returns the frequencies of `codes`, `[n]` integers in `0 .. num_levels - 1`."""
        return cls(np.bincount(codes, minlength=num_levels) / len(codes))

    def quantile(self, u: np.ndarray) -> np.ndarray:
        """Returns the first code whose cumulative frequency exceeds `u`, in 0..1."""
        cumulative = np.cumsum(self.probabilities)
        last = int(np.flatnonzero(self.probabilities)[-1])
        return np.minimum(np.searchsorted(cumulative, u, side="right"), last)

    def mid_rank(self, codes: np.ndarray) -> np.ndarray:
        """Returns for each code the mean of P(C < c) and P(C <= c)."""
        return (np.cumsum(self.probabilities) - self.probabilities / 2)[codes]
