"""Where rows of csv and tsv text end, found without parsing their cells.

As pyarrow reads: a quote means something at the start of a cell alone, where two stand for one within quotes, and what
follows the closing one belongs to the cell. Lines end with a line feed, a carriage return, or both.
"""

import re

import numpy as np

__all__ = ["header_end", "rows_end"]

_QUOTE = ord('"')


def rows_end(text: bytes, delimiter: str) -> int:
    """Returns where the last whole row of `text` ends, 0 where none does; `text` begins with a row."""
    spans = _quoted(text, delimiter)
    # Most files have line feeds; a carriage return may be half of a line end, whose other half then is a blank line.
    return _last_outside(b"\n", text, spans) or _last_outside(b"\r", text, spans)


def header_end(text: bytes, delimiter: str) -> int:
    """Returns where the first row of `text` ends that is not blank; at its end where no line does."""
    d = re.escape(delimiter.encode())
    cell = rb'(?:"(?:[^"]++|"")*+"?[^%b\r\n]*+|[^%b\r\n]*+)' % (d, d)
    found = re.match(rb"[\r\n]*+%b(?:%b%b)*+(?>\r\n|\n|\r|\Z)" % (cell, d, cell), text)
    return len(text) if found is None else found.end()


Spans = tuple[np.ndarray, np.ndarray]


def _last_outside(sign: bytes, text: bytes, spans: Spans) -> int:
    """Returns the place after the last `sign` that lies outside of all spans; 0 where there is none."""
    stop = len(text)
    for i in range(len(spans[0]) - 1, -1, -1):
        if (found := text.rfind(sign, int(spans[1][i]), stop)) >= 0:
            return found + 1
        stop = int(spans[0][i])
    return text.rfind(sign, 0, stop) + 1


def _quoted(text: bytes, delimiter: str) -> Spans:
    """Returns where quoted parts of cells begin and end (quotes included); one that is not closed ends with the text.

    A cell with two quotes for one may come in several parts.
    """
    if b'"' not in text:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    content = np.frombuffer(text, np.uint8)
    quotes = np.flatnonzero(content == _QUOTE)
    # If every other quote is an opening one, each must stand at the start of a cell, or be the second of two.
    opening, closing = quotes[::2], quotes[1::2]
    before = content[opening - 1]
    if opening[0] == 0:
        before[0] = ord("\n")
    may_precede = np.zeros(256, bool)
    may_precede[[_QUOTE, ord("\n"), ord("\r"), ord(delimiter)]] = True
    if may_precede[before].all():
        return opening, np.append(closing + 1, np.full(len(opening) - len(closing), len(text)))
    # There are quotes within cells that have none at their start: cell by cell.
    parts = re.finditer(rb'(?<![^%b\r\n])"[^"]*+(?:""[^"]*+)*+"?' % re.escape(delimiter.encode()), text)
    spans = np.array([part.span() for part in parts], np.int64).reshape(-1, 2)
    return spans[:, 0], spans[:, 1]
