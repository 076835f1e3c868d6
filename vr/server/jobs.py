"""Validations under way: queued, computed by a child, watched by calls, stopped, and taken over from a dead server."""

import asyncio
import contextlib
import logging
import os
import time
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any, TypeVar

from vr.pipeline.extent import Extent
from vr.server.children import ChildDied, Children
from vr.server.config import ServerConfig
from vr.server.extents import Kept, answering, to_begin
from vr.server.failures import Failure, failure_of
from vr.server.metrics import Metrics
from vr.server.reasons import REASONS
from vr.server.stages import StageWatch
from vr.server.store import DAMAGED, RunStore, new_id
from vr.server.tasks import is_cancelled, to_its_end
from vr.server.tenants import Tenant
from vr.server.traces import Traces
from vr.server.validation import ABANDONED, ENDED, Validation

__all__ = ["Jobs"]

_log = logging.getLogger("vr.server")
_FOLLOW_S = 0.5  # between two looks at what another server does: at a validation, or at whether one is to be cancelled
_SAMPLE = "sample.parquet"
_REMEMBERED = 256  # ended validations, for those who are about to ask for their reports
T = TypeVar("T")
Outcome = tuple[str, Failure | None]
Key = tuple[str, str, Extent]


class Jobs:
    """All validations of this server.

    Args:
      config: Limits.
      store: Where they are kept.
      children: That compute them.
      metrics: Told of what happens.
      traces: That the wait and the work of a validation are spans of, below the call that began it.
      trains: Whether a validation trains proxies where its job says nothing of it.
    """

    def __init__(
        self,
        config: ServerConfig,
        store: RunStore,
        children: Children,
        metrics: Metrics,
        traces: Traces | None = None,
        *,
        trains: bool = True,
    ):
        self._config, self._store, self._children, self._metrics = config, store, children, metrics
        self._traces = traces or Traces()
        self._trains = trains
        self._active: dict[Key, Validation] = {}
        self._ended: dict[Key, Validation] = {}
        self._stopping: set[asyncio.Task[None]] = set()
        self._draining = False

    async def begin(
        self, tenant: Tenant, job: dict[str, Any], key: str | None, wanted: Extent = Extent.whole
    ) -> Validation:
        """Returns the validation that computes `job`, begun now or before under the same key.

        Args:
          tenant: Who asks.
          job: What to compute.
          key: Under which the same job is the same validation, however much of it is wanted.
          wanted: How much of it is; the whole may be what is computed.

        Raises:
          Failure: if there is no room for it, or the key is that of another job.
        """
        id = new_id(tenant.name, key)
        validation = None if key is None else await self._opened(tenant, id, wanted, job)
        if validation is None:
            validation = Validation(tenant, id, job, to_begin(job, wanted, trains=self._trains))
        if validation.is_begun:
            return await _entered(validation)
        self._ask(validation)
        try:
            return await _entered(validation)
        except asyncio.CancelledError:
            # The call went away before it could watch; somebody else may have come to in the meantime.
            if not validation.watchers:
                self.abandon(validation)
            raise

    async def find(self, tenant: Tenant, id: str, wanted: Extent = Extent.whole) -> Validation:
        """Returns a validation of a tenant by its id.

        One whose server died is taken over; the whole of one that the verdict alone was asked of is begun.

        Raises:
          Failure: if the tenant has none of that id, or there is no room for what is to be begun.
        """
        known = await self._opened(tenant, id, wanted)
        if known is None:
            raise Failure("VALIDATION_NOT_FOUND", metadata={"validation_id": id})
        if not known.is_begun:
            self._ask(known)
        return await _entered(known)

    async def cancel_all(self, tenant: Tenant, id: str) -> Validation:
        """Stops all that was asked for under an id, and returns what says how that ended: the whole where it was.

        Raises:
          Failure: if the tenant has none of that id.
        """
        job, kept = await self._look(tenant, id)
        if job is None:
            raise Failure("VALIDATION_NOT_FOUND", metadata={"validation_id": id})
        asked = [extent for extent in Extent if extent in kept]
        stopping = [self._stopped(tenant, id, job, extent, kept) for extent in asked]
        stopped = await asyncio.gather(*stopping, return_exceptions=True)
        for each in stopped:
            if isinstance(each, BaseException):
                raise each
        return stopped[-1]  # type: ignore[return-value]

    async def _stopped(self, tenant: Tenant, id: str, job: dict[str, Any], extent: Extent, kept: Kept) -> Validation:
        """Returns one extent of an id when it is cancelled, or has ended otherwise; nothing is begun for that."""
        validation = self._active.get((tenant.name, id, extent))
        if validation is None and kept[extent]["state"] not in ENDED:
            handle = await to_its_end(asyncio.to_thread(self._store.lock, tenant.name, id, extent))
            if handle is None:
                # Another server is at it, unless a call here came meanwhile: followed from here until it has stopped.
                validation = self._active.get((tenant.name, id, extent))
                validation = validation or self._begun(Validation(tenant, id, job, extent), creates=False)
            else:
                try:
                    now = await to_its_end(asyncio.to_thread(self._store.state, tenant.name, id, extent))
                    if now["state"] not in ENDED:
                        failure = Failure("CANCELLED", metadata={"validation_id": id})
                        now = {"state": "cancelled", "failure": failure.to_document()}
                        await to_its_end(asyncio.to_thread(self._store.keep, tenant.name, id, now, extent))
                    kept[extent] = now
                finally:
                    os.close(handle)
        validation = validation or self._of(tenant, id, job, extent, kept)
        if not validation.has_ended:
            await self.cancel(await _entered(validation))
        return validation

    async def cancel(self, validation: Validation, reason: str = "CANCELLED", *, abandon: bool = False) -> None:
        """Stops a validation; when this returns, its child has left it, or is gone.

        One that another server computes is stopped by that server where it is cancelled; otherwise this server stops
        to wait for it.

        Args:
          validation: Which.
          reason: What those are told who watch it.
          abandon: Whether it goes on for whoever asks again; else it has ended.
        """
        if validation.has_ended or validation.task is None:
            return
        if reason == "CANCELLED" and not validation.owned:
            await asyncio.to_thread(self._store.ask_to_cancel, *validation.key)
        else:
            validation.abandoned = abandon
            _stop(validation, reason)
        await asyncio.wait([validation.task])

    def abandon(self, validation: Validation) -> None:
        """Begins to stop a validation whose calls expired or went away; it goes on for whoever asks again."""
        # In a task of its own: that of the call is over.
        stopping = self.cancel(validation, "DEADLINE_EXCEEDED", abandon=True)
        task = asyncio.get_running_loop().create_task(stopping)
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    async def report(self, validation: Validation) -> dict[str, Any]:
        """Returns the report of a finished validation."""
        return await asyncio.to_thread(self._store.report, *validation.key)

    async def resume(self, tenants: Mapping[str, Tenant]) -> None:
        """Takes over what a server that died left behind."""
        for name, id, extent in await asyncio.to_thread(lambda: list(self._store.unfinished())):
            if name in tenants:
                with contextlib.suppress(Failure, OSError):
                    # Nobody watches: what was abandoned in the meantime is left alone.
                    known = await self._opened(tenants[name], id, extent)
                    if known is not None and known.is_begun:
                        await known.entered.wait()
                        if known.owned:
                            self._metrics.retries.labels("server_ended").inc()

    async def drain(self, seconds: float) -> None:
        """Takes no more, gives what is under way some time, and leaves the rest for another server to resume."""
        self._draining = True
        for validation in list(self._active.values()):
            if validation.state == "queued":
                await self.cancel(validation, "DRAINING")
        tasks = [validation.task for validation in self._active.values() if validation.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        await asyncio.gather(*(self.cancel(validation, "DRAINING") for validation in list(self._active.values())))

    @property
    def counts(self) -> dict[str, int]:
        """How many validations wait here and how many are computed here."""
        states = [validation.state for validation in self._owned()]
        return {state: states.count(state) for state in ("queued", "running")}

    def _owned(self, besides: Validation | None = None) -> list[Validation]:
        return [each for each in self._active.values() if each.owned and each is not besides]

    def _refuse_excess(self, tenant: Tenant, besides: Validation | None = None) -> None:
        if self._draining:
            raise Failure("DRAINING")
        owned = self._owned(besides)
        if sum(validation.tenant.name == tenant.name for validation in owned) >= self._config.tenant_jobs:
            raise Failure("TENANT_JOBS", quota="tenant_jobs")
        if len(owned) >= self._config.queue + self._children.count:
            raise Failure("QUEUE_FULL", quota="queue")

    async def _opened(
        self, tenant: Tenant, id: str, wanted: Extent, job: Mapping[str, Any] | None = None
    ) -> Validation | None:
        """Returns the validation that answers who wants so much of an id, None where there is none of that id.

        One that nobody asked so much of is not begun. The disk is not waited for after the last look.

        Raises:
          Failure: if `job` is another one.
        """
        found = self._active.get((tenant.name, id, wanted))
        known, kept = (found.job, {}) if found else await self._look(tenant, id)
        if known is None:
            return None
        if job not in (None, known):
            raise Failure("KEY_REUSED", metadata={"validation_id": id})
        return found or self._of(tenant, id, known, answering(known, wanted, kept, trains=self._trains), kept)

    async def _look(self, tenant: Tenant, id: str) -> tuple[dict[str, Any] | None, Kept]:
        """Returns what was asked under an id, and how far every extent is that was asked for."""
        job = await asyncio.to_thread(self._store.job, tenant.name, id)
        kept = {} if job is None else await asyncio.to_thread(self._store.states, tenant.name, id)
        for extent in Extent:
            # Another call may have come to know it in the meantime.
            if (found := self._active.get((tenant.name, id, extent))) is not None:
                # One whose child is about to leave it is as good as cancelled: no more of it is begun.
                is_stopping = found.stop is not None and found.stop.reason == "CANCELLED"
                job, kept[extent] = found.job, {"state": "cancelled" if is_stopping else found.state}
            elif job is None:
                # It was too old to be kept.
                self._ended.pop((tenant.name, id, extent), None)
        return job, kept

    def _of(self, tenant: Tenant, id: str, job: dict[str, Any], extent: Extent, kept: Kept) -> Validation:
        """Returns a validation as this server knows it, or as the store does, then taken over if nobody has it."""
        key = (tenant.name, id, extent)
        if (found := self._active.get(key) or self._ended.get(key)) is not None:
            return found
        validation = Validation(tenant, id, job, extent)
        if extent not in kept:
            return validation
        if kept[extent]["state"] == DAMAGED:
            raise Failure("STATE_DAMAGED", metadata={"validation_id": id})
        if kept[extent]["state"] in ENDED:
            validation.state, validation.failure = _outcome_of(kept[extent])
            validation.entered.set()
            return validation
        if self._draining:
            raise Failure("DRAINING")
        return self._begun(validation, creates=False)

    def _ask(self, validation: Validation) -> None:
        """Begins what nobody asked for before; counted before the disk is waited for, so that no two take one place."""
        self._refuse_excess(validation.tenant)
        validation.owned = True
        self._begun(validation, creates=True)

    def _begun(self, validation: Validation, *, creates: bool) -> Validation:
        self._active[validation.key] = validation
        validation.task = asyncio.get_running_loop().create_task(self._run(validation, creates=creates))
        return validation

    async def _run(self, validation: Validation, *, creates: bool) -> None:
        """Makes a validation or opens it, and computes it, or waits while another server does."""
        state, failure, handle = "queued", None, None
        try:
            if creates:
                asked = (*validation.place, validation.job, validation.extent)
                await to_its_end(asyncio.to_thread(self._store.create, *asked))
            while True:
                handle = await to_its_end(asyncio.to_thread(self._store.lock, *validation.key))
                # What another server did until it let go, only the holder of the lock knows.
                kept = await to_its_end(asyncio.to_thread(self._store.state, *validation.key))
                if kept["state"] in ENDED or (handle is not None and self._is_left(validation, kept)):
                    state, failure = _outcome_of(kept)
                    return
                if handle is not None:
                    break
                if is_cancelled():
                    raise asyncio.CancelledError
                validation.owned = False
                validation.entered.set()
                await asyncio.sleep(_FOLLOW_S)
            if not (validation.owned or validation.entered.is_set()):
                self._refuse_excess(validation.tenant, besides=validation)
            validation.owned = True
            validation.entered.set()
            state, failure = await self._computed(validation)
            if state in (*ENDED, ABANDONED):
                told = {"state": state} | ({} if failure is None else {"failure": failure.to_document()})
                if validation.mark is not None:
                    told["mark"] = validation.mark
                # Nobody is told of an end that the store does not know.
                await to_its_end(asyncio.to_thread(self._store.keep, *validation.place, told, validation.extent))
        except asyncio.CancelledError:
            # It was not begun here: it is another server's to stop.
            state, failure = "queued", validation.stop or Failure("DRAINING")
        except Failure as raised:
            state, failure = "queued", raised
        except OSError as err:
            _log.error("the run store does not work: %s", err, extra={"validation_id": validation.id})
            state, failure = "queued", Failure("STORE_UNAVAILABLE")
        except Exception:  # noqa: BLE001 - whoever watches has to hear of any end
            _log.exception("a validation failed", extra={"validation_id": validation.id})
            state, failure = "queued", Failure("INTERNAL")
        finally:
            if handle is not None:
                os.close(handle)
            self._end(validation, state, failure)

    @staticmethod
    def _is_left(validation: Validation, kept: Mapping[str, Any]) -> bool:
        return kept["state"] == ABANDONED and not validation.watchers

    async def _computed(self, validation: Validation) -> Outcome:
        """Computes a validation that this server holds the lock of, and returns what became of it."""
        heeding = asyncio.get_running_loop().create_task(self._heed(validation))
        try:
            if is_cancelled():
                raise asyncio.CancelledError
            await self._compute(validation)
            return "finished", None
        except Failure as raised:
            passes = REASONS[raised.reason].retry_s is not None
            state, failure = ABANDONED if passes else "failed", raised
        except asyncio.CancelledError:
            failure = validation.stop or Failure("DRAINING")
            left = "queued" if failure.reason == "DRAINING" else "cancelled"
            state = ABANDONED if validation.abandoned else left
        except Exception:  # noqa: BLE001 - the store has to hear of any end
            _log.exception("a validation failed", extra={"validation_id": validation.id})
            state, failure = "failed", Failure("INTERNAL")
        finally:
            heeding.cancel()
        failure.metadata = {**failure.metadata, "validation_id": validation.id}
        return state, failure

    async def _heed(self, validation: Validation) -> None:
        """Stops a validation that is cancelled at another server."""
        while True:
            with contextlib.suppress(OSError):
                if await asyncio.to_thread(self._store.is_to_be_cancelled, *validation.key):
                    return _stop(validation, "CANCELLED")
            await asyncio.sleep(_FOLLOW_S)

    async def _compute(self, validation: Validation) -> None:
        queued = time.monotonic()
        with self._traces.span("queue", vr__validation_id=validation.id):
            child = await self._children.take()
        self._metrics.queue_seconds.observe(time.monotonic() - queued)
        begun, validation.state = time.monotonic(), "running"
        limit = min(validation.job.get("time_limit_s") or self._config.job_limit_s, self._config.job_limit_s)
        request = {
            "id": validation.id,
            "job": validation.job,
            "tenant": validation.place[0],
            "grant": asdict(validation.tenant.grant),
            "output": str(self._store.output(*validation.key)),
            "extent": validation.extent.value,
            "threads": self._children.threads_now,
        }
        if self._config.samples is not None:
            # Where is the operator's to say: nothing that is asked for is written where the request says.
            place = "/".join((self._config.samples.rstrip("/"), *validation.place, _SAMPLE))
            request["sample"] = {"uri": place, "rows": self._config.sample_rows}
        deaths = 0

        def tell(event: dict[str, Any]) -> None:
            watch(event)
            validation.tell(event)

        watch = StageWatch(self._metrics, self._traces)
        span = self._traces.span("compute", vr__validation_id=validation.id)
        try:
            with span, watch:
                async with asyncio.timeout(limit):
                    while True:
                        try:
                            tell({"stage": "begin", "done": 0.0, "message": "", "total": None})
                            told = await child.work(request, tell)
                            break
                        except ChildDied as died:
                            deaths += 1
                            extra = {"validation_id": validation.id}
                            _log.warning("a child ended with code %s", died.args[0], extra=extra)
                            self._children.give_back(child)
                            child = None
                            if deaths > self._config.restarts:
                                raise Failure("COMPUTE_DIED") from died
                            self._metrics.retries.labels("child_died").inc()
                            child = await self._children.take()
        except BaseException as err:
            # Whatever it is at, it is not to go on with it.
            if child is not None:
                left, child = child, None
                # However often it is cancelled: until the child has left it, nobody else may begin with it. Who drains
                # needs no warm child.
                leave = self._children.discard if self._draining else self._children.interrupt
                await to_its_end(leave(left))
            if isinstance(err, TimeoutError):
                raise Failure("DEADLINE_EXCEEDED") from None
            raise
        finally:
            self._metrics.compute_seconds.observe(time.monotonic() - begun)
            if child is not None:
                self._children.give_back(child)
        if "failed" in told:
            raise failure_of(told["failed"])
        finished = told["finished"]
        validation.mark = finished.get("mark")
        marks = await to_its_end(self._marks_before(validation))
        if not marks:
            self._metrics.verdicts.labels(finished["verdict"]).inc()
            self._metrics.rows.inc(finished["rows"])
        elif validation.mark not in marks:
            # One id has one verdict, whatever became of the files since it was given.
            raise Failure("ANSWER_CHANGED")

    async def _marks_before(self, validation: Validation) -> list[str | None]:
        """Returns what the same validation came to when it finished before, in another extent."""
        with contextlib.suppress(OSError):
            states = await asyncio.to_thread(self._store.states, *validation.place)
            return [state.get("mark") for state in states.values() if state["state"] == "finished"]
        return []

    def _end(self, validation: Validation, state: str, failure: Failure | None) -> None:
        validation.state, validation.failure = state, failure
        if self._active.get(validation.key) is validation:
            del self._active[validation.key]
        if state in ENDED:
            self._ended[validation.key] = validation
            while len(self._ended) > _REMEMBERED:
                del self._ended[next(iter(self._ended))]
        validation.entered.set()
        validation.tell()


async def _entered(validation: Validation) -> Validation:
    """Returns a validation when the store has it.

    Raises:
      Failure: if that came to nothing.
    """
    validation.watchers += 1
    try:
        await validation.entered.wait()
    finally:
        validation.watchers -= 1
    if validation.failure is not None and validation.state not in ENDED:
        raise validation.failure
    return validation


def _stop(validation: Validation, reason: str) -> None:
    validation.stop = Failure(reason, metadata={"validation_id": validation.id})
    if validation.task is not None:
        validation.task.cancel()


def _outcome_of(kept: Mapping[str, Any]) -> Outcome:
    """Returns how a validation ended, as the store tells it."""
    failure = kept.get("failure")
    return kept["state"], None if failure is None else Failure.of_document(failure)
