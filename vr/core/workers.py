"""Threads that divide the work between them, and libraries that start none of their own beside them."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from threadpoolctl import ThreadpoolController

__all__ = ["workers"]


@contextmanager
def workers(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Yields a pool of `threads` (at least one), in which linear algebra and OpenMP keep to the thread that calls them.

    The pieces of work are the parallel part: a library that divides a piece again only crowds the others, and waits for
    its own threads on a busy machine.
    """
    controller = ThreadpoolController()
    # OpenMP's limit holds only for the thread that sets it, so each sets its own; a BLAS has one for all of them.
    with (
        controller.limit(limits=1),
        ThreadPoolExecutor(max(1, threads), initializer=lambda: controller.limit(limits=1)) as pool,
    ):
        yield pool
