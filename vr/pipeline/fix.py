"""`vr fix`: executes a report's recommendations on the dataset that it is of, and writes the dataset anew.

Three passes over the candidate, each in bounded memory: one decides what changes and makes sure that this is the
dataset of the report, one writes, and one checks the new file against it, row by row. Then the new file and its
manifest appear whole or not at all.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vr.core.errors import DataError, VrError
from vr.data.hashing import fingerprint_of, hash_batch
from vr.data.rewrite.edits import Cells, Edits
from vr.data.rewrite.rewrite import check_writable, rewrite
from vr.data.source import Source, open_source
from vr.data.store.publish import digest_of
from vr.pipeline.chosen import Chosen, choose
from vr.pipeline.fixed_output import FixedOutput, writing
from vr.pipeline.manifest import Outcome, identity_of, manifest_of, outcomes
from vr.pipeline.progress import Event, ProgressCallback
from vr.pipeline.real_rows import RealRows
from vr.pipeline.report import ValidationReport
from vr.pipeline.row_scores import RowScores
from vr.pipeline.weights import write_weights
from vr.recommendation.edits import Decided, decide, decide_regions
from vr.recommendation.regions import Region
from vr.recommendation.vocabulary import AddRealRows, Clip, DropRows, FillRegions, Repair, Reweight

__all__ = ["Fixed", "fix"]


@dataclass(frozen=True)
class Fixed:
    """A dataset fixed.

    Attributes:
      manifest: As it is written beside the new file.
      is_new: False where the file was there already, from the same command.
    """

    manifest: dict[str, Any]
    is_new: bool


def fix(
    candidate: Source,
    report: ValidationReport,
    report_digest: str,
    output: str,
    *,
    scores: Path,
    top: int | None = None,
    real: Source | None = None,
    needed: Sequence[str] = (),
    force: bool = False,
    progress: ProgressCallback | None = None,
) -> Fixed:
    """Executes recommendations on a dataset and writes it anew, with a manifest beside it.

    Args:
      candidate: The dataset that the report is of, opened with the same column types.
      report: Whose recommendations to execute.
      report_digest: SHA-256 of its file.
      output: The new file, a path or `s3://` or `gs://` URI, of the candidate's format.
      scores: The report's row_scores.parquet.
      top: How many recommendations, first ones first; None: all.
      real: Real rows, for the actions that add some.
      needed: Files that must not be written over beside these: the report, its reference.
      force: Replace what is at `output`.
      progress: Told of the rows done.

    Raises:
      ConfigError: where `output` cannot be used or nothing can be done.
      DataError: where the report is of another dataset, row_scores.parquet is missing or of another run, or the
        dataset cannot be written again with nothing else changed.
      AlreadyPublishedError: where something else is at `output`.
      VrError: where the new file cannot be written, or was not written as it should be.
    """
    place = FixedOutput(output)
    check_writable(candidate, place.name)
    place.refuse_inputs([candidate, real])
    place.refuse_files([scores, *needed])
    chosen = choose(report, top, has_real=real is not None)
    columns = [column.name for column in report.dataset.columns if column.kind not in ("identifier", "ignored")]
    tell = _teller(progress, report.dataset.rows)
    told = RowScores.of(scores, report) if any(_goes_by_score(item) for item in chosen) else None
    decided = _decide(candidate, report, chosen, columns, told, tell)
    adds = next((i.action.rows for i in chosen if isinstance(i.action, AddRealRows) and not i.skipped), 0)
    regions = _regions(chosen, decided)
    rows = None
    if real is not None and (adds or regions):
        rows = RealRows.of(real, candidate, adds, report, columns, regions)
    source = None if rows is None else rows.document
    identity = identity_of(report_digest, report.dataset.fingerprint, chosen, source, told and told.sha256)
    if not force and (there := place.finished(identity)) is not None:
        return Fixed(there, is_new=False)
    done = outcomes(chosen, decided.changes, rows, decided.rows)
    if sum(len(outcome.removed) for outcome in done) == decided.rows and rows is None:
        raise DataError("has nothing left after these actions", where=candidate.uri, hint="give a smaller --top")
    edits = _edits(done, decided, chosen, rows, lambda n: tell(n, "written"))
    with place.room() as folder, writing(place.shown):
        new = folder / place.name
        written = rewrite(candidate, edits, new)
        fingerprint = _check(candidate, new, columns, edits, written, report, rows, lambda n: tell(n, "checked"))
        weights = _weights(candidate, chosen, decided, edits, rows, written, folder / place.weights)
        facts = {"name": place.name, "rows": written, "fingerprint": f"{fingerprint:016x}", "sha256": digest_of(new)}
        manifest = manifest_of(
            identity=identity,
            candidate=candidate,
            report=report,
            report_digest=report_digest,
            scores_digest=told and told.sha256,
            columns=columns,
            done=done,
            real=source,
            output=facts,
            weights=weights,
        )
        text = folder / place.manifest
        text.write_text(json.dumps(manifest, indent=1, allow_nan=False) + "\n")
        place.publish(new, text, None if weights is None else folder / place.weights, replace=force)
    return Fixed(manifest, is_new=True)


def _decide(
    candidate: Source,
    report: ValidationReport,
    chosen: list[Chosen],
    columns: list[str],
    scores: RowScores | None,
    tell: Callable[[int, str], None],
) -> Decided:
    missing = [name for name in columns if name not in candidate.schema.names]
    if missing or candidate.num_rows not in (None, report.dataset.rows):
        raise _other_dataset(candidate, report)
    actions = [item.action for item in chosen if not item.skipped]
    decided = decide(
        candidate.batches(columns),
        columns,
        actions,
        () if scores is None else scores.batches(),
        seed=report.run.seed,
        on_batch=lambda done: tell(done, "read"),
    )
    if (decided.rows, f"{decided.fingerprint:016x}") != (report.dataset.rows, report.dataset.fingerprint):
        raise _other_dataset(candidate, report)
    return decide_regions(candidate.batches, actions, decided)


def _other_dataset(candidate: Source, report: ValidationReport) -> DataError:
    return DataError(
        f"is not the dataset that the report is of, {report.dataset.uri} with {report.dataset.rows:,} rows and "
        f"fingerprint {report.dataset.fingerprint}: it was fixed already, or is another",
        where=candidate.uri,
        hint="validate it, and fix it by its own report",
    )


def _goes_by_score(item: Chosen) -> bool:
    return isinstance(item.action, DropRows) and item.action.min_confidence is not None and not item.skipped


def _regions(chosen: list[Chosen], decided: Decided) -> list[tuple[Region, int]]:
    """Returns the regions to be filled, and how many real rows each is to get."""
    actions = [item.action for item in chosen if not item.skipped]
    return [
        pair
        for action, change in zip(actions, decided.changes, strict=True)
        if isinstance(action, FillRegions)
        for pair in zip(action.regions, change.wanted, strict=True)
    ]


def _weights(
    candidate: Source,
    chosen: list[Chosen],
    decided: Decided,
    edits: Edits,
    rows: RealRows | None,
    written: int,
    path: Path,
) -> dict[str, Any] | None:
    """Writes the weights of the new file's rows, where an action asks for them, and returns what there is to say."""
    actions = [item.action for item in chosen if not item.skipped]
    for action, change in zip(actions, decided.changes, strict=True):
        if isinstance(action, Reweight):
            added = 0 if rows is None else rows.total
            return write_weights(candidate, action, change.weights, edits, added, written, path)
    return None


def _edits(
    done: list[Outcome],
    decided: Decided,
    chosen: list[Chosen],
    rows: RealRows | None,
    on_rows: Callable[[int], None],
) -> Edits:
    gone = np.sort(np.concatenate([np.empty(0, np.int64), *(outcome.removed for outcome in done)]))
    actions = [item.action for item in chosen if not item.skipped]
    cells = {
        action.column: Cells(change.changed, change.numbers)
        for action, change in zip(actions, decided.changes, strict=True)
        if isinstance(action, (Clip, Repair)) and len(change.changed)
    }
    return Edits(gone, cells, tuple if rows is None else rows.batches, on_rows)


def _check(
    candidate: Source,
    path: Path,
    columns: list[str],
    edits: Edits,
    written: int,
    report: ValidationReport,
    rows: RealRows | None,
    on_rows: Callable[[int], None],
) -> int:
    """Reads the new file, makes sure that its rows are those that should be there, and returns its fingerprint.

    What stayed is compared in the columns without a changed cell whose types read alike; that of a text column may
    turn with a row that made it one.
    """
    types = report.run.configuration.get("data", {}).get("types", {})
    new = open_source(str(path), format=candidate.format, types=types, reading=candidate.limits)
    kept = report.dataset.rows - len(edits.dropped)
    # A JSON key that no row is left with is no column any more.
    columns = [name for name in columns if name in new.schema.names]
    same = [n for n in columns if n not in edits.cells and new.schema.field(n).type == candidate.schema.field(n).type]
    found = fingerprint = start = 0
    for batch in new.batches(columns):
        fingerprint = (fingerprint + fingerprint_of(hash_batch(batch, columns), start)) % 2**64
        if same and start < kept:
            found = (found + fingerprint_of(hash_batch(batch.slice(0, kept - start), same), start)) % 2**64
        start += batch.num_rows
    expected = begin = at = 0
    for batch in candidate.batches(same) if same else ():
        stay = batch.filter(pa.array(edits.kept(begin, begin + batch.num_rows)))
        expected = (expected + fingerprint_of(hash_batch(stay, same), at)) % 2**64
        at, begin = at + stay.num_rows, begin + batch.num_rows
        on_rows(begin)
    wanted = kept + (0 if rows is None else rows.total)
    if (start, written, found) != (wanted, wanted, expected):
        raise VrError(
            f"the new file has {start:,} rows of {wanted:,}, or other values than its input; nothing was published",
            where=candidate.uri,
            hint="save the dataset as parquet, validate and fix that",
        )
    return fingerprint


def _teller(progress: ProgressCallback | None, num_rows: int) -> Callable[[int, str], None]:
    def tell(done: int, what: str) -> None:
        if progress is not None:
            # Three passes of equal length.
            before = ("read", "written", "checked").index(what)
            progress(Event("fix", before * num_rows + done, 3 * num_rows, f"rows {what}"))

    return tell
