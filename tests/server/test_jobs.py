"""Validations under way, with a real store and children that do as they are told."""

import asyncio
import errno
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from vr.pipeline.extent import Extent
from vr.server import store as run_store
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
        self.count, self.begun, self.killed, self.threads_now = count, 0, 0, 3
        self.extents: list[str] = []
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
        self.extents.append(request["extent"])
        assert request["threads"] == self.threads_now
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
        self.store, self.children, self.metrics = Store(root), Children(), Metrics()
        config = ServerConfig(**settings)
        self.jobs = Jobs(config, self.store, self.children, self.metrics, trains=False)  # type: ignore[arg-type]

    async def begin(self, key: str | None = None, wanted: Extent = Extent.whole) -> Validation:
        return await self.jobs.begin(TENANT, JOB, key, wanted)

    def counted(self) -> float:
        return self.metrics.verdicts.labels("review")._value.get()


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


VERDICT, WHOLE = Extent.verdict, Extent.whole


def test_the_whole_is_computed_once_the_verdict_was_and_somebody_asks(tmp_path):
    async def test():
        one = Replica(tmp_path)
        one.children.let_go.set()
        verdict = await one.begin("key", VERDICT)
        await verdict.ended()
        # The verdict's is the same for whoever wants no more.
        assert await one.begin("key", VERDICT) is verdict
        assert await one.jobs.find(TENANT, verdict.id, VERDICT) is verdict
        whole = await one.jobs.find(TENANT, verdict.id)
        await whole.ended()
        assert (whole.id, one.children.extents) == (verdict.id, ["verdict", "whole"])
        assert await one.begin("key", WHOLE) is whole
        assert one.children.begun == 2
        assert one.counted() == 1
        # Another server of the store has both.
        other = Replica(tmp_path)
        for wanted in (VERDICT, WHOLE):
            await (await other.begin("key", wanted)).ended()
        assert other.children.begun == 0

    played(test)


def test_the_same_key_is_the_same_validation_however_much_is_asked_for(tmp_path):
    async def test():
        one = Replica(tmp_path)
        one.children.let_go.set()
        first = await one.begin("key", VERDICT)
        second = await one.begin("key", WHOLE)
        assert first.id == second.id
        await asyncio.gather(first.ended(), second.ended())
        other = {**JOB, "settings": {"seed": 2}}
        with pytest.raises(Failure) as caught:
            await one.jobs.begin(TENANT, other, "key", VERDICT)
        assert caught.value.reason == "KEY_REUSED"

    played(test)


def test_a_reused_key_begins_nothing(tmp_path):
    async def test():
        one = Replica(tmp_path)
        one.children.let_go.set()
        await (await one.begin("key", VERDICT)).ended()
        with pytest.raises(Failure) as caught:
            await one.jobs.begin(TENANT, {**JOB, "settings": {"seed": 2}}, "key", WHOLE)
        assert caught.value.reason == "KEY_REUSED"
        assert (one.children.begun, one.jobs._active) == (1, {})

    played(test)


@pytest.mark.parametrize("state", ["queued", "running", "finished"])
def test_the_whole_answers_for_the_verdict(tmp_path, state):
    async def test():
        one = Replica(tmp_path)
        if state == "queued":
            await one.children.take()
        whole = await one.begin("key")
        if state == "finished":
            one.children.let_go.set()
            await whole.ended()
        elif state == "running":
            await until(lambda: one.children.begun == 1)
        assert await one.jobs.find(TENANT, whole.id, VERDICT) is whole
        assert await one.begin("key", VERDICT) is whole

    played(test)


def test_a_job_that_trains_is_always_whole(tmp_path):
    async def test():
        one = Replica(tmp_path)
        one.children.let_go.set()
        job = {**JOB, "settings": {"seed": 1, "cascade": "smoke"}}
        await (await one.jobs.begin(TENANT, job, "key", VERDICT)).ended()
        await (await one.jobs.begin(TENANT, job, "key", WHOLE)).ended()
        assert one.children.extents == ["whole"]

    played(test)


def test_calls_at_once_compute_each_extent_once(tmp_path):
    async def test():
        one, other = Replica(tmp_path), Replica(tmp_path)
        for each in (one, other):
            each.store.slow = {"job": 0.05, "create": 0.05, "state": 0.05}
            each.children.let_go.set()
        wants = [VERDICT, WHOLE, WHOLE, VERDICT]
        found = await asyncio.gather(*(each.begin("key", wanted) for each in (one, other) for wanted in wants))
        assert len({each.id for each in found}) == 1
        await asyncio.gather(*(each.ended() for each in found))
        extents = one.children.extents + other.children.extents
        assert extents.count("whole") == 1
        assert extents.count("verdict") <= 1
        # The same for the whole of a verdict that is there.
        one.store.slow = other.store.slow = {"job": 0.05, "create": 0.05, "state": 0.05}
        verdict = await one.begin("other", VERDICT)
        await verdict.ended()
        before = one.children.begun + other.children.begun
        found = await asyncio.gather(*(each.jobs.find(TENANT, verdict.id) for each in (one, other, one, other)))
        await asyncio.gather(*(each.ended() for each in found))
        assert one.children.begun + other.children.begun == before + 1

    played(test)


def test_the_whole_runs_beside_a_verdict_that_is_not_done(tmp_path):
    async def test():
        one = Replica(tmp_path)
        one.children._free = asyncio.Semaphore(2)
        verdict = await one.begin("key", VERDICT)
        await until(lambda: one.children.begun == 1)
        whole = await one.jobs.find(TENANT, verdict.id)
        await until(lambda: one.children.begun == 2)
        assert one.jobs.counts == {"queued": 0, "running": 2}
        one.children.let_go.set()
        await asyncio.gather(verdict.ended(), whole.ended())

    played(test)


def test_an_upgrade_needs_a_place_and_leaves_nothing_to_resume_without_one(tmp_path):
    async def test():
        one = Replica(tmp_path, tenant_jobs=1)
        one.children.let_go.set()
        verdict = await one.begin("key", VERDICT)
        await verdict.ended()
        one.children.let_go.clear()
        busy = await one.begin()
        for ask in (one.jobs.find(TENANT, verdict.id), one.begin("key")):
            with pytest.raises(Failure) as caught:
                await ask
            assert caught.value.reason == "TENANT_JOBS"
        assert [id for _, id, _ in one.store.unfinished()] == [busy.id]
        # What is known costs no place.
        assert await one.jobs.find(TENANT, verdict.id, VERDICT) is verdict

    played(test)


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_the_end_of_the_verdict_is_that_of_the_whole(tmp_path, end):
    async def test():
        async def fail(request, tell):
            raise Failure("BAD_DATA")

        one = Replica(tmp_path)
        if end == "failed":
            one.children.work = fail  # type: ignore[method-assign]
        verdict = await one.begin("key", VERDICT)
        if end == "cancelled":
            assert (await one.jobs.cancel_all(TENANT, verdict.id)).state == "cancelled"
        else:
            assert verdict.task is not None
            await verdict.task
        begun = one.children.begun
        for replica in (one, Replica(tmp_path)):
            for known in (await replica.jobs.find(TENANT, verdict.id), await replica.begin("key", WHOLE)):
                assert known.state == end
                with pytest.raises(Failure):
                    await known.ended()
            assert replica.store.states("local", verdict.id).keys() == {"verdict"}
        assert one.children.begun == begun

    played(test)


def test_a_cancellation_ends_all_that_was_asked_for(tmp_path):
    async def test():
        one, other = Replica(tmp_path), Replica(tmp_path)
        one.children._free = asyncio.Semaphore(2)
        verdict = await one.begin("key", VERDICT)
        whole = await one.jobs.find(TENANT, verdict.id)
        await until(lambda: one.children.begun == 2)
        # At another server than the one that computes.
        assert (await other.jobs.cancel_all(TENANT, verdict.id)).state == "cancelled"
        await until(lambda: verdict.state == whole.state == "cancelled")
        states = one.store.states("local", verdict.id)
        assert [each["state"] for each in states.values()] == ["cancelled"] * 2

    played(test)


def test_a_cancellation_of_the_whole_leaves_a_finished_verdict(tmp_path):
    async def test():
        one = Replica(tmp_path)
        one.children.let_go.set()
        verdict = await one.begin("key", VERDICT)
        await verdict.ended()
        assert (await one.jobs.cancel_all(TENANT, verdict.id)).state == "finished"
        one.children.let_go.clear()
        whole = await one.jobs.find(TENANT, verdict.id)
        await until(lambda: one.children.begun == 2)
        assert (await one.jobs.cancel_all(TENANT, verdict.id)).state == "cancelled"
        assert whole.state == "cancelled"
        again = await Replica(tmp_path).jobs.find(TENANT, verdict.id, VERDICT)
        assert await one.jobs.report(again) == {"verdict": "review"}
        assert (await one.jobs.find(TENANT, verdict.id)).state == "cancelled"

    played(test)


def test_an_upgrade_that_is_abandoned_goes_on_for_whoever_asks_again(tmp_path):
    async def test():
        one = Replica(tmp_path)
        one.children.let_go.set()
        verdict = await one.begin("key", VERDICT)
        await verdict.ended()
        one.children.let_go.clear()
        one.store.slow["create"] = 0.2
        asking = asyncio.create_task(one.begin("key"))
        await asyncio.sleep(0.1)
        asking.cancel()
        await asyncio.wait([asking])
        await until(lambda: not one.jobs._active)
        assert one.store.state("local", verdict.id)["state"] == "abandoned"
        assert list(one.store.unfinished()) == []
        assert await one.jobs.find(TENANT, verdict.id, VERDICT) is verdict
        one.children.let_go.set()
        await (await one.jobs.find(TENANT, verdict.id)).ended()

    played(test)


@pytest.mark.parametrize("asked", [[VERDICT], [VERDICT, WHOLE], [WHOLE]])
def test_what_a_dead_server_was_asked_for_is_resumed_and_no_more(tmp_path, asked):
    async def test():
        one = Replica(tmp_path)
        for wanted in asked:
            validation = await one.begin("key", wanted)
        await until(lambda: one.children.begun == 1)
        # It dies: its locks go with it, and the store has what was asked for.
        await one.jobs.drain(0)
        other = Replica(tmp_path)
        other.children.let_go.set()
        await other.jobs.resume({"local": TENANT})
        await until(lambda: other.children.begun == 1 and not other.jobs._active)
        assert other.children.extents == [asked[-1]]
        # Who waited for the verdict has it of either.
        found = await other.jobs.find(TENANT, validation.id, VERDICT)
        assert (found.state, other.children.begun) == ("finished", 1)

    played(test)


def test_a_store_of_an_earlier_version_is_answered_from_and_gone_on_with(tmp_path):
    async def test():
        one = Replica(tmp_path)
        one.children.let_go.set()
        done, waiting = await one.begin("done"), new_id("local", "waiting")
        await done.ended()
        one.store.create("local", waiting, JOB)
        (tmp_path / "local" / waiting / "state.json").unlink()
        assert {path.name for path in (tmp_path / "local" / waiting).iterdir()} == {"job.json"}
        other = Replica(tmp_path)
        assert (await other.jobs.find(TENANT, done.id, VERDICT)).state == "finished"
        other.children.let_go.set()
        found = await other.begin("waiting", VERDICT)
        await found.ended()
        assert other.children.extents == ["whole"]

    played(test)


def left_queued(root: Path, *asked: Extent) -> str:
    """Returns the id of a validation that a server was asked for and died over."""
    store, id = RunStore(root), new_id("local", "key")
    for extent in asked:
        store.create("local", id, JOB, extent)
    return id


@pytest.mark.parametrize("end", ["failed", "cancelled"])
def test_a_whole_that_was_asked_for_outlives_its_verdict(tmp_path, end):
    async def test():
        id = left_queued(tmp_path, VERDICT, WHOLE)
        one = Replica(tmp_path)
        one.store.keep("local", id, {"state": end, "failure": Failure("COMPUTE_DIED").to_document()}, VERDICT)
        assert list(one.store.unfinished()) == [("local", id, WHOLE)]
        one.children.let_go.set()
        await one.jobs.resume({"local": TENANT})
        await until(lambda: one.store.state("local", id)["state"] == "finished")
        assert one.children.extents == ["whole"]
        await (await one.jobs.find(TENANT, id)).ended()
        assert list(one.store.unfinished()) == []

    played(test)


@pytest.mark.parametrize("asked", [[VERDICT], [WHOLE], [VERDICT, WHOLE]])
def test_a_cancellation_begins_nothing_and_needs_no_place(tmp_path, asked):
    async def test():
        id = left_queued(tmp_path, *asked)
        one = Replica(tmp_path, tenant_jobs=1)
        await one.begin("the only place")
        await until(lambda: one.children.begun == 1)
        cancelled = await one.jobs.cancel_all(TENANT, id)
        assert (cancelled.id, cancelled.state) == (id, "cancelled")
        assert one.children.begun == 1
        assert {state["state"] for state in one.store.states("local", id).values()} == {"cancelled"}
        for known in (await one.jobs.find(TENANT, id), await Replica(tmp_path).jobs.find(TENANT, id)):
            with pytest.raises(Failure, match="cancelled"):
                await known.ended()

    played(test)


def test_a_cancellation_of_what_is_finished_says_so(tmp_path):
    async def test():
        one = Replica(tmp_path)
        one.children.let_go.set()
        whole = await one.begin("key", WHOLE)
        await whole.ended()
        # As a server leaves it that died before the verdict was needed no more.
        one.store.create("local", whole.id, JOB, VERDICT)
        assert (await one.jobs.cancel_all(TENANT, whole.id)).state == "finished"
        assert one.children.begun == 1
        assert (await one.jobs.find(TENANT, whole.id, VERDICT)).state == "finished"

    played(test)


def test_no_more_is_begun_of_what_is_being_cancelled(tmp_path):
    async def test():
        one = Replica(tmp_path)
        one.children.leaves_in = 0.3
        verdict = await one.begin("key", VERDICT)
        await until(lambda: one.children.begun == 1)
        cancelling = asyncio.create_task(one.jobs.cancel_all(TENANT, verdict.id))
        await one.children.leaving.wait()
        assert verdict.state == "running"
        asked = await one.jobs.find(TENANT, verdict.id, WHOLE)
        with pytest.raises(Failure, match="cancelled"):
            await asked.ended()
        assert (await cancelling).state == "cancelled"
        assert one.children.extents == ["verdict"]
        assert one.store.states("local", verdict.id).keys() == {"verdict"}

    played(test)


@pytest.mark.parametrize("changes", [False, True])
def test_one_id_has_one_verdict(tmp_path, changes):
    async def test():
        one, marks = Replica(tmp_path), {"verdict": "a", "whole": "b" if changes else "a"}
        work = one.children.work

        async def marked(request, tell):
            told = await work(request, tell)
            return {"finished": told["finished"] | {"mark": marks[request["extent"]]}}

        one.children.work = marked  # type: ignore[method-assign]
        one.children.let_go.set()
        verdict = await one.begin("key", VERDICT)
        await verdict.ended()
        whole = await one.jobs.find(TENANT, verdict.id, WHOLE)
        if changes:
            with pytest.raises(Failure) as raised:
                await whole.ended()
            assert raised.value.reason == "ANSWER_CHANGED"
        else:
            await whole.ended()
        assert one.counted() == 1
        again = Replica(tmp_path)
        assert (await again.jobs.find(TENANT, verdict.id, WHOLE)).state == ("failed" if changes else "finished")
        assert (await again.jobs.find(TENANT, verdict.id, VERDICT)).state == "finished"

    played(test)


def test_damage_to_one_extent_hides_no_other(tmp_path):
    async def test():
        one = Replica(tmp_path)
        one.children.let_go.set()
        verdict = await one.begin("key", VERDICT)
        await verdict.ended()
        await (await one.jobs.find(TENANT, verdict.id, WHOLE)).ended()
        (tmp_path / "local" / verdict.id / "state.json").write_bytes(b"{}")
        again = Replica(tmp_path)
        assert (await again.jobs.find(TENANT, verdict.id, VERDICT)).state == "finished"
        with pytest.raises(Failure) as raised:
            await again.jobs.find(TENANT, verdict.id, WHOLE)
        assert raised.value.reason == "STATE_DAMAGED"

    played(test)


def test_a_key_that_is_another_jobs_asks_nothing_of_it(tmp_path):
    store, id = RunStore(tmp_path), new_id("local", "key")
    store.create("local", id, JOB, VERDICT)
    before = {path.name for path in (tmp_path / "local" / id).iterdir()}
    # As where the other's job comes between the look and the link.
    with pytest.MonkeyPatch.context() as patch:
        opened = run_store._opened
        seen: list[int] = []

        def first_blind(path):
            if path.name == "job.json" and not seen:
                seen.append(1)
                return None
            return opened(path)

        patch.setattr(run_store, "_opened", first_blind)
        with pytest.raises(Failure) as raised:
            store.create("local", id, {**JOB, "settings": {"seed": 2}}, WHOLE)
    assert raised.value.reason == "KEY_REUSED"
    assert {path.name for path in (tmp_path / "local" / id).iterdir()} == before
