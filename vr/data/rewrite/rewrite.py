"""A dataset written again in its own format, by whichever of the writers knows it."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vr.core.errors import ConfigError, DataError
from vr.data.formats.locate import format_by_name
from vr.data.rewrite.edits import Edits
from vr.data.source import Source

__all__ = ["check_writable", "rewrite"]

WRITABLE = ("parquet", "arrow", "csv", "tsv", "jsonl", "json")


def check_writable(source: Source, name: str) -> None:
    """Refuses what cannot be written again.

    Args:
      source: What is to be written again.
      name: Of the new file.

    Raises:
      DataError: where its format cannot be written with nothing else changed.
      ConfigError: where the new file's name stands for another format.
    """
    if not source.files:
        raise DataError("is no file", where=source.uri, hint="save it as parquet, and validate and fix that")
    if source.format not in WRITABLE:
        raise DataError(
            f"is {source.format}, which cannot be written with nothing else changed",
            where=source.uri,
            hint="save it as parquet or csv, and validate and fix that",
        )
    if source.format in ("parquet", "arrow") and Path(name).suffix.lower() in (".gz", ".bz2", ".zst", ".xz", ".lz4"):
        raise ConfigError(
            f"ends as a compressed file, and {source.format} is compressed inside",
            where=name,
            hint=f"as in clean.{source.format}",
        )
    wanted = {"json": ("json", "jsonl"), "jsonl": ("json", "jsonl")}.get(source.format, (source.format,))
    if format_by_name(name) not in wanted:
        raise ConfigError(
            f"does not end as a {source.format} file does, which the candidate is",
            where=name,
            hint=f"as in clean.{source.format}",
        )


def rewrite(source: Source, edits: Edits, path: Path) -> int:
    """Writes a dataset's rows, edited, to one new file in its own format; returns the rows written.

    Rows keep their order, columns their order and stored types; memory does not grow with the rows.

    Args:
      source: One file or several, which are written one after another.
      edits: What is to be different.
      path: The new file; its name says how text is compressed.

    Raises:
      DataError: where the files cannot be read or cut into rows as before, or differ in their columns.
    """
    readers: Any = source.readers
    if source.format == "parquet":
        from vr.data.rewrite.columnar import rewrite_parquet

        return rewrite_parquet(readers, edits, path)
    if source.format == "arrow":
        from vr.data.rewrite.columnar import rewrite_arrow

        return rewrite_arrow(readers, edits, path)
    if source.format in ("csv", "tsv"):
        from vr.data.rewrite.delimited import rewrite_delimited

        with _encoded(source.uri):
            return rewrite_delimited(readers, edits, path)
    from vr.data.rewrite.jsonlines import rewrite_jsonlines

    with _encoded(source.uri):
        return rewrite_jsonlines(readers, edits, path)


@contextmanager
def _encoded(where: str) -> Iterator[None]:
    """Turns text that the dataset's encoding lacks, as real rows may have it, into an error that names the dataset."""
    try:
        yield
    except UnicodeEncodeError as err:
        raise DataError(
            f"is {err.encoding}, which has no {err.object[err.start : err.end][:20]!r}, as a row to be added has it",
            where=where,
            hint="save the dataset as UTF-8, validate and fix that",
        ) from err
