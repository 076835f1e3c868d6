"""Trials of a worker in trouble, one for each row of the fault matrix: real processes, moments drawn with a seed.

Each returns what it found, and in `wrong` what the matrix promises and did not hold; see `benchmarks.trials.Trials`.
"""

import contextlib
import json
import os
import select
import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from tests.worker.worker_process import (
    ENDLESS,
    TRAINING,
    Worker,
    children_of,
    is_alive,
    kill,
    trains,
    until,
    write_data,
)
from vr.server._generated.vr.orchestrator.v1 import orchestrator_pb2 as wire
from vr.worker.testing import ReferenceOrchestrator

__all__ = ["PACE_S", "PHASES", "Bench", "Found"]

PACE_S = 10.0  # that progress is counted before an outage
_LEAST_SHARE = 0.5  # of the training to be expected, below which it did not go on meanwhile; a pace wavers
_LEASE_S = 3.0
_SHORT_LEASE_S = (
    1.0  # of row 11, whose jobs take no longer: a worker that sleeps is to be overtaken while there are any
)
_LONGEST_S = 600.0
_AT_REST = ("done", "failed", "cancelled")
_TOUGH = "worker.restarts=1000"
Found = dict[str, Any]


@dataclass(frozen=True)
class _Phase:
    """Where a job is when its worker is told to stop.

    Attributes:
      settings: Of the job.
      begun: Whether it is there.
      spread_s: That the signal comes later at most.
    """

    settings: dict[str, Any]
    begun: Callable[[ReferenceOrchestrator], object]
    spread_s: float


def _is_acknowledged(orchestrator: ReferenceOrchestrator) -> bool:
    return bool(orchestrator.ledger.row("job")["acknowledged"])


def _is_past_its_passes(orchestrator: ReferenceOrchestrator) -> bool:
    progress = orchestrator.ledger.progress("job")
    return progress is not None and progress.stage not in ("read", "profile")


_ENDLESS = {"cascade": "smoke", "overrides": ENDLESS}
PHASES = {
    "start and compile": _Phase(_ENDLESS, _is_acknowledged, 2.0),
    "train and save": _Phase(_ENDLESS, lambda orchestrator: trains(orchestrator, "job"), 2.0),
    "end": _Phase({"cascade": "none"}, _is_past_its_passes, 0.5),
}


class Bench:
    """Small datasets, workers on them, and what their jobs give that nobody disturbs.

    Args:
      folder: Where the datasets are; it is there.
      seed: Of the moments.
      logs: Takes the workers' logs of trials that fail.
    """

    def __init__(self, folder: Path, seed: int, logs: Path):
        self._data, self._seed, self._logs = folder, seed, logs
        write_data(folder)

    @cached_property
    def training(self) -> tuple[Found, float]:
        """The report of a job that trains, and the seconds from its lease to its end."""
        return self._undisturbed(cascade="smoke", overrides=TRAINING)

    @cached_property
    def statistics(self) -> tuple[Found, float]:
        """The same of a job that does not."""
        return self._undisturbed()

    def killed_children(self, number: int, left: int) -> Found:
        """Row 1: the child is killed again and again, at moments from its start to its end."""
        expected, seconds = self.training
        rng, recoveries = self._rng(1, number), []
        with self._begun("row_1", number) as (orchestrator, folder), Worker(orchestrator, folder, _TOUGH) as worker:
            _ready(worker)
            self._submit(orchestrator, "job", cascade="smoke", overrides=TRAINING)
            while len(recoveries) < left and not _ends_within(orchestrator, float(rng.uniform(0.0, seconds))):
                child = worker.child()
                if child is None:
                    # Between two of them there is none to be killed.
                    continue
                kill(child)
                at = time.monotonic()
                until(lambda was=child: worker.child() not in (None, was), _LONGEST_S)
                recoveries.append(time.monotonic() - at)
            wrong = _wrong_end(orchestrator, expected)
        return {"units": len(recoveries), "wrong": wrong, "next_child_started_s": recoveries}

    def killed_workers(self, number: int, left: int) -> Found:
        """Row 2: supervisor and child are killed at any moment, and another process takes their folder."""
        expected, seconds = self.training
        rng, killed, ready = self._rng(2, number), 0, []
        with self._begun("row_2", number) as (orchestrator, folder):
            self._submit(orchestrator, "job", cascade="smoke", overrides=TRAINING)
            while orchestrator.ledger.state("job") not in _AT_REST:
                begun = time.monotonic()
                # With the time that a process takes to be ready.
                alive_s = float(rng.uniform(0.0, 1.5 * seconds)) if killed < left else _LONGEST_S
                with Worker(orchestrator, folder, _TOUGH) as worker:
                    if _ready(worker, alive_s):
                        ready.append(time.monotonic() - begun)
                    if _ends_within(orchestrator, alive_s - (time.monotonic() - begun)):
                        break
                    if killed >= left:
                        raise TimeoutError("the last worker, which nobody kills, does not end the job")
                    orphans = list(children_of(worker.process.pid))
                    worker.kill()
                    killed += 1
                    until(lambda orphans=orphans: not any(is_alive(pid) for pid in orphans), _LONGEST_S)
            wrong = _wrong_end(orchestrator, expected)
        return {"units": killed, "wrong": wrong, "connected_s": ready}

    def terminated(self, number: int, left: int) -> Found:
        """Row 3: SIGTERM before training, while it trains and keeps every segment, and while the rows are scored."""
        name = list(PHASES)[number % len(PHASES)]
        phase, rng = PHASES[name], self._rng(3, number)
        with self._begun("row_3", number) as (orchestrator, folder), Worker(orchestrator, folder) as worker:
            self._submit(orchestrator, "job", **phase.settings)
            until(
                lambda: phase.begun(orchestrator) or orchestrator.ledger.state("job") in _AT_REST,
                _LONGEST_S,
            )
            time.sleep(float(rng.uniform(0.0, phase.spread_s)))
            progress, children = orchestrator.ledger.progress("job"), list(children_of(worker.process.pid))
            at = time.monotonic()
            worker.terminate()
            code = worker.process.wait(_LONGEST_S)
            exit_s = time.monotonic() - at
            state = orchestrator.ledger.state("job")
            wrong = [] if code == 0 else [f"exit code {code}"]
            wrong += [] if state in ("waiting", "done") else [f"the job is {state}, neither done nor given back"]
            wrong += ["its child outlived it"] if any(is_alive(pid) for pid in children) else []
        stage = "done" if state == "done" else progress.stage if progress is not None else "none"
        return {"wrong": wrong, "phase": name, "stage": stage, "given_back": state == "waiting", "exit_s": exit_s}

    def outage(self, seconds: float, number: int) -> Found:
        """Row 10: the orchestrator is away for so long while a job trains."""
        with self._begun("row_10", number) as (orchestrator, folder), Worker(orchestrator, folder) as worker:
            self._submit(orchestrator, "job", **_ENDLESS)
            until(lambda: trains(orchestrator, "job"), _LONGEST_S)

            def done() -> float:
                progress = orchestrator.ledger.progress("job")
                return 0.0 if progress is None else progress.done

            before, begun = done(), time.monotonic()
            time.sleep(PACE_S)
            pace = (done() - before) / (time.monotonic() - begun)
            orchestrator.stop()
            left = time.monotonic()
            # Only now: until it was gone it heard more.
            before, calls = done(), orchestrator.script.seen.total()
            time.sleep(seconds)
            orchestrator.start()
            back = time.monotonic()
            until(lambda: orchestrator.script.seen.total() > calls, _LONGEST_S)
            reconnect_s = time.monotonic() - back
            until(lambda: done() > before or orchestrator.ledger.state("job") in _AT_REST, _LONGEST_S)
            # What the pace before it would have given from its beginning to the first news after it.
            expected = pace * (time.monotonic() - left)
            share = round((done() - before) / expected, 3) if expected else None
            row = orchestrator.ledger.row("job")
            wrong = [] if row["attempt"] == 1 else [f"it is attempt {row['attempt']}"]
            wrong += [] if row["state"] == "leased" else [f"the job is {row['state']}"]
            if seconds >= PACE_S and share is not None and share < _LEAST_SHARE:
                wrong.append(f"it trained {share:.0%} of what was to be expected")
            return {
                "wrong": wrong,
                "away_s": round(back - left, 3),
                "reconnect_s": round(reconnect_s, 3),
                "trained_of_expected": share,
                "told_off_for_pings": worker.log().count("too_many_pings"),
            }

    def confused(self, jobs: int, number: int) -> Found:
        """Row 11: a third of all calls lost, doubled or late, and two workers that sleep through their leases."""
        expected, _ = self.statistics
        rng, names = self._rng(11, number), [f"job-{i}" for i in range(jobs)]
        with (
            self._begun("row_11", number, _SHORT_LEASE_S) as (orchestrator, folder),
            Worker(orchestrator, folder / "one", "worker.name=one", "worker.call_s=1") as one,
            Worker(orchestrator, folder / "two", "worker.name=two", "worker.call_s=1") as two,
        ):
            workers = {"one": one, "two": two}
            for worker in workers.values():
                _ready(worker)
            orchestrator.script.shake(1 / 3, int(rng.integers(1 << 30)), late_s=2.0)
            for job_id in names:
                self._submit(orchestrator, job_id)
            give_up = time.monotonic() + _LONGEST_S
            while not all(orchestrator.ledger.state(job_id) in _AT_REST for job_id in names):
                if time.monotonic() > give_up:
                    raise TimeoutError("jobs do not end")
                rows = [row for job_id in names if (row := orchestrator.ledger.row(job_id))["state"] == "leased"]
                if not rows:
                    time.sleep(0.02)
                    continue
                # One that has a job sleeps through its lease, or nearly, and does not know that.
                asleep = workers[rows[int(rng.integers(len(rows)))]["worker"]].process.pid
                os.kill(asleep, signal.SIGSTOP)
                time.sleep(float(rng.uniform(0.8, 2.5)) * _SHORT_LEASE_S)
                os.kill(asleep, signal.SIGCONT)
                time.sleep(float(rng.uniform(0.0, 0.5)) * _SHORT_LEASE_S)
            for job_id in names:
                # Too late: it has ended.
                orchestrator.ledger.cancel(job_id)
            orchestrator.script.shake(0.0)
            # What was late arrives.
            time.sleep(5.0)
            ends = {job_id: _wrong_end(orchestrator, expected, job_id, attempt=None) for job_id in names}
            attempts = {job_id: orchestrator.ledger.row(job_id)["attempt"] for job_id in names}
            calls = [call for job_id in names for call in orchestrator.ledger.calls(job_id)]
            late = [call for call in calls if call["attempt"] < attempts[call["job_id"]]]
            return {
                "units": jobs,
                "wrong": [f"{job_id}: {told}" for job_id, wrong in ends.items() for told in wrong],
                "calls": len(calls),
                "faults": dict(orchestrator.script.done),
                "jobs_of_several_attempts": sum(attempt > 1 for attempt in attempts.values()),
                # Said by one that had slept, of a job that was somebody else's by then.
                "ends_refused": sum(call["name"] in ("Complete", "Fail") and not call["effect"] for call in late),
            }

    def stopped(self, number: int, left: int) -> Found:
        """Row 18: a cancellation, then a time limit shorter than the work: how long until the child is gone?"""
        limit_s = 1.0 if number % 2 else None
        with self._begun("row_18", number) as (orchestrator, folder), Worker(orchestrator, folder) as worker:
            self._submit(orchestrator, "job", **_ENDLESS, time_limit_s=limit_s)
            until(
                lambda: _is_acknowledged(orchestrator) if limit_s else trains(orchestrator, "job"),
                _LONGEST_S,
            )
            child, at = worker.child(), time.monotonic()
            if child is None:
                raise RuntimeError("there is no child to be stopped")
            if limit_s is None:
                orchestrator.ledger.cancel("job")
            until(lambda: not is_alive(child), _LONGEST_S)
            gone_s = time.monotonic() - at - (limit_s or 0.0)
            state = orchestrator.wait("job", seconds=_LONGEST_S)
            told_s = time.monotonic() - at - (limit_s or 0.0)
            fails = orchestrator.ledger.calls("job", "Fail", effective=True)
            reasons = [wire.FailRequest.FromString(call["request"]).reason for call in fails]
        by = "time limit" if limit_s else "cancellation"
        meant = ("failed", ["DEADLINE_EXCEEDED"]) if limit_s else ("cancelled", ["CANCELLED"])
        wrong = [] if (state, reasons) == meant else [f"the job is {state} for {reasons}, not {meant}"]
        return {"wrong": wrong, "by": by, "child_gone_s": gone_s, "told_s": told_s}

    def _rng(self, row: int, number: int) -> np.random.Generator:
        # Of this trial alone: whoever goes on later draws what one run would have drawn.
        return np.random.default_rng([self._seed, row, number])

    def _submit(self, orchestrator: ReferenceOrchestrator, job_id: str, **settings: Any) -> None:
        datasets = (str(self._data / f"{name}.parquet") for name in ("fresh", "reference"))
        orchestrator.submit(job_id, *datasets, **settings)

    @contextmanager
    def _begun(self, name: str, number: int, lease_s: float = _LEASE_S) -> Iterator[tuple[ReferenceOrchestrator, Path]]:
        """Yields an orchestrator and a folder for a worker, both new."""
        # What a worker that was killed leaves behind may still write for a moment.
        with tempfile.TemporaryDirectory(prefix="vr-worker-", ignore_cleanup_errors=True) as place:
            folder = Path(place)
            try:
                with ReferenceOrchestrator(folder / "jobs.db", lease_s=lease_s) as orchestrator:
                    yield orchestrator, folder / "worker"
            except Exception:
                for log in folder.rglob("log"):
                    self._logs.mkdir(parents=True, exist_ok=True)
                    shutil.copy(log, self._logs / f"{name}_trial_{number}_{log.parent.name}.log")
                raise

    def _undisturbed(self, **settings: Any) -> tuple[Found, float]:
        with self._begun("undisturbed", 0) as (orchestrator, folder), Worker(orchestrator, folder) as worker:
            _ready(worker)
            self._submit(orchestrator, "job", **settings)
            begun = time.monotonic()
            state = orchestrator.wait("job", seconds=_LONGEST_S)
            if state != "done":
                raise RuntimeError(f"a job that nobody disturbs is {state}: {orchestrator.ledger.end('job')}")
            return _report_of(orchestrator, "job"), time.monotonic() - begun


def _ready(worker: Worker, seconds: float = _LONGEST_S) -> bool:
    """Returns whether a worker says within so many seconds that it is connected.

    Raises:
      RuntimeError: if it ends instead.
    """
    assert worker.process.stdout is not None
    found, _, _ = select.select([worker.process.stdout], [], [], max(0.0, seconds))
    if found and not worker.line():
        raise RuntimeError(f"the worker ended with code {worker.process.wait()}")
    return bool(found)


def _ends_within(orchestrator: ReferenceOrchestrator, seconds: float) -> bool:
    """Returns whether the job ends within so many seconds."""
    with contextlib.suppress(TimeoutError):
        until(lambda: orchestrator.ledger.state("job") in _AT_REST, seconds)
    return orchestrator.ledger.state("job") in _AT_REST


def _report_of(orchestrator: ReferenceOrchestrator, job_id: str) -> Found:
    """Returns a job's report without what differs from run to run."""
    document = json.loads(orchestrator.ledger.end(job_id).report_json)
    return {name: value for name, value in document.items() if name != "run"}


def _wrong_end(
    orchestrator: ReferenceOrchestrator, expected: Found, job_id: str = "job", attempt: int | None = 1
) -> list[str]:
    """Returns what is wrong with a job that ought to be done once, by this attempt, with an expected report."""
    state = orchestrator.wait(job_id, seconds=_LONGEST_S)
    if state != "done":
        return [f"the job is {state}: {orchestrator.ledger.end(job_id)}"]
    completes = len(orchestrator.ledger.calls(job_id, "Complete", effective=True))
    wrong = [] if completes == 1 else [f"it was completed {completes} times"]
    if _report_of(orchestrator, job_id) != expected:
        wrong.append("its report is not that of a job that nobody disturbed")
    found = orchestrator.ledger.row(job_id)["attempt"]
    return [*wrong, f"it is attempt {found}"] if attempt not in (None, found) else wrong
