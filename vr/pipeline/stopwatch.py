"""Time and peak memory of each stage, for the report's `run` section."""

import resource
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["Stopwatch"]


class Stopwatch:
    """Gathers seconds and the process's peak memory by stage."""

    def __init__(self) -> None:
        self.stages: list[dict[str, Any]] = []
        self._start = time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Times one stage; peak memory is the process's so far, which only ever rises."""
        begun = time.perf_counter()
        yield
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
        self.stages.append(
            {"stage": name, "seconds": round(time.perf_counter() - begun, 3), "peak_memory_bytes": int(peak)}
        )

    @property
    def seconds(self) -> float:
        """Seconds since the stopwatch was made."""
        return round(time.perf_counter() - self._start, 3)
