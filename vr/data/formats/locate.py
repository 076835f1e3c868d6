"""From a path, a folder, a glob or an object-store URI to the files behind it, in row order."""

import fnmatch
import glob
import os
from collections.abc import Sequence
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
    paths, filesystem, prefix = _remote(uri) if "://" in uri else (_local(uri), fs.LocalFileSystem(), "")
    single = len(paths) == 1 and not _is_many(uri, filesystem, paths)
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


def _is_many(uri: str, filesystem: fs.FileSystem, paths: Sequence[str]) -> bool:
    """True where `uri` stands for a folder or a glob, although only one path came of it."""
    return not uri.rstrip("/").endswith(paths[0].rsplit("/", 1)[-1])


def _local(uri: str) -> list[str]:
    path = os.path.expanduser(uri)
    if os.path.isfile(path):
        return [path]
    if os.path.isdir(path):
        return sorted(str(found) for found in Path(path).rglob("*") if found.is_file() and not _hidden(found, path))
    if any(sign in path for sign in _WILD):
        found = sorted(match for match in glob.glob(path, recursive=True) if os.path.isfile(match))
        if not found:
            raise DataError("matches no file", where=uri)
        return found
    raise DataError("does not exist", where=uri, hint="check the path")


def _hidden(path: Path, root: str) -> bool:
    return any(part.startswith((".", "_")) for part in path.relative_to(root).parts)


def _remote(uri: str) -> tuple[list[str], fs.FileSystem, str]:
    """Returns paths, their filesystem, and what to write before a path to name it to the user."""
    wild = next((i for i, sign in enumerate(uri) if sign in _WILD), None)
    base = uri if wild is None else uri[: uri.rindex("/", 0, wild)]
    try:
        filesystem, root = fs.FileSystem.from_uri(base)
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
    prefix = uri.split("://", 1)[0] + "://"
    paths = sorted(each.path for each in found if each.type == fs.FileType.File)
    if wild is not None:
        pattern = root + uri[len(base) :]
        paths = [path for path in paths if fnmatch.fnmatchcase(path, pattern)]
    elif info.type != fs.FileType.File:
        cut = len(root)
        paths = [path for path in paths if not any(part[:1] in (".", "_") for part in path[cut:].split("/") if part)]
    if not paths:
        raise DataError("matches no file" if wild is not None else "does not exist or holds no files", where=uri)
    return paths, filesystem, prefix
