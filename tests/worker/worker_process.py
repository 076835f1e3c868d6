"""Workers as processes of their own, small datasets, and jobs that take a moment or for ever."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from vr.worker.testing import ReferenceOrchestrator

ROOT = Path(__file__).resolve().parents[2]
LONGEST_S = 240.0
# Four small models, kept after every segment; and the same that nobody will wait for.
TRAINING = (
    "cascade.network=mlp",
    "cascade.tiers=[{name:one,seeds:2,width:8,depth:1,steps:400}]",
    "cascade.threads=1",
    "cascade.checkpoint_seconds=0",
    "cascade.progress_seconds=0",
)
ENDLESS = (TRAINING[0], TRAINING[1].replace("seeds:2", "seeds:300").replace("400", "4000"), *TRAINING[2:])


def write_data(folder: Path, rows: int = 300) -> None:
    """Writes reference.parquet and fresh.parquet."""
    for number, name in enumerate(("reference", "fresh")):
        x = np.random.default_rng(number).standard_normal((rows, 3))
        x[:, 1] += x[:, 0]
        pq.write_table(pa.table({name: x[:, i] for i, name in enumerate("abc")}), folder / f"{name}.parquet")


class Worker:
    """A `vr worker` that runs.

    Args:
      orchestrator: Whom it takes jobs from.
      folder: Its own.
      words: More settings.
      environment: More of it.
    """

    def __init__(self, orchestrator: ReferenceOrchestrator, folder: Path, *words: str, **environment: str):
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._log: IO[bytes] = (folder / "log").open("ab")
        self.process = subprocess.Popen(
            [
                *(sys.executable, "-m", "vr", "worker"),
                *(f"worker.orchestrator={orchestrator.target}", f"worker.folder={folder}"),
                *("worker.threads=1", "worker.progress_s=0.1", *words),
            ],
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            cwd=ROOT,
            env=os.environ | environment,
        )

    def __enter__(self) -> "Worker":
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def line(self) -> str:
        """Returns the next line that it prints."""
        assert self.process.stdout is not None
        return self.process.stdout.readline()

    def log(self) -> str:
        """Returns what it logged."""
        return (self.folder / "log").read_text()

    def child(self) -> int | None:
        """Returns the process number of its child."""
        return next(children_of(self.process.pid), None)

    def terminate(self) -> None:
        """Asks it to stop."""
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it at once, as the system does."""
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        self._log.close()


def children_of(pid: int) -> Iterator[int]:
    """Yields the process numbers of a process's children."""
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError):
            if int(path.read_text().rpartition(")")[2].split()[1]) == pid:
                yield int(path.parent.name)


def kill(pid: int | None) -> None:
    """Kills a process, if it is there."""
    with contextlib.suppress(ProcessLookupError):
        if pid is not None:
            os.kill(pid, signal.SIGKILL)


def is_alive(pid: int) -> bool:
    """Returns whether a process runs."""
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(holds: Callable[[], object], seconds: float = LONGEST_S) -> None:
    """Returns when something holds.

    Raises:
      TimeoutError: if it never does.
    """
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.02)


def trains(orchestrator: ReferenceOrchestrator, job_id: str) -> bool:
    """Returns whether a job is in the middle of its training."""
    progress = orchestrator.ledger.progress(job_id)
    return progress is not None and progress.stage == "cascade" and progress.done > 0
