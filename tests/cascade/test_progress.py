"""What a cascade tells while it trains: few events, none lost at either end, with numbers that can be checked."""

import subprocess
import sys
import threading

import pytest

from tests.cascade.test_train import NUM_CODES, config, table
from vr.cascade import memory
from vr.cascade.config import Execution, TierConfig
from vr.cascade.progress import Advance, MemoryUse, Meter
from vr.cascade.train import run_cascade

NAN = float("nan")


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def meter(seconds: float = 10.0, total: int = 8):
    seen, clock = [], Clock()
    made = Meter(seen.append, total, seconds, lambda: MemoryUse(1_000, "process"), clock)
    made.begin("tier", models=4, steps=100, batch_rows=32, segments=20)
    return made, seen, clock


def test_at_most_one_event_in_so_many_seconds_but_always_the_first_and_the_last():
    made, seen, clock = meter()
    for segment in range(1, 21):
        for job in ("a", "b", "c", "d"):
            clock.now += 1.0
            made.advanced(Advance(job, segment, 1.0, 1.0, 0.5))
    made.end({"x": 1})
    # One at 1 s, then every ten, of 80 events; and the end.
    assert len(seen) == 8 + 1
    assert (seen[0].member, seen[0].step) == ("a", 5)
    assert (seen[-1].message, seen[-1].done, seen[-1].values) == ("tier: done", 4, {"x": 1})
    made.begin("next", models=4, steps=100, batch_rows=32, segments=20)
    made.trained("e")
    assert (seen[-1].message, seen[-1].done, seen[-1].tier) == ("next: e, trained", 5, "next")


def test_pace_and_time_left_are_those_of_the_segments_trained_here():
    made, seen, clock = meter(0.0)
    # Trained by an earlier run: counted as done, and not as work of this one.
    made.trained("a")
    clock.now = 7.0
    made.advanced(Advance("b", 12, 1.25, seconds=2.0, waited=1.5))
    told = seen[-1]
    assert (told.step, told.steps, told.loss, told.total) == (60, 100, 1.25, 8)
    assert told.done == pytest.approx(1.6)
    assert told.rows_per_second == pytest.approx(5 * 32 / 2.0)
    # 2.4 models of 20 segments, 2 seconds each.
    assert told.eta_seconds == pytest.approx(2.4 * 20 * 2.0)
    assert told.busy == pytest.approx(0.75)
    assert told.memory == MemoryUse(1_000, "process")
    assert told.message == "tier: 2 min left, step 60 of 100, loss 1.250, 80 rows/s; b"
    assert told.values["cascade/tier/eta_seconds"] == told.eta_seconds
    assert told.values["cascade/tier/memory_bytes"] == 1_000


def test_models_that_train_at_once_are_counted_together():
    made, seen, clock = meter(0.0)
    clock.now = 3.0
    made.advanced(Advance(None, 5, NAN, seconds=3.0, waited=3.0))
    assert (seen[-1].done, seen[-1].member, seen[-1].loss) == (1.0, None, None)
    assert "cascade/tier/loss" not in seen[-1].values
    assert seen[-1].rows_per_second == pytest.approx(4 * 5 * 32 / 3.0)
    assert seen[-1].message == "tier: 45 s left, step 25 of 100, 213 rows/s; 4 models"
    made.advanced(Advance(None, 20, 1.0, 1.0, 1.0))
    for name in "abcd":
        made.trained(name)
    assert seen[-1].done == 4


def test_events_come_one_at_a_time_and_never_go_back():
    inside, seen = threading.Semaphore(1), []

    def tell(event):
        assert inside.acquire(blocking=False)
        seen.append(event.done)
        inside.release()

    made = Meter(tell, 4, 0.0)
    made.begin("tier", models=4, steps=20, batch_rows=1, segments=20)

    def train(job):
        for segment in range(1, 21):
            made.advanced(Advance(job, segment, 1.0, 1.0, 1.0))

    threads = [threading.Thread(target=train, args=(job,)) for job in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 80
    assert seen == sorted(seen)
    assert seen[-1] == 4


@pytest.mark.parametrize("form", [Execution.looped, Execution.stacked])
def test_a_real_training_tells_every_number(form):
    seen = []
    few = config(
        tiers=[TierConfig(name="one", seeds=2, width=4, depth=1, steps=20)], progress_seconds=0.0, execution=form
    )
    result = run_cascade(table(300, 0), table(300, 1), NUM_CODES, few, 0, progress=seen.append)
    steps = [event for event in seen if event.step is not None]
    assert len(steps) == 20 * (4 if form is Execution.looped else 1)
    for event in steps:
        assert (event.tier, event.steps, event.total) == ("one", 20, 4)
        assert 0 < event.busy <= 1
        assert event.rows_per_second > 0
        assert event.memory.of == "process"
        assert event.memory.bytes > 10_000_000
        assert {f"cascade/one/{name}" for name in ("step", "loss", "busy")} <= set(event.values)
    assert steps[-1].eta_seconds == 0
    assert steps[-1].done == 4
    by_name = {(m.seed, m.arm): m.loss_curve["loss"] for m in result.models}
    if form is Execution.looped:
        told = [event.loss for event in steps if event.member == "seed 1 of 2, candidate"]
        assert told == pytest.approx(by_name[0, "candidate"], abs=1e-5)
    else:
        assert steps[0].member is None
        assert steps[0].loss == pytest.approx(sum(curve[0] for curve in by_name.values()) / 4, abs=1e-4)


def test_ten_seconds_are_the_default():
    seen = []
    few = config(tiers=[TierConfig(name="one", seeds=2, width=4, depth=1, steps=20)])
    assert few.progress_seconds == 10.0
    run_cascade(table(300, 0), table(300, 1), NUM_CODES, few, 0, progress=seen.append)
    # Far below ten seconds of training: the first segment and the end.
    assert [event.step for event in seen] == [1, None]


class Device:
    def __init__(self, stats):
        self.memory_stats = lambda: stats


def test_memory_is_the_fullest_devices_or_this_processes_or_says_why_not(monkeypatch):
    devices = [Device({"bytes_in_use": 5}), Device({"bytes_in_use": 9}), Device(None)]
    monkeypatch.setattr("jax.local_devices", lambda: devices)
    assert memory.in_use() == MemoryUse(9, "device")
    devices[:] = [Device(None)]
    assert memory.in_use().of == "process"

    def refused(*_):
        raise OSError

    monkeypatch.setattr("pathlib.Path.read_text", refused)
    assert memory.in_use().bytes is None
    assert memory.in_use().reason


def test_an_event_needs_no_jax():
    code = "import sys, vr.cascade.progress, vr.pipeline.progress; print('jax' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
