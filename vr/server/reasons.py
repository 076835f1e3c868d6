"""Every way in which the service may fail: one table, for the wire, for clients and for docs/errors.md.

python -m vr.server.reasons > docs/errors.md
"""

from dataclasses import dataclass

__all__ = ["DOMAIN", "REASONS", "Reason", "page"]

DOMAIN = "vr"


@dataclass(frozen=True)
class Reason:
    """One way to fail.

    Attributes:
      code: gRPC's status code, by name.
      meaning: What happened.
      advice: What the caller can do.
      retry_s: After how long the same request may succeed; None: not by itself.
    """

    code: str
    meaning: str
    advice: str
    retry_s: float | None = None


REASONS: dict[str, Reason] = {
    "BAD_REQUEST": Reason(
        "INVALID_ARGUMENT",
        "Fields of the request break the contract's constraints.",
        "`BadRequest` names them; `more_violations` in the metadata counts those that it has no room for.",
    ),
    "MALFORMED_MESSAGE": Reason(
        "INVALID_ARGUMENT", "The bytes are no message of the method.", "Use the published .proto files."
    ),
    "BAD_SETTING": Reason(
        "INVALID_ARGUMENT",
        "A setting is unknown, of the wrong type or out of range.",
        "`BadRequest` names it; the settings are those of the command line.",
    ),
    "BAD_DATA": Reason(
        "INVALID_ARGUMENT",
        "A dataset cannot be read, or cannot be compared as asked.",
        "`BadRequest` names the dataset, and the message what is wrong with it.",
    ),
    "DATASET_UNAVAILABLE": Reason(
        "NOT_FOUND",
        "There is no such dataset for this tenant: it is not there, or it is not the tenant's to read.",
        "Check the address; ask the operator which folders and buckets are yours.",
    ),
    "VALIDATION_NOT_FOUND": Reason(
        "NOT_FOUND",
        "This tenant has no validation of that id, or no longer.",
        "Begin it again with its datasets.",
    ),
    "KEY_REUSED": Reason(
        "ALREADY_EXISTS",
        "The idempotency key was used for another job.",
        "Use a new key for a new job.",
    ),
    "UNAUTHENTICATED": Reason(
        "UNAUTHENTICATED",
        "No tenant has this token or certificate.",
        "Send `authorization: Bearer TOKEN`, or a client certificate that the operator knows.",
    ),
    "QUEUE_FULL": Reason(
        "RESOURCE_EXHAUSTED", "As many validations wait as may.", "Try again after `RetryInfo`.", retry_s=5.0
    ),
    "TENANT_JOBS": Reason(
        "RESOURCE_EXHAUSTED",
        "The tenant has as many validations waiting or computed as it may.",
        "Try again after `RetryInfo`, or cancel some.",
        retry_s=5.0,
    ),
    "TOO_MANY_CALLS": Reason(
        "RESOURCE_EXHAUSTED",
        "As many calls of the method, or of the tenant, are under way as may be.",
        "Try again after `RetryInfo`.",
        retry_s=1.0,
    ),
    "ANSWER_TOO_LARGE": Reason(
        "RESOURCE_EXHAUSTED",
        "The validation is finished, and what was asked of it takes more than a message may "
        "(`server.max_message_bytes`); `bytes` in the metadata says how much.",
        "Ask for a part, by the other calls and `validation_id`, or begin it with a smaller `localization.max_rows`.",
    ),
    "OUT_OF_MEMORY": Reason(
        "RESOURCE_EXHAUSTED", "The work does not fit into memory.", "Ask for a smaller cascade or sample."
    ),
    "DISK_FULL": Reason(
        "RESOURCE_EXHAUSTED", "The run store has no room left.", "Tell the operator; try again later.", retry_s=60.0
    ),
    "DEADLINE_EXCEEDED": Reason(
        "DEADLINE_EXCEEDED",
        "The call's deadline or the validation's time limit has passed, and the work was stopped.",
        "Allow more time, or ask for less.",
    ),
    "CANCELLED": Reason("CANCELLED", "The validation was cancelled.", "Begin it again."),
    "DRAINING": Reason(
        "UNAVAILABLE",
        "The server is about to stop.",
        "Try again: another replica, or its successor, goes on with the validation.",
        retry_s=1.0,
    ),
    "STORE_UNAVAILABLE": Reason(
        "UNAVAILABLE", "An object store or the run store does not answer.", "Try again.", retry_s=5.0
    ),
    "COMPUTE_DIED": Reason(
        "INTERNAL",
        "The process that computed the validation died, and died again when it was resumed.",
        "The dataset may be too large for the machine or made to do harm; tell the operator the validation id.",
    ),
    "DIVERGED": Reason(
        "FAILED_PRECONDITION", "Too many proxies diverged to say anything.", "Ask with `cascade` set to `none`."
    ),
    "ANSWER_CHANGED": Reason(
        "FAILED_PRECONDITION",
        "The datasets, or the service itself, changed after the verdict was given: the rest would not be of the same.",
        "Begin a new validation.",
    ),
    "STATE_DAMAGED": Reason("DATA_LOSS", "What the run store kept of the validation is damaged.", "Begin it again."),
    "UNKNOWN_METHOD": Reason("UNIMPLEMENTED", "The service has no such method.", "Use the published .proto files."),
    "INTERNAL": Reason(
        "INTERNAL", "A mistake of the service's own.", "Tell the operator the validation id, or the time."
    ),
}

_HEAD = """# Errors of the service

Every failure is a `google.rpc.Status` with an `ErrorInfo` of domain `vr`; its `reason` is one of these. A reason that
says when to try again carries `RetryInfo`; a limit carries `QuotaFailure`; fields that are wrong stand in `BadRequest`,
as many at once as a status holds. Written by `python -m vr.server.reasons`.

Two failures come from gRPC itself, before the service sees the call, and carry no `ErrorInfo`: a request over
`server.max_message_bytes` (RESOURCE_EXHAUSTED), and a deadline that passes at the client (DEADLINE_EXCEEDED).

| reason | code | try again | meaning | what to do |
|---|---|---|---|---|
"""


def page() -> str:
    """Returns the page that documents the table."""
    rows = [
        f"| `{name}` | {reason.code} | {'no' if reason.retry_s is None else f'after {reason.retry_s:g} s'} "
        f"| {reason.meaning} | {reason.advice} |\n"
        for name, reason in REASONS.items()
    ]
    return _HEAD + "".join(rows)


if __name__ == "__main__":
    import sys

    sys.stdout.write(page())
