"""A tracker that hangs or fails never stops a run."""

import logging
import threading
import time
from pathlib import Path

import pytest

from tests.pipeline.sample_report import approve
from vr.pipeline.config import Config, TrackerKind
from vr.pipeline.progress import Event
from vr.telemetry.background import BackgroundTracker, tracking
from vr.telemetry.tracker import NoTracker, build
from vr.telemetry.wandb_tracker import WandbTracker

REPORT = approve()


class Recorder:
    """Remembers what it was told, and can be made to hang or fail at one of the calls."""

    def __init__(self, *, fail_at: str = "", hang_at: str = ""):
        self.calls: list[str] = []
        self.threads: set[int] = set()
        self.released = threading.Event()
        self._fail_at, self._hang_at = fail_at, hang_at

    def start(self, configuration, folder):
        self._called("start")

    def log(self, event):
        self._called("log")

    def finish(self, report, folder):
        self._called("finish" if report is not None else "finish without report")

    def _called(self, name):
        self.threads.add(threading.get_ident())
        self.calls.append(name)
        if name == self._hang_at:
            self.released.wait(30)
        if name == self._fail_at:
            raise ConnectionError("no route\nto host")


def drive(recorder: Recorder, *, timeout_s: float = 5.0, queue_length: int = 100, events: int = 3) -> BackgroundTracker:
    tracker = BackgroundTracker(recorder, timeout_s=timeout_s, queue_length=queue_length)
    tracker.start({}, Path())
    for number in range(events):
        tracker.log(Event("cascade", number, events))
    tracker.finish(REPORT, None)
    return tracker


def test_calls_arrive_in_order_on_another_thread():
    recorder = Recorder()
    tracker = drive(recorder)
    assert recorder.calls == ["start", "log", "log", "log", "finish"]
    assert recorder.threads.isdisjoint({threading.get_ident()})
    assert not tracker.abandoned


@pytest.mark.parametrize("where", ["start", "log", "finish"])
def test_a_failing_tracker_costs_one_warning_and_a_word_on_what_it_missed(where, caplog):
    recorder = Recorder(fail_at=where)
    tracker = drive(recorder)
    assert tracker.abandoned
    assert recorder.calls[-1] == where
    first, *rest = caplog.records
    assert first.levelno == logging.WARNING
    assert first.getMessage() == "the tracker failed and is left alone: ConnectionError: no route to host"
    missed = "3 of 3 events did not reach the tracker; the report has their numbers"
    assert [record.getMessage() for record in rest] == ([] if where == "finish" else [missed])


@pytest.mark.parametrize("where", ["start", "finish"])
def test_a_hanging_tracker_costs_its_time_out_once(where, caplog):
    recorder = Recorder(hang_at=where)
    begin = time.monotonic()
    tracker = drive(recorder, timeout_s=0.2)
    waited = time.monotonic() - begin
    recorder.released.set()
    assert tracker.abandoned
    assert 0.2 <= waited < 3
    said = [record.getMessage() for record in caplog.records]
    assert said[0] == f"the tracker did not {where} within 0.2 s and is left alone"
    missed = "3 of 3 events did not reach the tracker; the report has their numbers"
    assert said[1:] == ([missed] if where == "start" else [])


def test_a_tracker_that_hangs_in_the_middle_never_blocks_an_event(caplog):
    recorder = Recorder(hang_at="log")
    tracker = BackgroundTracker(recorder, timeout_s=0.2, queue_length=5)
    tracker.start({}, Path())
    begin = time.monotonic()
    for number in range(1_000):
        tracker.log(Event("cascade", number, 1_000))
    assert time.monotonic() - begin < 1
    tracker.finish(REPORT, None)
    recorder.released.set()
    assert tracker.abandoned
    assert "finish" not in recorder.calls
    assert "did not finish within 0.2 s" in caplog.records[0].getMessage()
    assert "1000 of 1000 events did not reach the tracker" in caplog.records[1].getMessage()


def test_a_slow_tracker_loses_events_and_says_how_many(caplog):
    recorder = Recorder()
    gate = threading.Event()
    recorder.log = lambda event: gate.wait(5)
    tracker = BackgroundTracker(recorder, timeout_s=5, queue_length=2)
    tracker.start({}, Path())
    for number in range(50):
        tracker.log(Event("cascade", number, 50))
    gate.set()
    tracker.finish(REPORT, None)
    assert not tracker.abandoned
    assert recorder.calls == ["start", "finish"]
    # One event may already have left the queue of two.
    assert caplog.records[0].args in ((47, 50), (48, 50))


def test_a_run_that_fails_ends_its_tracked_run_without_a_report(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr("vr.telemetry.background.build", lambda config: recorder)

    def fail() -> None:
        with tracking(Config(), Path()) as tracker:
            tracker.log(Event("read", 0, None))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert recorder.calls == ["start", "log", "finish without report"]


def test_a_run_that_does_nothing_is_not_tracked(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr("vr.telemetry.background.build", lambda config: recorder)
    with tracking(Config(), Path()) as tracker:
        tracker.finish(REPORT, None)
    assert recorder.calls == []


def test_a_run_is_started_once_whichever_thread_speaks_first(monkeypatch):
    recorder = Recorder()
    monkeypatch.setattr("vr.telemetry.background.build", lambda config: recorder)
    with tracking(Config(), Path()) as tracker:
        threads = [threading.Thread(target=tracker.log, args=(Event("cascade", n, 4),)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        tracker.finish(REPORT, None)
    assert recorder.calls == ["start", "log", "log", "log", "log", "finish"]


def test_the_configured_tracker_is_built():
    config = Config().tracking
    assert isinstance(build(config), NoTracker)
    config.kind = TrackerKind.wandb
    assert isinstance(build(config), WandbTracker)


def test_no_tracker_needs_no_thread():
    before = threading.active_count()
    with tracking(Config(), Path()) as tracker:
        tracker.log(Event("read", 1, 2))
        tracker.finish(REPORT, None)
    assert threading.active_count() == before
