"""The process that parses: files in, Arrow batches out, under limits that it sets for itself before it looks at any.

It answers the requests of `vr.data.isolation.process`, one JSON object a line on its standard input, with frames
(`vr.data.isolation.frames`), and ends when that input does, so that it outlives no parent. It writes no file.
"""

import json
import os
import queue
import resource
import signal
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pyarrow as pa
from pyarrow import fs

from vr.data.config import ReadingConfig
from vr.data.formats.opening import common_format, normal_batches, open_reader
from vr.data.formats.reader import InputFile, Reader, group_rows, reading, told_layout
from vr.data.isolation.frames import frame, told
from vr.data.store.address import Address, is_remote
from vr.data.store.filesystem import filesystem_of
from vr.data.without_pandas import do_without_pandas

__all__ = ["main"]

_THREADS = 4  # each takes a stack and an arena of the memory that may be had
_FILES = 256  # open at a time
_TELL_EVERY_S = 0.2
_PIECES_AT_ONCE = 512  # a kernel takes at most 1,024 buffers


def main() -> None:
    """Answers requests until there are no more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # ctrl-C is the parent's to act on
    out = os.dup(1)
    # What a library prints must not get between the frames.
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    do_without_pandas()
    pa.set_cpu_count(min(_THREADS, os.cpu_count() or 1))
    requests: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(requests,), daemon=True).start()
    datasets = _Datasets(partial(_write, out))
    while True:
        datasets.answer(requests.get())


def _listen(requests: "queue.SimpleQueue[dict[str, Any]]") -> None:
    for line in sys.stdin.buffer:
        requests.put(json.loads(line))
    # The parent is gone or wants no more, whatever the main thread is at.
    os._exit(0)


def _write(out: int, buffers: list[bytes | memoryview]) -> None:
    waiting = [memoryview(each).cast("B") for each in buffers if len(each)]
    while waiting:
        written = os.writev(out, waiting[:_PIECES_AT_ONCE])
        while waiting and written >= len(waiting[0]):
            written -= len(waiting.pop(0))
        if written:
            waiting[0] = waiting[0][written:]


class _Datasets:
    """The files of every dataset that is open, with their readers, and what is said of them."""

    def __init__(self, write: Callable[[list[bytes | memoryview]], None]):
        self._write = write
        self._readers: dict[int, list[tuple[str, Reader]]] = {}  # path and reader of each file, by dataset
        self._limits = ReadingConfig()
        self._told_at = 0.0

    def answer(self, request: dict[str, Any]) -> None:
        """Does as one request says; whatever goes wrong becomes a frame."""
        try:
            with reading(request["where"]):
                if "open" in request:
                    self._open(request)
                elif "close" in request:
                    for dataset in request["close"]:
                        self._readers.pop(dataset, None)
                else:
                    path, reader = self._readers[request["dataset"]][request["read"]]
                    self._read(path, reader, request)
        except Exception as error:  # noqa: BLE001 - nothing may end this process but what ends processes
            self._say(b"E", told(error))

    def _open(self, request: dict[str, Any]) -> None:
        self._limits = ReadingConfig(**request["limits"])
        _limit_process(self._limits)
        self._step()
        uri = request["uri"]
        filesystem = filesystem_of(Address.parse(uri)) if is_remote(uri) else fs.LocalFileSystem()
        files = [
            InputFile(**file, filesystem=filesystem, limits=self._limits, stepped=self._step)
            for file in request["open"]
        ]
        format = common_format(files, request["format"])
        self._say(b"J", {"format": format})
        readers = self._readers[request["dataset"]] = []
        for file, layout in zip(files, request["layouts"], strict=True):
            with reading(file.path):
                reader = open_reader(file, format, layout)
                schema = reader.schema.serialize().to_pybytes().hex()
            readers.append((file.path, reader))
            told = {"schema": schema, "num_rows": reader.num_rows, "notes": list(reader.notes)}
            told |= {"group_rows": group_rows(reader), "layout": told_layout(reader)}
            self._say(b"J", told)

    def _read(self, path: str, reader: Reader, request: dict[str, Any]) -> None:
        self._step()
        schema = pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(request["schema"])))
        sink = _Pieces()
        with pa.ipc.new_stream(pa.PythonFile(sink, mode="w"), schema) as writer:
            batch_rows, groups = request["batch_rows"], request["groups"]
            for batch in normal_batches(reader, path, schema, batch_rows, self._limits, groups):
                writer.write_batch(batch)
                self._write(frame(b"D", *sink.take()))
                self._renew()
        self._write(frame(b"D", *sink.take()))
        self._write(frame(b"Z"))

    def _say(self, kind: bytes, what: dict[str, Any]) -> None:
        self._write(frame(kind, memoryview(json.dumps(what).encode())))

    def _step(self) -> None:
        """Tells that reading gets on, though there is nothing to hand over yet."""
        now = time.monotonic()
        if now - self._told_at > _TELL_EVERY_S:
            self._told_at = now
            self._renew()
            self._write(frame(b"T"))

    def _renew(self) -> None:
        """Allows as much processor time again."""
        _, hard = resource.getrlimit(resource.RLIMIT_CPU)
        until = int(time.process_time() + self._limits.processor_s) + 1
        resource.setrlimit(resource.RLIMIT_CPU, (until if hard < 0 else min(until, hard), hard))


def _limit_process(limits: ReadingConfig) -> None:
    most = {resource.RLIMIT_FSIZE: 0, resource.RLIMIT_CORE: 0, resource.RLIMIT_NOFILE: _FILES}
    if sys.platform == "linux":
        # What is reserved and never touched, such as a library's address ranges, counts for AS but not for DATA.
        # Elsewhere the one is not enforced, and the other lies below what a process has from its start.
        most[resource.RLIMIT_DATA] = limits.memory_bytes
    for kind, wanted in most.items():
        soft, hard = resource.getrlimit(kind)
        # Where a limit is lower it holds already.
        resource.setrlimit(kind, (min([wanted, *(limit for limit in (soft, hard) if limit >= 0)]), hard))


class _Pieces:
    """A file to write to that keeps what is written, uncopied, until it is taken."""

    closed = False

    def __init__(self) -> None:
        self._pieces: list[memoryview] = []

    def write(self, data: Any) -> int:
        piece = memoryview(data).cast("B")
        self._pieces.append(piece)
        return len(piece)

    def take(self) -> list[memoryview]:
        pieces, self._pieces = self._pieces, []
        return pieces

    def flush(self) -> None:
        """Nothing waits anywhere else."""

    def close(self) -> None:
        """What is left may still be taken."""
