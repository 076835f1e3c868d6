"""The one layer that tries again, and the words for what a store's libraries raise.

Libraries below are told not to retry: attempts would multiply. What they raise is replaced by words of our own, for
their texts may quote addresses, headers and keys.
"""

import re
from collections.abc import Callable, Iterator
from typing import TypeVar

from vr.core.errors import ConfigError, StoreError, VrError

__all__ = ["Absent", "Forbidden", "Passing", "Precondition", "failure", "with_retries"]

T = TypeVar("T")

# A request that fails half of the time fails ten times in a row once in a thousand calls.
_ATTEMPTS = 10
_TOTAL_S = 120.0  # no new attempt begins after this
_FIRST_WAIT_S, _LONGEST_WAIT_S, _JITTER_S = 0.1, 5.0, 0.5

_AWS_ERROR = re.compile(r"AWS Error ([A-Z_]+)")
_HTTP_STATUS = re.compile(r"(?:HTTP status|http_status_code=|status code:?) ?(\d{3})", re.IGNORECASE)
_GOOGLE_STATUS = re.compile(r"google::cloud::Status\(([A-Z_]+)")
# Codes in capitals: the libraries write AccessDenied, ACCESS_DENIED and AccessDeniedException.
_FORBIDDEN_WORDS = {
    "ACCESSDENIED",
    "EXPIREDTOKEN",
    "INVALIDACCESSKEYID",
    "INVALIDCLIENTTOKENID",
    "INVALIDSIGNATURE",
    "INVALIDTOKEN",
    "MISSINGAUTHENTICATION",
    "MISSINGAUTHENTICATIONTOKEN",
    "OPTINREQUIRED",
    "PERMISSIONDENIED",
    "REQUESTEXPIRED",
    "SIGNATUREDOESNOTMATCH",
    "TOKENREFRESHREQUIRED",
    "UNAUTHENTICATED",
    "UNRECOGNIZEDCLIENT",
    "VALIDATION",
}
_ABSENT_WORDS = {"NOSUCHBUCKET", "NOSUCHKEY", "RESOURCENOTFOUND", "NOTFOUND", "NOSUCHUPLOAD"}
_REGION_WORDS = {"AUTHORIZATIONHEADERMALFORMED", "ILLEGALLOCATIONCONSTRAINT", "PERMANENTREDIRECT", "TEMPORARYREDIRECT"}
_PASSING_WORDS = {
    "ABORTED",
    "BANDWIDTHLIMITEXCEEDED",
    "DATALOSS",
    "DEADLINEEXCEEDED",
    "INTERNAL",
    "INTERNALERROR",
    "INTERNALFAILURE",
    "LIMITEXCEEDED",
    "NETWORKCONNECTION",
    "OPERATIONABORTED",
    "REQUESTTIMEOUT",
    "RESOURCEEXHAUSTED",
    "SERVICEUNAVAILABLE",
    "SLOWDOWN",
    "THROTTLING",
    "TOOMANYREQUESTS",
    "UNAVAILABLE",
}
# Exceptions that say what happened by their class alone.
_PASSING_CLASSES = {
    "ChunkedEncodingError",
    "ConnectTimeoutError",
    "ConnectionClosedError",
    "ConnectionError",
    "ConnectTimeout",
    "ContentDecodingError",
    "DataCorruption",
    "EndpointConnectionError",
    "HTTPClientError",
    "IncompleteRead",
    "IncompleteReadError",
    "JSONDecodeError",
    "MetadataRetrievalError",
    "NameResolutionError",
    "NewConnectionError",
    "ProtocolError",
    "ProxyConnectionError",
    "ReadTimeout",
    "ReadTimeoutError",
    "RemoteDisconnected",
    "ResponseParserError",
    "ResponseStreamingError",
    "Timeout",
    "TransportError",
}
_PASSING_TEXT = re.compile(
    r"curl|connection|timed? ?out|broken pipe", re.IGNORECASE
)  # of pyarrow, which has no classes
_LOGIN_CLASSES = {
    "CredentialRetrievalError",
    "InvalidGrantError",
    "LoginRefreshRequired",
    "LoginTokenLoadError",
    "ReauthFailError",
    "ReauthSamlChallengeFailError",
    "RefreshError",
    "RefreshWithMFAUnsupportedError",
    "SSOError",
    "SSOTokenLoadError",
    "TokenRetrievalError",
    "UnauthorizedSSOTokenError",
}
_CONFIG_CLASSES = {
    "ConfigNotFound",
    "ConfigParseError",
    "InvalidConfigError",
    "NoRegionError",
    "ParamValidationError",
    "UnknownEndpointError",
    "ValidationError",
}
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
      ConfigError: at once, where the library does not take what it was told.
      StoreError: at once, or after the last attempt where the cause is one of those known to pass.
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
                    library = type(err).__module__.partition(".")[0] in _LIBRARIES
                    if not (library or isinstance(err, OSError | ValueError)):
                        raise
                    # Not `from err`: a traceback would show the library's text.
                    raise failure(err, where) from None
    except Passing as err:
        raise StoreError(
            f"{err.message}, {number} times in a row" if number > 1 else err.message,
            where=where,
            hint="check the network and the endpoint, then run the same command again",
        ) from None
    raise AssertionError("stamina either returns or raises")


def failure(err: Exception, where: str) -> VrError:
    """Returns what a library's exception means, without its text; `Passing` only for causes that are known to pass."""
    codes, status = list(_codes(err)), _status(err)
    words = {code.replace("_", "").upper().removesuffix("EXCEPTION") for code in codes}
    names = {kind.__name__ for kind in type(err).__mro__}
    said = ", ".join(dict.fromkeys([*codes, *([f"HTTP {status}"] if status else [])])) or type(err).__name__
    if status == 412:
        return Precondition("is there already", where=where)
    if names & _NO_CREDENTIALS:
        return Forbidden(
            "no credentials were found",
            where=where,
            hint="log in (aws, gcloud), set the platform's variables, or add ?anonymous=true for a public bucket",
        )
    if names & _LOGIN_CLASSES and not getattr(err, "retryable", False):
        return Forbidden(
            f"the credentials found are not valid any more ({said})", where=where, hint="log in again (aws, gcloud)"
        )
    if isinstance(err, PermissionError) or status in (401, 403) or _FORBIDDEN_WORDS & words:
        return Forbidden(
            f"may not be used ({said})",
            where=where,
            hint="check that the credentials in force may list, read and write there",
        )
    if isinstance(err, FileNotFoundError) or status in (404, 410) or _ABSENT_WORDS & words:
        return Absent("does not exist", where=where, hint="check the bucket and the name")
    if (status is not None and 300 <= status < 400) or _REGION_WORDS & words:
        return StoreError(
            f"is in another region or at another endpoint ({said})",
            where=where,
            hint="set AWS_REGION, or ?region= in the address, to the bucket's region",
        )
    if status is not None and 400 <= status < 500 and status not in _PASSING_STATUS:
        return StoreError(f"was refused ({said})", where=where, hint="check the address, the region and the endpoint")
    if status is not None and (status >= 500 or status in _PASSING_STATUS):
        return Passing(f"failed ({said})", where=where)
    if _PASSING_WORDS & words or names & _PASSING_CLASSES or getattr(err, "retryable", False):
        return Passing(f"failed ({said})", where=where)
    if isinstance(err, ConnectionError | TimeoutError) or (type(err) is OSError and _PASSING_TEXT.search(str(err))):
        return Passing(f"failed ({said})", where=where)
    if isinstance(err, ValueError) or names & _CONFIG_CLASSES:
        return ConfigError(
            f"is not taken by the store's library ({said})", where=where, hint="check the address and the endpoint"
        )
    return StoreError(f"failed ({said})", where=where, hint="check the address, the region and the endpoint")


def _chain(err: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = err
    while seen is not None:
        yield seen
        seen = seen.__cause__


def _codes(err: Exception) -> Iterator[str]:
    """Yields the codes, of letters alone, that a library's exception carries."""
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
