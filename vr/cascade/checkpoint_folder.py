"""The folder of a run's checkpoints: one subfolder for each step, sealed by a manifest that is written last.

`<folder>/step_0000000012` holds the files of step 12 and `manifest.json`, which has the size and SHA-256 of each of
them and a digest of itself. A step grows under `unfinished` and gets its name by one rename, when all of it is on the
disk. What does not verify is moved to `set_aside`, never deleted.

Every path of a checkpoint is made here, and nothing else in vr renames or removes one: to keep checkpoints in an object
store, give another class with these methods, whose `commit` uploads the manifest last instead of renaming.
"""

import hashlib
import itertools
import json
import logging
import math
import os
import re
import shutil
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from vr.core.errors import CheckpointError, ConfigError
from vr.core.files import sync_file, sync_folder, write_synced

__all__ = ["CheckpointFolder", "SetAside", "Verified"]

FORMAT = 1
_MANIFEST = "manifest.json"
_UNFINISHED, _SET_ASIDE = "unfinished", "set_aside"
_STEP = re.compile(r"step_(\d{10,})")
_LOG = logging.getLogger(__name__)


class SetAside(NamedTuple):
    """A step that did not verify: the step, why, and where it was moved to."""

    step: int
    reason: str
    path: Path


@dataclass(frozen=True)
class Verified:
    """A step all of whose files are as they were written.

    Attributes:
      step: Number of the step.
      path: Its folder.
      content: What `commit` was given.
    """

    step: int
    path: Path
    content: Mapping[str, Any]


class _UnsoundError(Exception):
    """Why a step does not verify."""


class CheckpointFolder:
    """The steps in a folder that belong to one run; one process at a time may use it.

    Leftovers of interrupted saves are removed when it is opened.

    Args:
      path: The folder, made where it is missing.
      identity: Digest of what the run depends on.

    Raises:
      ConfigError: if it is a file, cannot be written to, or holds checkpoints of another identity. Those are another
        run's, whole and wanted, so nothing is set aside; the user has mistaken the folder.
      CheckpointError: if it holds checkpoints of a format that this version does not know.
    """

    def __init__(self, path: Path, identity: str):
        self.path = path
        self.set_aside: list[SetAside] = []
        self._identity = identity
        self._numbers = itertools.count()
        try:
            if path.exists() and not path.is_dir():
                raise ConfigError("is a file, not a folder", where=str(path), hint="give another folder")
            path.mkdir(parents=True, exist_ok=True)
            _remove(path / _UNFINISHED)
            (path / _UNFINISHED).mkdir()
        except OSError as err:
            raise ConfigError(
                f"cannot be written to ({err.strerror or err})", where=str(path), hint="give another folder"
            ) from err
        self._refuse_others()

    def steps(self) -> list[int]:
        """Returns the steps that are there, newest first, whether they verify or not."""
        matches = (_STEP.fullmatch(name) for name in os.listdir(self.path))
        found = {int(match[1]) for match in matches if match is not None}
        return sorted((step for step in found if os.path.lexists(self._place(step))), reverse=True)

    def begin(self, step: int) -> Path:
        """Returns an empty folder for the files of a step; it is no checkpoint before `commit`."""
        growing = self._growing(step)
        growing.mkdir(parents=True)
        return growing

    def commit(self, growing: Path, step: int, content: Mapping[str, Any]) -> None:
        """Seals what was written to `growing` and lists it as a step.

        Args:
          growing: The folder that `begin` returned.
          step: Number of the step.
          content: What the manifest says beside the files; JSON values only.

        Raises:
          OSError: if a file cannot be read back or written, or the step is there already.
        """
        files = {}
        for name, status in _tree(growing):
            sync_file(growing / name)
            files[name] = {"size": status.st_size, "sha256": _digest(growing / name)}
        manifest = {"format": FORMAT, "step": step, "identity": self._identity, "content": content, "files": files}
        write_synced(growing / _MANIFEST, _sealed(manifest))
        for folder, _, _ in os.walk(growing, topdown=False):
            sync_folder(Path(folder))
        os.rename(growing, self._place(step))
        sync_folder(self.path)

    def abandon(self, growing: Path) -> None:
        """Removes what a failed save wrote, as far as that is possible."""
        shutil.rmtree(growing, ignore_errors=True)

    def newest(self) -> Verified | None:
        """Returns the newest step that verifies, None where none does; newer ones that do not are set aside.

        Raises:
          CheckpointError: if a step that does not verify cannot be moved.
        """
        return next(self._sound(), None)

    def prune(self, newest: int, keep: int) -> None:
        """Removes what is older than `newest`, just committed, and the `keep - 1` steps before it that verify.

        Steps in between that do not verify are set aside, as in `newest`.

        Raises:
          OSError: if a step cannot be removed.
          CheckpointError: if a step that does not verify cannot be moved.
        """
        kept = [newest, *(found.step for found in itertools.islice(self._sound(below=newest), keep - 1))]
        for step in self.steps():
            if step < kept[-1]:
                # Out of the listing at once, whole, so that no half-removed step is ever listed.
                doomed = self._growing(step)
                os.rename(self._place(step), doomed)
                _remove(doomed)

    def _place(self, step: int) -> Path:
        return self.path / f"step_{step:010d}"

    def _growing(self, step: int) -> Path:
        # A fresh name each time: a failed save may still have a writer at work.
        return self.path / _UNFINISHED / f"{self._place(step).name}.{next(self._numbers)}"

    def _sound(self, below: float = math.inf) -> Iterator[Verified]:
        for step in self.steps():
            if step >= below:
                continue
            try:
                yield self._verify(step)
            except _UnsoundError as err:
                self._move_aside(step, str(err))

    def _verify(self, step: int) -> Verified:
        place = self._place(step)
        try:
            manifest = _manifest(place)
            if manifest["step"] != step:
                raise _UnsoundError(f"its manifest is that of step {manifest['step']}")
            expected = manifest["files"]
            present = {name: status for name, status in _tree(place) if name != _MANIFEST}
            for name in sorted(expected.keys() | present.keys()):
                if name not in present:
                    raise _UnsoundError(f"{name} is missing")
                if name not in expected:
                    raise _UnsoundError(f"{name!a} is not in its manifest")
                if present[name].st_size != expected[name]["size"]:
                    raise _UnsoundError(f"{name} has {present[name].st_size} bytes, not {expected[name]['size']}")
            # Digests last: what the sizes give away needs no reading.
            for name in expected:
                if _digest(place / name) != expected[name]["sha256"]:
                    raise _UnsoundError(f"{name} is not what was written: its digest differs")
            return Verified(step, place, manifest["content"])
        except OSError as err:
            raise _UnsoundError(f"cannot be read ({err.strerror or err})") from err

    def _move_aside(self, step: int, reason: str) -> None:
        place, folder = self._place(step), self.path / _SET_ASIDE
        numbered = (folder / f"{place.name}.{number}" for number in itertools.count(1))
        goal = next(path for path in numbered if not os.path.lexists(path))
        try:
            folder.mkdir(exist_ok=True)
            os.rename(place, goal)
        except OSError as err:
            raise CheckpointError(
                f"does not verify ({reason}) and cannot be moved ({err.strerror or err})",
                where=str(place),
                hint=f"move it out of {self.path}",
            ) from err
        self.set_aside.append(SetAside(step, reason, goal))
        _LOG.warning("checkpoint of step %d does not verify: %s; it is now %s", step, reason, goal)

    def _refuse_others(self) -> None:
        for step in self.steps():
            try:
                manifest = _manifest(self._place(step))
            except (_UnsoundError, OSError):
                continue
            if manifest["format"] != FORMAT:
                raise CheckpointError(
                    f"has format {manifest['format']}, where this version of vr reads {FORMAT}",
                    where=str(self._place(step)),
                    hint="resume with the version that wrote it, or give another folder",
                )
            if manifest["identity"] != self._identity:
                raise ConfigError(
                    "holds checkpoints of other inputs or another configuration",
                    where=str(self.path),
                    hint="give another folder",
                )


def _sealed(manifest: Mapping[str, Any]) -> bytes:
    digest = hashlib.sha256(json.dumps(manifest, allow_nan=False).encode()).hexdigest()
    return json.dumps({"manifest": manifest, "sha256": digest}, indent=1, allow_nan=False).encode()


def _manifest(place: Path) -> dict[str, Any]:
    """Reads a step's manifest; `_UnsoundError` where there is none or one byte of it is not as written."""
    if place.is_symlink():
        raise _UnsoundError("is a symbolic link")
    if not place.is_dir():
        raise _UnsoundError("is not a folder")
    path = place / _MANIFEST
    if not path.is_file():
        raise _UnsoundError("has no manifest")
    raw = path.read_bytes()
    try:
        manifest = json.loads(raw)["manifest"]
        # The whole file is compared, since a flipped bit may change its bytes and not what JSON says.
        if _sealed(manifest) == raw and {"format", "step", "identity", "content", "files"} <= manifest.keys():
            return manifest
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as err:
        raise _UnsoundError("its manifest is not what was written: no JSON") from err
    raise _UnsoundError("its manifest is not what was written: its digest differs")


def _tree(folder: Path) -> Iterator[tuple[str, os.stat_result]]:
    """Yields every file below a folder with its status, by relative name, following no link."""
    folders = [folder]
    while folders:
        with os.scandir(folders.pop()) as entries:
            for entry in sorted(entries, key=lambda entry: entry.name):
                name = Path(entry.path).relative_to(folder).as_posix()
                status = entry.stat(follow_symlinks=False)
                if stat.S_ISDIR(status.st_mode):
                    folders.append(Path(entry.path))
                elif stat.S_ISREG(status.st_mode):
                    yield name, status
                else:
                    raise _UnsoundError(f"{name!a} is a link or a special file")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _remove(path: Path) -> None:
    """Removes a file, a link (not what it points to) or a folder, if it is there."""
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.exists():
        shutil.rmtree(path)
