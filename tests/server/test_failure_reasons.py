import ast
import re

import grpc
import pytest

from tests.server.service_process import ROOT
from vr.server.failures import _OF_ERRORS, Failure, Violation, failure_of, scrubbed, to_rpc_status
from vr.server.reasons import REASONS, page


def test_the_docs_page_is_the_table():
    assert (ROOT / "docs" / "errors.md").read_text() == page(), "python -m vr.server.reasons > docs/errors.md"


def test_every_reason_is_well_formed():
    for name, reason in REASONS.items():
        assert re.fullmatch(r"[A-Z][A-Z0-9_]{0,61}[A-Z0-9]", name)
        assert hasattr(grpc.StatusCode, reason.code)


def test_every_failure_that_is_raised_is_in_the_table():
    named = set()
    for path in (ROOT / "vr" / "server").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            is_failure = isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Failure"
            if is_failure and node.args and isinstance(node.args[0], ast.Constant):
                named.add(node.args[0].value)
    assert named <= set(REASONS)
    assert len(named) > 10


def test_every_error_of_vr_has_a_reason():
    from vr.core import errors

    # These end a command; a child of the server is never one of several processes, and calibrates nothing.
    elsewhere = {"VrError", "NotCalibratedError", "PeerLostError", "PreemptedError"}
    assert set(errors.__all__) - elsewhere <= set(_OF_ERRORS)
    assert set(_OF_ERRORS.values()) <= set(REASONS)


@pytest.mark.parametrize(
    "text",
    [
        "/home/somebody/data/x.parquet: is empty",
        "cannot read (/var/lib/vr/store/local/v0/report/report.json)",
        "s3://bucket/key?token=abc is gone",
        "see ~/secrets/key.pem",
        "file:///etc/passwd",
        "open('/tmp/x y/z')",
    ],
)
def test_paths_and_addresses_are_taken_out(text):
    for word in ("home", "var/lib", "bucket", "secrets", "etc", "/tmp"):
        assert word not in scrubbed(text)


def test_ratios_and_dates_stay():
    assert (
        scrubbed("3/4 of the rows, since 2026/11/26; use csv/tsv") == "3/4 of the rows, since 2026/11/26; use csv/tsv"
    )


def test_what_a_child_did_not_foresee_says_nothing():
    failure = failure_of({"kind": "ZeroDivisionError", "message": "/a/b secret", "field": None})
    assert (failure.reason, failure.message) == ("INTERNAL", "")


def test_a_failure_survives_the_store():
    failure = Failure("BAD_DATA", "is empty", [Violation("job.candidate", "is empty")], metadata={"validation_id": "v"})
    again = Failure.of_document(failure.to_document())
    assert again.to_document() == failure.to_document()
    assert to_rpc_status(again).code is grpc.StatusCode.INVALID_ARGUMENT
