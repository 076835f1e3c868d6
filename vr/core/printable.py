"""Text from elsewhere, such as a column's name or a server's message, for a person's terminal."""

from collections.abc import Sequence

__all__ = ["numbered", "printable"]

# All that moves a cursor, rings, or rewrites what a terminal shows: C0 but for the end of a line and the tab, DEL, C1.
_CONTROLS = {code: f"\\x{code:02x}" for code in (*range(0x20), 0x7F, *range(0x80, 0xA0)) if chr(code) not in "\n\t"}


def printable(text: str) -> str:
    """Returns `text` with control characters spelled out, such as an escape as x1b; ends of lines and tabs stay."""
    return text.translate(_CONTROLS)


def numbered(numbers: Sequence[int]) -> str:
    """Returns whole numbers as a phrase: `1`, `1 and 2`, `1, 2 and 3`."""
    *first, last = (f"{number:,}" for number in numbers)
    return f"{', '.join(first)} and {last}" if first else last
