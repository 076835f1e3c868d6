"""The `vr` command. Nothing heavy is imported before a command needs it."""

import _thread
import atexit
import contextlib
import gc
import logging
import os
import re
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Iterator, Sequence
from contextvars import ContextVar
from pathlib import Path
from typing import Annotated, Any

import typer

from vr.cascade.hosts import leave
from vr.client.command import app as remote
from vr.client.load.command import loadtest
from vr.config_command import app as config_commands
from vr.core.errors import ConfigError, PreemptedError, VrError
from vr.core.printable import printable
from vr.doctor.command import doctor
from vr.history_command import history
from vr.signature_commands import app as signature_commands

__all__ = ["app", "main"]

REJECTED, BAD_USAGE, FAILED, INTERRUPTED = 1, 2, 4, 130
# Whether nothing else lives in this process, for which what is done to it as a whole would be too much.
_OWN_PROCESS: ContextVar[bool] = ContextVar("own_process", default=False)

# Public in every typer, whichever click it carries: NoSuchOption, MissingParameter and BadParameter all derive from it.
_UsageError: Any = typer.BadParameter.__base__

app = typer.Typer(
    name="vr",
    help="Tells before training whether a model will collapse on a partly or wholly synthetic dataset.",
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.add_typer(signature_commands, context_settings={"help_option_names": ["-h", "--help"]})

_Overrides = Annotated[
    list[str] | None,
    typer.Argument(metavar="OVERRIDE", help="Settings as KEY=VALUE, such as cascade=smoke seed=3.", show_default=False),
]
_Output = Annotated[
    str | None,
    typer.Option(
        "--output",
        "-o",
        metavar="DIR",
        help="Folder, or s3:// or gs:// URI, for the files; the same one resumes.",
        show_default="by date",
    ),
]
_Format = Annotated[
    str | None, typer.Option("--format", help="Format of the dataset, where its name does not say.", show_default=False)
]
_AsJson = Annotated[bool, typer.Option("--json", help="Print the whole result as JSON on stdout instead.")]
_Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
_Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")]


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        from vr import __version__

        _say(f"vr {__version__}\n")
        raise typer.Exit
    if context.invoked_subcommand is None:
        _say(context.get_help() + "\n")
        raise typer.Exit(BAD_USAGE)


@app.command()
def validate(
    candidate: Annotated[
        str, typer.Argument(metavar="CANDIDATE", help="File, folder, glob, or s3:// or gs:// URI.", show_default=False)
    ],
    overrides: _Overrides = None,
    reference: Annotated[
        str | None,
        typer.Option(
            "--reference",
            "-r",
            help="Real rows to compare with, unseen by what made the candidate.",
            show_default=False,
        ),
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            "-t",
            metavar="COLUMN",
            help="Column that the model is to predict, and that the verdict then speaks of; may be given again.",
            show_default=False,
        ),
    ] = None,
    output: _Output = None,
    gate: Annotated[bool, typer.Option("--gate", help="Exit 1 where the verdict is reject.")] = False,
    verdict_only: Annotated[
        bool, typer.Option("--verdict-only", help="Stop at the verdict: no rows to blame, nothing recommended.")
    ] = False,
    html: Annotated[bool, typer.Option("--html/--no-html", help="Write report.html.")] = True,
    format: _Format = None,
    reference_format: Annotated[
        str | None, typer.Option("--reference-format", help="Format of the reference.", show_default=False)
    ] = None,
    as_json: _AsJson = False,
    force: Annotated[bool, typer.Option("--force", help="Run again over a finished run.")] = False,
    debug: _Debug = False,
    quiet: _Quiet = False,
) -> int:
    """Say whether a model trained on CANDIDATE would collapse: approve, review or reject."""
    candidate, words = _sort_words(candidate, overrides or [])
    config = _configured(words, data=(candidate, format), reference=(reference, reference_format), targets=target)

    from vr.cascade.hosts import Hosts
    from vr.pipeline.extent import Extent
    from vr.session import run
    from vr.telemetry.summary import print_summary
    from vr.telemetry.terminal import show_progress

    hosts = Hosts.of(os.environ)
    if hosts is not None and output is None:
        raise ConfigError("not given, where several processes share a folder", where="--output")
    folder = _dated_folder() if output is None else _place(output)
    speaks = hosts is None or hosts.process == 0
    started = time.time()
    with _resumable(folder, given=output is not None), show_progress(quiet=quiet or not speaks) as show:
        # Modules are searched for garbage no more; in a process of its own nothing else is there yet.
        on_loaded = gc.freeze if _OWN_PROCESS.get() else None
        report = run(
            None,
            None,
            config,
            output=folder,
            force=force,
            html=html,
            progress=show,
            extent=Extent.verdict if verdict_only else Extent.whole,
            on_loaded=on_loaded,
        )
    if not speaks:
        return REJECTED if gate and report.verdict == "reject" else 0
    if _was_finished(folder, before=started):
        _note(f"{folder} already holds this run, finished; --force runs it again")
    if as_json:
        _say(report.to_json() + "\n")
    else:
        page = _inside(folder, "report.html" if html else "report.json")
        with _quiet_pipe():
            print_summary(report, report_path=page)
    return REJECTED if gate and report.verdict == "reject" else 0


@app.command()
def profile(
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="File, folder, glob, or s3:// or gs:// URI.", show_default=False)
    ],
    overrides: _Overrides = None,
    output: _Output = None,
    format: _Format = None,
    as_json: _AsJson = False,
    debug: _Debug = False,
    quiet: _Quiet = False,
) -> int:
    """Describe DATASET in one pass: columns, nulls, duplicates, diversity. No verdict."""
    dataset, words = _sort_words(dataset, overrides or [])
    config = _configured(words, data=(dataset, format), reference=(None, None))

    import json

    from vr.data.store.address import shown
    from vr.session import run_profile
    from vr.telemetry.summary import print_profile
    from vr.telemetry.terminal import show_progress

    with show_progress(quiet=quiet) as show:
        result = run_profile(config, output=None if output is None else _place(output), progress=show)
    if as_json:
        _say(json.dumps(result, indent=1, allow_nan=False) + "\n")
    else:
        with _quiet_pipe():
            print_profile(result, folder=None if output is None else shown(output))
    return 0


@app.command()
def sample(
    dataset: Annotated[
        str, typer.Argument(metavar="DATASET", help="File, folder, glob, or s3:// or gs:// URI.", show_default=False)
    ],
    output: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE",
            help="The new file, parquet, arrow, csv, tsv, json or jsonl by its name.",
            show_default=False,
        ),
    ],
    overrides: _Overrides = None,
    rows: Annotated[int, typer.Option("--rows", "-n", help="How many rows to draw, 100 or more.")] = 10_000,
    format: _Format = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was drawn as JSON on stdout instead.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what is at FILE.")] = False,
    debug: _Debug = False,
    quiet: _Quiet = False,
) -> int:
    """Draw rows of DATASET by strata: clusters in proportion, rare rows and outliers kept, a weight for each row."""
    dataset, words = _sort_words(dataset, overrides or [])
    config = _configured(words, data=(dataset, format), reference=(None, None))

    from vr.session import run_sample
    from vr.telemetry.sampled import print_sampled
    from vr.telemetry.terminal import show_progress

    with show_progress(quiet=quiet) as show:
        drawn = run_sample(config, output, rows, force=force, progress=show)
    if as_json:
        _say(drawn.model_dump_json(indent=1) + "\n")
    else:
        with _quiet_pipe():
            print_sampled(drawn)
    return 0


@app.command()
def fix(
    candidate: Annotated[
        str, typer.Argument(metavar="CANDIDATE", help="The dataset that the report is of.", show_default=False)
    ],
    report: Annotated[Path, typer.Option("--report", help="report.json of a `vr validate`.", show_default=False)],
    output: Annotated[
        str,
        typer.Option("--output", "-o", metavar="FILE", help="The new file, of CANDIDATE's format.", show_default=False),
    ],
    top: Annotated[
        int | None, typer.Option("--top", help="How many recommendations, the first ones.", show_default="all")
    ] = None,
    real: Annotated[
        str | None,
        typer.Option("--real", metavar="FILE", help="Real rows, for actions that add some.", show_default=False),
    ] = None,
    check: Annotated[bool, typer.Option("--validate", help="Validate the new file, and say what it bought.")] = False,
    reference: Annotated[
        str | None,
        typer.Option("--reference", "-r", help="For --validate.", show_default="the report's"),
    ] = None,
    format: _Format = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the manifest as JSON on stdout instead.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace what is at FILE.")] = False,
    debug: _Debug = False,
    quiet: _Quiet = False,
) -> int:
    """Execute a report's recommendations on CANDIDATE and write it anew; CANDIDATE itself stays as it is."""
    import json

    from vr.data.store.address import shown
    from vr.session import run_fix
    from vr.telemetry.fixed import print_fixed
    from vr.telemetry.terminal import show_progress

    with show_progress(quiet=quiet) as show:
        fixed = run_fix(
            candidate,
            report,
            output,
            top=top,
            real=real,
            validate=check,
            reference=reference,
            format=format,
            force=force,
            progress=show,
        )
    if not fixed.is_new:
        _note(f"{shown(output)} is there already, from the same command; --force writes it again")
    if as_json:
        _say(json.dumps(fixed.manifest, indent=1, allow_nan=False) + "\n")
    else:
        with _quiet_pipe():
            print_fixed(fixed.manifest, place=shown(output))
    return 0


@app.command()
def schema() -> int:
    """Print the JSON Schema of report.json."""
    import json

    from vr.pipeline.report import ValidationReport

    _say(json.dumps(ValidationReport.model_json_schema(), indent=1) + "\n")
    return 0


@app.command()
def serve(overrides: _Overrides = None, debug: _Debug = False) -> int:
    """Serve validations over gRPC; settings `server.KEY=VALUE`, others are what requests start from."""
    from vr.server.command import run_server

    return run_server(overrides or [], announce=lambda place: _say(f"listening on {place}\n"))


@app.command()
def worker(overrides: _Overrides = None, debug: _Debug = False) -> int:
    """Take jobs from an orchestrator; settings `worker.KEY=VALUE`, others are what jobs start from."""
    from vr.worker.command import run_worker

    return run_worker(overrides or [], announce=lambda place, name: _say(f"connected to {place} as {name}\n"))


app.command()(doctor)
app.command()(history)
app.command()(loadtest)
app.add_typer(config_commands, name="config")
app.add_typer(remote, name="remote")


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line and returns its exit code.

    Args:
      arguments: Those of this process by default, which then is the command's own.

    Returns:
      0 finished, or one of several processes that were stopped by SIGTERM with everything kept; 1 `--gate` and
      rejected, or `vr doctor` and something broken; 2 bad usage or configuration; 3 bad input data; 4 anything that
      failed while running; 75 another of several processes is gone; 130 interrupted, by ctrl-C or by SIGTERM.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    _OWN_PROCESS.set(arguments is None)
    if arguments is None:
        # As it ends it would search all modules for garbage, a third of a second: the system takes that back.
        atexit.register(gc.freeze)
    if logging.lastResort is not None:
        logging.lastResort.setFormatter(logging.Formatter("warning: %(message)s"))
    if "--debug" not in words:
        # It would tell of every request that is tried again; what fails in the end is an error with a line of its own.
        logging.getLogger("stamina").setLevel(logging.ERROR)
        # A library's advice to its callers is nothing a user can act on.
        warnings.simplefilter("ignore")
    try:
        with _terminable():
            code = typer.main.get_command(app).main(args=words, prog_name="vr", standalone_mode=False)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except _UsageError as error:
        return _fail(error, error.format_message(), BAD_USAGE, hint="see vr --help")
    except PreemptedError as error:
        _note(str(error))
        # A gate that nobody has judged at stays shut.
        return INTERRUPTED if "--gate" in words else error.exit_code
    except VrError as error:
        return _fail(error, str(error), error.exit_code, debug="--debug" in words)
    except Exception as error:  # noqa: BLE001 - whatever failed, the user gets one line and exit code 4
        text = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        return _fail(error, text, FAILED, debug="--debug" in words, hint="--debug shows the traceback")
    return code if isinstance(code, int) else 0


def _fail(error: BaseException, text: str, code: int, *, debug: bool = False, hint: str | None = None) -> int:
    if debug:
        traceback.print_exception(error)
    line = " ".join(text.split()).rstrip(".")
    _note(f"error: {line}" + (f"; {hint}" if hint and not debug else ""))
    leave(code)
    return code


def _sort_words(first: str, rest: list[str]) -> tuple[str, list[str]]:
    """Returns the dataset and the overrides, in whichever order they came."""
    words = [first, *rest]
    datasets = [word for word in words if not _is_override(word)] or [first]
    if len(datasets) > 1:
        raise ConfigError("is neither an option nor KEY=VALUE", where=datasets[1], hint="one dataset at a time")
    words.remove(datasets[0])
    return datasets[0], words


def _is_override(word: str) -> bool:
    # A path may hold an equals sign too (`day=3/part.parquet`): what exists is a path.
    return bool(re.match(r"(\+\+?)?[A-Za-z_][\w.@/]*=|~[A-Za-z_]", word)) and not Path(word).exists()


def _configured(
    words: list[str],
    *,
    data: tuple[str | None, str | None],
    reference: tuple[str | None, str | None],
    targets: list[str] | None = None,
) -> Any:
    """Returns the composed configuration with the datasets and columns that were named on the command line."""
    from dataclasses import replace

    from vr.core.garbage import uncollected

    with uncollected():
        from vr.composed import composed

        config = composed(words)
        if _OWN_PROCESS.get():
            _prepare_process(trains=bool(config.cascade.tiers))
    sections = {}
    for name, (uri, kind) in (("data", data), ("reference", reference)):
        given = {key: value for key, value in (("uri", uri), ("format", kind)) if value is not None}
        sections[name] = replace(getattr(config, name), **given)
    if targets and config.targets:
        raise ConfigError("are given as targets=[...] too", where="--target", hint="use one of the two")
    if targets:
        sections["targets"] = targets
    return replace(config, **sections)


def _prepare_process(*, trains: bool) -> None:
    """Lets this process, in which nothing but the command is, begin and compute in less time."""
    from vr.core.memory import keep_freed_memory
    from vr.data.without_pandas import do_without_pandas
    from vr.stats.without_f2py import do_without_f2py

    # Where proxies train it would come on top of the most memory that is ever had.
    if not trains:
        keep_freed_memory()
    do_without_pandas()
    do_without_f2py()


def _dated_folder() -> Path:
    base = folder = Path(time.strftime("outputs/%Y-%m-%d/%H-%M-%S"))
    number = 1
    # Two runs begun in one second are two runs.
    while folder.exists():
        number += 1
        folder = base.with_name(f"{base.name}-{number}")
    return folder


def _place(output: str) -> Path | str:
    """Returns a folder, or an address in an object store as it was given: a path would lose one of its slashes."""
    from vr.data.store.address import is_remote

    return output if is_remote(output) else Path(output)


def _inside(folder: Path | str, name: str) -> Path | str:
    """Returns where a file of the output is, as it may be shown."""
    from vr.data.store.address import shown

    return folder / name if isinstance(folder, Path) else f"{shown(folder).rstrip('/')}/{name}"


def _was_finished(folder: Path | str, *, before: float) -> bool:
    """Whether the report was there before this command began."""
    if isinstance(folder, str):
        from vr.pipeline.remote_output import local_folder

        folder = local_folder(folder)
    path = folder / "report.json"
    return path.exists() and path.stat().st_mtime < before


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Makes a request to terminate end the block as ctrl-C does: files removed, threads joined, a word on stderr."""
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread may decide about signals.
        yield
        return
    before, hook = signal.signal(signal.SIGTERM, signal.default_int_handler), sys.unraisablehook

    timers: list[threading.Timer] = []

    def again(unraisable: "sys.UnraisableHookArgs") -> None:
        """Asks once more where the interpreter was in a finalizer, out of which no exception comes."""
        if not issubclass(unraisable.exc_type, KeyboardInterrupt):
            return hook(unraisable)
        # From another thread and a little later: here the interruption would be lost in this hook.
        timer = threading.Timer(0.01, _thread.interrupt_main, (signal.SIGTERM,))
        timer.daemon = True
        timers.append(timer)
        timer.start()

    sys.unraisablehook = again
    try:
        yield
    finally:
        for timer in timers:
            timer.cancel()
        sys.unraisablehook = hook
        signal.signal(signal.SIGTERM, signal.SIG_DFL if before is None else before)


@contextlib.contextmanager
def _resumable(folder: Path | str, *, given: bool) -> Iterator[None]:
    """Tells somebody who interrupts a run how to go on with it."""
    try:
        yield
    except KeyboardInterrupt:
        again = "the same command resumes" if given else f"the same command with --output {folder} resumes"
        _note(f"interrupted; {again}")
        raise


def _note(text: str) -> None:
    with contextlib.suppress(BrokenPipeError):
        sys.stderr.write(printable(text) + "\n")
        sys.stderr.flush()


def _say(text: str) -> None:
    with _quiet_pipe():
        sys.stdout.write(text)


@contextlib.contextmanager
def _quiet_pipe() -> Iterator[None]:
    """Flushes stdout after the block; a reader who has gone away (`vr ... | head`) is no error."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # What is still buffered would fail again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
