"""Children that compute, seen from the server: started, kept warm, given one validation at a time, and ended."""

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["CannotStart", "Child", "ChildDied", "Children"]

_log = logging.getLogger("vr.server")

# Only while vr itself is found may its folder come first; the working folder never does, for it may hold the data.
_START = """
import sys
sys.path.insert(0, sys.argv[1])
import vr
del sys.path[0]
from vr.server.child import main
main()
"""
_ROOT = Path(__file__).resolve().parents[2]
_LONGEST_LINE = 16 << 20
_START_S = 300.0
_AGAIN_S = 1.0  # between two tries to start one
_STOP_S = 1.0  # in which a child may leave by itself what it is at


class ChildDied(Exception):
    """A child ended that nobody had asked to; its argument is the exit code, negative for a signal."""


class CannotStart(Exception):
    """No child could be started, as often as that was tried."""


class Child:
    """One process that computes one validation at a time."""

    def __init__(self, process: asyncio.subprocess.Process):
        self._process = process
        self._validations = 0

    @classmethod
    async def start(cls, base: Mapping[str, Any], threads: int, held: Sequence[int] = ()) -> "Child":
        """Returns a child that has imported all it needs.

        Args:
          base: The configuration that requests change.
          threads: That it computes with.
          held: Descriptors that stay open in it, such as a lock that is to last as long as it does.

        Raises:
          ChildDied: if it did not get so far.
        """
        few = {name: str(threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
        # Of each arena that its threads have had, glibc keeps what it once took.
        few["MALLOC_ARENA_MAX"] = "2"
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-P",
            "-c",
            _START,
            str(_ROOT),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**few, **os.environ},
            limit=_LONGEST_LINE,
            pass_fds=held,
            # Whoever interrupts the server at a terminal has its drain first.
            start_new_session=True,
        )
        child = cls(process)
        try:
            child._send({"base": base, "threads": threads})
            async with asyncio.timeout(_START_S):
                await child._heard()
        except BaseException:
            await child.end()
            raise
        return child

    @property
    def pid(self) -> int:
        """Its process number."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended, as far as is known by now."""
        return self._process.returncode is None

    async def work(self, request: Mapping[str, Any], tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        """Returns what became of a validation: `{"finished": ...}` or `{"failed": ...}`.

        Args:
          request: What to do; its `id` stands beside what is logged of it.
          tell: Told of progress.

        Raises:
          ChildDied: if the child ended over it.
        """
        self._validations += 1
        self._send({**request, "number": self._validations})
        while True:
            told = await self._heard()
            if told.get("number") != self._validations:
                # What it says of another validation must never be taken for this one's.
                raise await self._killed()
            if "progress" not in told:
                if (trace := told.get("failed", {}).pop("traceback", None)) is not None:
                    named = {"validation_id": request["id"]} if "id" in request else {}
                    _log.error("a validation failed in its child", extra={**named, "traceback": trace})
                return told
            tell(told["progress"])

    async def stop(self) -> bool:
        """Asks it to leave the validation that it was given last; returns whether it was idle within a second."""
        self._send({"stop": self._validations})
        try:
            async with asyncio.timeout(_STOP_S):
                while True:
                    told = await self._heard()
                    if told.get("number") == self._validations and "progress" not in told:
                        return True
        except (TimeoutError, ChildDied):
            return False

    async def end(self) -> None:
        """Ends the process, whatever it is at."""
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        await self._process.wait()

    def _send(self, told: Mapping[str, Any]) -> None:
        assert self._process.stdin is not None
        with contextlib.suppress(ConnectionError):
            self._process.stdin.write(json.dumps(told).encode() + b"\n")

    async def _heard(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        try:
            line = await self._process.stdout.readline()
            told = json.loads(line)
            if isinstance(told, dict):
                return told
        except ValueError:
            pass
        # It is gone, or its memory was written over.
        raise await self._killed()

    async def _killed(self) -> ChildDied:
        with contextlib.suppress(ProcessLookupError):
            self._process.kill()
        return ChildDied(await self._process.wait())


class Children:
    """As many warm children as compute at once; one that ended is replaced.

    Args:
      count: How many.
      base: The configuration that requests change.
      threads: Of each child.
      died: Told of every child that ended unasked.
      held: Descriptors that stay open in them.
      starts: How often in a row one is started in vain before that is given up; None: for ever.
    """

    def __init__(
        self,
        count: int,
        base: Mapping[str, Any],
        threads: int,
        died: Callable[[int], None],
        held: Sequence[int] = (),
        starts: int | None = None,
    ):
        self.count = count
        self._held, self._starts = held, starts
        self._base, self._threads, self._died = base, threads, died
        # None: nobody starts any more.
        self._free: asyncio.Queue[Child | None] = asyncio.Queue()
        self._all: set[Child] = set()
        self._starting: set[asyncio.Task[None]] = set()
        self._closed = False

    def start(self) -> None:
        """Begins to start them all."""
        for _ in range(self.count):
            self._begin_one()

    @property
    def ready(self) -> int:
        """How many children live, idle or at work."""
        return sum(child.is_alive for child in self._all)

    @property
    def pids(self) -> list[int]:
        """Process numbers of those that live."""
        return [child.pid for child in self._all if child.is_alive]

    @property
    def threads_now(self) -> int:
        """Threads of a validation that begins now: its child's, and what idle children leave, shared with the others.

        One that is under way keeps those that it has; a while after all children are at work, each has its own.
        """
        at_work = max(1, len(self._all) - self._free.qsize())
        return self._threads * max(1, len(self._all) // at_work)

    async def take(self) -> Child:
        """Returns an idle child, waiting for one.

        Raises:
          CannotStart: if there will be none.
        """
        while True:
            child = await self._free.get()
            if child is None:
                # For whoever else waits, or comes later.
                self._free.put_nowait(None)
                raise CannotStart
            if child.is_alive:
                return child
            self._lost(child)

    def give_back(self, child: Child) -> None:
        """Keeps a child for the next validation."""
        if child.is_alive and not self._closed:
            self._free.put_nowait(child)
        else:
            self._lost(child)

    async def interrupt(self, child: Child) -> None:
        """Has a child leave what it is at: warm, where it heeds that soon, else by its end and another one's start."""
        if not self._closed and await child.stop() and not self._closed:
            self.give_back(child)
        else:
            await self.discard(child)

    async def discard(self, child: Child) -> None:
        """Ends a child and begins to start another."""
        await child.end()
        self._all.discard(child)
        self._begin_one()

    def replace_dead(self) -> None:
        """Replaces idle children that ended, as nobody else would notice."""
        kept = [self._free.get_nowait() for _ in range(self._free.qsize())]
        for child in kept:
            if child is None:
                self._free.put_nowait(None)
            else:
                self.give_back(child)

    async def close(self) -> None:
        """Ends all of them."""
        self._closed = True
        for task in list(self._starting):
            task.cancel()
        await asyncio.gather(*self._starting, return_exceptions=True)
        await asyncio.gather(*(child.end() for child in self._all), return_exceptions=True)
        self._all.clear()

    def _lost(self, child: Child) -> None:
        if child in self._all:
            self._all.discard(child)
            self._died(child._process.returncode or 0)
            self._begin_one()

    def _begin_one(self) -> None:
        if self._closed:
            return
        task = asyncio.get_running_loop().create_task(self._start_one())
        self._starting.add(task)
        task.add_done_callback(self._starting.discard)

    async def _start_one(self) -> None:
        failed = 0
        while True:
            try:
                child = await Child.start(self._base, self._threads, self._held)
            except (ChildDied, TimeoutError, OSError) as err:
                _log.error("a child could not be started: %r", err)
                failed += 1
                if failed == self._starts:
                    self._free.put_nowait(None)
                    return
                await asyncio.sleep(_AGAIN_S)
                continue
            self._all.add(child)
            self._free.put_nowait(child)
            return
