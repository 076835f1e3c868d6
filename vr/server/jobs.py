"""Validations under way: queued, computed by a child, watched by calls, stopped, and taken over from a dead server."""

import asyncio
import contextlib
import logging
import os
import time
from collections import deque
from collections.abc import AsyncIterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from vr.server.children import ChildDied, Children
from vr.server.config import ServerConfig
from vr.server.failures import Failure, failure_of
from vr.server.metrics import Metrics
from vr.server.reasons import REASONS
from vr.server.store import RunStore, new_id
from vr.server.tenants import Tenant

__all__ = ["Jobs", "Validation"]

_log = logging.getLogger("vr.server")
_EVENTS_KEPT = 512  # of each validation, for those who attach again
_FOLLOW_S = 0.5  # between two looks at a validation that another server computes
_REMEMBERED = 256  # ended validations, for those who are about to ask for their reports
ENDED = ("finished", "failed", "cancelled")
# Left as it is by a call that expired or went away, or for want of something that may come back: whoever asks for it
# again goes on with it, and nobody else does.
ABANDONED = "abandoned"


@dataclass(eq=False)
class Validation:
    """One validation as this server sees it.

    Attributes:
      state: `queued`, `running`, `finished`, `failed` or `cancelled`.
      failure: Why it failed or was cancelled.
      events: Progress with its number; the oldest are forgotten.
      watchers: Calls that wait for it.
      stop: What to end it with, where somebody asked for that.
      abandoned: Whether it may go on for whoever asks again.
    """

    tenant: Tenant
    id: str
    job: dict[str, Any]
    state: str = "queued"
    failure: Failure | None = None
    events: deque[tuple[int, dict[str, Any]]] = field(default_factory=lambda: deque(maxlen=_EVENTS_KEPT))
    sequence: int = 0
    watchers: int = 0
    stop: Failure | None = None
    abandoned: bool = False
    task: asyncio.Task[None] | None = None
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def has_ended(self) -> bool:
        """Whether nothing will come any more."""
        return self.state in ENDED or self.failure is not None

    def tell(self, progress: dict[str, Any] | None = None) -> None:
        """Wakes whoever watches, with progress where there is some."""
        if progress is not None:
            self.sequence += 1
            self.events.append((self.sequence, progress | {"state": self.state}))
        before, self._changed = self._changed, asyncio.Event()
        before.set()

    async def progress(self, after: int) -> AsyncIterator[tuple[int, dict[str, Any]]]:
        """Yields progress after an event's number until the validation ends; who is slow misses some of it."""
        while True:
            changed = self._changed
            for number, event in [each for each in self.events if each[0] > after]:
                after = number
                yield number, event
            if self.has_ended and (not self.events or self.events[-1][0] <= after):
                return
            if changed is self._changed:
                await changed.wait()

    async def ended(self) -> None:
        """Returns when the validation has finished.

        Raises:
          Failure: as it failed.
        """
        while not self.has_ended:
            await self._changed.wait()
        if self.failure is not None:
            raise self.failure


class Jobs:
    """All validations of this server.

    Args:
      config: Limits.
      store: Where they are kept.
      children: That compute them.
      metrics: Told of what happens.
    """

    def __init__(self, config: ServerConfig, store: RunStore, children: Children, metrics: Metrics):
        self._config, self._store, self._children, self._metrics = config, store, children, metrics
        self._active: dict[tuple[str, str], Validation] = {}
        self._ended: dict[tuple[str, str], Validation] = {}
        self._draining = False

    async def begin(self, tenant: Tenant, job: dict[str, Any], key: str | None) -> Validation:
        """Returns the validation that computes `job`, begun now or before under the same key.

        Raises:
          Failure: if there is no room for it.
        """
        id = new_id(tenant.name, key)
        if key is not None and (known := await self._known(tenant, id)) is not None:
            if known.job != job:
                raise Failure("KEY_REUSED", metadata={"validation_id": id})
            return known
        self._refuse_excess(tenant)
        # Counted before the disk is waited for, so that no two calls take the last place.
        validation = self._active[tenant.name, id] = Validation(tenant, id, job)
        try:
            await asyncio.to_thread(self._store.create, tenant.name, id, job)
            handle = await asyncio.to_thread(self._store.lock, tenant.name, id)
        except BaseException as err:
            del self._active[tenant.name, id]
            validation.failure = err if isinstance(err, Failure) else Failure("STORE_UNAVAILABLE")
            validation.tell()
            if isinstance(err, OSError):
                _log.error("the run store cannot be written: %s", err, extra={"validation_id": id})
                raise Failure("STORE_UNAVAILABLE") from err
            raise
        self._start(validation, handle)
        return validation

    async def find(self, tenant: Tenant, id: str) -> Validation:
        """Returns a validation of a tenant by its id; one whose server died is taken over.

        Raises:
          Failure: if the tenant has none of that id.
        """
        known = await self._known(tenant, id)
        if known is None:
            raise Failure("VALIDATION_NOT_FOUND", metadata={"validation_id": id})
        return known

    async def cancel(self, validation: Validation, reason: str = "CANCELLED", *, abandon: bool = False) -> None:
        """Stops a validation; when this returns, its child is gone.

        Args:
          validation: Which.
          reason: What those are told who watch it.
          abandon: Whether it goes on for whoever asks again; else it has ended.
        """
        if validation.has_ended or validation.task is None:
            return
        validation.stop = Failure(reason, metadata={"validation_id": validation.id})
        validation.abandoned = abandon
        validation.task.cancel()
        await asyncio.wait([validation.task])

    async def report(self, validation: Validation) -> dict[str, Any]:
        """Returns the report of a finished validation."""
        return await asyncio.to_thread(self._store.report, validation.tenant.name, validation.id)

    async def resume(self, tenants: Mapping[str, Tenant]) -> None:
        """Takes over what a server that died left behind."""
        for name, id in await asyncio.to_thread(lambda: list(self._store.unfinished())):
            if name in tenants:
                with contextlib.suppress(Failure, OSError):
                    await self._known(tenants[name], id)

    async def drain(self, seconds: float) -> None:
        """Takes no more, gives what is under way some time, and leaves the rest for another server to resume."""
        self._draining = True
        for validation in list(self._active.values()):
            if validation.state == "queued":
                await self.cancel(validation, "DRAINING")
        tasks = [validation.task for validation in self._active.values() if validation.task is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=seconds)
        for validation in list(self._active.values()):
            await self.cancel(validation, "DRAINING")

    @property
    def counts(self) -> dict[str, int]:
        """How many validations wait and how many are computed."""
        states = [validation.state for validation in self._active.values()]
        return {state: states.count(state) for state in ("queued", "running")}

    def _refuse_excess(self, tenant: Tenant) -> None:
        if self._draining:
            raise Failure("DRAINING")
        mine = sum(validation.tenant.name == tenant.name for validation in self._active.values())
        if mine >= self._config.tenant_jobs:
            raise Failure("TENANT_JOBS", quota="tenant_jobs")
        if len(self._active) >= self._config.queue + self._children.count:
            raise Failure("QUEUE_FULL", quota="queue")

    async def _known(self, tenant: Tenant, id: str) -> Validation | None:
        place = (tenant.name, id)
        found = self._active.get(place) or self._ended.get(place)
        if found is not None:
            return found
        job = await asyncio.to_thread(self._store.job, *place)
        if job is None:
            return None
        state = await asyncio.to_thread(self._store.state, *place)
        # Another call may have come to know it in the meantime.
        if (found := self._active.get(place) or self._ended.get(place)) is not None:
            return found
        validation = Validation(tenant, id, job, state["state"])
        if state["state"] in ENDED:
            validation.failure = None if state["state"] == "finished" else Failure.of_document(state["failure"])
            return validation
        self._refuse_excess(tenant)
        validation.state = "queued"
        self._active[place] = validation
        handle = await asyncio.to_thread(self._store.lock, *place)
        self._start(validation, handle)
        return validation

    def _start(self, validation: Validation, handle: int | None) -> None:
        work = self._follow(validation) if handle is None else self._own(validation, handle)
        validation.task = asyncio.get_running_loop().create_task(work)

    async def _own(self, validation: Validation, handle: int) -> None:
        """Computes a validation that this server holds the lock of."""
        try:
            await self._compute(validation)
            validation.state = "finished"
        except Failure as failure:
            passes = REASONS[failure.reason].retry_s is not None
            validation.failure, validation.state = failure, ABANDONED if passes else "failed"
        except asyncio.CancelledError:
            validation.failure = validation.stop or Failure("DRAINING")
            left = "queued" if validation.failure.reason == "DRAINING" else "cancelled"
            validation.state = ABANDONED if validation.abandoned else left
        except Exception:  # noqa: BLE001 - the store has to hear of any end
            _log.exception("a validation failed", extra={"validation_id": validation.id})
            validation.failure, validation.state = Failure("INTERNAL"), "failed"
        try:
            if validation.state in (*ENDED, ABANDONED):
                failure = validation.failure
                if failure is not None:
                    failure.metadata = {**failure.metadata, "validation_id": validation.id}
                told = {"state": validation.state} | ({} if failure is None else {"failure": failure.to_document()})
                await asyncio.to_thread(self._store.keep, validation.tenant.name, validation.id, told)
        except OSError as err:
            _log.error("the run store cannot be written: %s", err, extra={"validation_id": validation.id})
            validation.failure, validation.state = Failure("STORE_UNAVAILABLE"), "queued"
        finally:
            os.close(handle)
            self._end(validation)

    async def _compute(self, validation: Validation) -> None:
        queued = time.monotonic()
        child = await self._children.take()
        self._metrics.queue_seconds.observe(time.monotonic() - queued)
        begun, validation.state = time.monotonic(), "running"
        limit = min(validation.job.get("time_limit_s") or self._config.job_limit_s, self._config.job_limit_s)
        request = {
            "job": validation.job,
            "grant": asdict(validation.tenant.grant),
            "output": str(self._store.output(validation.tenant.name, validation.id)),
        }
        deaths = 0
        try:
            async with asyncio.timeout(limit):
                while True:
                    try:
                        validation.tell({"stage": "begin", "done": 0.0, "message": "", "total": None})
                        told = await child.work(request, lambda event: self._progressed(validation, event))
                        break
                    except ChildDied as died:
                        deaths += 1
                        extra = {"validation_id": validation.id}
                        _log.warning("a child ended with code %s", died.args[0], extra=extra)
                        self._children.give_back(child)
                        child = None
                        if deaths > self._config.restarts:
                            raise Failure("COMPUTE_DIED") from died
                        child = await self._children.take()
        except BaseException as err:
            # Whatever it is at, it is not to go on with it.
            if child is not None:
                left, child = child, None
                await asyncio.shield(self._children.discard(left))
            if isinstance(err, TimeoutError):
                raise Failure("DEADLINE_EXCEEDED") from None
            raise
        finally:
            self._metrics.compute_seconds.observe(time.monotonic() - begun)
            if child is not None:
                self._children.give_back(child)
        if "failed" in told:
            raise failure_of(told["failed"])
        self._metrics.verdicts.labels(told["finished"]["verdict"]).inc()
        self._metrics.rows.inc(told["finished"]["rows"])

    def _progressed(self, validation: Validation, event: dict[str, Any]) -> None:
        validation.tell(event)

    async def _follow(self, validation: Validation) -> None:
        """Waits for a validation that another server computes, and takes it over where that server dies."""
        place = (validation.tenant.name, validation.id)
        try:
            while True:
                state = await asyncio.to_thread(self._store.state, *place)
                if state["state"] in ENDED:
                    validation.state = state["state"]
                    if state["state"] != "finished":
                        validation.failure = Failure.of_document(state["failure"])
                    return self._end(validation)
                handle = await asyncio.to_thread(self._store.lock, *place)
                if handle is not None:
                    return await self._own(validation, handle)
                await asyncio.sleep(_FOLLOW_S)
        except asyncio.CancelledError:
            # It is the other server's to stop.
            validation.failure = validation.stop or Failure("DRAINING")
            self._end(validation)
        except Failure as failure:
            validation.failure = failure
            self._end(validation)

    def _end(self, validation: Validation) -> None:
        place = (validation.tenant.name, validation.id)
        self._active.pop(place, None)
        if validation.state in ENDED:
            self._ended[place] = validation
            while len(self._ended) > _REMEMBERED:
                del self._ended[next(iter(self._ended))]
        validation.tell()
