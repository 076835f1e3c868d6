"""One run, as every door makes it: configuration checked, sources opened, tracker attached, the pipeline called."""

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vr.cascade.hosts import Hosts, is_first, join
from vr.core.errors import ConfigError, VrError
from vr.core.garbage import uncollected
from vr.data.config import Isolation, is_isolated
from vr.pipeline.config import Config, TrackingConfig
from vr.pipeline.extent import Extent
from vr.pipeline.progress import Event, ProgressCallback

if TYPE_CHECKING:
    from vr.data.isolation.reader import ReadingProcesses
    from vr.data.source import Source
    from vr.pipeline.fix import Fixed
    from vr.pipeline.references import References
    from vr.pipeline.remote_output import RemoteOutput
    from vr.pipeline.report import StratifiedSampleSection, ValidationReport

__all__ = ["configure", "open_sources", "run", "run_fix", "run_profile", "run_sample"]


def configure(config: Config | Mapping[str, Any] | None = None, overrides: Sequence[str] = ()) -> Config:
    """Returns the configuration of a run; overrides alone are composed once and kept, see `vr.composed`."""
    if isinstance(config, Config) and not overrides:
        return config
    if not config and not overrides:
        return Config()
    if not config:
        from vr.composed import composed

        return composed([str(each) for each in overrides])
    from vr.config import compose

    return compose(overrides, base=config)


def open_sources(
    candidate: Any, reference: Any, config: Config, processes: "ReadingProcesses | None" = None
) -> "tuple[Source, Source | None]":
    """Returns both datasets opened; what is not given directly is taken from `data.uri` and `reference.uri`.

    Column types are given once for both: a reference without any takes the candidate's. Both are read by the same
    `processes`, of their own where none are given.

    Raises:
      ConfigError: There is no candidate.
      DataError: A dataset cannot be opened.
    """
    from vr.data.source import open_source

    processes = processes or _reading_processes(candidate, reference, config)
    candidate = config.data.uri if candidate is None else candidate
    reference = config.reference.uri if reference is None else reference
    if candidate is None:
        raise ConfigError("no dataset to validate", where="data.uri", hint="name a file, a folder, a glob or a URI")
    types = config.data.types
    first = open_source(candidate, format=config.data.format, types=types, reading=config.reading, processes=processes)
    if reference is None:
        return first, None
    types = config.reference.types or types
    return first, open_source(
        reference, format=config.reference.format, types=types, reading=config.reading, processes=processes
    )


def _reading_processes(candidate: Any, reference: Any, config: Config) -> "ReadingProcesses | None":
    """Returns what reads files for one run, already under way, or None where nothing is read so."""
    given = (
        config.data.uri if candidate is None else candidate,
        config.reference.uri if reference is None else reference,
    )
    if not (is_isolated(config.reading.isolation) and any(isinstance(each, str | os.PathLike) for each in given)):
        return None
    from vr.data.isolation.reader import ReadingProcesses

    return ReadingProcesses(config.reading, started=1)


def run(
    candidate: Any,
    reference: Any,
    config: Config,
    *,
    output: Path | str | None = None,
    folder: Path | None = None,
    force: bool = False,
    html: bool = True,
    progress: ProgressCallback | None = None,
    on_segment: Callable[[], None] = lambda: None,
    processes: "ReadingProcesses | None" = None,
    references: "References | None" = None,
    sample_to: str | None = None,
    sample_rows: int = 10_000,
    extent: Extent = Extent.whole,
    on_loaded: Callable[[], None] | None = None,
) -> "ValidationReport":
    """Returns the pipeline's report, its events shown to `progress` and to the configured tracker.

    Where VR_COORDINATOR, VR_PROCESSES and VR_PROCESS are set, this is one of several processes that make the same call
    and train the cascade together; process 0 alone writes to `output` and has a tracker.

    Args:
      candidate: A path, URI or Arrow stream; None: `config.data.uri`.
      reference: The same; None: `config.reference.uri`, which may be None too.
      config: The whole configuration.
      output: Folder or `s3://`, `gs://` URI that receives the files, and with which an interrupted run resumes (see
        `vr.pipeline.remote_output`); None: nothing is written.
      folder: Where a run with such a URI is made, and from where it resumes; None: in the user's cache.
      force: Run again over a finished run.
      html: Write report.html too.
      progress: Called with every event.
      on_segment: Called where a training begins and after each of its segments, but those of a learning-rate test, from
        any thread; what it raises ends the run. Not for one of several processes, whose peers would wait for it.
      processes: That parse files, where some were started beforehand.
      references: What is known of references already, to be added to.
      sample_to: Path or URI of a file for a stratified sample of the candidate, written over what is there; None: none.
      sample_rows: To draw for it.
      extent: Whether to stop at the verdict, see `vr.pipeline.validate`; one alone is kept in no history.
      on_loaded: Called once what the run needs is imported, before garbage is searched for again.

    Raises:
      ConfigError: `output` cannot be used, or lies where a dataset is read.
      DataError: A dataset cannot be read or compared.
      PeerLostError: Another of several processes is gone.
      PreemptedError: One of several processes was asked to stop.
      AlreadyPublishedError: Another run is in the store, or was published there first.
      StoreError: An object store refuses, or failed for too long.
    """
    # It starts while this process imports what it needs itself.
    processes = processes or _reading_processes(candidate, reference, config)
    join(Hosts.of(os.environ))
    with uncollected():
        from vr.cascade.agreement import by_first
        from vr.pipeline.history import remember, validation_record
        from vr.pipeline.run_folder import PUBLISHED, REPORT, refuse_inside
        from vr.pipeline.validate import validate
        from vr.telemetry.background import tracking

        if on_loaded is not None:
            on_loaded()
    folder, remote = _open_output(output, REPORT, PUBLISHED, folder)
    first, second = open_sources(candidate, reference, config, processes)
    refuse_inside(folder, [first, second])
    if remote is not None:
        remote.refuse_inside([first, second])
        if not force:
            by_first(remote.refuse_taken)
    tracked = config if is_first() else replace(config, tracking=TrackingConfig())
    with tracking(tracked, folder or Path.cwd()) as tracker:

        def tell(event: Event) -> None:
            if progress is not None:
                progress(event)
            tracker.log(event)

        report = validate(
            first,
            second,
            config,
            progress=tell,
            on_segment=on_segment,
            output=folder,
            force=force,
            html=html,
            sample_to=sample_to,
            sample_rows=sample_rows,
            references=references,
            extent=extent,
        )
        if remote is not None:
            by_first(lambda: remote.publish(replace=force, is_verdict=report.extent is Extent.verdict))
        # What nothing was recommended for would stand in the place of the whole that may come.
        if is_first() and report.extent is not Extent.verdict:
            remember(config.signatures, lambda: [validation_record(report)])
        tracker.finish(report, folder)
    return report


def run_profile(
    config: Config, *, output: Path | str | None = None, progress: ProgressCallback | None = None
) -> dict[str, Any]:
    """Returns the description of `data.uri`, see `vr.pipeline.describe.profile`; `output` is as of `run`."""
    processes = _reading_processes(None, None, config)
    from vr.pipeline.describe import profile

    folder, remote = _open_output(output, "profile.json")
    source, _ = open_sources(None, None, config, processes)
    if remote is not None:
        remote.refuse_inside([source])
    result = profile(source, config, progress=progress, output=folder)
    if remote is not None:
        # A profile is no verdict that two could contradict: the newest stands, as in a folder.
        remote.publish(replace=True)
    return result


def run_sample(
    config: Config, output: str, rows: int, *, force: bool = False, progress: ProgressCallback | None = None
) -> "StratifiedSampleSection":
    """Draws a stratified sample of `data.uri` and writes it, see `vr.pipeline.sampling.sample`.

    Args:
      config: The whole configuration.
      output: Path or URI of the new file; its name says the format.
      rows: To draw.
      force: Replace what is at `output`.
      progress: Called with every event.

    Raises:
      ConfigError: `output` or `rows` cannot be used.
      DataError: The dataset cannot be read or coded.
      AlreadyPublishedError: Something else is at `output`.
      VrError: The sample cannot be written.
    """
    from vr.pipeline.engines import passes_of, tell_known
    from vr.pipeline.intake import take_in
    from vr.pipeline.sampling import LEAST_ROWS, SampleOutput, sample

    if rows < LEAST_ROWS:
        raise ConfigError(f"must be {LEAST_ROWS} or more, not {rows}", where="--rows")
    place = SampleOutput(output)
    source, _ = open_sources(None, None, config)
    place.refuse_inputs([source])
    tell = progress or (lambda event: None)
    threads = config.engine.threads or os.cpu_count() or 1

    def step(stage: str, done: int, total: int | None, message: str) -> None:
        tell(Event(stage, done, total, message))

    with passes_of(config.engine, threads, None, [source]) as passes:
        intake = take_in(
            source,
            None,
            config,
            threads,
            step,
            passes=passes,
            on_known=tell_known(tell, config.engine),
        )
        total = intake.candidate_profile.rows
        return sample(
            source,
            intake,
            rows,
            config,
            passes,
            place,
            lambda done: step("sample", done, total, "rows seen"),
            replace=force,
        )


def run_fix(
    candidate: str,
    report_path: Path,
    output: str,
    *,
    top: int | None = None,
    real: str | None = None,
    validate: bool = False,
    reference: str | None = None,
    format: str | None = None,
    force: bool = False,
    progress: ProgressCallback | None = None,
) -> "Fixed":
    """Executes a report's recommendations, see `vr.pipeline.fix.fix`, and validates what came of it where asked to.

    The validation is of the report's configuration, against its reference; its files go to `<output>.report`, and what
    it says stands in the manifest beside what the recommendations promised. The history of the report's library of
    signatures, where it has one, keeps both.

    Args:
      candidate: Path or URI of the dataset that the report is of.
      report_path: Its report.json, with row_scores.parquet beside it.
      output: Path or URI of the new file.
      top: How many recommendations, first ones first; None: all.
      real: Path or URI of real rows, for actions that add some.
      validate: Whether to validate the new file.
      reference: Where the report's reference is now; None: where it was.
      format: Of the candidate, where its name does not say.
      force: Replace what is at `output`.
      progress: Called with every event.

    Raises:
      ConfigError: The report, `output` or an option cannot be used, or nothing can be done.
      DataError: The report is of another dataset, or one cannot be read or written again.
      VrError: The new file, or the validation, failed.
    """
    from vr.data.source import open_source
    from vr.pipeline.chosen import load_report
    from vr.pipeline.fix import Fixed, fix
    from vr.pipeline.fixed_output import FixedOutput
    from vr.pipeline.history import fix_record, remember, validation_record
    from vr.pipeline.manifest import validation_of

    report, digest = load_report(report_path)
    # A frame in memory has no place to be found at again.
    if validate and reference is None and (report.reference is None or report.reference.uri.startswith("<")):
        raise ConfigError("needs the reference's file", where="--validate", hint="give it with --reference FILE")
    config = configure(report.run.configuration)
    types = config.data.types
    # In this process: what is written again has to be read as it is stored.
    reading = replace(config.reading, isolation=Isolation.never)
    first = open_source(candidate, format=format or config.data.format, types=types, reading=reading)
    more = None if real is None else open_source(real, types=types, reading=reading)
    judges = reference or (None if report.reference is None else report.reference.uri)
    fixed = fix(
        first,
        report,
        digest,
        output,
        scores=report_path.with_name("row_scores.parquet"),
        top=top,
        real=more,
        needed=[str(report_path), *_files_of(judges)],
        force=force,
        progress=progress,
    )
    # The report too: its run may not have been able to write there.
    record = fix_record(report, fixed.manifest)
    remember(config.signatures, lambda: [validation_record(report), record])
    # Another reference than the report's is another question.
    if not validate or (not fixed.is_new and reference is None and fixed.manifest["validation"] is not None):
        return fixed
    where = reference if reference is not None else report.reference.uri  # type: ignore[union-attr]
    again = replace(config, data=replace(config.data, uri=output, format=first.format))
    after = run(None, where, again, output=f"{output}.report", force=force, progress=progress)
    manifest = fixed.manifest | {"validation": validation_of(report, after, record.foretold)}
    FixedOutput(output).write_manifest(manifest)
    return Fixed(manifest, fixed.is_new)


def _files_of(uri: str | None) -> list[str]:
    """Returns the paths of a dataset's files, none of one that is not there or in memory."""
    from vr.data.formats.locate import locate

    if uri is None or uri.startswith("<"):
        return []
    try:
        return [file.path for file in locate(uri, any_name=True)[0]]
    except (VrError, OSError):
        return []


def _open_output(
    output: Path | str | None, manifest: str, parts: Sequence[str] = (), folder: Path | None = None
) -> "tuple[Path | None, RemoteOutput | None]":
    """Returns the folder that a run writes to, and where it is published from there."""
    from vr.data.store.address import is_remote

    if isinstance(output, str) and is_remote(output):
        from vr.pipeline.remote_output import RemoteOutput

        remote = RemoteOutput(output, manifest, parts, folder)
        return remote.folder, remote
    return None if output is None else Path(output), None
