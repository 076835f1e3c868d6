"""`vr remote ...`: the same words as on this machine, computed by a server."""

import os
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
    server: Annotated[str, typer.Option("--server", "-s", metavar="HOST:PORT", help="Where it listens.")] = (
        "127.0.0.1:50051"
    ),
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="DIR", help="Folder for report.json and report.html.")
    ] = None,
    token_file: Annotated[
        Path | None, typer.Option("--token-file", help="File with the bearer token.", show_default="$VR_TOKEN")
    ] = None,
    authority: Annotated[
        str | None, typer.Option("--ca", help="PEM file of the server's certificate authority.", show_default=False)
    ] = None,
    certificate: Annotated[
        str | None, typer.Option("--certificate", help="PEM file of your own certificate.", show_default=False)
    ] = None,
    private_key: Annotated[str | None, typer.Option("--key", help="Its key.", show_default=False)] = None,
    tls: Annotated[bool, typer.Option("--tls", help="Encrypt, trusting what the system trusts.")] = False,
    insecure: Annotated[bool, typer.Option("--insecure", help="Send a token unencrypted beyond this machine.")] = False,
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

    work = _with_settings(Job(candidate, reference), overrides or [])
    token = os.environ.get("VR_TOKEN") if token_file is None else token_file.read_text().strip()
    with (
        Client(
            server,
            token=token,
            authority=authority,
            certificate=certificate,
            private_key=private_key,
            tls=tls,
            insecure=insecure,
            timeout=timeout,
        ) as client,
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
