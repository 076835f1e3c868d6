"""Threads that divide the work between them, and libraries that start none of their own beside them."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from threadpoolctl import ThreadpoolController

__all__ = ["single_threaded", "workers"]

# A BLAS has one limit for the whole process, and several validations may be under way in it: the first one sets it, the
# last one takes it back. What was loaded in between has a limiter of its own.
_LOCK = threading.Lock()
_limiters: list[Any] = []
_users = 0


@contextmanager
def single_threaded() -> Iterator[ThreadpoolController]:
    """Keeps linear algebra in this process, and OpenMP in this thread, to the thread that calls them.

    Sums in threads are added up in an order of their own, which moves last digits. Yields what limits OpenMP, for
    threads that are started within.
    """
    global _users
    # OpenMP's limit holds for the thread that sets it alone. A limiter takes back all that its controller knows.
    found = ThreadpoolController()
    openmp, blas = (found.select(user_api=kind) for kind in ("openmp", "blas"))
    with openmp.limit(limits=1):
        with _LOCK:
            _limiters.append(blas.limit(limits=1))
            _users += 1
        try:
            yield openmp
        finally:
            with _LOCK:
                _users -= 1
                while not _users and _limiters:
                    _limiters.pop().restore_original_limits()


@contextmanager
def workers(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Yields a pool of `threads` (at least one), each of them `single_threaded`.

    The pieces of work are the parallel part: a library that divides a piece again only crowds the others, and waits for
    its own threads on a busy machine.
    """
    with (
        single_threaded() as openmp,
        ThreadPoolExecutor(max(1, threads), initializer=lambda: openmp.limit(limits=1)) as pool,
    ):
        yield pool
