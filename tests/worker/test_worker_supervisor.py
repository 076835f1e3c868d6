"""The supervisor in this process, with an orchestrator on loopback and a child that computes nothing."""

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from vr.core.errors import VrError
from vr.server._generated.vr.orchestrator.v1 import orchestrator_pb2 as wire
from vr.worker.config import WorkerConfig
from vr.worker.disk import Current, WorkFolder
from vr.worker.supervisor import Supervisor
from vr.worker.testing import ReferenceOrchestrator

LONGEST_S = 60.0
# A process that is ready at once and never finishes; one that has imported all it needs takes seconds.
IDLE = """
import sys
print('{"ready": true}', flush=True)
sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def idle(monkeypatch):
    monkeypatch.setattr("vr.server.children._START", IDLE)


@pytest.fixture
def guarded(tmp_path) -> Iterator[ReferenceOrchestrator]:
    with ReferenceOrchestrator(tmp_path / "jobs.db", lease_s=3.0, token="right") as it:
        yield it


def supervisor(orchestrator: ReferenceOrchestrator, folder: Path, **more) -> Supervisor:
    config = WorkerConfig(orchestrator=orchestrator.target, folder=str(folder), name="w", threads=1, **more)
    return Supervisor(config, {}, lambda *_: None)


def under_way(orchestrator: ReferenceOrchestrator, folder: Path) -> wire.JobLease:
    """Returns the lease that an earlier process had when it was killed."""
    candidate = folder.with_name("candidate.csv")
    candidate.write_text("a\n1\n")
    orchestrator.submit("job", str(candidate))
    lease = orchestrator.ledger.lease(wire.LeaseRequest(worker_id="w", request_id="1")).job_lease
    orchestrator.ledger.write("Acknowledge", wire.AcknowledgeRequest(claim=lease.claim, worker_id="w"))
    earlier = WorkFolder(folder)
    earlier.begin(Current(lease))
    earlier.close()
    return lease


async def within(work) -> None:
    async with asyncio.timeout(LONGEST_S):
        await work


def test_a_worker_that_is_not_let_in_does_not_go_on_with_the_job_of_an_earlier_process(guarded, tmp_path):
    lease = under_way(guarded, tmp_path / "w")

    async def scenario() -> None:
        await supervisor(guarded, tmp_path / "w").run()

    with pytest.raises(VrError, match=r"UNAUTHENTICATED.*worker\.token_file"):
        asyncio.run(within(scenario()))
    folder = WorkFolder(tmp_path / "w", lock_s=LONGEST_S)
    current = folder.current()
    assert current is not None
    assert current.lease == lease
    folder.close()


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_worker_that_cannot_compute_takes_nothing_gives_back_and_ends(orchestrator, tmp_path, monkeypatch, when):
    monkeypatch.setattr("vr.server.children._START", "raise SystemExit(3)")
    monkeypatch.setattr("vr.server.children._AGAIN_S", 0.1)
    if when == "after":
        under_way(orchestrator, tmp_path / "w")
    else:
        orchestrator.submit("job", "/data/candidate.parquet")

    async def scenario() -> None:
        await supervisor(orchestrator, tmp_path / "w", restarts=1).run()

    with pytest.raises(VrError, match="no process that computes"):
        asyncio.run(within(scenario()))
    row = orchestrator.ledger.row("job")
    assert (row["state"], row["attempt"], row["failures"]) == ("waiting", int(when == "after"), 0)
    assert len(orchestrator.ledger.calls("job", "Release", effective=True)) == row["attempt"]


def test_a_worker_that_stops_before_a_job_has_begun_gives_it_back(orchestrator, tmp_path):
    orchestrator.submit("job", "/data/candidate.parquet")
    script, folder = orchestrator.script, tmp_path / "w"

    async def stopped(seen: str) -> None:
        worker = supervisor(orchestrator, folder, farewell_s=0.5)
        work = asyncio.create_task(worker.run())
        while not script.seen[seen]:
            await asyncio.sleep(0.01)
        worker.stopping.begin()
        await work

    script.add("refuse", "Acknowledge", 1_000_000)
    script.add("refuse", "Release", 1_000_000)
    asyncio.run(within(stopped("Acknowledge")))
    # Nobody hears of it, and the next process need not take the job to say so.
    assert not (folder / "current").exists()
    assert len(list((folder / "spool").glob("*.json"))) == 1
    script.clear()
    script.seen.clear()
    script.add("refuse", "Acknowledge", 1_000_000)
    asyncio.run(within(stopped("Acknowledge")))
    assert orchestrator.ledger.row("job")["attempt"] == 2
    assert orchestrator.ledger.state("job") == "waiting"
    assert len(orchestrator.ledger.calls("job", "Release", effective=True)) == 2
    assert not list((folder / "spool").glob("*.json"))


def test_folders_of_jobs_are_removed_while_the_worker_runs(orchestrator, tmp_path, monkeypatch):
    monkeypatch.setattr("vr.worker.supervisor._SWEEP_S", 0.1)

    async def scenario() -> None:
        worker = supervisor(orchestrator, tmp_path / "w")
        work = asyncio.create_task(worker.run())
        while not orchestrator.script.seen["Lease"]:
            await asyncio.sleep(0.01)
        # It was young when the worker began.
        job = tmp_path / "w" / "jobs" / "job"
        job.mkdir()
        os.utime(job, (1e9, 1e9))
        while job.exists():
            await asyncio.sleep(0.01)
        worker.stopping.begin()
        await work

    asyncio.run(within(scenario()))
