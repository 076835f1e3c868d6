"""`vr doctor`: every check in turn, and an exit code."""

import importlib.util
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from vr.client.connection import Authority, Certificate, Connection, Insecure, Key, Tls, TokenFile, connection_of
from vr.doctor import machine, packages, shipped
from vr.doctor.compute import devices, loops, self_test, trees
from vr.doctor.finding import BROKEN, NOTE, Finding, checked, lines_of

if TYPE_CHECKING:
    pass

__all__ = ["doctor"]

Check = Callable[[], Iterable[Finding]]
_BROKEN_CODE = 1
_SERVICE = ("grpc_health", "grpc_status", "google.rpc")


def doctor(
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="OVERRIDE", help="Settings that are to be used, such as server.store=/srv/vr.", show_default=False
        ),
    ] = None,
    server: Annotated[
        str | None,
        typer.Option("--server", "-s", metavar="HOST:PORT", help="A server to look at too.", show_default=False),
    ] = None,
    quick: Annotated[bool, typer.Option("--quick", help="Compute nothing: neither jax nor the self-test.")] = False,
    token_file: TokenFile = None,
    authority: Authority = None,
    certificate: Certificate = None,
    private_key: Key = None,
    tls: Tls = False,
    insecure: Insecure = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON on stdout instead.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> int:
    """Look at this installation and machine, and say what is wrong: exit code 0, or 1 where something is broken."""
    connection = None
    if server is not None:
        connection = connection_of(server, token_file, authority, certificate, private_key, tls, insecure)
    found = []
    for finding in _findings(overrides or [], connection, quick=quick, debug=debug):
        found.append(finding)
        if not as_json:
            # As they come: the last ones take seconds.
            sys.stdout.write(lines_of(finding))
            sys.stdout.flush()
    broken, notes = (sum(each.state == state for each in found) for state in (BROKEN, NOTE))
    if as_json:
        import json

        document = {"broken": broken, "notes": notes, "findings": [each.to_document() for each in found]}
        sys.stdout.write(json.dumps(document, indent=1, allow_nan=False) + "\n")
    else:
        sys.stdout.write(f"{len(found)} checks, {broken} broken, {notes} to note\n")
    return _BROKEN_CODE if broken else 0


def _findings(words: Sequence[str], connection: Connection | None, *, quick: bool, debug: bool) -> Iterator[Finding]:
    from vr.doctor.settings import composed

    # Settings that cannot be used end the command as they end every other one.
    config, wanted = composed(words)
    checks: dict[str, Check] = {
        "python": machine.python,
        "packages": packages.needed,
        "extras": packages.extras,
        "files": packages.files,
        "cores": machine.cores,
        "memory": machine.memory,
        "descriptors": machine.descriptors,
        "clock": machine.clock,
        "folders": lambda: machine.folders(wanted),
        "calibration": shipped.calibration,
        "signatures": lambda: shipped.signatures(config.signatures),
        "loops": loops,
    }
    if not quick:
        checks |= {"trees": trees, "jax": devices, "self-test": self_test}
    if connection is not None:
        checks["server"] = lambda: _of_server(connection)
    for name, check in checks.items():
        yield from check() if debug else checked(name, check)


def _of_server(connection: Connection) -> Iterator[Finding]:
    if any(_is_missing(name) for name in _SERVICE):
        yield Finding("server", BROKEN, "cannot be asked: packages are missing", "pip install 'vr[server]'")
        return
    from vr.doctor.server import server

    yield from server(connection)


def _is_missing(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is None
    except ModuleNotFoundError:
        return True
