"""64-bit hashes of rows and values that do not depend on how the rows were batched or stored.

A number hashes alike as an integer and as the float that equals it, a time alike in any unit, a string alike plain and
dictionary-encoded, a row alike whatever the order of its columns. The hashes are for counting, not for security.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pyarrow as pa

__all__ = [
    "NULL_HASH",
    "column_salt",
    "dictionary_positions",
    "fingerprint_of",
    "hash_batch",
    "hash_rows",
    "hash_values",
    "mix",
]

NULL_HASH = np.uint64(0x9E3779B97F4A7C15)
_EMPTY = np.uint64(0xD1B54A32D192ED03)
_BLOCK = 16_384  # 128 kB of hashes: what is mixed at a time stays in the cache
_EXACT = 2**53  # up to it, every integer is a float
_TEXT_BLOCK = 2**20  # bytes of text hashed at a time: the temporaries are some 30 times as large


def mix(x: np.ndarray) -> np.ndarray:
    """Returns splitmix64 of `x` (uint64 `[n]`): a bijection with full avalanche (Steele et al. 2014, fig. 17)."""
    z = x + np.uint64(0x9E3779B97F4A7C15)
    for start in range(0, len(z), _BLOCK):
        block = z[start : start + _BLOCK]
        shifted = block >> np.uint64(30)
        block ^= shifted
        block *= np.uint64(0xBF58476D1CE4E5B9)
        np.right_shift(block, np.uint64(27), out=shifted)
        block ^= shifted
        block *= np.uint64(0x94D049BB133111EB)
        np.right_shift(block, np.uint64(31), out=shifted)
        block ^= shifted
    return z


def hash_values(array: pa.Array) -> np.ndarray:
    """Returns one uint64 for each value `[n]`; nulls and NaN share `NULL_HASH`."""
    type_ = array.type
    if isinstance(array, pa.DictionaryArray):
        of_dictionary = np.append(hash_values(array.dictionary), NULL_HASH)
        return of_dictionary[dictionary_positions(array)]
    if pa.types.is_boolean(type_):
        hashes = mix(_float_bits(array.fill_null(False).to_numpy(zero_copy_only=False).astype(np.float64)))
    elif pa.types.is_temporal(type_):
        hashes = mix(_nanoseconds(array).view(np.uint64))
    elif pa.types.is_integer(type_):
        whole = array.fill_null(0) if array.null_count else array
        hashes = mix(_integer_bits(whole.to_numpy(zero_copy_only=False)))
    elif pa.types.is_floating(type_) or pa.types.is_decimal(type_) or pa.types.is_null(type_):
        numbers = array if pa.types.is_float64(type_) else array.cast(pa.float64())
        numbers = numbers.fill_null(np.nan) if numbers.null_count else numbers
        return _hash_floats(numbers.to_numpy(zero_copy_only=False))
    else:
        hashes = _hash_strings(array)
    if array.null_count:
        hashes[array.is_null().to_numpy(zero_copy_only=False)] = NULL_HASH
    return hashes


def column_salt(name: str) -> np.uint64:
    """Returns the odd number that the values of column `name` are multiplied by in a row's hash."""
    return np.frombuffer(hashlib.blake2b(name.encode(), digest_size=8).digest(), "<u8")[0] | np.uint64(1)


def hash_rows(columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Returns one uint64 for each row `[n]` from the columns' value hashes, whatever the columns' order.

    The hash is mix(sum over columns of salt * value hash), modulo 2**64 (multilinear: Carter and Wegman 1979).
    """
    return _hash_salted(columns.items())


def _hash_salted(columns: Iterable[tuple[str, np.ndarray]]) -> np.ndarray:
    total: np.ndarray | None = None
    for name, hashes in columns:
        salted = hashes * column_salt(name)
        total = salted if total is None else np.add(total, salted, out=total)
    if total is None:
        raise ValueError("no columns to hash")
    return mix(total)


def hash_batch(batch: pa.RecordBatch | pa.Table, names: Sequence[str]) -> np.ndarray:
    """Returns one uint64 for each row `[n]` over the columns `names`."""
    columns = ((name, batch.column(name)) for name in names)
    # One at a time: of a wide table the hashes of all columns are as large as the table.
    return _hash_salted(
        (name, hash_values(column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column))
        for name, column in columns
    )


def fingerprint_of(row_hashes: np.ndarray, row_start: int) -> int:
    """Returns what rows from number `row_start` on add to a dataset's fingerprint, to be summed modulo 2**64."""
    numbers = np.arange(row_start, row_start + len(row_hashes), dtype=np.uint64)
    return int(mix(row_hashes ^ mix(numbers)).sum(dtype=np.uint64))


def dictionary_positions(array: pa.DictionaryArray) -> np.ndarray:
    """Returns each row's place in the dictionary, intp `[n]`, one beyond its end for null."""
    indices = array.indices
    if not indices.null_count:
        return indices.to_numpy(zero_copy_only=False).astype(np.intp)
    positions = indices.fill_null(0).to_numpy(zero_copy_only=False).astype(np.intp)
    positions[indices.is_null().to_numpy(zero_copy_only=False)] = len(array.dictionary)
    return positions


def _nanoseconds(array: pa.Array) -> np.ndarray:
    """Returns dates, times and durations in nanoseconds, modulo 2**64: as numbers they would overflow."""
    width = pa.int32() if array.type.bit_width == 32 else pa.int64()
    ticks = array.view(width).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    if pa.types.is_date(array.type):
        return ticks * np.int64(86_400 * 10**9 if pa.types.is_date32(array.type) else 10**6)
    return ticks * np.int64({"s": 10**9, "ms": 10**6, "us": 10**3, "ns": 1}[array.type.unit])


def _float_bits(x: np.ndarray) -> np.ndarray:
    return (x + 0.0).view(np.uint64)  # adding zero makes one of -0.0 and 0.0


def _integer_bits(x: np.ndarray) -> np.ndarray:
    numbers = x.astype(np.float64)
    bits = _float_bits(numbers)
    if x.dtype.itemsize == 8 and len(x) and (x.max() > _EXACT or x.min() < -_EXACT):
        # What no float can hold keeps its own bits: a float would merge neighbours.
        with np.errstate(invalid="ignore"):
            inexact = numbers.astype(x.dtype) != x
        bits[inexact] = x[inexact].astype(np.uint64)
    return bits


def _hash_floats(x: np.ndarray) -> np.ndarray:
    hashes = mix(_float_bits(x))
    null = np.isnan(x)
    if null.any():
        hashes[null] = NULL_HASH
    return hashes


def _hash_strings(array: pa.Array) -> np.ndarray:
    """Multilinear hash of each string's bytes: sum over positions of weight(position) * (byte + 1), mod 2**64."""
    if not len(array):
        return np.empty(0, np.uint64)
    array = array.cast(pa.large_binary())
    _, offsets_buffer, text_buffer = array.buffers()
    offsets = np.frombuffer(offsets_buffer, np.int64)[array.offset : array.offset + len(array) + 1]
    lengths = np.diff(offsets)
    sums = np.full(len(array), _EMPTY)
    if lengths.any():
        text = np.frombuffer(text_buffer, np.uint8)
        # Runs of rows with about a block of text each; a string longer than a block is a run of its own.
        long = lengths > _TEXT_BLOCK
        weights = _weights(0, int(lengths[~long].max(initial=0)))
        starts = np.diff((offsets[:-1] - offsets[0]) // _TEXT_BLOCK) > 0
        cuts = 1 + np.flatnonzero(starts | long[1:] | long[:-1])
        for first, last in zip([0, *cuts], [*cuts, len(array)], strict=True):
            if long[first]:
                sums[first] = _sum_long(text[offsets[first] : offsets[last]])
            else:
                _sum_run(text, offsets[first : last + 1], weights, sums[first:last])
    return mix(sums ^ lengths.astype(np.uint64))


def _weights(start: int, stop: int) -> np.ndarray:
    return mix(np.arange(start, stop, dtype=np.uint64))


def _sum_run(text: np.ndarray, offsets: np.ndarray, weights: np.ndarray, sums: np.ndarray) -> None:
    lengths = np.diff(offsets)
    filled = lengths > 0
    if filled.any():
        starts = offsets[:-1] - offsets[0]
        run = text[offsets[0] : offsets[-1]]
        terms = weights[np.arange(len(run)) - np.repeat(starts, lengths)]
        terms *= run + np.uint64(1)
        sums[filled] = np.add.reduceat(terms, starts[filled])


def _sum_long(text: np.ndarray) -> np.uint64:
    blocks = (
        (_weights(start, min(start + _TEXT_BLOCK, len(text))) * (text[start : start + _TEXT_BLOCK] + np.uint64(1))).sum(
            dtype=np.uint64
        )
        for start in range(0, len(text), _TEXT_BLOCK)
    )
    return np.array(list(blocks)).sum(dtype=np.uint64)
