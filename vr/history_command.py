"""`vr history`: what was recommended, applied and measured. Nothing heavy is imported before it is needed."""

import json
from typing import Annotated

import typer

__all__ = ["history"]


def history(
    library: Annotated[
        str,
        typer.Option("--library", "-l", metavar="FILE|URL", help="SQLite file or PostgreSQL URL.", show_default=False),
    ],
    create: Annotated[bool, typer.Option("--create", help="Make the library where there is none.")] = False,
    number: Annotated[int, typer.Option("--number", "-n", min=1, help="How many fixes, the last ones.")] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="Print everything as JSON on stdout instead.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> int:
    """Show what was recommended, applied, predicted and measured over all datasets of a library."""
    from vr.cli import _say
    from vr.core.printable import printable
    from vr.pipeline.track_record import track_record
    from vr.signatures.config import SignaturesConfig
    from vr.signatures.database import Database
    from vr.signatures.history import read
    from vr.telemetry.history import history_lines

    # Whose checks refuse a password.
    SignaturesConfig(library=library)
    with Database(library, create=create) as database:
        found = track_record(read(database))
        name = database.name
    if as_json:
        _say(json.dumps({"library": name, **found}, indent=1, allow_nan=False) + "\n")
    else:
        _say(printable("\n".join(history_lines(found, library=name, most=number)) + "\n"))
    return 0
