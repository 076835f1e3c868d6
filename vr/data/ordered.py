"""Work on a stream in threads, results in order, in bounded memory."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

from vr.core.workers import single_threaded, workers

__all__ = ["map_in_order"]

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


def map_in_order(function: Callable[[_Item], _Result], items: Iterable[_Item], threads: int) -> Iterator[_Result]:
    """Yields `function(item)` for every item, in order; at most `threads` + 1 are in flight.

    Items are taken from their iterator by the caller's thread, while others work. Libraries start no threads of their
    own meanwhile, so that results do not depend on `threads`.
    """
    if threads <= 1:
        with single_threaded():
            yield from map(function, items)
        return
    with workers(threads) as pool:
        pending: list[Future] = []
        try:
            for item in items:
                pending.append(pool.submit(function, item))
                if len(pending) > threads:
                    yield pending.pop(0).result()
            while pending:
                yield pending.pop(0).result()
        finally:
            for future in pending:
                future.cancel()
