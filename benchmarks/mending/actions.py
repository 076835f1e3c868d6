"""Remedies done to a candidate of the study by the tool's own parts: which rows are left, which cells change.

Rows are scored by the stage that `vr validate` runs, what goes is decided by the pass that `vr fix` makes, and what
each action is predicted to do is measured on the same rows.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from benchmarks.mending.predicted import Taken
from vr.data.source import Source, open_source
from vr.detector.remeasure import Changed
from vr.localization.localize import Localized
from vr.pipeline import numbers, preview
from vr.pipeline.localization import localize_rows, row_evidence
from vr.recommendation.edits import Change, decide
from vr.recommendation.proposals import recommend
from vr.recommendation.vocabulary import AddRealRows, Clip, Deduplicate, DropRows, Executable

__all__ = ["CONFIDENCES", "SHARES", "Remedy", "mended", "remedies"]

CONFIDENCES = (0.5, 0.8, 0.95)
SHARES = (0.1, 0.3, 0.5)
_REPEATS = ("exact_duplicate",)


@dataclass(frozen=True)
class Remedy:
    """One action, done.

    Attributes:
      name: Kind and setting.
      action: What is done.
      rows: Rows that it removes, changes or adds.
      kept: bool `[n]`, which rows are left.
      change: The cells that it changes.
      changed: The same to the sample, as predictions are measured on.
    """

    name: str
    action: Executable
    rows: int
    kept: np.ndarray
    change: Change
    changed: Changed


class _Scores:
    """Takes a run's row scores, as its folder does, and keeps them in memory."""

    def __init__(self) -> None:
        self.batches: list[pa.RecordBatch] = []

    @contextmanager
    def table(self, name: str, schema: pa.Schema) -> Iterator["_Scores"]:
        """Opens the table of row scores."""
        yield self

    def write_batch(self, batch: pa.RecordBatch) -> None:
        """Takes a batch."""
        self.batches.append(batch)


def remedies(candidate: pa.Table, taken: Taken) -> list[Remedy]:
    """Returns what can be done to a candidate: drop, de-duplicate, clip, mix in real rows; nothing that changes no row.

    Drops that two thresholds share are listed once, under the lower one.
    """
    source, scores = open_source(candidate), _Scores()
    folder: Any = scores
    evidence = row_evidence(taken.intake, taken.inputs, taken.config, 1)
    found, excess = localize_rows(source, taken.intake, evidence, taken.config, folder, dict(taken.features), _silent)
    recommended = _recommended(source, taken, found, excess)
    actions: list[tuple[str, Executable]] = [(f"drop_{limit:g}", DropRows(limit, _REPEATS)) for limit in CONFIDENCES]
    actions += [(each.kind, each) for each in recommended if isinstance(each, Deduplicate)]
    clips = [each for each in recommended if isinstance(each, Clip)]
    decided = _decide(source, taken, [action for _, action in actions] + clips, scores)
    result: list[Remedy] = []
    n, side = candidate.num_rows, taken.intake.candidate
    every = np.ones(n, bool)
    for (name, action), change in zip(actions, decided, strict=False):
        kept = every.copy()
        kept[change.dropped] = False
        twice = any(np.array_equal(kept, other.kept) for other in result)
        if len(change.dropped) and kept.any() and not twice:
            result.append(Remedy(name, action, len(change.dropped), kept, change, Changed(side, kept[side.rows])))
    for clip, change in zip(clips, decided[len(actions) :], strict=True):
        if len(change.changed):
            moved = preview.with_cells(clip, side, taken.intake)
            result.append(Remedy("clip", clip, len(change.changed), every, change, Changed(moved, every[side.rows])))
    for share in SHARES:
        rows = round(n * share / (1.0 - share))
        changed = Changed(side, every[side.rows], real_share=rows / (rows + n))
        result.append(Remedy(f"mix_{share:g}", AddRealRows(rows), rows, every, Change(), changed))
    return result


def mended(candidate: pa.Table, remedy: Remedy, real: pa.Table, rng: np.random.Generator) -> pa.Table:
    """Returns the candidate with a remedy done to it; real rows take the place of as many of its own.

    Only so are mixes comparable with the candidate: one of more rows would be better for that alone.
    """
    if isinstance(remedy.action, AddRealRows):
        n = candidate.num_rows
        num_real = round(remedy.changed.real_share * n)
        made = candidate.take(rng.permutation(n)[: n - num_real])
        added = real.take(rng.permutation(real.num_rows)[:num_real])
        return pa.concat_tables([made, added]).unify_dictionaries().combine_chunks()
    table = candidate
    if isinstance(remedy.action, Clip):
        j = table.column_names.index(remedy.action.column)
        type_ = table.schema.field(j).type
        values = table[remedy.action.column].to_numpy(zero_copy_only=False).copy()
        values[remedy.change.changed] = remedy.change.numbers
        mask = pc.is_null(table[remedy.action.column]).to_numpy(zero_copy_only=False)
        table = table.set_column(j, table.schema.field(j), pa.array(values, mask=mask).cast(type_, safe=False))
    return table.filter(pa.array(remedy.kept))


def _recommended(source: Source, taken: Taken, found: Localized, excess: float | None) -> list[Executable]:
    intake = taken.intake
    assert intake.reference_profile is not None
    actions = recommend(
        verdict="review",
        num_rows=intake.candidate_profile.rows,
        columns=intake.codec.sources,
        num_repeated=found.num_repeated,
        duplicate_excess=excess,
        num_suspicious=found.num_suspicious,
        missing_mass=None,
        reference_rows=intake.reference_profile.rows,
        beyond=numbers.beyond_of(intake),
    )
    return [action.action for action in actions]


def _decide(source: Source, taken: Taken, actions: list[Executable], scores: _Scores) -> list[Change]:
    columns = taken.intake.codec.sources
    return decide(source.batches(columns), columns, actions, scores.batches, seed=taken.config.seed).changes


def _silent(stage: str, done: int, total: int | None, message: str) -> None:
    pass
