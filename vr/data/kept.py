"""States of partitions on the disk, found again by what they are of: files, rows, work and versions.

A state is used only where the files have the same paths, sizes and times of change (on a disk also the same inodes),
and lie at the same rows of the dataset; anything else is as good as absent. States hold sampled rows: they are as
private as the data.
"""

import hashlib
import json
import os
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from vr.core.errors import DataError, VrError
from vr.core.files import write_synced
from vr.data.partition import Part, Partition
from vr.data.source import Source, changed_ns
from vr.data.store.address import is_remote, local_path
from vr.data.work import State, Work

__all__ = ["KeptStates", "marks_of", "trim"]

_SETTLED_NS = 2_000_000_000  # the coarsest clock of a disk: what is written twice within it may have one time
_ABANDONED_S = 86_400.0
_NAME = re.compile(r"([0-9a-f]{24})-([0-9]+)-([0-9]+)-([0-9a-f]{24})\.state")


class KeptStates:
    """The states of one pass over one dataset.

    Args:
      folder: Where they are; None keeps none.
      source: The dataset, all of its row counts known.
      work: What is done with it.

    Raises:
      VrError: if the folder cannot be used.
    """

    def __init__(self, folder: Path | None, source: Source, work: Work[Any]):
        marks = [] if folder is None else source.marks()
        self._groups = source.group_rows or []
        # What cannot be told from its successor is not kept; neither is what was never a file.
        self._folder = folder if marks and all(changed is not None for *_, changed in marks) else None
        now = time.time_ns()
        # Written to once more, such a file could look as it does now.
        self._unsettled = {i for i, (*_, changed) in enumerate(marks) if changed is None or changed > now - _SETTLED_NS}
        self._now = [_mark(*mark) for mark in marks]
        self._lasting = [[_absolute(path), *now] for (path, *_), now in zip(marks, self._now, strict=True)]
        self._marks = marks
        # It takes as long as a small dataset's pass, and is asked for only where something is kept.
        self._work = (
            "" if self._folder is None else _short([work.digest, source.format, *source.types_of(work.columns)])
        )
        self._known: dict[int, dict[int, set[str]]] = defaultdict(lambda: defaultdict(set))
        if self._folder is not None:
            with _written(self._folder):
                self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
                names = os.listdir(self._folder)
            for work_digest, start, rows, inputs in (m.groups() for m in map(_NAME.fullmatch, names) if m):
                if work_digest == self._work:
                    self._known[int(start)][int(rows)].add(inputs)

    def run_from(self, file: int, row_start: int) -> int:
        """Returns before which file a partition of whole files ends that begins with `file` and whose state is kept."""
        rows, longest, known = 0, file, self._known.get(row_start)
        parts: list[Part] = []
        for stop in range(file, len(self._groups) if known else file):
            assert known is not None
            if more := sum(self._groups[stop]):
                rows += more
                parts.append(Part(stop, None, more))
                if rows in known and self._inputs(parts) in known[rows]:
                    longest = stop + 1
            if rows > max(known):
                break
        return longest

    def __contains__(self, partition: Partition) -> bool:
        """Whether a state seems to be there; it may turn out damaged."""
        return self._inputs(partition.parts) in self._known.get(partition.row_start, {}).get(partition.rows, ())

    def load(self, partition: Partition, work: Work[State]) -> State | None:
        """Returns a partition's state, None where it is not there, damaged, or of a sample that leaves out more.

        The last is so where files were removed: those of the longer dataset kept fewer rows than the shorter one needs.
        """
        if self._folder is None or partition not in self:
            return None
        path = self._path(partition)
        try:
            state = work.unpack(path.read_bytes())
        except (OSError, ValueError):
            return None
        if work.bound_of(state) < work.bound:
            return None
        # When it was last of use, for `trim`.
        with suppress(OSError):
            os.utime(path)
        return state

    def save(self, partition: Partition, content: Callable[[], bytes]) -> None:
        """Keeps a partition's state: whole or not at all, whatever happens to this process.

        Nothing is kept of a file that was written to just before it was read.

        Args:
          partition: Of the dataset.
          content: Gives the packed state, where it is kept.

        Raises:
          DataError: if its files were written to meanwhile.
          VrError: if the disk is full, or refuses.
        """
        if self._folder is None:
            return
        for part in partition.parts:
            path = self._marks[part.file][0]
            # The time first: it is an error where the file is gone.
            changed = None if is_remote(path) else changed_ns(path)
            if not is_remote(path) and _mark(path, os.path.getsize(local_path(path)), changed) != self._now[part.file]:
                raise DataError("was written to while it was read", where=path, hint="run it again")
        if any(part.file in self._unsettled for part in partition.parts):
            return
        path = self._path(partition)
        with _written(self._folder):
            # A name that no process on another machine takes, and a file that its owner alone may read.
            handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=self._folder)
            os.close(handle)
            temporary = Path(name)
            try:
                write_synced(temporary, content())
                os.replace(temporary, path)
            except BaseException:
                temporary.unlink(missing_ok=True)
                raise

    def _path(self, partition: Partition) -> Path:
        assert self._folder is not None
        inputs = self._inputs(partition.parts)
        return self._folder / f"{self._work}-{partition.row_start}-{partition.rows}-{inputs}.state"

    def _inputs(self, parts: list[Part] | tuple[Part, ...]) -> str:
        return _short([[self._lasting[part.file], part.groups, part.rows] for part in parts])


def marks_of(source: Source) -> list[list[Any]] | None:
    """Returns what tells a dataset's files from themselves after they were written to, None where nothing does.

    Raises:
      DataError: if a file is not there any more.
    """
    marks = source.marks()
    latest = time.time_ns() - _SETTLED_NS
    if not marks or any(changed is None or changed > latest for *_, changed in marks):
        return None
    return [[_absolute(path), *_mark(path, size, changed)] for path, size, changed in marks]


def trim(folder: Path, most_bytes: int) -> None:
    """Removes the states that were of no use for longest, until no more than `most_bytes` are left.

    What a process left that was killed while it wrote goes after a day.
    """
    found = []
    for path in folder.glob("*.state"):
        with suppress(OSError):
            told = path.stat()
            found.append((told.st_mtime_ns, told.st_size, path))
    for path in folder.glob(".*.state.*"):
        with suppress(OSError):
            if path.stat().st_mtime < time.time() - _ABANDONED_S:
                path.unlink()
    left = sum(size for _, size, _ in found)
    for _, size, path in sorted(found):
        if left <= most_bytes:
            return
        path.unlink(missing_ok=True)
        left -= size


def _mark(path: str, size: int, changed: int | None) -> list[int | None]:
    """Returns what tells a file from itself after it was written to, also where its time of change was set back."""
    if is_remote(path):
        return [size, changed]
    try:
        told = os.stat(local_path(path))
    except OSError as err:
        raise DataError("cannot be read any more", where=path, hint="it was there when it was opened") from err
    return [size, changed, told.st_ctime_ns, told.st_ino]


def _absolute(path: str) -> str:
    local = local_path(path)
    return local if "://" in local else os.path.abspath(local)


def _short(what: Any) -> str:
    return hashlib.sha256(json.dumps(what).encode()).hexdigest()[:24]


@contextmanager
def _written(folder: Path) -> Iterator[None]:
    try:
        yield
    except OSError as err:
        hint = "make room there, or give another folder"
        raise VrError(f"cannot keep what was profiled ({err.strerror or err})", where=str(folder), hint=hint) from err
