"""Near copies: how much closer a row lies to an earlier row of its file than real rows lie to each other.

Distances are between numbers in their column's standard deviations, and categories: a copy that was jittered, rounded
or lightly edited is close in these, where ranks would blow small changes up in the crowded part of a column. Divided by
the distance to the nearest reference row, since in a crowd everybody has near neighbours. Of two rows that are copies of
each other the later one is read as the copy.
"""

from dataclasses import dataclass, replace

import numpy as np

from vr.detector.embedding import Embedding
from vr.detector.inputs import Columns, Side
from vr.stats.coverage import nearest_neighbours

__all__ = ["NearCopies"]

_NEIGHBOURS = 4  # looked at, until one is earlier and no exact copy
_SAME = 1e-9
_SMALL = 1e-3  # deviations that no difference is told from
_FAR, _NULL = 30.0, -3.0
_CATEGORY = float(np.sqrt(0.5))  # so that two categories are one deviation apart


@dataclass(frozen=True)
class NearCopies:
    """The earlier rows that near copies are looked for among.

    Attributes:
      numeric: Positions of the columns with numbers.
      centre: float `[q]`, of their numbers in the reference.
      spread: float `[q]`, likewise.
      first_nominal: Where one-hot coordinates begin among the embedding's.
      earlier: float32 `[n, p]`, rows of the candidate's sample as points.
      rows: int64 `[n]`, their row numbers, ascending.
      reference: float32 `[m, p]`, what closeness is relative to.
      null: float, readings of reference rows as if half of them were a file.
      crowding: How many times more candidate rows than there were in the null, at least 1.
    """

    numeric: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    first_nominal: int
    earlier: np.ndarray
    rows: np.ndarray
    reference: np.ndarray
    null: np.ndarray
    crowding: float

    @classmethod
    def fit(
        cls, candidate: Side, reference: Side, columns: Columns, embedding: Embedding, max_rows: int
    ) -> "NearCopies":
        """Fits to both samples; of the reference to `max_rows` rows at most."""
        numeric = np.flatnonzero(columns.numeric)
        numbers = np.where(np.isfinite(reference.values[:, numeric]), reference.values[:, numeric], np.nan)
        some = np.isfinite(numbers).any(axis=0)
        numeric, numbers = numeric[some], numbers[:, some]
        with np.errstate(over="ignore", invalid="ignore"):
            centre, spread = np.nanmean(numbers, axis=0), np.nanstd(numbers, axis=0)
        spread = np.where(np.isfinite(spread) & (spread > 0.0), spread, 1.0)
        empty = np.zeros((0, 1), np.float32)
        made = cls(
            numeric, centre, spread, len(embedding.ordinal), empty, np.zeros(0, np.int64), empty, np.zeros(0), 1.0
        )
        points = made._points(reference.values, reference.features)[:max_rows]
        # As the candidate is read: one half of the reference as the file, the other as what it is held against.
        half = len(points) // 2
        file, around = points[:half], points[half:]
        order = np.arange(half)
        return replace(
            made,
            earlier=made._points(candidate.values, candidate.features),
            rows=candidate.rows,
            reference=around,
            null=_closeness(file, order, file, order, around),
            crowding=max(1.0, len(candidate) / max(1, half)),
        )

    def read(self, side: Side) -> np.ndarray:
        """Returns log(distance to the reference / distance to an earlier row), `[n]`; very low where none is near."""
        points = self._points(side.values, side.features)
        return _closeness(points, side.rows, self.earlier, self.rows, self.reference)

    def _points(self, values: np.ndarray, features: np.ndarray) -> np.ndarray:
        with np.errstate(over="ignore", invalid="ignore"):
            numbers = np.clip((values[:, self.numeric] - self.centre) / self.spread, -_FAR, _FAR)
        numbers = np.where(np.isnan(values[:, self.numeric]), _NULL, numbers)
        nominal = np.where(features[:, self.first_nominal :] > 0.0, _CATEGORY, 0.0)
        return np.column_stack([numbers, nominal]).astype(np.float32)


def _closeness(
    points: np.ndarray,
    rows: np.ndarray,
    earlier: np.ndarray,
    earlier_rows: np.ndarray,
    reference: np.ndarray,
) -> np.ndarray:
    distances, found = nearest_neighbours(points, earlier, _NEIGHBOURS + 1)
    # The row itself and its exact copies are at no distance, and are counted elsewhere.
    before = (found >= 0) & (earlier_rows[np.maximum(found, 0)] < rows[:, None]) & (distances > _SAME)
    nearest = np.where(before, distances, np.inf).min(axis=1)
    around = nearest_neighbours(points, reference, 1)[0][:, 0]
    return np.log((np.minimum(around, _FAR) + _SMALL) / (np.minimum(nearest, 1e3) + _SMALL))
