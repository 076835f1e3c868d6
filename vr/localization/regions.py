"""Contiguous regions of the file whose rows carry more evidence than the rest."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vr.localization.scorer import DEFECTS, Readings
from vr.localization.stretches import Stretch

__all__ = ["Blocks", "Region", "Stretches", "find_regions"]

_MAX_BLOCKS = 200


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
    """Mean evidence of equal stretches of the file, gathered batch by batch."""

    def __init__(self, num_rows: int):
        self.size = max(1, -(-num_rows // _MAX_BLOCKS))
        count = -(-num_rows // self.size)
        self.total, self.squares, self.rows = np.zeros(count), np.zeros(count), np.zeros(count, np.int64)
        self.scores = np.zeros(count)
        self.kinds = np.zeros((count, len(DEFECTS) - 1))

    def add(self, row_start: int, readings: Readings) -> None:
        """Adds the readings of rows from `row_start` on."""
        block = (row_start + np.arange(len(readings.total))) // self.size
        count = len(self.rows)
        # One extreme row is an outlier, not a region: evidence is capped at one in a thousand.
        capped = np.minimum(readings.total, 3.0)
        self.total += np.bincount(block, capped, count)
        self.squares += np.bincount(block, capped**2, count)
        self.scores += np.bincount(block, readings.score, count)
        self.rows += np.bincount(block, minlength=count)
        for kind, evidence in enumerate(readings.evidence.T):
            self.kinds[:, kind] += np.bincount(block, np.minimum(evidence, 3.0), count)

    @property
    def mean(self) -> np.ndarray:
        """Mean capped evidence of each block."""
        return self.total / np.maximum(self.rows, 1)

    @property
    def mean_score(self) -> np.ndarray:
        """Mean row score of each block, 0 to 1."""
        return self.scores / np.maximum(self.rows, 1)

    @property
    def starts(self) -> np.ndarray:
        """First row of each block."""
        return np.arange(len(self.rows)) * self.size


def find_regions(blocks: Blocks, known: Sequence[Region] = (), deviations: float = 5.0) -> list[Region]:
    """Returns `known` regions, and runs of blocks whose mean evidence lies far above the file's median block.

    Far is over `deviations` standard errors; runs that meet a known region are it, with coarser edges, and left out. A
    defect all over the file is no region: the comparison is with the file itself, not with the reference.
    """
    usual = np.median(blocks.mean)
    usual_kinds = np.median(blocks.kinds / np.maximum(blocks.rows, 1)[:, None], axis=0)
    variance = np.maximum(blocks.squares / np.maximum(blocks.rows, 1) - blocks.mean**2, 0.0)
    error = np.sqrt(max(float(np.median(variance)), 1e-6) / np.maximum(blocks.rows, 1))
    hot = (blocks.mean > usual + deviations * error) & (blocks.mean > 1.3 * usual)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], hot.astype(int), [0]])))
    regions = []
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        part = slice(first, last)
        rows = blocks.rows[part].sum()
        start, end = int(first * blocks.size), int(first * blocks.size + rows)
        if rows < 5 or any(start < region.row_end and region.row_start < end for region in known):
            continue
        # What the stretch has more of than the file has usually.
        beyond = blocks.kinds[part].sum(axis=0) / rows - usual_kinds
        regions.append(
            Region(
                row_start=start,
                row_end=end,
                defect=DEFECTS[1 + int(beyond.argmax())],
                score=float(blocks.scores[part].sum() / rows),
            )
        )
    return sorted([*known, *regions], key=lambda region: (-region.score, region.row_start))
