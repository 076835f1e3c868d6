"""`vr remote ...`: the same words as on this machine, computed by a server."""

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from vr.client.connection import Authority, Certificate, Insecure, Key, Tls, TokenFile, connection_of
from vr.core.errors import ConfigError

if TYPE_CHECKING:
    from vr.client.job import Job

__all__ = ["app"]

REJECTED = 1
_PAGE = "report.html"

app = typer.Typer(help="Ask a server that runs `vr serve`.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Keeps `validate` a word of its own while it is the only one."""


@app.command()
def validate(
    candidate: Annotated[
        str, typer.Argument(metavar="CANDIDATE", help="Path or URI that the server can read.", show_default=False)
    ],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(metavar="OVERRIDE", help="Settings as KEY=VALUE, such as cascade=none.", show_default=False),
    ] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", "-r", help="Real rows to compare with.", show_default=False)
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option(
            "--target",
            "-t",
            metavar="COLUMN",
            help="Column that the model is to predict; may be given again.",
            show_default=False,
        ),
    ] = None,
    server: Annotated[str, typer.Option("--server", "-s", metavar="HOST:PORT", help="Where it listens.")] = (
        "127.0.0.1:50051"
    ),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder for report.json and report.html.")
    ] = None,
    token_file: TokenFile = None,
    authority: Authority = None,
    certificate: Certificate = None,
    private_key: Key = None,
    tls: Tls = False,
    insecure: Insecure = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", help="Seconds to wait for at most.", show_default=False)
    ] = None,
    gate: Annotated[bool, typer.Option("--gate", help="Exit 1 where the verdict is reject.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as JSON on stdout instead.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Show no progress.")] = False,
) -> int:
    """Say whether a model trained on CANDIDATE would collapse, computed by a server."""
    import sys

    from vr.client.client import Client
    from vr.client.job import Job
    from vr.telemetry.summary import print_summary
    from vr.telemetry.terminal import show_progress

    work = _with_settings(Job(candidate, reference, targets=target or ()), overrides or [])
    connection = connection_of(server, token_file, authority, certificate, private_key, tls, insecure)
    with (
        Client(**vars(connection), timeout=timeout) as client,
        show_progress(quiet=quiet) as show,
    ):
        report = client.validate(work, progress=show)
    if output is not None:
        report.save(output / _PAGE)
        report.save(output / "report.json")
    if as_json:
        sys.stdout.write(report.to_json() + "\n")
    else:
        print_summary(report, report_path=None if output is None else output / _PAGE)
    return REJECTED if gate and report.verdict == "reject" else 0


def _with_settings(work: "Job", words: list[str]) -> "Job":
    """Returns the job with `cascade=` and `seed=` in their own fields; the server judges the rest."""
    for word in words:
        name, given, value = word.partition("=")
        if not given:
            raise ConfigError("is neither an option nor KEY=VALUE", where=word)
        if name == "cascade":
            work = replace(work, cascade=value)
        elif name == "seed":
            if not value.isdecimal():
                raise ConfigError(f"must be a whole number, not {value!r}", where="seed")
            work = replace(work, seed=int(value))
        else:
            work = replace(work, overrides=[*work.overrides, word.replace(" ", "")])
    return work
