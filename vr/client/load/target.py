"""What a load test asks a server: one call again and again, for new validations or for one that is there."""

import asyncio
import contextlib
import uuid
from types import TracebackType
from typing import Any

import grpc
import grpc.aio
from google.protobuf import message_factory
from grpc_health.v1 import health_pb2

from vr.client.calls import error_of
from vr.client.connection import Connection
from vr.client.job import Job
from vr.client.load.drive import Outcome
from vr.core.errors import ConfigError
from vr.server._generated.vr.v1 import collapse_engine_pb2, validation_engine_pb2

__all__ = ["CALLS", "Target"]

_SERVICES = (
    validation_engine_pb2.DESCRIPTOR.services_by_name["ValidationEngine"],
    collapse_engine_pb2.DESCRIPTOR.services_by_name["CollapseEngine"],
)
CALLS = {
    method.name: method
    for service in _SERVICES
    for method in service.methods
    # Whoever tests load cancels nothing of anybody.
    if method.name != "CancelValidation"
}
_MOST_CHANNELS = 32
_HEALTH_S = 10.0
# Else all channels of one process would share one connection.
_OWN = [("grpc.use_local_subchannel_pool", 1)]


class Target:
    """One call to one server; use it in an `async with`.

    Args:
      connection: Where it is.
      call: Its name, of `CALLS`.
      work: What is asked for: a job, which begins a new validation each time, or the id of one that is there.
      channels: Connections that the questions are spread over.

    Raises:
      ConfigError: if there is no such call.
    """

    def __init__(self, connection: Connection, call: str, work: Job | str, channels: int = 4):
        if call not in CALLS:
            raise ConfigError(f"no call {call!r}", where="--call", hint=f"use one of {', '.join(CALLS)}")
        method = CALLS[call]
        self._connection, self._work = connection, work
        self._request = message_factory.GetMessageClass(method.input_type)
        self._response = message_factory.GetMessageClass(method.output_type)
        self._path, self._streams = f"/{method.containing_service.full_name}/{call}", method.server_streaming
        self._number = min(max(1, channels), _MOST_CHANNELS)
        self._channels: list[grpc.aio.Channel] = []

    async def __aenter__(self) -> "Target":
        # One more, for health: it is not to wait behind answers.
        self._channels = [self._connection.aio_channel(_OWN) for _ in range(self._number + 1)]
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await asyncio.gather(*(channel.close() for channel in self._channels))

    async def ask(self, number: int, timeout_s: float) -> Outcome:
        """Asks once and returns how that ended."""
        channel = self._channels[number % self._number]
        kind = channel.unary_stream if self._streams else channel.unary_unary
        invoke: Any = kind(
            self._path,
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=self._response.FromString,
        )
        call = invoke(self._message(), timeout=timeout_s, metadata=self._connection.metadata)
        try:
            if self._streams:
                async for _ in call:
                    pass
            else:
                await call
        except grpc.aio.AioRpcError as err:
            error = error_of(err)  # type: ignore[arg-type]
            return Outcome(error.code, error.reason, error.retry_s)
        finally:
            call.cancel()
        return Outcome()

    async def serves(self) -> bool:
        """Returns whether the server says that it works."""
        call: Any = self._channels[-1].unary_unary(
            "/grpc.health.v1.Health/Check",
            request_serializer=health_pb2.HealthCheckRequest.SerializeToString,
            response_deserializer=health_pb2.HealthCheckResponse.FromString,
        )
        with contextlib.suppress(grpc.aio.AioRpcError):
            answer = await call(health_pb2.HealthCheckRequest(service=""), timeout=_HEALTH_S)
            return answer.status == health_pb2.HealthCheckResponse.SERVING
        return False

    def _message(self) -> Any:
        if isinstance(self._work, str):
            return self._request(validation_id=self._work)
        return self._request(job=self._work.to_message(uuid.uuid4().hex))
