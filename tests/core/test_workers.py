"""A pool's own threads, and the libraries' beside them."""

from concurrent.futures import ThreadPoolExecutor

import sklearn.ensemble  # noqa: F401 - it loads OpenMP
from threadpoolctl import threadpool_info, threadpool_limits

from vr.core.workers import single_threaded, workers


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


def test_the_last_of_several_that_overlap_takes_the_limit_back():
    with threadpool_limits(2):
        before = counts()
        first, second = single_threaded(), single_threaded()
        first.__enter__()
        second.__enter__()
        first.__exit__(None, None, None)
        blas = {path: number for path, number in counts().items() if "blas" in path}
        assert set(blas.values()) == {1}, "one that ended took the limit from one that goes on"
        second.__exit__(None, None, None)
        assert {path: number for path, number in counts().items() if "blas" in path} == {
            path: number for path, number in before.items() if "blas" in path
        }


def test_a_thread_gets_its_own_limit_back_whoever_is_last():
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as other:
        before = [each.submit(counts).result() for each in (one, other)]
        contexts = [single_threaded(), single_threaded()]
        for each, context in zip((one, other), contexts, strict=True):
            each.submit(context.__enter__).result()
        for each, context in zip((one, other), contexts, strict=True):
            each.submit(context.__exit__, None, None, None).result()
        assert [each.submit(counts).result() for each in (one, other)] == before
