"""Requests: bytes held to the contract, and what they ask for."""

import asyncio
from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import protovalidate
from google.protobuf.message import DecodeError, Message

from vr.server._generated.buf.validate import validate_pb2
from vr.server._generated.vr.v1 import job_pb2
from vr.server.failures import Failure, Violation

__all__ = ["job_of", "parsed"]

M = TypeVar("M", bound=Message)
_LITTLE = 4_096  # bytes of a request that is checked while others wait
_MOST_VIOLATIONS = 20
_TYPES = job_pb2.Dataset.DESCRIPTOR.fields_by_name["types"].GetOptions().Extensions[validate_pb2.field].map
_OVERRIDES = job_pb2.Settings.DESCRIPTOR.fields_by_name["overrides"].GetOptions().Extensions[validate_pb2.field]
_KNOWN_TYPES = frozenset(getattr(_TYPES.values.string, "in"))


async def parsed(kind: Callable[[], M], raw: bytes) -> M:
    """Returns a request that holds to the contract.

    Raises:
      Failure: with fields that do not.
    """
    return _parsed(kind, raw) if len(raw) <= _LITTLE else await asyncio.to_thread(_parsed, kind, raw)


def _parsed(kind: Callable[[], M], raw: bytes) -> M:
    message, checked = kind(), kind()
    try:
        message.ParseFromString(raw)
    except DecodeError:
        raise Failure("MALFORMED_MESSAGE") from None
    checked.CopyFrom(message)
    wrong = [*_bulk(checked)]
    wrong += [
        Violation(_path(each.proto.field), each.proto.message) for each in protovalidate.collect_violations(checked)
    ]
    if wrong:
        more = f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        text = f"{wrong[0].field}{more}: break the contract's constraints"
        raise Failure("BAD_REQUEST", text, wrong[:_MOST_VIOLATIONS], metadata=_left_out(len(wrong)))
    return message


def _left_out(count: int) -> dict[str, str]:
    return {"more_violations": str(count - _MOST_VIOLATIONS)} if count > _MOST_VIOLATIONS else {}


def _bulk(message: Any) -> Iterator[Violation]:
    """Takes out of a job what it may hold very many of, and yields what is wrong with that.

    The interpreter of the constraints takes a quarter of a millisecond for each entry of a map, however many.
    """
    if "job" not in message.DESCRIPTOR.fields_by_name or not message.HasField("job"):
        return
    for name in ("candidate", "reference"):
        if not message.job.HasField(name):
            continue
        types, field = getattr(message.job, name).types, f"job.{name}.types"
        if len(types) > _TYPES.max_pairs:
            yield Violation(field, f"must have {_TYPES.max_pairs} entries or fewer")
        else:
            what = f"must be one of {', '.join(sorted(_KNOWN_TYPES))}"
            yield from (Violation(f"{field}[{key}]", what) for key, word in types.items() if word not in _KNOWN_TYPES)
        types.clear()
    overrides = message.job.settings.overrides
    if len(overrides) > (most := _OVERRIDES.repeated.max_items):
        yield Violation("job.settings.overrides", f"must have {most} items or fewer")
        del overrides[:]


def _path(field: Any) -> str:
    """Returns a field's path as `job.settings.overrides[0]`."""
    words = []
    for element in field.elements:
        at = element.subscript
        words.append(element.field_name + ("" if at is None else f"[{at.value}]"))
    return ".".join(words)


def job_of(message: Any, name: str) -> dict[str, Any]:
    """Returns what a call asks for as the store keeps it.

    Raises:
      Failure: if the call cannot be answered with such a cascade.
    """
    settings = message.settings
    cascade = settings.cascade
    if name == "PreScreenRisk":
        if cascade not in ("", "none"):
            _refuse_cascade("must be none or empty: nothing is trained before a pre-screen")
        cascade = "none"
    if name == "TrainCascade" and cascade == "none":
        _refuse_cascade("must not be none: there would be nothing to train")
    datasets = {
        each: {"uri": dataset.uri, "format": dataset.format or None, "types": dict(dataset.types)}
        for each in ("candidate", "reference")
        if message.HasField(each) and (dataset := getattr(message, each))
    }
    return {
        **datasets,
        "settings": {
            "cascade": cascade,
            "seed": settings.seed,
            "overrides": list(settings.overrides),
            "targets": list(settings.targets),
        },
        "time_limit_s": message.time_limit.ToMilliseconds() / 1000 if message.HasField("time_limit") else None,
    }


def _refuse_cascade(what: str) -> None:
    raise Failure("BAD_REQUEST", f"job.settings.cascade {what}", [Violation("job.settings.cascade", what)])
