"""`vr loadtest`: words in, a table or a document out. Nothing heavy is imported before it is needed."""

import contextlib
import json
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from vr.client.connection import Authority, Certificate, Connection, Insecure, Key, Tls, TokenFile, connection_of
from vr.core.errors import ConfigError
from vr.core.printable import printable

if TYPE_CHECKING:
    from vr.client.job import Job
    from vr.client.load.plan import Plan

__all__ = ["load_test", "loadtest"]


def loadtest(
    server: Annotated[str, typer.Argument(metavar="HOST:PORT", help="Where it listens.", show_default=False)],
    candidate: Annotated[
        str | None,
        typer.Option("--candidate", help="Path or URI that the server can read.", show_default="2,000 x 12, made here"),
    ] = None,
    reference: Annotated[
        str | None, typer.Option("--reference", "-r", help="Real rows to compare with.", show_default=False)
    ] = None,
    cascade: Annotated[str, typer.Option("--cascade", help="Preset of every validation.")] = "none",
    call: Annotated[str, typer.Option("--call", help="Which call.")] = "DetectCollapse",
    reuse: Annotated[bool, typer.Option("--reuse", help="Ask for one validation, computed once, again and again.")] = (
        False
    ),
    clients: Annotated[
        str | None,
        typer.Option("--clients", "-c", metavar="N,...", help="Closed loops, one after the other.", show_default="4"),
    ] = None,
    rate: Annotated[
        str | None,
        typer.Option(
            "--rate", metavar="R,...", help="Open loops: questions a second, or 2x: of the best.", show_default=False
        ),
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", help="Longest time of a level.")] = 60.0,
    requests: Annotated[int, typer.Option("--requests", help="Most questions, of all levels together.")] = 2_000,
    warm_up: Annotated[float, typer.Option("--warm-up", help="Seconds of each level that no figure counts.")] = 5.0,
    window: Annotated[float, typer.Option("--window", help="Least seconds of a window.")] = 5.0,
    window_requests: Annotated[int, typer.Option("--window-requests", help="Least answers of a window.")] = 20,
    tolerance: Annotated[
        float,
        typer.Option("--tolerance", help="How far three windows may lie from their mean to be stable, as a share."),
    ] = 0.1,
    goal_ms: Annotated[
        float | None, typer.Option("--goal-ms", help="A later answer is no good one.", show_default=False)
    ] = None,
    timeout: Annotated[float, typer.Option("--timeout", help="Seconds for each question.")] = 60.0,
    seed: Annotated[int, typer.Option("--seed", help="Of the arrivals of open loops.")] = 0,
    yes_remote: Annotated[
        bool, typer.Option("--yes-remote", help="The server is on another machine, and may be put under load.")
    ] = False,
    token_file: TokenFile = None,
    authority: Authority = None,
    certificate: Certificate = None,
    private_key: Key = None,
    tls: Tls = False,
    insecure: Insecure = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="File for the JSON.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON on stdout instead.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> int:
    """Put a server under load, within bounds, and say how it does: goodput, latencies, refusals, health."""
    from vr.client.load.plan import Plan, levels_of

    connection = connection_of(server, token_file, authority, certificate, private_key, tls, insecure)
    if not (connection.is_loopback or yes_remote):
        raise ConfigError(
            f"{server} is on another machine, and a load test takes all that it has",
            where="vr loadtest",
            hint="say --yes-remote where that is wanted",
        )
    if output is not None:
        _refuse_unwritable(output)
    if candidate is None and not connection.is_loopback:
        raise ConfigError("not given, and that server cannot read files made here", where="--candidate")
    plan = Plan(
        levels_of(clients, rate) or Plan.levels,
        warm_up_s=warm_up,
        level_s=seconds,
        requests=requests,
        window_s=window,
        window_requests=window_requests,
        tolerance=tolerance,
        timeout_s=timeout,
        goal_s=None if goal_ms is None else goal_ms / 1000,
        seed=seed,
    )
    with _job(candidate, reference, cascade) as work:

        def told(line: str) -> None:
            if not as_json:
                sys.stdout.write(printable(line) + "\n")
                sys.stdout.flush()

        document = load_test(connection, plan, call, work, reuse=reuse, told=told)
    text = json.dumps(document, indent=1, allow_nan=False) + "\n"
    if output is not None:
        output.write_text(text, encoding="utf-8")
    if as_json:
        sys.stdout.write(text)
    return 0


def load_test(
    connection: Connection,
    plan: "Plan",
    call: str,
    work: "Job",
    *,
    reuse: bool = False,
    told: Any = None,
) -> dict[str, Any]:
    """Returns what a load test found.

    Args:
      connection: To the server.
      plan: Levels and bounds.
      call: Which call, of `vr.client.load.target.CALLS`.
      work: The job that every question begins anew.
      reuse: Let one validation of it be computed, and ask for that.
      told: Told of every level that is over.

    Returns:
      {"target", "call", "server_version", "plan", "levels", ...}, see `vr.client.load.drive.drive`.

    Raises:
      ServiceError: if the server does not answer, or not to this client.
      ConfigError: for a call that there is none of.
    """
    import asyncio

    from vr.client.client import Client
    from vr.client.health import health_of
    from vr.client.load.drive import drive
    from vr.client.load.target import Target

    health = health_of(connection)
    if health.refused is not None:
        raise health.refused
    asked: Job | str = work
    if reuse:
        with Client(**vars(connection), timeout=plan.level_s + plan.timeout_s) as client:
            asked = client.detect_collapse(work).validation_id
    target = Target(connection, call, asked, channels=max(level.clients for level in plan.levels) or 8)

    async def run() -> Any:
        async with target:
            return await drive(plan, target.ask, target.serves, told)

    found = asyncio.run(run())
    settings = {**asdict(plan), "levels": [str(level) for level in plan.levels]}
    head = {"target": connection.target, "call": call, "reuse": reuse, "server_version": health.version}
    return {**head, "plan": settings, **found}


def _refuse_unwritable(output: Path) -> None:
    """Raises before minutes of load where their result could not be kept."""
    try:
        with output.open("a", encoding="utf-8"):
            pass
    except OSError as err:
        raise ConfigError(f"cannot be written: {err.strerror}", where=str(output)) from err


@contextlib.contextmanager
def _job(candidate: str | None, reference: str | None, cascade: str) -> "Iterator[Job]":
    """Yields what is asked for; the files that are made here are gone afterwards."""
    from vr.client.job import Job

    if candidate is not None:
        yield Job(candidate, reference, cascade=cascade)
        return
    from vr.client.load.datasets import write_pair

    with tempfile.TemporaryDirectory(prefix="vr-loadtest-") as folder:
        made, real = write_pair(Path(folder))
        yield Job(made, real, cascade=cascade)
