"""Members of the cascade: which rows each seed trains on and is judged by, the same for all its arms."""

from dataclasses import dataclass

import numpy as np

from vr.cascade.config import CascadeConfig
from vr.core.errors import DataError
from vr.core.rng import generator

__all__ = ["Rows", "Shares", "drawn_of", "log_marginals", "marginal_losses", "rows_of", "shares"]

_LEAST_ROWS = 12


@dataclass(frozen=True)
class Shares:
    """How many rows an arm trains on and how many judge it."""

    train: int
    test: int


@dataclass(frozen=True)
class Rows:
    """One seed's rows of the reference, positions; disjoint, and each seed draws its own."""

    reference: np.ndarray
    null: np.ndarray
    test: np.ndarray


def shares(num_reference: int, num_candidate: int, config: CascadeConfig) -> Shares:
    """Returns the sizes: 40 % of the reference for each of two real arms, 20 % to judge; no arm has more rows.

    Raises:
      DataError: where too few rows are left.
    """
    train = min(int(0.4 * num_reference), num_candidate, config.train_rows)
    test = min(num_reference - 2 * train, config.test_rows)
    if min(train, test) < _LEAST_ROWS:
        raise DataError(
            f"too few rows to train proxies: {num_reference} in the reference, {num_candidate} in the candidate",
            hint="give more rows, or cascade=none",
        )
    return Shares(train, test)


def rows_of(shares: Shares, num_reference: int, seed: int, tier: str, member: int) -> Rows:
    """Returns the rows of one member; a small reference is judged by folds, since members differ."""
    order = generator(seed, "cascade", tier, member, "rows").permutation(num_reference)
    test, rest = order[: shares.test], order[shares.test :]
    return Rows(rest[: shares.train], rest[shares.train : 2 * shares.train], test)


def drawn_of(shares: Shares, num_candidate: int, seed: int, tier: str, member: int) -> np.ndarray:
    """Returns the rows of the candidate that one member trains on, positions."""
    return generator(seed, "cascade", tier, member, "candidate").permutation(num_candidate)[: shares.train]


def log_marginals(codes: np.ndarray, num_codes: np.ndarray, invalid: float) -> np.ndarray:
    """Returns smoothed log-probabilities of each column's codes, float32 `[d, K]`, and `invalid` beyond them."""
    result = np.full((len(num_codes), int(num_codes.max())), invalid, np.float32)
    for j, k in enumerate(num_codes):
        counts = np.bincount(codes[:, j], minlength=k)
        result[j, :k] = np.log((counts + 0.5) / (len(codes) + 0.5 * k))
    return result


def marginal_losses(codes: np.ndarray, log_probabilities: np.ndarray) -> np.ndarray:
    """Returns the negative log-likelihood of every cell under the marginals alone, `[n, d]` in nats."""
    return -log_probabilities[np.arange(codes.shape[1]), codes]
