"""From a path, a folder, a glob or an object-store URI to the files behind it, in row order."""

import fnmatch
import glob
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from pyarrow import fs

from vr.core.errors import ConfigError, DataError
from vr.data.formats.reader import InputFile
from vr.data.store.address import Address, is_remote, knows, local_path, shown
from vr.data.store.filesystem import filesystem_of
from vr.data.store.retries import Absent, Forbidden, with_retries

__all__ = ["FORMATS", "format_by_name", "known_format", "locate"]

# Every accepted spelling, as an ending of a file's name or a `format` argument, and the format it means.
FORMATS = {
    "parquet": "parquet",
    "pq": "parquet",
    "arrow": "arrow",
    "feather": "arrow",
    "ipc": "arrow",
    "csv": "csv",
    "tsv": "tsv",
    "json": "json",
    "jsonl": "jsonl",
    "ndjson": "jsonl",
    "hdf5": "hdf5",
    "h5": "hdf5",
    "hdf": "hdf5",
    "xlsx": "xlsx",
}
_COMPRESSIONS = (".gz", ".zst", ".bz2", ".lz4")
_WILD = "*?["


def known_format(name: str) -> str:
    """Returns the format that a user's `format` argument means."""
    try:
        return FORMATS[name.lower().removeprefix(".")]
    except KeyError:
        raise ConfigError(
            f"{name!r} is no format", where="format", hint=f"use one of {', '.join(sorted(FORMATS))}"
        ) from None


def format_by_name(path: str) -> str | None:
    """Returns the format that a file's name stands for, or None."""
    name = path.rsplit("/", 1)[-1].lower()
    for ending in _COMPRESSIONS:
        name = name.removesuffix(ending)
    return FORMATS.get(name.rsplit(".", 1)[-1]) if "." in name else None


def locate(uri: str, any_name: bool) -> tuple[list[InputFile], list[str]]:
    """Returns the data files behind `uri`, sorted by path, and notes on those that were passed over.

    Args:
      uri: A file, a folder (searched recursively, hidden names and names with a leading underscore apart), a glob, or
        the `s3://` or `gs://` URI of any of these, such as `s3://bucket/folder` or `gs://bucket/*.parquet`.
      any_name: In folders, take files whatever their name says; else only those with the ending of a known format.

    Raises:
      DataError: if there is no such file, or none with data in it.
    """
    if uri.startswith("file://"):
        filesystem, prefix = fs.LocalFileSystem(), "file://"
        found, single = _listed(filesystem, local_path(uri), uri)
    elif is_remote(uri):
        if not knows(uri):
            raise DataError("cannot be reached", where=shown(uri), hint="give a path, or an s3:// or gs:// address")
        address = Address.parse(uri)
        uri, prefix = str(address), f"{address.scheme}://"
        try:
            filesystem = filesystem_of(address)
            found, single = _listed(filesystem, uri.removeprefix(prefix), uri, lambda ask: with_retries(ask, uri))
        except (Absent, Forbidden) as err:
            raise DataError(err.message, where=uri, hint=err.hint) from err
    else:
        paths, single = _local(uri)
        filesystem, prefix = fs.LocalFileSystem(), ""
        found = filesystem.get_file_info(paths)
    notes: list[str] = []
    if not (single or any_name):
        known = [info for info in found if format_by_name(info.path)]
        if len(known) < len(found):
            notes.append(f"{_files(len(found) - len(known))} of no known format passed over")
        found = known
        if any("=" in part for info in found for part in info.path.split("/")[:-1]):
            notes.append("folder names such as 'year=2024' are not read as columns")
    far = not isinstance(filesystem, fs.LocalFileSystem)
    files = [
        InputFile(prefix + info.path, info.size or 0, filesystem, info.path, info.mtime_ns if far else None)
        for info in found
    ]
    full = [file for file in files if file.size]
    if files and not full:
        raise DataError("is empty (0 bytes)" if single else "holds only empty files (0 bytes)", where=uri)
    if not full:
        raise DataError("holds no data files", where=uri, hint="vr reads " + ", ".join(sorted(set(FORMATS.values()))))
    if len(full) < len(files):
        notes.append(f"{_files(len(files) - len(full), 'empty ')} skipped")
    return full, notes


def _files(count: int, adjective: str = "") -> str:
    return f"{count} {adjective}file{'s' * (count != 1)}"


def _local(uri: str) -> tuple[list[str], bool]:
    """Returns paths, and whether they are the one file that was named outright."""
    path = os.path.expanduser(uri)
    if os.path.isfile(path):
        return [path], True
    if os.path.isdir(path):
        found = (each for each in Path(path).rglob("*") if each.is_file())
        return sorted(str(each) for each in found if not _hidden(each.relative_to(path).parts)), False
    if any(sign in path for sign in _WILD):
        found = sorted(match for match in glob.glob(path, recursive=True) if os.path.isfile(match))
        if not found:
            raise DataError("matches no file", where=uri)
        return found, False
    raise DataError("does not exist", where=uri, hint="check the path")


def _hidden(parts: Iterable[str]) -> bool:
    return any(part.startswith((".", "_")) for part in parts)


def _listed(
    filesystem: fs.FileSystem, path: str, where: str, tried: Callable[[Callable[[], Any]], Any] = lambda ask: ask()
) -> tuple[list[fs.FileInfo], bool]:
    """Returns the files behind a path that may be a glob, and whether they are the one that was named outright."""
    wild = next((i for i, sign in enumerate(path) if sign in _WILD), None)
    root = (path if wild is None else path[:wild].rpartition("/")[0]).rstrip("/")
    info = tried(lambda: filesystem.get_file_info(root))
    if info.type == fs.FileType.File and wild is None:
        return [info], True
    # With allow_not_found a bucket that is not there could not be told from an empty one.
    selector = fs.FileSelector(root, recursive=True, allow_not_found="/" in root)
    # Below a file there is nothing.
    below = [] if info.type == fs.FileType.File else tried(lambda: filesystem.get_file_info(selector))
    found = [info for info in below if info.type == fs.FileType.File]
    if wild is None:
        found = [info for info in found if not _hidden(info.path[len(root) :].split("/"))]
    else:
        found = [info for info in found if fnmatch.fnmatchcase(info.path, path)]
    if not found:
        what = "does not exist or holds no files" if wild is None else "matches no file"
        raise DataError(what, where=where, hint="check the bucket and the name" if is_remote(where) else None)
    return sorted(found, key=lambda info: info.path), False
