"""Rows as points on the scale that they are written on: numbers in deviations of their column, categories one-hot.

Where `Embedding` spreads ranks, so that no column dwarfs another, here what is far out stays far, and what was changed
by a little stays near, however crowded that part of its column is.
"""

from dataclasses import dataclass

import numpy as np

from vr.detector.inputs import Columns, Side

__all__ = ["PlainPoints"]

_FAR, _NULL = 30.0, -3.0
_CATEGORY = float(np.sqrt(0.5))  # so that two categories are one deviation apart


@dataclass(frozen=True)
class PlainPoints:
    """A map from rows to points, fitted to the reference.

    Attributes:
      numeric: Positions of the columns with numbers.
      centre: float `[q]`, of their numbers.
      spread: float `[q]`, likewise.
      first_nominal: Where one-hot coordinates begin among the embedding's.
    """

    numeric: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    first_nominal: int

    @classmethod
    def fit(cls, reference: Side, columns: Columns) -> "PlainPoints":
        """Fits to real rows."""
        numeric = np.flatnonzero(columns.numeric)
        numbers = np.where(np.isfinite(reference.values[:, numeric]), reference.values[:, numeric], np.nan)
        some = np.isfinite(numbers).any(axis=0)
        numeric, numbers = numeric[some], numbers[:, some]
        with np.errstate(over="ignore", invalid="ignore"):
            centre, spread = np.nanmean(numbers, axis=0), np.nanstd(numbers, axis=0)
        spread = np.where(np.isfinite(spread) & (spread > 0.0), spread, 1.0)
        # The embedding gives every ordered column one coordinate, and these come first.
        return cls(numeric, np.nan_to_num(centre), spread, int(columns.ordinal.sum()))

    def of(self, side: Side) -> np.ndarray:
        """Returns the points of rows, float32 `[n, p]`; a null number lies at -3, and none farther out than 30."""
        values = side.values[:, self.numeric]
        with np.errstate(over="ignore", invalid="ignore"):
            numbers = np.clip((values - self.centre) / self.spread, -_FAR, _FAR)
        nominal = np.where(side.features[:, self.first_nominal :] > 0.0, _CATEGORY, 0.0)
        return np.column_stack([np.where(np.isnan(values), _NULL, numbers), nominal]).astype(np.float32)
