"""64-bit hashes of rows and values that do not depend on how the rows were batched or stored.

A number hashes alike as an integer and as a float, a string alike plain and dictionary-encoded, a row alike whatever
the order of its columns. The hashes are for counting, not for security.
"""

import hashlib

import numpy as np
import pyarrow as pa

__all__ = ["hash_rows", "hash_values", "mix"]

_NULL = np.uint64(0x9E3779B97F4A7C15)
_EMPTY = np.uint64(0xD1B54A32D192ED03)


def mix(x: np.ndarray) -> np.ndarray:
    """Returns splitmix64 of `x` (uint64, any shape): a bijection with full avalanche (Steele et al. 2014, fig. 17)."""
    z = x + np.uint64(0x9E3779B97F4A7C15)
    z ^= z >> np.uint64(30)
    z *= np.uint64(0xBF58476D1CE4E5B9)
    z ^= z >> np.uint64(27)
    z *= np.uint64(0x94D049BB133111EB)
    z ^= z >> np.uint64(31)
    return z


def hash_values(array: pa.Array) -> np.ndarray:
    """Returns one uint64 for each value `[n]`; nulls and NaN share one hash."""
    if isinstance(array, pa.DictionaryArray):
        of_dictionary = hash_values(array.dictionary)
        indices = (array.indices.fill_null(0) if array.null_count else array.indices).to_numpy(zero_copy_only=False)
        hashes = of_dictionary[indices] if len(of_dictionary) else np.full(len(array), _NULL)
    elif pa.types.is_string(array.type) or pa.types.is_large_string(array.type):
        hashes = _hash_strings(array)
    elif pa.types.is_boolean(array.type):
        hashes = mix(array.fill_null(False).to_numpy(zero_copy_only=False).astype(np.uint64))
    elif pa.types.is_temporal(array.type):
        hashes = mix(_as_int64(array).view(np.uint64))
    elif pa.types.is_integer(array.type):
        whole = array.fill_null(0) if array.null_count else array
        hashes = mix(whole.to_numpy(zero_copy_only=False).astype(np.int64).view(np.uint64))
    else:
        hashes = _hash_floats(array.cast(pa.float64()).fill_null(np.nan).to_numpy(zero_copy_only=False))
    if array.null_count:
        hashes = np.where(array.is_null().to_numpy(zero_copy_only=False), _NULL, hashes)
    return hashes


def hash_rows(columns: dict[str, np.ndarray]) -> np.ndarray:
    """Returns one uint64 for each row `[n]` from the columns' value hashes, whatever the columns' order."""
    total: np.ndarray | None = None
    for name, hashes in columns.items():
        salt = np.frombuffer(hashlib.blake2b(name.encode(), digest_size=8).digest(), np.uint64)[0]
        term = mix(hashes ^ salt)
        total = term if total is None else np.add(total, term, out=total)
    if total is None:
        raise ValueError("no columns to hash")
    return mix(total)


def _as_int64(array: pa.Array) -> np.ndarray:
    width = pa.int32() if array.type.bit_width == 32 else pa.int64()
    return array.view(width).fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)


def _hash_floats(x: np.ndarray) -> np.ndarray:
    # Whole numbers take the integer's path, so that 3 and 3.0 are one value, and -0.0 is 0.
    whole = np.abs(x) < 2.0**53
    as_int = np.where(whole, x, 0.0).astype(np.int64)
    whole &= as_int == x
    bits = np.where(whole, as_int.view(np.uint64), np.ascontiguousarray(x).view(np.uint64))
    return np.where(np.isnan(x), _NULL, mix(bits))


def _hash_strings(array: pa.Array) -> np.ndarray:
    """Multilinear hash of each string's bytes: sum over positions of weight(position) * (byte + 1), mod 2**64."""
    array = array.cast(pa.large_string())
    offsets = np.frombuffer(array.buffers()[1], np.int64)[array.offset : array.offset + len(array) + 1]
    lengths = np.diff(offsets)
    hashes = np.full(len(array), _EMPTY)
    filled = lengths > 0
    if filled.any():
        text = np.frombuffer(array.buffers()[2], np.uint8)[offsets[0] : offsets[-1]]
        starts = offsets[:-1] - offsets[0]
        position = np.arange(len(text)) - np.repeat(starts, lengths)
        weights = mix(np.arange(int(lengths.max()), dtype=np.uint64))
        terms = weights[position] * (text.astype(np.uint64) + np.uint64(1))
        hashes[filled] = np.add.reduceat(terms, starts[filled])
    return mix(hashes ^ lengths.astype(np.uint64))
