"""JSON lines again: lines that stay are copied as they are, a changed number is put in the old one's place."""

import json
from collections.abc import Iterator, Sequence
from json.decoder import scanstring
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from vr.core.errors import DataError
from vr.data.formats.jsonlines import JsonReader
from vr.data.rewrite.edits import Edits
from vr.data.rewrite.text import as_text, number, open_text, pieces

__all__ = ["rewrite_jsonlines"]

_SPACE = " \t\r\n\ufeff"


def rewrite_jsonlines(readers: Sequence[JsonReader], edits: Edits, path: Path) -> int:
    """Writes the rows of files of one object a line to `path`, one after another, and returns how many.

    Raises:
      DataError: where a file has not one object a line, such as one array of all.
    """
    rows = written = 0
    with open_text(path, readers[0].file, readers[0].encoding) as text:
        for reader in readers:
            start = rows
            for lines in _lines(reader):
                end = rows + len(lines)
                for name, cells in edits.cells.items():
                    for at, value in zip(*cells.within(rows, end), strict=True):
                        lines[at] = _with_value(lines[at], reader.stored_name[name], number(value), reader)
                kept = np.flatnonzero(edits.kept(rows, end))
                text.writelines(lines[at] for at in kept)
                rows, written = end, written + len(kept)
                edits.on_rows(rows)
            if rows - start != reader.num_rows:
                raise DataError(
                    f"has {reader.num_rows:,} objects on {rows - start:,} lines",
                    where=reader.file.path,
                    hint="write one object per line, validate that, and fix it",
                )
        names = readers[0].stored_name
        for batch in edits.added():
            columns = [_values(batch.column(name), name) for name in names]
            for row in zip(*columns, strict=True):
                pairs = zip(names.values(), row, strict=True)
                text.write(json.dumps({key: v for key, v in pairs if v is not None}, ensure_ascii=False) + "\n")
            written += batch.num_rows
    return written


def _lines(reader: JsonReader) -> Iterator[list[str]]:
    """Yields the lines that are not blank, each with an end."""
    text = ""
    for piece in pieces(reader.file, reader.encoding):
        if not text and piece.lstrip(_SPACE).startswith("["):
            raise DataError(
                "is one array of objects", where=reader.file.path, hint="write one object per line and validate that"
            )
        *lines, text = (text + piece).split("\n")
        yield [f"{line}\n" for line in lines if line.strip(_SPACE)]
    if text.strip(_SPACE):
        yield [text + "\n"]


def _with_value(line: str, key: str, value: str, reader: JsonReader) -> str:
    """Returns the line with the value of a key of its outermost object replaced."""
    decoder = json.JSONDecoder()
    at = line.index("{") + 1
    while (at := _skip(line, at, ",")) < len(line) and line[at] == '"':
        found, at = scanstring(line, at + 1)
        start = _skip(line, at, ":")
        _, at = decoder.raw_decode(line, start)
        if found == key:
            return line[:start] + (f'"{value}"' if line[start] == '"' else value) + line[at:]
    raise DataError(f"lacks '{key}' on a line that had it", where=reader.file.path, hint="it changed: validate again")


def _skip(line: str, at: int, sign: str) -> int:
    while at < len(line) and line[at] in _SPACE + sign:
        at += 1
    return at


def _values(array: pa.Array, name: str) -> list[Any]:
    """Returns values as JSON has them: numbers, true and false, null, and text for all else."""
    plain = array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array
    if pa.types.is_boolean(plain.type) or pa.types.is_integer(plain.type):
        return plain.to_pylist()
    if pa.types.is_floating(plain.type):
        finite = [None if x is None or not np.isfinite(x) else x for x in plain.to_pylist()]
        if sum(x is None for x in finite) > plain.null_count + _num_nan(plain):
            raise DataError("holds infinite numbers, which JSON has not", where=f"real rows, column '{name}'")
        return finite
    return as_text(plain, name)


def _num_nan(array: pa.Array) -> int:
    return int(np.isnan(array.drop_null().to_numpy(zero_copy_only=False)).sum())
