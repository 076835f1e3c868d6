"""HDF5 through h5py: pandas frames (PyTables' `table` and `fixed` layouts) and plain datasets.

Nothing in a file is ever unpickled: see `vr.data.formats.pickled`.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import h5py
import numpy as np
import pyarrow as pa

from vr.core.errors import DataError
from vr.data.formats.hdf5_columns import (
    Column,
    dataset_at,
    fixed_frame_columns,
    plain_columns,
    table_frame_columns,
)
from vr.data.formats.reader import InputFile, reading, unique_names
from vr.data.meter import check_columns

__all__ = ["Hdf5Reader"]

_ROWS_A_TIME = 65_536
_MOST_GROUPS = 1 << 14
# What h5py raises where something is not laid out as it should be.
_LAYOUT_ERRORS = (KeyError, RuntimeError, ValueError, IndexError, AttributeError, TypeError)


class Hdf5Reader:
    """One HDF5 file: its first pandas frame, or else the datasets of the first group that has any.

    The 1-D datasets of a group are columns and must be equally long; a 2-D dataset gives a column for every place
    across, a compound one for every field. A pandas index is left out.
    """

    def __init__(self, file: InputFile):
        self.file = file
        self.notes: list[str] = []
        with self._open() as root:
            columns = self._find_columns(root)
            check_columns(len(columns), file.limits, file.path)
            self.num_rows = self._common_length(root, columns)
            names, notes = unique_names([column.name for column in columns], file.path)
            self.notes += notes
            self._columns = dict(zip(names, columns, strict=True))
            rows = _rows(root, columns, 0, min(self.num_rows, 1))
            self.schema = pa.schema([(name, column.read(rows).type) for name, column in self._columns.items()])

    def read(self, schema: pa.Schema, batch_rows: int) -> Iterator[pa.RecordBatch]:
        """Yields the columns of `schema`, at most `batch_rows` rows at a time."""
        return self._read(schema, batch_rows, 0, self.num_rows)

    @property
    def group_rows(self) -> list[int]:
        """Rows of each group: any could be read by themselves, and so many are a batch or more."""
        size = self._group_size()
        return [min(size, self.num_rows - start) for start in range(0, self.num_rows, size)]

    def read_groups(self, schema: pa.Schema, batch_rows: int, first: int, stop: int) -> Iterator[pa.RecordBatch]:
        """Yields some groups of rows, see `read`."""
        size = self._group_size()
        return self._read(schema, batch_rows, first * size, min(stop * size, self.num_rows))

    def _group_size(self) -> int:
        # A file may say that it has any number of rows.
        return max(_ROWS_A_TIME, -(-self.num_rows // _MOST_GROUPS))

    def _read(self, schema: pa.Schema, batch_rows: int, first: int, stop: int) -> Iterator[pa.RecordBatch]:
        columns = [self._columns[name] for name in schema.names]
        step = min(batch_rows, _ROWS_A_TIME)
        with self._open() as root:
            meter = self.file.meter()
            # All rows of these columns, whichever are wanted: parts of an endless file may be small.
            meter.add(sum(dataset_at(root, path).nbytes for path in {column.dataset for column in columns}))
            for start in range(first, stop, step):
                rows = _rows(root, columns, start, min(start + step, stop))
                meter.add(0)
                yield pa.RecordBatch.from_arrays([column.read(rows) for column in columns], names=schema.names)

    @contextmanager
    def _open(self) -> Iterator[h5py.File]:
        path = self.file.path
        with reading(path), self.file.open() as stream:
            try:
                # By name where that is possible: going through Python for every read is slow.
                with h5py.File(self.file.key if self.file.is_local else stream, "r") as root:
                    yield root
            except DataError:
                raise
            except UnicodeDecodeError as err:
                raise DataError("holds strings that are not UTF-8", where=path, hint="write them as UTF-8") from err
            except _LAYOUT_ERRORS as err:
                hint = 'write a pandas frame with format="table", or one dataset a column'
                raise DataError(f"is laid out in a way that is not understood ({err})", where=path, hint=hint) from err

    def _find_columns(self, root: h5py.File) -> list[Column]:
        groups, datasets = _contents(root)
        frames = [group for group in groups if "pandas_type" in group.attrs]
        if frames:
            if len(frames) > 1:
                self.notes.append(f"file {self.file.path}: only frame '{frames[0].name}' of {len(frames)} is read")
            if "table" in frames[0]:
                return table_frame_columns(frames[0])
            return fixed_frame_columns(frames[0], self.file.path)
        parents: dict[str, list[Column]] = {}
        for dataset in datasets:
            parent, _, name = str(dataset.name).rpartition("/")
            columns = plain_columns(name, dataset)
            if columns:
                parents.setdefault(parent, []).extend(columns)
            else:
                self.notes.append(f"dataset '{dataset.name}' of {dataset.ndim} dimensions, {dataset.dtype}: left out")
        if not parents:
            raise DataError("holds no table", where=self.file.path, hint="write one 1-D dataset a column")
        chosen = min(parents, key=lambda parent: (parent.count("/"), parent))
        if len(parents) > 1:
            self.notes.append(f"file {self.file.path}: only group '{chosen or '/'}' of {len(parents)} is read")
        return parents[chosen]

    def _common_length(self, root: h5py.File, columns: list[Column]) -> int:
        lengths = {column.dataset: _length(dataset_at(root, column.dataset)) for column in columns}
        (first, length), *others = lengths.items()
        for path, other in others:
            if other != length:
                raise DataError(
                    f"dataset '{first}' has {length} rows but '{path}' has {other}",
                    where=self.file.path,
                    hint="all columns must be equally long",
                )
        return length


def _contents(root: h5py.File) -> tuple[list[h5py.Group], list[h5py.Dataset]]:
    """Returns all groups and datasets but those that PyTables keeps for itself."""
    groups: list[h5py.Group] = []
    datasets: list[h5py.Dataset] = []

    def visit(name: str, item: h5py.Group | h5py.Dataset) -> None:
        parts = name.split("/")
        if any(part.startswith("_i_") for part in parts):
            return
        if isinstance(item, h5py.Dataset):
            datasets.append(item)
        # A categorical column's categories are a small frame inside their own.
        elif not any(name.startswith(str(frame.name).strip("/") + "/meta/") for frame in groups):
            groups.append(item)

    root.visititems(visit)
    return groups, datasets


def _rows(root: h5py.File, columns: list[Column], start: int, stop: int) -> dict[str, np.ndarray]:
    """Returns the rows of every dataset that `columns` lie in, each read once."""
    return {path: dataset_at(root, path)[start:stop] for path in {column.dataset for column in columns}}


def _length(dataset: h5py.Dataset) -> int:
    # PyTables cannot store an empty array: it stores one element and the true shape.
    return 0 if "shape" in dataset.attrs else int(np.prod(dataset.shape[:1], dtype=int))
