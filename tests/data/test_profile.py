"""The profile is a commutative monoid: any split, any order, any number of threads, the same result."""

import datetime
import subprocess
import sys
import textwrap

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vr.data import profile as profile_module
from vr.data import tally
from vr.data.codec import Codec, fit_codec
from vr.data.config import CodecConfig
from vr.data.hashing import hash_rows, hash_values
from vr.data.profile import Profile, Profiler, merge, sample_rows
from vr.data.schema import infer_columns

SCHEMA = pa.schema(
    [
        ("x", pa.float64()),
        ("k", pa.int64()),
        ("plain", pa.string()),
        ("coded", pa.dictionary(pa.int32(), pa.string())),
        ("flag", pa.bool_()),
        ("when", pa.timestamp("us")),
        ("day", pa.date32()),
        ("void", pa.null()),
    ]
)
FLOATS = st.sampled_from([0.0, -0.0, 0.5, 1.0, 1e300, -1e300, 1e12, 5e-324, np.inf, -np.inf, np.nan]) | st.floats(-4, 4)
INTEGERS = st.integers(0, 9) | st.integers(-(2**63), 2**63 - 1)
TIMES = st.datetimes(datetime.datetime(1900, 1, 1), datetime.datetime(2100, 1, 1))
ROW = st.tuples(
    st.none() | FLOATS,
    st.none() | INTEGERS,
    st.none() | st.text("ab", max_size=2),
    st.none() | st.sampled_from(["p", "q", "r", "", "never seen"]),
    st.none() | st.booleans(),
    st.none() | TIMES,
    st.none() | st.dates(datetime.date(1990, 1, 1), datetime.date(1990, 2, 1)),
    st.none(),
)


def table_of(rows: list[tuple]) -> pa.Table:
    columns = zip(*rows, strict=True) if rows else [[]] * len(SCHEMA)
    arrays = []
    for values, field in zip(columns, SCHEMA, strict=True):
        plain = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        array = pa.array(list(values), plain)
        arrays.append(array if plain == field.type else array.dictionary_encode())
    return pa.table(arrays, schema=SCHEMA)


def reference(n: int) -> pa.Table:
    rng = np.random.default_rng(0)
    day = datetime.date(1990, 1, 1)
    start = datetime.datetime(1990, 1, 1)
    return table_of(
        [
            (
                float(rng.standard_normal()),
                int(rng.integers(0, 9)),
                str(rng.choice(["a", "b", "ab"])),
                str(rng.choice(["p", "q", "r"])),
                bool(rng.integers(0, 2)),
                start + datetime.timedelta(hours=int(rng.integers(0, 9_000))),
                day + datetime.timedelta(days=int(rng.integers(0, 31))),
                None,
            )
            for _ in range(n)
        ]
    )


def profiler_of(table: pa.Table, sample_size: int = 12, types: dict[str, str] | None = None) -> Profiler:
    config = CodecConfig(num_bins=4, max_categories=2)
    return Profiler(fit_codec(infer_columns(table, types or {}, config), table, config, 0), sample_size, seed=7)


PROFILER = profiler_of(reference(200))


def assert_same(a: Profile, b: Profile) -> None:
    """Every field of both, to the bit."""
    assert a.rows == b.rows
    np.testing.assert_array_equal(a.counts, b.counts)
    assert a.nulls == b.nulls
    assert a.moments == b.moments
    assert a.distinct == b.distinct
    assert a.row_sketch == b.row_sketch
    assert a.fingerprint == b.fingerprint
    assert (a.sample.k, a.sample.seed) == (b.sample.k, b.sample.seed)
    np.testing.assert_array_equal(a.sample.rows, b.sample.rows)
    np.testing.assert_array_equal(a.sample.hashes, b.sample.hashes)
    assert a.sample.table.schema == b.sample.table.schema
    # Row by row as text: NaN is itself there, and 0.0 is not -0.0.
    assert repr(a.sample.table.to_pylist()) == repr(b.sample.table.to_pylist())


def pieces(table: pa.Table, cuts: list[int], fresh_dictionaries: bool = False) -> list[tuple[int, pa.RecordBatch]]:
    """The batches between `cuts`, with their first row's number; empty ones where two cuts coincide."""
    ends = [0, *sorted(min(cut, table.num_rows) for cut in cuts), table.num_rows]
    batches = []
    for start, stop in zip(ends[:-1], ends[1:], strict=True):
        part = table.slice(start, stop - start)
        arrays = []
        for field in table.schema:
            array = part[field.name].combine_chunks()
            if fresh_dictionaries and isinstance(array, pa.DictionaryArray):
                array = array.dictionary_decode().dictionary_encode()
            arrays.append(array)
        batches.append((start, pa.RecordBatch.from_arrays(arrays, schema=table.schema)))
    return batches


def whole_of(table: pa.Table, profiler: Profiler = PROFILER) -> Profile:
    ((_, batch),) = pieces(table, [])
    return profiler.of(batch, 0)


@given(
    st.lists(ROW, max_size=60),
    st.lists(st.integers(0, 60), max_size=5),
    st.booleans(),
    st.randoms(use_true_random=False),
)
@settings(max_examples=60)
def test_any_split_merged_in_any_order_is_the_whole(rows, cuts, fresh, random):
    table = table_of(rows)
    whole = whole_of(table)
    parts = [PROFILER.of(batch, start) for start, batch in pieces(table, cuts, fresh)]
    assert_same(merge(*parts), whole)
    while len(parts) > 1:  # as a tree of any shape, neighbours or not
        first = parts.pop(random.randrange(len(parts)))
        second = parts.pop(random.randrange(len(parts)))
        parts.append(merge(first, second))
    assert_same(parts[0], whole)


@given(st.lists(ROW, min_size=1, max_size=40), st.integers(1, 40), st.sampled_from([1, 2, 3]))
@settings(max_examples=40)
def test_a_run_over_batches_is_the_whole(rows, size, threads):
    table = table_of(rows)
    batches = [batch for _, batch in pieces(table, list(range(size, len(rows), size)), fresh_dictionaries=True)]
    assert_same(PROFILER.run(batches, threads=threads), whole_of(table))


@given(st.lists(ROW, max_size=30), st.integers(0, 30), st.integers(1, 7))
@settings(max_examples=40)
def test_storage_and_the_size_of_pieces_change_nothing(rows, cut, piece):
    table = table_of(rows)
    plain = table.set_column(3, "coded", table["coded"].cast(pa.string()))
    coded = table.set_column(2, "plain", table["plain"].dictionary_encode())
    whole = whole_of(table)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tally, "_PIECE", piece)
        # Whatever way it takes: by the dictionary, by the range of whole numbers, by pieces.
        for other in (table, plain, coded):
            assert_same(merge(*(PROFILER.of(batch, start) for start, batch in pieces(other, [cut]))), whole)


@given(st.lists(ROW, max_size=40), st.integers(0, 40))
@settings(max_examples=40)
def test_what_is_known_to_be_ruled_out_never_changes_the_merged_profile(rows, cut):
    table = table_of(rows)
    with pytest.MonkeyPatch.context() as patch:
        # Small enough that both sketches overflow.
        patch.setattr(profile_module, "ROW_SKETCH", 5)
        patch.setattr(profile_module, "VALUE_SKETCH", 3)
        (_, first), (start, second) = pieces(table, [cut])
        known = PROFILER.of(first, 0)
        assert_same(merge(known, PROFILER.of(second, start, known)), whole_of(table))


def large_table(n: int = 30_000) -> pa.Table:
    rng = np.random.default_rng(1)
    return pa.table(
        {
            "normal": pa.array(rng.standard_normal(n), mask=rng.random(n) < 0.1),
            "heavy": np.where(
                rng.random(n) < 0.01, rng.choice([np.inf, -np.inf, np.nan, 1e200], n), rng.standard_cauchy(n)
            ),
            "few": rng.integers(0, 1_500, n),
            "wide": rng.integers(-(2**62), 2**62, n),
            "name": pa.array([f"name {i}" for i in rng.integers(0, 3_000, n)]),
            "level": pa.array([f"level {i}" for i in rng.integers(0, 30, n)]).dictionary_encode(),
        }
    )


@pytest.fixture(scope="module")
def large() -> tuple[pa.Table, Profiler, Profile]:
    table = large_table()
    profiler = profiler_of(table.slice(0, 5_000), 500, {"name": "categorical"})
    return table, profiler, profiler.run(table.to_batches(max_chunksize=4_096), threads=1)


@pytest.mark.parametrize(("size", "threads"), [(30_000, 1), (12_345, 2), (4_096, 2), (1_000, 3), (617, 1)])
def test_full_sketches_do_not_depend_on_batches_or_threads(large, size, threads):
    table, profiler, expected = large
    assert len(expected.row_sketch.hashes) == profile_module.ROW_SKETCH
    assert len(expected.distinct["few"].hashes) == profile_module.VALUE_SKETCH
    assert_same(profiler.run(table.to_batches(max_chunksize=size), threads=threads), expected)


def test_the_profile_is_that_of_plain_numpy(large):
    table, profiler, profile = large
    coded = profiler.codec.encode(table)
    assert profile.rows == table.num_rows
    for j, k in enumerate(profiler.codec.num_codes):
        np.testing.assert_array_equal(profile.counts[j, :k], np.bincount(coded.codes[:, j], minlength=k))
        assert (profile.counts[j, k:] == 0).all()
    heavy = table["heavy"].to_numpy()
    assert profile.nulls["heavy"] == np.isnan(heavy).sum()
    assert profile.nulls["normal"] == table["normal"].null_count
    assert profile.nulls["name"] == 0
    assert profile.moments["heavy"].outside >= np.isinf(heavy).sum()
    normal = table["normal"].drop_null().to_numpy()
    grid = profiler.grid("normal")
    assert profile.moments["normal"].mean(grid) == pytest.approx(normal.mean(), abs=1e-5)
    assert profile.moments["normal"].std(grid) == pytest.approx(normal.std(), abs=1e-5)
    assert profile.moments["few"].total_squares > 0
    few = table["few"].to_numpy()
    assert profile.moments["few"].mean(profiler.grid("few")) == pytest.approx(few.mean(), abs=1e-2)
    for name in ("few", "wide", "name", "level"):
        truth = len(set(table[name].to_pylist()))
        assert profile.distinct[name].distinct() == pytest.approx(truth, rel=5 / np.sqrt(profile_module.VALUE_SKETCH))
    assert profile.distinct["level"].distinct() == 30
    rows = hash_rows({name: hash_values(table[name].combine_chunks()) for name in profiler.codec.sources})
    least = np.sort(rows)[: profile_module.ROW_SKETCH]
    np.testing.assert_array_equal(profile.row_sketch.hashes, least)


def test_the_sample_is_the_one_that_sample_rows_draws(large):
    table, profiler, profile = large
    alone = sample_rows(table.to_batches(max_chunksize=777), profiler.sample_size, profiler.seed)
    np.testing.assert_array_equal(profile.sample.rows, alone.rows)
    assert repr(profile.sample.table.to_pylist()) == repr(table.take(pa.array(alone.rows)).to_pylist())


def test_the_fingerprint_depends_on_every_cell_and_on_the_order_of_rows():
    table = reference(50)
    fingerprint = whole_of(table).fingerprint
    seen = {fingerprint}
    for name in PROFILER.codec.sources[:-1]:
        j = table.column_names.index(name)
        rows = [list(row.values()) for row in table.to_pylist()]
        rows[17][j] = None
        seen.add(whole_of(table_of([tuple(row) for row in rows])).fingerprint)
    swapped = table.take(pa.array([1, 0, *range(2, 50)]))
    seen.add(whole_of(swapped).fingerprint)
    seen.add(whole_of(table.slice(0, 49)).fingerprint)
    assert len(seen) == len(PROFILER.codec.sources) - 1 + 3
    assert whole_of(table.take(pa.array(range(50)))).fingerprint == fingerprint


@pytest.mark.parametrize(("unique", "copies"), [(1_000, 1), (1_000, 3), (20_000, 1), (20_000, 2)])
def test_the_share_of_duplicates_is_right(unique, copies):
    values = np.random.default_rng(0).permutation(np.tile(np.arange(unique), copies)) / 7
    table = pa.table({"x": values})
    profile = profiler_of(table).run(table.to_batches(max_chunksize=2_048))
    expected = 1 - 1 / copies
    if unique < profile_module.ROW_SKETCH:
        assert profile.duplicate_fraction == pytest.approx(expected, abs=1e-12)
    else:
        assert profile.duplicate_fraction == pytest.approx(expected, abs=5 / np.sqrt(profile_module.ROW_SKETCH))


def test_no_rows_have_no_duplicates():
    assert whole_of(table_of([])).duplicate_fraction == 0.0


def test_null_is_no_value_and_nan_is_null():
    table = pa.table({"x": pa.array([1.0, None, np.nan, 1.0]), "s": pa.array(["a", None, None, "b"])})
    profile = whole_of(table, profiler_of(table))
    assert profile.nulls == {"x": 2, "s": 2}
    assert profile.distinct["x"].distinct() == 1
    assert profile.distinct["s"].distinct() == 2


@pytest.mark.parametrize(
    "values",
    [
        pa.array([2**63 - 1, 2**63 - 2, None, 2**63 - 1]),
        pa.array([-(2**63), -(2**63) + 1, -(2**63)]),
        pa.array([2**64 - 1, 2**64 - 2, 2**64 - 2], pa.uint64()),
        pa.array([250, 251, 255, 250] * 9, pa.uint8()),
        pa.array([-128, 127] * 300, pa.int8()),
        pa.DictionaryArray.from_arrays(pa.array([0, 1, None, 0]), pa.array([1.5, np.nan])),
        pa.DictionaryArray.from_arrays(pa.array([0, 2, None, 0]), pa.array(["a", "a", None, "unused"])),
        pa.array([True, None, False, True]),
        pa.array([1.5, None, 2.5], pa.float32()),
        pa.nulls(4),
    ],
)
@pytest.mark.parametrize("kind", ["numeric", "categorical"])
def test_any_storage_gives_what_its_plain_values_give(values, kind):
    table = pa.table({"x": values})
    if kind == "numeric" and (pa.types.is_dictionary(values.type) and pa.types.is_string(values.type.value_type)):
        kind = "categorical"
    profiler = profiler_of(table, types={"x": kind})
    with pytest.MonkeyPatch.context() as patch:
        whole = whole_of(table, profiler)
        patch.setattr(tally, "_compact", lambda column, encoders: column)
        patch.setattr(tally, "_of_dictionary", tally._of_values)
        assert_same(whole, whole_of(table, profiler))
    codes = profiler.codec.encode(table).codes[:, 0]
    np.testing.assert_array_equal(whole.counts[0], np.bincount(codes, minlength=len(whole.counts[0])))


def test_a_small_slice_of_a_large_dictionary_is_counted_by_its_rows():
    names = pa.array([f"name {i}" for i in range(1_000)])
    column = pa.DictionaryArray.from_arrays(pa.array(np.arange(1_000, dtype=np.int32)), names)
    table = pa.table({"name": column.take(pa.array([3, 3, 5]))})
    profile = whole_of(table, profiler_of(table))
    assert profile.distinct["name"].distinct() == 2
    assert profile.counts[0].max() == 2


def test_progress_counts_rows():
    told: list[int] = []
    PROFILER.run([batch for _, batch in pieces(reference(50), [20, 45])], on_batch=told.append)
    assert told == [20, 45, 50]


def test_no_batches_is_an_error():
    with pytest.raises(ValueError, match="no batches"):
        PROFILER.run([])


@pytest.mark.parametrize("threads", [1, 2])
def test_an_error_in_the_middle_of_a_stream_ends_the_run(threads):
    def stream():
        yield from (batch for _, batch in pieces(reference(50), [20, 45]))
        raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        PROFILER.run(stream(), threads=threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_few_batches_are_read_ahead(threads):
    read, done = [0], [0]

    def stream():
        for _, batch in pieces(reference(200), list(range(4, 200, 4))):
            read[0] += batch.num_rows
            assert read[0] - done[0] <= 4 * (threads + 2)
            yield batch

    def on_batch(rows: int) -> None:
        done[0] = rows

    PROFILER.run(stream(), threads=threads, on_batch=on_batch)
    assert done[0] == 200


MEMORY_SCRIPT = """
    import resource, sys
    import numpy as np
    import pyarrow as pa
    from vr.data.codec import fit_codec
    from vr.data.config import CodecConfig
    from vr.data.profile import Profiler, sample_rows
    from vr.data.schema import infer_columns

    def stream(rows, size=20_000):
        rng = np.random.default_rng(0)
        for start in range(0, rows, size):
            numbers = np.arange(start, start + size)
            yield pa.record_batch({
                "x": rng.standard_normal(size),
                "k": rng.integers(0, 1_000, size),
                # A vocabulary that grows with the rows.
                "name": pa.array(np.char.add("an-identifier-", numbers.astype("U9"))).dictionary_encode(),
            })

    sample = sample_rows(stream(20_000), 5_000, 0)
    types = {"name": "categorical"}
    columns = infer_columns(sample.table, types, CodecConfig())
    profiler = Profiler(fit_codec(columns, sample.table, CodecConfig(), 0), 5_000, 0)
    peaks = []
    for rows in (200_000, 200_000, 2_000_000):  # the first also fills the allocators' pools
        profile = profiler.run(stream(rows), threads=2)
        sample_rows(stream(rows), 5_000, 0)
        assert profile.rows == rows and profile.sample.table.num_rows == 5_000
        peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    print((peaks[2] - peaks[1]) / 1024)
"""


def test_memory_does_not_grow_with_the_rows():
    # A process of its own, for the peak is the process's. With every batch's vocabulary kept it grew by 400 MB.
    script = textwrap.dedent(MEMORY_SCRIPT)
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=True)
    assert float(result.stdout) < 25


def test_profiles_under_one_codec_name_their_columns_alike():
    codec: Codec = PROFILER.codec
    profile = whole_of(reference(10))
    assert list(profile.nulls) == list(profile.distinct) == codec.sources
    assert list(profile.moments) == [n for n, is_numeric in zip(codec.names, codec.numeric, strict=True) if is_numeric]
    assert profile.counts.shape == (len(codec.names), codec.num_codes.max())
