"""Calls that are made again where that may help, and errors with what the server says of them.

One layer alone tries again: neither gRPC's own retries nor anything above this module does.
"""

import random
import time
from collections.abc import Callable
from typing import TypeVar

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from vr.core.errors import VrError

__all__ = ["Deadline", "ServiceError", "error_of", "is_transient", "retried"]

T = TypeVar("T")
_FIRST_S, _LONGEST_S = 0.2, 10.0
_USAGE, _DATA, _FAILED = 2, 3, 4
_EXIT_CODES = {"BAD_REQUEST": _USAGE, "BAD_SETTING": _USAGE, "BAD_DATA": _DATA, "DATASET_UNAVAILABLE": _DATA}


class ServiceError(VrError):
    """The service refused, or could not be reached.

    Attributes:
      code: gRPC's status code, by name.
      reason: Of docs/errors.md; None where the failure is gRPC's own.
      violations: Wrong fields and what is wrong with each.
      retry_s: After how long the same may succeed, as the server says.
      metadata: More, such as the validation id.
    """

    def __init__(self, code: str, message: str):
        super().__init__(message or code, where=code)
        self.code = code
        self.reason: str | None = None
        self.violations: dict[str, str] = {}
        self.retry_s: float | None = None
        self.metadata: dict[str, str] = {}

    @property
    def exit_code(self) -> int:  # type: ignore[override]
        """Of a command that ends with it."""
        return _EXIT_CODES.get(self.reason or "", _FAILED)


def error_of(error: grpc.RpcError) -> ServiceError:
    """Returns what a failed call says, its details read."""
    found = ServiceError(error.code().name, error.details() or "")
    try:
        status = rpc_status.from_call(error)  # type: ignore[arg-type]
    except ValueError:
        status = None
    for detail in () if status is None else status.details:
        info, bad, retry = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest(), error_details_pb2.RetryInfo()
        if detail.Unpack(info):
            found.reason, found.metadata = info.reason, dict(info.metadata)
        elif detail.Unpack(bad):
            found.violations = {each.field: each.description for each in bad.field_violations}
        elif detail.Unpack(retry):
            found.retry_s = retry.retry_delay.ToMilliseconds() / 1000
    return found


class Deadline:
    """A moment after which nothing is waited for any more.

    Args:
      seconds: From now; None: there is none.
    """

    def __init__(self, seconds: float | None):
        self._at = None if seconds is None else time.monotonic() + seconds

    @property
    def left(self) -> float | None:
        """Seconds left, not below 0; None: any number."""
        return None if self._at is None else max(0.0, self._at - time.monotonic())


def is_transient(error: ServiceError) -> bool:
    """Returns whether the same call may succeed later; what exhausts a limit, only where the server says so."""
    return error.code == "UNAVAILABLE" or (error.code == "RESOURCE_EXHAUSTED" and error.retry_s is not None)


def retried(call: Callable[[float | None], T], deadline: Deadline, attempts: int) -> T:
    """Returns what `call` does, tried again after failures that may pass.

    Args:
      call: Given the seconds left.
      deadline: Of all attempts and the waits between them.
      attempts: At most so many.

    Raises:
      ServiceError: as the last attempt failed.
    """
    for attempt in range(attempts):
        try:
            return call(deadline.left)
        except grpc.RpcError as err:
            error = error_of(err)
            if not is_transient(error) or attempt + 1 == attempts or not _waited(error, attempt, deadline):
                raise error from None
    raise AssertionError("unreachable")


def _waited(error: ServiceError, attempt: int, deadline: Deadline) -> bool:
    """Waits before another attempt; returns False at once where the deadline would pass meanwhile."""
    backoff = min(_LONGEST_S, _FIRST_S * 2**attempt)
    # Never sooner than the server says; jitter, so that those refused together do not come back together.
    wait = max(error.retry_s or 0.0, backoff) * random.uniform(1.0, 1.5)
    left = deadline.left
    if left is not None and wait >= left:
        return False
    time.sleep(wait)
    return True
