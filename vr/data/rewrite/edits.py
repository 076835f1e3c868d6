"""What is to be different in the new file, by row number of the old one."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

__all__ = ["Cells", "Edits"]


@dataclass(frozen=True)
class Cells:
    """New numbers for some cells of a column.

    Attributes:
      rows: int64 ascending, row numbers.
      values: float64 of the same length.
    """

    rows: np.ndarray
    values: np.ndarray

    def within(self, start: int, end: int) -> tuple[np.ndarray, np.ndarray]:
        """Returns those of rows `start` to `end`: positions counted from `start`, and values."""
        places = slice(*np.searchsorted(self.rows, [start, end]))
        return self.rows[places] - start, self.values[places]


@dataclass(frozen=True)
class Edits:
    """All that changes.

    Attributes:
      dropped: int64 ascending, row numbers that are left out.
      cells: By column name.
      added: Gives the rows to append, of the columns of the old file.
      on_rows: Told how many rows of the old file are done.
    """

    dropped: np.ndarray
    cells: Mapping[str, Cells] = field(default_factory=dict)
    added: Callable[[], Iterable[pa.RecordBatch]] = tuple
    on_rows: Callable[[int], None] = lambda done: None

    def kept(self, start: int, end: int) -> np.ndarray:
        """Returns which of rows `start` to `end` stay, bool `[end - start]`."""
        kept = np.ones(end - start, bool)
        kept[self.dropped[slice(*np.searchsorted(self.dropped, [start, end]))] - start] = False
        return kept
