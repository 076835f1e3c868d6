"""From a path, a folder, a glob or an object-store URI to the files behind it, in row order."""

import fnmatch
import glob
import os
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
from pyarrow import fs

from vr.core.errors import ConfigError, DataError
from vr.data.formats.reader import InputFile

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
        a URI whose filesystem pyarrow knows, such as `s3://bucket/folder` or `gs://bucket/*.parquet`.
      any_name: In folders, take files whatever their name says; else only those with the ending of a known format.

    Raises:
      DataError: if there is no such file, or none with data in it.
    """
    if "://" in uri:
        paths, single, filesystem = _remote(uri)
        prefix = uri.split("://", 1)[0] + "://"
    else:
        (paths, single), filesystem, prefix = _local(uri), fs.LocalFileSystem(), ""
    notes: list[str] = []
    if not (single or any_name):
        known = [path for path in paths if format_by_name(path)]
        if len(known) < len(paths):
            notes.append(f"{_files(len(paths) - len(known))} of no known format passed over")
        paths = known
        if any("=" in part for path in paths for part in path.split("/")[:-1]):
            notes.append("folder names such as 'year=2024' are not read as columns")
    files = [
        InputFile(prefix + path, info.size or 0, filesystem, path)
        for path, info in zip(paths, filesystem.get_file_info(paths), strict=True)
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


def _remote(uri: str) -> tuple[list[str], bool, fs.FileSystem]:
    """Returns paths, whether they are the one file that was named outright, and their filesystem."""
    # What follows a question mark are options of the filesystem, such as its region or endpoint.
    address, mark, options = uri.partition("?")
    wild = next((i for i, sign in enumerate(address) if sign in "*["), None)
    base = address if wild is None else address[: address.rindex("/", 0, wild)]
    try:
        filesystem, root = fs.FileSystem.from_uri(base + mark + options)
        info = filesystem.get_file_info(root)
        found = (
            [info]
            if info.type == fs.FileType.File
            else filesystem.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True))
        )
    except (pa.ArrowException, OSError) as err:
        raise DataError(
            f"cannot be reached ({err})", where=uri, hint="check the address, the credentials and the network"
        ) from err
    single = info.type == fs.FileType.File
    paths = sorted(each.path for each in found if each.type == fs.FileType.File)
    if wild is not None:
        pattern = root + address[len(base) :]
        paths = [path for path in paths if fnmatch.fnmatchcase(path, pattern)]
    elif not single:
        paths = [path for path in paths if not _hidden(path[len(root) :].split("/"))]
    if not paths:
        raise DataError("matches no file" if wild is not None else "does not exist or holds no files", where=uri)
    return paths, single, filesystem
