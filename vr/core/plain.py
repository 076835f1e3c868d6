"""Settings as plain values, for reports, run folders and trackers."""

import dataclasses
import os
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any

__all__ = ["from_plain", "to_plain"]


def to_plain(value: Any) -> Any:
    """Returns JSON-able values: dataclasses and mappings as dicts, enumerations by name, paths as text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.name
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def from_plain(schema: Any, value: Any) -> Any:
    """Returns the settings of a declared type of which `to_plain` made `value`, its dataclasses checked as ever.

    Args:
      schema: A dataclass, an enumeration, a plain type, or a list, dictionary or optional of what may be here.
      value: What `to_plain` returned, of this very version of the types.
    """
    if dataclasses.is_dataclass(schema):
        kinds = typing.get_type_hints(schema)
        return schema(**{name: from_plain(kinds[name], item) for name, item in value.items()})  # type: ignore[operator]
    if isinstance(schema, type) and issubclass(schema, Enum):
        return schema[value]
    within = typing.get_args(schema)
    if type(None) in within:
        (schema,) = (kind for kind in within if kind is not type(None))
        return None if value is None else from_plain(schema, value)
    if isinstance(value, dict):
        return {key: from_plain(within[1], item) for key, item in value.items()}
    if isinstance(value, list):
        return [from_plain(within[0], item) for item in value]
    return value
