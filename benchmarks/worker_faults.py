"""What becomes of a worker's jobs when processes are killed, calls go wrong and the orchestrator is away?

    python -m benchmarks.worker_faults [--rows 1,2,3,10,11,18] [--kills 50]

Real `vr worker` processes against the reference orchestrator on loopback, at moments drawn with a seed. The figures are
those of docs/reliability.md's fault matrix. An hour or more on two quiet cores; each row is written as soon as it is
done, to results/worker_faults_ROW.json.
"""

import argparse
import json
import os
import signal
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.measure import save
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
from vr.worker.testing import ReferenceOrchestrator

_LEASE_S = 3.0
_LONGEST_S = 3_600.0
_TOUGH = "worker.restarts=1000"


def main() -> None:
    """Does the rows that were asked for."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--rows", default="1,2,3,10,11,18")
    parser.add_argument("--kills", type=int, default=50, help="of rows 1 and 2")
    parser.add_argument("--signals", type=int, default=10, help="of each phase of row 3")
    parser.add_argument("--jobs", type=int, default=50, help="of row 11")
    parser.add_argument("--outages", default="0.1,1,10,60,300", help="seconds, of row 10")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rows: dict[str, Callable[[Path, Any], dict[str, Any]]] = {
        "1": killed_children,
        "2": killed_workers,
        "3": terminated,
        "10": outages,
        "11": confused,
        "18": impatient,
    }
    for row in arguments.rows.split(","):
        with tempfile.TemporaryDirectory() as folder:
            write_data(Path(folder))
            result = rows[row](Path(folder), arguments)
        print(json.dumps(result, indent=1), flush=True)
        words = f"--kills {arguments.kills} --signals {arguments.signals} --jobs {arguments.jobs}"
        command = f"python -m benchmarks.worker_faults --rows {row} {words} --outages {arguments.outages}"
        save(f"worker_faults_{row}", {"seed": arguments.seed, **result}, command)


@contextmanager
def orchestrated(folder: Path, name: str) -> Iterator[ReferenceOrchestrator]:
    """Yields an orchestrator with a database of its own."""
    with ReferenceOrchestrator(folder / f"{name}.db", lease_s=_LEASE_S) as it:
        yield it


def submit(orchestrator: ReferenceOrchestrator, folder: Path, job_id: str, **more: Any) -> None:
    """Adds a job on the small datasets."""
    orchestrator.submit(job_id, str(folder / "fresh.parquet"), str(folder / "reference.parquet"), **more)


def report_of(orchestrator: ReferenceOrchestrator, job_id: str) -> dict[str, Any]:
    """Returns a job's report without what differs from run to run."""
    document = json.loads(orchestrator.ledger.end(job_id).report_json)
    return {name: value for name, value in document.items() if name != "run"}


def whole(folder: Path) -> tuple[dict[str, Any], float]:
    """Returns the report of a training job that nobody disturbs, and the seconds from its lease to its end."""
    with orchestrated(folder, "whole") as orchestrator, Worker(orchestrator, folder / "whole", _TOUGH) as worker:
        worker.line()
        submit(orchestrator, folder, "job", cascade="smoke", overrides=TRAINING)
        begun = time.monotonic()
        orchestrator.wait("job", seconds=_LONGEST_S)
        return report_of(orchestrator, "job"), time.monotonic() - begun


def killed_children(folder: Path, arguments: Any) -> dict[str, Any]:
    """Row 1: the child is killed again and again, at moments from its start to its end."""
    expected, seconds = whole(folder)
    rng, killed, jobs, equal, recoveries = np.random.default_rng(arguments.seed), 0, 0, 0, []
    with orchestrated(folder, "killed") as orchestrator, Worker(orchestrator, folder / "killed", _TOUGH) as worker:
        worker.line()
        while killed < arguments.kills:
            job_id = f"job-{jobs}"
            jobs += 1
            submit(orchestrator, folder, job_id, cascade="smoke", overrides=TRAINING)
            while killed < arguments.kills:
                moment = time.monotonic() + float(rng.uniform(0.0, seconds))
                while time.monotonic() < moment and orchestrator.ledger.state(job_id) != "done":
                    time.sleep(0.02)
                child = worker.child()
                if orchestrator.ledger.state(job_id) == "done" or child is None:
                    break
                kill(child)
                at = time.monotonic()
                killed += 1
                until(lambda was=child: worker.child() not in (None, was), _LONGEST_S)
                recoveries.append(time.monotonic() - at)
            orchestrator.wait(job_id, seconds=_LONGEST_S)
            equal += report_of(orchestrator, job_id) == expected
            assert len(orchestrator.ledger.calls(job_id, "Complete", effective=True)) == 1
            print(f"killed {killed}", flush=True)
    return {
        "kills": killed,
        "jobs": jobs,
        "reports_equal": equal,
        "seconds_of_a_whole_job": seconds,
        "next_child_started_s": spread(recoveries),
    }


def killed_workers(folder: Path, arguments: Any) -> dict[str, Any]:
    """Row 2: supervisor and child are killed, and another process takes their folder."""
    expected, seconds = whole(folder)
    rng, killed, recoveries = np.random.default_rng(arguments.seed), 0, []
    jobs = equal = doubles = 0
    with orchestrated(folder, "killed") as orchestrator:
        while killed < arguments.kills:
            job_id = f"job-{jobs}"
            jobs += 1
            submit(orchestrator, folder, job_id, cascade="smoke", overrides=TRAINING)
            while orchestrator.ledger.state(job_id) != "done":
                begun = time.monotonic()
                with Worker(orchestrator, folder / "w", _TOUGH) as worker:
                    worker.line()
                    recoveries.append(time.monotonic() - begun)
                    # With the time that a process takes to be ready.
                    moment = begun + float(rng.uniform(0.0, 1.5 * seconds)) if killed < arguments.kills else np.inf
                    while time.monotonic() < moment and orchestrator.ledger.state(job_id) != "done":
                        time.sleep(0.02)
                    if orchestrator.ledger.state(job_id) != "done":
                        left = list(children_of(worker.process.pid))
                        worker.kill()
                        killed += 1
                        until(lambda left=left: not any(is_alive(pid) for pid in left))
            equal += report_of(orchestrator, job_id) == expected
            doubles += len(orchestrator.ledger.calls(job_id, "Complete", effective=True)) - 1
            print(f"killed {killed}", flush=True)
    return {
        "kills": killed,
        "jobs": jobs,
        "reports_equal": equal,
        "double_completions": doubles,
        "connected_again_s": spread(recoveries),
    }


def terminated(folder: Path, arguments: Any) -> dict[str, Any]:
    """Row 3: SIGTERM before training, while it trains and keeps every segment, and while the rows are scored."""
    phases: dict[str, tuple[dict[str, Any], Callable[[Any, str], object]]] = {
        "start and compile": (
            {"cascade": "smoke", "overrides": ENDLESS},
            lambda o, job: o.ledger.row(job)["acknowledged"],
        ),
        "train and save": ({"cascade": "smoke", "overrides": ENDLESS}, trains),
        "end": (
            {"cascade": "none"},
            lambda o, job: (p := o.ledger.progress(job)) and p.stage not in ("read", "profile"),
        ),
    }
    rng, result = np.random.default_rng(arguments.seed), {}
    for phase, (settings, begun) in phases.items():
        seconds, codes, lost, given_back = [], [], 0, 0
        with orchestrated(folder, phase.replace(" ", "-")) as orchestrator:
            for number in range(arguments.signals):
                job_id = f"job-{number}"
                submit(orchestrator, folder, job_id, **settings)
                with Worker(orchestrator, folder / phase.replace(" ", "-")) as worker:
                    until(
                        lambda job_id=job_id, begun=begun: (
                            begun(orchestrator, job_id) or orchestrator.ledger.state(job_id) == "done"
                        )
                    )
                    time.sleep(float(rng.uniform(0.0, 0.5)))
                    at = time.monotonic()
                    worker.terminate()
                    codes.append(worker.process.wait(_LONGEST_S))
                    seconds.append(time.monotonic() - at)
                state = orchestrator.ledger.state(job_id)
                given_back += state == "waiting"
                lost += state not in ("waiting", "done")
                orchestrator.ledger.cancel(job_id)
        result[phase] = {
            "signals": len(codes),
            "exit_code_0": codes.count(0),
            "exit_s": spread(seconds),
            "given_back": given_back,
            "neither_done_nor_given_back": lost,
        }
    return result


def outages(folder: Path, arguments: Any) -> dict[str, Any]:
    """Row 10: the orchestrator is away while a job trains."""
    found = []
    with orchestrated(folder, "away") as orchestrator, Worker(orchestrator, folder / "w") as worker:
        worker.line()
        submit(orchestrator, folder, "job", cascade="smoke", overrides=ENDLESS)
        until(lambda: trains(orchestrator, "job"), _LONGEST_S)
        for seconds in map(float, arguments.outages.split(",")):
            until(lambda: orchestrator.ledger.progress("job").training.step > 0)
            pace = _steps_a_second(orchestrator, 10.0)
            calls, before = orchestrator.script.seen.total(), orchestrator.ledger.progress("job").done
            orchestrator.stop()
            left = time.monotonic()
            time.sleep(seconds)
            away = time.monotonic() - left
            orchestrator.start()
            back = time.monotonic()
            until(lambda calls=calls: orchestrator.script.seen.total() > calls)
            reconnect_s = time.monotonic() - back
            until(lambda before=before: orchestrator.ledger.progress("job").done > before)
            done = orchestrator.ledger.progress("job").done - before
            expected = pace * (time.monotonic() - left)
            found.append(
                {
                    "away_s": away,
                    "reconnect_s": reconnect_s,
                    "steps_per_expected_step": done / expected if expected else None,
                    "attempt": orchestrator.ledger.row("job")["attempt"],
                }
            )
            print(found[-1], flush=True)
        goaways = worker.log().count("too_many_pings")
    return {"outages": found, "told_off_for_pings": goaways}


def _steps_a_second(orchestrator: ReferenceOrchestrator, seconds: float) -> float:
    before, begun = orchestrator.ledger.progress("job").done, time.monotonic()
    time.sleep(seconds)
    return (orchestrator.ledger.progress("job").done - before) / (time.monotonic() - begun)


def confused(folder: Path, arguments: Any) -> dict[str, Any]:
    """Row 11: a third of all calls lost, doubled or late, and two workers that sleep through their leases."""
    rng, doubles, states = np.random.default_rng(arguments.seed), 0, []
    with (
        orchestrated(folder, "confused") as orchestrator,
        Worker(orchestrator, folder / "one", "worker.call_s=1") as one,
        Worker(orchestrator, folder / "two", "worker.call_s=1") as two,
    ):
        one.line(), two.line()
        orchestrator.script.shake(1 / 3, arguments.seed, late_s=2.0)
        names = [f"job-{number}" for number in range(arguments.jobs)]
        for job_id in names:
            submit(orchestrator, folder, job_id)
        while not all(orchestrator.ledger.state(job_id) == "done" for job_id in names):
            # One of them sleeps through its lease, and does not know that.
            asleep = (one, two)[int(rng.integers(2))].process.pid
            os.kill(asleep, signal.SIGSTOP)
            time.sleep(float(rng.uniform(0.5, 1.5)) * _LEASE_S)
            os.kill(asleep, signal.SIGCONT)
            time.sleep(float(rng.uniform(0.0, 1.0)) * _LEASE_S)
        for job_id in names:
            states.append(orchestrator.wait(job_id, seconds=_LONGEST_S))
            # Too late: it has ended.
            orchestrator.ledger.cancel(job_id)
        orchestrator.script.shake(0.0)
        time.sleep(5.0)
        for job_id in names:
            doubles += len(orchestrator.ledger.calls(job_id, "Complete", effective=True)) - 1
            assert orchestrator.ledger.state(job_id) == "done"
        attempts = [orchestrator.ledger.row(job_id)["attempt"] for job_id in names]
        calls = sum(len(orchestrator.ledger.calls(job_id)) for job_id in names)
        faults = dict(orchestrator.script.done)
    return {
        "jobs": len(names),
        "done": states.count("done"),
        "calls": calls,
        "faults": faults,
        "jobs_of_several_attempts": sum(attempt > 1 for attempt in attempts),
        "double_completions": doubles,
    }


def impatient(folder: Path, arguments: Any) -> dict[str, Any]:
    """Row 18: a time limit shorter than the work, and a cancellation: how long until the child is gone?"""
    late, stopped = [], []
    with orchestrated(folder, "impatient") as orchestrator, Worker(orchestrator, folder / "w") as worker:
        worker.line()
        for number in range(arguments.signals):
            job_id = f"cancelled-{number}"
            submit(orchestrator, folder, job_id, cascade="smoke", overrides=ENDLESS)
            until(lambda job_id=job_id: trains(orchestrator, job_id), _LONGEST_S)
            child = worker.child()
            at = time.monotonic()
            orchestrator.ledger.cancel(job_id)
            until(lambda child=child: child is None or not is_alive(child))
            stopped.append(time.monotonic() - at)
            until(lambda job_id=job_id: orchestrator.ledger.state(job_id) == "cancelled")
        for number in range(arguments.signals):
            job_id, limit = f"limited-{number}", 1.0
            submit(orchestrator, folder, job_id, cascade="smoke", overrides=ENDLESS, time_limit_s=limit)
            until(lambda job_id=job_id: orchestrator.ledger.row(job_id)["acknowledged"], _LONGEST_S)
            at = time.monotonic()
            orchestrator.wait(job_id, seconds=_LONGEST_S)
            late.append(time.monotonic() - at - limit)
            assert orchestrator.ledger.end(job_id).reason == "DEADLINE_EXCEEDED"
    return {"cancelled_child_gone_s": spread(stopped), "told_after_time_limit_s": spread(late)}


def spread(values: list[float]) -> dict[str, float | int]:
    """Returns median and greatest."""
    if not values:
        return {"count": 0}
    return {"count": len(values), "median": round(statistics.median(values), 3), "max": round(max(values), 3)}


if __name__ == "__main__":
    main()
