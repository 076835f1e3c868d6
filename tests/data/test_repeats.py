import numpy as np

from vr.data import repeats
from vr.data.repeats import Followers, Repeats


def test_marks_exactly_the_rows_that_repeat_an_earlier_one_whatever_the_batches():
    hashes = np.random.default_rng(0).integers(0, 300, 2_000).astype(np.uint64)
    expected = np.ones(2_000, bool)
    expected[np.unique(hashes, return_index=True)[1]] = False
    for size in (1, 7, 256, 5_000):
        seen = Repeats()
        parts = [seen.mark(hashes[i : i + size]) for i in range(0, 2_000, size)]
        assert np.array_equal(np.concatenate(parts), expected)
        assert seen.complete


def test_a_full_memory_is_told_and_still_compares(monkeypatch):
    monkeypatch.setattr(repeats, "MAX_ROWS", 10)
    seen = Repeats()
    assert not seen.mark(np.arange(8, dtype=np.uint64)).any()
    assert not seen.mark(np.arange(8, 20, dtype=np.uint64)).any()
    assert not seen.complete
    assert seen.mark(np.arange(8, dtype=np.uint64)).all()


def test_followers_go_where_an_earlier_row_of_their_hash_went(monkeypatch):
    monkeypatch.setattr(repeats, "MAX_ROWS", 2)
    followers = Followers()

    def follow(hashes, goes, repeated):
        return followers.follow(np.array(hashes, np.uint64), np.array(goes, bool), np.array(repeated, bool)).tolist()

    assert follow([1, 2, 3, 1], goes=[1, 0, 0, 0], repeated=[0, 0, 0, 1]) == [True, False, False, True]
    # Of the same batch or an earlier one; what is not called a repeat stays.
    assert follow([2, 1, 1, 4, 4], goes=[0, 0, 0, 1, 0], repeated=[1, 1, 0, 0, 1]) == [False, True, False, True, True]
    assert followers.complete
    assert follow([5, 6], goes=[1, 1], repeated=[0, 0]) == [True, True]
    assert not followers.complete
