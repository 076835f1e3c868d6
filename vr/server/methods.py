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
import protovalidate
from google.protobuf.message import DecodeError, Message

from vr.server import answers
from vr.server._generated.vr.v1 import collapse_engine_pb2, job_pb2, validation_engine_pb2
from vr.server.config import ServerConfig
from vr.server.failures import Failure, Violation, to_rpc_status, unavailable
from vr.server.jobs import Jobs
from vr.server.metrics import Metrics
from vr.server.reasons import REASONS
from vr.server.tenants import Tenant, Tenants
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
_ID_HEADER = "vr-validation-id"
_EXPIRED_S = 0.05  # what is left of a deadline that has passed, clocks and scheduling allowed for
Context = Any  # grpc.aio.ServicerContext, whose type parameters say nothing here


class Methods(grpc.GenericRpcHandler):
    """All calls of both services, and an answer to calls of methods that there are none of.

    Args:
      config: Limits and deadlines.
      tenants: Who may ask.
      jobs: Validations under way.
      metrics: Told of every call.
    """

    def __init__(self, config: ServerConfig, tenants: Tenants, jobs: Jobs, metrics: Metrics):
        self._config, self._tenants, self._jobs, self._metrics = config, tenants, jobs, metrics
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
                    async for message in stream(_parsed(kind, raw), tenant, context):
                        yield message.SerializeToString()

            return grpc.unary_stream_rpc_method_handler(streamed)
        answer = self._cancel if method.name == "CancelValidation" else self._answer(method.name)

        async def called(raw: bytes, context: Context) -> bytes:
            async with self._call(method.name, context) as tenant:
                return (await answer(_parsed(kind, raw), tenant, context)).SerializeToString()

        return grpc.unary_unary_rpc_method_handler(called)

    @contextlib.asynccontextmanager
    async def _call(self, name: str, context: Context) -> AsyncIterator[Tenant]:
        """Admits one call, counts and times it, and ends it with the status of whatever it raised."""
        begun, code = time.monotonic(), "OK"
        try:
            tenant = self._tenant(context)
            with self._admitted(name, tenant):
                yield tenant
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
        names = [
            each.decode(errors="replace")
            for key in ("x509_subject_alternative_name", "x509_common_name")
            for each in authority.get(key, ())
        ]
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
                await context.send_initial_metadata(((_ID_HEADER, validation.id),))
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
            await context.send_initial_metadata(((_ID_HEADER, validation.id),))
            state = job_pb2.Progress(state=_state(validation.state))  # type: ignore[arg-type]
            yield kind(validation_id=validation.id, sequence=request.after_sequence, progress=state)
            sequence = request.after_sequence
            async for number, event in validation.progress(sequence):
                sequence, progress = number, to_message(event, job_pb2.Progress)
                yield kind(validation_id=validation.id, sequence=sequence, progress=progress)
            await validation.ended()
        report = await self._jobs.report(validation)
        last = await asyncio.to_thread(build, report)
        yield kind(validation_id=validation.id, sequence=sequence + 1, **{result: last})

    async def _cancel(self, request: Any, tenant: Tenant, context: Context) -> Message:
        validation = await self._jobs.find(tenant, request.validation_id)
        await self._jobs.cancel(validation)
        return validation_engine_pb2.CancelValidationResponse(
            validation_id=validation.id,
            state=_state(validation.state),  # type: ignore[arg-type]
        )

    async def _target(self, request: Any, tenant: Tenant, name: str) -> Validation:
        """Returns the validation that a request asks about, or begins the one that it asks for."""
        if request.WhichOneof("target") == "validation_id":
            return await self._jobs.find(tenant, request.validation_id)
        job = _job(request.job, name)
        await _refuse_forbidden(job, tenant)
        return await self._jobs.begin(tenant, job, request.job.idempotency_key or None)

    async def _refuse_unknown(self, requests: Any, context: Context) -> None:
        self._metrics.rejections.labels("UNKNOWN_METHOD").inc()
        await context.abort_with_status(to_rpc_status(Failure("UNKNOWN_METHOD")))


def _module_of(message: Any) -> Any:
    return {
        validation_engine_pb2.DESCRIPTOR.name: validation_engine_pb2,
        collapse_engine_pb2.DESCRIPTOR.name: collapse_engine_pb2,
    }[message.file.name]


def _parsed(kind: Callable[[], Message], raw: bytes) -> Message:
    """Returns a request that holds to the contract.

    Raises:
      Failure: with every field that does not.
    """
    message = kind()
    try:
        message.ParseFromString(raw)
    except DecodeError:
        raise Failure("MALFORMED_MESSAGE") from None
    wrong = [
        Violation(_path(each.proto.field), each.proto.message) for each in protovalidate.collect_violations(message)
    ]
    if wrong:
        fields = ", ".join(dict.fromkeys(each.field for each in wrong))
        raise Failure("BAD_REQUEST", f"{fields}: break the contract's constraints", wrong)
    return message


def _path(field: Any) -> str:
    """Returns a field's path as `job.settings.overrides[0]`."""
    words = []
    for element in field.elements:
        at = element.subscript
        words.append(element.field_name + ("" if at is None else f"[{at.value}]"))
    return ".".join(words)


def _job(message: Any, name: str) -> dict[str, Any]:
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
        "settings": {"cascade": cascade, "seed": settings.seed, "overrides": list(settings.overrides)},
        "time_limit_s": message.time_limit.ToMilliseconds() / 1000 if message.HasField("time_limit") else None,
    }


def _refuse_cascade(what: str) -> None:
    raise Failure("BAD_REQUEST", f"job.settings.cascade {what}", [Violation("job.settings.cascade", what)])


async def _refuse_forbidden(job: dict[str, Any], tenant: Tenant) -> None:
    names = [name for name in ("candidate", "reference") if name in job]
    admitted = await asyncio.to_thread(lambda: [tenant.grant.admits(job[name]["uri"]) for name in names])
    failures = [unavailable(f"job.{name}.uri") for name, is_in in zip(names, admitted, strict=True) if not is_in]
    if failures:
        violations = [violation for failure in failures for violation in failure.violations]
        raise Failure("DATASET_UNAVAILABLE", failures[0].message, violations)


def _state(word: str) -> int:
    return enum_of(job_pb2.State.DESCRIPTOR, "queued" if word == "abandoned" else word)
