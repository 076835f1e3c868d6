"""How processes that train together agree: process 0 looks, and tells the others.

They all run the same program on the same inputs, so what differs is what one of them alone has seen: the output folder,
a clock, a failed save. Every process calls these functions in the same order, from its main thread. In a single process
they are as if they were not there.
"""

import json
from collections.abc import Callable
from typing import Any, TypeVar

import numpy as np

from vr.cascade import hosts
from vr.core import errors
from vr.core.errors import VrError

__all__ = ["by_each", "by_first", "least_of_all", "sent", "told_by_first"]

_PIECE_BYTES = 1 << 26  # sent at once: every device holds a few of these on the way

_T = TypeVar("_T")


def by_first(call: Callable[[], _T]) -> _T | None:
    """Returns what `call` returns on process 0, the only one to call it, and None on the others.

    Raises:
      VrError: on every process, where `call` raises it.
    """
    return _by_first(call, tell=False)


def by_each(call: Callable[[], _T]) -> _T:
    """Returns what `call` returns on this process; every process calls it, and `call` speaks to no other.

    Raises:
      VrError: on every process, where `call` raises on any: process 0's, which alone has the folder, or its own, or one
        that says so.
    """
    if not hosts.several():
        return call()
    try:
        value, error = call(), None
    except Exception as err:  # noqa: BLE001 - the others wait to be told, whatever it is
        value, error = None, err
    by_first(lambda: _raise(error))
    have = least_of_all(0 if error else 1)
    _raise(error)
    if not have:
        raise VrError("another process failed, and says why", where=f"one of {hosts.count()} processes")
    return value  # type: ignore[return-value]


def _raise(error: Exception | None) -> None:
    if error is not None:
        raise error


def told_by_first(call: Callable[[], _T]) -> _T:
    """Returns on every process what `call` returns on process 0, the only one to call it: a JSON value.

    Raises:
      VrError: on every process, where `call` raises it.
    """
    return _by_first(call, tell=True)


def _by_first(call: Callable[[], Any], tell: bool) -> Any:
    if not hosts.several():
        return call()
    if not hosts.is_first():
        found = json.loads(_received())
        if error := found.get("error"):
            kind = getattr(errors, error.pop("kind"), VrError)
            raise kind(error.pop("message"), **error)
        return found["value"]
    try:
        value = call()
        message = {"value": value if tell else None}
        json.dumps(message)
    except Exception as err:
        # Whatever it is: the others wait to be told, and it goes on its way here.
        _told({"error": _portable(err)})
        raise
    _told(message)
    return value


def _portable(err: Exception) -> dict[str, Any]:
    if isinstance(err, VrError):
        return {"kind": type(err).__name__, "message": err.message, "where": err.where, "hint": err.hint}
    return {"kind": "VrError", "message": f"process 0 failed: {type(err).__name__}: {err}"}


def _told(document: dict[str, Any]) -> None:
    content = np.frombuffer(json.dumps(document).encode(), np.uint8)
    # A power of two, so that messages of all lengths are sent by few programs.
    size = 1 << max(10, (len(content) - 1).bit_length())
    sent(np.array([size], np.int32), 0)
    padded = np.full(size, ord(" "), np.uint8)
    padded[: len(content)] = content
    sent(padded, 0)


def _received() -> bytes:
    size = int(sent(np.zeros(1, np.int32), 0)[0])
    return sent(np.zeros(size, np.uint8), 0).tobytes()


def sent(array: np.ndarray, source: int = 0) -> np.ndarray:
    """Returns on every process the array of process `source`, bit by bit; those of the others give its shape and type.

    Goes through the devices, which sum it over processes in pieces of 64 MiB.
    """
    if not hosts.several() or array.size == 0:
        return array
    from jax.experimental import multihost_utils

    mine = hosts.number() == source
    # As integers: a sum of floats makes 0.0 of -0.0.
    flat = np.ascontiguousarray(array).reshape(-1).view(np.uint8)
    result = flat.copy() if mine else np.empty_like(flat)
    with hosts.peers_watched():
        for first in range(0, len(flat), _PIECE_BYTES):
            piece = slice(first, first + _PIECE_BYTES)
            result[piece] = multihost_utils.broadcast_one_to_all(result[piece], is_source=mine)
    return result.view(array.dtype).reshape(array.shape)


def least_of_all(value: int | None) -> int | None:
    """Returns the least value of all processes, None where one of them has none."""
    if not hosts.several():
        return value
    # In halves, since jax has 32 bits.
    high, low = divmod(-1 if value is None else value, 1 << 31)
    found = [sent(np.array([high, low], np.int32), process) for process in range(hosts.count())]
    least = min((int(high) << 31) + int(low) for high, low in found)
    return None if least < 0 else least
