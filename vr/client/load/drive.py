"""One level after the other: questions asked in a closed or an open loop until the windows agree or a bound is met."""

import asyncio
import contextlib
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

from vr.client.load.figures import OK, Answer, Windows, distribution, summary
from vr.client.load.plan import Level, Plan

__all__ = ["Ask", "Outcome", "drive"]

_LOOK_S = 0.05
# A refused client of a closed loop waits as long as it is told, so long at most, and up to so many times that, as
# `vr.client` does: many that were refused together would come back together.
_LONGEST_WAIT_S, _LATEST = 5.0, 1.5


@dataclass(frozen=True)
class Outcome:
    """How a question ended: status code by name, reason, and after how long the server says to come back."""

    code: str = OK
    reason: str | None = None
    retry_s: float | None = None


# Given the number of whoever asks and the seconds that it may take; it raises nothing.
Ask = Callable[[int, float], Awaitable[Outcome]]
Health = Callable[[], Awaitable[bool]]


async def drive(plan: Plan, ask: Ask, health: Health | None = None, told: Callable[[str], None] | None = None) -> Any:
    """Returns what became of every level.

    Args:
      plan: Of the test.
      ask: Asks one question.
      health: Asks for the server's health; returns whether it serves.
      told: Told of every level that is over.

    Returns:
      {"levels": [...], "best_goodput_per_s", "requests"}; a level is as `vr.client.load.figures.summary` has it, with
      "level", "stable", "windows", "not_sent", "unanswered", "health" and "generator".
    """
    left, best, levels = plan.requests, 0.0, []
    for level in plan.levels:
        if left <= 0:
            break
        if level.times_best:
            # A server that answered nothing has no twice as much.
            level = replace(level, rate=max(0.1, level.rate * best), times_best=False)
        found = await _Run(plan, level, left, ask, health).measured()
        left -= found["requests"]
        best = max(best, found["goodput_per_s"])
        levels.append(found)
        if told is not None:
            told(_line(found))
    return {"levels": levels, "best_goodput_per_s": best, "requests": plan.requests - left}


class _Run:
    """One level."""

    def __init__(self, plan: Plan, level: Level, requests: int, ask: Ask, health: Health | None):
        self._plan, self._level, self._left, self._ask, self._health = plan, level, requests, ask, health
        self._windows = Windows(plan, 0.0)
        self._sent = self._not_sent = self._in_flight = 0
        self._delays: list[float] = []
        self._health_s: list[float] = []
        self._unhealthy = 0
        self._is_over = False
        self._mistake: Exception | None = None
        self._asking: set[asyncio.Task[None]] = set()

    async def measured(self) -> dict[str, Any]:
        begun = time.perf_counter()
        self._windows = Windows(self._plan, begun + self._plan.warm_up_s)
        beside = [asyncio.create_task(self._look_at_health()), asyncio.create_task(self._look_at_self())]
        if self._level.clients:
            askers = [asyncio.create_task(self._client(number)) for number in range(self._level.clients)]
        else:
            askers = [asyncio.create_task(self._arrivals(begun))]
        try:
            stable = await self._until_enough(begun, askers)
            # What is cancelled costs a server the process that was at it: the next level would begin with a cold one.
            self._is_over = True
            unanswered = await self._settled()
        finally:
            every = [*askers, *beside, *self._asking]
            for task in every:
                task.cancel()
            await asyncio.gather(*every, return_exceptions=True)
        counted = self._windows.closed[-self._plan.stable :] if stable else self._windows.closed
        found = {"level": str(self._level), "clients": self._level.clients, "rate_per_s": round(self._level.rate, 4)}
        return found | {
            "stable": stable,
            "windows": len(self._windows.closed),
            "requests": self._sent,
            **summary(counted, self._plan.goal_s),
            # Of an open loop, what was due while too many were under way.
            "not_sent": self._not_sent,
            # Under way when the level was over, and given up then.
            "unanswered": unanswered,
            "health": {**distribution(self._health_s), "not_serving": self._unhealthy},
            # How late this end itself was; where that is much, it is this end that is too slow.
            "generator": {"delay": distribution(self._delays)},
        }

    async def _until_enough(self, begun: float, askers: list["asyncio.Task[None]"]) -> bool:
        """Returns when the level is over: whether its windows agree."""
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._mistake is not None:
                # It must not look like a server that answers nothing.
                raise self._mistake
            now = time.perf_counter()
            self._windows.close(now)
            if self._windows.are_stable:
                return True
            if now - begun >= self._plan.level_s or all(task.done() for task in askers):
                if not self._windows.closed:
                    self._windows.end(now)
                return False

    async def _settled(self) -> int:
        """Waits for what is under way, nothing new being asked; returns how many were not answered in time."""
        until = time.perf_counter() + self._plan.timeout_s
        while self._in_flight and time.perf_counter() < until:
            await asyncio.sleep(_LOOK_S)
        return self._in_flight

    async def _client(self, number: int) -> None:
        rng = random.Random(f"{self._plan.seed} {number}")
        while self._take():
            due = time.perf_counter()
            outcome = await self._asked(number, due)
            # Nobody whom a server tells to come later hammers it meanwhile.
            await asyncio.sleep(min(outcome.retry_s or 0.0, _LONGEST_WAIT_S) * rng.uniform(1.0, _LATEST))

    async def _arrivals(self, begun: float) -> None:
        """Asks at the times of a Poisson process, whether or not anything is answered."""
        rng, due, number = random.Random(self._plan.seed), begun, 0
        while self._left > 0 and not self._is_over:
            due += rng.expovariate(self._level.rate)
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            if self._in_flight >= self._plan.most_in_flight:
                self._not_sent += 1
                continue
            if not self._take():
                break
            number += 1
            task = asyncio.create_task(self._alone(number, due))
            self._asking.add(task)
            task.add_done_callback(self._asking.discard)
        await asyncio.gather(*self._asking, return_exceptions=True)

    async def _alone(self, number: int, due: float) -> None:
        await self._asked(number, due)

    def _take(self) -> bool:
        if self._left <= 0 or self._is_over:
            return False
        self._left -= 1
        self._sent += 1
        return True

    async def _asked(self, number: int, due: float) -> Outcome:
        self._in_flight += 1
        sent = time.perf_counter()
        try:
            outcome = await self._ask(number, self._plan.timeout_s)
        except Exception as err:
            # An answer of any code is an outcome; what is raised is a fault of the load test itself, and ends it.
            self._mistake = err
            raise
        finally:
            self._in_flight -= 1
        self._windows.add(Answer(due, sent, time.perf_counter(), outcome.code, outcome.reason))
        return outcome

    async def _look_at_health(self) -> None:
        while self._health is not None:
            begun = time.perf_counter()
            # Whatever it was, health was not told: it is counted below, and the load goes on.
            with contextlib.suppress(Exception):
                if await self._health():
                    self._health_s.append(time.perf_counter() - begun)
                    await asyncio.sleep(self._plan.health_s)
                    continue
            self._unhealthy += 1
            await asyncio.sleep(self._plan.health_s)

    async def _look_at_self(self) -> None:
        while True:
            begun = time.perf_counter()
            await asyncio.sleep(_LOOK_S)
            self._delays.append(max(0.0, time.perf_counter() - begun - _LOOK_S))


def _line(found: dict[str, Any]) -> str:
    latency, refused, health = found["latency"], found["refused"], found["health"]
    told = [f"{found['level']:<18} {found['goodput_per_s']:8.2f} good a second"]
    if latency["count"]:
        told.append(f"p50 {latency['p50_ms']:.0f} ms, p95 {latency['p95_ms']:.0f}, p99 {latency['p99_ms']:.0f}")
    if refused["count"]:
        told.append(f"{refused['count']} refused, p99 {refused['p99_ms']:.0f} ms")
    others = sum(found["errors"].values()) - refused["count"]
    told += [f"{others} errors"] if others else []
    told += [f"health p99 {health['p99_ms']:.0f} ms"] if health["count"] else []
    told += [] if found["stable"] else ["not stable"]
    return "; ".join(told)
