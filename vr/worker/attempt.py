"""One attempt at a job: computed by a child, while its lease is kept alive, progress told and commands heeded."""

import asyncio
import contextlib
import logging
import random
from collections.abc import Awaitable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from vr.core.errors import VrError
from vr.server._generated.vr.orchestrator.v1 import orchestrator_pb2 as wire
from vr.server._generated.vr.v1 import job_pb2
from vr.server.addresses import Grant
from vr.server.children import CannotStart, Child, ChildDied, Children
from vr.server.failures import Failure, failure_of, unavailable
from vr.server.stages import StageWatch
from vr.server.traces import Traces
from vr.server.wire import to_message
from vr.worker.calls import Backoff, CallFailed, Calls
from vr.worker.config import WorkerConfig
from vr.worker.disk import Current, WorkFolder
from vr.worker.ends import completed, failed, published_at
from vr.worker.lease import Lease, now
from vr.worker.metrics import WorkerMetrics

__all__ = ["Attempt", "Means", "Stopping", "acknowledged"]

_log = logging.getLogger("vr.worker")


class Stopping:
    """Whether the worker is about to stop, and how far that is.

    Args:
      config: Of the worker.
    """

    def __init__(self, config: WorkerConfig):
        self._config = config
        self._begun, self.after_job = asyncio.Event(), False

    def begin(self) -> None:
        """No new job; the one under way is given back after the time of grace."""
        self._begun.set()

    @property
    def is_asked(self) -> bool:
        """Whether somebody asked this process to stop."""
        return self._begun.is_set()

    @property
    def has_begun(self) -> bool:
        """Whether the worker takes no new job."""
        return self._begun.is_set() or self.after_job

    async def begins(self) -> None:
        """Returns when it begins."""
        await self._begun.wait()

    async def grace_is_over(self) -> None:
        """Returns when the job under way is to be given back."""
        await self._begun.wait()
        await asyncio.sleep(self._config.grace_s)

    async def farewell_is_over(self, *, grace: bool = True) -> None:
        """Returns when nothing is waited for any more; without a job under way there is no grace."""
        await (self.grace_is_over() if grace else self.begins())
        await asyncio.sleep(self._config.farewell_s)


@dataclass(frozen=True)
class Means:
    """What an attempt works with."""

    config: WorkerConfig
    name: str
    calls: Calls
    children: Children
    folder: WorkFolder
    grant: Grant
    stopping: Stopping
    metrics: WorkerMetrics
    traces: Traces


class Attempt:
    """One attempt.

    Args:
      means: To do it with.
      current: The lease.
      asked: When it was asked for, by `vr.worker.lease.now`.
      wrong: What breaks the contract in the job, by field; such a job is not begun.
      is_resumed: Whether an earlier process began it, so that it may count no more.
    """

    def __init__(
        self,
        means: Means,
        current: Current,
        asked: float,
        wrong: dict[str, str] | None = None,
        *,
        is_resumed: bool = False,
    ):
        self._is_resumed = is_resumed
        self._means, self._current, self._wrong = means, current, wrong or {}
        self._claim = current.lease.claim
        self._lease = Lease(current.lease.lease.ToMilliseconds() / 1000, asked)
        self._lost, self._cancelled, self._broken = asyncio.Event(), asyncio.Event(), asyncio.Event()
        self._error: BaseException | None = None
        self._sequence = current.process << 32
        self._news: dict[str, Any] | None = None
        self._furthest = 0.0
        self._extra = {"job_id": self._claim.job_id}

    async def run(self) -> None:
        """Sees the job to its end, or to the end of the lease or the worker.

        Raises:
          VrError: if the orchestrator does not let this worker in; the next process on the folder goes on.
        """
        beside = [asyncio.create_task(each) for each in (self._beat(), self._report())]
        for task in beside:
            task.add_done_callback(self._note_failure)
        metrics, traces = self._means.metrics, self._means.traces
        metrics.running.set(1)
        try:
            with traces.span("attempt", vr__job_id=self._claim.job_id, vr__attempt=self._claim.attempt) as span:
                end = await self._end()
                name, reason = ("Lost", "") if end is None else (end[0], getattr(end[1], "reason", ""))
                metrics.ends.labels(name.lower(), reason).inc()
                span.add(vr__end=name.lower(), vr__reason=reason)
            if end is None:
                await asyncio.to_thread(self._means.folder.end)
            else:
                metrics.spooled.inc()
                await self._deliver(*end)
        finally:
            metrics.running.set(0)
            metrics.overdue.set(0)
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    def heed(self, standing: wire.Standing, asked: float) -> None:
        """Does what an answer commands."""
        if standing.HasField("lease"):
            self._lease.renew(standing.lease.ToMilliseconds() / 1000, asked)
        if wire.COMMAND_LEASE_LOST in standing.commands:
            self._lose("the orchestrator says so")
        if wire.COMMAND_CANCEL in standing.commands:
            self._cancelled.set()
        if wire.COMMAND_SHUT_DOWN in standing.commands:
            self._means.stopping.after_job = True

    async def _end(self) -> tuple[str, Any] | None:
        """Returns the call that ends the attempt; None where nothing is to be said any more."""
        work = asyncio.create_task(self._work())
        others = (self._lost.wait(), self._cancelled.wait(), self._broken.wait())
        await _first(work, *others, self._means.stopping.grace_is_over())
        if work.done() and not self._lost.is_set():
            return work.result()
        # When this is over the child is gone.
        work.cancel()
        await asyncio.wait([work])
        if self._error is not None:
            # Without heartbeats somebody else is given the job, and this one must not go on beside it.
            raise self._error
        if self._lost.is_set():
            return None
        if self._cancelled.is_set():
            _log.info("cancelled", extra=self._extra)
            return "Fail", failed(self._claim, Failure("CANCELLED"))
        _log.info("given back", extra=self._extra)
        return "Release", wire.ReleaseRequest(claim=self._claim)

    async def _work(self) -> tuple[str, Any]:
        try:
            request = await self._request()
            limit = self._means.config.job_limit_s
            if self._current.lease.job.HasField("time_limit"):
                limit = min(limit, self._current.lease.job.time_limit.ToMilliseconds() / 1000)
            async with asyncio.timeout(limit) as time:
                told = await self._computed(request, time)
            if "failed" in told:
                raise failure_of(told["failed"])
            done = await asyncio.to_thread(completed, self._current.lease, Path(request["output"]))
        except TimeoutError:
            return "Fail", failed(self._claim, Failure("DEADLINE_EXCEEDED"))
        except CannotStart:
            # It is this worker that is broken, and not the job.
            _log.error("given back: no child can be started", extra=self._extra)
            return "Release", wire.ReleaseRequest(claim=self._claim)
        except Failure as failure:
            _log.warning("failed: %s", failure, extra=self._extra)
            return "Fail", failed(self._claim, failure)
        except Exception:  # noqa: BLE001 - the orchestrator has to hear of any end
            _log.exception("failed", extra=self._extra)
            return "Fail", failed(self._claim, Failure("INTERNAL"))
        return "Complete", done

    async def _request(self) -> dict[str, Any]:
        """Returns what the child is asked for.

        Raises:
          Failure: if it may not be asked for that.
        """
        lease, grant = self._current.lease, self._means.grant
        if self._wrong:
            raise Failure("BAD_REQUEST", "; ".join(f"{name}: {text}" for name, text in self._wrong.items()))
        job = _document(lease.job)
        uris = {f"job.{name}.uri": job[name]["uri"] for name in ("candidate", "reference") if name in job}
        if lease.output_uri:
            uris["output_uri"] = lease.output_uri
        for field, uri in uris.items():
            if not await asyncio.to_thread(grant.admits, uri):
                raise unavailable(field)
        return {
            "job": job,
            "grant": asdict(grant),
            "output": str(self._means.folder.job(self._claim.job_id)),
            "publish": published_at(lease),
            "html": True,
        }

    async def _computed(self, request: dict[str, Any], time: asyncio.Timeout) -> dict[str, Any]:
        metrics = self._means.metrics
        with self._means.traces.span("compute"), StageWatch(metrics, self._means.traces) as watch:
            told = await self._resumed(request, time, watch)
        if "finished" in told:
            metrics.verdicts.labels(told["finished"]["verdict"]).inc()
            metrics.rows.inc(told["finished"]["rows"])
        return told

    async def _resumed(self, request: dict[str, Any], time: asyncio.Timeout, watch: StageWatch) -> dict[str, Any]:
        """Returns what a child makes of the job, another one going on with it where one dies."""
        children, deaths, furthest = self._means.children, 0, 0.0

        def tell(event: dict[str, Any]) -> None:
            watch(event)
            self._progressed(event)

        while True:
            with self._means.metrics.queue_seconds.time():
                child = await self._child(time)
            try:
                with self._means.metrics.compute_seconds.time():
                    told = await child.work(request, tell)
            except ChildDied as died:
                children.give_back(child)
                # Whoever gets further each time gets there.
                deaths = 1 if self._furthest > furthest else deaths + 1
                furthest = self._furthest
                _log.warning("the child ended with code %s", died.args[0], extra=self._extra)
                if deaths > self._means.config.restarts:
                    raise Failure("COMPUTE_DIED") from died
                self._means.metrics.retries.labels("child_died").inc()
            except BaseException:
                await asyncio.shield(children.discard(child))
                raise
            else:
                children.give_back(child)
                return told

    async def _child(self, time: asyncio.Timeout) -> Child:
        """Returns a child; the job's time stands while there is none."""
        if time.expired():
            # Over at the moment at which a child died: the next wait is cancelled.
            return await self._means.children.take()
        loop, until = asyncio.get_running_loop(), time.when()
        begun = loop.time()
        time.reschedule(None)
        child = await self._means.children.take()
        time.reschedule(None if until is None else until + loop.time() - begun)
        return child

    def _progressed(self, event: dict[str, Any]) -> None:
        self._news = event
        if event["stage"] == "cascade":
            self._furthest = max(self._furthest, float(event["done"]))

    async def _deliver(self, name: str, request: Any) -> None:
        """Says how it ended until that is acknowledged, or leaves it to the worker's next process."""
        folder = self._means.folder
        path = None
        try:
            path = await asyncio.to_thread(folder.spool.add, name, request)
            await asyncio.to_thread(folder.end)
        except OSError as err:
            # The run folder has the results: a process that has to begin anew is soon done.
            _log.error("%s cannot be kept on the disk: %s", name, err, extra=self._extra)
        say = asyncio.create_task(self._means.calls.insist(name, request))
        await _first(say, self._lost.wait(), self._broken.wait(), self._means.stopping.farewell_is_over())
        if not say.done():
            say.cancel()
            await asyncio.wait([say])
            if self._error is not None:
                raise self._error
            if not self._lost.is_set():
                _log.warning("%s is left for the next process to say", name, extra=self._extra)
                return
        if not say.cancelled():
            error = say.exception()
            if error is not None and not isinstance(error, CallFailed):
                raise error
            acknowledged(error or say.result(), name, request, folder, path)
            if error is None and wire.COMMAND_SHUT_DOWN in say.result().standing.commands:
                self._means.stopping.after_job = True
        # Said it is, whatever the disk does.
        self._means.metrics.spooled.dec()
        with contextlib.suppress(OSError):
            await asyncio.to_thread(folder.end)
            if path is not None:
                await asyncio.to_thread(folder.spool.remove, path)
        if self._is_over(name, request):
            await asyncio.to_thread(folder.forget, self._claim.job_id)

    def _is_over(self, name: str, request: Any) -> bool:
        """Whether nobody here will need the job's folder again."""
        if self._lost.is_set():
            return False
        return (name == "Complete" and bool(request.report_uri)) or (name == "Fail" and not request.retryable)

    async def _beat(self) -> None:
        """Keeps the lease alive, whatever the child is at."""
        config, backoff = self._means.config, Backoff(self._means.config.longest_pause_s)
        request = wire.HeartbeatRequest(claim=self._claim, worker_id=self._means.name)
        pause = 0.0 if self._is_resumed else self._lease.beat_s
        while not self._lost.is_set():
            self._means.metrics.overdue.set(self._lease.overdue_s)
            # A little early and never in step with others.
            await asyncio.sleep(min(pause, self._lease.beat_s) * random.uniform(0.8, 1.0))
            asked = now()
            try:
                answer = await self._means.calls.ask("Heartbeat", request, max(self._lease.beat_s, 0.5))
            except CallFailed as err:
                if err.is_final:
                    return self._lose(str(err))
                if self._lease.overdue_s > config.unattended_s:
                    return self._lose("it ran out and nobody can be asked")
                pause = backoff.next(err.retry_s or 0.0)
            else:
                backoff.reset()
                self.heed(answer.standing, asked)
                pause = self._lease.beat_s

    async def _report(self) -> None:
        """Tells of progress, the newest only; what does not arrive is not told again."""
        while not self._lost.is_set():
            await asyncio.sleep(self._means.config.progress_s)
            # While nobody answers, heartbeats are enough to find out when somebody does.
            if self._news is None or not self._means.calls.is_answering:
                continue
            news, self._news = self._news, None
            self._sequence += 1
            progress = to_message(news | {"state": "running"}, job_pb2.Progress)
            request = wire.ReportProgressRequest(claim=self._claim, sequence=self._sequence, progress=progress)
            asked = now()
            with contextlib.suppress(CallFailed):
                answer = await self._means.calls.ask("ReportProgress", request, max(self._lease.beat_s, 0.5))
                self.heed(answer.standing, asked)

    def _note_failure(self, task: "asyncio.Task[None]") -> None:
        if task.cancelled() or (error := task.exception()) is None:
            return
        if not isinstance(error, VrError):
            _log.error("a mistake of the worker's own", exc_info=error, extra=self._extra)
        self._error = self._error or error
        self._broken.set()

    def _lose(self, why: str) -> None:
        if not self._lost.is_set():
            _log.warning("the lease is lost: %s", why, extra=self._extra)
            self._lost.set()


def acknowledged(answer: Any, name: str, request: Any, folder: WorkFolder, path: Path | None) -> None:
    """Notes the answer to the end of a job; one that the orchestrator will never take is set aside."""
    extra = {"job_id": request.claim.job_id}
    if isinstance(answer, CallFailed):
        _log.error("%s was refused: %s", name, answer, extra=extra)
        if path is not None:
            folder.spool.set_aside(path)
    elif wire.COMMAND_LEASE_LOST in answer.standing.commands:
        _log.warning("%s came too late: the lease was lost", name, extra=extra)
    else:
        _log.info("%s is acknowledged", name, extra=extra)


async def _first(work: "asyncio.Task[Any]", *others: Awaitable[Any]) -> None:
    """Returns when one of them is over; the others are cancelled, but not the work."""
    tasks = [asyncio.ensure_future(each) for each in others]
    try:
        await asyncio.wait([work, *tasks], return_when=asyncio.FIRST_COMPLETED)
    except asyncio.CancelledError:
        work.cancel()
        await asyncio.gather(work, return_exceptions=True)
        raise
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _document(job: Any) -> dict[str, Any]:
    """Returns a job as the child takes it."""
    datasets = {
        name: {"uri": dataset.uri, "format": dataset.format or None, "types": dict(dataset.types)}
        for name in ("candidate", "reference")
        if job.HasField(name) and (dataset := getattr(job, name))
    }
    settings = job.settings
    return {
        **datasets,
        "settings": {
            "cascade": settings.cascade,
            "seed": settings.seed,
            "overrides": list(settings.overrides),
            "targets": list(settings.targets),
        },
    }
