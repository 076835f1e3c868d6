"""Hashes depend on values alone, spread well, and tell apart what differs."""

import datetime

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vr.data import hashing
from vr.data.hashing import NULL_HASH, hash_rows, hash_values, mix

SMALL = st.integers(-(2**53), 2**53)


def test_mix_is_splitmix64():
    # The first outputs of splitmix64 seeded with 0 (Steele et al.), whose state rises by the golden gamma.
    states = np.arange(3, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    assert [int(x) for x in mix(states)] == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_mix_works_alike_beyond_one_block():
    x = np.arange(50_000, dtype=np.uint64)
    np.testing.assert_array_equal(mix(x)[[0, 16_383, 16_384, 49_999]], mix(x[[0, 16_383, 16_384, 49_999]]))
    assert len(np.unique(mix(x))) == len(x)


def test_mix_leaves_its_input_alone():
    x = np.arange(10, dtype=np.uint64)
    mix(x)
    np.testing.assert_array_equal(x, np.arange(10))


def test_flipping_any_bit_of_a_number_flips_half_of_its_hash():
    rng = np.random.default_rng(0)
    x = rng.integers(0, 2**64, 4_000, dtype=np.uint64)
    for bit in range(64):
        changed = mix(x) ^ mix(x ^ np.uint64(1 << bit))
        flipped = np.bitwise_count(changed).mean() / 64
        assert abs(flipped - 0.5) < 5 * 0.5 / np.sqrt(64 * len(x))


@pytest.mark.parametrize(
    "values",
    [
        pa.array(np.arange(40_000)),
        pa.array(np.arange(40_000) / 7),
        pa.array([f"level_{i}" for i in range(40_000)]),
        pa.array(np.arange(40_000), pa.timestamp("us")),
    ],
    ids=["integers", "floats", "strings", "times"],
)
def test_every_bit_of_a_hash_is_balanced(values):
    hashes = hash_values(values)
    assert len(np.unique(hashes)) == len(values)
    rows = hash_rows({"x": hashes})
    for of in (hashes, rows):
        shares = np.array([((of >> np.uint64(bit)) & np.uint64(1)).mean() for bit in range(64)])
        assert np.abs(shares - 0.5).max() < 5 * 0.5 / np.sqrt(len(values))


@given(st.lists(SMALL | st.none(), min_size=1))
def test_integers_and_floats_of_one_value_hash_alike(values):
    as_int = hash_values(pa.array(values, pa.int64()))
    np.testing.assert_array_equal(as_int, hash_values(pa.array(values, pa.float64())))


@given(st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, unique=True))
def test_large_integers_stay_apart(values):
    assert len(np.unique(hash_values(pa.array(values, pa.int64())))) == len(values)


def test_neighbours_that_no_float_tells_apart_stay_apart():
    signed = [2**53, 2**53 + 1, 2**60 + 1, 2**60 + 2, 2**63 - 1, -(2**63), -(2**63) + 1]
    assert len(np.unique(hash_values(pa.array(signed, pa.int64())))) == len(signed)
    unsigned = [2**64 - 1, 2**64 - 2, 2**63]
    assert len(np.unique(hash_values(pa.array(unsigned, pa.uint64())))) == len(unsigned)
    # Signed or not, an integer is itself; and the float that equals it hashes so too.
    assert hash_values(pa.array([2**60], pa.int64())) == hash_values(pa.array([2**60], pa.uint64()))
    assert hash_values(pa.array([2**60], pa.int64())) == hash_values(pa.array([2.0**60]))


@pytest.mark.parametrize("type_", [pa.int8(), pa.uint8(), pa.int16(), pa.uint32(), pa.float32(), pa.decimal128(38, 2)])
def test_the_width_of_a_number_does_not_matter(type_):
    values = [0, 1, 7, 100, None]
    np.testing.assert_array_equal(
        hash_values(pa.array(values).cast(type_)), hash_values(pa.array(values, pa.float64()))
    )


def test_signed_zeros_are_one_value_and_nan_is_null():
    zeros = hash_values(pa.array([0.0, -0.0]))
    assert zeros[0] == zeros[1]
    quiet = np.array([np.nan, np.frombuffer(np.uint64(0xFFF8000000000001).tobytes(), np.float64)[0]])
    assert (hash_values(pa.array(quiet)) == NULL_HASH).all()
    assert (hash_values(pa.array([None, None], pa.float64())) == NULL_HASH).all()
    assert (hash_values(pa.nulls(3)) == NULL_HASH).all()


def test_infinities_and_denormals_have_hashes_of_their_own():
    values = [np.inf, -np.inf, 5e-324, -5e-324, 0.0, 1.7e308, None]
    assert len(np.unique(hash_values(pa.array(values, pa.float64())))) == len(values)


def test_a_time_hashes_alike_in_any_unit():
    moments = [datetime.datetime(1969, 5, 1, 3), datetime.datetime(2024, 2, 29, 23, 59, 59), None]
    expected = hash_values(pa.array(moments, pa.timestamp("s")))
    for unit in ("ms", "us", "ns"):
        np.testing.assert_array_equal(hash_values(pa.array(moments, pa.timestamp(unit))), expected)
        np.testing.assert_array_equal(hash_values(pa.array(moments, pa.timestamp(unit, "UTC"))), expected)
    day = [datetime.date(2024, 2, 29)]
    np.testing.assert_array_equal(hash_values(pa.array(day, pa.date32())), hash_values(pa.array(day, pa.date64())))
    np.testing.assert_array_equal(
        hash_values(pa.array(day, pa.date32())), hash_values(pa.array(day, pa.date32()).cast(pa.timestamp("s")))
    )
    clock = [datetime.time(23, 59), None]
    np.testing.assert_array_equal(
        hash_values(pa.array(clock, pa.time32("s"))), hash_values(pa.array(clock, pa.time64("ns")))
    )
    assert len(np.unique(expected)) == 3


@given(st.lists(st.text(max_size=5) | st.none()))
def test_strings_hash_alike_however_they_are_stored(values):
    plain = pa.array(values, pa.string())
    hashes = hash_values(plain)
    for other in (plain.cast(pa.large_string()), plain.dictionary_encode(), plain.cast(pa.string_view())):
        np.testing.assert_array_equal(hash_values(other), hashes)
    assert len(np.unique(hashes)) == len(set(values))


@given(st.lists(st.text(max_size=4) | st.none(), min_size=1), st.data())
def test_a_slice_hashes_as_its_rows_do(values, data):
    start = data.draw(st.integers(0, len(values)))
    length = data.draw(st.integers(0, len(values)))
    for array in (pa.array(values, pa.string()), pa.array(values, pa.string()).dictionary_encode()):
        expected = hash_values(array)[start : start + length]
        np.testing.assert_array_equal(hash_values(array.slice(start, length)), expected)


def test_strings_of_one_byte_more_less_or_elsewhere_differ():
    values = ["", None, "a", "b", "ab", "ba", "aa", "a\0", "\0a", "\0", "\0\0", "abc", "acb", "bac", "é", "e"]
    assert len(np.unique(hash_values(pa.array(values, pa.string())))) == len(values)


def test_text_longer_than_a_block_hashes_as_if_it_were_in_one(monkeypatch):
    values = pa.array(["x" * 5, None, "", "ab" * 20, "q", "cd" * 9, "", "z" * 17, "y" * 16, "w"])
    whole = hash_values(values)
    for block in (1, 2, 7, 16, 40):
        monkeypatch.setattr(hashing, "_TEXT_BLOCK", block)
        np.testing.assert_array_equal(hash_values(values), whole)


def test_a_cell_of_millions_of_characters_is_hashed():
    long = "x" * 3_000_000
    hashes = hash_values(pa.array([long, long[:-1], "y" + long[1:], long[:-1] + "y", "x"]))
    assert len(np.unique(hashes)) == 5


def test_a_dictionary_of_numbers_or_with_nulls_in_it_hashes_as_its_values():
    indices = pa.array([0, 1, 2, None, 0], pa.int8())
    for values in (pa.array([1, 2, None]), pa.array([1.5, None, np.nan]), pa.array(["a", None, "b"])):
        encoded = pa.DictionaryArray.from_arrays(indices, values)
        np.testing.assert_array_equal(hash_values(encoded), hash_values(values.take(indices)))


def test_a_full_dictionary_of_bytes_has_room_for_null():
    array = pa.DictionaryArray.from_arrays(
        pa.array([*range(128), None], pa.int8()), pa.array([str(i) for i in range(128)])
    )
    np.testing.assert_array_equal(hash_values(array), hash_values(array.dictionary_decode()))


@pytest.mark.parametrize("type_", [pa.int64(), pa.float64(), pa.string(), pa.bool_(), pa.date32(), pa.null()])
def test_no_values_have_no_hashes(type_):
    assert hash_values(pa.array([], type_)).shape == (0,)


def test_booleans_hash_as_zero_and_one():
    np.testing.assert_array_equal(hash_values(pa.array([False, True, None])), hash_values(pa.array([0, 1, None])))


def test_row_hashes_do_not_depend_on_the_order_of_columns_but_on_which_is_which():
    rng = np.random.default_rng(1)
    a, b = hash_values(pa.array(rng.integers(0, 9, 100))), hash_values(pa.array(rng.integers(0, 9, 100)))
    np.testing.assert_array_equal(hash_rows({"a": a, "b": b}), hash_rows({"b": b, "a": a}))
    assert (hash_rows({"a": a, "b": b}) != hash_rows({"a": b, "b": a}))[a != b].all()
    assert (hash_rows({"a": a}) != hash_rows({"b": a})).all()


def test_rows_of_few_values_do_not_collide():
    values = hash_values(pa.array(np.arange(100)))
    grid = np.meshgrid(values, values, values[:10])
    rows = hash_rows(dict(zip("abc", (axis.ravel() for axis in grid), strict=True)))
    assert len(np.unique(rows)) == 100_000


def test_a_row_of_no_columns_is_an_error():
    with pytest.raises(ValueError, match="no columns"):
        hash_rows({})
