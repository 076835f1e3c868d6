"""A pool's own threads, and the libraries' beside them."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sklearn.ensemble  # noqa: F401 - it loads OpenMP
from threadpoolctl import threadpool_info, threadpool_limits

from vr.core.workers import ahead, each, single_threaded, workers


def counts() -> dict[str, int]:
    return {found["filepath"]: found["num_threads"] for found in threadpool_info()}


def test_libraries_start_no_threads_of_their_own_in_any_worker():
    with threadpool_limits(2):
        before = counts()
        assert any("gomp" in path for path in before), "no OpenMP was loaded, so nothing is tested"
        with workers(2) as pool:
            inside = [pool.submit(counts).result() for _ in range(4)]
        assert all(set(found.values()) == {1} for found in inside)
        assert counts() == before


def test_at_least_one_thread():
    with workers(0) as pool:
        assert pool.submit(sum, [1, 2]).result() == 3


def test_the_last_of_several_that_overlap_takes_the_limits_back():
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        before = [each.submit(counts).result() for each in (one, other)]
        contexts = [single_threaded(), single_threaded()]
        for each, context in zip((one, other), contexts, strict=True):
            each.submit(context.__enter__).result()
        one.submit(contexts[0].__exit__, None, None, None).result()
        within = other.submit(counts).result()
        assert set(within.values()) == {1}, "one that ended took the limit from one that goes on"
        other.submit(contexts[1].__exit__, None, None, None).result()
        assert [each.submit(counts).result() for each in (one, other)] == before


@pytest.mark.parametrize("threads", [1, 4])
def test_what_is_worked_out_ahead_gives_or_raises_where_it_is_asked_for(threads):
    begun = threading.Event()

    def work() -> int:
        begun.set()
        return max(counts().values())

    with ahead(work, threads) as asked:
        assert begun.wait(5.0 if threads > 1 else 0.0) is (threads > 1)
        if threads > 1:
            assert asked() == 1
    with ahead(lambda: [][0], threads) as failing, pytest.raises(IndexError):
        failing()


def test_what_nobody_waits_for_ends_with_the_piece_that_it_is_at():
    begun, done = threading.Event(), []

    def piece(item: int) -> None:
        begun.set()
        time.sleep(0.02)
        done.append(item)

    with ahead(lambda: each(piece, range(1_000), 2), 2):
        begun.wait(5.0)
    some = len(done)
    assert some < 20
    time.sleep(0.1)
    assert len(done) == some
    # Other work in the same thread is not abandoned.
    assert each(lambda item: item, range(3), 1) == [0, 1, 2]


@pytest.mark.parametrize("threads", [1, 2])
def test_each_keeps_the_order_of_its_items(threads):
    assert each(lambda item: item * 2, range(5), threads) == [0, 2, 4, 6, 8]
