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
    starts = range(0, len(content), _PIECE_BYTES)
    quoted = [0]  # whether each piece begins within quotes
    for start in starts:
        quotes = np.flatnonzero(content[start : start + _PIECE_BYTES] == _QUOTE)
        opening = quotes[quoted[-1] :: 2] + start
        if not may_precede[content[opening[opening > 0] - 1]].all():
            return None
        quoted.append((quoted[-1] + len(quotes)) % 2)
    # Most files have line feeds; a carriage return may be half of a line end, the other half then a blank line.
    for sign in (_FEED, _RETURN):
        for start, is_quoted in zip(reversed(starts), reversed(quoted[:-1]), strict=True):
            piece = content[start : start + _PIECE_BYTES]
            ends = np.flatnonzero(piece == sign)
            outside = ends[(np.searchsorted(np.flatnonzero(piece == _QUOTE), ends) + is_quoted) % 2 == 0]
            if len(outside):
                return start + int(outside[-1]) + 1
    return 0


def _by_cells(text: bytes, delimiter: str) -> int:
    """Returns `rows_end`, going from one quoted part of a cell to the next."""
    feed = carriage = at = 0
    for part in re.finditer(rb'(?<![^%b\r\n])"[^"]*+(?:""[^"]*+)*+"?' % re.escape(delimiter.encode()), text):
        feed = text.rfind(b"\n", at, part.start()) + 1 or feed
        carriage = text.rfind(b"\r", at, part.start()) + 1 or carriage
        at = part.end()
    return text.rfind(b"\n", at) + 1 or feed or text.rfind(b"\r", at) + 1 or carriage
