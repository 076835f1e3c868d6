"""The configuration that words of a command line give, remembered: Hydra takes half a second for the same answer."""

import dataclasses
import hashlib
import json
import sys
import typing
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from vr.config_folder import config_folder
from vr.core.installed import version_of
from vr.core.plain import from_plain, to_plain
from vr.core.user_cache import recall, remember
from vr.pipeline.config import Config

__all__ = ["composed"]

_KIND = "configurations"


def composed(overrides: Sequence[str]) -> Config:
    """Returns what `vr.config.compose` returns, from the user's cache where the same was composed before.

    The same are the words, every file of `conf/`, the code of the schemas and the versions of what reads them. What may
    give another answer each time is composed each time: interpolations, which may ask the environment, in words or
    files, and Hydra's functions, one of which shuffles; so are addresses, which may hold secrets.

    Raises:
      ConfigError: as `compose` does.
    """
    words = list(overrides)
    key = _key(words)
    if key is not None and (kept := recall(_KIND, key)) is not None:
        return from_plain(Config, json.loads(kept))
    from vr.config import compose

    config = compose(words)
    if key is not None:
        remember(_KIND, key, json.dumps(to_plain(config)).encode())
    return config


def _key(words: list[str]) -> str | None:
    """Returns all that decides what the words give; None where more might, or where not all of it can be read."""
    if any(mark in word for word in words for mark in ("${", "(", "://")):
        return None
    try:
        text = _read(words)
    except (OSError, ValueError):  # ValueError: no text
        return None
    return None if "${" in text else text


def _read(words: list[str]) -> str:
    folder = config_folder()
    files = {str(file.relative_to(folder)): file.read_text("utf-8") for file in sorted(folder.rglob("*.yaml"))}
    modules = sorted({__name__, "vr.core.plain", *(schema.__module__ for schema in _schemas(Config))})
    code = {name: _digest(Path(str(sys.modules[name].__file__))) for name in modules}
    code["vr.config"] = _digest(Path(__file__).with_name("config.py"))
    versions = [sys.version, *(version_of(name) for name in ("vr", "hydra-core", "omegaconf"))]
    return json.dumps([words, files, code, versions])


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _schemas(kind: Any) -> Iterator[type]:
    """Yields vr's own types, of which a configuration is made."""
    if getattr(kind, "__module__", "").startswith("vr."):
        yield kind
    within = typing.get_type_hints(kind).values() if dataclasses.is_dataclass(kind) else typing.get_args(kind)
    for part in within:
        yield from _schemas(part)
