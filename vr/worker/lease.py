"""A lease as its holder counts it: by a clock that nobody sets, and never longer than the orchestrator does."""

import time
from collections.abc import Callable

__all__ = ["Lease", "now"]

# Linux's monotonic clock stands while a machine is suspended; this one goes on.
_CLOCK = getattr(time, "CLOCK_BOOTTIME", None)


def now() -> float:
    """Returns seconds of a clock that no time server moves and that a suspended machine does not stop."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)


class Lease:
    """One lease.

    Args:
      seconds: Its length.
      asked: When the question was sent that it answered, by `clock`: the orchestrator counts from later on.
      clock: Seconds that only rise.
    """

    def __init__(self, seconds: float, asked: float, clock: Callable[[], float] = now):
        self._clock = clock
        self._seconds, self._until = seconds, asked + seconds

    @property
    def beat_s(self) -> float:
        """Longest time between two heartbeats."""
        return self._seconds / 3

    @property
    def overdue_s(self) -> float:
        """Seconds since it ran out; 0 while it runs."""
        return max(0.0, self._clock() - self._until)

    def renew(self, seconds: float, asked: float) -> None:
        """Takes an answer's word; one that was overtaken by a later one shortens nothing."""
        self._seconds = seconds
        self._until = max(self._until, asked + seconds)
