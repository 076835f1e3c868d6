"""Threads that divide the work between them, and libraries that start none of their own beside them."""

import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

from threadpoolctl import ThreadpoolController

__all__ = ["ahead", "each", "single_threaded", "workers"]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

# A BLAS has one limit for the whole process, and several validations may be under way in it: the first one sets it, the
# last one takes it back. What was loaded in between has a limiter of its own.
_LOCK = threading.Lock()
_limiters: list[Any] = []
_users = 0
_libraries: tuple[int, ThreadpoolController] | None = None


@contextmanager
def single_threaded() -> Iterator[ThreadpoolController]:
    """Keeps linear algebra in this process, and OpenMP in this thread, to the thread that calls them.

    Sums in threads are added up in an order of their own, which moves last digits. Yields what limits OpenMP, for
    threads that are started within.
    """
    global _users
    # OpenMP's limit holds for the thread that sets it alone. A limiter takes back all that its controller knows.
    found = _loaded()
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


def _loaded() -> ThreadpoolController:
    """Returns what knows the libraries that are loaded: looked for again only once a module was imported since."""
    global _libraries
    modules = len(sys.modules)
    if _libraries is None or _libraries[0] != modules:
        _libraries = modules, ThreadpoolController()
    return _libraries[1]


def each(function: Callable[[_Item], _Result], items: Iterable[_Item], threads: int) -> list[_Result]:
    """Returns what `function` makes of every item, in their order, worked out by so many `workers`."""
    found, abandoned = list(items), _ABANDONED.get()

    def piece(item: _Item) -> _Result:
        if abandoned is not None and abandoned.is_set():
            raise _Abandoned
        return function(item)

    if threads < 2 or len(found) < 2:
        with single_threaded():
            return [piece(item) for item in found]
    with workers(min(threads, len(found))) as pool:
        return list(pool.map(piece, found))


class _Abandoned(Exception):
    """Nobody waits for this work any more."""


_ABANDONED: ContextVar[threading.Event | None] = ContextVar("abandoned", default=None)


@contextmanager
def ahead(function: Callable[[], _Result], threads: int) -> Iterator[Callable[[], _Result]]:
    """Yields what gives `function()`: where there are two threads or more, one works it out from now on.

    What it raises is raised where it is asked for. Where the block is left before it is done it ends with the piece of
    `each` that it is at, so that nothing of it goes on afterwards.
    """
    if threads < 2:
        yield function
        return
    abandoned = threading.Event()

    def alone() -> _Result:
        _ABANDONED.set(abandoned)
        with single_threaded():
            return function()

    with ThreadPoolExecutor(1) as pool:
        future = pool.submit(alone)
        try:
            yield future.result
        finally:
            abandoned.set()


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
