"""The reference orchestrator: the ledger behind a gRPC server in a thread of its own."""

import asyncio
import contextlib
import threading
import time
from collections.abc import Coroutine
from pathlib import Path
from types import TracebackType
from typing import Any

import grpc
import grpc.aio
import protovalidate

from vr.server._generated.vr.orchestrator.v1 import orchestrator_pb2 as wire
from vr.server._generated.vr.v1 import job_pb2
from vr.worker.testing.ledger import Ledger
from vr.worker.testing.script import Fault, Script

__all__ = ["ReferenceOrchestrator"]

_NAMES = ("Lease", "Acknowledge", "ReportProgress", "Heartbeat", "Complete", "Fail", "Release")
Context = grpc.aio.ServicerContext


class ReferenceOrchestrator:
    """An orchestrator on loopback; start it, or use it in a `with`.

    Args:
      path: Its database.
      lease_s: Length of a lease.
      port: Where it listens; 0: any that is free, the same one after `stop` and `start`.
      credentials: Of the server; None: without TLS.
      token: That workers must send; None: none.

    Attributes:
      ledger: What it remembers.
      script: What goes wrong.
    """

    def __init__(
        self,
        path: Path,
        lease_s: float = 30.0,
        port: int = 0,
        credentials: grpc.ServerCredentials | None = None,
        token: str | None = None,
    ):
        self.ledger, self.script, self.port = Ledger(path, lease_s), Script(), port
        self._credentials, self._token = credentials, token
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="orchestrator", daemon=True)
        self._server: grpc.aio.Server | None = None
        self._late: set[asyncio.Task[None]] = set()
        self._thread.start()

    def __enter__(self) -> "ReferenceOrchestrator":
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def target(self) -> str:
        """Where workers find it."""
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        """Begins to listen, for the first time or again."""
        self._do(self._start())

    def stop(self) -> None:
        """Stops to listen, in the middle of whatever it is at; jobs and leases stay as they are."""
        self._do(self._stop())

    def close(self) -> None:
        """Ends it for good."""
        self.stop()
        self._do(self._settle_late())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()
        self.ledger.close()

    def submit(
        self,
        job_id: str,
        candidate: str,
        reference: str | None = None,
        *,
        cascade: str = "none",
        seed: int = 0,
        overrides: tuple[str, ...] = (),
        output_uri: str = "",
        time_limit_s: float | None = None,
    ) -> None:
        """Adds a job."""
        job = job_pb2.Job(
            candidate=job_pb2.Dataset(uri=candidate),
            reference=None if reference is None else job_pb2.Dataset(uri=reference),
            settings=job_pb2.Settings(cascade=cascade, seed=seed, overrides=overrides),
        )
        if time_limit_s is not None:
            job.time_limit.FromMilliseconds(round(time_limit_s * 1000))
        self.ledger.submit(job_id, job, output_uri)

    def wait(self, job_id: str, *states: str, seconds: float = 120.0) -> str:
        """Returns a job's state once it is one of `states`, by default one in which it has ended.

        Raises:
          TimeoutError: if that takes longer.
        """
        until = time.monotonic() + seconds
        while (state := self.ledger.state(job_id)) not in (states or ("done", "failed", "cancelled")):
            if time.monotonic() > until:
                raise TimeoutError(f"{job_id} is still {state}: {self.ledger.row(job_id)}")
            time.sleep(0.02)
        return state

    def _do(self, work: Coroutine[Any, Any, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(60)

    async def _start(self) -> None:
        server = grpc.aio.server(options=[("grpc.so_reuseport", 0)])
        handlers = {name: self._handler(name) for name in _NAMES}
        server.add_generic_rpc_handlers(
            (grpc.method_handlers_generic_handler("vr.orchestrator.v1.Orchestrator", handlers),)
        )
        if self._credentials is None:
            self.port = server.add_insecure_port(self.target)
        else:
            self.port = server.add_secure_port(self.target, self._credentials)
        await server.start()
        self._server = server

    async def _stop(self) -> None:
        if self._server is not None:
            await self._server.stop(None)
            self._server = None

    async def _settle_late(self) -> None:
        await asyncio.gather(*self._late)

    def _handler(self, name: str) -> grpc.RpcMethodHandler:
        request = getattr(wire, f"{name}Request")

        async def handle(message: Any, context: Context) -> Any:
            return await self._answer(name, message, context)

        return grpc.unary_unary_rpc_method_handler(
            handle, request.FromString, lambda answer: answer.SerializeToString()
        )

    async def _answer(self, name: str, request: Any, context: Context) -> Any:
        metadata = dict(context.invocation_metadata() or ())
        if self._token is not None and metadata.get("authorization") != f"Bearer {self._token}":
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "no worker has this token")
        if wrong := protovalidate.collect_violations(request):
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "; ".join(each.proto.message for each in wrong))
        faults = self.script.next(name)
        fault = next((each for each in faults if each.kind != "say"), None)
        if fault is not None and fault.kind in ("lose_request", "refuse", "late"):
            if fault.kind == "late":
                self._apply_later(name, request, fault)
            await context.abort(grpc.StatusCode[fault.code], f"scripted: {fault.kind}")
        answer = self._apply(name, request)
        if fault is not None and fault.kind == "twice":
            answer = self._apply(name, request)
        if fault is not None and fault.kind == "lose_reply":
            await context.abort(grpc.StatusCode.UNAVAILABLE, "scripted: lose_reply")
        if answer is None:
            await context.abort(grpc.StatusCode.NOT_FOUND, f"no job {request.claim.job_id}")
        commands = answer.commands if name == "Lease" else answer.standing.commands
        commands.extend(each.command for each in faults if each.kind == "say")
        return answer

    def _apply(self, name: str, request: Any) -> Any:
        if name == "Lease":
            return self.ledger.lease(request)
        standing = self.ledger.write(name, request)
        return None if standing is None else getattr(wire, f"{name}Response")(standing=standing)

    def _apply_later(self, name: str, request: Any, fault: Fault) -> None:
        async def apply() -> None:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(fault.seconds)
            self._apply(name, request)

        task = asyncio.get_running_loop().create_task(apply())
        self._late.add(task)
        task.add_done_callback(self._late.discard)
