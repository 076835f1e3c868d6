"""The stage that says which rows and regions are to blame, and which regions of the reference are missing."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from vr.data.hashing import hash_batch
from vr.data.repeats import Repeats
from vr.data.source import Source
from vr.detector.inputs import Inputs
from vr.detector.metric import Feature
from vr.localization.gathered import Gathered
from vr.localization.localize import SEGMENT_ROWS, Localized, localize, score_duplicates_only
from vr.localization.missing import find_missing
from vr.localization.norms import Norms
from vr.localization.proxies import Proxies
from vr.localization.row_evidence import RowEvidence
from vr.localization.scorer import RowScorer
from vr.pipeline.config import Config
from vr.pipeline.intake import Intake
from vr.pipeline.kept_scores import KeptScores
from vr.pipeline.row_scores import SCORES, bound_schema
from vr.pipeline.run_folder import RunFolder

__all__ = ["asks_proxies", "localize_rows", "proxies_of", "row_evidence"]


def row_evidence(intake: Intake, inputs: Inputs, config: Config, threads: int) -> RowEvidence | None:
    """Returns what reads the candidate's rows, fitted to both samples; None where they cannot be compared.

    Args:
      intake: Both datasets.
      inputs: What is known of the reference, to be added to.
      config: Of the run.
      threads: To fit it with.
    """
    if intake.reference is None or not intake.splits:
        return None
    points = min(config.localization.reference_rows, max(4, len(intake.reference) // 2))
    return RowEvidence.fit(
        intake.candidate,
        intake.reference,
        columns=intake.columns,
        embedding=intake.embedding,
        num_rows=intake.candidate_profile.rows,
        reference_rows=points,
        max_distance_rows=config.localization.max_distance_rows,
        seed=config.seed,
        threads=threads,
        norms=inputs.of_reference(
            "norms", lambda side: Norms.fit(side, intake.columns, points, config.seed, threads), points
        ),
    )


def asks_proxies(config: Config) -> bool:
    """Returns whether the proxies are to be asked about rows, and so kept after training."""
    return config.localization.influence or config.localization.gradients


def proxies_of(
    intake: Intake, config: Config, cascade: Any, cascade_reason: str | None
) -> tuple[Proxies | None, str | None]:
    """Returns the proxies to be asked about rows; None where they are not to be, or, with the reason, cannot be."""
    if not asks_proxies(config):
        return None, "not asked for (localization.influence, localization.gradients)"
    if cascade is None:
        return None, cascade_reason
    if not cascade.networks:
        return None, "the proxies are too large to be kept, or all of them diverged"
    wanted = config.localization
    return Proxies(cascade.networks, intake.pair_columns, wanted.influence, wanted.gradients), None


def localize_rows(
    candidate: Source,
    intake: Intake,
    evidence: RowEvidence | None,
    config: Config,
    folder: RunFolder,
    features: dict[str, Feature],
    rows_done: Callable[[str, int, int | None, str], None],
    proxies: Proxies | None = None,
) -> tuple[Localized, float | None]:
    """Returns the scores of all rows, and the share of repeats that the reference's own rate does not explain.

    Without `evidence` (see `row_evidence`) only exact repeats are seen.
    """
    num_rows = intake.candidate_profile.rows
    copies = features.get("entropy_stability.duplicate_fraction")
    weight = _duplicate_excess(copies)
    rate = 1.0 if copies is None or copies.null_mean is None else copies.null_mean
    batches = candidate.batches(intake.codec.sources, config.data.batch_rows)
    reference = intake.reference_profile
    schema = bound_schema(
        f"{intake.candidate_profile.fingerprint:016x}",
        None if reference is None else f"{reference.fingerprint:016x}",
        config.seed,
    )
    with folder.table(SCORES, schema) as writer, _kept_scores(folder, intake, evidence, schema) as kept:
        write = None if writer is None else writer.write_batch
        if evidence is None:
            found = score_duplicates_only(
                batches,
                intake.codec,
                num_rows=num_rows,
                max_rows=config.localization.max_rows,
                reason=intake.splits_reason or "",
                write=write,
            )
        else:
            assert intake.reference is not None
            sample = intake.candidate_profile.sample.table
            repeated = Repeats().mark(hash_batch(sample, intake.codec.sources))
            scorer = RowScorer.of(evidence, repeated, duplicate_weight=weight or 0.0, duplicate_rate=rate)
            begun = None if kept is None else _begun(kept, intake, evidence)
            if begun is not None:
                rows_done("localize", begun.rows, num_rows, f"goes on at row {begun.rows:,}")
            found = localize(
                batches,
                scorer,
                intake.codec,
                intake.reference,
                num_rows=num_rows,
                max_rows=config.localization.max_rows,
                sample=intake.candidate.rows,
                threads=config.engine.threads or os.cpu_count() or 1,
                write=write if kept is None else kept.write_batch,
                begun=begun,
                segment_rows=SEGMENT_ROWS,
                keep=None if kept is None else lambda so_far: kept.keep(so_far.to_bytes()),
                on_batch=lambda done: rows_done("localize", done, num_rows, "rows scored"),
                proxies=proxies,
            )
            written = 0
            for batch in () if kept is None else kept.batches():
                assert write is not None
                write(batch)
                written += batch.num_rows
                rows_done("localize", written, num_rows, "row scores written")
            missing = find_missing(intake.candidate, intake.reference, intake.columns, config.seed)
            found = replace(found, missing=missing)
    return found, weight


@contextmanager
def _kept_scores(
    folder: RunFolder, intake: Intake, evidence: RowEvidence | None, schema: pa.Schema
) -> Iterator[KeptScores | None]:
    """Yields what keeps the scores of a file of more than one segment; None of a shorter one, and without a folder."""
    if evidence is None or intake.candidate_profile.rows <= SEGMENT_ROWS or folder.path is None:
        yield None
        return
    kept = KeptScores(folder, str(schema.metadata), schema)
    try:
        yield kept
    finally:
        kept.close()


def _begun(kept: KeptScores, intake: Intake, evidence: RowEvidence) -> Gathered | None:
    """Returns what was gathered of the rows whose scores are kept, None where there are none."""
    if (content := kept.load()) is None:
        return None
    try:
        return Gathered.of_bytes(content, intake.candidate_profile.rows, evidence.stretches, len(intake.candidate.rows))
    except ValueError:
        kept.forget()
        return None


def _duplicate_excess(found: Feature | None) -> float | None:
    """Returns the share of repeats, at equal size, beyond what the reference shows; 0 where it may be chance."""
    if found is None or found.value is None or found.null_mean is None or found.null_std is None:
        return None
    excess = found.value - found.null_mean
    if excess <= max(0.01, 3.0 * float(np.hypot(found.spread or 0.0, found.null_std))):
        return 0.0
    return excess / found.value
