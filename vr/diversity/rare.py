"""Rare combinations of values: those of the reference that the candidate lost, those it made up, and odd ones.

All single codes and pairs of columns are counted, coarsened. A combination is told only where chance would hardly leave
any one of all that were counted so: of each of the three a report names at most about one falsely in a hundred reports.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.special import pdtr

from vr.detector.inputs import Columns, Side, informative_columns
from vr.diversity.words import condition
from vr.stats.dependence import coarsen_codes

__all__ = ["RarePattern", "find_rare"]


@dataclass(frozen=True)
class Settings:
    """What is counted how finely."""

    max_columns: int = 24  # the most varied: 276 pairs
    codes: int = 8  # codes a column keeps
    level: float = 0.01  # chance of any false combination, of those lost, made up, and odd each
    most: int = 10  # combinations of each kind
    rows: int = 5  # of each
    overlap: float = 0.8  # share of a combination's rows that another one has told already, for it to be left out


@dataclass(frozen=True)
class RarePattern:
    """A combination of values in one or two columns.

    Attributes:
      kind: `lost`: the reference has it, the candidate nowhere. `new`: the reverse. `odd`: in hardly any row, where the
        values' own frequencies expect many (of a dataset described alone).
      conditions: In words, one a column.
      columns: Their names.
      count: Rows of the candidate's sample that have it.
      expected: Rows that would have it, at the reference's share; of `new` None, as the reference has none; of `odd`
        were the columns independent.
      reference_count: Rows of the reference's sample; None without one.
      rows: Rows that have it, by number: of the reference where it is `lost`, else of the candidate.
    """

    kind: Literal["lost", "new", "odd"]
    conditions: list[str]
    columns: list[str]
    count: int
    expected: float | None
    reference_count: int | None
    rows: list[int]


@dataclass(frozen=True)
class _Counted:
    """One or two columns with the rows of each combination on either side."""

    positions: tuple[int, ...]
    sizes: tuple[int, ...]
    own: np.ndarray  # the combination of each row of the candidate
    theirs: np.ndarray | None


@dataclass(frozen=True)
class _Hit:
    count: int
    other: float
    counted: _Counted
    pattern: int


def find_rare(
    candidate: Side, reference: Side | None, columns: Columns, settings: Settings = Settings()
) -> list[RarePattern]:
    """Returns the combinations, of each kind those of most rows first (odd ones: those of most rows expected).

    Args:
      candidate: Its sample, or the dataset's that is described alone.
      reference: Its sample.
      columns: The encoded columns.
      settings: What is counted.
    """
    if not len(candidate) or (reference is not None and not len(reference)):
        return []
    kept = informative_columns(candidate if reference is None else reference, columns, settings.max_columns)
    coarse = [
        coarsen_codes(side.codes[:, kept], columns.num_codes[kept], columns.ordinal[kept], settings.codes)
        for side in (candidate, *([] if reference is None else [reference]))
    ]
    sizes = coarse[0][1]
    all_counted = list(_all_counted([codes for codes, _ in coarse], sizes, kept, columns))
    if reference is None:
        hits = {"odd": _odd(all_counted, len(candidate), settings)}
    else:
        # Chance of a row to be the candidate's.
        share = len(candidate) / (len(candidate) + len(reference))
        hits = {
            "lost": _absent(all_counted, 1.0 - share, settings, lost=True),
            "new": _absent(all_counted, share, settings, lost=False),
        }
    result = []
    for kind, found in hits.items():
        side = reference if kind == "lost" else candidate
        assert side is not None
        for hit, rows in _distinct(found, kind, settings):
            words = [
                condition(columns, int(kept[place]), codes)
                for place, codes in _original(hit, kept, columns, settings.codes, side)
            ]
            result.append(
                RarePattern(
                    kind,  # type: ignore[arg-type]
                    words,
                    [columns.names[kept[place]] for place in hit.counted.positions],
                    0 if kind == "lost" else hit.count,
                    hit.other if kind == "odd" else None if kind == "new" else hit.count * len(candidate) / len(side),
                    None if kind == "odd" else hit.count if kind == "lost" else 0,
                    [int(row) for row in side.rows[rows[: settings.rows]]],
                )
            )
    return result


def _all_counted(sides: list[np.ndarray], sizes: np.ndarray, kept: np.ndarray, columns: Columns) -> Iterator[_Counted]:
    owner = {j: head for head, parts in columns.parts.items() for j in parts}
    wide = [side.astype(np.int64) for side in sides]
    for i in range(len(kept)):
        yield _Counted((i,), (int(sizes[i]),), *_pair_of([side[:, i] for side in wide]))
    for i in range(len(kept)):
        for j in range(i + 1, len(kept)):
            # Parts of one date hang together by themselves.
            if owner[int(kept[i])] != owner[int(kept[j])]:
                ids = [side[:, i] * int(sizes[j]) + side[:, j] for side in wide]
                yield _Counted((i, j), (int(sizes[i]), int(sizes[j])), *_pair_of(ids))


def _pair_of(ids: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray | None]:
    return ids[0], ids[1] if len(ids) > 1 else None


def _absent(all_counted: list[_Counted], share: float, settings: Settings, *, lost: bool) -> list[_Hit]:
    """Returns what one side has and the other has not; `share` is the chance of a row to be the first one's."""
    hits, num_cells, gone = [], 0, set()
    for counted in all_counted:
        assert counted.theirs is not None
        size = int(np.prod(counted.sizes))
        here, there = (np.bincount(ids, minlength=size) for ids in (counted.theirs, counted.own))
        here, there = (here, there) if lost else (there, here)
        num_cells += int(((here > 0) | (there > 0)).sum())
        for pattern in np.flatnonzero((here > 0) & (there == 0)):
            codes = np.unravel_index(int(pattern), counted.sizes)
            if len(codes) == 1:
                gone.add((counted.positions[0], int(codes[0])))
            # A pair with a value that is gone altogether says nothing more.
            elif any((place, int(code)) in gone for place, code in zip(counted.positions, codes, strict=True)):
                continue
            hits.append(_Hit(int(here[pattern]), 0.0, counted, int(pattern)))
    # All rows of a combination fell on one side; the chance of that, over all combinations.
    return [hit for hit in hits if hit.count * np.log(share) + np.log(num_cells) < np.log(settings.level)]


def _odd(all_counted: list[_Counted], num_rows: int, settings: Settings) -> list[_Hit]:
    hits, num_cells = [], 0
    for counted in all_counted:
        if len(counted.sizes) < 2:
            continue
        table = np.bincount(counted.own, minlength=int(np.prod(counted.sizes))).reshape(counted.sizes)
        expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / num_rows
        num_cells += int((expected > 0).sum())
        few = (table > 0) & (table <= settings.rows) & (expected > 10.0)
        hits += [
            _Hit(int(table[i, j]), float(expected[i, j]), counted, int(i * counted.sizes[1] + j))
            for i, j in zip(*np.nonzero(few), strict=True)
        ]
    return [hit for hit in hits if pdtr(hit.count, hit.other) * num_cells < settings.level]


def _distinct(hits: list[_Hit], kind: str, settings: Settings) -> Iterator[tuple[_Hit, np.ndarray]]:
    """Yields hits with their rows, those of most rows first, without those that name the same rows again."""
    hits.sort(key=lambda hit: -hit.other if kind == "odd" else -hit.count)
    told: set[int] = set()
    num = 0
    for hit in hits:
        ids = hit.counted.theirs if kind == "lost" else hit.counted.own
        assert ids is not None
        rows = np.flatnonzero(ids == hit.pattern)
        if sum(int(row) in told for row in rows) > settings.overlap * len(rows):
            continue
        told.update(int(row) for row in rows)
        yield hit, rows
        num += 1
        if num == settings.most:
            return


def _original(
    hit: _Hit, kept: np.ndarray, columns: Columns, max_codes: int, side: Side
) -> Iterator[tuple[int, np.ndarray]]:
    """Yields each column's place with the codes that its coarse one stands for and that occur, or all if ordinal."""
    for place, coarse in zip(hit.counted.positions, np.unravel_index(hit.pattern, hit.counted.sizes), strict=True):
        j = int(kept[place])
        codes = np.arange(int(columns.num_codes[j]))
        merged, _ = coarsen_codes(
            codes.astype(np.uint16)[:, None], columns.num_codes[[j]], columns.ordinal[[j]], max_codes
        )
        of_it = codes[merged[:, 0] == coarse]
        if not columns.ordinal[j]:
            seen = np.intersect1d(of_it, side.codes[:, j])
            of_it = seen if len(seen) else of_it
        yield place, of_it
