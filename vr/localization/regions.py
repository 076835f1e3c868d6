"""Contiguous regions of the file whose rows carry more evidence than the rest.

Stretches are looked for among the sample's rows (`vr.localization.stretches`); here every row of the file is counted,
in 200 blocks at most. A window of blocks is held against the file's own rows in random order: for a mean m of n draws
from their distribution, P(mean >= m) <= exp(-n (t m - log E exp(t x))) for every t >= 0, whatever its tails.

References:
  Chernoff 1952, A measure of asymptotic efficiency for tests of a hypothesis based on the sum of observations.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from vr.localization.scorer import DEFECTS, Readings
from vr.localization.stretches import Stretch

__all__ = ["Blocks", "Region", "Stretches", "find_regions"]

_MAX_BLOCKS = 200
_BINS, _MOST = 64, 32.0  # of a row's own evidence
_LEVEL = 0.005  # of a region of either kind somewhere in an ordinary file
_LEAST_ROWS = 5
_MORE = 1.3  # times the usual evidence
_REPEATED = 0.5  # share of repeats in a region of them, at least, and three times that of the rest
_TILTS = np.concatenate([[0.0], np.geomspace(1e-3, 30.0, 80)])


@dataclass(frozen=True)
class Region:
    """Rows `row_start` (inclusive) to `row_end` (exclusive)."""

    row_start: int
    row_end: int
    defect: str
    score: float
    columns: tuple[str, ...] = ()


class Stretches:
    """What is found of the rows of stretches that are known to be off, gathered batch by batch."""

    def __init__(self, stretches: Sequence[Stretch]):
        self.stretches = stretches
        self.rows, self.scores = np.zeros(len(stretches), np.int64), np.zeros(len(stretches))
        self.kinds = np.zeros((len(stretches), len(DEFECTS) - 1))

    def add(self, rows: np.ndarray, readings: Readings) -> None:
        """Adds the readings of rows with these numbers, ascending."""
        for i, stretch in enumerate(self.stretches):
            part = slice(*np.searchsorted(rows, [stretch.start, stretch.end]))
            self.rows[i] += part.stop - part.start
            self.scores[i] += readings.score[part].sum()
            self.kinds[i] += np.minimum(readings.evidence[part], 3.0).sum(axis=0)

    def regions(self, names: Sequence[str]) -> list["Region"]:
        """Returns the stretches as regions, of the kind that most speaks for in their rows."""
        return [
            Region(
                stretch.start,
                stretch.end,
                DEFECTS[1 + int(self.kinds[i].argmax())],
                float(self.scores[i] / max(1, self.rows[i])),
                tuple(names[j] for j in stretch.columns),
            )
            for i, stretch in enumerate(self.stretches)
            if self.rows[i]
        ]


class Blocks:
    """What is found of equal stretches of the file, gathered batch by batch."""

    def __init__(self, num_rows: int):
        self.size = max(1, -(-num_rows // _MAX_BLOCKS))
        count = -(-num_rows // self.size)
        self.rows, self.repeats = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self.scores, self.own = np.zeros(count), np.zeros((count, _BINS), np.int64)
        self.kinds = np.zeros((count, len(DEFECTS) - 1))

    def add(self, row_start: int, readings: Readings) -> None:
        """Adds the readings of rows from `row_start` on."""
        block = (row_start + np.arange(len(readings.total))) // self.size
        count = len(self.rows)
        self.rows += np.bincount(block, minlength=count)
        self.repeats += np.bincount(block, readings.repeat, count).astype(np.int64)
        self.scores += np.bincount(block, readings.score, count)
        bins = np.minimum((readings.own * (_BINS / _MOST)).astype(np.int64), _BINS - 1)
        self.own += np.bincount(block * _BINS + bins, minlength=count * _BINS).reshape(count, _BINS)
        for kind, evidence in enumerate(readings.evidence.T):
            # One extreme row is an outlier, not a region: evidence is capped at one in a thousand.
            self.kinds[:, kind] += np.bincount(block, np.minimum(evidence, 3.0), count)

    @property
    def mean_score(self) -> np.ndarray:
        """Mean row score of each block, 0 to 1."""
        return self.scores / np.maximum(self.rows, 1)

    @property
    def starts(self) -> np.ndarray:
        """First row of each block."""
        return np.arange(len(self.rows)) * self.size


def find_regions(blocks: Blocks, known: Sequence[Region] = ()) -> list[Region]:
    """Returns `known` regions, and windows of blocks with more repeats or more evidence than chance gives any.

    What meets a known region is it, with coarser edges, and left out. A defect all over the file is no region: the
    comparison is with the file itself, not with the reference.
    """
    values = (np.arange(_BINS) + 0.5) * (_MOST / _BINS)
    counted = np.column_stack([blocks.rows - blocks.repeats, blocks.repeats])
    found = list(known)
    for repeats, counts, levels in ((True, counted, np.arange(2.0)), (False, blocks.own, values)):
        for first, last in _windows(counts, levels, _is_repeated if repeats else _is_more):
            start, end = first * blocks.size, min(last * blocks.size, int(blocks.rows.sum()))
            if any(start < region.row_end and region.row_start < end for region in found):
                continue
            found.append(_region(blocks, first, last, "exact_duplicate" if repeats else None))
    return sorted(found, key=lambda region: (-region.score, region.row_start))


def _region(blocks: Blocks, first: int, last: int, defect: str | None) -> Region:
    part, rows = slice(first, last), int(blocks.rows[first:last].sum())
    if defect is None:
        # What the stretch has more of than the file has usually.
        usual = np.median(blocks.kinds / np.maximum(blocks.rows, 1)[:, None], axis=0)
        defect = DEFECTS[1 + int((blocks.kinds[part].sum(axis=0) / rows - usual).argmax())]
    start = first * blocks.size
    return Region(start, start + rows, defect, float(blocks.scores[part].sum() / rows))


def _is_repeated(mean: float, usual: float) -> bool:
    return mean >= max(_REPEATED, 3.0 * usual)


def _is_more(mean: float, usual: float) -> bool:
    return mean > _MORE * usual


def _windows(
    counts: np.ndarray, values: np.ndarray, enough: Callable[[float, float], bool]
) -> Iterator[tuple[int, int]]:
    """Yields windows `(first, last)` of blocks beyond chance, the surest first, none of which overlap.

    Args:
      counts: int `[blocks, k]`, rows of each block with each of the values.
      values: float `[k]`, ascending.
      enough: Whether the mean within a window matters beside that of the rest.
    """
    num_blocks = len(counts)
    share = counts.sum(axis=0) / max(1, counts.sum())
    occur = np.flatnonzero(share)
    if len(occur) < 2:
        return
    # log E exp(t x) of a row of the file, for each t; the greatest x taken out, so that nothing overflows.
    most = values[occur[-1]]
    growth = np.log(np.exp(_TILTS[:, None] * (values[occur] - most)) @ share[occur]) + _TILTS * most
    lengths = [1 << i for i in range(num_blocks.bit_length()) if 1 << i <= num_blocks // 2]
    sums = np.concatenate([np.zeros((1, len(values))), np.cumsum(counts, axis=0)])
    candidates: list[tuple[float, int, int]] = []
    for length in lengths:
        inside = sums[length:] - sums[:-length]
        rows, mean = inside.sum(axis=1), inside @ values / np.maximum(inside.sum(axis=1), 1)
        surprise = rows * (mean[:, None] * _TILTS - growth).max(axis=1)
        candidates += [(float(s), i, i + length) for i, s in enumerate(surprise) if rows[i] >= _LEAST_ROWS]
    least = np.log(max(1, len(candidates)) / _LEVEL)
    taken = np.zeros(num_blocks, bool)
    usual = float(share @ values)
    means = counts @ values / np.maximum(counts.sum(axis=1), 1)
    for surprise, first, last in sorted(candidates, key=lambda one: (-one[0], one[1:])):
        if surprise <= least:
            break
        inside, whole = sums[last] - sums[first], sums[-1]
        mean, rest = (float(each @ values / max(1, each.sum())) for each in (inside, whole - inside))
        # A long window that is hardly more than the rest must not hide a short one within it.
        if taken[first:last].any() or not enough(mean, rest):
            continue
        # Lengths are powers of two: on to the blocks beside it that are as its own, and off those that are not.
        middle = (float(means[first:last].mean()) + usual) / 2.0
        while first > 0 and means[first - 1] > middle and not taken[first - 1]:
            first -= 1
        while last < num_blocks and means[last] > middle and not taken[last]:
            last += 1
        while last - first > 1 and means[first] <= middle:
            first += 1
        while last - first > 1 and means[last - 1] <= middle:
            last -= 1
        taken[first:last] = True
        yield first, last
