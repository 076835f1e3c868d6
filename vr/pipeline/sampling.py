"""Samples of a dataset: how the uniform one stands for all rows, and a stratified one that is drawn and written."""

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from vr.cascade.agreement import told_by_first
from vr.core.errors import ConfigError, DataError, VrError
from vr.core.installed import version_of
from vr.data.formats.locate import format_by_name
from vr.data.passes import Passes
from vr.data.priority import PrioritySample
from vr.data.rewrite.rewrite import WRITABLE
from vr.data.rewrite.table import write_table
from vr.data.source import Source
from vr.data.store.publish import digest_of
from vr.data.work import StratifiedWork
from vr.diversity.standing import LEVEL, correlations, effective_rows, standing
from vr.diversity.strata import Fitted, fit_strata
from vr.pipeline.config import Config
from vr.pipeline.fixed_output import FixedOutput, writing
from vr.pipeline.intake import Intake
from vr.pipeline.report import SampleCheck, Status, StratifiedSampleSection

__all__ = ["LEAST_ROWS", "SampleOutput", "check_uniform", "sample", "sample_if_possible"]

LEAST_ROWS = 100
_ROW, _WEIGHT = "row_number", "sample_weight"


class SampleOutput:
    """Where a stratified sample goes: one file, of the format that its name says, and beside it what it holds.

    Args:
      output: A path, or an `s3://` or `gs://` URI.

    Raises:
      ConfigError: where it is no place for a file, or its name stands for no format that is written.
    """

    def __init__(self, output: str):
        self._place = FixedOutput(output)
        found = format_by_name(self._place.name)
        if found is None or found not in WRITABLE:
            raise ConfigError(
                "does not end as a file that can be written", where=self._place.shown, hint=f"use {', '.join(WRITABLE)}"
            )
        self._format = found
        self.shown = self._place.shown

    def refuse_inputs(self, sources: Sequence[Source | None]) -> None:
        """Raises ConfigError where it would be written over a dataset, or where one would be read from."""
        self._place.refuse_inputs(sources)

    def publish(self, table: pa.Table, told: dict[str, Any], *, replace: bool) -> None:
        """Writes the rows, and last what they are; whole or not at all.

        Args:
          table: The rows.
          told: What they are, as JSON.
          replace: Write over what is there, if it is something else.

        Raises:
          AlreadyPublishedError: where something else is there.
          VrError: where it cannot be written.
        """
        with self._place.room() as folder, writing(self.shown):
            rows, manifest = folder / self._place.name, folder / self._place.manifest
            write_table(table, rows, self._format)
            document = told | {"sha256": digest_of(rows)}
            manifest.write_text(json.dumps(document, indent=1, allow_nan=False) + "\n")
            self._place.publish(rows, manifest, replace=replace)


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


def sample(
    source: Source,
    intake: Intake,
    size: int,
    config: Config,
    passes: Passes,
    output: SampleOutput,
    on_rows: Callable[[int], None],
    *,
    replace: bool = False,
) -> StratifiedSampleSection:
    """Draws a stratified sample of the candidate in one pass, writes it, and returns what the report says of it.

    Args:
      source: The candidate.
      intake: It, taken in: strata are found in its uniform sample, told by the codec.
      size: Rows to draw, `LEAST_ROWS` or more; a few less are drawn where a stratum has fewer than was expected.
      config: The seed is used, and how many rows are read at a time.
      passes: Where and how the pass is made.
      output: Where it goes.
      on_rows: Told how many rows are done.
      replace: Write over what is there.

    Raises:
      AlreadyPublishedError: where something else is at `output`.
      DataError: where the dataset cannot be read.
      VrError: where the sample cannot be written.
    """
    fitted = fit_strata(intake.candidate.codes, intake.columns, intake.candidate_profile.counts, size, config.seed)
    # Only a dataset that can be cut has parts of whose samples less could be kept.
    below = {} if source.group_rows is not None else {"below": float("inf")}
    work = StratifiedWork(source.schema.names, intake.codec, fitted.strata, config.seed, **below)
    drawn = passes.run(source, work, config.data.batch_rows, on_rows)
    row, weight = (_free(name, source) for name in (_ROW, _WEIGHT))
    table = drawn.table.append_column(row, pa.array(drawn.rows)).append_column(weight, pa.array(drawn.weights))
    section = _section(drawn, fitted, intake, row, weight).model_copy(update={"uri": output.shown})
    told = {
        "version": version_of("vr"),
        "seed": config.seed,
        "input": {
            "uri": source.uri,
            "rows": intake.candidate_profile.rows,
            "fingerprint": f"{intake.candidate_profile.fingerprint:016x}",
        },
        "sample": section.model_dump(mode="json"),
    }
    output.publish(table, told, replace=replace)
    return section


def sample_if_possible(
    candidate: Source,
    reference: Source | None,
    intake: Intake,
    size: int,
    config: Config,
    passes: Passes,
    output: str | None,
    on_rows: Callable[[int], None],
) -> StratifiedSampleSection:
    """Returns the section of a sample that is written over what is at `output`, or why there is none.

    A place that cannot be written to is no reason to have no report. Of several processes the first one writes, and all
    return its section. Arguments are those of `sample`; without `output` nobody asked.

    Raises:
      DataError: where the candidate cannot be read.
    """
    if output is None:
        reason = "no place for one was given (`vr sample` writes one; of a service, server.samples is the place)"
        return StratifiedSampleSection(status=Status.not_measured, reason=reason)

    def drawn() -> dict[str, Any]:
        try:
            place = SampleOutput(output)
            place.refuse_inputs([candidate, reference])
            section = sample(candidate, intake, size, config, passes, place, on_rows, replace=True)
        except DataError:
            raise
        except VrError as err:
            section = StratifiedSampleSection(status=Status.not_measured, reason=f"not written: {err.message}")
        return section.model_dump(mode="json")

    return StratifiedSampleSection.model_validate(told_by_first(drawn))


def _free(name: str, source: Source) -> str:
    while name in source.stored_schema.names:
        name += "_"
    return name


def _section(drawn: PrioritySample, fitted: Fitted, intake: Intake, row: str, weight: str) -> StratifiedSampleSection:
    clusters = fitted.strata.num_clusters
    return StratifiedSampleSection(
        status=Status.measured,
        rows=len(drawn),
        row_column=row,
        weight_column=weight,
        clusters=clusters,
        wanted_rows=int(drawn.seen[clusters:].sum()),
        wanted_drawn=int((drawn.strata >= clusters).sum()),
        rare_codes=fitted.rare_codes,
        rare_pairs=fitted.rare_pairs,
        floor=fitted.floor,
        outlier_share=fitted.outlier_share,
        check=_check_drawn(drawn, intake),
    )


def _check_drawn(drawn: PrioritySample, intake: Intake) -> SampleCheck:
    codes, profile = intake.codec.encode(drawn.table).codes, intake.candidate_profile
    found = _checked(codes, drawn.weights, profile.counts, intake.columns.names)
    pairs, first = intake.pair_columns[intake.columns.ordinal[intake.pair_columns]], intake.candidate.codes
    if len(pairs) < 2:
        return found.model_copy(update={"reason": "fewer than two columns have an order: no correlations"})
    here, there = (
        correlations(rows[:, pairs], weights, intake.columns.num_codes[pairs])
        for rows, weights in ((codes, drawn.weights), (first, np.ones(len(first))))
    )
    apart = (here - there)[np.triu_indices(len(pairs), 1)]
    noise = np.sqrt(1.0 / effective_rows(drawn.weights) + 1.0 / len(first))
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
