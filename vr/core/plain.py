"""Settings as plain values, for reports, run folders and trackers."""

import dataclasses
import os
from collections.abc import Mapping
from enum import Enum
from typing import Any

__all__ = ["to_plain"]


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
