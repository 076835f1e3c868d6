"""The one layer that tries again, and the words for what a store's libraries raise.

Libraries below are told not to retry: attempts would multiply. What they raise is replaced by words of our own, for
their texts may quote addresses, headers and keys.
"""

import re
from collections.abc import Callable, Iterator
from typing import TypeVar

from vr.core.errors import StoreError, VrError

__all__ = ["Absent", "Forbidden", "Passing", "Precondition", "with_retries"]

T = TypeVar("T")

# A request that fails half of the time fails ten times in a row once in a thousand calls.
_ATTEMPTS = 10
_TOTAL_S = 120.0  # no new attempt begins after this
_FIRST_WAIT_S, _LONGEST_WAIT_S, _JITTER_S = 0.1, 5.0, 0.5

_AWS_ERROR = re.compile(r"AWS Error ([A-Z_]+)")
_HTTP_STATUS = re.compile(r"(?:HTTP status|http_status_code=|status code:?) ?(\d{3})", re.IGNORECASE)
_GOOGLE_STATUS = re.compile(r"google::cloud::Status\(([A-Z_]+)")
_FORBIDDEN_WORDS = {
    "ACCESS_DENIED",
    "INVALID_ACCESS_KEY_ID",
    "INVALID_CLIENT_TOKEN_ID",
    "SIGNATURE_DOES_NOT_MATCH",
    "INVALID_SIGNATURE",
    "UNRECOGNIZED_CLIENT",
    "MISSING_AUTHENTICATION_TOKEN",
    "MISSING_AUTHENTICATION",
    "REQUEST_EXPIRED",
    "PERMISSION_DENIED",
    "UNAUTHENTICATED",
    "OPT_IN_REQUIRED",
    "VALIDATION",
}
_ABSENT_WORDS = {"NO_SUCH_BUCKET", "NO_SUCH_KEY", "RESOURCE_NOT_FOUND", "NOT_FOUND", "NO_SUCH_UPLOAD"}
_NO_CREDENTIALS = {"NoCredentialsError", "PartialCredentialsError", "DefaultCredentialsError", "ProfileNotFound"}
_LIBRARIES = {"pyarrow", "botocore", "google", "requests", "urllib3", "http"}
_PASSING_STATUS = {408, 409, 425, 429}


class Absent(StoreError):
    """There is no such object or bucket; not tried again."""


class Forbidden(StoreError):
    """The store knows us and says no, or does not know us; not tried again."""


class Precondition(StoreError):
    """The object is there already, where it must not be; not tried again."""


class Passing(StoreError):
    """What may succeed when it is tried again."""


def with_retries(call: Callable[[], T], where: str) -> T:
    """Returns `call()`, tried again with jitter while it fails in ways that may pass.

    Args:
      call: One request to a store, which may be repeated.
      where: The object concerned, as it may be shown.

    Raises:
      Absent, Forbidden, Precondition: at once.
      StoreError: after the last attempt.
    """
    import stamina

    number = 0
    try:
        for attempt in stamina.retry_context(
            on=Passing,
            attempts=_ATTEMPTS,
            timeout=_TOTAL_S,
            wait_initial=_FIRST_WAIT_S,
            wait_max=_LONGEST_WAIT_S,
            wait_jitter=_JITTER_S,
        ):
            with attempt:
                number = attempt.num
                try:
                    return call()
                except VrError:
                    raise
                except Exception as err:
                    if not isinstance(err, OSError) and type(err).__module__.partition(".")[0] not in _LIBRARIES:
                        raise
                    # Not `from err`: a traceback would show the library's text.
                    raise _failure(err, where) from None
    except Passing as err:
        raise StoreError(
            f"{err.message}, {number} times in a row" if number > 1 else err.message,
            where=where,
            hint="check the network and the endpoint, then run the same command again",
        ) from None
    raise AssertionError("stamina either returns or raises")


def _failure(err: Exception, where: str) -> StoreError:
    words, status = list(_words(err)), _status(err)
    said = ", ".join(dict.fromkeys([*words, *([f"HTTP {status}"] if status else [])])) or type(err).__name__
    if status == 412:
        return Precondition("is there already", where=where)
    if type(err).__name__ in _NO_CREDENTIALS:
        return Forbidden(
            "no credentials were found",
            where=where,
            hint="log in (aws, gcloud), set the platform's variables, or add ?anonymous=true for a public bucket",
        )
    if isinstance(err, PermissionError) or status in (401, 403) or _FORBIDDEN_WORDS & set(words):
        return Forbidden(
            f"may not be used ({said})",
            where=where,
            hint="check that the credentials in force may list, read and write there",
        )
    if isinstance(err, FileNotFoundError) or status in (404, 410) or _ABSENT_WORDS & set(words):
        return Absent("does not exist", where=where, hint="check the bucket and the name")
    if status is not None and 400 <= status < 500 and status not in _PASSING_STATUS:
        return StoreError(f"was refused ({said})", where=where, hint="check the address, the region and the endpoint")
    return Passing(f"failed ({said})", where=where)


def _chain(err: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = err
    while seen is not None:
        yield seen
        seen = seen.__cause__


def _words(err: Exception) -> Iterator[str]:
    """Yields the codes, of capitals alone, that a library's exception carries."""
    for each in _chain(err):
        for pattern in (_AWS_ERROR, _GOOGLE_STATUS):
            if found := pattern.search(str(each)):
                yield found[1]
        response = getattr(each, "response", None)
        if isinstance(response, dict):
            code = str(response.get("Error", {}).get("Code", ""))
            if re.fullmatch(r"[A-Za-z]+", code):
                yield code


def _status(err: Exception) -> int | None:
    """Returns the HTTP status behind an exception of pyarrow, botocore or Google's libraries."""
    for each in _chain(err):
        response = getattr(each, "response", None)
        if isinstance(response, dict):
            status = response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        else:
            status = getattr(response, "status_code", None) or getattr(each, "code", None)
        if isinstance(status, int) and 100 <= status < 600:
            return int(status)
        if found := _HTTP_STATUS.search(str(each)):
            return int(found[1])
    return None
