"""One partition of a dataset told in plain values, and opened from them by another process or machine."""

import json
import os
import platform
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from typing import Any

import pyarrow as pa
from pyarrow import fs

from vr.core.errors import DataError
from vr.data.config import Isolation, ReadingConfig, is_isolated
from vr.data.formats.blocks import told_of_blocks
from vr.data.formats.opening import open_reader
from vr.data.formats.reader import InputFile, Reader, told_layout
from vr.data.isolation.reader import ReadingProcesses, open_isolated
from vr.data.partition import Part, Partition
from vr.data.source import Source
from vr.data.store.address import Address, is_remote
from vr.data.store.filesystem import filesystem_of

__all__ = ["open_share", "share"]


def share(source: Source, partition: Partition) -> dict[str, Any]:
    """Returns all that another process needs to read a partition of files, JSON-able; credentials are no part of it."""
    files = [source.inputs[part.file] for part in partition.parts]
    layouts, groups = zip(*(_needed(source.readers[part.file], part.groups) for part in partition.parts), strict=True)
    return {
        "uri": source.uri,
        "format": source.format,
        "schema": source.schema.serialize().to_pybytes().hex(),
        "stored": source.stored_schema.serialize().to_pybytes().hex(),
        "limits": asdict(source.limits) | {"isolation": source.limits.isolation.name},
        "files": [
            {
                "path": file.path,
                "size": file.size,
                # Another process may have another working folder.
                "key": os.path.abspath(file.key) if file.is_local else file.key,
                "modified_ns": file.modified_ns,
            }
            for file in files
        ],
        "layouts": layouts,
        "parts": [[of, part.rows] for of, part in zip(groups, partition.parts, strict=True)],
        "row_start": partition.row_start,
    }


def open_share(told: dict[str, Any]) -> tuple[Source, Partition]:
    """Returns a source of the told files alone, with the types of the whole dataset, and the partition within it.

    Raises:
      DataError: if the files are not there, or not the same.
    """
    limits = ReadingConfig(**{**told["limits"], "isolation": Isolation[told["limits"]["isolation"]]})
    first = told["files"][0]["path"]
    filesystem = filesystem_of(Address.parse(first)) if is_remote(first) else fs.LocalFileSystem()
    files = [InputFile(**file, filesystem=filesystem, limits=limits) for file in told["files"]]
    # Of a file that is laid out, another part is another reader.
    laid_out = [None if layout is None else layout["starts"] for layout in told["layouts"]]
    marks = json.dumps([told["limits"], [_mark(file) for file in files], laid_out])
    readers = _readers(_Files(files, told["layouts"], told["format"], marks))
    source = Source(
        uri=told["uri"],
        format=told["format"],
        schema=_schema(told["schema"]),
        num_rows=None,
        files=[(file.path, file.size) for file in files],
        modified_ns=[file.modified_ns for file in files],
        notes=[],
        ignored=[],
        unread=[],
        _readers=readers,
        _stored=_schema(told["stored"]),
        _where=[file.path for file in files],
        _limits=limits,
        _inputs=files,
    )
    parts = [
        Part(place, None if groups is None else (groups[0], groups[1]), rows)
        for place, (groups, rows) in enumerate(told["parts"])
    ]
    return source, Partition(tuple(parts), told["row_start"])


def _needed(reader: Reader, groups: tuple[int, int] | None) -> tuple[dict[str, Any] | None, tuple[int, int] | None]:
    """Returns the layout that some groups of rows need, and their places in it; a large file's is long."""
    layout = told_layout(reader)
    if layout is None or groups is None:
        return layout, groups
    return told_of_blocks(layout, *groups), (0, groups[1] - groups[0])


@dataclass(frozen=True)
class _Files:
    """Files to open; equal to others where these are the same files, unchanged, to be read in the same way."""

    files: list[InputFile] = field(compare=False)
    layouts: list[dict[str, Any] | None] = field(compare=False)
    format: str
    marks: str


# One, for the next partition is most often of the same file, whose footer may be long.
@lru_cache(maxsize=1)
def _readers(of: _Files) -> list[Reader]:
    limits = of.files[0].limits
    if not is_isolated(limits.isolation):
        layouts = zip(of.files, of.layouts, strict=True)
        return [open_reader(file, of.format, layout) for file, layout in layouts]
    processes = _processes(tuple(sorted((asdict(limits) | {"isolation": limits.isolation.name}).items())))
    return open_isolated(of.files[0].path, of.files, of.format, processes, of.layouts)[1]


def _mark(file: InputFile) -> list[Any]:
    """Returns what tells a file from another, and from itself before it was written to."""
    if not file.is_local:
        return [file.path, file.size, file.modified_ns]
    try:
        told = os.stat(file.key)
    except OSError as err:
        raise DataError(
            f"is not there on the worker {platform.node()}",
            where=file.path,
            hint="workers need the same paths: a shared disk, or an s3:// or gs:// address",
        ) from err
    if told.st_size != file.size:
        raise DataError(
            f"has {told.st_size:,} bytes on a worker, not {file.size:,}", where=file.path, hint="run it again"
        )
    return [file.path, file.key, told.st_size, told.st_mtime_ns, told.st_ctime_ns, told.st_ino]


def _schema(text: str) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(text)))


@lru_cache(maxsize=4)
def _processes(limits: tuple[tuple[str, Any], ...]) -> ReadingProcesses:
    """Returns the reading processes that this process uses for every partition under the same limits."""
    values = dict(limits)
    return ReadingProcesses(ReadingConfig(**{**values, "isolation": Isolation[values["isolation"]]}))
