"""The sample: uniform, of the right size, and the same however the rows were split."""

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vr.data.profile import sample_rows
from vr.data.sample import RowSample


def batches(table: pa.Table, size: int) -> list[pa.RecordBatch]:
    return table.combine_chunks().to_batches(max_chunksize=size)


def numbered(n: int) -> pa.Table:
    return pa.table(
        {"i": np.arange(n), "s": pa.array([f"row {i % 7}" for i in range(n)], pa.string()).dictionary_encode()}
    )


def assert_same_sample(a: RowSample, b: RowSample) -> None:
    assert (a.k, a.seed) == (b.k, b.seed)
    np.testing.assert_array_equal(a.rows, b.rows)
    np.testing.assert_array_equal(a.hashes, b.hashes)
    assert a.table.equals(b.table)


@pytest.mark.parametrize(("rows", "size"), [(1, 10), (9, 10), (10, 10), (11, 10), (5_000, 100), (100, 1)])
def test_a_sample_has_as_many_rows_as_asked_or_all(rows, size):
    sample = sample_rows(batches(numbered(rows), 64), size, 0)
    assert len(sample.rows) == len(sample.hashes) == sample.table.num_rows == min(rows, size)
    assert (np.diff(sample.rows) > 0).all()
    # The rows are those that their numbers say.
    np.testing.assert_array_equal(sample.table["i"].to_numpy(), sample.rows)


@given(st.integers(1, 400), st.integers(1, 150), st.integers(0, 2**32), st.integers(1, 401), st.integers(1, 401))
def test_the_sample_does_not_depend_on_the_batches(rows, size, seed, one, other):
    table = numbered(rows)
    assert_same_sample(sample_rows(batches(table, one), size, seed), sample_rows(batches(table, other), size, seed))


@given(st.lists(st.integers(0, 60), min_size=1, max_size=6), st.integers(1, 80), st.permutations(range(6)))
def test_samples_merge_in_any_order(lengths, size, order):
    table = numbered(sum(lengths))
    starts = np.cumsum([0, *lengths[:-1]]).tolist()
    schema = table.schema
    parts = [
        RowSample.of(
            next(iter(batches(table.slice(start, length), 1_000)), pa.RecordBatch.from_pylist([], schema)),
            start,
            size,
            3,
        )
        for start, length in zip(starts, lengths, strict=True)
    ]
    whole = parts[0].merge(*parts[1:])
    shuffled = [parts[i] for i in order if i < len(parts)]
    chained = shuffled[0]
    for part in shuffled[1:]:
        chained = part.merge(chained)
    assert_same_sample(chained, whole)


def test_rows_ruled_out_by_the_threshold_never_enter():
    table = numbered(1_000)
    first, second = batches(table, 800)
    known = RowSample.of(first, 0, 50, 0)
    pruned = RowSample.of(second, 800, 50, 0, known.threshold())
    assert len(pruned.rows) < 50
    assert_same_sample(known.merge(pruned), known.merge(RowSample.of(second, 800, 50, 0)))


def test_one_seed_gives_one_sample_and_another_another():
    table = numbered(2_000)
    first, again, other = (sample_rows(batches(table, 300), 200, seed) for seed in (5, 5, 6))
    assert_same_sample(first, again)
    # Two independent samples of a tenth share about a tenth of their rows: within five hypergeometric deviations.
    shared = len(np.intersect1d(first.rows, other.rows))
    assert abs(shared - 20) < 5 * stats.hypergeom(2_000, 200, 200).std()


def test_the_sample_is_uniform_over_positions():
    table = pa.table({"i": np.arange(20_000)})
    counts = np.zeros(40)
    for seed in range(20):
        counts += np.bincount(sample_rows(batches(table, 4_096), 500, seed).rows // 500, minlength=40)
    assert stats.chisquare(counts).pvalue > 1e-4
    # Neither even nor odd rows, nor any bit of the row number, are preferred.
    rows = np.concatenate([sample_rows(batches(table, 4_096), 2_000, seed).rows for seed in range(10)])
    for bit in range(10):
        share = ((rows >> bit) & 1).mean()
        expected = ((np.arange(20_000) >> bit) & 1).mean()
        assert abs(share - expected) < 5 * 0.5 / np.sqrt(len(rows))


def test_a_sample_does_not_keep_the_vocabulary_of_its_batches():
    def stream():
        for start in range(0, 40_000, 2_000):
            names = pa.array([f"a name of some length {i}" for i in range(start, start + 2_000)]).dictionary_encode()
            yield pa.record_batch({"name": names})

    sample = sample_rows(stream(), 100, 0)
    assert sample.table.nbytes < 10_000
    assert sample.table["name"].to_pylist() == [f"a name of some length {i}" for i in sample.rows]


def test_progress_counts_rows():
    told = []
    sample_rows(batches(numbered(250), 100), 10, 0, told.append)
    assert told == [100, 200, 250]


def test_no_batches_is_an_error():
    with pytest.raises(ValueError, match="no batches"):
        sample_rows([], 10, 0)
