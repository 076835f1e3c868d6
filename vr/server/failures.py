"""Failures as they go over the wire: a `google.rpc.Status` with its details, and nothing of the server in it."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import grpc
from google.protobuf import any_pb2, duration_pb2
from google.protobuf.message import Message
from google.rpc import code_pb2, error_details_pb2, status_pb2
from grpc_status import rpc_status

from vr.server.reasons import DOMAIN, REASONS

__all__ = ["Failure", "Violation", "failure_of", "scrubbed", "to_rpc_status", "unavailable"]

# An absolute path of two parts or more, a user's home, or a store's address with what follows it.
_PATH = re.compile(r"(?:[A-Za-z][A-Za-z0-9+.-]*://|~/|(?<![\w.)])/(?=[\w.+-]+/))[^\s,;:'\"()\[\]]+")
_MOST_TEXT = 1_000
# gRPC sends a status in the trailing metadata, where 8 KiB pass: the message percent-encoded, the details in base64
# with the message once more.
_MOST_MESSAGE, _MOST_DETAILS, _MOST_FIELD = 1_200, 3_000, 200


@dataclass(frozen=True)
class Violation:
    """One field that is wrong."""

    field: str
    description: str


@dataclass
class Failure(Exception):
    """A failure of the table `vr.server.reasons`.

    Attributes:
      reason: Which.
      message: For a person; paths and addresses are taken out on the wire.
      violations: Fields that are wrong.
      quota: What was exhausted, for limits.
      metadata: More for a program, such as the validation id.
    """

    reason: str
    message: str = ""
    violations: Sequence[Violation] = ()
    quota: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__(self.message or REASONS[self.reason].meaning)

    def to_document(self) -> dict[str, Any]:
        """Returns the failure as JSON-able values, for the run store."""
        return {
            "reason": self.reason,
            "message": self.message,
            "violations": [[each.field, each.description] for each in self.violations],
            "quota": self.quota,
            "metadata": dict(self.metadata),
        }

    @classmethod
    def of_document(cls, document: Mapping[str, Any]) -> "Failure":
        """Returns what `to_document` gave."""
        return cls(**{**document, "violations": [Violation(*each) for each in document["violations"]]})


# The names of vr's own errors, as a child tells them, and their reasons.
_OF_ERRORS = {
    "ConfigError": "BAD_SETTING",
    "DataError": "BAD_DATA",
    "DivergedError": "DIVERGED",
    "OutOfMemoryError": "OUT_OF_MEMORY",
    "MemoryError": "OUT_OF_MEMORY",
    "CheckpointError": "STATE_DAMAGED",
    "StoreError": "STORE_UNAVAILABLE",
    # The operator's library of signatures is none of the caller's.
    "LibraryError": "INTERNAL",
    "AlreadyPublishedError": "STATE_DAMAGED",
    "DiskFull": "DISK_FULL",
    "Unavailable": "DATASET_UNAVAILABLE",
}


def failure_of(told: Mapping[str, Any]) -> Failure:
    """Returns what a child told of an error as a failure.

    Args:
      told: `kind` (the class's name), `message`, `hint`, and `field`, the request's field that is to blame, or None.
    """
    reason = _OF_ERRORS.get(told["kind"]) or "INTERNAL"
    if reason == "INTERNAL":
        # What it says is for the operator's log.
        return Failure(reason)
    if reason == "DATASET_UNAVAILABLE":
        return unavailable(told["field"])
    hint = f"; {told['hint']}" if told.get("hint") else ""
    text = scrubbed(f"{told['message']}{hint}")
    violations = [Violation(told["field"], text)] if told.get("field") else []
    return Failure(reason, text, violations)


def unavailable(name: str) -> Failure:
    """Returns the one answer to an address that is not there and to one that is forbidden."""
    text = "there is no such dataset for this tenant"
    return Failure("DATASET_UNAVAILABLE", text, [Violation(name, text)])


def scrubbed(text: str) -> str:
    """Returns a message without paths and addresses, on one line and of bounded length."""
    line = _PATH.sub("<path>", " ".join(text.split()))
    return line if len(line) <= _MOST_TEXT else line[: _MOST_TEXT - 3] + "..."


def to_rpc_status(failure: Failure) -> grpc.Status:
    """Returns a failure as what `context.abort_with_status` takes."""
    reason = REASONS[failure.reason]
    metadata = dict(failure.metadata)
    details: list[Message] = []
    if failure.violations:
        bad = _bad_request(failure.violations)
        if left_out := len(failure.violations) - len(bad.field_violations):
            metadata["more_violations"] = str(left_out + int(metadata.get("more_violations", 0)))
        details.append(bad)
    details.insert(0, error_details_pb2.ErrorInfo(reason=failure.reason, domain=DOMAIN, metadata=metadata))
    if reason.retry_s is not None:
        delay = duration_pb2.Duration()
        delay.FromMilliseconds(round(reason.retry_s * 1000))
        details.append(error_details_pb2.RetryInfo(retry_delay=delay))
    if failure.quota is not None:
        quota = error_details_pb2.QuotaFailure()
        quota.violations.add(subject=failure.quota, description=reason.meaning)
        details.append(quota)
    status = status_pb2.Status(code=getattr(code_pb2, reason.code), message=_text_of(failure))
    for each in details:
        packed = any_pb2.Any()
        packed.Pack(each)
        status.details.append(packed)
    return rpc_status.to_status(status)


def _text_of(failure: Failure) -> str:
    return _clipped(scrubbed(failure.message or REASONS[failure.reason].meaning), _MOST_MESSAGE)


def _bad_request(violations: Sequence[Violation]) -> error_details_pb2.BadRequest:
    """Returns as many violations as a status holds, the first one at least."""
    bad = error_details_pb2.BadRequest()
    for each in violations:
        bad.field_violations.add(
            field=_clipped(each.field, _MOST_FIELD), description=_clipped(scrubbed(each.description), _MOST_MESSAGE)
        )
        if bad.ByteSize() > _MOST_DETAILS and len(bad.field_violations) > 1:
            del bad.field_violations[-1]
            break
    return bad


def _clipped(text: str, most: int) -> str:
    """Returns a text that takes `most` bytes in a header, where all but ASCII is written as `%XX`."""
    size = 0
    for at, char in enumerate(text):
        size += 1 if " " <= char <= "~" and char != "%" else 3 * len(char.encode(errors="replace"))
        if size > most:
            return text[: max(0, at - 3)] + "..."
    return text
