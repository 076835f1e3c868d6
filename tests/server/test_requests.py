"""Requests and the contract, and how failures about them are told."""

import asyncio
import time

import grpc
import pytest
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from vr.server._generated.vr.v1 import job_pb2
from vr.server._generated.vr.v1 import validation_engine_pb2 as engine
from vr.server.failures import Failure, Violation, to_rpc_status
from vr.server.requests import parsed


def request_of(types: dict[str, str] | None = None, overrides: list[str] | None = None) -> bytes:
    job = job_pb2.Job(
        candidate=job_pb2.Dataset(uri="/a", types=types or {}), settings=job_pb2.Settings(overrides=overrides or [])
    )
    return engine.ValidateRequest(job=job).SerializeToString()


def refusal_of(raw: bytes) -> Failure:
    with pytest.raises(Failure) as caught:
        asyncio.run(parsed(engine.ValidateRequest, raw))
    assert caught.value.reason == "BAD_REQUEST"
    return caught.value


def test_types_come_back():
    types = {f"column {number}": "numeric" for number in range(20_000)}
    assert dict(asyncio.run(parsed(engine.ValidateRequest, request_of(types))).job.candidate.types) == types


def test_types_are_held_to_the_contract():
    assert refusal_of(request_of({"a": "numeric", "b": "colour"})).violations == [
        Violation("job.candidate.types[b]", "must be one of categorical, datetime, ignore, numeric, text")
    ]
    assert refusal_of(request_of({str(number): "text" for number in range(20_001)})).violations[0] == Violation(
        "job.candidate.types", "must have 20000 entries or fewer"
    )
    assert refusal_of(request_of(overrides=["sample.rows=200"] * 65)).violations[0].field == "job.settings.overrides"


@pytest.mark.parametrize("targets", [[f"c{i}" for i in range(11)], ["a", "a"], [""], ["a" * 257]])
def test_targets_are_held_to_the_contract(targets):
    job = job_pb2.Job(candidate=job_pb2.Dataset(uri="/a"), settings=job_pb2.Settings(targets=targets))
    refusal = refusal_of(engine.ValidateRequest(job=job).SerializeToString())
    assert refusal.violations[0].field.startswith("job.settings.targets")


def test_the_loop_turns_beside_a_request_with_very_many_entries():
    raw = request_of({f"{number:06d}": "x" for number in range(40_000)}, ["a b"] * 10_000)

    async def longest_wait() -> float:
        task, longest = asyncio.create_task(parsed(engine.ValidateRequest, raw)), 0.0
        while not task.done():
            begun = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - begun)
        assert isinstance(task.exception(), Failure)
        return longest

    assert asyncio.run(longest_wait()) < 3


def size_of(failure: Failure) -> int:
    status = to_rpc_status(failure)
    encoded = sum(1 if " " <= char <= "~" else 3 * len(char.encode()) for char in status.details)
    return encoded + sum(len(value) * 4 // 3 for _, value in status.trailing_metadata)


@pytest.mark.parametrize("char", ["x", "é", "😀"])
def test_a_status_fits_into_metadata(char):
    for count in (1, 20, 64):
        violations = [
            Violation(f"job.candidate.types[{char * 900}]", f"{number}" + char * 900) for number in range(count)
        ]
        assert (
            size_of(Failure("BAD_REQUEST", char * 2000, violations, metadata={"validation_id": "v" + "0" * 32})) < 8_000
        )


def test_what_a_status_has_no_room_for_is_counted():
    failure = refusal_of(request_of(overrides=[f"tracking.{'x' * 100}{number}=1" for number in range(64)]))
    assert len(failure.message) < 200

    class Call(grpc.Call):
        code, details = staticmethod(lambda: failed.code), staticmethod(lambda: failed.details)
        trailing_metadata = staticmethod(lambda: failed.trailing_metadata)
        initial_metadata = time_remaining = cancel = is_active = add_callback = staticmethod(lambda *_: None)

    failed = to_rpc_status(failure)
    info, bad = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
    details = rpc_status.from_call(Call()).details
    assert details[0].Unpack(info)
    assert details[1].Unpack(bad)
    assert len(bad.field_violations) + int(info.metadata["more_violations"]) == 64
