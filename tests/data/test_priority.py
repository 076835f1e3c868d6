"""The stratified sample: the same however the rows were split, and unbiased whatever is asked of it."""

import numpy as np
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from vr.data.priority import PrioritySample
from vr.data.profile import sample_rows

SIZES = np.array([5, 12, 3])


def rows_of(n: int, seed: int = 0) -> tuple[pa.RecordBatch, np.ndarray, np.ndarray]:
    """Rows with a stratum and a probability each."""
    rng = np.random.default_rng(seed)
    names = pa.array([f"row {i % 7}" for i in range(n)], pa.string()).dictionary_encode()
    batch = pa.record_batch({"i": np.arange(n), "s": names})
    return batch, rng.choice(3, n, p=[0.5, 0.4, 0.1]), rng.choice([0.01, 0.1, 1.0], n)


def part_of(all_rows, start: int, end: int, seed: int = 0, below=np.inf, sizes=SIZES) -> PrioritySample:
    batch, strata, wanted = all_rows
    rows = slice(start, end)
    return PrioritySample.of(batch.slice(start, end - start), start, strata[rows], wanted[rows], sizes, seed, below)


def assert_same_sample(a: PrioritySample, b: PrioritySample) -> None:
    for name in ("sizes", "rows", "strata", "wanted", "ranks", "seen", "least", "most", "left_out", "weights"):
        np.testing.assert_array_equal(getattr(a, name), getattr(b, name), err_msg=name)
    assert a.table.equals(b.table)


@given(st.integers(1, 300), st.lists(st.integers(0, 300), max_size=7), st.permutations(range(8)), st.integers(0, 2**32))
def test_parts_merge_to_the_whole_in_any_order(n, cuts, order, seed):
    all_rows = rows_of(n)
    whole = part_of(all_rows, 0, n, seed)
    ends = sorted({0, n, *(min(cut, n) for cut in cuts)})
    parts = [part_of(all_rows, a, b, seed) for a, b in zip(ends[:-1], ends[1:], strict=True)]
    parts = [parts[i] for i in order if i < len(parts)]
    assert_same_sample(parts[0].merge(*parts[1:]), whole)
    chained = parts[0]
    for part in parts[1:]:
        chained = part.merge(chained)
    assert_same_sample(chained, whole)


def test_each_stratum_holds_its_rows_of_least_rank():
    sample = part_of(rows_of(1_000), 0, 1_000)
    assert np.bincount(sample.strata).tolist() == SIZES.tolist()
    assert sample.seen.sum() == 1_000
    assert (sample.ranks < sample.left_out[sample.strata]).all()
    np.testing.assert_array_equal(sample.table["i"].to_numpy(), sample.rows)
    assert pa.types.is_string(sample.table["s"].type)


def test_what_is_known_to_be_left_out_changes_nothing():
    all_rows = rows_of(2_000)
    known = part_of(all_rows, 0, 1_500)
    spared = part_of(all_rows, 1_500, 2_000, below=known.left_out)
    assert len(spared) < SIZES.sum()
    assert_same_sample(known.merge(spared), part_of(all_rows, 0, 2_000))


def test_a_bound_that_left_out_too_much_is_seen():
    all_rows = rows_of(400)
    whole = part_of(all_rows, 0, 400)
    enough = part_of(all_rows, 0, 400, below=float(whole.ranks.max()) * 1.0001)
    assert enough.is_complete
    assert_same_sample(enough, whole)
    parts = [part_of(all_rows, a, a + 100, below=float(np.median(whole.ranks))) for a in range(0, 400, 100)]
    assert not parts[0].merge(*parts[1:]).is_complete


def test_a_stratum_with_room_for_all_its_rows_has_them_at_weight_one():
    sizes = np.array([1_000, 12, 1_000])
    sample = part_of(rows_of(500), 0, 500, sizes=sizes)
    for stratum in (0, 2):
        assert (sample.strata == stratum).sum() == sample.seen[stratum]
        assert (sample.weights[sample.strata == stratum] == 1.0).all()
    assert sample.is_complete


def test_totals_are_unbiased_and_their_variance_is_known():
    n, draws = 1_500, 1_500
    sizes = np.array([40, 60, 20])
    batch, strata, wanted = rows_of(n, 1)
    rng = np.random.default_rng(2)
    value = np.exp(rng.standard_normal(n)) * (1.0 + strata)
    # Of all rows, of a part that cuts through the strata, and how many rows there are in one of them.
    asked = np.stack([value, value * (wanted == 0.01), np.ones(n), (strata == 2) * 1.0], axis=1)
    estimates, variances = np.empty((draws, 4)), np.empty((draws, 4))
    for seed in range(draws):
        sample = PrioritySample.of(batch, 0, strata, wanted, sizes, seed)
        chosen, weights = asked[sample.rows], sample.weights[:, None]
        estimates[seed] = (weights * chosen).sum(axis=0)
        # Given the threshold, rows come in by themselves, and two rows' estimates are uncorrelated (theorem 2).
        variances[seed] = (chosen**2 * weights * (weights - 1.0)).sum(axis=0)
    error = estimates.std(axis=0, ddof=1) / np.sqrt(draws)
    assert (np.abs(estimates.mean(axis=0) - asked.sum(axis=0)) < 4 * error).all()
    spread = estimates.var(axis=0, ddof=1)
    # The estimate of a variance from a heavy-tailed estimate varies itself: measured, not assumed normal.
    squares = (estimates - estimates.mean(axis=0)) ** 2
    noise = np.hypot(squares.std(axis=0), variances.std(axis=0)) / np.sqrt(draws)
    assert (np.abs(variances.mean(axis=0) - spread) < 5 * noise).all()


def test_rows_come_in_as_often_as_they_are_wanted():
    n, draws = 2_000, 400
    batch = pa.record_batch({"i": np.arange(n)})
    wanted = np.where(np.arange(n) < 200, 0.5, 0.05)
    seen = np.zeros(n)
    for seed in range(draws):
        sample = PrioritySample.of(batch, 0, np.zeros(n, int), wanted, np.array([190]), seed)
        seen[sample.rows] += 1
    often, seldom = seen[:200].sum() / draws, seen[200:].sum() / draws
    # 100 and 90 rows are wanted; a row in ten of the latter.
    assert abs(often - 100) < 5 * np.sqrt(100 * 0.5 / draws) + 1
    assert often + seldom == 190
    assert stats.chisquare(seen[:200].reshape(20, 10).sum(axis=1)).pvalue > 1e-4


def test_it_is_drawn_apart_from_the_uniform_sample():
    n, size = 20_000, 2_000
    batch = pa.record_batch({"i": np.arange(n)})
    shared = [
        len(
            np.intersect1d(
                sample_rows([batch], size, seed).rows,
                PrioritySample.of(batch, 0, np.zeros(n, int), np.ones(n), np.array([size]), seed).rows,
            )
        )
        for seed in range(20)
    ]
    expected = stats.hypergeom(n, size, size)
    assert abs(np.mean(shared) - expected.mean()) < 5 * expected.std() / np.sqrt(20)
