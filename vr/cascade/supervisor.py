"""Starts the processes of one host, says which of them died and why, and starts all of them again. Imports no jax.

A process whose peer is gone is ended by jax within the heartbeat timeout without a last word: neither `finally` nor
`atexit` runs. So whoever watches is another process.
"""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from vr.cascade.hosts import Hosts
from vr.core.errors import ConfigError, PeerLostError

__all__ = ["Supervision", "supervise"]

_LAST_LINES = 60  # of a process's stderr, kept to say why it ended
_POLL_S = 0.1
_SETTLE_S = 1.0  # after a death: others of the same cause are seen with it
# XLA's words for whom it missed. Of process 0, which has the service, the others only say that it does not answer.
_MISSED = re.compile(r"stopped sending heartbeats\):\s*(?:\S*task:)?(\d+)|[Tt]ask (\d+) heartbeat timeout")
_MISSED_FIRST = re.compile(r"coordination service\. Either the leader|CoordinationService/(Heartbeat|PollForError)")


@dataclass(frozen=True)
class Supervision:
    """What a supervisor does.

    Attributes:
      command: Run once for each process, with the environment that `Hosts.of` reads.
      processes: How many on this host.
      first_process: The number of the first of them.
      all_processes: On all hosts together; None: those of this one.
      coordinator: Address and port of process 0; None, where all are here: a free port of this host at each start.
      heartbeat_seconds: See `Hosts`.
      max_restarts: How often all of them are started again.

    Raises:
      ConfigError: if one of them is missing or out of range.
    """

    command: Sequence[str]
    processes: int
    first_process: int = 0
    all_processes: int | None = None
    coordinator: str | None = None
    heartbeat_seconds: int = 30
    max_restarts: int = 3

    def __post_init__(self) -> None:
        if not self.command:
            raise ConfigError("not given", where="command")
        for name, least in (("processes", 1), ("max_restarts", 0)):
            if getattr(self, name) < least:
                raise ConfigError(f"must be {least} or more, not {getattr(self, name)}", where=name)
        if self.coordinator is None and not self.all_here:
            raise ConfigError("not given, where processes run on several hosts", where="coordinator")
        self.places()

    @property
    def all_here(self) -> bool:
        """Whether no process runs on another host."""
        return self.all_processes in (None, self.processes)

    def places(self) -> list[Hosts]:
        """Returns those of this host's processes, for one start of them."""
        coordinator = self.coordinator or f"127.0.0.1:{_free_port()}"
        numbers = range(self.first_process, self.first_process + self.processes)
        return [Hosts(coordinator, self.all_processes or self.processes, n, self.heartbeat_seconds) for n in numbers]


def supervise(what: Supervision, say: Callable[[str], None] | None = None) -> int:
    """Runs the processes until all of them have ended well, or cannot.

    SIGTERM and SIGINT are handed on to every process as SIGTERM: those that train stop after the same segment, with a
    checkpoint, and exit with 0. A second one kills them.

    Args:
      what: The processes.
      say: Told what happens, line by line; stderr by default.

    Returns:
      0 where all ended with 0; else the exit code of the one that was the cause, and where a signal was, 128 and its
      number.
    """
    tell = say or _to_stderr
    with _handed_on() as asked:
        for restarts in range(what.max_restarts + 1):
            group: list[_Process] = []
            try:
                for place in what.places():
                    group.append(_Process(what.command, place))
                if _end_well(group, asked, what.heartbeat_seconds):
                    return 0
                cause = _cause(group)
                for process in [cause, *(each for each in group if each is not cause and each.is_over)]:
                    tell(process.story(group))
            finally:
                for process in group:
                    process.end()
            if asked or not cause.is_worth_another:
                return cause.exit_code
            if restarts < what.max_restarts:
                if not what.all_here:
                    # The processes of other hosts miss ours no sooner, and would refuse one that is back before.
                    _wait(what.heartbeat_seconds, asked)
                if asked:
                    return cause.exit_code
                tell(f"all processes are started again, {restarts + 1} of at most {what.max_restarts} times")
        tell("they are not started again")
        return cause.exit_code


class _Process:
    """One process, the last lines of its stderr, and what they say of its end."""

    def __init__(self, command: Sequence[str], place: Hosts):
        self.number, self.count = place.process, place.processes
        self.stopped_since: float | None = None
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        try:
            # In a session of its own, so that ctrl-C reaches it once, through the supervisor.
            self._child = subprocess.Popen(
                list(command),
                env={**os.environ, **place.environment()},
                stderr=subprocess.PIPE,
                text=True,
                errors="replace",
                start_new_session=True,
            )
        except OSError as err:
            raise ConfigError(f"{command[0]} cannot be started ({err.strerror or err})", where="command") from err
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._child.stderr is not None
        for line in self._child.stderr:
            self._lines.append(line.rstrip())
            sys.stderr.write(f"[{self.number}] {line}")
            sys.stderr.flush()

    @property
    def is_over(self) -> bool:
        return self._child.poll() is not None

    @property
    def stopped_for(self) -> float:
        """Seconds."""
        return 0.0 if self.stopped_since is None else time.monotonic() - self.stopped_since

    @property
    def exit_code(self) -> int:
        """As a shell says it; that of SIGSTOP for one that is stopped, 0 for one that runs."""
        if self.stopped_since is not None:
            return 128 + signal.SIGSTOP
        code = self._child.poll() or 0
        return 128 - code if code < 0 else code

    @property
    def signal(self) -> int | None:
        return self.exit_code - 128 if self.exit_code > 128 else None

    @property
    def is_victim(self) -> bool:
        """Whether it ended as one does whose peer is lost."""
        return self.signal == signal.SIGABRT or self.exit_code == PeerLostError.exit_code

    @property
    def is_worth_another(self) -> bool:
        """Whether it may end otherwise next time: it was killed or lost a peer, and nobody asked it to stop."""
        return self.is_victim or self.signal not in (None, signal.SIGTERM, signal.SIGINT)

    def look(self) -> None:
        """Notes whether it is stopped, which its exit code would say only after its end."""
        stopped = None
        if not self.is_over:
            # It may end just now, and is no child to wait for then.
            with suppress(ChildProcessError):
                # Without waiting, and so that `poll` still sees what there is to see.
                stopped = os.waitid(os.P_PID, self._child.pid, os.WSTOPPED | os.WNOHANG | os.WNOWAIT)
        if stopped is None:
            self.stopped_since = None
        elif self.stopped_since is None:
            self.stopped_since = time.monotonic()

    def missed(self) -> int | None:
        """Returns the number of the peer that it missed, as far as its last lines say."""
        text = "\n".join(self._lines)
        if found := _MISSED.search(text):
            return int(found[1] or found[2])
        return 0 if self.number and _MISSED_FIRST.search(text) else None

    def story(self, group: Sequence["_Process"]) -> str:
        """Returns how it ended, in a line."""
        who = f"process {self.number} of {self.count}"
        if self.stopped_since is not None:
            return f"{who} was stopped (SIGSTOP) and answered no more"
        ending = f"ended with exit code {self.exit_code}"
        if self.signal is not None:
            ending = f"was killed by {_name(self.signal)}"
        if self.is_victim:
            peer = self.missed()
            known = "a peer was lost" if peer is None else f"process {peer} was lost"
            elsewhere = peer is not None and peer not in [each.number for each in group]
            return f"{who} {ending}, since {known}{' on another host' if elsewhere else ''}"
        return f"{who} {ending}" + (f" ({self._lines[-1]})" if self.signal is None and self._lines else "")

    def hand_on(self, number: int) -> None:
        if not self.is_over:
            self._child.send_signal(number)

    def end(self) -> None:
        """Kills it, if it runs: after the loss of a peer it hears no other signal."""
        self._child.kill()
        self._child.wait()
        self._reader.join(timeout=5)


def _end_well(group: Sequence[_Process], asked: list[int], heartbeat_seconds: float) -> bool:
    """Waits until all have ended with 0, which is well, or one is dead or has been stopped for too long."""
    handed_on = 0
    while True:
        for process in group:
            process.look()
        if any(process.is_over and process.exit_code for process in group):
            time.sleep(_SETTLE_S)
            return False
        if all(process.is_over for process in group):
            return True
        if any(process.stopped_for > heartbeat_seconds for process in group):
            return False
        if len(asked) > handed_on:
            for process in group:
                # A ctrl-C too: SIGTERM alone is what processes that train together agree to stop by.
                process.hand_on(signal.SIGKILL if handed_on else signal.SIGTERM)
            handed_on = len(asked)
        time.sleep(_POLL_S)


def _cause(group: Sequence[_Process]) -> _Process:
    """Returns the one that the others died of, as far as it is here."""
    ended = [process for process in group if process.exit_code]
    stopped = [process for process in ended if process.stopped_since is not None]
    return next(iter([*stopped, *(process for process in ended if not process.is_victim), *ended]))


@contextmanager
def _handed_on() -> Iterator[list[int]]:
    """Collects the signals that ask to stop, instead of stopping."""
    asked: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        # Only the main thread may decide about signals.
        yield asked
        return

    def note(number: int, frame: Any) -> None:
        asked.append(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _wait(seconds: float, asked: Sequence[int]) -> None:
    """Waits, but no longer than until somebody asks to stop."""
    end = time.monotonic() + seconds
    while not asked and time.monotonic() < end:
        time.sleep(_POLL_S)


def _name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _to_stderr(text: str) -> None:
    sys.stderr.write(f"supervise: {text}\n")
    sys.stderr.flush()
