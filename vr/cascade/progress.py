"""How far a cascade is and how fast it goes: what the training tells, made into one stream of few events.

Loads no jax, so that whoever shows an event needs none.
"""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

__all__ = ["Advance", "MemoryUse", "Meter", "Progress"]


class MemoryUse(NamedTuple):
    """Bytes in use: of the fullest device where devices say, else of this process; None with the reason."""

    bytes: int | None
    of: str | None = None
    reason: str | None = None


class Advance(NamedTuple):
    """How far a job is: after a segment that was trained, or, with the first two alone, where it begins.

    Attributes:
      job: Which; None where all jobs train at once.
      segments: How many of it are done, those of an earlier run included.
      loss: On held-out real rows, the mean over jobs; NaN where they diverged.
      seconds: That the segment took, what was drawn for it included, and of these
      waited: those that its thread spent in the program, waiting for the device.
    """

    job: str | None
    segments: int
    loss: float = float("nan")
    seconds: float | None = None
    waited: float = 0.0


@dataclass(frozen=True)
class Progress:
    """How far the cascade is.

    Attributes:
      done: Models trained over all tiers; one under way counts by the share of its steps.
      total: Models of all tiers.
      message: For a person.
      values: Numbers for a tracker, by name.
      tier: Which is trained now.
      member: The seed and arm whose segment this is; None in stacked form, where all of a tier's train at once.
      step: Optimiser steps that it has taken, of `steps`.
      steps: None where the event is not of a step, as at a tier's end.
      loss: Its mean loss on held-out real rows in nats; None where it diverged.
      rows_per_second: Rows that the tier's members have trained on, over the time since its training began.
      eta_seconds: Until all of this tier's members are trained, at that pace; larger tiers after it have their own.
      memory: Bytes in use now.
      busy: Share of the training threads' time in which they waited for the device, 0 to 1; in the rest they drew
        batches or kept states. It says nothing of how much of the device a program uses.
    """

    done: float
    total: int
    message: str
    values: dict[str, Any] = field(default_factory=dict)
    tier: str = ""
    member: str | None = None
    step: int | None = None
    steps: int | None = None
    loss: float | None = None
    rows_per_second: float | None = None
    eta_seconds: float | None = None
    memory: MemoryUse | None = None
    busy: float | None = None


class Meter:
    """Counts what the training of a cascade tells, from any thread, and passes on few events of it.

    At most one event in `seconds`, but always the first of each tier and the last.

    Args:
      tell: Told of each event, one at a time.
      total: Models of all tiers.
      seconds: Between two events; 0 passes on every segment.
      memory: Asked for the memory in use at each event that is passed on.
      clock: Seconds that only grow.
    """

    def __init__(
        self,
        tell: Callable[[Progress], None],
        total: int,
        seconds: float,
        memory: Callable[[], MemoryUse] = lambda: MemoryUse(None, reason="nobody was asked"),
        clock: Callable[[], float] = time.monotonic,
    ):
        self._tell, self._total, self._seconds, self._memory, self._clock = tell, total, seconds, memory, clock
        self._lock, self._last, self._before, self._models = threading.Lock(), float("-inf"), 0, 0
        self._done: dict[str | None, float] = {}

    def begin(self, tier: str, models: int, steps: int, batch_rows: int, segments: int) -> None:
        """Begins a tier of so many models, each of `steps` in `segments`."""
        with self._lock:
            self._tier, self._models, self._steps = tier, models, steps
            self._rows, self._segments = batch_rows, segments
            self._done, self._trained, self._begun, self._took, self._waited = {}, 0, None, 0.0, 0.0
            self._last = float("-inf")

    def trained(self, name: str) -> None:
        """Takes note of a model that is trained, now or before."""
        with self._lock:
            self._done[name] = 1.0
            if self._is_due():
                self._pass_on(f"{self._tier}: {name}, trained", member=name)

    def advanced(self, advance: Advance) -> None:
        """Takes note of a segment, or of where a job begins."""
        with self._lock:
            now, jobs = self._clock(), self._models if advance.job is None else 1
            self._done[advance.job] = jobs * advance.segments / self._segments
            if advance.seconds is None:
                return
            if self._begun is None:
                self._begun = now - advance.seconds
            self._trained += jobs
            self._took, self._waited = self._took + advance.seconds, self._waited + advance.waited
            if self._is_due():
                self._pass_on_segment(advance, now)

    def end(self, values: dict[str, Any]) -> None:
        """Ends the tier with numbers for a tracker."""
        with self._lock:
            self._before, self._done = self._before + self._models, {}
            self._pass_on(f"{self._tier}: done", values)

    def _is_due(self) -> bool:
        return self._clock() - self._last >= self._seconds

    def _pass_on(self, message: str, values: dict[str, Any] | None = None, **what: Any) -> None:
        self._last = self._clock()
        self._tell(Progress(self._before + self._here(), self._total, message, values or {}, self._tier, **what))

    def _here(self) -> float:
        """Returns the models of this tier that are trained, by their segments."""
        # Where a stacked training's segments are counted, its models' names say nothing new.
        return self._done[None] if None in self._done else sum(self._done.values())

    def _pass_on_segment(self, advance: Advance, now: float) -> None:
        assert self._begun is not None
        wall = max(now - self._begun, 1e-9)
        size = self._steps // self._segments
        left = self._models - self._here()
        what = {
            "step": advance.segments * size,
            "steps": self._steps,
            "loss": advance.loss if advance.loss == advance.loss else None,
            "rows_per_second": self._trained * size * self._rows / wall,
            "eta_seconds": left * self._segments * wall / self._trained,
            "busy": self._waited / self._took if self._took > 0 else None,
        }
        memory = self._memory()
        numbers = what | {"memory_bytes": memory.bytes}
        self._pass_on(
            _said(self._tier, advance.job or f"{self._models} models", what),
            {f"cascade/{self._tier}/{name}": value for name, value in numbers.items() if value is not None},
            member=advance.job,
            memory=memory,
            **what,
        )


def _said(tier: str, who: str, what: dict[str, Any]) -> str:
    """Returns the message, what matters most first: a narrow terminal cuts its end off."""
    loss = "" if what["loss"] is None else f", loss {what['loss']:.3f}"
    step = f"step {what['step']:,} of {what['steps']:,}"
    return f"{tier}: {_duration(what['eta_seconds'])} left, {step}{loss}, {what['rows_per_second']:,.0f} rows/s; {who}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"
