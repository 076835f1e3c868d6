"""Validations under way, with a real store and children that do as they are told."""

import asyncio
import errno
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from vr.server.addresses import ANYWHERE
from vr.server.config import ServerConfig
from vr.server.failures import Failure
from vr.server.jobs import Jobs
from vr.server.metrics import Metrics
from vr.server.serve import Server
from vr.server.store import RunStore, new_id
from vr.server.tenants import Tenant
from vr.server.validation import Validation

TENANT = Tenant("local", ANYWHERE)
JOB = {"candidate": {"uri": "/a"}, "settings": {"seed": 1}, "time_limit_s": None}


class Children:
    """Stands for processes: a job ends when `let_go` is set, and leaves a report."""

    def __init__(self, count: int = 1):
        self.count, self.begun, self.killed = count, 0, 0
        self.let_go, self.leaving, self.leaves_in = asyncio.Event(), asyncio.Event(), 0.0
        self._free = asyncio.Semaphore(count)

    async def take(self) -> "Children":
        await self._free.acquire()
        return self

    def give_back(self, child: Any) -> None:
        self._free.release()

    async def discard(self, child: Any) -> None:
        self.killed += 1
        self._free.release()

    async def interrupt(self, child: Any) -> None:
        self.leaving.set()
        await asyncio.sleep(self.leaves_in)
        await self.discard(child)

    async def work(self, request: dict[str, Any], tell: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        self.begun += 1
        tell({"stage": "cascade", "done": 0.0, "total": None, "message": ""})
        await self.let_go.wait()
        Path(request["output"]).mkdir(exist_ok=True)
        (Path(request["output"]) / "report.json").write_text('{"verdict": "review"}')
        return {"finished": {"verdict": "review", "rows": 1}}


class Store(RunStore):
    """A store whose methods take a while, or fail, where a test says so."""

    def __init__(self, root: Path):
        super().__init__(root)
        self.slow: dict[str, float] = {}
        self.broken: set[str] = set()

    def _before(self, name: str) -> None:
        if name in self.broken:
            raise OSError(errno.EIO, "Input/output error")
        time.sleep(self.slow.get(name, 0))

    def create(self, *words: Any) -> bool:
        self._before("create")
        return super().create(*words)

    def job(self, *words: Any) -> dict[str, Any] | None:
        self._before("job")
        return super().job(*words)

    def state(self, *words: Any) -> dict[str, Any]:
        self._before("state")
        return super().state(*words)

    def keep(self, *words: Any) -> None:
        self._before("keep")
        super().keep(*words)

    def lock(self, *words: Any) -> int | None:
        self._before("lock")
        return super().lock(*words)


class Replica:
    """One server's validations."""

    def __init__(self, root: Path, **settings: Any):
        self.store, self.children = Store(root), Children()
        self.jobs = Jobs(ServerConfig(**settings), self.store, self.children, Metrics())  # type: ignore[arg-type]

    async def begin(self, key: str | None = None) -> Validation:
        return await self.jobs.begin(TENANT, JOB, key)


def played(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Plays a test that must not hang."""
    asyncio.run(asyncio.wait_for(test(), 20))


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():
            await asyncio.sleep(0.01)


def test_nobody_hears_of_an_end_before_the_store_has(tmp_path):
    async def test():
        one = Replica(tmp_path)
        one.store.slow["keep"] = 0.3
        validation = await one.begin("key")
        one.children.let_go.set()
        while not validation.has_ended:
            found = await one.jobs.find(TENANT, validation.id)
            if found.state == "finished":
                break
            await asyncio.sleep(0.01)
        assert await one.jobs.report(await one.jobs.find(TENANT, validation.id)) == {"verdict": "review"}

    played(test)


def test_a_stop_that_comes_while_the_end_is_kept_changes_nothing(tmp_path):
    async def test():
        one = Replica(tmp_path)
        one.store.slow["keep"] = 0.3
        validation = await one.begin()
        one.children.let_go.set()
        await asyncio.sleep(0.1)
        await one.jobs.cancel(validation)
        assert validation.state == "finished"
        assert one.store.state(*validation.place)["state"] == "finished"

    played(test)


def test_two_begins_under_one_key_are_one_validation(tmp_path):
    async def test():
        one = Replica(tmp_path)
        one.store.slow["job"] = one.store.slow["create"] = 0.05
        found = await asyncio.gather(*(one.begin("key") for _ in range(4)))
        assert len(set(map(id, found))) == 1
        await until(lambda: one.children.begun == 1)
        # The same for one that only the store knows, asked for by its key and its id at once.
        other = Replica(tmp_path)
        other.store.slow["state"] = 0.05
        known = await asyncio.gather(other.begin("key"), other.jobs.find(TENANT, found[0].id), other.begin("key"))
        assert len(set(map(id, known))) == 1
        one.children.let_go.set()
        await asyncio.gather(found[0].ended(), known[0].ended())
        assert (one.children.begun, other.children.begun) == (1, 0)

    played(test)


@pytest.mark.parametrize("name", ["create", "lock", "state"])
def test_a_store_that_fails_leaves_no_place_taken(tmp_path, name):
    async def test():
        one = Replica(tmp_path, tenant_jobs=1)
        one.store.broken = {name}
        for _ in range(2):
            with pytest.raises(Failure) as caught:
                await one.begin()
            assert caught.value.reason == "STORE_UNAVAILABLE"
        one.store.broken = set()
        one.children.let_go.set()
        await (await one.begin()).ended()

    played(test)


@pytest.mark.parametrize("name", ["lock", "state"])
def test_a_store_that_fails_under_a_call_by_id_leaves_no_place_taken(tmp_path, name):
    async def test():
        one = Replica(tmp_path, tenant_jobs=1)
        id = new_id("local", None)
        one.store.create("local", id, JOB)
        one.store.broken = {name}
        with pytest.raises((Failure, OSError)):
            await one.jobs.find(TENANT, id)
        one.store.broken = set()
        one.children.let_go.set()
        await (await one.jobs.find(TENANT, id)).ended()

    played(test)


def test_a_store_that_fails_while_another_server_is_waited_for_is_told(tmp_path):
    async def test():
        one, other = Replica(tmp_path), Replica(tmp_path)
        follower = await other.jobs.find(TENANT, (await one.begin()).id)
        other.store.broken = {"lock"}
        with pytest.raises(Failure) as caught:
            await follower.ended()
        assert caught.value.reason == "STORE_UNAVAILABLE"
        assert other.jobs._active == {}

    played(test)


def test_a_call_by_id_that_goes_away_leaves_no_dead_entry(tmp_path):
    async def test():
        one = Replica(tmp_path)
        id = new_id("local", None)
        one.store.create("local", id, JOB)
        one.store.slow["lock"] = 0.2
        finding = asyncio.create_task(one.jobs.find(TENANT, id))
        await asyncio.sleep(0.05)
        finding.cancel()
        await asyncio.wait([finding])
        one.children.let_go.set()
        await (await one.jobs.find(TENANT, id)).ended()
        assert one.jobs._active == {}

    played(test)


def test_a_begin_that_goes_away_is_abandoned_unless_somebody_else_waits(tmp_path):
    async def test():
        one = Replica(tmp_path)
        one.store.slow["create"] = 0.2
        first = asyncio.create_task(one.begin("alone"))
        await asyncio.sleep(0.05)
        first.cancel()
        await asyncio.wait([first])
        id = new_id("local", "alone")
        await until(lambda: not one.jobs._active)
        assert one.store.state("local", id)["state"] == "abandoned"

        first = asyncio.create_task(one.begin("shared"))
        await asyncio.sleep(0.05)
        second = asyncio.create_task(one.begin("shared"))
        await asyncio.sleep(0.05)
        first.cancel()
        one.children.let_go.set()
        await (await second).ended()

    played(test)


def test_a_begin_that_goes_away_leaves_what_others_began_alone(tmp_path):
    async def test():
        one = Replica(tmp_path)
        # Detached: nobody watches it.
        validation = await one.begin("key")
        one.store.slow["job"] = 0.2
        again = asyncio.create_task(one.begin("key"))
        await asyncio.sleep(0)
        again.cancel()
        await asyncio.wait([again])
        one.children.let_go.set()
        await validation.ended()

    played(test)


def test_a_cancellation_at_another_server_reaches_the_one_that_computes(tmp_path):
    async def test():
        one, other = Replica(tmp_path), Replica(tmp_path)
        validation = await one.begin()
        await until(lambda: one.children.begun == 1)
        follower = await other.jobs.find(TENANT, validation.id)
        await other.jobs.cancel(follower)
        assert follower.state == "cancelled"
        # The one that computes hears of it by the store.
        await until(lambda: validation.state == "cancelled")
        assert one.children.killed == 1
        assert one.store.state(*validation.place)["state"] == "cancelled"

    played(test)


def test_what_one_server_abandoned_no_other_computes(tmp_path):
    async def test():
        one, other = Replica(tmp_path), Replica(tmp_path)
        validation = await one.begin()
        follower = await other.jobs.find(TENANT, validation.id)
        await one.jobs.cancel(validation, "DEADLINE_EXCEEDED", abandon=True)
        await until(lambda: follower.has_ended)
        assert (follower.state, other.children.begun, other.jobs._active) == ("abandoned", 0, {})
        # Whoever asks again has it go on.
        other.children.let_go.set()
        await (await other.jobs.find(TENANT, validation.id)).ended()

    played(test)


def test_a_waiting_call_takes_over_what_another_server_let_go(tmp_path):
    async def test():
        one, other = Replica(tmp_path), Replica(tmp_path)
        validation = await one.begin()
        follower = await other.jobs.find(TENANT, validation.id)
        other.children.let_go.set()
        await one.jobs.drain(0)
        await follower.ended()
        assert other.children.begun == 1

    played(test)


def test_what_ended_between_a_look_and_the_lock_is_not_computed_again(tmp_path):
    async def test():
        one, other = Replica(tmp_path), Replica(tmp_path)
        validation = await one.begin()
        other.store.slow["lock"] = 0.5
        finding = asyncio.create_task(other.jobs.find(TENANT, validation.id))
        await until(lambda: bool(other.jobs._active))
        one.children.let_go.set()
        await (await finding).ended()
        assert other.children.begun == 0

    played(test)


def test_followers_take_no_places(tmp_path):
    async def test():
        one, other = Replica(tmp_path), Replica(tmp_path, tenant_jobs=1)
        for _ in range(3):
            follower = await other.jobs.find(TENANT, (await one.begin()).id)
            assert not follower.owned
        assert other.jobs.counts == {"queued": 0, "running": 0}
        await other.begin()
        with pytest.raises(Failure) as caught:
            await other.begin()
        assert caught.value.reason == "TENANT_JOBS"

    played(test)


def test_what_was_swept_is_not_found(tmp_path):
    async def test():
        one = Replica(tmp_path)
        one.children.let_go.set()
        validation = await one.begin("key")
        await validation.ended()
        found = await one.jobs.find(TENANT, validation.id)
        one.store.sweep(-1)
        with pytest.raises(Failure) as caught:
            await one.jobs.report(found)
        assert caught.value.reason == "VALIDATION_NOT_FOUND"
        with pytest.raises(Failure) as caught:
            await one.jobs.find(TENANT, validation.id)
        assert caught.value.reason == "VALIDATION_NOT_FOUND"
        # The key is free again.
        await (await one.begin("key")).ended()
        assert one.children.begun == 2

    played(test)


def test_a_server_that_ends_at_once_leaves_its_work_before_its_children(tmp_path):
    async def test():
        server = Server(ServerConfig(store=str(tmp_path)), {})
        one = Replica(tmp_path)
        server.jobs, left = one.jobs, []

        class Closed:
            async def close(self):
                left.append(dict(one.jobs._active))

        server.children = Closed()  # type: ignore[assignment]
        validation = await one.begin()
        await until(lambda: one.children.begun == 1)
        await server.leave()
        assert left == [{}]
        assert one.store.state(*validation.place)["state"] == "queued"
        assert validation.failure is not None
        assert validation.failure.reason == "DRAINING"

    played(test)


def test_a_validation_that_is_stopped_twice_is_held_until_its_child_has_left_it(tmp_path):
    async def test():
        replica = Replica(tmp_path)
        replica.children.leaves_in = 0.3
        validation = await replica.begin()
        await until(lambda: replica.children.begun == 1)
        first = asyncio.ensure_future(replica.jobs.cancel(validation, "DEADLINE_EXCEEDED", abandon=True))
        await replica.children.leaving.wait()
        await replica.jobs.cancel(validation)
        assert replica.children.killed == 1
        await first

    played(test)


def test_who_drains_waits_for_no_child_to_leave_by_itself(tmp_path):
    async def test():
        replica = Replica(tmp_path)
        await replica.begin()
        await until(lambda: replica.children.begun == 1)
        await replica.jobs.drain(0.01)
        assert replica.children.killed == 1
        assert not replica.children.leaving.is_set()

    played(test)
