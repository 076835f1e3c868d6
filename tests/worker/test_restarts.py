"""Workers that end, asked or not, and the next process on the same folder."""

import os
import signal

import pytest

from tests.worker.worker_process import ENDLESS, LONGEST_S, TRAINING, Worker, is_alive, trains, until
from vr.worker.testing import ReferenceOrchestrator


def submit(orchestrator: ReferenceOrchestrator, data, job_id: str, **more) -> None:
    orchestrator.submit(job_id, str(data / "fresh.parquet"), str(data / "reference.parquet"), **more)


def test_a_killed_worker_goes_on_and_says_what_was_not_acknowledged(orchestrator, data, tmp_path):
    submit(orchestrator, data, "job", cascade="smoke", overrides=TRAINING)
    with Worker(orchestrator, tmp_path / "w") as worker:
        until(lambda: trains(orchestrator, "job"))
        child = worker.child()
        worker.kill()
    with Worker(orchestrator, tmp_path / "w") as worker:
        # Whoever is left of the first one is gone before the second begins.
        until(lambda: not is_alive(child))
        assert worker.line()
        # It goes on, ends and keeps that, with nobody to tell it to.
        orchestrator.stop()
        until(lambda: list((tmp_path / "w" / "spool").glob("*.json")))
        worker.kill()
    orchestrator.start()
    with Worker(orchestrator, tmp_path / "w") as worker:
        assert orchestrator.wait("job", seconds=LONGEST_S) == "done"
        assert len(orchestrator.ledger.calls("job", "Complete", effective=True)) == 1
        assert orchestrator.ledger.row("job")["attempt"] == 1
        until(lambda: not list((tmp_path / "w" / "spool").glob("*.json")))
        worker.terminate()
        assert worker.process.wait(LONGEST_S) == 0


def test_sigterm_gives_the_job_back_and_a_second_one_forces(orchestrator, data, tmp_path):
    submit(orchestrator, data, "endless", cascade="smoke", overrides=ENDLESS)
    submit(orchestrator, data, "waiting")
    with Worker(orchestrator, tmp_path / "w") as worker:
        until(lambda: orchestrator.ledger.progress("endless") is not None)
        child = worker.child()
        worker.terminate()
        assert worker.process.wait(LONGEST_S) == 0
        assert not is_alive(child)
    # Given back at once, not when the lease is over; and nothing else was taken.
    assert orchestrator.ledger.state("endless") == "waiting"
    assert len(orchestrator.ledger.calls("endless", "Release", effective=True)) == 1
    assert orchestrator.ledger.row("waiting")["attempt"] == 0
    with Worker(orchestrator, tmp_path / "w", "worker.grace_s=600") as worker:
        orchestrator.wait("endless", "leased", seconds=LONGEST_S)
        assert orchestrator.ledger.row("endless")["attempt"] == 2
        until(lambda: orchestrator.ledger.row("endless")["acknowledged"])
        worker.terminate()
        # Two signals that wait at once are one; the log is that of both processes.
        until(lambda: worker.log().count('"stopping"') == 2)
        worker.process.send_signal(signal.SIGTERM)
        assert worker.process.wait(LONGEST_S) == 130


@pytest.mark.slow
def test_of_two_workers_on_one_job_one_wins(orchestrator, data, tmp_path):
    submit(orchestrator, data, "job", cascade="smoke", overrides=TRAINING)
    with Worker(orchestrator, tmp_path / "first") as first:
        until(lambda: trains(orchestrator, "job"))
        # It does not know that its time passes.
        os.kill(first.process.pid, signal.SIGSTOP)
        try:
            with Worker(orchestrator, tmp_path / "second") as second:
                assert orchestrator.wait("job", seconds=LONGEST_S) == "done"
                second.terminate()
                assert second.process.wait(LONGEST_S) == 0
        finally:
            os.kill(first.process.pid, signal.SIGCONT)
        until(lambda: "the lease is lost" in first.log() or "came too late" in first.log())
    completes = orchestrator.ledger.calls("job", "Complete", effective=True)
    assert [call["attempt"] for call in completes] == [2]
