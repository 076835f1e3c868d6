"""Time and peak memory of each stage, for the report's `run` section."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from vr.core.memory import peak_bytes

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
        seconds = round(time.perf_counter() - begun, 3)
        self.stages.append({"stage": name, "seconds": seconds, "peak_memory_bytes": peak_bytes()})

    @property
    def seconds(self) -> float:
        """Seconds since the stopwatch was made."""
        return round(time.perf_counter() - self._start, 3)
