"""What becomes of a job, as the orchestrator is told of it."""

import hashlib
import json
from pathlib import Path
from typing import Any

from vr.server._generated.vr.orchestrator.v1 import orchestrator_pb2 as wire
from vr.server.failures import Failure
from vr.server.reasons import REASONS

__all__ = ["completed", "failed", "published_at"]

# Of a report in a message: gRPC's servers take 4 MiB unless told otherwise, and the message has more in it.
_MOST_BYTES = (4 << 20) - (64 << 10)
# Another attempt at the same job would end in the same way.
_FOR_GOOD = {
    "BAD_REQUEST",
    "BAD_SETTING",
    "BAD_DATA",
    "DATASET_UNAVAILABLE",
    "DEADLINE_EXCEEDED",
    "DIVERGED",
    "CANCELLED",
}


def published_at(lease: wire.JobLease) -> str:
    """Returns where an attempt publishes: a folder of its own, so that one that lost its lease is in nobody's way."""
    return f"{lease.output_uri.rstrip('/')}/attempt-{lease.claim.attempt}" if lease.output_uri else ""


def completed(lease: wire.JobLease, folder: Path) -> wire.CompleteRequest:
    """Returns what is said of a job whose results are in `folder`, and published where the lease says."""
    content = (folder / "report.json").read_bytes()
    report: dict[str, Any] = json.loads(content)
    place = published_at(lease)
    return wire.CompleteRequest(
        claim=lease.claim,
        verdict=report["verdict"],
        risk_score=report["risk_score"],
        report_uri=f"{place}/report.json" if place else "",
        report_sha256=hashlib.sha256(content).digest(),
        report_json=content if not place and len(content) <= _MOST_BYTES else None,
    )


def failed(claim: wire.Claim, failure: Failure) -> wire.FailRequest:
    """Returns what is said of a job that cannot be done."""
    return wire.FailRequest(
        claim=claim,
        reason=failure.reason,
        message=failure.message or REASONS[failure.reason].meaning,
        violations={each.field: each.description for each in failure.violations},
        retryable=failure.reason not in _FOR_GOOD,
    )
