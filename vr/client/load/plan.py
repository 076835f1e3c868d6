"""How much load, for how long, and when that is enough; every bound is checked before anything is sent."""

import math
import re
from dataclasses import dataclass

from vr.core.errors import ConfigError

__all__ = ["Level", "Plan", "levels_of"]

_MOST_CLIENTS, _MOST_RATE, _MOST_SECONDS, _MOST_REQUESTS = 1_024, 10_000.0, 86_400.0, 1_000_000
_RATE = re.compile(r"(\d+(?:\.\d+)?)(x?)")


@dataclass(frozen=True)
class Level:
    """One load.

    Attributes:
      clients: Of a closed loop: so many ask, each its next question when its last one is answered; 0: an open loop.
      rate: Of an open loop: questions a second, whatever becomes of them.
      times_best: Of an open loop: `rate` times the best goodput of the levels before it.
    """

    clients: int = 0
    rate: float = 0.0
    times_best: bool = False

    def __str__(self) -> str:
        if self.clients:
            return f"{self.clients} client{'s' if self.clients > 1 else ''}"
        return f"{self.rate:g}{' times the best' if self.times_best else ' a second'}"


@dataclass(frozen=True)
class Plan:
    """A load test.

    Attributes:
      levels: One after the other.
      warm_up_s: Of each level, which no figure counts.
      level_s: Longest time of a level, its warm-up included.
      requests: At most, of all levels together.
      window_s: Least length of a window.
      window_requests: Least answers of a window.
      stable: How many windows in a row have to agree, so that a level is over.
      tolerance: How far each of them may lie from their mean, as a share of it, in goodput and in median latency.
      timeout_s: Deadline of a question.
      goal_s: An answer later than this is no good one; None: any is.
      most_in_flight: Questions of an open loop under way; what is due beyond that is not sent, and counted.
      health_s: Between two looks at the server's health.
      seed: Of the arrivals of an open loop.

    Raises:
      ConfigError: for one that is out of range.
    """

    levels: tuple[Level, ...] = (Level(clients=4),)
    warm_up_s: float = 5.0
    level_s: float = 60.0
    requests: int = 2_000
    window_s: float = 5.0
    window_requests: int = 20
    stable: int = 3
    tolerance: float = 0.1
    timeout_s: float = 60.0
    goal_s: float | None = None
    most_in_flight: int = 512
    health_s: float = 0.05
    seed: int = 0

    def __post_init__(self) -> None:
        for name, low, high in (
            ("warm_up_s", 0.0, _MOST_SECONDS),
            ("level_s", 0.1, _MOST_SECONDS),
            ("requests", 1, _MOST_REQUESTS),
            ("window_s", 0.05, _MOST_SECONDS),
            ("window_requests", 1, _MOST_REQUESTS),
            ("stable", 2, 100),
            ("tolerance", 0.001, 1.0),
            ("timeout_s", 0.01, _MOST_SECONDS),
            ("most_in_flight", 1, 10_000),
            ("health_s", 0.001, 60.0),
        ):
            _within(name, getattr(self, name), low, high)
        if self.goal_s is not None:
            _within("goal_s", self.goal_s, 0.0001, _MOST_SECONDS)
        if not self.levels or len(self.levels) > 32:
            raise ConfigError("give 1 to 32 levels", where="--clients and --rate")
        if self.levels[0].times_best:
            raise ConfigError(
                "there is no level before it", where=f"--rate {self.levels[0]}", hint="give --clients too"
            )
        for level in self.levels:
            if level.clients:
                _within("clients", level.clients, 1, _MOST_CLIENTS)
            else:
                _within("rate", level.rate, 0.001, _MOST_RATE)


def levels_of(clients: str | None, rates: str | None) -> tuple[Level, ...]:
    """Returns the levels that a command line names: closed loops first.

    Args:
      clients: Such as `1,2,4`.
      rates: Such as `10,2x`, where `2x` is twice the best goodput of what came before.

    Raises:
      ConfigError: for what is no such list.
    """
    levels = []
    for word in clients.split(",") if clients else ():
        if not word.isdecimal() or not int(word):
            raise ConfigError(f"{word!r} is no number of clients", where="--clients", hint="as in 1,2,4")
        levels.append(Level(clients=int(word)))
    for word in rates.split(",") if rates else ():
        found = _RATE.fullmatch(word)
        if found is None:
            raise ConfigError(f"{word!r} is no rate", where="--rate", hint="as in 5,10,2x")
        levels.append(Level(rate=float(found[1]), times_best=bool(found[2])))
    return tuple(levels)


def _within(name: str, value: float, low: float, high: float) -> None:
    if not (math.isfinite(value) and low <= value <= high):
        raise ConfigError(f"must lie in {low:g} to {high:g}, not {value:g}", where=name)
