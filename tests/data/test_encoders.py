"""Encoders: numeric codes against `np.searchsorted`, categories, parts of dates, clusters of texts."""

import datetime
import pickle

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vr.data.codec import fit_codec
from vr.data.config import CodecConfig
from vr.data.encoders import CategoricalEncoder, CyclicEncoder, NumericEncoder, TextEncoder, as_strings, to_float
from vr.data.schema import Column, ColumnKind

ANY_FLOAT = st.floats(width=64)  # denormals, infinities and NaN among them
FEW = st.sampled_from([0.0, -0.0, 1.0, 2.5, -7.0, 1e300, -1e300, 5e-324, np.inf, -np.inf, np.nan])
COLUMN = st.lists(ANY_FLOAT, max_size=80) | st.lists(FEW, max_size=80)


def numeric(values, num_bins: int = 8) -> NumericEncoder:
    return NumericEncoder.fit("x", "x", np.array(values, np.float64), num_bins)


def searched(encoder: NumericEncoder, x: np.ndarray) -> np.ndarray:
    codes = 1 + np.searchsorted(encoder.edges, x, side="right")
    return np.where(np.isnan(x), 0, codes)


def probes(encoder: NumericEncoder) -> np.ndarray:
    """Values at, just beside and between the edges, and the extremes."""
    edges = encoder.edges
    with np.errstate(over="ignore"):
        beside = [np.nextafter(edges, -np.inf), np.nextafter(edges, np.inf), edges[:-1] / 2 + edges[1:] / 2]
    extremes = [np.nan, np.inf, -np.inf, 0.0, -0.0, 5e-324, -5e-324, 1.797e308, -1.797e308]
    return np.concatenate([edges, *beside, extremes])


def assert_sound(encoder: NumericEncoder, x: np.ndarray) -> None:
    assert (np.diff(encoder.edges) > 0).all()
    codes = encoder.encode_floats(x)
    assert codes.dtype == np.uint16
    np.testing.assert_array_equal(codes, searched(encoder, x))
    assert codes.max(initial=0) < encoder.num_codes == len(encoder.labels)
    # The order of codes is the order of values.
    known = np.flatnonzero(~np.isnan(x))
    by_value = known[np.argsort(x[known], kind="stable")]
    assert (np.diff(codes[by_value].astype(int)) >= 0).all()


@given(COLUMN, COLUMN, st.integers(2, 20))
def test_numeric_codes_are_those_of_an_exact_search(fitted, asked, num_bins):
    encoder = numeric(fitted, num_bins)
    assert_sound(encoder, np.array(fitted + asked, np.float64))
    assert_sound(encoder, probes(encoder))
    # What was fitted lies in the bins; infinities lie beyond them; null is null.
    own = np.array([v for v in fitted if np.isfinite(v)], np.float64)
    codes = encoder.encode_floats(own)
    assert ((codes >= 2) & (codes <= encoder.num_codes - 2)).all() or np.isinf(encoder.edges[-1])
    assert encoder.encode_floats(np.array([-np.inf, np.nan])).tolist() == [1, 0]
    assert encoder.encode_floats(np.array([np.inf])).tolist() == [encoder.num_codes - 1]


@given(st.lists(st.integers(0, 40), min_size=1, max_size=60), st.sampled_from([5e-324, 1e-310, 1e-3, 1.0, 4e306]))
def test_few_values_get_a_bin_each(whole, unit):
    values = np.array(whole) * unit
    encoder = numeric(values, 21)
    codes = encoder.encode_floats(values)
    assert len(np.unique(codes)) == len(np.unique(values))
    assert_sound(encoder, probes(encoder))


def test_neighbouring_floats_get_a_bin_each():
    values = 1.0 + np.arange(6) * np.finfo(float).eps
    assert len(np.unique(numeric(values).encode_floats(values))) == 6


@pytest.mark.parametrize("draw", ["standard_normal", "lognormal", "cauchy", "exponential", "uniform"])
@pytest.mark.parametrize("num_bins", [2, 16, 300])
def test_quantile_bins_of_long_tails_are_even(draw, num_bins):
    rng = np.random.default_rng(0)
    values = {
        "standard_normal": lambda: rng.standard_normal(20_000),
        "lognormal": lambda: rng.lognormal(0, 4, 20_000),
        "cauchy": lambda: rng.standard_cauchy(20_000),
        "exponential": lambda: rng.exponential(1e-200, 20_000),
        "uniform": lambda: 1e9 + rng.random(20_000),
    }[draw]()
    encoder = numeric(values, num_bins)
    codes = encoder.encode_floats(values)
    counts = np.bincount(codes, minlength=encoder.num_codes)
    assert encoder.num_codes == num_bins + 3
    assert counts[[0, 1, -1]].tolist() == [0, 0, 0]
    assert np.abs(counts[2:-1] - 20_000 / num_bins).max() <= 2
    assert_sound(encoder, np.concatenate([values, probes(encoder)]))


def test_a_point_mass_has_a_bin_of_its_own():
    rng = np.random.default_rng(0)
    rest = rng.standard_normal(6_000)
    values = np.concatenate([np.zeros(3_000), np.full(1_000, rest.max()), rest])
    encoder = numeric(values, 16)
    counts = np.bincount(encoder.encode_floats(values), minlength=encoder.num_codes)
    of_zero, of_top = encoder.encode_floats(np.array([0.0, rest.max()]))
    assert counts[of_zero] == 3_000
    assert counts[of_top] == 1_001  # the one that was there before
    assert encoder.encode_floats(np.array([5e-324, -5e-324])).tolist() == [of_zero + 1, of_zero - 1]
    assert encoder.labels[of_zero] == "0"
    assert encoder.labels[of_zero + 1].startswith(">0 to ")
    assert_sound(encoder, np.concatenate([values, probes(encoder)]))


def test_codes_name_null_below_and_above():
    encoder = numeric([1.0, 2.0, 3.0])
    codes = encoder.encode(pa.array([None, np.nan, 0.999, 1.0, 2.0, 3.0, 3.0001]))
    labels = [encoder.labels[code] for code in codes]
    assert labels[:3] == ["null", "null", "below 1"]
    assert labels[-1] == "above 3"
    assert codes.tolist() == [0, 0, 1, 2, 3, 4, 5]
    assert encoder.ordinal


def test_a_constant_has_one_bin():
    for value in (0.0, -3.5, 1e300, 5e-324, np.finfo(float).max):
        encoder = numeric(np.full(100, value))
        assert encoder.num_codes == 4
        assert (encoder.encode_floats(np.full(3, value)) == 2).all()
        assert_sound(encoder, probes(encoder))


def test_a_column_without_a_finite_value_has_an_encoder():
    for values in ([], [np.nan], [np.inf, -np.inf, np.nan]):
        encoder = numeric(values)
        assert encoder.num_codes == 4
        assert_sound(encoder, probes(encoder))


def test_whole_numbers_and_floats_get_the_same_codes():
    encoder = numeric([1, 5, 9])
    np.testing.assert_array_equal(
        encoder.encode(pa.array([1, 9, 4, None])), encoder.encode(pa.array([1.0, 9, 4, None]))
    )


# Numbers.


@pytest.mark.parametrize(
    ("values", "type_", "expected"),
    [
        ([1, None], pa.int8(), [1.0, np.nan]),
        ([2**64 - 1], pa.uint64(), [2.0**64]),
        ([1.5, None], pa.float32(), [1.5, np.nan]),
        (["1.5", None, "-3"], pa.string(), [1.5, np.nan, -3.0]),
        ([None, None], pa.null(), [np.nan, np.nan]),
        ([datetime.date(1970, 1, 2), None], pa.date32(), [86_400.0, np.nan]),
        ([datetime.date(1969, 12, 31)], pa.date64(), [-86_400.0]),
        ([datetime.datetime(1970, 1, 1, 0, 0, 1, 500_000), None], pa.timestamp("us"), [1.5, np.nan]),
        ([datetime.datetime(1970, 1, 1, 0, 0, 1)], pa.timestamp("ns", "Asia/Tokyo"), [1.0]),
        ([datetime.time(0, 1), None], pa.time32("s"), [60.0, np.nan]),
        ([datetime.time(0, 0, 0, 250)], pa.time64("us"), [250e-6]),
        ([datetime.timedelta(minutes=-2), None], pa.duration("ms"), [-120.0, np.nan]),
    ],
)
def test_numbers_dates_and_times_become_floats(values, type_, expected):
    array = pa.array(values, type_)
    np.testing.assert_allclose(to_float(array), expected, rtol=1e-12)
    np.testing.assert_allclose(to_float(array.dictionary_encode()), expected, rtol=1e-12)


# Categories.


def categorical(values: pa.Array, max_categories: int = 3) -> CategoricalEncoder:
    return CategoricalEncoder.fit("x", "x", values, max_categories)


def test_categories_are_coded_by_frequency_then_name():
    encoder = categorical(pa.array([*"cccabbaad", *"ab", None, "e"]), 3)
    assert encoder.categories == ("a", "b", "c", "d", "e")
    codes = encoder.encode(pa.array(["a", "b", "c", "d", "e", "zzz", None, ""]))
    assert codes.tolist() == [1, 2, 3, 4, 4, 5, 0, 5]
    assert codes.dtype == np.uint16
    assert encoder.labels == ["null", "a", "b", "c", "other", "unseen"]
    assert encoder.num_codes == 6
    assert not encoder.ordinal


@given(st.lists(st.text("abc", max_size=2) | st.none(), min_size=1), st.lists(st.text("abcd", max_size=2) | st.none()))
def test_plain_and_dictionary_strings_get_the_same_codes(fitted, asked):
    plain = pa.array(fitted, pa.string())
    encoder = categorical(plain, 4)
    assert encoder == categorical(plain.dictionary_encode(), 4)
    strings = pa.array(asked, pa.string())
    codes = encoder.encode(strings)
    for other in (strings.dictionary_encode(), strings.cast(pa.large_string())):
        np.testing.assert_array_equal(encoder.encode(other), codes)
    assert (codes < encoder.num_codes).all()


def test_a_dictionary_of_nulls_repeats_and_unused_entries_is_read_by_its_values():
    encoder = categorical(pa.array(["a", "a", "a", "b", "b"]))
    values = pa.array(["b", None, "b", "unused", "a"])
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 2, None, 4], pa.int8()), values)
    assert encoder.encode(column).tolist() == [2, 0, 2, 0, 1]


def test_fresh_rows_find_as_much_unseen_as_the_fitted_ones():
    rng = np.random.default_rng(0)
    shares = 1.0 / np.arange(1, 3_001)
    draw = lambda: pa.array([f"w{k}" for k in rng.choice(3_000, 3_000, p=shares / shares.sum())])  # noqa: E731
    fitted, fresh = draw(), draw()
    encoder = categorical(fitted, 48)
    own, other = (
        np.bincount(codes, minlength=51) / 3_000 for codes in (encoder.encode_own(fitted), encoder.encode(fresh))
    )
    for code in (49, 50):
        assert own[code] == pytest.approx(other[code], abs=0.05)
    assert own[50] > 0.1
    assert np.bincount(encoder.encode(fitted), minlength=51)[50] == 0


def test_a_single_extreme_counts_as_beyond_the_range_of_the_others():
    encoder = NumericEncoder.fit("x", "x", np.array([1.0, 2.0, 2.0, 3.0, 9.0, 9.0]), 4)
    codes = encoder.encode_own(pa.array([1.0, 2.0, 2.0, 3.0, 9.0, 9.0]))
    assert codes[0] == 1
    assert codes[-1] != encoder.num_codes - 1


def test_a_full_dictionary_of_bytes_has_room_for_null():
    names = pa.array([f"{i:03d}" for i in range(128)])
    encoder = categorical(pa.concat_arrays([names, names]), 200)
    column = pa.DictionaryArray.from_arrays(pa.array([*range(128), None], pa.int8()), names)
    assert encoder.encode(column).tolist() == [*range(1, 129), 0]


def test_one_is_one_as_integer_float_and_decimal():
    encoder = categorical(pa.array([1, 1, 1, 2, 2, None]))
    assert encoder.categories == ("1", "2")
    assert encoder.encode(pa.array([1.0, 2.0, 1.5, np.nan, None])).tolist() == [1, 2, 4, 0, 0]
    assert encoder.encode(pa.array([1, 2, 3]).cast(pa.decimal128(38, 2))).tolist() == [1, 2, 4]
    assert encoder.encode(pa.array([1.0, 2.0], pa.float32()).dictionary_encode()).tolist() == [1, 2]
    assert encoder.encode(pa.array(["1", "2", "1.0"])).tolist() == [1, 2, 4]


def test_floats_that_are_no_integers_keep_their_digits():
    strings = as_strings(pa.array([0.5, -0.0, 1e300, np.inf, -np.inf, np.nan, None]))
    assert strings.to_pylist() == ["0.5", "0", "1e+300", "inf", "-inf", None, None]


def test_booleans_are_categories():
    encoder = categorical(pa.array([True, False, True, None]))
    assert encoder.categories == ("true", "false")
    assert encoder.encode(pa.array([False, None, True])).tolist() == [2, 0, 1]


def test_all_null_has_no_category():
    for values in (pa.nulls(3), pa.nulls(3, pa.string())):
        encoder = categorical(values)
        assert encoder.labels == ["null", "other", "unseen"]
        assert encoder.encode(pa.array([None, "a"])).tolist() == [0, 2]
        assert encoder.encode(pa.nulls(2)).tolist() == [0, 0]


# Dates.

MOMENT = datetime.datetime(2024, 2, 29, 23, 30)  # a Thursday


@pytest.mark.parametrize(("part", "code", "label"), [("hour", 24, "23"), ("weekday", 4, "Thu"), ("month", 2, "Feb")])
@pytest.mark.parametrize("unit", ["s", "ms", "us", "ns"])
def test_parts_of_a_timestamp(part, code, label, unit):
    encoder = CyclicEncoder(f"t[{part}]", "t", part)
    codes = encoder.encode(pa.array([MOMENT, None], pa.timestamp(unit)))
    assert codes.tolist() == [code, 0]
    assert codes.dtype == np.uint16
    assert encoder.labels[code] == label
    assert len(encoder.labels) == encoder.num_codes
    assert encoder.ordinal


def test_parts_are_those_of_the_column_s_own_zone():
    local = pa.array([MOMENT], pa.timestamp("us", "UTC")).cast(pa.timestamp("us", "Asia/Tokyo"))
    assert CyclicEncoder("t", "t", "hour").encode(local).tolist() == [1 + 8]
    assert CyclicEncoder("t", "t", "weekday").encode(local).tolist() == [1 + 4]
    assert CyclicEncoder("t", "t", "month").encode(local).tolist() == [3]


@pytest.mark.parametrize("type_", [pa.date32(), pa.date64()])
def test_a_date_stands_for_its_midnight(type_):
    day = pa.array([MOMENT.date(), None], type_)
    assert CyclicEncoder("t", "t", "hour").encode(day).tolist() == [1, 0]
    assert CyclicEncoder("t", "t", "weekday").encode(day).tolist() == [4, 0]


def test_the_hour_of_a_time_and_of_nothing():
    hour = CyclicEncoder("t", "t", "hour")
    assert hour.encode(pa.array([datetime.time(7, 59), None], pa.time32("s"))).tolist() == [8, 0]
    assert hour.encode(pa.array([datetime.time(7, 59)], pa.time64("ns"))).tolist() == [8]
    assert hour.encode(pa.nulls(2)).tolist() == [0, 0]


# Texts.

TEXTS = [f"the weather of day {i} is mild and rather dry in the north" for i in range(60)] + [
    f"SELECT amount_{i} FROM orders WHERE customer_id = {i * 37}" for i in range(30)
]


def texts_encoder(values=tuple(TEXTS), num_clusters: int = 2) -> TextEncoder:
    return TextEncoder.fit("x", "x", pa.array(values), num_clusters, 0)


def test_texts_of_two_kinds_fall_into_two_clusters_the_larger_first():
    encoder = texts_encoder()
    codes = encoder.encode(pa.array([*TEXTS, None]))
    assert codes.tolist() == [1] * 60 + [2] * 30 + [0]
    assert encoder.labels == ["null", "cluster 1", "cluster 2"]
    assert encoder.num_codes == 3
    np.testing.assert_allclose(np.linalg.norm(encoder.centers, axis=1), 1, rtol=1e-5)
    assert not encoder.ordinal


def test_text_codes_do_not_depend_on_storage_or_company():
    encoder = texts_encoder(num_clusters=12)
    values = pa.array([*TEXTS, None, ""])
    codes = encoder.encode(values)
    np.testing.assert_array_equal(encoder.encode(values.dictionary_encode()), codes)
    np.testing.assert_array_equal(encoder.encode(values.cast(pa.large_string())), codes)
    np.testing.assert_array_equal(
        np.concatenate([encoder.encode(values[i : i + 1]) for i in range(len(values))]), codes
    )
    assert codes.max() < encoder.num_codes


def test_the_same_texts_and_seed_give_the_same_clusters():
    first, second = texts_encoder(num_clusters=8), texts_encoder(num_clusters=8)
    np.testing.assert_array_equal(first.centers, second.centers)
    again = TextEncoder.fit("x", "x", pa.array(TEXTS).dictionary_encode(), 8, 0)
    np.testing.assert_array_equal(first.centers, again.centers)


def test_fewer_kinds_of_text_than_clusters_give_fewer_clusters():
    assert texts_encoder(["one and the same text"] * 20, 5).num_codes == 2
    assert texts_encoder(["", "", "x"], 5).num_codes <= 3


def test_a_cell_of_a_million_characters_is_read_by_its_beginning():
    encoder = texts_encoder()
    assert encoder.encode(pa.array([TEXTS[0] + " and so on" * 100_000, "é" * 1_000_000])).tolist()[0] == 1


def test_numbers_can_be_taken_as_text():
    codes = texts_encoder().encode(pa.array([12345, None]))
    assert codes[0] > 0
    assert codes[1] == 0


# Labels of dates.


def labels_of(values: pa.Array) -> list[str]:
    table = pa.table({"x": values})
    return fit_codec([Column("x", ColumnKind.datetime)], table, CodecConfig(num_bins=4), 0).encoders[0].labels


START = datetime.datetime(2024, 1, 1)
HOUR = datetime.timedelta(hours=1)


def test_bins_of_days_are_spelt_by_the_days_in_them():
    days = [START.date() + i * 24 * HOUR for i in range(40)]
    assert labels_of(pa.array(days)) == [
        "null",
        "below 2024-01-01",
        "2024-01-01 to 2024-01-09",
        "2024-01-10 to 2024-01-19",
        "2024-01-20 to 2024-01-29",
        "2024-01-30 to 2024-02-09",
        "above 2024-02-09",
    ]
    few = labels_of(pa.array(days[:3]).dictionary_encode())
    assert few == ["null", "below 2024-01-01", "2024-01-01", "2024-01-02", "2024-01-03", "above 2024-01-03"]


@pytest.mark.parametrize(
    ("values", "least", "greatest"),
    [
        ([START + i * 24 * HOUR for i in range(90)], "2024-01-01", "2024-03-30"),
        ([START + i * HOUR for i in range(30)], "2024-01-01 00:00", "2024-01-02 05:00"),
        ([START + i * HOUR / 60 for i in range(8)], "2024-01-01 00:00:00", "2024-01-01 00:07:00"),
        ([START + i * HOUR / 36e5 for i in range(9)], "2024-01-01 00:00:00.000", "2024-01-01 00:00:00.008"),
        ([datetime.datetime(1, 1, 1), datetime.datetime(9999, 12, 31)], "0001-01-01", "9999-12-31"),
        ([datetime.time(3), datetime.time(5, 30)], "03:00", "05:30"),
        ([datetime.time(3, 0, 1)], "03:00:01", "03:00:01"),
        ([-HOUR, 25 * HOUR], "-01:00:00", "1 d 01:00:00"),
        ([START], "2024-01-01", "2024-01-01"),
    ],
)
def test_points_in_time_are_spelt_as_finely_as_their_bins(values, least, greatest):
    labels = labels_of(pa.array(values))
    assert (labels[1], labels[-1]) == (f"below {least}", f"above {greatest}")
    assert all(" to " in label or label.startswith(least[:4]) for label in labels[2:-1])
    assert not any("e+" in label for label in labels)


def test_times_of_a_zone_say_that_they_are_spelt_in_utc():
    labels = labels_of(pa.array([START, START + 5 * HOUR], pa.timestamp("us", "Asia/Tokyo")))
    assert labels[1:3] == ["below 2024-01-01 00:00 UTC", "2024-01-01 00:00 to 02:30 UTC"]


def test_a_bin_within_a_day_says_the_day_once_and_durations_are_whole():
    assert labels_of(pa.array([START, START + 5 * HOUR, START + 25 * HOUR]))[2:4] == [
        "2024-01-01 00:00 to 02:30",
        "2024-01-01 02:30 to 15:00",
    ]
    assert labels_of(pa.array([49 * HOUR, 51 * HOUR]))[2] == "2 d 01:00:00 to 2 d 02:00:00"


def test_dates_change_neither_codes_nor_equality_and_survive_pickling():
    days = pa.array([START + i * HOUR for i in range(300)])
    table = pa.table({"x": days})
    encoder = fit_codec([Column("x", ColumnKind.datetime)], table, CodecConfig(), 0).encoders[0]
    plain = NumericEncoder.fit("x", "x", to_float(days), CodecConfig().num_bins)
    np.testing.assert_array_equal(encoder.encode(days), plain.encode(days))
    assert encoder == NumericEncoder(encoder.name, encoder.source, encoder.edges)
    assert pickle.loads(pickle.dumps(encoder)).labels == encoder.labels
    assert numeric([1.0, 2.0]).labels == ["null", "below 1", "1 to 1.5", "1.5 to 2", "above 2"]
    assert labels_of(pa.nulls(3)) == ["null", "below 0", "0", "above 4.941e-324"]
