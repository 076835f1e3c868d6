"""The watch on health beside training: what counts, and that a server that stops is seen to stop."""

import asyncio
import contextlib
import os

import pytest

from benchmarks.service_training import Ask, Span, common, health_between, watched


def test_only_what_was_due_while_every_cascade_trained_counts():
    span = common([Span(10.0, 30.0), Span(12.0, 25.0)])
    assert (span.begun, span.ended) == (12.0, 25.0)
    asks = [
        # In the order of the answers: the slow one comes last.
        Ask(11.9, 11.9, 11.91, True, 20.0),
        Ask(24.0, 24.0, 24.01, True, 46.0),
        Ask(25.0, 25.0, 29.0, True, 48.0),
        Ask(14.0, 14.5, 15.0, True, 27.0),
        Ask(13.0, 13.0, 23.0, False, 24.0),
    ]
    found = health_between(asks, span)
    assert found["trained_s"] == 13.0
    # One that failed counts with the time that it took.
    assert found["health"]["count"] == 3
    assert found["health"]["not_serving"] == 1
    assert found["health"]["max_ms"] == pytest.approx(10_000.0)
    # The wait at this end counts in the one and not in the other.
    assert found["health"]["p50_ms"] == pytest.approx(1000.0)
    assert found["health_once_sent"]["p50_ms"] == pytest.approx(500.0)
    assert found["cores_busy"] == pytest.approx((46.0 - 24.0) / (24.0 - 13.0))


def test_cascades_that_did_not_train_at_once_have_no_health():
    found = health_between([Ask(5.0, 5.0, 5.1, True, 1.0)], common([Span(0.0, 4.0), Span(6.0, 9.0)]))
    assert found == {
        "trained_s": 0.0,
        "cores_busy": None,
        "health": {"count": 0, "not_serving": 0},
        "health_once_sent": {"count": 0},
    }


def test_a_server_that_stops_is_late_with_every_answer_that_was_due():
    async def run() -> list[Ask]:
        asks: list[Ask] = []
        asked, goes_on = asyncio.Semaphore(0), asyncio.Event()

        async def serves() -> bool:
            asked.release()
            await goes_on.wait()
            return True

        watch = asyncio.create_task(watched(serves, os.getpid(), asks))
        # Asked again and again though no answer comes.
        for _ in range(4):
            await asyncio.wait_for(asked.acquire(), 60)
        watch.cancel()
        goes_on.set()
        with contextlib.suppress(asyncio.CancelledError):
            await watch
        return asks

    asks = asyncio.run(run())
    # None is lost where the watch ends before its answer is there.
    assert len(asks) >= 4
    first, *_, last = sorted(asks, key=lambda ask: ask.due)
    assert first.ended - first.due > last.due - first.due >= 0.149
