"""How numbers, names and loosely typed values are written on the page."""

import math
from typing import Any

__all__ = ["clip", "count", "interval", "is_interval", "label", "number", "scalar"]

MINUS = "\N{MINUS SIGN}"
MISSING = "\N{EM DASH}"
# Names come from the user's files: a column name may be a megabyte long.
MAX_TEXT = 280
UNITS = {"mb": "MB", "gb": "GB", "s": "s", "ms": "ms", "nats": "nats"}


def clip(text: object, limit: int = MAX_TEXT) -> str:
    """Returns `text` on one line and no longer than `limit` characters."""
    # Cut first: splitting a megabyte on whitespace only to throw it away is slow.
    line = " ".join(str(text)[: 4 * limit].split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


def number(value: float | None, digits: int = 3) -> str:
    """Returns a number with `digits` significant digits, and a dash for None."""
    if value is None:
        return MISSING
    value = float(value)
    if value == 0:
        return "0"
    size = abs(value)
    if size >= 1e6 or size < 1e-4:
        text = f"{value:.{digits - 1}e}"
        mantissa, exponent = text.split("e")
        text = f"{mantissa}e{int(exponent)}"
    elif size >= 10 ** (digits - 1):
        text = f"{value:,.0f}"
    else:
        # Decimals that keep `digits` significant ones; a trailing zero says nothing here.
        decimals = digits - 1 - math.floor(math.log10(size))
        text = f"{value:.{decimals}f}".rstrip("0").rstrip(".")
    return text.replace("-", MINUS)


def count(value: int | None) -> str:
    """Returns a whole number with separators for thousands."""
    return MISSING if value is None else f"{value:,}"


def label(key: str) -> str:
    """Returns a key of the report as words: `peak_memory_mb` gives `Peak memory, MB`."""
    name, _, unit = clip(key, 80).rpartition("_")
    words = f"{name}, {UNITS[unit]}" if name and unit in UNITS else clip(key, 80)
    words = words.replace("_", " ").strip()
    return words[:1].upper() + words[1:]


def is_interval(value: object) -> bool:
    """Returns whether a loosely typed value is an interval as the report writes it."""
    return isinstance(value, dict) and {"value", "lower", "upper"} <= value.keys()


def interval(value: dict[str, Any]) -> str:
    """Returns an interval as `0.31 (0.2 to 0.4)`."""
    if value["value"] is None:
        return MISSING
    text = number(value["value"])
    if value["lower"] is None or value["upper"] is None:
        return text
    return f"{text} ({number(value['lower'])} to {number(value['upper'])})"


def scalar(value: object, limit: int = MAX_TEXT) -> str:
    """Returns any JSON value as short text."""
    if value is None:
        return MISSING
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return count(value)
    if isinstance(value, float):
        return number(value, 4)
    if is_interval(value):
        return interval(value)  # type: ignore[arg-type]
    if isinstance(value, dict):
        # Take a few before writing them: the value may be of any size.
        parts = [f"{clip(k, 40)}: {scalar(v, 60)}" for k, v in list(value.items())[:12]]
        return clip(", ".join(parts), limit)
    if isinstance(value, (list, tuple)):
        parts = [scalar(item, 60) for item in value[:12]]
        more = "" if len(value) <= 12 else f", and {len(value) - 12:,} more"
        return clip(", ".join(parts) + more, limit)
    return clip(value, limit)
