"""Rows that repeat an entity: an identifier that an earlier row has, whatever the rest of the row says."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from vr.data.hashing import NULL_HASH, hash_values
from vr.data.repeats import Repeats

__all__ = ["EntityRepeats", "entity_repeats"]

_MOST_ROWS = 2**20  # read at most, from the first on: ids that repeat do so all along a file
_NAMED = 20  # rows that are named


@dataclass(frozen=True)
class EntityRepeats:
    """What repeats in one identifier column.

    Attributes:
      name: The column's.
      share: Of the rows with an identifier that have one which an earlier row has; None where no row has any.
      rows: The first of them, by number.
      num_rows: Rows that were read.
    """

    name: str
    share: float | None
    rows: list[int]
    num_rows: int


def entity_repeats(batches: Iterable[pa.RecordBatch], names: Sequence[str]) -> list[EntityRepeats]:
    """Returns the repeats of each identifier column; exact for the rows that are read.

    Args:
      batches: The dataset in row order, with the columns.
      names: The identifier columns.
    """
    seen = {name: Repeats() for name in names}
    known, repeated = dict.fromkeys(names, 0), dict.fromkeys(names, 0)
    rows: dict[str, list[int]] = {name: [] for name in names}
    start = 0
    for batch in batches:
        for name in names:
            hashes = hash_values(batch.column(name))
            present = np.flatnonzero(hashes != NULL_HASH)
            again = present[seen[name].mark(hashes[present])]
            known[name] += len(present)
            repeated[name] += len(again)
            rows[name] += (start + again[: _NAMED - len(rows[name])]).tolist()
        start += batch.num_rows
        if start >= _MOST_ROWS:
            break
    return [
        EntityRepeats(name, repeated[name] / known[name] if known[name] else None, rows[name], start) for name in names
    ]
