"""Contiguous regions of the file whose rows carry more evidence than the rest."""

from dataclasses import dataclass

import numpy as np

from vr.localization.scorer import DEFECTS

__all__ = ["Blocks", "Region", "find_regions"]

_MAX_BLOCKS = 200


@dataclass(frozen=True)
class Region:
    """Rows `row_start` (inclusive) to `row_end` (exclusive)."""

    row_start: int
    row_end: int
    defect: str
    score: float


class Blocks:
    """Mean evidence of equal stretches of the file, gathered batch by batch."""

    def __init__(self, num_rows: int):
        self.size = max(1, -(-num_rows // _MAX_BLOCKS))
        count = -(-num_rows // self.size)
        self.total, self.squares, self.rows = np.zeros(count), np.zeros(count), np.zeros(count, np.int64)
        self.scores = np.zeros(count)
        self.defects = np.zeros((count, len(DEFECTS)), np.int64)

    def add(self, row_start: int, totals: np.ndarray, defects: np.ndarray) -> None:
        """Adds rows from `row_start` on: their evidence and the index of their defect."""
        block = (row_start + np.arange(len(totals))) // self.size
        count = len(self.rows)
        # One extreme row is an outlier, not a region: evidence is capped at one in a thousand.
        capped = np.minimum(totals, 3.0)
        self.total += np.bincount(block, capped, count)
        self.squares += np.bincount(block, capped**2, count)
        self.scores += np.bincount(block, 1.0 - 10.0**-totals, count)
        self.rows += np.bincount(block, minlength=count)
        self.defects += np.bincount(block * len(DEFECTS) + defects, minlength=count * len(DEFECTS)).reshape(count, -1)

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


def find_regions(blocks: Blocks, deviations: float = 5.0) -> list[Region]:
    """Returns runs of blocks whose mean evidence lies over `deviations` standard errors above the file's median block.

    A defect all over the file is no region: the comparison is with the file itself, not with the reference.
    """
    usual = np.median(blocks.mean)
    variance = np.maximum(blocks.squares / np.maximum(blocks.rows, 1) - blocks.mean**2, 0.0)
    error = np.sqrt(max(float(np.median(variance)), 1e-6) / np.maximum(blocks.rows, 1))
    hot = (blocks.mean > usual + deviations * error) & (blocks.mean > 1.3 * usual)
    edges = np.flatnonzero(np.diff(np.concatenate([[0], hot.astype(int), [0]])))
    regions = []
    for first, last in zip(edges[::2], edges[1::2], strict=True):
        part = slice(first, last)
        rows = blocks.rows[part].sum()
        if rows < 5:
            continue
        defects = blocks.defects[part].sum(axis=0)[1:]
        regions.append(
            Region(
                row_start=int(first * blocks.size),
                row_end=int(first * blocks.size + rows),
                defect=DEFECTS[1 + int(defects.argmax())] if defects.any() else DEFECTS[1],
                score=float(blocks.scores[part].sum() / rows),
            )
        )
    return sorted(regions, key=lambda region: (-region.score, region.row_start))
