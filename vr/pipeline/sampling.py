"""Samples of a dataset: how the uniform one stands for all rows, and a stratified one that is drawn and written."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from vr.core.errors import ConfigError
from vr.data.formats.locate import format_by_name
from vr.data.passes import Passes
from vr.data.priority import PrioritySample
from vr.data.rewrite.rewrite import WRITABLE
from vr.data.source import Source
from vr.data.work import StratifiedWork
from vr.diversity.standing import LEVEL, correlations, effective_rows, standing
from vr.diversity.strata import Fitted, fit_strata
from vr.pipeline.intake import Intake
from vr.pipeline.report import SampleCheck, Status, StratifiedSampleSection

__all__ = ["LEAST_ROWS", "Drawn", "check_uniform", "draw", "format_of"]

LEAST_ROWS = 100
_ROW, _WEIGHT = "row_number", "sample_weight"


@dataclass(frozen=True)
class Drawn:
    """A stratified sample.

    Attributes:
      table: Its rows in order, with their numbers and weights in the last two columns.
      section: What the report says of it, its place aside.
    """

    table: pa.Table
    section: StratifiedSampleSection


def format_of(name: str) -> str:
    """Returns the format that a sample's file is written in, by its name.

    Raises:
      ConfigError: where it stands for none that is written.
    """
    found = format_by_name(name)
    if found not in WRITABLE:
        raise ConfigError("does not end as a file that can be written", where=name, hint=f"as in sample.{WRITABLE[0]}")
    return found


def check_uniform(intake: Intake, *, is_candidate: bool) -> SampleCheck:
    """Returns how the uniform sample that the statistics read stands for its file."""
    side, profile = intake.candidate, intake.candidate_profile
    if not is_candidate:
        assert intake.reference is not None
        assert intake.reference_profile is not None
        side, profile = intake.reference, intake.reference_profile
        if (gone := len(profile.sample.rows) - len(side)) > 0:
            return _unchecked(len(side), f"{gone:,} of its rows occur in the candidate and were set aside")
    return _checked(side.codes, np.ones(len(side)), profile.counts, intake.columns.names)


def draw(
    source: Source,
    intake: Intake,
    size: int,
    seed: int,
    passes: Passes,
    batch_rows: int,
    on_rows: Callable[[int], None],
) -> Drawn:
    """Draws a stratified sample of the candidate, in one pass.

    Args:
      source: The candidate.
      intake: It, taken in: strata are found in its uniform sample, told by the codec.
      size: Rows to draw, `LEAST_ROWS` or more; a little fewer are drawn where a stratum turns out to have fewer.
      seed: Of the clusters and of the rows.
      passes: Where and how the pass is made.
      batch_rows: Rows read at a time.
      on_rows: Told how many rows are done.

    Raises:
      DataError: where the dataset cannot be read.
    """
    fitted = fit_strata(intake.candidate.codes, intake.columns, intake.candidate_profile.counts, size, seed)
    # Only of a dataset that is cut are there parts, of whose samples less could be kept.
    below = {} if source.group_rows is not None else {"below": float("inf")}
    work = StratifiedWork(source.schema.names, intake.codec, fitted.strata, seed, **below)
    sample = passes.run(source, work, batch_rows, on_rows)
    row, weight = (_free(name, source) for name in (_ROW, _WEIGHT))
    table = sample.table.append_column(row, pa.array(sample.rows))
    table = table.append_column(weight, pa.array(sample.weights))
    return Drawn(table, _section(sample, fitted, intake, row, weight))


def _free(name: str, source: Source) -> str:
    while name in source.stored_schema.names:
        name += "_"
    return name


def _section(sample: PrioritySample, fitted: Fitted, intake: Intake, row: str, weight: str) -> StratifiedSampleSection:
    clusters = fitted.strata.num_clusters
    return StratifiedSampleSection(
        status=Status.measured,
        rows=len(sample),
        row_column=row,
        weight_column=weight,
        clusters=clusters,
        wanted_rows=int(sample.seen[clusters:].sum()),
        wanted_drawn=int((sample.strata >= clusters).sum()),
        rare_codes=fitted.rare_codes,
        rare_pairs=fitted.rare_pairs,
        floor=fitted.floor,
        outlier_share=fitted.outlier_share,
        check=_check_drawn(sample, intake),
    )


def _check_drawn(sample: PrioritySample, intake: Intake) -> SampleCheck:
    codes, profile = intake.codec.encode(sample.table).codes, intake.candidate_profile
    found = _checked(codes, sample.weights, profile.counts, intake.columns.names)
    pairs, first = intake.pair_columns[intake.columns.ordinal[intake.pair_columns]], intake.candidate.codes
    if len(pairs) < 2:
        return found.model_copy(update={"reason": "fewer than two columns have an order: no correlations"})
    here, there = (
        correlations(rows[:, pairs], weights, intake.columns.num_codes[pairs])
        for rows, weights in ((codes, sample.weights), (first, np.ones(len(first))))
    )
    apart = (here - there)[np.triu_indices(len(pairs), 1)]
    noise = np.sqrt(1.0 / effective_rows(sample.weights) + 1.0 / len(first))
    update = {"correlation_difference": float(np.sqrt(np.mean(apart**2))), "correlation_noise": float(noise)}
    return found.model_copy(update=update | {"reason": None})


def _checked(codes: np.ndarray, weights: np.ndarray, counts: np.ndarray, names: tuple[str, ...]) -> SampleCheck:
    found = standing(codes, weights, counts)
    worst, other = int(found.ks.argmax()), int(np.abs(found.entropy_difference).argmax())
    return SampleCheck(
        rows=found.rows,
        effective_rows=found.effective_rows,
        confidence=found.confidence,
        level=LEVEL,
        band=found.band,
        columns=len(names),
        worst_column=names[worst],
        worst_distance=float(found.ks[worst]),
        entropy_column=names[other],
        entropy_difference=float(found.entropy_difference[other]),
        reason="pairs are not counted in the whole file, so that nothing is said of correlations",
    )


def _unchecked(rows: int, reason: str) -> SampleCheck:
    unknown = dict.fromkeys(
        (
            "effective_rows",
            "confidence",
            "band",
            "worst_column",
            "worst_distance",
            "entropy_column",
            "entropy_difference",
        )
    )
    return SampleCheck(rows=rows, level=LEVEL, columns=0, reason=reason, **unknown)
