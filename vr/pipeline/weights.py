"""Weights of a new dataset's rows, in a file of their own beside it: `row, weight`, their mean 1."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vr.core.errors import VrError
from vr.data.rewrite.edits import Edits
from vr.data.source import Source
from vr.data.store.publish import digest_of
from vr.recommendation.regions import region_of
from vr.recommendation.vocabulary import Reweight

__all__ = ["weights_name", "write_weights"]

_SCHEMA = pa.schema([("row", pa.int64()), ("weight", pa.float64())])
_BLOCK_ROWS = 65_536


def weights_name(name: str) -> str:
    """Returns what the weights of a file are called."""
    return f"{name}.weights.parquet"


def write_weights(
    candidate: Source, action: Reweight, weights: Sequence[float], edits: Edits, added: int, written: int, path: Path
) -> dict[str, Any]:
    """Writes the weight of each row of the new file, and returns what the manifest says of them.

    Rows that are added weigh 1; those that stay weigh 1 on average. Memory does not grow with the rows.

    Args:
      candidate: What is rewritten; strata are of its rows as they are.
      action: Whose strata.
      weights: Of each stratum, not yet normalised.
      edits: Which rows stay.
      added: Rows appended after them.
      written: Rows of the new file.
      path: The file.

    Raises:
      VrError: where these are not as many as there are weights: the candidate was changed meanwhile.
    """
    of_place = np.array([*weights, 1.0])  # the last of rows in no stratum, which -1 finds
    counts = np.zeros(len(of_place))
    for place in _places(candidate, action, edits):
        counts += np.bincount(place % len(of_place), minlength=len(of_place))
    stay = counts.sum()
    of_place = of_place / (float(counts @ of_place) / stay if stay else 1.0)
    start = 0
    with pq.ParquetWriter(path, _SCHEMA) as writer:

        def put(part: np.ndarray) -> None:
            nonlocal start
            rows = np.arange(start, start + len(part))
            writer.write_batch(pa.record_batch([rows, part.astype(float)], schema=_SCHEMA))
            start += len(part)

        for place in _places(candidate, action, edits):
            put(of_place[place])
        for first in range(0, added, _BLOCK_ROWS):
            put(np.ones(min(_BLOCK_ROWS, added - first)))
    if start != written:
        raise VrError(
            f"{start:,} weights belong to a new file of {written:,} rows; nothing was published",
            where=candidate.uri,
            hint="leave the dataset as it is while it is fixed, and run this again",
        )
    squares = float(counts @ of_place**2) + added
    held = of_place[counts > 0]
    return {
        "name": path.name,
        "sha256": digest_of(path),
        "rows": start,
        "least": round(float(held.min(initial=1.0)), 6),
        "greatest": round(float(held.max(initial=1.0)), 6),
        # Kish 1965: as many rows of equal weight tell as much.
        "effective_rows": round(start**2 / squares) if squares else 0,
    }


def _places(candidate: Source, action: Reweight, edits: Edits) -> Iterator[np.ndarray]:
    """Yields the strata of the rows that stay, batch by batch."""
    columns = list(dict.fromkeys(condition.column for each in action.strata for condition in each.conditions))
    start = 0
    for batch in candidate.batches(columns):
        end = start + batch.num_rows
        yield region_of(batch, action.strata)[edits.kept(start, end)]
        start = end
