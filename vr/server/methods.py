"""The nine calls: who asks and whether there is room, what is asked, and the answer or the failure.

Requests arrive as bytes, so that every failure, that of parsing them too, is one of the table.
"""

import asyncio
import contextlib
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import grpc
from google.protobuf.message import Message

from vr import __version__
from vr.pipeline.extent import Extent
from vr.server import answers
from vr.server._generated.vr.v1 import collapse_engine_pb2, job_pb2, validation_engine_pb2
from vr.server.config import ServerConfig
from vr.server.failures import Failure, to_rpc_status, unavailable
from vr.server.jobs import Jobs
from vr.server.metrics import Metrics
from vr.server.reasons import REASONS
from vr.server.requests import job_of, parsed
from vr.server.tenants import Tenant, Tenants
from vr.server.traces import Traces
from vr.server.validation import Validation
from vr.server.wire import enum_of, to_message

__all__ = ["SERVICES", "Methods"]

_log = logging.getLogger("vr.server")
SERVICES = {
    file.services_by_name[name].full_name: file.services_by_name[name]
    for file, name in (
        (validation_engine_pb2.DESCRIPTOR, "ValidationEngine"),
        (collapse_engine_pb2.DESCRIPTOR, "CollapseEngine"),
    )
}
_ID_HEADER, _VERSION_HEADER = "vr-validation-id", "vr-version"
_TRACE_HEADERS = ("traceparent", "tracestate")
_EXPIRED_S = 0.05  # what is left of a deadline that has passed, clocks and scheduling allowed for
Context = Any  # grpc.aio.ServicerContext, whose type parameters say nothing here


class Methods(grpc.GenericRpcHandler):
    """All calls of both services, and an answer to calls of methods that there are none of.

    Args:
      config: Limits and deadlines.
      tenants: Who may ask.
      jobs: Validations under way.
      metrics: Told of every call.
      traces: That every call is a span of.
    """

    def __init__(
        self, config: ServerConfig, tenants: Tenants, jobs: Jobs, metrics: Metrics, traces: Traces | None = None
    ):
        self._config, self._tenants, self._jobs, self._metrics = config, tenants, jobs, metrics
        self._traces = traces or Traces()
        self._calls: Counter[str] = Counter()
        self._handlers = {
            f"/{service}/{method.name}": self._handler(method)
            for service, descriptor in SERVICES.items()
            for method in descriptor.methods
        }
        self._unknown = grpc.stream_stream_rpc_method_handler(self._refuse_unknown)

    def service(self, handler_call_details: Any) -> grpc.RpcMethodHandler:
        """Returns what handles a call."""
        return self._handlers.get(handler_call_details.method, self._unknown)

    def _handler(self, method: Any) -> grpc.RpcMethodHandler:
        kind = getattr(_module_of(method.input_type), method.input_type.name)
        if method.server_streaming:
            stream = self._train if method.name == "TrainCascade" else self._validate

            async def streamed(raw: bytes, context: Context) -> AsyncIterator[bytes]:
                async with self._call(method.name, context) as tenant:
                    async for message in stream(await parsed(kind, raw), tenant, context):
                        yield self._serialized(message)

            return grpc.unary_stream_rpc_method_handler(streamed)
        answer = self._cancel if method.name == "CancelValidation" else self._answer(method.name)

        async def called(raw: bytes, context: Context) -> bytes:
            async with self._call(method.name, context) as tenant:
                return self._serialized(await answer(await parsed(kind, raw), tenant, context))

        return grpc.unary_unary_rpc_method_handler(called)

    def _serialized(self, message: Any) -> bytes:
        """Returns a message as it is sent.

        Raises:
          Failure: if it is larger than one may be: gRPC's own refusal names neither the validation nor a way out.
        """
        size = message.ByteSize()
        if size > self._config.max_message_bytes:
            told = {"validation_id": message.validation_id, "bytes": str(size)}
            raise Failure("ANSWER_TOO_LARGE", metadata=told)
        return message.SerializeToString()

    @contextlib.asynccontextmanager
    async def _call(self, name: str, context: Context) -> AsyncIterator[Tenant]:
        """Admits one call, counts and times it, and ends it with the status of whatever it raised."""
        begun, code = time.monotonic(), "OK"
        caller = {key: value for key, value in context.invocation_metadata() or () if key in _TRACE_HEADERS}
        try:
            with self._traces.span(name, caller, rpc__system="grpc", rpc__method=name) as span:
                try:
                    tenant = self._tenant(context)
                    with self._admitted(name, tenant):
                        yield tenant
                except Failure as failure:
                    span.add(vr__reason=failure.reason)
                    raise
        except Failure as failure:
            code = REASONS[failure.reason].code
            self._metrics.rejections.labels(failure.reason).inc()
            await context.abort_with_status(to_rpc_status(failure))
        except asyncio.CancelledError:
            code = "CANCELLED"
            raise
        except GeneratorExit:
            code = "CANCELLED"
            raise
        except OSError as err:
            # Only the run store is read and written here.
            code = REASONS["STORE_UNAVAILABLE"].code
            _log.error("%s: the run store does not work: %s", name, err)
            self._metrics.rejections.labels("STORE_UNAVAILABLE").inc()
            await context.abort_with_status(to_rpc_status(Failure("STORE_UNAVAILABLE")))
        except Exception:  # noqa: BLE001 - whatever failed, the caller gets one of the table's statuses
            code = "INTERNAL"
            _log.exception("%s failed", name)
            self._metrics.rejections.labels("INTERNAL").inc()
            await context.abort_with_status(to_rpc_status(Failure("INTERNAL")))
        finally:
            self._metrics.requests.labels(name, code).inc()
            self._metrics.request_seconds.labels(name).observe(time.monotonic() - begun)

    def _tenant(self, context: Context) -> Tenant:
        metadata = {key: value for key, value in context.invocation_metadata() or () if key == "authorization"}
        authority = context.auth_context() or {}
        # Of a certificate with alternative names the common name says nothing (RFC 6125, 6.4.4).
        alternatives = authority.get("x509_subject_alternative_name") or authority.get("x509_common_name") or ()
        names = [each.decode(errors="replace") for each in alternatives]
        tenant = self._tenants.find(metadata.get("authorization"), names)
        if tenant is None:
            raise Failure("UNAUTHENTICATED")
        return tenant

    @contextlib.contextmanager
    def _admitted(self, name: str, tenant: Tenant) -> Iterator[None]:
        mine = f"tenant {tenant.name}"
        if self._calls[name] >= self._config.method_calls:
            raise Failure("TOO_MANY_CALLS", quota="method_calls")
        if self._calls[mine] >= self._config.tenant_calls:
            raise Failure("TOO_MANY_CALLS", quota="tenant_calls")
        gauge = self._metrics.inflight.labels(name)
        self._calls.update((name, mine))
        gauge.inc()
        try:
            yield
        finally:
            self._calls.subtract((name, mine))
            gauge.dec()

    def _answer(self, name: str) -> Callable[[Any, Tenant, Context], Awaitable[Message]]:
        build = answers.ANSWERS[name]

        async def answer(request: Any, tenant: Tenant, context: Context) -> Message:
            limit = self._seconds(context)
            begun = time.monotonic()
            validation = await self._target(request, tenant, name)
            # From here on nothing is waited for outside of the watch: a call that goes away leaves no work behind.
            with self._watching(validation, context, owner=request.HasField("job"), limit=begun + limit):
                await context.send_initial_metadata(((_ID_HEADER, validation.id), (_VERSION_HEADER, __version__)))
                try:
                    async with asyncio.timeout_at(asyncio.get_running_loop().time() + begun + limit - time.monotonic()):
                        await validation.ended()
                except TimeoutError:
                    raise Failure("DEADLINE_EXCEEDED", metadata={"validation_id": validation.id}) from None
            report = await self._jobs.report(validation)
            return await asyncio.to_thread(build, validation.id, report)

        return answer

    def _seconds(self, context: Context) -> float:
        """Returns how long a unary call may take."""
        left = context.time_remaining()
        return min(self._config.default_deadline_s if left is None else left, self._config.max_deadline_s)

    @contextlib.contextmanager
    def _watching(
        self, validation: Validation, context: Context, *, owner: bool, limit: float | None = None
    ) -> Iterator[None]:
        """Counts a call that waits, and stops the work where the call that began it expires or, if unary, goes away.

        Args:
          validation: That is waited for.
          context: Of the call.
          owner: Whether the call began it; one that asked about it only looks on.
          limit: When the call's time is over, by the monotonic clock; None: of a stream, whose end is no cancellation.
        """
        validation.watchers += 1
        expired = False
        try:
            yield
        except Failure as failure:
            expired = failure.reason == "DEADLINE_EXCEEDED"
            raise
        except (asyncio.CancelledError, GeneratorExit):
            left = context.time_remaining()
            expired = (left is not None and left <= _EXPIRED_S) or limit is not None
            raise
        finally:
            validation.watchers -= 1
            if expired and owner and not validation.watchers and not validation.has_ended:
                self._jobs.abandon(validation)

    async def _validate(self, request: Any, tenant: Tenant, context: Context) -> AsyncIterator[Message]:
        kind = validation_engine_pb2.ValidateResponse
        async for message in self._stream(request, tenant, context, "Validate", kind, "report", answers.whole_report):
            yield message

    async def _train(self, request: Any, tenant: Tenant, context: Context) -> AsyncIterator[Message]:
        kind = validation_engine_pb2.TrainCascadeResponse
        build = answers.cascade_results
        async for message in self._stream(request, tenant, context, "TrainCascade", kind, "results", build):
            yield message

    async def _stream(
        self,
        request: Any,
        tenant: Tenant,
        context: Context,
        name: str,
        kind: Any,
        result: str,
        build: Callable[[dict[str, Any]], Message],
    ) -> AsyncIterator[Message]:
        validation = await self._target(request, tenant, name)
        with self._watching(validation, context, owner=request.HasField("job")):
            await context.send_initial_metadata(((_ID_HEADER, validation.id), (_VERSION_HEADER, __version__)))
            state = job_pb2.Progress(state=_state(validation.state))  # type: ignore[arg-type]
            # Another server, or this one before it was restarted, has numbers of its own.
            sequence = min(request.after_sequence, validation.sequence)
            yield kind(validation_id=validation.id, sequence=sequence, progress=state)
            async for number, event in validation.progress(sequence):
                sequence, progress = number, to_message(event, job_pb2.Progress)
                yield kind(validation_id=validation.id, sequence=sequence, progress=progress)
            await validation.ended()
        report = await self._jobs.report(validation)
        last = await asyncio.to_thread(build, report)
        yield kind(validation_id=validation.id, sequence=sequence + 1, **{result: last})

    async def _cancel(self, request: Any, tenant: Tenant, context: Context) -> Message:
        # Before the search: what asks for a validation that there is none of learns the version too.
        await context.send_initial_metadata(((_VERSION_HEADER, __version__),))
        validation = await self._jobs.cancel_all(tenant, request.validation_id)
        return validation_engine_pb2.CancelValidationResponse(
            validation_id=validation.id,
            state=_state(validation.state),  # type: ignore[arg-type]
        )

    async def _target(self, request: Any, tenant: Tenant, name: str) -> Validation:
        """Returns the validation that a request asks about, or begins the one that it asks for."""
        wanted = Extent.verdict if name in answers.OF_VERDICT else Extent.whole
        if request.WhichOneof("target") == "validation_id":
            return await self._jobs.find(tenant, request.validation_id, wanted)
        job = job_of(request.job, name)
        await _refuse_forbidden(job, tenant)
        return await self._jobs.begin(tenant, job, request.job.idempotency_key or None, wanted)

    async def _refuse_unknown(self, requests: Any, context: Context) -> None:
        self._metrics.rejections.labels("UNKNOWN_METHOD").inc()
        await context.abort_with_status(to_rpc_status(Failure("UNKNOWN_METHOD")))


def _module_of(message: Any) -> Any:
    return {
        validation_engine_pb2.DESCRIPTOR.name: validation_engine_pb2,
        collapse_engine_pb2.DESCRIPTOR.name: collapse_engine_pb2,
    }[message.file.name]


async def _refuse_forbidden(job: dict[str, Any], tenant: Tenant) -> None:
    names = [name for name in ("candidate", "reference") if name in job]
    admitted = await asyncio.to_thread(lambda: [tenant.grant.admits(job[name]["uri"]) for name in names])
    failures = [unavailable(f"job.{name}.uri") for name, is_in in zip(names, admitted, strict=True) if not is_in]
    if failures:
        violations = [violation for failure in failures for violation in failure.violations]
        raise Failure("DATASET_UNAVAILABLE", failures[0].message, violations)


def _state(word: str) -> int:
    return enum_of(job_pb2.State.DESCRIPTOR, "queued" if word == "abandoned" else word)
