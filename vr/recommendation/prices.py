"""What an action costs, and which actions nothing beats in both risk and price."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vr.recommendation.config import PricesConfig

__all__ = ["Price", "on_front", "price_of"]

_PASSES = 3  # over the dataset: `vr fix` decides, writes, and checks what it wrote


@dataclass(frozen=True)
class Price:
    """Of one action, in the table's currency; `core_seconds` are those of `vr fix`, without a validation after it."""

    total: float
    real_rows: float
    made_rows: float
    compute: float
    core_seconds: float


def price_of(prices: PricesConfig, *, num_rows: int, num_columns: int, added: int = 0, removed: int = 0) -> Price:
    """Returns what an action costs.

    Args:
      prices: The table.
      num_rows: Of the dataset as it is.
      num_columns: Likewise.
      added: Real rows to be acquired.
      removed: Rows that go, and are made anew elsewhere for the dataset to have its size again.
    """
    seconds = _PASSES * (num_rows + added) * num_columns / prices.cells_per_core_second
    real, made, compute = added * prices.real_row, removed * prices.made_row, seconds / 3600.0 * prices.core_hour
    return Price(real + made + compute, real, made, compute, seconds)


def on_front(prices: Sequence[float], risks: Sequence[float]) -> np.ndarray:
    """Returns which choices no other beats: bool `[n]`, False where another costs no more, risks no more, and one less.

    Args:
      prices: `[n]`.
      risks: `[n]`, after each.
    """
    price, risk = np.asarray(prices, float), np.asarray(risks, float)
    no_worse = (price[:, None] <= price) & (risk[:, None] <= risk)
    better = (price[:, None] < price) | (risk[:, None] < risk)
    return np.asarray(~(no_worse & better).any(axis=0))
