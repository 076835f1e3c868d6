"""A pool's own threads, and the libraries' beside them."""

import sklearn.ensemble  # noqa: F401 - it loads OpenMP
from threadpoolctl import threadpool_info, threadpool_limits

from vr.core.workers import workers


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
