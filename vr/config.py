"""Configuration: Hydra overrides in, plain dataclasses out. This module and the entry points alone know Hydra.

Structured schemas are registered here, once, so that a misspelt or ill-typed key fails before anything runs.
"""

import dataclasses
import difflib
import functools
import threading
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from hydra import compose as hydra_compose
from hydra import initialize_config_dir
from hydra.conf import HydraConf
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from vr.cascade.config import CascadeConfig
from vr.config_folder import config_folder
from vr.core.errors import ConfigError
from vr.core.plain import to_plain
from vr.data.config import DataConfig
from vr.detector.config import DetectorConfig
from vr.pipeline.config import Config, EngineConfig, TrackingConfig

__all__ = ["chosen_options", "compose", "compose_section", "from_hydra", "register", "to_dict"]

# Hydra's grammar and search paths behave as they did in this release whatever later ones change.
HYDRA_VERSION_BASE = "1.3"

_GROUPS: dict[str, type] = {
    "data": DataConfig,
    "reference": DataConfig,
    "cascade": CascadeConfig,
    "detector": DetectorConfig,
    "engine": EngineConfig,
    "tracking": TrackingConfig,
}
# Groups of commands of their own, which are no part of a run's configuration.
_APART = ("server", "worker")
# Hydra keeps one global instance and one global store, so one composition at a time.
_LOCK = threading.RLock()


@functools.cache
def register() -> None:
    """Puts one schema for each component into Hydra's store; the YAML files extend them by their `base_` names."""
    store = ConfigStore.instance()
    store.store(name="base_config", node=Config)
    for group, schema in _GROUPS.items():
        store.store(group=group, name=f"base_{group}", node=schema)


def compose(overrides: Sequence[str] = (), *, base: Config | Mapping[str, Any] | None = None) -> Config:
    """Returns the configuration that Hydra's overrides give, with every key and value checked.

    Args:
      overrides: Hydra's override grammar against `conf/`, such as `cascade=smoke` or `detector.overall_threshold=60`.
      base: What the overrides are laid over: a whole `Config`, nested mappings of the keys to change (a group may be
        chosen by name, `{"cascade": "smoke"}`), or None for the defaults.

    Raises:
      ConfigError: For an unknown key or option, a value of the wrong type, or one out of range.
    """
    overrides = [str(override) for override in overrides]
    sections = to_dict(base) if isinstance(base, Config) else dict(base or {})
    chosen = [f"{name}={value}" for name, value in sections.items() if name in _GROUPS and isinstance(value, str)]
    with _LOCK:
        parsed = _parsed([*chosen, *overrides])
        groups = {override.key_or_group for override in parsed if override.key_or_group in _options()}
        # A group picked by name replaces the whole section that the base had.
        sections = {name: value for name, value in sections.items() if name not in groups}
        for name in _leaf_names(sections):
            _check_key(name)
        ConfigStore.instance().store(
            name="_call", node={"defaults": ["config", *_nothing_of_hydra(), "_self_"], **_escaped(sections)}
        )
        composed = _composed("_call", [_opened(override) for override in parsed])
    return from_hydra(composed)


def compose_section(group: str, schema: type, overrides: Sequence[str]) -> Any:
    """Returns the settings of a group that is no part of a run, such as `server`, as its schema's dataclass.

    Args:
      group: Its name, and the first word of its keys.
      schema: The dataclass.
      overrides: `server=OPTION` and `server.KEY=VALUE`, nothing else.

    Raises:
      ConfigError: as `compose` does.
    """
    fields = sorted(f"{group}.{field.name}" for field in dataclasses.fields(schema))
    for word in overrides:
        name = word.partition("=")[0]
        if name != group and name not in fields:
            close = difflib.get_close_matches(name, fields, n=3)
            hint = f"did you mean {' or '.join(close)}?" if close else f"there are {', '.join(fields)}"
            raise ConfigError("no such configuration key", where=name, hint=hint)
    with _LOCK:
        store = ConfigStore.instance()
        store.store(group=group, name=f"base_{group}", node=schema)
        store.store(name="_section", node={"defaults": [{group: "default"}, *_nothing_of_hydra(), "_self_"]})
        composed = _composed("_section", list(overrides))
    try:
        return OmegaConf.to_object(composed)[group]  # type: ignore[index]
    except OmegaConfBaseException as error:
        raise _config_error(error) from error


def chosen_options(overrides: Sequence[str]) -> dict[str, str]:
    """Returns by group the option, a file of `conf/GROUP`, that overrides and the defaults choose.

    Raises:
      ConfigError: as `compose` does.
    """
    with _LOCK:
        words = [_opened(override) for override in _parsed([str(override) for override in overrides])]
        choices = _composed("config", words, whole=True).hydra.runtime.choices
    return {str(group): str(option) for group, option in choices.items() if "hydra" not in str(group) and option}


def from_hydra(composed: DictConfig) -> Config:
    """Returns a composed configuration as dataclasses, resolved and checked."""
    try:
        config = OmegaConf.to_object(composed)
    except OmegaConfBaseException as error:
        raise _config_error(error) from error
    if not isinstance(config, Config):
        raise ConfigError(f"the composed configuration is a {type(config).__name__}, not vr's", where="conf")
    known = {field.name for field in dataclasses.fields(config)}
    unknown = [name for name in composed if str(name) not in known]
    if unknown:
        raise _unknown_key(str(unknown[0]))
    return config


def to_dict(config: Config) -> dict[str, Any]:
    """Returns a configuration as JSON-able values, the form that `compose` takes back as its `base`."""
    return to_plain(config)


def _composed(name: str, words: list[str], *, whole: bool = False) -> DictConfig:
    """Returns what Hydra composes; `whole`: with its own settings."""
    try:
        with initialize_config_dir(str(config_folder()), job_name="vr", version_base=HYDRA_VERSION_BASE):
            return hydra_compose(name, overrides=words, return_hydra_config=whole)
    except (HydraException, OmegaConfBaseException) as error:
        raise _config_error(error) from error


@functools.cache
def _nothing_of_hydra() -> list[dict[str, None]]:
    """Returns defaults that leave out Hydra's own groups, of logging and the like: a third of the time it composes."""
    groups = [group for default in HydraConf().defaults for group in default if isinstance(default, dict)]
    return [{f"override hydra/{group}": None} for group in groups]


def _parsed(overrides: Sequence[str]) -> list[Override]:
    register()
    return [_parse(override) for override in overrides]


def _options() -> dict[str, list[str]]:
    """Returns each group's options, from the folder's own files."""
    root = config_folder()
    return {
        folder.name: sorted(file.stem for file in folder.glob("*.yaml"))
        for folder in sorted(root.iterdir())
        if folder.is_dir() and folder.name not in ("hydra", *_APART)
    }


def _parse(text: str) -> Override:
    """Parses one override and checks that its key, or its group and option, exist."""
    key = text.partition("=")[0].strip()
    if "=" not in text and not text.startswith("~"):
        raise ConfigError("is neither an option nor KEY=VALUE", where=text)
    try:
        override = OverridesParser.create().parse_override(text)
    except HydraException as error:
        raise ConfigError(
            f"cannot be read ({_first_line(error)})", where=text, hint=f"quote the value: \"{key}='...'\""
        ) from error
    name = override.key_or_group
    if override.is_hydra_override():
        raise ConfigError("Hydra's own settings have no effect here", where=name, hint="use --output for the folder")
    if override.is_sweep_override():
        raise ConfigError(
            "several values are a sweep, and this is one run",
            where=name,
            hint="use `python -m experiments.validate -m`, or [a,b] for a list",
        )
    options = _options()
    if name not in options:
        _check_key(name)
    elif not override.is_delete() and (value := override.value()) not in options[name]:
        close = difflib.get_close_matches(str(value), options[name], n=1)
        raise ConfigError(
            f"no option {value!r}",
            where=name,
            hint=(f"did you mean {close[0]}? " if close else "") + f"use one of {', '.join(options[name])}",
        )
    return override


def _opened(override: Override) -> str:
    """Returns the override's text, with `++` where it adds to an open dictionary such as `data.types`."""
    line = str(override.input_line)
    path = override.key_or_group.split(".")
    is_open = any(_is_open(_schema_of(part)) for part in (path, path[:-1]))
    return f"++{line}" if is_open and not line.startswith(("+", "~")) else line


def _is_open(kind: Any) -> bool:
    """Whether a declared type is a dictionary whose keys are the user's own words."""
    return typing.get_origin(kind) is dict and not dataclasses.is_dataclass(typing.get_args(kind)[1])


def _schema_of(path: Sequence[str]) -> Any:
    """Returns the declared type at a path of keys, or None where the schema has no such key."""
    kind: Any = Config
    for name in path:
        if dataclasses.is_dataclass(kind):
            kind = typing.get_type_hints(kind).get(name)
        elif typing.get_origin(kind) is dict:
            kind = typing.get_args(kind)[1]
        elif typing.get_origin(kind) in (list, tuple) and name.isdecimal():
            kind = typing.get_args(kind)[0]
        else:
            return None
    return kind


def _check_key(name: str) -> None:
    # Packages (`group@package`) are Hydra's business; it complains by itself.
    if "@" not in name and "/" not in name and _schema_of(name.split(".")) is None:
        raise _unknown_key(name)


def _unknown_key(name: str) -> ConfigError:
    known = sorted({*_key_names(Config), *_options()})
    # A key given without its section is the commonest slip, so the last word is compared too.
    last = name.rpartition(".")[2]
    close = [key for key in known if key.rpartition(".")[2] == last]
    close += [key for key in difflib.get_close_matches(name, known, n=3, cutoff=0.6) if key not in close]
    hint = f"did you mean {' or '.join(close[:3])}?" if close else f"the sections are {', '.join(_sections())}"
    return ConfigError("no such configuration key", where=name, hint=hint)


def _sections() -> list[str]:
    return [field.name for field in dataclasses.fields(Config)]


def _key_names(schema: type, prefix: str = "") -> Iterator[str]:
    for name, kind in typing.get_type_hints(schema).items():
        yield prefix + name
        if dataclasses.is_dataclass(kind) and isinstance(kind, type):
            yield from _key_names(kind, f"{prefix}{name}.")


def _leaf_names(section: Mapping[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in section.items():
        kind = _schema_of([*prefix.split(".")[:-1], str(name)])
        # The keys of an open dictionary are the user's own words, dots and all.
        if isinstance(value, Mapping) and typing.get_origin(kind) is not dict:
            yield from _leaf_names(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def _escaped(value: Any) -> Any:
    """Returns values that OmegaConf takes literally: a `${` in somebody's path is no interpolation."""
    if isinstance(value, str):
        return value.replace("${", "\\${")
    if isinstance(value, Mapping):
        return {key: _escaped(item) for key, item in value.items()}
    return [_escaped(item) for item in value] if isinstance(value, (list, tuple)) else to_plain(value)


def _config_error(error: Exception) -> ConfigError:
    """Returns a library's error as ours: one line, the key first."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ConfigError):
            return cause
        if isinstance(cause, OmegaConfBaseException):
            where = getattr(cause, "full_key", None) or None
            return ConfigError(_first_line(cause), where=where)
        cause = cause.__cause__ or cause.__context__
    return ConfigError(_first_line(error))


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0].rstrip(".") if lines else type(error).__name__
