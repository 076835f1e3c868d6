"""The few column types that the rest of vr meets, and batches of one exact length."""

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

__all__ = ["even_batches", "normal_array", "normal_type"]

_STRING_DICTIONARY = pa.dictionary(pa.int32(), pa.string())


def normal_type(type_: pa.DataType) -> pa.DataType | None:
    """Returns the type that a stored column is handed on as, or None where it is left out.

    Booleans, integers, float32 and float64, timestamps, dates, times, durations, string, large_string and null stay;
    float16 and decimals become float64; dictionaries of strings become dictionary<int32, string>, other dictionaries
    and run-end encodings their values. Nested and binary columns are left out.
    """
    if isinstance(type_, pa.BaseExtensionType):
        return normal_type(type_.storage_type)
    if pa.types.is_dictionary(type_):
        inner = normal_type(type_.value_type)
        return _STRING_DICTIONARY if inner is not None and _is_string(inner) else inner
    if pa.types.is_run_end_encoded(type_):
        return normal_type(type_.value_type)
    if pa.types.is_float16(type_) or pa.types.is_decimal(type_):
        return pa.float64()
    if pa.types.is_string_view(type_):
        return pa.string()
    kept = (
        pa.types.is_boolean(type_)
        or pa.types.is_integer(type_)
        or pa.types.is_floating(type_)
        or pa.types.is_null(type_)
        or _is_string(type_)
        or (pa.types.is_temporal(type_) and not pa.types.is_interval(type_))
    )
    return type_ if kept else None


def normal_array(array: pa.Array, type_: pa.DataType) -> pa.Array:
    """Returns `array` as `type_`, one of the types of `normal_type`; the same object if it is that already."""
    if array.type == type_:
        return array
    if isinstance(array, pa.ExtensionArray):
        return normal_array(array.storage, type_)
    if pa.types.is_run_end_encoded(array.type):
        return normal_array(pc.run_end_decode(array), type_)
    if pa.types.is_dictionary(array.type):
        values = normal_array(array.dictionary, normal_type(array.type.value_type))
        if type_ != _STRING_DICTIONARY:
            return normal_array(values.take(array.indices), type_)
        values = values.cast(pa.string())
        if values.null_count:  # null is to be told by the index alone
            return values.take(array.indices).dictionary_encode()
        return pa.DictionaryArray.from_arrays(array.indices.cast(pa.int32()), values)
    if type_ == _STRING_DICTIONARY:
        return normal_array(array, pa.string()).dictionary_encode()
    return array.cast(type_)


def even_batches(batches: Iterable[pa.RecordBatch], batch_rows: int, most_bytes: int) -> Iterator[pa.RecordBatch]:
    """Yields the same rows in batches of `batch_rows`, or of as many as hold `most_bytes` where that is fewer.

    Copies only where it must join. A dictionary counts once, as all parts of a file share it.
    """
    parts: list[pa.RecordBatch] = []
    held = size = 0
    for batch in batches:
        start = 0
        while start < batch.num_rows:
            part = batch.slice(start, batch_rows - held)
            own = sum(_own_bytes(column) for column in part.columns)
            if parts and size + own > most_bytes:
                yield _join(parts)
                parts, held, size = [], 0, 0
                continue
            parts.append(part)
            held += part.num_rows
            size += own
            start += part.num_rows
            if held == batch_rows:
                yield _join(parts)
                parts, held, size = [], 0, 0
    if parts:
        yield _join(parts)


def _own_bytes(array: pa.Array) -> int:
    return array.indices.nbytes if isinstance(array, pa.DictionaryArray) else array.nbytes


def _join(parts: list[pa.RecordBatch]) -> pa.RecordBatch:
    return parts[0] if len(parts) == 1 else pa.concat_batches(parts)


def _is_string(type_: pa.DataType) -> bool:
    return pa.types.is_string(type_) or pa.types.is_large_string(type_)
