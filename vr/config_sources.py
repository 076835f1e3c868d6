"""Where each setting comes from: the command line, a file of `conf/`, or the default of its dataclass."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from vr.config import chosen_options
from vr.config_folder import config_folder

__all__ = ["COMMAND_LINE", "DEFAULT", "leaves", "sources_of"]

COMMAND_LINE, DEFAULT = "command line", "default"
# Keys of a file that are about composing it, not settings.
_NOT_SETTINGS = ("defaults", "hydra")


def sources_of(settings: Mapping[str, Any], words: Sequence[str], section: str | None = None) -> dict[str, str]:
    """Returns for every setting, by its dotted name, what gave it its value.

    Args:
      settings: Nested, as they were composed.
      words: The overrides that they were composed with.
      section: The group's name, of settings that are no part of a run, such as `server`; None: of a run.
    """
    if section is None:
        chosen = chosen_options(words)
    else:
        chosen = {section: next((_value(word) for word in words if _key(word) == section), "default")}
    given = {name: f"conf/{path}" for path, names in _files(chosen, is_run=section is None) for name in names}
    groups = {path.parent.name for path in config_folder().glob("*/*.yaml")}
    named = [_key(word) for word in words if _key(word) not in groups]
    found = {}
    for name in leaves(settings):
        if any(name == each or name.startswith(f"{each}.") or each.startswith(f"{name}.") for each in named):
            found[name] = COMMAND_LINE
        else:
            found[name] = next((given[each] for each in _above(name) if each in given), DEFAULT)
    return found


def leaves(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns every value that is no mapping with something in it, by its dotted name."""
    found: dict[str, Any] = {}
    for name, value in settings.items():
        if isinstance(value, Mapping) and value:
            found |= leaves(value, f"{prefix}{name}.")
        else:
            found[f"{prefix}{name}"] = value
    return found


def _files(chosen: Mapping[str, str], *, is_run: bool) -> Iterator[tuple[str, list[str]]]:
    """Yields the files that were laid over each other, first those below, with the names that each gives."""
    if is_run:
        yield from _file("config.yaml", "")
    # What an experiment says counts beyond what the groups' own files say.
    for group, option in sorted(chosen.items(), key=lambda item: item[0] == "experiment"):
        yield from _file(f"{group}/{option}.yaml", group)


def _file(name: str, group: str) -> Iterator[tuple[str, list[str]]]:
    path = config_folder() / name
    if not path.is_file():
        return
    text = path.read_text(encoding="utf-8")
    document = OmegaConf.create(text)
    if not isinstance(document, DictConfig):
        return
    for entry in document.get("defaults") or []:
        # One that is laid under this one lies in the same folder; `base_x` is a schema and no file.
        if isinstance(entry, str) and group and entry != "_self_":
            yield from _file(f"{group}/{entry}.yaml", group)
    prefix = "" if not group or "@package _global_" in text.partition("\n")[0] else f"{group}."
    content = OmegaConf.to_container(document)
    assert isinstance(content, dict)
    yield name, [f"{prefix}{key}" for key in leaves({str(k): v for k, v in content.items() if k not in _NOT_SETTINGS})]


def _above(name: str) -> Iterator[str]:
    """Yields a name and those of the sections that it lies in, nearest first."""
    while name:
        yield name
        name = name.rpartition(".")[0]


def _key(word: str) -> str:
    return word.lstrip("+~").partition("=")[0].partition("@")[0]


def _value(word: str) -> str:
    return str(Path(word.partition("=")[2]).name)
