"""Bottom-k sketches: exact under any split, right about what they estimate."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vr.data.hashing import mix
from vr.data.sketch import BottomK

STREAM = st.lists(st.integers(0, 40), max_size=60).map(lambda items: mix(np.array(items, np.uint64)))


def plain(hashes: np.ndarray, k: int) -> BottomK:
    values, counts = np.unique(hashes, return_counts=True)
    return BottomK(k, values[:k], counts[:k])


@given(STREAM, st.integers(1, 50))
def test_a_sketch_holds_the_least_hashes_and_their_counts(hashes, k):
    assert BottomK.of(hashes, k) == plain(hashes, k)


@given(STREAM, STREAM, STREAM, st.integers(1, 20))
def test_merging_equals_sketching_the_whole(a, b, c, k):
    whole = plain(np.concatenate([a, b, c]), k)
    x, y, z = (BottomK.of(part, k) for part in (a, b, c))
    assert x.merge(y, z) == whole
    assert x.merge(y).merge(z) == whole
    assert z.merge(y.merge(x)) == whole
    assert x.merge(BottomK.empty(k)) == x
    assert x.merge() == x


@given(STREAM, STREAM, st.integers(1, 20))
def test_what_a_known_sketch_rules_out_never_changes_the_merged_one(a, b, k):
    known = BottomK.of(a, k)
    assert known.merge(BottomK.of(b, k, known.threshold)) == known.merge(BottomK.of(b, k))


@pytest.mark.parametrize("num_distinct", [1, 60, 64, 65, 500, 50_000])
def test_long_streams_take_the_short_cut_to_the_same_sketch(num_distinct):
    hashes = mix(np.random.default_rng(0).integers(0, num_distinct, 20_000).astype(np.uint64))
    assert BottomK.of(hashes, 64) == plain(hashes, 64)


@pytest.mark.parametrize("num_distinct", [10, 1_023, 5_000, 300_000])
def test_the_number_of_distinct_items_is_within_five_standard_errors(num_distinct):
    k, errors = 1_024, []
    for seed in range(5):
        items = np.arange(num_distinct, dtype=np.uint64) + np.uint64(seed << 40)
        estimate = BottomK.of(mix(np.concatenate([items, items[::3]])), k).distinct()
        errors.append(estimate / num_distinct - 1)
    if num_distinct < k:
        assert errors == [0.0] * 5
    else:
        assert np.abs(errors).max() < 5 / np.sqrt(k)
        assert np.abs(errors).max() > 0


def test_singletons_and_doubletons_are_counted_exactly():
    items = np.arange(100_000, dtype=np.uint64)
    twice = items % np.uint64(4) == 0
    stream = np.concatenate([items, items[twice]])
    np.random.default_rng(0).shuffle(stream)
    parts = [BottomK.of(mix(part), 512) for part in np.array_split(stream, 37)]
    sketch = parts[0].merge(*parts[1:])
    times = dict(zip(mix(items).tolist(), (1 + twice).tolist(), strict=True))
    assert [times[h] for h in sketch.hashes.tolist()] == sketch.counts.tolist()
    # A quarter of the sketched items are doubletons, as in the stream: within five binomial deviations.
    assert abs((sketch.counts == 2).mean() - 0.25) < 5 * np.sqrt(0.25 * 0.75 / 512)


def test_the_threshold_is_the_greatest_of_a_full_sketch_only():
    hashes = mix(np.arange(10, dtype=np.uint64))
    assert BottomK.of(hashes, 10).threshold == hashes.max()
    assert BottomK.of(hashes, 11).threshold == 2**64 - 1
    assert BottomK.empty(3).distinct() == 0.0


def test_without_counts_repeats_leave_no_trace():
    once, often = (BottomK.of(mix(np.repeat(np.arange(9, dtype=np.uint64), n)), 8).without_counts() for n in (1, 5))
    assert once == often
    assert once.merge(often) == once


def test_sketches_of_different_capacity_do_not_merge():
    with pytest.raises(ValueError, match="different capacity"):
        BottomK.empty(3).merge(BottomK.empty(4))


def test_a_sketch_equals_only_sketches():
    assert BottomK.empty(3) != "sketch"
    assert BottomK.empty(3) != BottomK.empty(4)
