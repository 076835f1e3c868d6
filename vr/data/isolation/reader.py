"""Files that are opened and read in a process of their own, behind the interface of any other reader."""

import itertools
import threading
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from vr.core.errors import DataError
from vr.data.config import ReadingConfig
from vr.data.formats.reader import InputFile, Reader
from vr.data.isolation.process import ReadingProcess
from vr.data.store.address import is_remote

__all__ = ["IsolatedReader", "ReadingProcesses", "open_isolated"]

_FAR_SILENCE_S = 300.0  # while requests to an object store are tried again, nothing is heard
Layouts = Sequence[dict[str, Any] | None]
Described = tuple[pa.Schema, int | None, list[str], list[int] | None, dict[str, Any] | None]


class ReadingProcesses:
    """The processes that some datasets share: one, and one more for every pass that runs beside another.

    They end with the last dataset that is read by them. All methods may be called by several threads.

    Args:
      limits: Of every process.
      started: How many to start at once: their start takes a good part of a second, in which others may work.
    """

    def __init__(self, limits: ReadingConfig, started: int = 0):
        self.limits = limits
        self._lock = threading.Lock()
        self._free = [ReadingProcess(limits) for _ in range(started)]

    def take(self, dataset: int) -> ReadingProcess:
        """Returns a process for one pass, if possible one that has `dataset` open."""
        with self._lock:
            # One that waits may have been ended from without: by the system for lack of memory, say.
            self._free = [process for process in self._free if process.is_alive]
            knowing = [process for process in self._free if dataset in process.opened]
            for process in (*knowing, *self._free):
                self._free.remove(process)
                return process
        return ReadingProcess(self.limits)

    def prepare(self) -> None:
        """Starts one where none waits."""
        with self._lock:
            self._free = [process for process in self._free if process.is_alive]
            if not self._free:
                self._free.append(ReadingProcess(self.limits))

    def give_back(self, process: ReadingProcess) -> None:
        """Keeps a process for the next pass."""
        with self._lock:
            self._free.append(process)


def open_isolated(
    uri: str,
    files: Sequence[InputFile],
    wanted: str | None,
    processes: ReadingProcesses,
    layouts: Layouts | None = None,
) -> tuple[str, list[Reader]]:
    """Returns the format and the readers of a dataset's files, all of them in a process of their own.

    Args:
      uri: Where they were found; an object store is opened again from it.
      files: Of one dataset.
      wanted: Their format, or None where names and looks tell.
      processes: That read them.
      layouts: What `vr.data.formats.reader.told_layout` gave of readers of the same files, if there were any.

    Raises:
      DataError: if they cannot be read, whatever they did to the process.
    """
    dataset = _Dataset(uri, files, wanted, processes, layouts or [None] * len(files))
    processes.give_back(dataset.take())
    readers: list[Reader] = [
        IsolatedReader(dataset, place, file.path, *described)
        for place, (file, described) in enumerate(zip(files, dataset.described, strict=True))
    ]
    return dataset.format, readers


class IsolatedReader:
    """One file, read by whichever process is free.

    Attributes:
      schema: See `vr.data.formats.reader.Reader`, as all of these.
      num_rows: Rows, or None where only a pass would tell.
      notes: What was decided about odd input.
      group_rows: See `vr.data.formats.reader.GroupedReader`.
      told_layout: See `vr.data.formats.reader.told_layout`.
    """

    def __init__(
        self,
        dataset: "_Dataset",
        place: int,
        path: str,
        schema: pa.Schema,
        num_rows: int | None,
        notes: list[str],
        group_rows: list[int] | None,
        told_layout: dict[str, Any] | None,
    ):
        self._dataset = dataset
        self._place = place
        self._path = path
        self.schema = schema
        self.num_rows = num_rows
        self.notes = notes
        self.group_rows = group_rows or []
        self.told_layout = told_layout

    def read(self, schema: pa.Schema, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yields batches of exactly `schema`, settled and checked in the process that read them."""
        return self._read(schema, batch_rows, None)

    def read_groups(self, schema: pa.Schema, batch_rows: int, first: int, stop: int) -> Iterator[pa.RecordBatch]:
        """Yields batches of some groups of rows, see `read`."""
        return self._read(schema, batch_rows, [first, stop])

    def _read(self, schema: pa.Schema, batch_rows: int, groups: list[int] | None) -> Iterator[pa.RecordBatch]:
        process = self._dataset.take()
        request = {
            "read": self._place,
            "dataset": self._dataset.number,
            "schema": schema.serialize().to_pybytes().hex(),
            "batch_rows": batch_rows,
            "groups": groups,
            "where": self._path,
        }
        whole = False
        try:
            process.send(request, self._path)
            yield from process.batches(self._path)
            whole = True
        finally:
            # Of a pass that was broken off the rest would still come.
            if whole:
                self._dataset.processes.give_back(process)
            else:
                process.kill()


class _Dataset:
    """Files that one process after another may open, always with the same outcome."""

    _numbers = itertools.count()
    _alive: "weakref.WeakValueDictionary[int, _Dataset]" = weakref.WeakValueDictionary()

    def __init__(
        self,
        uri: str,
        files: Sequence[InputFile],
        wanted: str | None,
        processes: ReadingProcesses,
        layouts: Layouts,
    ):
        self.number = next(self._numbers)
        self._alive[self.number] = self
        self.processes = processes
        self.format = ""
        self.described: list[Described] = []
        self._uri = uri
        self._files = files
        self._wanted = wanted
        self._layouts = layouts

    def take(self) -> ReadingProcess:
        """Returns a process that has the files open."""
        process = self.processes.take(self.number)
        process.silence_s = self.processes.limits.silence_s
        if is_remote(self._uri):
            process.silence_s = max(process.silence_s, _FAR_SILENCE_S)
        if self.number in process.opened:
            return process
        try:
            self._close_others(process)
            self._open(process)
        except BaseException:
            process.kill()
            raise
        process.opened.add(self.number)
        return process

    def _close_others(self, process: ReadingProcess) -> None:
        """Lets go of what nobody can read any more: the footers of many files are more than a process may hold."""
        if gone := [number for number in process.opened if number not in self._alive]:
            where = self._files[0].path
            process.send({"close": gone, "where": where}, where)
            process.opened.difference_update(gone)

    def _open(self, process: ReadingProcess) -> None:
        first = self._files[0].path
        files = [
            {"path": file.path, "size": file.size, "key": file.key, "modified_ns": file.modified_ns}
            for file in self._files
        ]
        limits = {name: value for name, value in asdict(self.processes.limits).items() if name != "isolation"}
        request = {
            "open": files,
            "dataset": self.number,
            "uri": self._uri,
            "format": self._wanted,
            "limits": limits,
            "layouts": self._layouts,
            "where": first,
        }
        process.send(request, first)
        format = process.answer(first)["format"]
        described = []
        for file in self._files:
            told = process.answer(file.path)
            schema = pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(told["schema"])))
            described.append((schema, told["num_rows"], told["notes"], told["group_rows"], told["layout"]))
        if not self.format:
            self.format, self.described = format, described
            # The next process goes on from what the first one found out.
            self._layouts = [layout for *_, layout in described]
        for file, before, now in zip(self._files, self.described, described, strict=True):
            if before[:2] != now[:2]:
                raise DataError("has changed since it was opened", where=file.path, hint="run it again")
