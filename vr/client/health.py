"""What a server says of itself: whether it works, which version it is, and whether it lets this client in."""

import secrets
import time
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health_pb2

from vr.client.calls import ServiceError, error_of
from vr.client.connection import Connection
from vr.server._generated.vr.v1 import validation_engine_pb2

__all__ = ["Health", "health_of"]

# What works is for load balancers; `liveness` says that its event loop turns.
_NAMES = ("liveness", "", "vr.v1.ValidationEngine", "vr.v1.CollapseEngine")


@dataclass(frozen=True)
class Health:
    """What was found.

    Attributes:
      status: By name of the service, `""` for all of it: SERVING, NOT_SERVING or SERVICE_UNKNOWN.
      version: Of the vr that serves; None where it does not say, as older ones do not.
      refused: Why this client's calls are not taken; None: they are.
      latency_ms: Of one health call on a connection that is there.
      connect_ms: Of the first one, the connection's making included.
    """

    status: dict[str, str]
    version: str | None
    refused: ServiceError | None
    latency_ms: float
    connect_ms: float


def health_of(connection: Connection, timeout_s: float = 10.0) -> Health:
    """Returns a server's health; nothing is begun or changed there.

    Args:
      connection: Where it is.
      timeout_s: Of each call.

    Raises:
      ServiceError: if it does not answer.
    """
    with connection.channel() as channel:
        ask = channel.unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        status, times = {}, []
        for name in _NAMES:
            begun = time.perf_counter()
            status[name] = _status(ask, name, timeout_s)
            times.append(1000 * (time.perf_counter() - begun))
        version, refused = _version(channel, connection, timeout_s)
    return Health(status, version, refused, min(times[1:]), times[0])


def _status(ask: Any, name: str, timeout_s: float) -> str:
    try:
        answer = ask(health_pb2.HealthCheckRequest(service=name), timeout=timeout_s, wait_for_ready=False)
    except grpc.RpcError as err:
        error = error_of(err)
        if error.code == "NOT_FOUND":
            return "SERVICE_UNKNOWN"
        raise error from None
    return health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)


def _version(channel: grpc.Channel, connection: Connection, timeout_s: float) -> tuple[str | None, ServiceError | None]:
    """Returns the server's version, and the error where it does not take this client's calls."""
    ask = channel.unary_unary(
        "/vr.v1.ValidationEngine/CancelValidation",
        request_serializer=validation_engine_pb2.CancelValidationRequest.SerializeToString,
        response_deserializer=validation_engine_pb2.CancelValidationResponse.FromString,
    )
    # Of 2**128 ids, one that nobody has: who is let in is told so, and nothing is cancelled.
    request = validation_engine_pb2.CancelValidationRequest(validation_id=f"v{secrets.token_hex(16)}")
    call = ask.future(request, timeout=timeout_s, metadata=connection.metadata)
    try:
        call.result()
        error = None
    except grpc.RpcError as err:
        error = error_of(err)
    headers = {key: value for key, value in call.initial_metadata() or ()}
    found = headers.get("vr-version")
    refused = None if error is None or error.reason == "VALIDATION_NOT_FOUND" else error
    return (found if isinstance(found, str) else None), refused
