"""Reading a dataset: from a path, a URI or a frame to Arrow batches of settled types and exact length.

    source = open_source("train/*.parquet")
    for batch in source.batches(["age", "income"]):
        ...

What is decided about odd input (a column that mixes numbers and text, a file that is not UTF-8) is in `Source.notes`;
what cannot be read is a `DataError` naming the file, the column and what to do, also in the middle of a pass.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from vr.core.errors import ConfigError, DataError
from vr.data.config import Isolation, ReadingConfig, is_isolated
from vr.data.formats.frames import FrameReader, frame_name
from vr.data.formats.locate import known_format, locate
from vr.data.formats.opening import common_format, normal_batches, open_reader
from vr.data.formats.reader import InputFile, Reader, group_rows
from vr.data.formats.reader import reading as read_errors
from vr.data.formats.textual import join_types
from vr.data.meter import joined_bytes
from vr.data.normal import even_batches, normal_type
from vr.data.partition import Part, Partition
from vr.data.store.address import local_path, shown

if TYPE_CHECKING:
    from vr.data.isolation.reader import ReadingProcesses

__all__ = ["Source", "changed_ns", "open_source"]

_KINDS = ("numeric", "categorical", "datetime", "text", "ignore")
_TEXT_FORMATS = ("csv", "tsv", "json", "jsonl", "xlsx")
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


@dataclass(frozen=True)
class Source:
    """A dataset that can be read any number of times, always in the same row order.

    Attributes:
      uri: What was opened, or `<pandas.DataFrame>` and the like.
      format: `parquet`, `csv` ..., or `memory`.
      schema: Names and types of the batches' columns, see `vr.data.normal.normal_type`; a column without any value may
        be of type null.
      num_rows: Rows, at least 1, or None where only a pass would tell.
      files: Path and bytes of every file, in row order; empty for objects in memory.
      modified_ns: For each of `files`, when its object store says that it was written; None on a disk.
      notes: What was decided about odd input, one sentence each.
      ignored: Columns that the files have and `types` set to `ignore`.
      unread: Columns of types that are not read, as lists and bytes.
    """

    uri: str
    format: str
    schema: pa.Schema
    num_rows: int | None
    files: list[tuple[str, int]]
    modified_ns: list[int | None]
    notes: list[str]
    ignored: list[str]
    unread: list[str]
    _readers: Sequence[Reader] = field(repr=False)
    _stored: pa.Schema = field(repr=False)  # before `types` changed any
    _where: Sequence[str] = field(repr=False)
    _limits: ReadingConfig = field(repr=False)
    _inputs: Sequence[InputFile] = field(default=(), repr=False)

    @property
    def inputs(self) -> Sequence[InputFile]:
        """The files as they were found, in row order; none of objects in memory."""
        return self._inputs

    @property
    def stored_schema(self) -> pa.Schema:
        """Names and types of the columns in the files, before `types` changed any."""
        return self._stored

    @property
    def limits(self) -> ReadingConfig:
        """What reading it may take."""
        return self._limits

    @property
    def readers(self) -> Sequence[Reader]:
        """The files as they are stored, for who writes them again."""
        return self._readers

    def marks(self) -> list[tuple[str, int, int | None]]:
        """Returns path, bytes and time of the last change of every file: a file with the same mark is the same file.

        Raises:
          DataError: if one is not there any more.
        """
        return [
            (path, size, changed_ns(path) if modified is None else modified)
            for (path, size), modified in zip(self.files, self.modified_ns, strict=True)
        ]

    def types_of(self, columns: Sequence[str]) -> list[str]:
        """Returns what some columns are stored and read as, as text: what their values depend on beside the files."""
        schemas = (self.stored_schema, self.schema)
        return [
            pa.schema([schema.field(name) for name in columns]).serialize().to_pybytes().hex() for schema in schemas
        ]

    @property
    def group_rows(self) -> list[list[int]] | None:
        """Rows of each part of each file that can be read by itself; None where only a pass would tell."""
        groups = [group_rows(reader) for reader in self._readers]
        return None if None in groups else [each for each in groups if each is not None]

    def batches(
        self,
        columns: Sequence[str] | None = None,
        batch_rows: int = 65_536,
        partition: Partition | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Yields the rows in file order, `batch_rows` at a time, fewer where they would take many bytes.

        Args:
          columns: Names to read, in the order wanted; the others are not decoded. None for all.
          batch_rows: Rows a batch, 1 or more; it bounds the memory and changes nothing else.
          partition: What to read, of a plan for `group_rows`; None for all.

        Raises:
          DataError: if a file turns out to be damaged, or a value cannot be read as `types` asked.
        """
        known = self.schema.names
        names = known if columns is None else list(columns)
        if batch_rows < 1:
            raise ConfigError(f"must be 1 or more, not {batch_rows}", where="batch_rows")
        if not names:
            raise DataError("no column was asked for", where=self.uri, hint=_there_are(self.schema))
        unknown = set(names).difference(known)
        if unknown:
            name = next(name for name in names if name in unknown)
            raise DataError("no such column", where=f"{self.uri}, column '{name}'", hint=_there_are(self.schema))
        if partition is None:
            parts = [Part(place, None, reader.num_rows) for place, reader in enumerate(self._readers)]
        else:
            parts = partition.parts
        return even_batches(self._typed_batches(names, batch_rows, parts), batch_rows, joined_bytes(self._limits))

    def _typed_batches(self, names: list[str], batch_rows: int, parts: Sequence[Part]) -> Iterator[pa.RecordBatch]:
        stored = pa.schema([self._stored.field(name) for name in names])
        schema = pa.schema([self.schema.field(name) for name in names])
        for part in parts:
            reader, where = self._readers[part.file], self._where[part.file]
            rows = 0
            for batch in normal_batches(reader, where, stored, batch_rows, self._limits, part.groups):
                arrays = [
                    array
                    if array.type == wanted.type
                    else _override(array, wanted.type, f"{where}, column '{wanted.name}'")
                    for array, wanted in zip(batch.columns, schema, strict=True)
                ]
                rows += batch.num_rows
                yield pa.RecordBatch.from_arrays(arrays, schema=schema)
            if part.rows not in (None, rows):
                raise DataError(
                    f"gave {rows:,} rows where it said {part.rows:,}",
                    where=where,
                    hint="it may be damaged, or have been written to: run it again",
                )


def open_source(
    data: object,
    *,
    format: str | None = None,
    types: Mapping[str, str] | None = None,
    reading: ReadingConfig | None = None,
    processes: "ReadingProcesses | None" = None,
) -> Source:
    """Returns `data` ready to be read, its types settled.

    Args:
      data: The path of a file; of a folder (all of its data files, in the order of their paths); a glob; the `s3://`
        or `gs://` URI of any of these; or an object that speaks the Arrow PyCapsule stream (pandas,
        polars, duckdb, pyarrow ...). Of several files all must have one format and the same columns. A stream is
        drained into memory, for it must be read more than once.
      format: Overrides what the name says: parquet, arrow, csv, tsv, json, jsonl, hdf5, xlsx.
      types: By column, `numeric` and `datetime` parse a column of strings (dates as ISO 8601), `ignore` leaves it out;
        `categorical` and `text` change nothing here.
      reading: What it may take, and whether it is read in a process of its own; None for the defaults of
        `ReadingConfig`, in this process.
      processes: That read what is to be read so, shared with other datasets; None: one of its own.

    Raises:
      DataError: if there is nothing to read, or it cannot be read.
      ConfigError: if `format` or a type is unknown.
    """
    kinds = dict(types or {})
    limits = reading or ReadingConfig(isolation=Isolation.never)
    for name, kind in kinds.items():
        if kind not in _KINDS:
            raise ConfigError(f"{kind!r} is no column type", where=f"types.{name}", hint=f"use one of {_KINDS}")
    if not isinstance(data, str | os.PathLike):
        reader = FrameReader(data)
        return _assemble(frame_name(data), "memory", [reader], [frame_name(data)], [], [], kinds, limits)
    uri = os.fspath(data)
    uri = uri if isinstance(uri, str) else os.fsdecode(uri)
    wanted = None if format is None else known_format(format)
    with read_errors(shown(uri)):
        files, notes = locate(uri, any_name=wanted is not None)
    files = [replace(file, limits=limits) for file in files]
    where = [file.path for file in files]
    if is_isolated(limits.isolation):
        from vr.data.isolation.reader import ReadingProcesses, open_isolated

        name, readers = open_isolated(uri, files, wanted, processes or ReadingProcesses(limits))
    else:
        name = common_format(files, wanted)
        readers = [open_reader(file, name) for file in files]
    return _assemble(shown(uri), name, readers, where, files, notes, kinds, limits)


def _assemble(
    uri: str,
    format: str,
    readers: Sequence[Reader],
    where: Sequence[str],
    files: Sequence[InputFile],
    notes: Sequence[str],
    kinds: Mapping[str, str],
    limits: ReadingConfig,
) -> Source:
    notes = [*notes, *dict.fromkeys(note for reader in readers for note in reader.notes)]
    num_rows = None if any(reader.num_rows is None for reader in readers) else sum(r.num_rows or 0 for r in readers)
    if num_rows == 0:
        raise DataError("has no rows", where=uri)
    joined = _join_schemas(readers, where, format, notes)
    # A column to be ignored may be on the other side alone.
    for name in sorted(name for name, kind in kinds.items() if kind != "ignore" and name not in joined.names):
        raise DataError(f"no such column in {uri}", where=f"types.{name}", hint=_there_are(joined))
    stored, unread = [], []
    for column in joined:
        if kinds.get(column.name) == "ignore":
            continue
        if _PANDAS_INDEX.fullmatch(column.name):
            notes.append(f"column '{column.name}' is a pandas index: left out")
        elif (type_ := normal_type(column.type)) is None:
            notes.append(f"column '{column.name}' is a {_kind_of(column.type)}: left out")
            unread.append(column.name)
        else:
            stored.append(pa.field(column.name, type_))
    if not stored:
        raise DataError("has no column that can be used", where=uri, hint="; ".join(notes) or None)
    return Source(
        uri=uri,
        format=format,
        schema=pa.schema([pa.field(each.name, _asked_type(each, kinds.get(each.name))) for each in stored]),
        num_rows=num_rows,
        files=[(file.path, file.size) for file in files],
        modified_ns=[file.modified_ns for file in files],
        notes=notes,
        ignored=[name for name in joined.names if kinds.get(name) == "ignore"],
        unread=unread,
        _readers=readers,
        _stored=pa.schema(stored),
        _where=where,
        _limits=limits,
        _inputs=files,
    )


def _join_schemas(readers: Sequence[Reader], where: Sequence[str], format: str, notes: list[str]) -> pa.Schema:
    """Returns the columns of the first reader, each of the least type that holds the values of all."""
    first = readers[0].schema
    types = {column.name: column.type for column in first}
    for reader, path in zip(readers[1:], where[1:], strict=True):
        missing, extra = set(types) - set(reader.schema.names), set(reader.schema.names) - set(types)
        # A JSON object may leave out what is null, and so may a whole file of them.
        if (missing or extra) and format not in ("json", "jsonl"):
            what = f"lacks column '{min(missing)}'" if missing else f"has a column '{min(extra)}' of its own"
            raise DataError(what, where=path, hint=f"all files must have the columns of {where[0]}")
        for column in reader.schema:
            old = types.setdefault(column.name, column.type)
            new = old if old == column.type else join_types(_simple(old), _simple(column.type))
            if new is None and format not in _TEXT_FORMATS:
                raise DataError(
                    f"is {column.type}, but {old} in the files before",
                    where=f"{path}, column '{column.name}'",
                    hint="give the column one type in all files",
                )
            if new is None:
                notes.append(f"column '{column.name}' is {old} in some files and {column.type} in others: read as text")
            types[column.name] = pa.string() if new is None else new
    return pa.schema(list(types.items()))


def _simple(type_: pa.DataType) -> pa.DataType:
    return normal_type(type_) or type_


def _asked_type(column: pa.Field, kind: str | None) -> pa.DataType:
    inner = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
    if pa.types.is_string(inner) or pa.types.is_large_string(inner):
        if kind == "numeric":
            return pa.float64()
        if kind == "datetime":
            return pa.timestamp("us")
    return column.type


def _override(array: pa.Array, type_: pa.DataType, where: str) -> pa.Array:
    """Returns a column of strings as the numbers or timestamps that the user says it holds; blanks become null."""
    strings = array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array
    strings = pc.utf8_trim_whitespace(strings)
    strings = pc.replace_with_mask(strings, pc.fill_null(pc.equal(strings, ""), False), pa.scalar(None, strings.type))
    try:
        return _parse(strings, type_)
    except pa.ArrowInvalid as err:
        bad = next((value for value in pc.unique(strings) if not _parses(value, type_)), None)
        what, hint = ("a number", "numeric") if pa.types.is_floating(type_) else ("a date as in 2024-12-31", "datetime")
        raise DataError(
            f"{str(bad)[:60]!r} is not {what}", where=where, hint=f"mend it or drop the type '{hint}'"
        ) from err


def _parse(strings: pa.Array, type_: pa.DataType) -> pa.Array:
    try:
        return strings.cast(type_)
    except pa.ArrowInvalid:
        if not pa.types.is_timestamp(type_):
            raise
        # With an offset in every value: as UTC.
        return strings.cast(pa.timestamp("us", "UTC")).cast(type_)


def _parses(value: pa.Scalar, type_: pa.DataType) -> bool:
    try:
        _parse(pa.array([value.as_py()], pa.string()), type_)
    except pa.ArrowInvalid:
        return False
    return True


def changed_ns(path: str) -> int | None:
    """Returns when a local file was last written; None for what is on no disk.

    Raises:
      DataError: if it is not there any more.
    """
    path = local_path(path)
    if "://" in path:
        return None
    try:
        return os.stat(path).st_mtime_ns
    except OSError as err:
        raise DataError("cannot be read any more", where=path, hint="it was there when it was opened") from err


def _kind_of(type_: pa.DataType) -> str:
    return re.split(r"[<\[(]", str(type_), maxsplit=1)[0].strip()


def _there_are(schema: pa.Schema, limit: int = 6) -> str:
    names = ", ".join(f"'{name}'" for name in schema.names[:limit])
    more = len(schema.names) - limit
    return f"there are {names}" + (f" and {more} more" if more > 0 else "")
