"""Where rows of csv and tsv text end, found without parsing their cells.

As pyarrow reads: a quote means something at the start of a cell alone, where two stand for one within quotes, and what
follows the closing one belongs to the cell. Lines end with a line feed, a carriage return, or both.
"""

import re

import numpy as np

__all__ = ["header_end", "rows_end"]

_QUOTE, _FEED, _RETURN = b'"\n\r'
_PIECE_BYTES = 1 << 18  # looked at together: what lies in the cache


def rows_end(text: bytes, delimiter: str) -> int:
    """Returns where the last whole row of `text` ends, 0 where none does; `text` begins with a row."""
    if b'"' not in text:
        return text.rfind(b"\n") + 1 or text.rfind(b"\r") + 1
    end = _by_parity(text, delimiter)
    return _by_cells(text, delimiter) if end is None else end


def header_end(text: bytes, delimiter: str) -> int:
    """Returns where the first row of `text` ends that is not blank; at its end where no line does."""
    d = re.escape(delimiter.encode())
    cell = rb'(?:"(?:[^"]++|"")*+"?[^%b\r\n]*+|[^%b\r\n]*+)' % (d, d)
    found = re.match(rb"[\r\n]*+%b(?:%b%b)*+(?>\r\n|\n|\r|\Z)" % (cell, d, cell), text)
    return len(text) if found is None else found.end()


def _by_parity(text: bytes, delimiter: str) -> int | None:
    """Returns `rows_end` as if every other quote were an opening one; None where one stands within a cell."""
    content = np.frombuffer(text, np.uint8)
    # Each must be at the start of a cell, or be the second of two that stand for one.
    may_precede = np.zeros(256, bool)
    may_precede[[_QUOTE, _FEED, _RETURN, ord(delimiter)]] = True
    feed = carriage = is_quoted = 0
    for start in range(0, len(content), _PIECE_BYTES):
        piece = content[start : start + _PIECE_BYTES]
        quotes = np.flatnonzero(piece == _QUOTE)
        opening = quotes[is_quoted::2] + start
        if not may_precede[content[opening[opening > 0] - 1]].all():
            return None
        feed = _last_end(piece == _FEED, quotes, is_quoted, start) or feed
        # Most files have line feeds; a carriage return may be half of a line end, the other half then a blank line.
        carriage = feed or _last_end(piece == _RETURN, quotes, is_quoted, start) or carriage
        is_quoted = (is_quoted + len(quotes)) % 2
    return feed or carriage


def _last_end(are_ends: np.ndarray, quotes: np.ndarray, is_quoted: int, start: int) -> int:
    """Returns the place after a piece's last end of a line that is not quoted, 0 where there is none."""
    ends = np.flatnonzero(are_ends)
    outside = ends[(np.searchsorted(quotes, ends) + is_quoted) % 2 == 0]
    return start + int(outside[-1]) + 1 if len(outside) else 0


def _by_cells(text: bytes, delimiter: str) -> int:
    """Returns `rows_end`, going from one quoted part of a cell to the next."""
    feed = carriage = at = 0
    for part in re.finditer(rb'(?<![^%b\r\n])"[^"]*+(?:""[^"]*+)*+"?' % re.escape(delimiter.encode()), text):
        feed = text.rfind(b"\n", at, part.start()) + 1 or feed
        carriage = text.rfind(b"\r", at, part.start()) + 1 or carriage
        at = part.end()
    return text.rfind(b"\n", at) + 1 or feed or text.rfind(b"\r", at) + 1 or carriage
