"""How diverse a sample is, from counts: entropy, inequality, order-2 Vendi score.

Functions of counts work along the last axis, so a padded `[d, k]` table gives `[d]` answers. What is counted over joint
patterns lives in `patterns` and is offered here too.
"""

import numpy as np

from vr.stats.patterns import (
    MissingMass,
    chao1,
    effective_generations,
    effective_generations_interval,
    missing_mass,
    pattern_ids,
    uncovered_mass,
    uncovered_pair_mass,
)

__all__ = [
    "MissingMass",
    "chao1",
    "effective_generations",
    "effective_generations_interval",
    "entropy_deficit",
    "entropy_nats",
    "gini",
    "gini_simpson",
    "missing_mass",
    "pattern_ids",
    "uncovered_mass",
    "uncovered_pair_mass",
    "vendi_order2",
]

_BLOCK_ROWS = 4_096


def entropy_nats(counts: np.ndarray, miller_madow: bool = True) -> np.ndarray:
    """Returns the Shannon entropy of histograms in nats.

    Args:
      counts: Integers `[..., k]` at least 0.
      miller_madow: Add `(occupied codes - 1) / 2n`, which removes the leading bias of the plain estimate.

    Returns:
      `[...]` at least 0: 0 where one code has all the mass; NaN without rows. The plain estimate is at most ln k.

    References:
      Miller 1955, Note on the bias of information estimates.
    """
    counts = np.asarray(counts, float)
    total = counts.sum(axis=-1)
    total = np.where(total > 0, total, np.nan)
    weighted = (counts * np.log(np.maximum(counts, 1.0))).sum(axis=-1)
    entropy = np.maximum(np.log(total) - weighted / total, 0.0)
    if miller_madow:
        entropy = entropy + (np.count_nonzero(counts, axis=-1) - 1) / (2.0 * total)
    return entropy


def entropy_deficit(reference_counts: np.ndarray, candidate_counts: np.ndarray) -> np.ndarray:
    """Returns how much entropy a candidate lacks against a reference, in nats.

    Args:
      reference_counts: Integers `[..., k]`.
      candidate_counts: Integers `[..., k]`.

    Returns:
      `[...]`: positive where the candidate is less diverse, 0 for equal shares (up to the bias correction), negative
      where it is more diverse; NaN where a side is empty.
    """
    return entropy_nats(reference_counts) - entropy_nats(candidate_counts)


def gini_simpson(counts: np.ndarray) -> np.ndarray:
    """Returns the probability that two different rows carry different codes, without bias.

    Args:
      counts: Integers `[..., k]` at least 0.

    Returns:
      `[...]` in [0, 1]: 0 where one code has all the mass, 1 where no code occurs twice; NaN below two rows.

    References:
      Simpson 1949, Measurement of diversity.
    """
    counts = np.asarray(counts, float)
    total = counts.sum(axis=-1)
    pairs = np.where(total > 1, total * (total - 1.0), np.nan)
    return 1.0 - (counts * (counts - 1.0)).sum(axis=-1) / pairs


def gini(counts: np.ndarray) -> np.ndarray:
    """Returns the Gini coefficient of inequality among the counts of all codes given, empty ones included.

    Args:
      counts: `[..., k]` at least 0; here padding does count, so pass only real codes.

    Returns:
      `[...]` in [0, 1 - 1/k]: 0 for equal counts, `1 - 1/k` where one code has all the mass; NaN where empty.

    References:
      Gini 1912; here in the order-statistic form `sum (2 i - k - 1) c_(i) / (k sum c)`.
    """
    counts = np.sort(np.asarray(counts, float), axis=-1)
    k = counts.shape[-1]
    total = counts.sum(axis=-1)
    weights = 2.0 * np.arange(1, k + 1) - k - 1.0
    return counts @ weights / (k * np.where(total > 0, total, np.nan))


def vendi_order2(features: np.ndarray) -> float:
    """Returns the order-2 Vendi score `1 / ||K / n||_F^2`: the effective number of different rows.

    K holds the cosines between rows. The norm is that of the p x p Gram matrix too, so the smaller one is formed; no
    eigenvalues are needed, and unlike the order-1 score it has converged at a few thousand rows.

    Args:
      features: `float [n, p]`, one-hot codes or standardised numbers; rows of zeros count as identical.

    Returns:
      In [1, min(n, p + 1)]: 1 where all rows point one way; NaN without rows.

    References:
      Friedman and Dieng 2023, The Vendi score; Jalali et al. 2023, An information-theoretic evaluation of generative
      models (RKE), eq. 5.
    """
    num_rows, num_features = features.shape
    if num_rows == 0:
        return float("nan")
    if num_features >= num_rows:
        unit, num_zero = _directions(features)
        gram = unit @ unit.T
    else:
        # In blocks: in double precision a wide sample takes many times its own memory.
        gram, num_zero = np.zeros((num_features, num_features)), 0
        for start in range(0, num_rows, _BLOCK_ROWS):
            unit, zeros = _directions(features[start : start + _BLOCK_ROWS])
            gram += unit.T @ unit
            num_zero += zeros
    # A zero row has no direction; it gets one of its own, shared with the other zero rows.
    return float(1.0 / (np.square(gram / num_rows).sum() + (num_zero / num_rows) ** 2))


def _directions(features: np.ndarray) -> tuple[np.ndarray, int]:
    """Returns rows of length 1, float64 `[n, p]`, zero rows as they are, and how many of these there are."""
    features = np.asarray(features, float)
    lengths = np.linalg.norm(features, axis=1)
    return features / np.where(lengths > 0, lengths, 1.0)[:, None], int((lengths == 0).sum())
