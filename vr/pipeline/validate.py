"""The one pipeline behind all doors: from two sources to a report."""

import os
import platform
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vr.cascade.agreement import by_first, told_by_first
from vr.cascade.hosts import several
from vr.core.installed import version_of
from vr.core.plain import to_plain
from vr.core.workers import ahead, single_threaded
from vr.data.source import Source
from vr.detector.dimensions.generalization_gap import skill_lost
from vr.detector.inputs import Inputs
from vr.localization.row_evidence import RowEvidence
from vr.pipeline import assemble
from vr.pipeline.config import Config
from vr.pipeline.engines import passes_of, tell_known
from vr.pipeline.extent import Extent
from vr.pipeline.follow_up import follow_up
from vr.pipeline.history import corrections_of
from vr.pipeline.intake import Intake, take_in
from vr.pipeline.judging import Judged, judged
from vr.pipeline.localization import asks_proxies, row_evidence
from vr.pipeline.prescreen import BeforeTraining, pre_screen
from vr.pipeline.progress import Event, ProgressCallback
from vr.pipeline.references import References
from vr.pipeline.report import RunSection, Status, ValidationReport, Verdict
from vr.pipeline.run_folder import RunFolder, states_of
from vr.pipeline.sampling import sample_if_possible
from vr.pipeline.stopwatch import Stopwatch
from vr.signatures.library import Library, open_library

__all__ = ["validate"]

_CALIBRATED_CASCADE = "laptop"  # whose tiers the labelled benchmark was measured with
_PACKAGES = ("jax", "flax", "optax", "numpy", "scipy", "scikit-learn", "lightgbm", "numba", "faiss-cpu", "pyarrow")


def validate(
    candidate: Source,
    reference: Source | None,
    config: Config,
    *,
    progress: ProgressCallback | None = None,
    on_segment: Callable[[], None] = lambda: None,
    output: Path | None = None,
    force: bool = False,
    html: bool = True,
    references: References | None = None,
    sample_to: str | None = None,
    sample_rows: int = 10_000,
    extent: Extent = Extent.whole,
) -> ValidationReport:
    """Validates a candidate, against a reference where there is one.

    Several processes (`vr.cascade.hosts`) call it with the same arguments and return the same report; process 0 alone
    looks into `output` and writes there.

    Args:
      candidate: The dataset somebody is about to train on.
      reference: Real rows of the same kind.
      config: Everything else.
      progress: Told of every step.
      on_segment: Called where a training begins and after each of its segments, but those of a learning-rate test, from
        any thread; what it raises ends the run. Not for one of several processes, whose peers would wait for it.
      output: Folder for report.json, report.html and row_scores.parquet; an interrupted run resumes there, and over a
        finished one of the same inputs and configuration the stored report is returned.
      force: Compute again whatever is in `output`, which stays there until the new files are whole.
      html: Whether to write report.html.
      references: What is known of references already, to be added to.
      sample_to: Path or URI of a file for a stratified sample of the candidate, written over what is there; None: none.
      sample_rows: To draw for it.
      extent: With `verdict`, nothing is computed that the verdict does not take, no sample is written and no row has a
        score; what `output` holds of the same whole run is returned.

    Returns:
      The report; apart from `run` the same for the same inputs, configuration and machine.

    Raises:
      DataError: where a dataset cannot be read or compared.
      ConfigError: where `output` cannot be used.
      DivergedError: where too many proxies diverged.
    """
    tell = progress or (lambda event: None)
    library = by_first(lambda: open_library(config.signatures))
    learned = told_by_first(lambda: corrections_of(config))
    identity = _identity(candidate, reference, config, library, learned)
    folder = by_first(lambda: RunFolder(output, identity, force=force, extent=extent)) or RunFolder(None, identity)
    if (stored := _finished(folder)) is not None:
        if html:
            by_first(lambda: folder.add_page(stored))
        return stored
    # A tracker starts at the first event, so before the clock does.
    tell(Event("read", 0, None))
    whole = extent is Extent.whole
    started, stopwatch = datetime.now(UTC), Stopwatch()
    threads = config.engine.threads or os.cpu_count() or 1

    def rows_done(stage: str, done: int, total: int | None, message: str) -> None:
        tell(Event(stage, done, total, message))

    states = None if folder.path is None else states_of(folder.path)
    with (
        stopwatch.stage("profile"),
        passes_of(config.engine, threads, states, [candidate, reference]) as passes,
    ):
        on_known = tell_known(tell, config.engine)
        remembered = None if references is None else references.base
        intake = take_in(
            candidate,
            reference,
            config,
            threads,
            rows_done,
            passes=passes,
            on_known=on_known,
            remembered=remembered,
        )
        stratified = sample_if_possible(
            candidate,
            reference,
            intake,
            sample_rows,
            config,
            passes,
            sample_to if whole else None,
            lambda done: rows_done("sample", done, intake.candidate_profile.rows, "rows seen"),
        )
    nulls = None if references is None else references.of(intake, config.seed)
    untrained = Inputs.of(intake, None, None, config.seed, threads, nulls)
    with ExitStack() as beside:

        def begin() -> Callable[[], RowEvidence | None]:
            return beside.enter_context(
                ahead(lambda: row_evidence(intake, untrained, config, max(1, threads // 2)), threads)
            )

        # It waits for nothing but the rows, and all that follows leaves a thread idle at times; but training, which
        # takes the memory that there is.
        evidence = begin() if whole and not config.cascade.tiers else None
        screening, grown = untrained, None
        if untrained.splits and not config.cascade.tiers:
            # Forests grow without Python's lock: beside what mostly waits for that they cost no time.
            half = max(1, threads // 2)
            growing, screening = replace(untrained, threads=half), replace(untrained, threads=max(1, threads - half))
            grown = beside.enter_context(ahead(lambda: skill_lost(growing), threads))
        # Threads of our own divide the work; those that libraries start wait for each other on a busy machine.
        with stopwatch.stage("prescreen"), single_threaded():
            screened = BeforeTraining.of(told_by_first(lambda: pre_screen(screening, library, config.signatures)))
            tell(Event("prescreen", 1, 1, screened.message, screened.values))
        with stopwatch.stage("cascade"):
            cascade, cascade_reason = _train(intake, config, folder, tell, screened, on_segment)
        if whole:
            evidence = evidence or begin()
        # With what the pre-screen measured already.
        inputs = replace(untrained, cascade=cascade, cascade_reason=cascade_reason)
        with stopwatch.stage("statistics"), single_threaded():
            if grown is not None:
                grown()
            found = judged(reference, intake, inputs, config, tell)
        rest = (
            assemble.not_asked(config.recommendation.prices.currency)
            if evidence is None
            else follow_up(candidate, inputs, found, evidence, config, folder, learned, stopwatch, tell)
        )
    report = ValidationReport(
        extent=extent,
        **_verdict_fields(found),
        prescreen=screened.section,
        signatures=screened.signatures,
        cascade=assemble.cascade_section(cascade, config.cascade.preset, cascade_reason),
        scaling=assemble.scaling_section(cascade, cascade_reason),
        **rest,
        dataset=assemble.dataset_section(candidate, intake.candidate_profile, found.intake, inputs, is_candidate=True),
        reference=None
        if reference is None or intake.reference_profile is None
        else assemble.dataset_section(reference, intake.reference_profile, found.intake, inputs, is_candidate=False),
        stratified_sample=stratified,
        run=RunSection(
            seed=config.seed,
            configuration=to_plain(config),
            versions=_versions(),
            devices=_devices(cascade is not None),
            stages=stopwatch.stages,
            cascade_seconds={} if cascade is None else {tier.name: tier.seconds for tier in cascade.tiers},
            started=started.isoformat(timespec="seconds"),
            seconds=stopwatch.seconds,
        ),
    )
    tell(Event("report", 0, 1))
    by_first(lambda: folder.publish(report, html=html))
    tell(Event("report", 1, 1, report.verdict, {} if found.risk is None else {"risk_score": found.risk}))
    return report


def _verdict_fields(found: Judged) -> dict[str, Any]:
    """Returns what the report says of the verdict, by its keys."""
    judgement, risk, detected = found.judgement, found.risk, found.judgement.detected
    return {
        "verdict": Verdict(judgement.verdict),
        "verdict_reason": judgement.reason,
        "calibration": assemble.calibration_section(judgement, found.targets),
        "risk_score": risk,
        "risk_level": assemble.risk_level(risk),
        "collapse_probability": assemble.collapse_probability(judgement),
        "collapse_detected": detected,
        "collapse_type": assemble.collapse_type(found.sections, detected),
        "severity": assemble.severity(risk, detected, judgement.reject_from),
        "not_measured": [name for name, each in found.sections.items() if each.status is Status.not_measured],
        "drivers": [
            {"feature": d.name, "contribution": round(d.contribution, 4)}
            | ({} if d.excess is None else {"excess": round(d.excess, 4)})
            for d in judgement.drivers
        ],
        "dimensions": found.sections,
    }


def _finished(folder: RunFolder) -> ValidationReport | None:
    """Returns the report of a run that is finished already, in every process, though the first alone has the folder."""
    stored = by_first(folder.finished)
    if not several():
        return stored
    text = told_by_first(lambda: None if stored is None else stored.to_json())
    return None if text is None else ValidationReport.model_validate_json(text)


def _train(
    intake: Intake,
    config: Config,
    folder: RunFolder,
    tell: ProgressCallback,
    screened: BeforeTraining,
    on_segment: Callable[[], None],
) -> tuple[Any, str | None]:
    """Returns the trained cascade, or None and the reason."""
    if screened.section.stopped:
        return None, "no proxies were trained: the pre-screen says stop (signatures.stop=true)"
    if not config.cascade.tiers:
        return None, "no proxies were trained (cascade=none)"
    if intake.reference is None or not intake.splits:
        return None, intake.splits_reason
    from vr.cascade.train import run_cascade

    pairs = intake.pair_columns
    key = f"{intake.candidate_profile.fingerprint}-{intake.reference_profile.fingerprint}"  # type: ignore[union-attr]
    result = run_cascade(
        intake.reference.codes[:, pairs],
        intake.candidate.codes[:, pairs],
        intake.columns.num_codes[pairs].tolist(),
        config.cascade,
        config.seed,
        progress=lambda step: tell(Event("cascade", step.done, step.total, step.message, step.values, step)),
        on_segment=on_segment,
        saved=by_first(lambda: folder.stages("cascade", key)),
        checkpoints=folder.room("training", key),
        keep_networks=asks_proxies(config),
    )
    return result, None


def _identity(
    candidate: Source, reference: Source | None, config: Config, library: Library | None, learned: dict[str, Any]
) -> dict[str, Any]:
    """Returns what decides the report: settings that change a result, the inputs' files, what is known of others."""
    document = to_plain(config)
    del document["tracking"], document["reading"], document["engine"], document["signatures"]["history"]
    return {
        "configuration": document,
        "inputs": [None if source is None else _files(source) for source in (candidate, reference)],
        "signatures": None if library is None else library.digest,
        "learned": learned,
        "version": version_of("vr"),
    }


def _files(source: Source) -> list[Any]:
    if not source.files:
        return [source.uri, source.schema.to_string(), source.num_rows]
    return [list(mark) for mark in source.marks()]


def _versions() -> dict[str, str]:
    # One that is not installed was not needed; a finished run is not lost for want of its version.
    versions = {"vr": str(version_of("vr")), "python": platform.python_version()}
    versions |= {name: version for name in _PACKAGES if (version := version_of(name)) is not None}
    return versions


def _devices(trained: bool) -> list[str]:
    """Returns the accelerators used; asks jax only where it was used, so that statistics alone never load it."""
    cores = f"{os.cpu_count()} CPU cores"
    if not trained:
        return [cores]
    import jax

    return [cores, *(f"{device.platform}:{device.device_kind}" for device in jax.devices())]
