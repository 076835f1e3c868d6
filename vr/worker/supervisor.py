"""The process that holds leases: it takes jobs one after the other, and computes nothing itself."""

import asyncio
import contextlib
import logging
import os
import random
import signal
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import protovalidate

from vr.core.errors import ConfigError, VrError
from vr.server._generated.vr.orchestrator.v1 import orchestrator_pb2 as wire
from vr.server.addresses import ANYWHERE, Grant
from vr.server.children import CannotStart, Children
from vr.server.logs import log_to_stderr
from vr.server.metrics import serve as serve_metrics
from vr.server.traces import Traces
from vr.worker.attempt import Attempt, Means, Stopping, acknowledged
from vr.worker.calls import Backoff, CallFailed, Calls
from vr.worker.config import WorkerConfig
from vr.worker.disk import Current, WorkFolder, is_same
from vr.worker.lease import now
from vr.worker.metrics import WorkerMetrics

__all__ = ["Supervisor", "supervise"]

_log = logging.getLogger("vr.worker")
_ASK_AGAIN_S = 2.0  # where the orchestrator does not say
_LEAST_ASK_S, _MOST_ASK_S = 0.05, 60.0
_SWEEP_S = 3_600.0  # between two looks for folders that nobody needs any more
_FORCED = 130


class Supervisor:
    """The worker in one event loop.

    Args:
      config: Of the worker.
      base: The configuration of a validation, which jobs change.
      announce: Told the orchestrator's address and the worker's name at the first answer.
    """

    def __init__(self, config: WorkerConfig, base: Mapping[str, Any], announce: Callable[[str, str], None]):
        self._config = config
        self.stopping = Stopping(config)
        self.metrics, self.traces = WorkerMetrics(), Traces.of(config.traces, "vr-worker")
        calls = Calls(config, self._connected, self.metrics)
        folder = WorkFolder(Path(config.folder))
        name = config.name or folder.name()
        self._announce = announce
        self._sweep_at = 0.0
        grant = ANYWHERE
        if config.roots is not None or config.buckets is not None:
            grant = Grant.of(config.roots or (), config.buckets or ())
        threads = config.threads or os.cpu_count() or 1
        self._children = Children(1, base, threads, self._child_died, (folder.lock,), starts=config.restarts + 1)
        self._means = Means(
            config, name, calls, self._children, folder, grant, self.stopping, self.metrics, self.traces
        )

    async def run(self) -> None:
        """Works until it is to stop.

        Raises:
          VrError: if the orchestrator does not let it in, or if it has nothing to compute with.
        """
        means = self._means
        self._serve_metrics()
        self._children.start()
        try:
            if await self._unless_stopped(self._settle()) is None:
                return
            attempt = await self._unless_stopped(self._resumed())
            while True:
                if attempt is not None:
                    await attempt.run()
                if self.stopping.has_begun:
                    return
                attempt = await self._next()
        finally:
            await self._children.close()
            await means.calls.close()
            means.folder.close()
            await asyncio.to_thread(self.traces.close)

    def _serve_metrics(self) -> None:
        config = self._config
        if config.metrics_port is None:
            return
        try:
            port = serve_metrics(self.metrics.registry, config.metrics_host, config.metrics_port)
        except OSError as err:
            raise ConfigError(str(err.strerror), where="worker.metrics_port", hint="another port") from err
        _log.info("metrics on port %d", port)

    def _child_died(self, code: int) -> None:
        self.metrics.child_deaths.inc()
        _log.warning("an idle child, or one at work, ended with code %d", code)

    async def _settle(self) -> bool:
        """Says what earlier processes of this worker did not get acknowledged."""
        folder = self._means.folder
        waiting = await asyncio.to_thread(folder.spool.waiting)
        self.metrics.spooled.set(len(waiting))
        for path, name, request in waiting:
            current = await asyncio.to_thread(folder.current)
            if current is not None and is_same(current.lease.claim, request.claim):
                # It ended between the two.
                await asyncio.to_thread(folder.end)
            try:
                answer = await self._means.calls.insist(name, request)
            except CallFailed as err:
                answer = err
            acknowledged(answer, name, request, folder, path)
            await asyncio.to_thread(folder.spool.remove, path)
            self.metrics.spooled.dec()
        return True

    async def _resumed(self) -> Attempt | None:
        """Returns the attempt that was under way when an earlier process died.

        Whether it still counts is asked while it goes on: the orchestrator may be away.
        """
        folder = self._means.folder
        current = await asyncio.to_thread(folder.current)
        if current is None:
            return None
        current.process += 1
        self.metrics.retries.labels("worker_ended").inc()
        await asyncio.to_thread(folder.begin, current)
        return Attempt(self._means, current, now(), _violations(current.lease), is_resumed=True)

    async def _next(self) -> Attempt | None:
        """Returns the next attempt; None where the worker is to stop, or another job is to be asked for."""
        asking = asyncio.create_task(self._leased())
        stop = asyncio.create_task(self.stopping.begins())
        await asyncio.wait([asking, stop], return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        if not asking.done():
            # The orchestrator may be giving it a job just now.
            await asyncio.wait([asking], timeout=self._config.farewell_s)
        if not asking.done():
            asking.cancel()
            await asyncio.wait([asking])
            return None
        found = asking.result()
        if found is None:
            return None
        lease, asked = found
        if self.stopping.is_asked:
            await self._give_back(lease.claim)
            return None
        current = Current(lease)
        await asyncio.to_thread(self._means.folder.begin, current)
        begin, stop = asyncio.create_task(self._begun(current, asked)), asyncio.create_task(self.stopping.begins())
        try:
            await asyncio.wait([begin, stop], return_when=asyncio.FIRST_COMPLETED)
            if begin.done():
                return begin.result()
        finally:
            for each in (begin, stop):
                each.cancel()
            await asyncio.gather(begin, stop, return_exceptions=True)
        await self._give_back(lease.claim)
        return None

    async def _give_back(self, claim: wire.Claim) -> None:
        """Gives back a job that was not begun, as the worker stops; unheard, that is left to its next process."""
        folder, request = self._means.folder, wire.ReleaseRequest(claim=claim)
        path = None
        try:
            path = await asyncio.to_thread(folder.spool.add, "Release", request)
            await asyncio.to_thread(folder.end)
        except OSError as err:
            _log.error("Release cannot be kept on the disk: %s", err, extra={"job_id": claim.job_id})
        try:
            async with asyncio.timeout(self._config.farewell_s):
                answer = await self._means.calls.insist("Release", request)
        except TimeoutError:
            _log.warning("Release is left for the next process to say", extra={"job_id": claim.job_id})
            return
        except CallFailed as err:
            answer = err
        acknowledged(answer, "Release", request, folder, path)
        with contextlib.suppress(OSError):
            await asyncio.to_thread(folder.end)
            if path is not None:
                await asyncio.to_thread(folder.spool.remove, path)

    async def _leased(self) -> tuple[wire.JobLease, float] | None:
        """Returns a lease and when it was asked for; None where the worker is to stop."""
        backoff = Backoff(self._config.longest_pause_s)
        request = self._question()
        while not self.stopping.has_begun:
            # Only here is no job under way whose folder it could take.
            await self._sweep()
            if not await self._has_child():
                return None
            asked = now()
            try:
                answer = await self._means.calls.ask("Lease", request)
            except CallFailed as err:
                if err.is_final:
                    raise VrError(str(err), where=self._config.orchestrator, hint="is it an orchestrator?") from None
                # The same question: what was granted and did not arrive is granted again.
                await self._pause(backoff.next(err.retry_s or 0.0))
                continue
            backoff.reset()
            if wire.COMMAND_SHUT_DOWN in answer.commands:
                self.stopping.after_job = True
            if answer.HasField("job_lease"):
                if not _violations(answer.job_lease.claim) and answer.job_lease.lease.ToMilliseconds() >= 100:
                    self.metrics.leases.inc()
                    return answer.job_lease, asked
                _log.error("a lease without a claim or a time that can be used is passed over")
            request = self._question()
            pause = (
                answer.ask_again_after.ToMilliseconds() / 1000 if answer.HasField("ask_again_after") else _ASK_AGAIN_S
            )
            await self._pause(min(max(pause, _LEAST_ASK_S), _MOST_ASK_S) * random.uniform(0.8, 1.2))
        return None

    async def _sweep(self) -> None:
        """Removes the folders of jobs whose days are over, now and then."""
        if now() >= self._sweep_at:
            self._sweep_at = now() + _SWEEP_S
            try:
                await asyncio.to_thread(self._means.folder.sweep, self._config.keep_days * 86_400)
            except OSError as err:
                _log.warning("folders of old jobs cannot be looked at: %s", err)

    async def _has_child(self) -> bool:
        """Returns when a child is there to compute; False where the worker is to stop first.

        Raises:
          VrError: if none can be started.
        """
        taking, stop = asyncio.create_task(self._children.take()), asyncio.create_task(self.stopping.begins())
        await asyncio.wait([taking, stop], return_when=asyncio.FIRST_COMPLETED)
        for task in (taking, stop):
            task.cancel()
        await asyncio.wait([taking, stop])
        if taking.cancelled():
            return False
        try:
            self._children.give_back(taking.result())
        except CannotStart:
            raise VrError(
                "no process that computes can be started", where="vr worker", hint="its own words are in the log above"
            ) from None
        return True

    async def _begun(self, current: Current, asked: float) -> Attempt | None:
        """Returns the attempt once the orchestrator has heard of it; None where it is somebody else's by now."""
        request = wire.AcknowledgeRequest(claim=current.lease.claim, worker_id=self._means.name)
        attempt = Attempt(self._means, current, asked, _violations(current.lease))
        sent = now()
        try:
            answer = await self._means.calls.insist("Acknowledge", request)
        except CallFailed as err:
            _log.warning("the lease is lost: %s", err, extra={"job_id": current.lease.claim.job_id})
            await asyncio.to_thread(self._means.folder.end)
            return None
        if wire.COMMAND_LEASE_LOST in answer.standing.commands:
            await asyncio.to_thread(self._means.folder.end)
            return None
        attempt.heed(answer.standing, sent)
        return attempt

    def _connected(self) -> None:
        self._announce(self._config.target(), self._means.name)
        _log.info("connected to %s as %s", self._config.orchestrator, self._means.name)

    def _question(self) -> wire.LeaseRequest:
        return wire.LeaseRequest(worker_id=self._means.name, request_id=uuid.uuid4().hex)

    async def _pause(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self.stopping.begins(), seconds)

    async def _unless_stopped(self, work: Any) -> Any:
        """Returns what `work` does, None where the worker has to stop before it is over."""
        task, stop = asyncio.ensure_future(work), asyncio.ensure_future(self.stopping.farewell_is_over(grace=False))
        try:
            await asyncio.wait([task, stop], return_when=asyncio.FIRST_COMPLETED)
            return task.result() if task.done() else None
        finally:
            for each in (task, stop):
                each.cancel()
            await asyncio.gather(task, stop, return_exceptions=True)


def _violations(message: Any) -> dict[str, str]:
    return {
        ".".join(element.field_name for element in getattr(each.proto.field, "elements", ())): each.proto.message
        for each in protovalidate.collect_violations(message)
    }


def supervise(config: WorkerConfig, base: Mapping[str, Any], announce: Callable[[str, str], None]) -> int:
    """Works until a SIGTERM or SIGINT, or until the orchestrator says so, and returns the exit code.

    The first signal lets the job under way finish within `worker.grace_s` and gives it back after that; a second one
    ends the worker at once, and the job goes on with the next process, or with another worker when the lease is over.

    Args:
      config: Of the worker.
      base: The configuration of a validation, which jobs change.
      announce: Told the orchestrator's address and the worker's name at the first answer.
    """
    log_to_stderr("vr.worker", "vr.server")
    return asyncio.run(_supervise(config, base, announce))


async def _supervise(config: WorkerConfig, base: Mapping[str, Any], announce: Callable[[str, str], None]) -> int:
    supervisor = Supervisor(config, base, announce)
    forced = asyncio.Event()

    def asked() -> None:
        if supervisor.stopping.is_asked:
            forced.set()
        supervisor.stopping.begin()
        _log.info("stopping")

    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, asked)
    work, force = loop.create_task(supervisor.run()), loop.create_task(forced.wait())
    await asyncio.wait([work, force], return_when=asyncio.FIRST_COMPLETED)
    force.cancel()
    if work.done():
        work.result()
        return 0
    work.cancel()
    await asyncio.wait([work])
    return _FORCED
