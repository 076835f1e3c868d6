"""The generator of load against services whose answers are known beforehand: coroutines that wait, refuse or stall."""

import asyncio
import math
import time

import pytest

from vr.client.load.drive import Outcome, drive
from vr.client.load.figures import Answer, Window, Windows, distribution, percentile, summary
from vr.client.load.plan import Level, Plan, levels_of
from vr.core.errors import ConfigError

QUICK = {"warm_up_s": 0.1, "window_s": 0.3, "window_requests": 3, "level_s": 4.0, "tolerance": 0.5, "timeout_s": 2.0}


class Service:
    """Answers `servers` questions at a time, each in `seconds`; refuses where `room` is taken."""

    def __init__(self, seconds: float, servers: int, room: float = math.inf, retry_s: float | None = None):
        self.seconds, self.room, self.retry_s = seconds, room, retry_s
        self.free = asyncio.Semaphore(servers)
        self.inside = self.asked = 0
        self.asked_at: list[float] = []

    async def ask(self, number: int, timeout_s: float) -> Outcome:
        self.asked += 1
        self.asked_at.append(time.perf_counter())
        if self.inside >= self.room:
            return Outcome("RESOURCE_EXHAUSTED", "QUEUE_FULL", self.retry_s)
        self.inside += 1
        try:
            async with asyncio.timeout(timeout_s), self.free:
                await asyncio.sleep(self.seconds)
        except TimeoutError:
            return Outcome("DEADLINE_EXCEEDED")
        finally:
            self.inside -= 1
        return Outcome()


def run(plan: Plan, seconds: float, servers: int, **more) -> tuple[dict, Service]:
    async def work():
        service = Service(seconds, servers, **more)
        return await drive(plan, service.ask), service

    return asyncio.run(work())


def test_a_closed_loop_gives_what_little_says():
    """Three clients and one server that takes 50 ms: 20 a second at most, and each waits for the other two."""
    found, _ = run(Plan((Level(clients=3),), **QUICK), 0.05, 1)
    [level] = found["levels"]
    # Sleeping takes longer on a busy machine, never less.
    assert 0 < level["goodput_per_s"] <= 20.5
    assert level["latency"]["p50_ms"] >= 149
    assert level["errors"] == {}
    # Number in the system = rate x time in it (Little 1961).
    assert level["goodput_per_s"] * level["latency"]["mean_ms"] / 1000 == pytest.approx(3, rel=0.25)


def test_an_open_loop_beyond_capacity_does_not_wait_for_answers():
    plan = Plan((Level(clients=2), Level(rate=2.0, times_best=True)), **QUICK)
    found, service = run(plan, 0.05, 2, room=4)
    closed, opened = found["levels"]
    assert opened["rate_per_s"] == pytest.approx(2 * closed["goodput_per_s"], rel=0.01)
    assert opened["refused"]["count"] > 0
    assert opened["errors"] == {"RESOURCE_EXHAUSTED/QUEUE_FULL": opened["refused"]["count"]}
    assert found["requests"] == service.asked


def test_a_stall_is_counted_from_when_questions_were_due():
    """Ten a second, and a service that stands for 0.6 s once: whoever was due meanwhile waited too."""

    async def work():
        begun = time.perf_counter()

        async def ask(number: int, timeout_s: float) -> Outcome:
            # The event loop itself stands, so nobody can even send.
            if number == 4:
                time.sleep(0.6)
            return Outcome()

        plan = Plan((Level(rate=20),), **{**QUICK, "warm_up_s": 0.0, "window_s": 2.0, "requests": 30})
        return begun, await drive(plan, ask)

    _, found = asyncio.run(work())
    [level] = found["levels"]
    # About a dozen were due in that time; measured from when they were sent, one would look slow.
    assert level["latency"]["p90_ms"] > 200
    assert level["generator"]["delay"]["max_ms"] > 300


def test_refused_clients_wait_as_they_are_told():
    plan = Plan((Level(clients=8),), **{**QUICK, "level_s": 1.0})
    _, service = run(plan, 0.2, 1, room=1, retry_s=0.5)
    # Unasked they would come back thousands of times.
    assert service.asked < 60
    # The seven that were refused together come back one by one, none of them early.
    first, again = service.asked_at[:8], service.asked_at[8:]
    again = [at for at in again if at > first[-1] + 0.45][:7]
    assert again[-1] - again[0] > 0.08
    assert again[0] - first[0] > 0.49


def test_bounds_are_kept():
    found, service = run(Plan((Level(clients=4), Level(rate=50)), requests=25, **QUICK), 0.01, 4)
    assert found["requests"] == service.asked <= 25
    plan = Plan((Level(rate=200),), most_in_flight=3, **{**QUICK, "level_s": 1.0})
    found, service = run(plan, 5.0, 10)
    assert service.asked <= 3 + 3
    assert found["levels"][0]["not_sent"] > 50


def test_an_unstable_level_says_so_and_one_that_answers_nothing_is_not_stable():
    found, _ = run(Plan((Level(clients=2),), **{**QUICK, "level_s": 1.5}), 0.1, 1, room=0)
    [level] = found["levels"]
    assert not level["stable"]
    assert level["goodput_per_s"] == 0
    assert level["latency"] == {"count": 0}


def test_a_mistake_in_what_asks_is_no_figure():
    async def ask(number: int, timeout_s: float) -> Outcome:
        raise RuntimeError("broken")

    with pytest.raises(RuntimeError, match="broken"):
        asyncio.run(drive(Plan((Level(clients=1),), **QUICK), ask))


class TestFigures:
    def test_percentiles_are_those_of_the_nearest_rank(self):
        values = [float(each) for each in range(1, 101)]
        assert [percentile(values, share) for share in (0.5, 0.95, 0.99, 1.0)] == [50, 95, 99, 100]
        assert percentile([7.0], 0.5) == 7.0
        assert distribution([0.1, 0.2, 0.3])["p50_ms"] == 200
        assert distribution([]) == {"count": 0}

    def test_a_summary_counts_each_answer_once(self):
        answers = (
            Answer(0.0, 0.0, 0.1),
            Answer(0.0, 0.5, 0.9),
            Answer(0.2, 0.2, 0.3, "RESOURCE_EXHAUSTED", "QUEUE_FULL"),
            Answer(0.2, 0.2, 0.9, "UNAVAILABLE"),
        )
        found = summary([Window(0.0, 2.0, answers)], goal_s=0.5)
        assert (found["answers"], found["late"], found["goodput_per_s"], found["throughput_per_s"]) == (2, 1, 0.5, 2.0)
        assert found["errors"] == {"RESOURCE_EXHAUSTED/QUEUE_FULL": 1, "UNAVAILABLE": 1}
        assert found["refused"] == {"count": 1, **dict.fromkeys(list(distribution([1.0]))[1:], 100.0)}
        assert found["latency"]["max_ms"] == 900

    def test_windows_agree_only_within_the_tolerance(self):
        def windows(counts: list[int]) -> Windows:
            found = Windows(Plan(tolerance=0.1, window_s=1.0, window_requests=1), 0.0)
            for second, count in enumerate(counts):
                for _ in range(count):
                    found.add(Answer(second, second, second + 0.5))
                found.end(second + 1.0)
            return found

        assert windows([50, 100, 101, 99]).are_stable
        assert not windows([100, 101, 80]).are_stable
        assert not windows([100, 100]).are_stable
        assert not windows([0, 0, 0]).are_stable


@pytest.mark.parametrize(
    ("clients", "rates", "text"),
    [
        ("1,two", None, "no number of clients"),
        ("0", None, "no number of clients"),
        ("5000", None, "must lie in 1 to 1024"),
        (None, "2x", "no level before it"),
        (None, "fast", "no rate"),
        (None, "0", "must lie in"),
        (None, "1e9", "no rate"),
    ],
)
def test_levels_that_are_none(clients, rates, text):
    with pytest.raises(ConfigError, match=text):
        Plan(levels_of(clients, rates))


def test_levels_in_order():
    assert [str(each) for each in levels_of("1,4", "2.5,2x")] == [
        "1 client",
        "4 clients",
        "2.5 a second",
        "2 times the best",
    ]
