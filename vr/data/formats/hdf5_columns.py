"""Where the columns of an HDF5 file lie, and how their numbers become Arrow arrays.

The layouts of pandas frames are those that `DataFrame.to_hdf` writes through PyTables.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import h5py
import numpy as np
import pyarrow as pa

from vr.core.errors import DataError
from vr.data.formats.pickled import PickleRefusedError, plain_list

__all__ = ["Column", "dataset_at", "fixed_frame_columns", "plain_columns", "table_frame_columns"]

_AS_TABLE = 'write it with df.to_hdf(..., format="table")'
_NAT = np.iinfo(np.int64).min
_EPOCH_ORDINAL = 719_163  # datetime.date(1970, 1, 1).toordinal()
_MOST_ACROSS = 1_000_000  # before columns are counted
_READABLE = "biufSMm"  # NumPy's letters: numbers, fixed strings, times


@dataclass(frozen=True)
class Column:
    """One column: all of `dataset`, or its compound field `field`, or place `place` across (of the field)."""

    name: str
    dataset: str
    field: str | None = None
    place: int | None = None
    convert: Callable[[np.ndarray], pa.Array] | None = None

    def read(self, rows: Mapping[str, np.ndarray]) -> pa.Array:
        """Returns the column's part of `rows`, which are by dataset."""
        values = rows[self.dataset] if self.field is None else rows[self.dataset][self.field]
        values = values if self.place is None else values[:, self.place]
        return (self.convert or _plain)(values)


def plain_columns(name: str, dataset: h5py.Dataset) -> list[Column]:
    """Returns the columns of a 1-D, 2-D or compound dataset; none if it holds what no column can."""
    path = str(_own(dataset, dataset.file).name)
    if dataset.dtype.names and dataset.ndim == 1:
        found: list[Column] = []
        for field in dataset.dtype.names:
            inner = dataset.dtype[field]
            found += _spread(field, path, field, inner.base, inner.shape)
        return found
    if dataset.dtype.names or dataset.ndim not in (1, 2):
        return []
    convert = _to_bool if _is_bitfield(dataset) else None
    return _spread(name, path, None, dataset.dtype, dataset.shape[1:], convert)


def table_frame_columns(group: h5py.Group) -> list[Column]:
    """Returns the columns of a frame in the `table` layout, in the frame's own order."""
    table = dataset_at(group, "table")
    attrs = table.attrs
    fields = [field for field in table.dtype.names or () if field != "index" and f"{field}_kind" in attrs]
    columns = []
    for field in fields:
        convert = _table_converter(group, table, field)
        names = _names_in(attrs[f"{field}_kind"])
        across = len(table.dtype[field].shape) == 1
        columns += [
            Column(name, str(table.name), field, place if across else None, convert) for place, name in enumerate(names)
        ]
    axes = _pickle(group.attrs["non_index_axes"])
    order = [str(name) for name in axes[0][1]] if axes else []
    place = {name: i for i, name in enumerate(order)}
    return sorted(columns, key=lambda column: place.get(column.name, len(order)))


def fixed_frame_columns(group: h5py.Group, where: str) -> list[Column]:
    """Returns the columns of a frame (or series) in the `fixed` layout, in the frame's own order.

    Raises:
      DataError: if a column is a pickled array of Python objects.
    """
    if "values" in group:  # a series
        return [_fixed("values", dataset_at(group, "values"), None, where)]
    columns = []
    for block in [str(name).removesuffix("_items") for name in group if str(name).endswith("_items")]:
        names = _labels(dataset_at(group, f"{block}_items"), where)
        values = dataset_at(group, f"{block}_values")
        columns += [_fixed(name, values, j, where) for j, name in enumerate(names)]
    place = {name: i for i, name in enumerate(_labels(dataset_at(group, "axis0"), where))}
    return sorted(columns, key=lambda column: place[column.name])


def dataset_at(group: h5py.Group, path: str) -> h5py.Dataset:
    """Returns the dataset at `path`.

    Raises:
      KeyError: if that is something else.
      ValueError: if its values lie in another file.
    """
    found = group[path]
    if not isinstance(found, h5py.Dataset):
        raise KeyError(f"'{path}' is no dataset")
    return _own(found, group.file)


def _own(dataset: h5py.Dataset, file: h5py.File) -> h5py.Dataset:
    # Links, external storage and virtual datasets could make a report of any file that its reader may see.
    if dataset.file.filename != file.filename or dataset.external or dataset.is_virtual:
        raise ValueError(f"dataset '{dataset.name}' lies in another file")
    return dataset


def _fixed(name: str, dataset: h5py.Dataset, place: int | None, where: str) -> Column:
    if dataset.dtype.kind == "O" or "PSEUDOATOM" in dataset.attrs:
        raise DataError("is stored as pickled Python objects", where=f"{where}, column '{name}'", hint=_AS_TABLE)
    convert = _converter(_text(dataset.attrs.get("value_type", "")))
    if _is_bitfield(dataset):
        convert = _to_bool
    return Column(name, str(dataset.name), None, place, convert)


def _labels(dataset: h5py.Dataset, where: str) -> list[str]:
    if dataset.dtype.kind not in "Siu":
        raise DataError("has column names that are pickled Python objects", where=where, hint=_AS_TABLE)
    return [_text(label) for label in dataset[:]]


def _names_in(kind: object) -> list[str]:
    return [_text(name) for name in _pickle(kind)]


def _pickle(data: object) -> list:
    if not isinstance(data, bytes):
        raise PickleRefusedError(f"{type(data).__name__} where a list was expected")
    return plain_list(data)


def _table_converter(group: h5py.Group, table: h5py.Dataset, field: str) -> Callable[[np.ndarray], pa.Array] | None:
    attrs = table.attrs
    if _text(attrs.get(f"{field}_meta", "")) == "category":
        categories = _categories(group, field)
        return lambda codes: pa.DictionaryArray.from_arrays(pa.array(codes, mask=codes < 0), categories)
    kind = _text(attrs.get(f"{field}_dtype", ""))
    if table.dtype[field].base.kind == "S":
        missing = _text(attrs.get(f"{field}_nan_rep", "nan"))
        return lambda values: _strings(values, missing)
    return _converter(kind)


def _categories(group: h5py.Group, field: str) -> pa.Array:
    values = group[f"meta/{field}/meta"]
    if not isinstance(values, h5py.Group):
        raise KeyError(f"the categories of '{field}' are missing")
    (column,) = table_frame_columns(values)
    return column.read({column.dataset: dataset_at(group, column.dataset)[:]})


def _converter(kind: str) -> Callable[[np.ndarray], pa.Array] | None:
    """Returns what undoes pandas' coding of a column of dtype `kind`; None where the numbers are the values."""
    if kind == "bool":
        return _to_bool
    if kind == "date":
        return lambda days: pa.array((days - _EPOCH_ORDINAL).astype(np.int32)).cast(pa.date32())
    for name, make in (("datetime64", pa.timestamp), ("timedelta64", pa.duration)):
        if kind.startswith(name):
            unit = kind.removeprefix(name).strip("[]").split(",")[0] or "ns"
            return lambda ticks, type_=make(unit): pa.array(ticks, mask=ticks == _NAT).cast(type_)
    return None


def _spread(
    name: str,
    dataset: str,
    field: str | None,
    dtype: np.dtype,
    shape: Sequence[int],
    convert: Callable[[np.ndarray], pa.Array] | None = None,
) -> list[Column]:
    """Returns one column, or one for every place across."""
    if dtype.kind not in _READABLE and h5py.check_string_dtype(dtype) is None or len(shape) > 1:
        return []
    if not shape:
        return [Column(name, dataset, field, None, convert)]
    if shape[0] > _MOST_ACROSS:
        raise ValueError(f"dataset '{dataset}' is {shape[0]} values across")
    return [Column(name if shape[0] == 1 else f"{name}_{i}", dataset, field, i, convert) for i in range(shape[0])]


def _plain(values: np.ndarray) -> pa.Array:
    if values.dtype.kind in "SO":
        return _strings(values, None)
    return pa.array(np.ascontiguousarray(values.astype(values.dtype.newbyteorder("="), copy=False)))


def _strings(values: np.ndarray, missing: str | None) -> pa.Array:
    texts = [_text(value) for value in values.tolist()]
    return pa.array(
        [None if text == missing else text for text in texts] if missing is not None else texts, pa.string()
    )


def _to_bool(values: np.ndarray) -> pa.Array:
    return pa.array(values.astype(bool))


def _text(value: object) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)


def _is_bitfield(dataset: h5py.Dataset) -> bool:
    # PyTables writes booleans as 8-bit fields, which h5py shows as plain bytes.
    return dataset.id.get_type().get_class() == h5py.h5t.BITFIELD
