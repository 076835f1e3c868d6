"""From chosen actions to the rows and cells that each of them changes, in one pass over the candidate.

What regions lack and strata weigh is of the rows that stay, which is known after that pass: a second one counts them.

Every action is decided on the rows as they are, so that the order in which actions are named decides nothing but which
of two is said to have removed a row.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vr.core.errors import DataError
from vr.data.encoders import to_float
from vr.data.hashing import fingerprint_of, hash_batch, mix
from vr.data.repeats import Followers, Repeats
from vr.recommendation.regions import region_of, rows_to_add, weights_of
from vr.recommendation.units import repaired
from vr.recommendation.vocabulary import (
    Clip,
    Deduplicate,
    DropRows,
    Executable,
    FillRegions,
    Repair,
    Reweight,
    in_ranges,
)

__all__ = ["Change", "Decided", "decide", "decide_regions"]

_REPEAT = "exact_duplicate"
_EXACT = 2.0**53  # below it, every whole number is a float of its own
_DONE = {Clip.kind: "clipped", Repair.kind: "repaired"}


@dataclass(frozen=True)
class Change:
    """What one action changes.

    Attributes:
      dropped: int64 ascending, row numbers.
      changed: int64 ascending, row numbers whose cell gets another number.
      numbers: float64 of the same length, which.
      wanted: How many real rows each region is to get, see `decide_regions`.
      weights: Of each stratum's rows, not yet normalised, likewise.
      note: What else is to be known of it.
    """

    dropped: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    changed: np.ndarray = field(default_factory=lambda: np.empty(0, np.int64))
    numbers: np.ndarray = field(default_factory=lambda: np.empty(0))
    wanted: tuple[int, ...] = ()
    weights: tuple[float, ...] = ()
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
      scores: Row scores, one for each row and in row order; read only where an action asks for them.
      seed: Decides which repeats stay.
      on_batch: Told the number of rows done.

    Raises:
      DataError: where a column to be clipped or repaired holds no numbers, or a range lies beyond the rows.
    """
    repeats = {action.columns: Repeats() for action in actions if isinstance(action, Deduplicate)}
    repeated: dict[tuple[str, ...], list[np.ndarray]] = {key: [] for key in repeats}
    cells: dict[Clip | Repair, list[tuple[np.ndarray, np.ndarray, int]]]
    cells = {action: [] for action in actions if isinstance(action, (Clip, Repair))}
    suspicious = {
        action: _Suspicious(action)
        for action in actions
        if isinstance(action, DropRows) and action.min_confidence is not None
    }
    aligned = _Aligned(scores)
    rows = fingerprint = 0
    for batch in batches:
        hashes = hash_batch(batch, columns)
        fingerprint = (fingerprint + fingerprint_of(hashes, rows)) % 2**64
        for key, seen in repeats.items():
            found = seen.mark(hashes if key == tuple(columns) else hash_batch(batch, key))
            repeated[key].append(rows + np.flatnonzero(found))
        for action, found in cells.items():
            found.append(_changed(batch, action, rows))
        if suspicious and (told := aligned.take(batch.num_rows)) is not None:
            for found in suspicious.values():
                found.add(hashes, told, rows)
        rows += batch.num_rows
        if on_batch is not None:
            on_batch(rows)
    changes = []
    for action in actions:
        if isinstance(action, Deduplicate):
            changes.append(_deduplicated(action, _joined(repeated[action.columns]), repeats[action.columns], seed))
        elif isinstance(action, DropRows):
            changes.append(_dropped(action, suspicious.get(action), rows))
        elif isinstance(action, (Clip, Repair)):
            where, numbers, left = zip(*cells[action], strict=True) if cells[action] else ([], [], [])
            note = f"{sum(left):,} cells stay, whose whole numbers are beyond 2**53" if sum(left) else None
            changes.append(Change(changed=_joined(where), numbers=np.concatenate([np.empty(0), *numbers]), note=note))
        else:
            changes.append(Change())
    return Decided(rows, fingerprint, _spared(actions, changes))


def decide_regions(
    batches: Callable[[Sequence[str]], Iterable[pa.RecordBatch]], actions: Sequence[Executable], decided: Decided
) -> Decided:
    """Returns what was decided, and what regions want and strata weigh by the rows that stay.

    Args:
      batches: Gives the candidate in row order, of some of its columns; asked for none unless an action has regions.
      actions: Those that were decided on.
      decided: Which rows go.

    Raises:
      DataError: where a column is missing, or a region asks for another kind of values than it holds.
    """
    asked = {
        place: action.regions if isinstance(action, FillRegions) else action.strata
        for place, action in enumerate(actions)
        if isinstance(action, (FillRegions, Reweight))
    }
    if not asked:
        return decided
    counts = {place: np.zeros(len(regions), int) for place, regions in asked.items()}
    gone = np.unique(_joined(change.dropped for change in decided.changes))
    columns = dict.fromkeys(
        each.column for regions in asked.values() for region in regions for each in region.conditions
    )
    start = 0
    for batch in batches(list(columns)):
        end = start + batch.num_rows
        stays = np.ones(batch.num_rows, bool)
        stays[gone[slice(*np.searchsorted(gone, [start, end]))] - start] = False
        for place, count in counts.items():
            inside = region_of(batch, asked[place])
            count += np.bincount(inside[stays & (inside >= 0)], minlength=len(count))
        start = end
    changes = list(decided.changes)
    for place, count in counts.items():
        action, shares = actions[place], np.array([region.share for region in asked[place]])
        if isinstance(action, Reweight):
            changes[place] = Change(weights=tuple(weights_of(count, shares, action.most).tolist()))
        else:
            changes[place] = Change(wanted=tuple(rows_to_add(count, decided.rows - len(gone), shares).tolist()))
    return replace(decided, changes=changes)


def _spared(actions: Sequence[Executable], changes: list[Change]) -> list[Change]:
    """Returns the changes, no row dropped for its score that is repaired: its score is of the cells as they were."""
    mended = _joined(c.changed for a, c in zip(actions, changes, strict=True) if isinstance(a, Repair))
    return [
        replace(change, dropped=np.setdiff1d(change.dropped, mended[~in_ranges(mended, action.ranges)]))
        if isinstance(action, DropRows) and len(mended)
        else change
        for action, change in zip(actions, changes, strict=True)
    ]


def _changed(batch: pa.RecordBatch, action: Clip | Repair, row_start: int) -> tuple[np.ndarray, np.ndarray, int]:
    """Returns the rows whose cell changes, the numbers that they get, and how many cells no float can tell of."""
    if action.column not in batch.schema.names:
        raise DataError(
            "is not among the columns that were compared", where=f"column '{action.column}'", hint="validate again"
        )
    column = batch.column(action.column)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type)):
        raise DataError(
            f"holds {column.type} and cannot be {_DONE[action.kind]}",
            where=f"column '{action.column}'",
            hint="only numbers can",
        )
    values, left = to_float(column), 0
    if isinstance(action, Clip):
        made = np.clip(values, *_bounds(action, column.type))
    else:
        made = repaired(action, values, np.arange(row_start, row_start + len(values)))
        if pa.types.is_integer(column.type):
            inexact = (made != values) & (np.maximum(np.abs(made), np.abs(values)) >= _EXACT)
            left = int(inexact.sum())
            made = np.where((made == np.rint(made)) & ~inexact, made, values)
    changed = np.flatnonzero((made != values) & ~np.isnan(values))
    return row_start + changed, made[changed], left


def _bounds(action: Clip, type_: pa.DataType) -> tuple[float, float]:
    """Returns the bounds as a column can hold them, so that what was moved to them lies within."""
    lower, upper = action.lower, action.upper
    if pa.types.is_integer(type_):
        return (np.ceil(lower), np.floor(upper)) if np.ceil(lower) <= np.floor(upper) else (lower, upper)
    dtype = type_.to_pandas_dtype()
    with np.errstate(over="ignore"):
        low, high = dtype(lower), dtype(upper)
        # As floats: beside its own number, NumPy would round the bound as well.
        inner_low = low if float(low) >= lower else np.nextafter(low, dtype(np.inf))
        inner_high = high if float(high) <= upper else np.nextafter(high, dtype(-np.inf))
    # Bounds with no number of the type between them are the nearest ones.
    return (float(inner_low), float(inner_high)) if inner_low <= inner_high else (float(low), float(high))


class _Aligned:
    """Cuts row scores to the batches of the rows."""

    def __init__(self, scores: Iterable[pa.RecordBatch]):
        self._left = iter(scores)
        self._held: list[pa.RecordBatch] = []

    def take(self, num_rows: int) -> pa.Table | None:
        """Returns the next `num_rows` scores, fewer or None where there are no more."""
        while sum(batch.num_rows for batch in self._held) < num_rows:
            if (batch := next(self._left, None)) is None:
                break
            self._held.append(batch)
        if not self._held:
            return None
        table = pa.Table.from_batches(self._held)
        self._held = table.slice(num_rows).to_batches()
        return table.slice(0, num_rows)


class _Suspicious:
    """Rows that one action drops for their scores, found in row order."""

    def __init__(self, action: DropRows):
        self._action = action
        self._followers = Followers()
        self._rows: list[np.ndarray] = []

    def add(self, hashes: np.ndarray, scores: pa.Table, row_start: int) -> None:
        # Of another dataset there may be fewer scores than rows: its fingerprint tells that.
        hashes, defects = hashes[: scores.num_rows], scores.column("defect").cast(pa.string())
        spared = _is_in(defects, self._action.except_defects)
        goes = (scores.column("confidence").to_numpy() >= self._action.min_confidence) & ~spared
        # A repeat is labelled as one whatever else it is, so it is judged as the row that it repeats.
        found = self._followers.follow(hashes, goes, _is_in(defects, (_REPEAT,)))
        self._rows.append(row_start + np.flatnonzero(found))

    def rows(self) -> np.ndarray:
        return _joined(self._rows)

    def note(self) -> str | None:
        return None if self._followers.complete else "too many rows go for every copy of them to be found"


def _is_in(values: pa.ChunkedArray, names: Sequence[str]) -> np.ndarray:
    return pc.is_in(values, pa.array(names, pa.string())).to_numpy()


def _deduplicated(action: Deduplicate, repeated: np.ndarray, seen: Repeats, seed: int) -> Change:
    # By a hash of the row's number, as the sample is: no stretch of the file is thinned out more than another.
    order = np.argsort(mix(repeated.view(np.uint64) ^ mix(np.full(1, seed, np.uint64))), kind="stable")
    gone = np.sort(repeated[order[: max(0, len(repeated) - action.keep_repeats)]])
    note = None if seen.complete else "the file has too many distinct rows for every repeat to be found"
    return Change(dropped=gone, note=note)


def _dropped(action: DropRows, suspicious: _Suspicious | None, num_rows: int) -> Change:
    if any(end > num_rows for _, end in action.ranges):
        raise DataError(
            f"asks for row {max(end for _, end in action.ranges):,} of {num_rows:,}",
            where="drop_rows, ranges",
            hint="make the report again",
        )
    parts = [np.arange(start, end, dtype=np.int64) for start, end in action.ranges]
    if suspicious is None:
        return Change(dropped=np.unique(_joined(parts)))
    return Change(dropped=np.unique(_joined([suspicious.rows(), *parts])), note=suspicious.note())


def _joined(parts: Iterable[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.empty(0, np.int64), *parts])
