"""What processes hold, sampled from /proc while they run, and what of it grows."""

import os
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.slopes import common_slope

__all__ = ["KINDS", "Sampler", "judged", "plant"]

# What may be there more in an hour before it counts as a leak: in 20 minutes a third of it, which is what an allocator,
# and one connection or file under way, move by themselves.
KINDS = {"memory_mib": 30.0, "descriptors": 6.0, "threads": 6.0, "files": 6.0}
_PAGE = os.sysconf("SC_PAGE_SIZE")
# Run by Python itself before the program: the leak is one of the very process, whatever it imports later.
_LEAK = """
import os, sys, tempfile, threading, time
if any(word in sys.orig_argv for word in {words!r}):
    held = []
    def leak():
        while True:
            {act}
            time.sleep({every_s})
    threading.Thread(target=leak, daemon=True).start()
"""
_ACTS = {
    "memory": 'held.append(b"x" * 1048576)',
    "descriptors": "held.append(os.open(os.devnull, os.O_RDONLY))",
    "threads": "threading.Thread(target=time.sleep, args=(86400,), daemon=True).start()",
    "files": "os.close(tempfile.mkstemp()[0])",
}


@dataclass
class _Series:
    """Samples of one process."""

    at: list[float] = field(default_factory=list)
    values: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})


class Sampler:
    """Looks at processes again and again, in a thread of its own; use it in a `with`.

    Args:
      roles: Returns now's process numbers by role; a number that is new is another process.
      folders: By role, where its temporary files are.
      every_s: Between two looks.
    """

    def __init__(
        self, roles: Callable[[], Mapping[str, Iterable[int]]], folders: Mapping[str, Path], every_s: float = 2.0
    ):
        self._roles, self._folders, self._every_s = roles, folders, every_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self.series: dict[tuple[str, int], _Series] = {}

    def __enter__(self) -> "Sampler":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.wait(self._every_s):
            for role, pids in self._roles().items():
                for pid in pids:
                    self._look(role, pid)

    def _look(self, role: str, pid: int) -> None:
        folder = Path(f"/proc/{pid}")
        try:
            memory = int((folder / "statm").read_text().split()[1]) * _PAGE / 2**20
            descriptors = len(os.listdir(folder / "fd"))
            threads = int((folder / "stat").read_text().rpartition(")")[2].split()[17])
        except (OSError, IndexError, ValueError):
            # It has ended since it was named.
            return
        found = self.series.setdefault((role, pid), _Series())
        found.at.append(time.monotonic())
        files = _files(self._folders[role]) if role in self._folders else 0
        for kind, value in zip(KINDS, (memory, descriptors, threads, files), strict=True):
            found.values[kind].append(float(value))


def judged(sampler: Sampler, settle_s: float) -> dict[str, Any]:
    """Returns for every role and kind the slope with its interval, and whether that is a leak.

    A leak is a slope whose interval lies wholly above the tolerance of `KINDS`.

    Args:
      sampler: What it saw.
      settle_s: Of each process, seconds that do not count: caches fill, modules are imported.

    Returns:
      {role: {kind: {"per_hour", "low", "high", "first", "last", "tolerance", "leaks", ...}}}; `leaks` is None where
      there were too few samples.
    """
    found: dict[str, Any] = {}
    for role in sorted({role for role, _ in sampler.series}):
        found[role] = {}
        for kind, tolerance in KINDS.items():
            series = []
            for (name, _), each in sampler.series.items():
                at, values = np.array(each.at), np.array(each.values[kind])
                keep = at - at[0] >= settle_s
                if name == role and keep.any():
                    series.append((at[keep], values[keep]))
            slope = common_slope(series)
            told = {"tolerance": tolerance, "leaks": None if slope is None else bool(slope.low > tolerance)}
            if slope is not None:
                ends = {"first": float(series[0][1][0]), "last": float(series[-1][1][-1])}
                told |= {**ends, **{name: _rounded(value) for name, value in asdict(slope).items()}}
            found[role][kind] = told
    return found


def plant(folder: Path, what: str, words: Iterable[str], every_s: float) -> dict[str, str]:
    """Returns the environment in which a Python process whose command has one of `words` leaks.

    Args:
      folder: Where what makes it leak is written.
      what: `memory` (1 MiB each time), `descriptors`, `threads` or `files`.
      words: Of the command line.
      every_s: Between two leaks.
    """
    folder.mkdir(parents=True, exist_ok=True)
    text = _LEAK.format(words=list(words), act=_ACTS[what], every_s=every_s)
    (folder / "sitecustomize.py").write_text(text)
    return {"PYTHONPATH": f"{folder}{os.pathsep}{os.environ.get('PYTHONPATH', '')}".rstrip(os.pathsep)}


def _files(folder: Path) -> int:
    return sum(len(files) for _, _, files in os.walk(folder))


def _rounded(value: float) -> float:
    return round(value, 3)
