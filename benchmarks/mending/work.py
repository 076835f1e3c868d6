"""Pieces of work in two processes, each kept as one JSON file; what is there is not done again."""

import json
import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from multiprocessing import get_context
from pathlib import Path
from typing import Any

__all__ = ["done", "run_all"]

# As for the study: one worker a core, libraries without threads of their own.
_ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "NPROC": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
}


def done(folder: Path, names: Sequence[str]) -> dict[str, Any]:
    """Returns the results that are there, by name, in the order of `names`."""
    return {name: json.loads(_path(folder, name).read_text()) for name in names if _path(folder, name).exists()}


def run_all(folder: Path, names: Sequence[str], task: Callable[[str], Any], workers: int, minutes: float) -> None:
    """Runs `task(name)`, JSON-able, of every name without a result, the first ones first.

    Args:
      folder: Where results are kept.
      names: Unique.
      task: Of a module's top level; what it raises is printed, and its piece left for another run.
      workers: Processes.
      minutes: After which no piece is begun.
    """
    folder.mkdir(parents=True, exist_ok=True)
    pending = [name for name in names if not _path(folder, name).exists()]
    print(f"{folder.name}: {len(names) - len(pending)} of {len(names)} are there", flush=True)
    # Before the workers start, as libraries read it when they load.
    os.environ |= _ONE_THREAD
    begun = time.monotonic()
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn")) as pool:
        futures = {pool.submit(_one, folder, name, task, begun + 60 * minutes): name for name in pending}
        for future in as_completed(futures):
            print(f"{folder.name}: {futures[future]}: {future.result()}", flush=True)


def _one(folder: Path, name: str, task: Callable[[str], Any], end: float) -> str:
    import warnings

    warnings.filterwarnings("ignore")
    # The clock of all processes of a machine.
    if time.monotonic() > end:
        return "left for another run"
    begun = time.perf_counter()
    try:
        result = task(name)
    except Exception as error:  # noqa: BLE001 - one piece must not end the others
        return f"failed: {type(error).__name__}: {error}"
    seconds = round(time.perf_counter() - begun, 2)
    path = _path(folder, name)
    part = path.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps({"seconds": seconds, **result}))
    part.replace(path)
    return f"{seconds:.0f} s"


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name.replace('/', '_')}.json"
