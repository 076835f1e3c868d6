"""What one column of one batch adds to a profile.

A column whose values repeat (strings, whole numbers of a short range) is hashed and coded by its dictionary and only
counted by its rows; any other is worked through in pieces that stay in the processor's cache.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vr.data.codec import encode_column
from vr.data.encoders import Encoder, NumericEncoder
from vr.data.hashing import NULL_HASH, column_salt, dictionary_positions, hash_values
from vr.data.moments import Grid, Moments
from vr.data.sketch import BottomK

__all__ = ["Tally", "tally"]

# Rows: 256 kB an array. Smaller pieces fit the cache better, but threads then wait for Python's lock more often.
_PIECE = 32_768


@dataclass(frozen=True)
class Tally:
    """One column's part of a batch's profile.

    Attributes:
      counts: For each encoder, int64 `[num_codes]`.
      moments: For each encoder, None where it is not numeric.
      distinct: Sketch of the non-null values, without counts.
    """

    counts: list[np.ndarray]
    moments: list[Moments | None]
    distinct: BottomK


def tally(
    column: pa.Array,
    encoders: Sequence[Encoder],
    grids: Mapping[str, Grid],
    row_sums: np.ndarray,
    sketch_size: int,
    sketch_below: np.uint64,
) -> Tally:
    """Returns the tally of `column`, and adds its salted hashes to `row_sums`.

    Args:
      column: Values `[n]`.
      encoders: Those that read it, at least one.
      grids: By name of a numeric encoder.
      row_sums: uint64 `[n]`, changed in place.
      sketch_size: Capacity of `distinct`.
      sketch_below: Values of greater hash are known not to enter the sketch.
    """
    column = _compact(column, encoders)
    work = _of_dictionary if isinstance(column, pa.DictionaryArray) else _of_values
    counts, moments, hashes = work(column, encoders, grids, row_sums)
    if counts[0][0]:
        # Null is no value. Every encoder gives it code 0.
        hashes = hashes[hashes != NULL_HASH]
    return Tally(counts, moments, BottomK.of(hashes, sketch_size, sketch_below).without_counts())


_Parts = tuple[list[np.ndarray], list[Moments | None], np.ndarray]


def _compact(column: pa.Array, encoders: Sequence[Encoder]) -> pa.Array:
    """Returns the column dictionary-encoded where that saves work: where its values can be expected to repeat."""
    if isinstance(column, pa.DictionaryArray):
        if len(column.dictionary) <= len(column):
            return column
        column = column.dictionary_decode()  # a slice of few rows with a vocabulary of many
    if pa.types.is_integer(column.type) and len(column) > column.null_count:
        return _whole_numbers(column)
    if pa.types.is_date(column.type) or not any(isinstance(encoder, NumericEncoder) for encoder in encoders):
        return column.dictionary_encode()
    return column


def _whole_numbers(column: pa.Array) -> pa.Array:
    """Returns integers as a dictionary of their whole range where that is short."""
    ends = pc.min_max(column)
    low, high = ends["min"].as_py(), ends["max"].as_py()
    if high - low >= len(column) // 2 or high >= 2**63 - 1:
        return column
    indices = pc.subtract(column.cast(pa.int64()), low).cast(pa.int32())
    return pa.DictionaryArray.from_arrays(indices, pa.array(np.arange(low, high + 1)))


def _of_dictionary(
    column: pa.DictionaryArray, encoders: Sequence[Encoder], grids: Mapping[str, Grid], row_sums: np.ndarray
) -> _Parts:
    positions = dictionary_positions(column)
    # One entry beyond the dictionary stands for null.
    hashes = np.append(hash_values(column.dictionary), NULL_HASH)
    terms = hashes * column_salt(encoders[0].source)
    for rows in _pieces(column):
        row_sums[rows] += terms[positions[rows]]
    times = np.bincount(positions, minlength=len(hashes))
    counts: list[np.ndarray] = []
    moments: list[Moments | None] = []
    for encoder in encoders:
        codes, numbers = encode_column(encoder, column.dictionary)
        of_codes = np.bincount(np.append(codes, np.uint16(0)), weights=times, minlength=encoder.num_codes)
        counts.append(of_codes.astype(np.int64))
        moments.append(None if numbers is None else Moments.of(numbers, grids[encoder.name], times[:-1]))
    return counts, moments, hashes[times > 0]


def _of_values(
    column: pa.Array, encoders: Sequence[Encoder], grids: Mapping[str, Grid], row_sums: np.ndarray
) -> _Parts:
    salt = column_salt(encoders[0].source)
    counts = [np.zeros(encoder.num_codes, np.int64) for encoder in encoders]
    moments: list[Moments | None] = [None] * len(encoders)
    hashes = np.empty(len(column), np.uint64)
    for rows in _pieces(column):
        piece = column[rows]
        hashes[rows] = hash_values(piece)
        row_sums[rows] += hashes[rows] * salt
        for j, encoder in enumerate(encoders):
            codes, numbers = encode_column(encoder, piece)
            counts[j] += np.bincount(codes, minlength=encoder.num_codes)
            if numbers is not None:
                part = Moments.of(numbers, grids[encoder.name])
                moments[j] = part if (so_far := moments[j]) is None else so_far.merge(part)
    return counts, moments, hashes


def _pieces(column: pa.Array) -> Iterator[slice]:
    # An empty column is one empty piece: its moments are those of no values.
    for start in range(0, max(len(column), 1), _PIECE):
        yield slice(start, start + _PIECE)
