"""A reading process seen from its parent: asked, waited for, and ended; however it ends, that is one `DataError`."""

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
import weakref
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa

from vr.core.errors import DataError, VrError
from vr.data.config import ReadingConfig
from vr.data.formats.reader import reading
from vr.data.isolation.frames import HEADER, error_of, header_of
from vr.data.meter import shown_bytes

__all__ = ["ReadingProcess"]

# Only while vr itself is found may its folder come first; the working folder never does, for it may hold the data.
_START = """
import signal
signal.signal(signal.SIGINT, signal.SIG_IGN)
import sys
sys.path.insert(0, sys.argv[1])
import vr
del sys.path[0]
from vr.data.isolation.child import main
main()
"""
# One thread and one kind of memory: what a library reserves for many counts against the limit.
_ENVIRONMENT = {
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "2",
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
}
_ROOT = Path(__file__).resolve().parents[3]  # the folder that holds vr
_PIPE_BYTES = 1 << 20
_MOST_TOLD_BYTES = 64 << 20  # of an answer in JSON
_START_S, _END_S, _SLICE_S = 60.0, 5.0, 1.0
_MADE = "it may be damaged or made to do harm: write it again from its source"


class ReadingProcess:
    """One child process; used by one thread at a time.

    Args:
      limits: `silence_s` and `batch_bytes` count here, the others in the child.

    Attributes:
      opened: Numbers of the datasets that it has open.
      silence_s: Seconds that it is waited for, for what is asked next.

    Raises:
      DataError: from every method, if the child reports one, is silent for too long, or ends.
      VrError: if it could not be started.
    """

    def __init__(self, limits: ReadingConfig):
        self.opened: set[int] = set()
        self.silence_s = limits.silence_s
        self._limits = limits
        self._has_spoken = False
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", _START, str(_ROOT)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env={**os.environ, **_ENVIRONMENT},
                bufsize=0,
            )
        except OSError as err:
            raise _no_start(str(err)) from err
        self.kill = weakref.finalize(self, _end, self._process, os.getpid())
        assert self._process.stdout is not None
        self._out = self._process.stdout.fileno()
        self._poll = select.poll()
        self._poll.register(self._out, select.POLLIN)
        _widen(self._process.stdout)

    @property
    def pid(self) -> int:
        """Number of the child process."""
        return self._process.pid

    @property
    def is_alive(self) -> bool:
        """Whether it has not ended, as far as is known by now."""
        return self._process.poll() is None

    def send(self, request: Mapping[str, Any], where: str) -> None:
        """Sends one request; its answers are to be taken one by one."""
        assert self._process.stdin is not None
        line = memoryview(json.dumps(request).encode() + b"\n")
        try:
            while line:
                line = line[self._process.stdin.write(line) or 0 :]
        except BrokenPipeError:
            raise self._death(where) from None

    def answer(self, where: str) -> dict[str, Any]:
        """Returns the next answer."""
        kind, length = self._next(where)
        told = self._told(length, where)
        if kind != b"J":
            raise self._wrong(kind, told, where)
        return told

    def batches(self, where: str) -> Iterator[pa.RecordBatch]:
        """Yields the batches that were asked for, as they come."""
        stream = _Stream(self, where)
        # What a process sends whose memory was written over need not be Arrow.
        with reading(where):
            with pa.ipc.open_stream(pa.PythonFile(stream, mode="r")) as opened:
                yield from opened
            stream.finish()

    def _next(self, where: str) -> tuple[bytes, int]:
        """Returns kind and length of the next frame but those that only tell of a step."""
        while True:
            kind, length = header_of(self.take(HEADER.size, where))
            self._has_spoken = True
            if kind != b"T":
                return kind, length

    def _told(self, length: int, where: str) -> dict[str, Any]:
        if length > _MOST_TOLD_BYTES:
            raise self._nonsense(where)
        try:
            return json.loads(bytes(self.take(length, where)))
        except ValueError:
            raise self._nonsense(where) from None

    def _wrong(self, kind: bytes, told: dict[str, Any], where: str) -> Exception:
        return error_of(told, where) if kind == b"E" else self._nonsense(where)

    def take(self, count: int, where: str) -> memoryview:
        """Returns exactly `count` bytes."""
        taken = np.empty(count, np.uint8).data
        view = taken
        while view:
            # The clock runs only while this process waits: a child that waits for its reader is not slow.
            allowed = self.silence_s if self._has_spoken else max(_START_S, self.silence_s)
            if not self._comes_within(allowed):
                self.kill()
                if not self._has_spoken:
                    raise _no_start(f"it said nothing for {allowed:g} s")
                raise DataError(
                    f"did not get on for {self.silence_s:g} s and was given up",
                    where=where,
                    hint=f"{_MADE}, or raise reading.silence_s",
                )
            got = os.readv(self._out, [view])
            if not got:
                raise self._death(where)
            view = view[got:]
        return taken

    def _comes_within(self, seconds: float) -> bool:
        """Whether anything is to be read within so many seconds in which this process was awake."""
        waited = 0.0
        while waited < seconds:
            begun = time.monotonic()
            if self._poll.poll(1000 * min(_SLICE_S, seconds - waited)):
                return True
            # Suspended, or stopped with its child, it has waited for nobody.
            waited += min(time.monotonic() - begun, 2 * _SLICE_S)
        return False

    def _nonsense(self, where: str) -> DataError:
        self.kill()
        return DataError("made the process that read it send nonsense", where=where, hint=_MADE)

    def _death(self, where: str) -> VrError:
        """Returns what to say of a child that has gone away."""
        try:
            code = self._process.wait(_END_S)
        except subprocess.TimeoutExpired:
            code = 0  # it closed its output without ending
        self.kill()
        limits = self._limits
        if code > 0 and not self._has_spoken:
            return _no_start(f"it ended with code {code}")
        if code == -signal.SIGXCPU:
            what, hint = f"took over {limits.processor_s:g} s of processor time without getting on", "processor_s"
        elif code == -signal.SIGKILL:
            what, hint = "made the machine kill the process that read it, as it does for lack of memory", None
        elif code < 0:
            what = f"made the process that read it end with {signal.Signals(-code).name}"
            hint = "memory_bytes" if code == -signal.SIGABRT else None
        else:
            what, hint = f"made the process that read it end with code {code}", None
        also = "" if hint is None else f", or raise reading.{hint} ({_now(limits, hint)})"
        return DataError(what, where=where, hint=_MADE + also)


class _Stream:
    """The stream of Arrow IPC within the frames, as a file to read from."""

    closed = False

    def __init__(self, process: ReadingProcess, where: str):
        self._process = process
        self._where = where
        self._left = 0
        self._ended = False

    def read(self, count: int) -> memoryview:
        if self._left == 0 and not self._ended:
            self._left = self._open_frame()
        # A message lies whole in one frame: a length that does not is a lie.
        if count > self._left and not self._ended:
            raise self._process._nonsense(self._where)
        self._left -= min(count, self._left)
        return self._process.take(0 if self._ended else count, self._where)

    def finish(self) -> None:
        """Takes what follows the stream's own end."""
        if not self._ended and self._open_frame():
            raise self._process._nonsense(self._where)

    def _open_frame(self) -> int:
        """Returns the length of the next frame of data; 0 where there is none any more."""
        while True:
            kind, length = self._process._next(self._where)
            if kind == b"Z":
                self._ended = True
                return 0
            if kind != b"D":
                raise self._process._wrong(kind, self._process._told(length, self._where), self._where)
            # Twice: what is sent has padding, dictionaries and offsets beside the values that were counted.
            if length > 2 * self._process._limits.batch_bytes + _PIPE_BYTES:
                raise self._process._nonsense(self._where)
            if length:
                return length

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False

    def close(self) -> None:
        """The pipe stays open for what is asked next."""


def _no_start(why: str) -> VrError:
    hint = "read files that you trust with reading.isolation=never"
    return VrError(f"the process that parses files could not be started ({why})", hint=hint)


def _end(process: subprocess.Popen, parent: int) -> None:
    """Ends a child and its pipes, whatever it is at."""
    # A fork of the parent has the same objects, and no business with its children.
    if os.getpid() != parent:
        return
    process.kill()
    # One that waits for a dead disk cannot be killed: it is left to the system.
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_END_S)
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()


def _widen(pipe: IO[bytes]) -> None:
    """Lets a pipe hold more at a time, where the system can: a batch then takes a tenth of the wake-ups."""
    if sys.platform == "linux":
        import fcntl

        try:
            fcntl.fcntl(pipe, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
        except OSError:
            pass  # a user may hold only so many wide pipes


def _now(limits: ReadingConfig, name: str) -> str:
    value = getattr(limits, name)
    return f"now {shown_bytes(value)}" if name.endswith("bytes") else f"now {value:g} s"
