"""`vr config`: what a command would run with, before it runs. Nothing heavy is imported before it is needed."""

import json
import re
import sys
from collections.abc import Callable, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer

__all__ = ["app", "masked"]

app = typer.Typer(name="config", help="Settings, as commands would take them.", no_args_is_help=True)

_MASK = "***"
# What is secret by its name; a file's name is none, whatever is in the file.
_SECRET = re.compile(
    r"(?i)(^|[._-])(token|password|passwd|pwd|secret|credentials?|(api|access|account|signing)_?key)s?$"
)
# Of a password that holds a slash, what follows up to the last `@` belongs to it; the slashes before may be forgotten.
_USER = re.compile(r"(?<=://)(?:[^/@\s]*:\S*@|[^/@\s]*@)|(?<=:)(?!//)[^/@\s]*:\S*@")
_QUERY = re.compile(r"(?i)([?&;][\w.-]*(token|passw|pwd|secret|sig|key|credential|auth)[\w.-]*=)[^&;#\s]*")
# Tokens of the services that vr's settings may name: AWS's key ids, and headers.
_TOKEN = re.compile(r"\b(AKIA|ASIA)[A-Z0-9]{16}\b|(?i:\bbearer )\S+")


class Command(StrEnum):
    """Commands whose settings can be looked at."""

    validate = "validate"
    serve = "serve"
    worker = "worker"


@app.callback()
def _group() -> None:
    """Keeps `check` a word of its own while it is the only one."""


@app.command()
def check(
    command: Annotated[Command, typer.Argument(help="Whose settings.", show_default=False)],
    overrides: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="OVERRIDE", help="Settings as KEY=VALUE, as that command takes them.", show_default=False
        ),
    ] = None,
    changed: Annotated[bool, typer.Option("--changed", help="Only those that are not a default.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print them as JSON on stdout instead.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
) -> int:
    """Compose and check settings as the command would, and print them with their sources, secrets masked.

    The command's own error and exit code 2 where they cannot be used.
    """
    from vr.config_sources import DEFAULT, leaves, sources_of

    words = overrides or []
    settings, sources = {}, {}
    for section, content, own in _CHECKS[command](words):
        settings |= content
        sources |= sources_of(content, own, section)
    values = {name: masked(name, value) for name, value in leaves(settings).items()}
    if changed:
        values = {name: value for name, value in values.items() if sources[name] != DEFAULT}
    if as_json:
        document = {"command": command.value, "settings": values, "sources": {name: sources[name] for name in values}}
        sys.stdout.write(json.dumps(document, indent=1, allow_nan=False) + "\n")
        return 0
    told = {name: f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in values.items()}
    width = min(60, max((len(text) for text in told.values()), default=0))
    for name, text in told.items():
        sys.stdout.write(f"{text:<{width}}  # {sources[name]}\n")
    return 0


def masked(name: str, value: Any) -> Any:
    """Returns a setting's value as it may be shown: secrets, and those within addresses, as `***`.

    Args:
      name: Its dotted name; what is called a token, a password or a key is secret whole.
      value: JSON-able.
    """
    if isinstance(value, dict):
        return {key: masked(f"{name}.{key}", each) for key, each in value.items()}
    if isinstance(value, list):
        return [masked(name, each) for each in value]
    if not isinstance(value, str) or not value:
        return value
    if _SECRET.search(name):
        return _MASK
    text = _USER.sub(f"{_MASK}@", value)
    return _TOKEN.sub(_MASK, _QUERY.sub(rf"\g<1>{_MASK}", text))


Parts = list[tuple[str | None, dict[str, Any], Sequence[str]]]


def _validate(words: Sequence[str]) -> Parts:
    from vr.config import compose, to_dict
    from vr.data.config import is_isolated

    config = compose(words)
    is_isolated(config.reading.isolation)
    return [(None, to_dict(config), words)]


def _serve(words: Sequence[str]) -> Parts:
    from vr.server.command import prepared

    return _apart("server", prepared, words)


def _worker(words: Sequence[str]) -> Parts:
    from vr.worker.command import prepared

    return _apart("worker", prepared, words)


def _apart(section: str, prepared: Callable[[Sequence[str]], tuple[Any, Any]], words: Sequence[str]) -> Parts:
    """Returns a group that is no part of a run, and the run's settings, each with its own overrides."""
    from vr.config import to_dict
    from vr.core.plain import to_plain

    own, base = prepared(words)
    ours = [word for word in words if word.partition("=")[0].split(".")[0] == section]
    return [
        (section, {section: to_plain(own)}, ours),
        (None, to_dict(base), [word for word in words if word not in ours]),
    ]


_CHECKS: dict[Command, Callable[[Sequence[str]], Parts]] = {
    Command.validate: _validate,
    Command.serve: _serve,
    Command.worker: _worker,
}
