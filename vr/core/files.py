"""Files and folders that are on the disk, not only in its cache, when a call returns."""

import os
from pathlib import Path

__all__ = ["sync_file", "sync_folder", "write_synced"]


def write_synced(path: Path, content: bytes) -> None:
    """Writes a file, all of it on the disk; its name is there for good only after `sync_folder` of its folder."""
    with path.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def sync_file(path: Path) -> None:
    """Puts on the disk what another library wrote to a file."""
    # For writing, though nothing is written: Windows syncs no other file.
    with path.open("r+b") as file:
        os.fsync(file.fileno())


def sync_folder(folder: Path) -> None:
    """Makes the names in a folder last, so that a rename survives a loss of power."""
    # Windows opens no folders, and keeps their names without being asked.
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
