"""`vr signatures`: the library of known datasets. Nothing heavy is imported before a command needs it."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from vr.core.errors import ConfigError, DataError

__all__ = ["app"]

app = typer.Typer(name="signatures", help="Known datasets and what became of models trained on them.")

_Library = Annotated[
    str | None,
    typer.Option("--library", "-l", metavar="FILE|URL", help="SQLite file or PostgreSQL URL.", show_default="shipped"),
]
_OwnLibrary = Annotated[
    str,
    typer.Option("--library", "-l", metavar="FILE|URL", help="SQLite file or PostgreSQL URL.", show_default=False),
]
_AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
_Debug = Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")]
_Report = Annotated[
    Path, typer.Argument(metavar="REPORT", help="report.json of a `vr validate` with a reference.", show_default=False)
]


@app.command()
def add(
    report: _Report,
    library: _OwnLibrary,
    label: Annotated[
        str, typer.Option("--label", help="What came of it: healthy, grey or collapsed.", show_default=False)
    ],
    skill_lost: Annotated[
        float | None, typer.Option("--skill-lost", help="Share of skill lost on real rows.", show_default=False)
    ] = None,
    tail_skill_lost: Annotated[
        float | None, typer.Option("--tail-skill-lost", help="The same on rare rows.", show_default=False)
    ] = None,
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Name of the real dataset.", show_default="the reference's file")
    ] = None,
    source: Annotated[str, typer.Option("--source", help="Generator or change that made it.")] = "",
    workflow: Annotated[str, typer.Option("--workflow", help="replace, accumulate or mix.")] = "",
    generation: Annotated[int, typer.Option("--generation", help="How often the generator was refitted.")] = 0,
    real_share: Annotated[float, typer.Option("--real-share", help="Share of real rows in it, 0 to 1.")] = 0.0,
    as_json: _AsJson = False,
    debug: _Debug = False,
) -> int:
    """Add the dataset of REPORT with its measured outcome to a library, which is made where there is none."""
    from dataclasses import asdict

    from vr.signatures.database import Database
    from vr.signatures.signature import Origin, Outcome, Signature

    found, kind, uri = _read_report(report)
    # The same checks as for a file of somebody else's.
    document = {
        "id": "",
        "origin": asdict(Origin(dataset or uri, "own", source, workflow, generation, real_share)),
        "outcome": asdict(Outcome(label, skill_lost, tail_skill_lost)),
        "collapse_type": kind if label == "collapsed" else None,
        "fingerprint": found,
    }
    signature = Signature.from_document(document, str(report))
    with Database(_checked(library)) as database:
        added = database.add([signature])
        generation_now = database.generation()
    _show({"added": added, "id": signature.id, "library": database.name, "generation": generation_now}, as_json)
    return 0


@app.command(name="list")
def list_(
    library: _Library = None,
    shipped: Annotated[bool, typer.Option("--shipped/--no-shipped", help="With those that vr ships.")] = True,
    label: Annotated[str | None, typer.Option("--label", help="Only these.", show_default="all")] = None,
    as_json: _AsJson = False,
    debug: _Debug = False,
) -> int:
    """List the signatures of a library."""
    found = _open(library, shipped)
    rows = [each for each in found.signatures if label in (None, each.outcome.label)]
    if as_json:
        _print(json.dumps([each.to_document() for each in rows], indent=1, allow_nan=False) + "\n")
        return 0
    lines = [f"{each.id}  {_words(each.outcome, each.origin)}" for each in rows]
    _print("".join(f"{line}\n" for line in [*lines, _counted(len(rows))]))
    return 0


@app.command()
def match(
    report: _Report,
    library: _Library = None,
    shipped: Annotated[bool, typer.Option("--shipped/--no-shipped", help="With those that vr ships.")] = True,
    number: Annotated[int, typer.Option("--number", "-n", min=1, max=100, help="How many.")] = 5,
    as_json: _AsJson = False,
    debug: _Debug = False,
) -> int:
    """Show the known datasets that look most like the dataset of REPORT."""
    from vr.pipeline.prescreen import match_section
    from vr.signatures.prescreen import load_prescreen

    fingerprint, _, _ = _read_report(report)
    found = [match_section(each) for each in _open(library, shipped).match(fingerprint, number)]
    below = load_prescreen().outside_below
    if as_json:
        document = {"outside_below": below, "signatures": [each.model_dump(mode="json") for each in found]}
        _print(json.dumps(document, indent=1, allow_nan=False) + "\n")
        return 0
    lines = [f"{each.similarity:.3f}  {_words(each.historical_outcome, each.historical_outcome)}" for each in found]
    if not found or found[0].similarity < below:
        lines.append(f"outside the library: nothing is {below:.2f} alike or more")
    _print("".join(f"{line}\n" for line in lines))
    return 0


@app.command()
def export(
    output: Annotated[Path, typer.Argument(metavar="FILE", help="The JSON document to write.", show_default=False)],
    library: _OwnLibrary,
    force: Annotated[bool, typer.Option("--force", help="Replace what is at FILE.")] = False,
    debug: _Debug = False,
) -> int:
    """Write the signatures of a library's database as one JSON document."""
    from vr.pipeline.report import write_atomically
    from vr.signatures.database import Database
    from vr.signatures.document import to_text

    if output.exists() and not force:
        raise ConfigError("is there already", where=str(output), hint="--force replaces it")
    with Database(_checked(library), create=False) as database:
        contents = database.read()
    if contents.damaged or contents.lost:
        words = f"{len(contents.damaged)} damaged and {contents.lost} missing signatures are left out"
        sys.stderr.write(f"warning: {database.name}: {words}\n")
    provenance = {"library": database.name, "generation": contents.generation}
    try:
        write_atomically(output, to_text(contents.signatures, provenance).encode())
    except OSError as err:
        raise ConfigError(f"cannot be written ({err.strerror or err})", where=str(output)) from err
    _print(f"{_counted(len(contents.signatures))} in {output}\n")
    return 0


@app.command(name="import")
def import_(
    document: Annotated[Path, typer.Argument(metavar="FILE", help="What `export` wrote.", show_default=False)],
    library: _OwnLibrary,
    debug: _Debug = False,
) -> int:
    """Add the signatures of a JSON document to a library, all of them or none, in place of damaged ones."""
    from vr.signatures.database import Database
    from vr.signatures.document import read_document

    collection = read_document(document)
    with Database(_checked(library)) as database:
        added = database.add(collection.signatures, restore=True)
    known = len(collection.signatures) - added
    _print(f"{_counted(added)} added to {database.name}" + (f", {known:,} were there\n" if known else "\n"))
    return 0


def _checked(library: str) -> str:
    from vr.signatures.config import SignaturesConfig

    SignaturesConfig(library=library)
    return library


def _open(library: str | None, shipped: bool) -> Any:
    from vr.signatures.config import SignaturesConfig
    from vr.signatures.library import open_library

    return open_library(SignaturesConfig(library=library, shipped=shipped))


def _read_report(path: Path) -> tuple[tuple[float | None, ...], str | None, str]:
    """Returns the fingerprint that a report holds, its type of collapse, and the name of its reference."""
    from vr.pipeline.chosen import load_report
    from vr.signatures.components import NAMES, VERSION

    report, _ = load_report(path)
    found = report.prescreen
    if found is None or not found.fingerprint:
        reason = "is of a version without signatures" if found is None else f"has no fingerprint ({found.reason})"
        raise DataError(reason, where=str(path), hint="validate the dataset again, against a reference")
    if found.fingerprint_version != VERSION or not set(found.fingerprint) <= set(NAMES):
        raise DataError(
            f"has a fingerprint of version {found.fingerprint_version}, not {VERSION}",
            where=str(path),
            hint="validate the dataset again with this vr",
        )
    uri = "" if report.reference is None else report.reference.uri
    return (
        tuple(found.fingerprint.get(name) for name in NAMES),
        report.collapse_type,
        uri.rstrip("/").rsplit("/", 1)[-1],
    )


def _words(outcome: Any, origin: Any) -> str:
    """Returns an outcome and an origin in one line; a report's `HistoricalOutcome` is both."""
    lost = "" if outcome.skill_lost is None else f"{100 * outcome.skill_lost:.0f} %"
    depth = f", generation {origin.generation}" if origin.generation else ""
    return f"{outcome.label:<9}  {lost:>6}  {origin.source or origin.kind} of {origin.dataset}{depth}"


def _counted(number: int) -> str:
    return f"{number:,} signature" + ("" if number == 1 else "s")


def _show(document: dict[str, Any], as_json: bool) -> None:
    if as_json:
        _print(json.dumps(document, indent=1) + "\n")
        return
    word = "added to" if document["added"] else "is there already, in"
    _print(f"{document['id']} {word} {document['library']}\n")


def _print(text: str) -> None:
    from vr.cli import _say

    _say(text)
