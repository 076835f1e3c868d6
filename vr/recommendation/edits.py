"""From chosen actions to the rows and cells that each of them changes, in one pass over the candidate.

Every action is decided on the rows as they are, so that the order in which actions are named decides nothing but which
of two is said to have removed a row.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vr.core.errors import DataError
from vr.data.encoders import to_float
from vr.data.hashing import fingerprint_of, hash_batch, mix
from vr.data.repeats import Repeats
from vr.recommendation.vocabulary import Clip, Deduplicate, DropRows, Executable

__all__ = ["Change", "Decided", "decide", "in_ranges"]


@dataclass(frozen=True)
class Change:
    """What one action changes.

    Attributes:
      dropped: int64 ascending, row numbers.
      clipped: int64 ascending, row numbers whose cell is moved to a bound.
      bounds: float64 of the same length, what each cell is moved to.
      note: What else is to be known of it.
    """

    dropped: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    clipped: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    bounds: np.ndarray = field(default_factory=lambda: np.empty(0))
    note: str | None = None


@dataclass(frozen=True)
class Decided:
    """One pass over a candidate.

    Attributes:
      rows: Its rows.
      fingerprint: As a report has it, of the columns asked for.
      changes: One for each action, in order; rows may be in several.
    """

    rows: int
    fingerprint: int
    changes: list[Change]


def decide(
    batches: Iterable[pa.RecordBatch],
    columns: Sequence[str],
    actions: Sequence[Executable],
    scores: Iterable[pa.RecordBatch],
    *,
    seed: int,
    on_batch: Callable[[int], None] | None = None,
) -> Decided:
    """Returns what the actions change; memory grows with the changes, not with the rows.

    Args:
      batches: The whole candidate, in row order, of the types of `Source.batches`.
      columns: Those that the report's fingerprint is of.
      actions: What to do.
      scores: Row scores, in row order; read only where an action asks for them.
      seed: Decides which repeats stay.
      on_batch: Told the number of rows done.

    Raises:
      DataError: where a column to be clipped holds no numbers, or a range lies beyond the rows.
    """
    repeats = {action.columns: Repeats() for action in actions if isinstance(action, Deduplicate)}
    repeated: dict[tuple[str, ...], list[np.ndarray]] = {key: [] for key in repeats}
    clipped: dict[Clip, list[tuple[np.ndarray, np.ndarray]]] = {a: [] for a in actions if isinstance(a, Clip)}
    rows = fingerprint = 0
    for batch in batches:
        hashes = hash_batch(batch, columns)
        fingerprint = (fingerprint + fingerprint_of(hashes, rows)) % 2**64
        for key, seen in repeats.items():
            found = seen.mark(hashes if key == tuple(columns) else hash_batch(batch, key))
            repeated[key].append(rows + np.flatnonzero(found))
        for action, found in clipped.items():
            found.append(_beyond(batch, action, rows))
        rows += batch.num_rows
        if on_batch is not None:
            on_batch(rows)
    by_score = _suspicious(scores, [a for a in actions if isinstance(a, DropRows) and a.min_confidence is not None])
    changes = []
    for action in actions:
        if isinstance(action, Deduplicate):
            changes.append(_deduplicated(action, _joined(repeated[action.columns]), repeats[action.columns], seed))
        elif isinstance(action, DropRows):
            changes.append(_dropped(action, by_score.get(action, np.empty(0, np.int64)), rows))
        elif isinstance(action, Clip):
            where, bounds = zip(*clipped[action], strict=True) if clipped[action] else ([], [])
            changes.append(Change(clipped=_joined(where), bounds=np.concatenate([np.empty(0), *bounds])))
        else:
            changes.append(Change())
    return Decided(rows, fingerprint, changes)


def in_ranges(rows: np.ndarray, ranges: Sequence[tuple[int, int]]) -> np.ndarray:
    """Returns which row numbers lie in one of the half-open ranges, bool `[n]`."""
    found = np.zeros(len(rows), bool)
    for start, end in ranges:
        found |= (rows >= start) & (rows < end)
    return found


def _beyond(batch: pa.RecordBatch, action: Clip, row_start: int) -> tuple[np.ndarray, np.ndarray]:
    if action.column not in batch.schema.names:
        raise DataError(
            "is not among the columns that were compared", where=f"column '{action.column}'", hint="validate again"
        )
    column = batch.column(action.column)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise DataError(
            f"holds {column.type} and cannot be clipped", where=f"column '{action.column}'", hint="only numbers can"
        )
    values, lower, upper = to_float(column), action.lower, action.upper
    if pa.types.is_integer(column.type) and np.ceil(lower) <= np.floor(upper):
        lower, upper = np.ceil(lower), np.floor(upper)
    outside = np.flatnonzero((values < lower) | (values > upper))
    return row_start + outside, np.clip(values[outside], lower, upper)


def _suspicious(scores: Iterable[pa.RecordBatch], actions: Sequence[DropRows]) -> dict[DropRows, np.ndarray]:
    found: dict[DropRows, list[np.ndarray]] = {action: [] for action in actions}
    if not actions:
        return {}
    for batch in scores:
        rows = batch.column("row").to_numpy(zero_copy_only=False)
        confidence = batch.column("confidence").to_numpy(zero_copy_only=False)
        for action in actions:
            spared = pc.is_in(batch.column("defect").cast(pa.string()), pa.array(action.except_defects, pa.string()))
            chosen = (confidence >= action.min_confidence) & ~spared.to_numpy(zero_copy_only=False)
            found[action].append(rows[chosen])
    return {action: _joined(parts) for action, parts in found.items()}


def _deduplicated(action: Deduplicate, repeated: np.ndarray, seen: Repeats, seed: int) -> Change:
    # By a hash of the row's number, as the sample is: no stretch of the file is thinned out more than another.
    order = np.argsort(mix(repeated.view(np.uint64) ^ mix(np.full(1, seed, np.uint64))), kind="stable")
    gone = np.sort(repeated[order[: max(0, len(repeated) - action.keep_repeats)]])
    note = None if seen.complete else "the file has too many distinct rows for every repeat to be found"
    return Change(dropped=gone, note=note)


def _dropped(action: DropRows, by_score: np.ndarray, num_rows: int) -> Change:
    if any(end > num_rows for _, end in action.ranges):
        raise DataError(
            f"asks for row {max(end for _, end in action.ranges):,} of {num_rows:,}",
            where="drop_rows, ranges",
            hint="make the report again",
        )
    parts = [by_score, *(np.arange(start, end, dtype=np.int64) for start, end in action.ranges)]
    return Change(dropped=np.unique(_joined(parts)))


def _joined(parts: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, np.int64), *parts])
