"""What goes through the pipe from a reading process: frames of a kind, a length and so many bytes.

T   it got on: nothing else to tell
J   an answer, in JSON
D   a piece of an Arrow IPC stream
Z   the stream is over, nothing follows
E   an error, in JSON: class, message, where, hint
"""

import struct
from typing import Any

from vr.core import errors
from vr.core.errors import DataError, VrError

__all__ = ["HEADER", "UnforeseenError", "error_of", "frame", "header_of", "told"]

HEADER = struct.Struct("<cQ")
_PASSED_ON = ("DataError", "ConfigError", "StoreError")


class UnforeseenError(Exception):
    """What a reading process raised that no reader foresees, by its name and text; the cause of a `DataError`."""


def frame(kind: bytes, *pieces: memoryview) -> list[bytes | memoryview]:
    """Returns the buffers of one frame, in order."""
    return [HEADER.pack(kind, sum(len(piece) for piece in pieces)), *pieces]


def header_of(data: bytes | bytearray | memoryview) -> tuple[bytes, int]:
    """Returns a frame's kind and length."""
    return HEADER.unpack(data)


def told(error: BaseException) -> dict[str, Any]:
    """Returns an error as JSON; what is no `VrError` of the kinds that reading raises is told by its name and text."""
    for name in _PASSED_ON:
        if isinstance(error, getattr(errors, name)):
            assert isinstance(error, VrError)
            return {"class": name, "message": error.message, "where": error.where, "hint": error.hint}
    return {"class": None, "message": f"{type(error).__name__}: {error}"}


def error_of(told: dict[str, Any], where: str) -> VrError:
    """Returns the error again; one that was not foreseen as a `DataError` about `where`."""
    if told["class"] in _PASSED_ON:
        return getattr(errors, told["class"])(told["message"], where=told["where"], hint=told["hint"])
    error = DataError(
        f"cannot be read ({told['message'][:200]})",
        where=where,
        hint="it may be damaged: write it again, or in another format",
    )
    error.__cause__ = UnforeseenError(told["message"])
    return error
