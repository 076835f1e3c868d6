"""Several processes, on one host or on many, that train one cascade together: who they are, and when they stop.

Nothing here imports jax before `join` does, and without it every function answers for a single process.
"""

import itertools
import os
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from vr.core.errors import ConfigError, PeerLostError

__all__ = [
    "COORDINATOR",
    "HEARTBEAT_SECONDS",
    "PROCESS",
    "PROCESSES",
    "Hosts",
    "asked_to_stop",
    "count",
    "is_first",
    "join",
    "leave",
    "meet",
    "number",
    "peers_watched",
    "several",
]

COORDINATOR, PROCESSES, PROCESS = "VR_COORDINATOR", "VR_PROCESSES", "VR_PROCESS"
HEARTBEAT_SECONDS = "VR_HEARTBEAT_SECONDS"
_LEAST_HEARTBEAT_S, _MOST_HEARTBEAT_S = 5, 600
_SHUTDOWN_S = 60
_LEAVE_S = 2.0
# How XLA's runtimes begin the text of what went wrong between processes; a CPU's raises it as a ValueError.
_STATUSES = ("ABORTED", "CANCELLED", "DEADLINE_EXCEEDED", "INTERNAL", "UNAVAILABLE", "UNKNOWN", "FAILED_PRECONDITION")


@dataclass(frozen=True)
class Hosts:
    """The place of this process among those that train together.

    Attributes:
      coordinator: Address and port of process 0, as the others reach it.
      processes: How many there are, 1 or more.
      process: The number of this one, from 0.
      heartbeat_seconds: After so long without a word a process is taken for dead, and the others end; 5 to 600.

    Raises:
      ConfigError: if one of them is out of range.
    """

    coordinator: str
    processes: int
    process: int
    heartbeat_seconds: int = 30

    def __post_init__(self) -> None:
        address, _, port = self.coordinator.rpartition(":")
        if not address or not port.isdecimal() or not 0 < int(port) < 65_536:
            raise ConfigError(f"{self.coordinator!r} is not ADDRESS:PORT", where=COORDINATOR)
        if self.processes < 1:
            raise ConfigError(f"must be 1 or more, not {self.processes}", where=PROCESSES)
        if not 0 <= self.process < self.processes:
            raise ConfigError(f"must lie in 0 to {self.processes - 1}, not {self.process}", where=PROCESS)
        if not _LEAST_HEARTBEAT_S <= self.heartbeat_seconds <= _MOST_HEARTBEAT_S:
            raise ConfigError(
                f"must lie in {_LEAST_HEARTBEAT_S} to {_MOST_HEARTBEAT_S}, not {self.heartbeat_seconds}",
                where=HEARTBEAT_SECONDS,
            )

    @classmethod
    def of(cls, environment: Mapping[str, str]) -> "Hosts | None":
        """Returns what VR_COORDINATOR, VR_PROCESSES and VR_PROCESS say; None where there are none, or one process.

        Raises:
          ConfigError: if some of the three are missing, or one is no number or out of range.
        """
        given = {name: environment[name] for name in (COORDINATOR, PROCESSES, PROCESS) if environment.get(name)}
        if not given:
            return None
        if missing := [name for name in (COORDINATOR, PROCESSES, PROCESS) if name not in given]:
            raise ConfigError(
                f"not set, where {' and '.join(given)} {'is' if len(given) == 1 else 'are'}",
                where=" and ".join(missing),
                hint="set all three, or none",
            )
        seconds = (
            {"heartbeat_seconds": _number(environment, HEARTBEAT_SECONDS)} if environment.get(HEARTBEAT_SECONDS) else {}
        )
        found = cls(given[COORDINATOR], _number(given, PROCESSES), _number(given, PROCESS), **seconds)
        return found if found.processes > 1 else None

    def environment(self) -> dict[str, str]:
        """Returns the variables that say this."""
        return {
            COORDINATOR: self.coordinator,
            PROCESSES: str(self.processes),
            PROCESS: str(self.process),
            HEARTBEAT_SECONDS: str(self.heartbeat_seconds),
        }


def _number(environment: Mapping[str, str], name: str) -> int:
    try:
        return int(environment[name])
    except ValueError as err:
        raise ConfigError(f"{environment[name]!r} is not a whole number", where=name) from err


_joined: Hosts | None = None
_polls = itertools.count()


def join(hosts: Hosts | None) -> None:
    """Makes this process one of several, before jax has looked for devices; waits until all of them are there.

    From here on SIGTERM ends nothing by itself: `asked_to_stop` tells of it. Leave `http_proxy` and its like unset: a
    proxy may keep processes from each other.

    Args:
      hosts: Its place; None changes nothing. Twice the same is once.

    Raises:
      ConfigError: if jax has been used already, or this process has joined others.
      PeerLostError: if not all of them came.
    """
    global _joined
    if hosts is None or hosts == _joined:
        return
    if _joined is not None:
        raise ConfigError("this process has joined others already", where=COORDINATOR)
    import jax

    # What a CPU has for sums over processes; other devices have their own and do not look.
    jax.config.update("jax_cpu_collectives_implementation", "gloo")
    try:
        jax.distributed.initialize(
            hosts.coordinator,
            hosts.processes,
            hosts.process,
            # Nothing is guessed from a scheduler's variables.
            cluster_detection_method="deactivate",
            heartbeat_timeout_seconds=hosts.heartbeat_seconds,
            # A process that fails alone must not wait long for those that wait for it; process 0 may have a tracker to
            # finish, after the others are done.
            shutdown_timeout_seconds=_SHUTDOWN_S,
        )
    except jax.errors.JaxRuntimeError as err:
        raise PeerLostError(
            f"not all {hosts.processes} processes came ({_first_line(err)})", where=COORDINATOR
        ) from err
    except RuntimeError as err:
        raise ConfigError(f"cannot be joined any more ({_first_line(err)})", where=COORDINATOR) from err
    _joined = hosts
    # A CPU's processes find each other at the first sum, and wait no more than half a minute there: so now.
    meet()


def several() -> bool:
    """Whether this process has joined others."""
    return _joined is not None


def count() -> int:
    """Returns how many processes train together."""
    return 1 if _joined is None else _joined.processes


def number() -> int:
    """Returns the number of this process, from 0."""
    return 0 if _joined is None else _joined.process


def is_first() -> bool:
    """Whether this is process 0, or the only one."""
    return number() == 0


def meet() -> None:
    """Waits until every process has come here.

    Raises:
      PeerLostError: where one does not come any more.
    """
    if several():
        from jax.experimental import multihost_utils

        with peers_watched():
            multihost_utils.sync_global_devices("vr")


def asked_to_stop() -> bool:
    """Whether any process got SIGTERM and this call is the one, the same on all, after which they stop.

    Every process calls it equally often. False where there is one process only, which SIGTERM ends as ctrl-C does.
    """
    if not several():
        return False
    from jax.experimental import multihost_utils

    return multihost_utils.reached_preemption_sync_point(next(_polls))


def leave(code: int) -> None:
    """Ends this process with an exit code other than 0, at once, where it is one of several; else does nothing.

    As it ends by itself it would wait for the others, which may be compiling for minutes, and then abort for having
    waited too long: who watches it would take that for the loss of a peer and start it again.
    """
    if several() and code:
        sys.stdout.flush()
        sys.stderr.flush()
        if is_first():
            # What they talk through ends with it: those that were told the same have this long to say so.
            time.sleep(_LEAVE_S)
        os._exit(code)


@contextmanager
def peers_watched() -> Iterator[None]:
    """Says of what goes wrong in a program of several processes that a peer may be lost; starting again may help.

    Raises:
      PeerLostError: where a runtime's error ends the block; not for what is out of memory.
    """
    try:
        yield
    except (RuntimeError, ValueError) as err:
        text = _first_line(err)
        if not several() or not text.startswith(_STATUSES):
            raise
        raise PeerLostError(
            f"a program over {count()} processes failed, so one of them may be lost ({text})",
            hint="start all of them again: they go on from the last checkpoint",
        ) from err


def _first_line(err: Exception) -> str:
    return str(err).strip().partition("\n")[0][:300]
