"""Stretches of the file whose rows are off the rest together: by row number, with the columns that are off most."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vr.detector.embedding import Embedding
from vr.detector.inputs import Columns, Side
from vr.stats.scan import Scan

__all__ = ["Stretch", "find_stretches"]


@dataclass(frozen=True)
class Stretch:
    """Rows `start` (inclusive) to `end` (exclusive) that are off the rest together.

    Attributes:
      evidence: As the last two of `row_evidence.EVIDENCE`.
      columns: Positions of the columns that are off most, at most three.
    """

    start: int
    end: int
    evidence: tuple[float, float]
    columns: tuple[int, ...]


def find_stretches(
    scans: Sequence[Scan], candidate: Side, columns: Columns, embedding: Embedding
) -> tuple[Stretch, ...]:
    """Returns the stretches of either view by row number, those that overlap as one, surest first."""
    each = [(evidence, view, start, end) for view, one in enumerate(scans) for start, end, evidence in one.stretches]
    found: list[tuple[int, int, list[float]]] = []
    for evidence, view, start, end in sorted(each, key=lambda one: (-one[0], one[1:])):
        tail = float(scans[view].surprise(np.array([evidence]))[0])
        inside = next((o for o in found if min(end, o[1]) - max(start, o[0]) >= 0.5 * (end - start)), None)
        if inside is not None:
            inside[2][view] = max(inside[2][view], tail)
            continue
        for first, last, _ in found:
            start, end = _beside(start, end, first, last)
        if end - start >= 2:
            found.append((start, end, [tail, 0.0] if view == 0 else [0.0, tail]))
    owner = np.array([j for j, *_ in embedding.ordinal], int)
    owner = np.append(owner, [j for j, table, _ in embedding.onehot for _ in range(int(table.max()) + 1)]).astype(int)
    first = {j: head for head, parts in columns.parts.items() for j in parts}
    features = candidate.features
    centre, spread = features.mean(axis=0), np.maximum(features.std(axis=0), 1e-6)
    result = []
    for start, end, evidence in found:
        shift = np.abs((features[start:end] - centre).mean(axis=0)) / spread
        worst = dict.fromkeys(first[int(owner[i])] for i in np.argsort(-shift, kind="stable") if shift[i] > 0.5)
        rows = int(candidate.rows[start]), int(candidate.rows[end - 1]) + 1
        result.append(Stretch(*rows, (evidence[0], evidence[1]), tuple(worst)[:3]))
    return tuple(result)


def _beside(start: int, end: int, first: int, last: int) -> tuple[int, int]:
    """Returns what `start` to `end` has beside `first` to `last`, the surer one: the longer part where two are left."""
    if end <= first or last <= start:
        return start, end
    before, after = (start, max(start, first)), (min(end, last), end)
    return before if before[1] - before[0] >= after[1] - after[0] else after
