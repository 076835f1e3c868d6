"""Calls to an orchestrator: bounded in time, made again with growing pauses and jitter. One layer alone tries again."""

import asyncio
import contextlib
import logging
import random
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from vr.core.errors import ConfigError, VrError
from vr.server._generated.vr.orchestrator.v1 import orchestrator_pb2 as wire
from vr.worker.config import WorkerConfig
from vr.worker.metrics import WorkerMetrics

__all__ = ["Backoff", "CallFailed", "Calls"]

_log = logging.getLogger("vr.worker")
_FIRST_PAUSE_S = 0.2
_SILENT_CALLS = 2  # unanswered, one after the other, until another connection is tried
# The orchestrator has understood the call and will say the same again.
_FINAL = {
    "INVALID_ARGUMENT",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "FAILED_PRECONDITION",
    "OUT_OF_RANGE",
    "UNIMPLEMENTED",
    "DATA_LOSS",
}
# Somebody has to mend something; until the first answer it is this worker's own settings.
_REFUSED = {"UNAUTHENTICATED", "PERMISSION_DENIED"}
_OPTIONS = [
    ("grpc.max_receive_message_length", 32 << 20),
    ("grpc.max_send_message_length", 32 << 20),
    ("grpc.enable_retries", 0),
    # Else a new channel would be given the old one's connection.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.initial_reconnect_backoff_ms", 200),
    ("grpc.min_reconnect_backoff_ms", 5_000),  # in fact the least time that making a connection may take
    ("grpc.max_reconnect_backoff_ms", 2_000),
]


class CallFailed(Exception):
    """A call without an answer.

    Attributes:
      code: gRPC's status code, by name.
      retry_s: After how long the same may succeed, as the orchestrator says.
    """

    def __init__(self, code: str, details: str, retry_s: float | None = None):
        super().__init__(f"{code}: {details}")
        self.code, self.details, self.retry_s = code, details, retry_s

    @property
    def is_final(self) -> bool:
        """Whether the same call would be refused again."""
        return self.code in _FINAL


class Backoff:
    """Pauses that double up to a limit, none of them quite as long as another worker's."""

    def __init__(self, longest: float, draw: Callable[[float, float], float] = random.uniform):
        self._longest, self._draw, self._count = longest, draw, 0

    def next(self, at_least: float = 0.0) -> float:
        """Returns the seconds of the next pause."""
        pause = min(self._longest, _FIRST_PAUSE_S * 2 ** min(self._count, 30))
        self._count += 1
        return max(at_least, pause * self._draw(0.5, 1.0))

    def reset(self) -> None:
        """Begins anew, after a success."""
        self._count = 0


class Calls:
    """A connection to an orchestrator.

    Args:
      config: Of the worker.
      connected: Called at the first answer.
      metrics: Told of every call.

    Attributes:
      is_known: Whether the orchestrator has ever answered.
      is_answering: Whether it answered the last call.
      failures: Calls that failed, by code.
    """

    def __init__(
        self,
        config: WorkerConfig,
        connected: Callable[[], None] = lambda: None,
        metrics: WorkerMetrics | None = None,
    ):
        self._connected, self._metrics = connected, metrics or WorkerMetrics()
        self._config, self._target = config, config.target()
        self._metadata = metadata_of(config)
        self._credentials = credentials_of(config)
        self.is_known, self.is_answering = False, True
        self.failures: Counter[str] = Counter()
        self._silent = 0
        self._closing: set[asyncio.Task[None]] = set()
        self._connect()

    async def ask(self, name: str, request: Any, seconds: float | None = None) -> Any:
        """Returns the answer to one call.

        Raises:
          CallFailed: if there is none.
          VrError: if the orchestrator does not let this worker in, before it ever did.
        """
        response = getattr(wire, f"{name}Response")
        call = self._channel.unary_unary(
            f"/vr.orchestrator.v1.Orchestrator/{name}",
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=response.FromString,
        )
        longest = self._config.call_s if seconds is None else min(seconds, self._config.call_s)
        begun, code = time.monotonic(), "CANCELLED"
        try:
            answer = await call(request, timeout=longest, metadata=self._metadata)
            code = "OK"
        except grpc.aio.AioRpcError as err:
            failed = _failed(err)
            code = failed.code
            self._count(failed)
            raise failed from None
        finally:
            self._metrics.calls.labels(name, code).inc()
            self._metrics.call_seconds.labels(name).observe(time.monotonic() - begun)
            if code != "CANCELLED":
                self._metrics.answering.set(code == "OK")
        self._silent, self.is_answering = 0, True
        if not self.is_known:
            self.is_known = True
            self._connected()
        return answer

    async def insist(self, name: str, request: Any) -> Any:
        """Returns the answer to a call that is made again for as long as it takes.

        A report that an orchestrator does not take for its size stays with the worker, and the rest is said.

        Raises:
          CallFailed: if it would be refused for ever.
          VrError: as `ask` does.
        """
        backoff = Backoff(self._config.longest_pause_s)
        while True:
            try:
                return await self.ask(name, request)
            except CallFailed as failed:
                if failed.is_final:
                    raise
                # Too busy would be the same code, but then the next try carries less, which does no harm: the report
                # is in the job's folder. Had it been final, a busy orchestrator would never hear of the end.
                if failed.code == "RESOURCE_EXHAUSTED" and failed.retry_s is None and name == "Complete":
                    request = _without_report(request)
                await asyncio.sleep(backoff.next(failed.retry_s or 0.0))

    async def close(self) -> None:
        """Ends the connection."""
        for task in self._closing:
            task.cancel()
        await self._channel.close()

    def _connect(self) -> None:
        if self._credentials is None:
            self._channel = grpc.aio.insecure_channel(self._target, options=_OPTIONS)
        else:
            self._channel = grpc.aio.secure_channel(self._target, self._credentials, options=_OPTIONS)

    def _count(self, failed: CallFailed) -> None:
        self.failures[failed.code] += 1
        self.is_answering = False
        if self.failures.total() & (self.failures.total() - 1) == 0:
            _log.warning("the orchestrator does not answer (%d failed calls): %s", self.failures.total(), failed)
        if not self.is_known and failed.code in _REFUSED | {"UNIMPLEMENTED"}:
            raise VrError(
                f"{failed.code}: {failed.details}",
                where=self._target,
                hint="check the address, worker.token_file and worker.certificate",
            )
        self._silent = self._silent + 1 if failed.code == "DEADLINE_EXCEEDED" else 0
        # A connection whose other end vanished looks well for many minutes. Pings would tell, but servers that were not
        # told to expect them end a connection that pings.
        if self._silent >= _SILENT_CALLS:
            self._silent = 0
            task = asyncio.get_running_loop().create_task(self._close_later(self._channel))
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)
            self._connect()

    async def _close_later(self, channel: grpc.aio.Channel) -> None:
        # Closing it now would cancel whoever still waits for an answer.
        try:
            await asyncio.sleep(2 * self._config.call_s)
        finally:
            await channel.close()


def _without_report(request: wire.CompleteRequest) -> wire.CompleteRequest:
    if request.HasField("report_json"):
        _log.warning(
            "the report stays in the worker's folder: %d bytes are too much for the orchestrator",
            len(request.report_json),
            extra={"job_id": request.claim.job_id},
        )
        shorter = wire.CompleteRequest()
        shorter.CopyFrom(request)
        shorter.ClearField("report_json")
        return shorter
    return request


def _failed(error: grpc.aio.AioRpcError) -> CallFailed:
    retry_s = None
    with contextlib.suppress(ValueError, AttributeError):
        status = rpc_status.from_call(error)  # type: ignore[arg-type]
        for detail in () if status is None else status.details:
            retry = error_details_pb2.RetryInfo()
            if detail.Unpack(retry):
                retry_s = retry.retry_delay.ToMilliseconds() / 1000
    return CallFailed(error.code().name, error.details() or "", retry_s)


def credentials_of(config: WorkerConfig) -> grpc.ChannelCredentials | None:
    """Returns what the connection is encrypted with; None: it is not.

    Raises:
      ConfigError: if a file cannot be read.
    """
    if not config.encrypts:
        return None
    return grpc.ssl_channel_credentials(
        *(_content(config, name) for name in ("authority", "private_key", "certificate"))
    )


def metadata_of(config: WorkerConfig) -> tuple[tuple[str, str], ...]:
    """Returns what goes with every call.

    Raises:
      ConfigError: if the token's file holds none.
    """
    if config.token_file is None:
        return ()
    token = (_content(config, "token_file") or b"").decode(errors="replace").strip()
    if not token or not token.isascii() or not token.isprintable():
        raise ConfigError("holds no token", where=f"worker.token_file, {config.token_file}", hint="one line of ASCII")
    return (("authorization", f"Bearer {token}"),)


def _content(config: WorkerConfig, name: str) -> bytes | None:
    path = getattr(config, name)
    try:
        return None if path is None else Path(path).read_bytes()
    except OSError as err:
        raise ConfigError(f"{path} cannot be read ({err.strerror})", where=f"worker.{name}") from err
