"""How well a sample stands for all rows: what it says of every column beside what was counted of every row.

References:
  Massart 1990, The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality.
  Kish 1965, Survey sampling, section 11.7: the effective size of a weighted sample.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["Standing", "correlations", "effective_rows", "standing"]

LEVEL = 0.95  # of the band, column by column


@dataclass(frozen=True)
class Standing:
    """What a sample of n rows with weights w says, against the counts of all rows.

    Attributes:
      rows: n.
      effective_rows: (sum w)^2 / sum w^2: of equal weights n.
      band: Largest Kolmogorov-Smirnov distance that a sample drawn at random, of as many rows as are effective, keeps
        to with a probability of `LEVEL` or more.
      ks: float `[d]`, each column's distance, over its codes in their order.
      entropy_difference: float `[d]`, each column's plain entropy less that of all rows, in nats.
    """

    rows: int
    effective_rows: float
    band: float
    ks: np.ndarray
    entropy_difference: np.ndarray

    @property
    def confidence(self) -> float:
        """Share of the columns whose distance lies within the band, 0 to 1; about `LEVEL` or more where all is well."""
        return float(np.mean(self.ks <= self.band))


def standing(codes: np.ndarray, weights: np.ndarray, counts: np.ndarray) -> Standing:
    """Returns how a sample stands for all rows.

    The band is Massart's, sqrt(ln(2 / (1 - LEVEL)) / (2 n)): it holds for n independent rows, the more so for rows
    drawn without replacement. For unequal weights n is Kish's effective size, which is no theorem but a convention.

    Args:
      codes: uint16 `[n, d]`, at least one row.
      weights: float `[n]`, above 0.
      counts: int64 `[d, K]`, of all rows.
    """
    num = effective_rows(weights)
    shares = np.stack([np.bincount(column, weights, counts.shape[1]) for column in codes.T]) / weights.sum()
    known = counts / counts.sum(axis=1, keepdims=True)
    return Standing(
        len(codes),
        num,
        float(np.sqrt(np.log(2.0 / (1.0 - LEVEL)) / (2.0 * num))),
        np.abs(np.cumsum(shares - known, axis=1)).max(axis=1),
        _entropy(shares) - _entropy(known),
    )


def effective_rows(weights: np.ndarray) -> float:
    """Returns Kish's effective size of a sample with weights `[n]` above 0, between 1 and n."""
    return float(weights.sum() ** 2 / np.square(weights).sum())


def correlations(codes: np.ndarray, weights: np.ndarray, num_codes: np.ndarray) -> np.ndarray:
    """Returns Spearman's rank correlation of every pair of columns of weighted rows, ties by midranks.

    Args:
      codes: uint16 `[n, d]`.
      weights: float `[n]`, above 0.
      num_codes: `[d]`.

    Returns:
      float64 `[d, d]`, 1 on the diagonal, 0 against a constant column.
    """
    ranks = np.empty(codes.shape)
    for j, column in enumerate(codes.T):
        mass = np.bincount(column, weights, int(num_codes[j]))
        ranks[:, j] = (np.cumsum(mass) - 0.5 * mass)[column]
    ranks -= np.average(ranks, axis=0, weights=weights)
    covariance = (ranks * weights[:, None]).T @ ranks
    spread = np.sqrt(np.diag(covariance))
    # Centring leaves rounding behind, which is not a spread.
    spread[spread <= 1e-9 * weights.sum() ** 1.5] = np.inf
    result = covariance / np.outer(spread, spread)
    np.fill_diagonal(result, 1.0)
    return result


def _entropy(shares: np.ndarray) -> np.ndarray:
    return -(shares * np.log(np.where(shares > 0, shares, 1.0))).sum(axis=1)
