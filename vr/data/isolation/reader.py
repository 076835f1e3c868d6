"""Files that are opened and read in a process of their own, behind the interface of any other reader."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import asdict

import pyarrow as pa

from vr.core.errors import DataError
from vr.data.config import ReadingConfig
from vr.data.formats.reader import InputFile, Reader
from vr.data.isolation.process import ReadingProcess

__all__ = ["IsolatedReader", "open_isolated"]


def open_isolated(uri: str, files: Sequence[InputFile], wanted: str | None) -> tuple[str, list[Reader]]:
    """Returns the format and the readers of a dataset's files, all of them in a process of their own.

    Args:
      uri: Where they were found; an object store is opened again from it.
      files: Of one dataset, with the limits that hold.
      wanted: Their format, or None where names and looks tell.

    Raises:
      DataError: if they cannot be read, whatever they did to the process.
    """
    pool = _Pool(uri, files, wanted)
    process = pool.take()
    readers: list[Reader] = [
        IsolatedReader(pool, place, file.path, *described)
        for place, (file, described) in enumerate(zip(files, pool.described, strict=True))
    ]
    pool.give_back(process)
    return pool.format, readers


class IsolatedReader:
    """One file, read by whichever process of its dataset is free.

    Attributes:
      schema: See `vr.data.formats.reader.Reader`, as all of these.
      num_rows: Rows, or None where only a pass would tell.
      notes: What was decided about odd input.
    """

    def __init__(self, pool: "_Pool", place: int, path: str, schema: pa.Schema, num_rows: int | None, notes: list[str]):
        self._pool = pool
        self._place = place
        self._path = path
        self.schema = schema
        self.num_rows = num_rows
        self.notes = notes

    def read(self, schema: pa.Schema, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yields batches of exactly `schema`, settled and checked in the process that read them."""
        process = self._pool.take()
        request = {"read": self._place, "schema": schema.serialize().to_pybytes().hex(), "batch_rows": batch_rows}
        whole = False
        try:
            process.send(request, self._path)
            yield from process.batches(self._path)
            whole = True
        finally:
            # Of a pass that was broken off the rest would still come.
            if whole:
                self._pool.give_back(process)
            else:
                process.kill()


class _Pool:
    """The processes that hold a dataset open: mostly one, and one more for every pass that runs beside another."""

    def __init__(self, uri: str, files: Sequence[InputFile], wanted: str | None):
        self._uri = uri
        self._files = files
        self._wanted = wanted
        self._free: list[ReadingProcess] = []
        self._lock = threading.Lock()
        self.format = ""
        self.described: list[tuple[pa.Schema, int | None, list[str]]] = []

    def take(self) -> ReadingProcess:
        """Returns a process that has the files open."""
        with self._lock:
            if self._free:
                return self._free.pop()
        process = ReadingProcess(self._limits)
        try:
            self._open(process)
        except BaseException:
            process.kill()
            raise
        return process

    def give_back(self, process: ReadingProcess) -> None:
        """Keeps a process for the next pass."""
        with self._lock:
            self._free.append(process)

    @property
    def _limits(self) -> ReadingConfig:
        return self._files[0].limits

    def _open(self, process: ReadingProcess) -> None:
        limits = {name: value for name, value in asdict(self._limits).items() if name != "isolation"}
        files = [
            {"path": file.path, "size": file.size, "key": file.key, "modified_ns": file.modified_ns}
            for file in self._files
        ]
        request = {"open": files, "uri": self._uri, "format": self._wanted, "limits": limits, "where": files[0]["path"]}
        process.send(request, self._files[0].path)
        format = process.answer(self._files[0].path)["format"]
        described = []
        for file in self._files:
            told = process.answer(file.path)
            schema = pa.ipc.read_schema(pa.py_buffer(bytes.fromhex(told["schema"])))
            described.append((schema, told["num_rows"], told["notes"]))
        if not self.format:
            self.format, self.described = format, described
        for file, before, now in zip(self._files, self.described, described, strict=True):
            if before[:2] != now[:2]:
                raise DataError("has changed since it was opened", where=file.path, hint="run it again")
