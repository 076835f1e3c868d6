"""Is health answered in time while cascades train on every core?

    python -m benchmarks.service_training [--preset laptop] [--rows 10000] [--columns 12]

A server process with as many children as cores, and a cascade in each, asked for by `TrainCascade` over a socket. All
the while health is asked on a connection of its own, every 50 ms, whether or not the last answer has come: a server
that stops for a second is late with twenty answers, not with one. Only what was due while every cascade trained counts.
Minutes. Writes results/service_training.json: `health`, from when it was due, which counts against the server that this
end had no processor to ask with; `health_once_sent`, without that; and `cores_busy`, the processor seconds of the
children for each second of that time, near the number of cores where these are theirs alone.
"""

import argparse
import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.measure import save
from benchmarks.service_latency import serving
from vr.client import Client, Job
from vr.client.connection import Connection
from vr.client.load.datasets import write_pair
from vr.client.load.figures import distribution
from vr.client.load.target import Target
from vr.pipeline.progress import Event

__all__ = ["Ask", "Span", "common", "health_between", "trained", "watched"]

_EVERY_S = 0.05
_TICKS_A_SECOND = os.sysconf("SC_CLK_TCK")


def main() -> None:
    """Trains, asks, and writes what came of it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--preset", default="laptop")
    parser.add_argument("--rows", type=int, default=10_000)
    parser.add_argument("--columns", type=int, default=12)
    parser.add_argument("--children", type=int, default=os.cpu_count() or 1)
    arguments = parser.parse_args()
    load = os.getloadavg()[0]
    with (
        tempfile.TemporaryDirectory() as name,
        serving(Path(name), f"server.children={arguments.children}") as (address, server),
    ):
        work = Job(*write_pair(Path(name), arguments.rows, arguments.columns), cascade=arguments.preset)
        result = asyncio.run(trained(address, server.pid, work, arguments.children))
    words = " ".join(f"--{name} {value}" for name, value in vars(arguments).items())
    save(
        "service_training",
        {**vars(arguments), "load_before": load, **result},
        f"python -m benchmarks.service_training {words}",
    )
    health = result["health"]
    print(f"{health['count']} asks while {arguments.children} cascades trained: p99 {health.get('p99_ms')} ms")


@dataclass(frozen=True)
class Span:
    """From when until when, in seconds of one clock that only rises; nothing where `ended` is not after `begun`."""

    begun: float
    ended: float

    @property
    def seconds(self) -> float:
        """Its length."""
        return max(0.0, self.ended - self.begun)


@dataclass(frozen=True)
class Ask:
    """One question for health.

    Attributes:
      due: When it was to be asked, in seconds of the clock of `Span`.
      sent: When it was.
      ended: When the answer, or the failure, was there.
      serves: Whether the server said that it works.
      cpu_s: Processor seconds of the server's children when it was sent.
    """

    due: float
    sent: float
    ended: float
    serves: bool
    cpu_s: float


async def trained(address: str, pid: int, work: Job, number: int) -> dict[str, Any]:
    """Returns how a server's health was answered while it trained so many cascades at once.

    Args:
      address: Of the server.
      pid: Its process number.
      work: What each of them is of.
      number: How many.

    Raises:
      ServiceError: if one of them fails.
    """
    asks: list[Ask] = []
    # Of its channels it only needs the one for health.
    async with Target(Connection(address), "TrainCascade", work, channels=1) as target:
        watch = asyncio.create_task(watched(target.serves, pid, asks))
        try:
            spans = await asyncio.gather(*(asyncio.to_thread(_train, address, work) for _ in range(number)))
        finally:
            watch.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await watch
    return health_between(asks, common(spans))


def common(spans: Sequence[Span]) -> Span:
    """Returns the time that all spans share."""
    return Span(max(each.begun for each in spans), min(each.ended for each in spans))


def health_between(asks: Sequence[Ask], span: Span) -> dict[str, Any]:
    """Returns what became of the questions that were due in a span.

    Returns:
      {"trained_s": length of the span, "cores_busy": processor seconds of the children a second, None of too few
      questions to say, "health": of all of them, failed ones too, from when they were due, with "not_serving": how many
      said otherwise or failed, "health_once_sent": of the same, from when they were sent}.
    """
    found = sorted((each for each in asks if span.begun <= each.due < span.ended), key=lambda each: each.sent)
    passed = found[-1].sent - found[0].sent if found else 0.0
    return {
        "trained_s": round(span.seconds, 3),
        "cores_busy": round((found[-1].cpu_s - found[0].cpu_s) / passed, 3) if passed else None,
        "health": {
            **distribution([each.ended - each.due for each in found]),
            "not_serving": sum(not each.serves for each in found),
        },
        "health_once_sent": distribution([each.ended - each.sent for each in found]),
    }


def _train(address: str, work: Job) -> Span:
    """Trains one cascade; returns from its first step that was told of to its last."""
    times: list[float] = []

    def told(event: Event) -> None:
        if event.training is not None and event.training.step:
            times.append(time.perf_counter())

    with Client(address) as client:
        client.train_cascade(work, progress=told)
    if not times:
        raise RuntimeError("a cascade was trained and nothing was told of its steps")
    return Span(times[0], times[-1])


async def watched(serves: Callable[[], Awaitable[bool]], pid: int, asks: list[Ask]) -> None:
    """Asks for a server's health until it is cancelled, and waits for what is under way then.

    Args:
      serves: Asks once; returns whether the server works.
      pid: The server's process number.
      asks: Takes what was asked, in the order of the answers.
    """

    async def ask(due: float) -> None:
        cpu_s, sent = _children_s(pid), time.perf_counter()
        works = await serves()
        asks.append(Ask(due, sent, time.perf_counter(), works, cpu_s))

    due = time.perf_counter()
    async with asyncio.TaskGroup() as under_way:
        with contextlib.suppress(asyncio.CancelledError):
            while True:
                await asyncio.sleep(max(0.0, due - time.perf_counter()))
                under_way.create_task(ask(due))
                due += _EVERY_S


def _children_s(pid: int) -> float:
    """Returns the processor seconds of a process's children, of those that live."""
    total = 0
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        # One may end between the two looks.
        with contextlib.suppress(OSError):
            fields = Path(f"/proc/{child}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS_A_SECOND


if __name__ == "__main__":
    main()
