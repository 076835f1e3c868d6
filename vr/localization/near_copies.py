"""Near copies: how much closer a row lies to an earlier row of its file than real rows lie to each other.

Distances are between rows as they are written (`PlainPoints`): a copy that was jittered, rounded or lightly edited is
close there. They are divided by the distance to the nearest reference row, since in a crowd everybody has near
neighbours. Of two rows that are copies of each other the later one is read as the copy.
"""

from dataclasses import dataclass, replace

import numpy as np

from vr.detector.inputs import Columns, Side
from vr.localization.plain_points import PlainPoints
from vr.stats.coverage import Neighbours

__all__ = ["NearCopies"]

_NEIGHBOURS = 4  # looked at, until one is earlier and no exact copy
_SAME = 1e-9
_SMALL = 1e-3  # deviations that no difference is told from
_FAR = 30.0


@dataclass(frozen=True)
class NearCopies:
    """The earlier rows that near copies are looked for among.

    Attributes:
      points: Makes points of rows.
      earlier: Rows of the candidate's sample as points, float32 `[n, p]`.
      rows: int64 `[n]`, their row numbers, ascending.
      reference: What closeness is relative to, float32 `[m, p]`.
      null: float, readings of reference rows as if half of them were a file.
      crowding: How many times more candidate rows than there were in the null, at least 1.
    """

    points: PlainPoints
    earlier: Neighbours
    rows: np.ndarray
    reference: Neighbours
    null: np.ndarray
    crowding: float

    @classmethod
    def fit(cls, candidate: Side, reference: Side, columns: Columns, max_rows: int) -> "NearCopies":
        """Fits to both samples; of the reference to `max_rows` rows at most."""
        points = PlainPoints.fit(reference, columns)
        placed = points.of(reference)[:max_rows]
        # As the candidate is read: one half of the reference as the file, the other as what it is held against.
        half = len(placed) // 2
        file, around, order = placed[:half], Neighbours(placed[half:]), np.arange(half)
        null = _closeness(file, order, Neighbours(file), order, around)
        crowding = max(1.0, len(candidate) / max(1, half))
        return cls(points, Neighbours(points.of(candidate)), candidate.rows, around, null, crowding)

    def thinned(self, most: int) -> "NearCopies":
        """Returns the same with evenly spaced earlier rows, `most` of them at most."""
        num_rows = len(self.rows)
        if num_rows <= most:
            return self
        kept = np.arange(most) * num_rows // most
        # Crowding was that of all; fewer rows are less near by chance.
        crowding = max(1.0, self.crowding * most / num_rows)
        return replace(self, earlier=Neighbours(self.earlier.points[kept]), rows=self.rows[kept], crowding=crowding)

    def read(self, side: Side) -> np.ndarray:
        """Returns log(distance to the reference / distance to an earlier row), `[n]`; very low where none is near."""
        return _closeness(self.points.of(side), side.rows, self.earlier, self.rows, self.reference)


def _closeness(
    points: np.ndarray, rows: np.ndarray, earlier: Neighbours, earlier_rows: np.ndarray, reference: Neighbours
) -> np.ndarray:
    distances, found = earlier.nearest(points, _NEIGHBOURS + 1)
    # The row itself and its exact copies are at no distance, and are counted elsewhere.
    before = (found >= 0) & (earlier_rows[np.maximum(found, 0)] < rows[:, None]) & (distances > _SAME)
    nearest = np.where(before, distances, np.inf).min(axis=1)
    around = reference.nearest(points, 1)[0][:, 0]
    return np.log((np.minimum(around, _FAR) + _SMALL) / (np.minimum(nearest, 1e3) + _SMALL))
