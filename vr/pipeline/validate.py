"""The one pipeline behind all doors: from two sources to a report."""

import os
import platform
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from vr.cascade.agreement import by_each, by_first, told_by_first
from vr.cascade.config import changes_to
from vr.cascade.hosts import several
from vr.core.installed import version_of
from vr.core.plain import to_plain
from vr.core.workers import ahead, single_threaded
from vr.data.source import Source
from vr.detector import reference_free
from vr.detector.calibration import SKILL_LOST, SKILL_LOST_TARGETS
from vr.detector.dimensions.generalization_gap import judged_targets, skill_lost
from vr.detector.inputs import Inputs
from vr.detector.metric import Feature
from vr.detector.registry import DIMENSIONS
from vr.detector.verdict import judge, withhold_approval
from vr.localization.row_evidence import RowEvidence
from vr.pipeline import assemble
from vr.pipeline.config import Config
from vr.pipeline.diversity import diversity_section
from vr.pipeline.engines import passes_of, tell_known
from vr.pipeline.extent import Extent
from vr.pipeline.history import corrections_of
from vr.pipeline.intake import Intake, take_in
from vr.pipeline.localization import asks_proxies, localize_rows, proxies_of, row_evidence
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
      on_segment: Called at the end of every segment of a training, from any thread; what it raises ends the run.
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
            measurements = {}
            for index, (name, dimension) in enumerate(DIMENSIONS.items()):
                tell(Event("statistics", index, len(DIMENSIONS), name.replace("_", " ")))
                measurements[name] = dimension.measure(inputs)
            tell(Event("statistics", len(DIMENSIONS), len(DIMENSIONS)))
            features, specs = assemble.all_features(measurements)
            judged = judged_targets(inputs)
            targets = [name for name, j in zip(config.targets, intake.targets, strict=True) if j in judged]
            if left := [name for name in config.targets if name not in targets]:
                # First among them: it changes what the verdict speaks of.
                intake = replace(intake, notes=[_not_judged(left, targets, intake, features), *intake.notes])
            alone = {} if reference is not None else reference_free.measure(inputs)
            features, specs = features | alone, specs | reference_free.METRICS
            judgement = judge(features, specs, config.detector, with_reference=reference is not None)
            sections = assemble.dimension_sections(
                measurements, config.detector, judgement.situation, intake.splits_reason
            )
            with_proxies = judgement.situation.startswith("trained")
            if with_proxies and (changes := changes_to(_CALIBRATED_CASCADE, config.cascade)):
                strange = f"{', '.join(changes)} (calibrated with cascade={_CALIBRATED_CASCADE} as it ships)"
                judgement = replace(judgement, beyond=(*judgement.beyond, strange))
            if missing := _not_compared(reference, intake, config):
                judgement = withhold_approval(
                    judgement,
                    f"{len(missing)} of the reference's columns could not be compared ({', '.join(missing[:3])}"
                    f"{', ...' if len(missing) > 3 else ''}): what they lost is not known",
                )
            if infinite := _newly_infinite(intake):
                judgement = withhold_approval(
                    judgement, f"column '{infinite[0]}' has infinite values, which the reference has nowhere in it"
                )
        risk = None if judgement.probability is None else round(100.0 * judgement.probability, 3)
        rest = assemble.not_asked(config.recommendation.prices.currency)
        if evidence is not None:
            with stopwatch.stage("diversity"), single_threaded():
                rest["diversity"] = diversity_section(
                    candidate,
                    intake,
                    inputs,
                    measurements["entropy_stability"],
                    alone,
                    batch_rows=config.data.batch_rows,
                )
            with stopwatch.stage("localize"), single_threaded():
                # Process 0 alone writes the table of row scores.
                proxies, not_asked = proxies_of(intake, config, cascade, cascade_reason)
                found, weight = by_each(
                    lambda: localize_rows(candidate, intake, evidence(), config, folder, features, rows_done, proxies)
                )
                rest["localization"] = assemble.localization_section(
                    found, intake.candidate_profile.rows, intake.splits_reason, not_asked
                )
            with stopwatch.stage("recommend"), single_threaded():
                from vr.pipeline import remedies
                from vr.pipeline.advice import advise, num_shares

                tell(Event("recommend", 0, 1))
                shares = num_shares(config)

                def on_share(done: int) -> None:
                    tell(Event("recommend", done, shares + 1, "shares of real rows"))

                advice = advise(
                    candidate, intake, inputs, config, judgement, features, specs, found, weight, on_share, learned
                )
                rest["recommendations"] = remedies.recommendation_sections(advice.actions)
                rest["remedies"] = remedies.remedies_section(
                    advice, config.recommendation.prices.currency, intake.candidate_profile.rows, risk
                )
                tell(Event("recommend", 1, 1))
    detected = judgement.detected
    report = ValidationReport(
        extent=extent,
        verdict=Verdict(judgement.verdict),
        verdict_reason=judgement.reason,
        calibration=assemble.calibration_section(judgement, targets),
        risk_score=risk,
        risk_level=assemble.risk_level(risk),  # type: ignore[arg-type]
        collapse_probability=assemble.collapse_probability(judgement),
        collapse_detected=detected,
        collapse_type=assemble.collapse_type(sections, detected),  # type: ignore[arg-type]
        severity=assemble.severity(risk, detected, judgement.reject_from),  # type: ignore[arg-type]
        not_measured=[name for name, section in sections.items() if section.status is Status.not_measured],
        drivers=[
            {"feature": d.name, "contribution": round(d.contribution, 4)}
            | ({} if d.excess is None else {"excess": round(d.excess, 4)})
            for d in judgement.drivers
        ],
        dimensions=sections,
        prescreen=screened.section,
        signatures=screened.signatures,
        cascade=assemble.cascade_section(cascade, config.cascade.preset, cascade_reason),
        scaling=assemble.scaling_section(cascade, cascade_reason),
        **rest,
        dataset=assemble.dataset_section(candidate, intake.candidate_profile, intake, inputs, is_candidate=True),
        reference=None
        if reference is None or intake.reference_profile is None
        else assemble.dataset_section(reference, intake.reference_profile, intake, inputs, is_candidate=False),
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
    tell(Event("report", 1, 1, report.verdict, {} if risk is None else {"risk_score": risk}))
    return report


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


def _not_judged(left: list[str], judged: list[str], intake: Intake, features: Mapping[str, Feature]) -> str:
    """Returns what is said of targets that the verdict does not speak of."""
    names = ", ".join(f"'{name}'" for name in left)
    found = features.get(SKILL_LOST_TARGETS)
    if found is None or (found.value is None and SKILL_LOST not in features):
        reason = intake.splits_reason if found is None else found.reason
        return f"what is lost at predicting {names} was not measured: {reason}"
    instead = ", ".join(f"'{name}'" for name in judged) or "all columns"
    return f"real rows hardly teach to predict {names}, so that there is no skill to lose: judged by {instead}"


def _not_compared(reference: Source | None, intake: Intake, config: Config) -> list[str]:
    """Returns the reference's columns that the candidate lacks or has of another type, those set to `ignore` aside."""
    if reference is None:
        return []
    ignored = {name for name, kind in {**config.reference.types, **config.data.types}.items() if kind == "ignore"}
    compared = {column.name for column in intake.codec.columns} | ignored
    return [name for name in reference.schema.names if name not in compared]


def _newly_infinite(intake: Intake) -> list[str]:
    """Returns the columns with infinite values in the candidate and none in the reference."""
    if intake.reference_profile is None:
        return []
    theirs = intake.reference_profile.moments
    return [name for name, m in intake.candidate_profile.moments.items() if m.infinite and not theirs[name].infinite]


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
