"""One worker through all that may happen to it: real processes, real sockets."""

import hashlib
import json
import os
import signal
from collections import Counter
from collections.abc import Iterator
from typing import Any

import botocore.session
import pytest
from moto.server import ThreadedMotoServer

import vr
from tests.worker.worker_process import ENDLESS, LONGEST_S, TRAINING, Worker, is_alive, kill, trains, until
from vr.server._generated.vr.orchestrator.v1 import orchestrator_pb2 as wire
from vr.worker.testing import ReferenceOrchestrator

KEY = "a-key"


def store(endpoint: str) -> Any:
    """Returns a client of an object store."""
    session = botocore.session.get_session()
    return session.create_client(
        "s3",
        endpoint_url=endpoint,
        region_name="us-east-1",
        aws_access_key_id=KEY,
        aws_secret_access_key=KEY,
    )


@pytest.fixture(scope="module")
def bucket() -> Iterator[str]:
    """Where an empty bucket of a real server on loopback is."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    _, port = server.get_host_and_port()
    store(f"http://127.0.0.1:{port}").create_bucket(Bucket="bucket")
    yield f"http://127.0.0.1:{port}"
    server.stop()


@pytest.fixture(scope="module")
def both(tmp_path_factory, bucket) -> Iterator[tuple[ReferenceOrchestrator, Worker]]:
    folder = tmp_path_factory.mktemp("worker")
    with (
        ReferenceOrchestrator(folder / "jobs.db", lease_s=3.0) as orchestrator,
        Worker(
            orchestrator,
            folder / "w",
            "worker.name=first",
            AWS_ENDPOINT_URL=bucket,
            AWS_ACCESS_KEY_ID=KEY,
            AWS_SECRET_ACCESS_KEY=KEY,
            AWS_REGION="us-east-1",
        ) as worker,
    ):
        assert worker.line() == f"connected to {orchestrator.target} as first\n"
        yield orchestrator, worker


def submit(orchestrator: ReferenceOrchestrator, data, job_id: str, **more) -> None:
    orchestrator.submit(job_id, str(data / "fresh.parquet"), str(data / "reference.parquet"), **more)


def test_a_jobs_report_is_that_of_validate(both, data):
    orchestrator, worker = both
    submit(orchestrator, data, "plain", seed=3)
    assert orchestrator.wait("plain", seconds=LONGEST_S) == "done"
    end = orchestrator.ledger.end("plain")
    told = json.loads(end.report_json)
    overrides = ["cascade=none", "seed=3", "engine.threads=1"]
    expected = vr.validate(str(data / "fresh.parquet"), str(data / "reference.parquet"), overrides=overrides).to_dict()
    del told["run"], expected["run"]
    assert told == expected
    assert (end.verdict, end.risk_score) == (told["verdict"], told["risk_score"])
    names = [call["name"] for call in orchestrator.ledger.calls("plain", effective=True)]
    assert names[0] == "Acknowledge"
    assert names[-1] == "Complete"
    # What is not published stays, with the page.
    assert (worker.folder / "jobs" / "plain" / "report.html").exists()


def test_results_are_published_below_the_given_address(both, bucket, data):
    orchestrator, worker = both
    submit(orchestrator, data, "published", output_uri="s3://bucket/runs/7/")
    assert orchestrator.wait("published", seconds=LONGEST_S) == "done"
    end = orchestrator.ledger.end("published")
    assert end.report_uri == "s3://bucket/runs/7/attempt-1/report.json"
    assert not end.HasField("report_json")
    objects = {each["Key"]: each for each in store(bucket).list_objects_v2(Bucket="bucket")["Contents"]}
    assert sorted(objects) == [
        f"runs/7/attempt-1/{name}" for name in ("report.html", "report.json", "row_scores.parquet")
    ]
    body = store(bucket).get_object(Bucket="bucket", Key="runs/7/attempt-1/report.json")["Body"].read()
    assert hashlib.sha256(body).digest() == end.report_sha256
    # Nothing is left of it here.
    until(lambda: not (worker.folder / "jobs" / "published").exists())


def test_calls_that_are_lost_doubled_and_overtaken_have_one_effect(both, data):
    orchestrator, worker = both
    script = orchestrator.script
    script.add("lose_reply", "Lease")
    script.add("twice", "Acknowledge")
    script.add("late", "Heartbeat", 2, seconds=0.5)
    script.add("late", "ReportProgress", 2, seconds=0.5)
    script.add("lose_request", "Complete")
    script.add("lose_reply", "Complete")
    script.add("late", "Complete", seconds=0.2)
    script.add("refuse", "Complete", code="INTERNAL")
    script.add("twice", "Complete")
    for number in range(2):
        submit(orchestrator, data, f"shaken-{number}")
    for number in range(2):
        job_id = f"shaken-{number}"
        assert orchestrator.wait(job_id, seconds=LONGEST_S) == "done"
        assert len(orchestrator.ledger.calls(job_id, "Complete", effective=True)) == 1
        # The lost lease was granted again, not another one.
        assert orchestrator.ledger.row(job_id)["attempt"] == 1
    assert script.done >= Counter({"lose_reply": 2, "twice": 2, "lose_request": 1, "refuse": 1})
    until(lambda: not list((worker.folder / "spool").glob("*.json")))


def test_what_cannot_be_done_is_said_with_its_reason_and_not_tried_again(both, data, tmp_path):
    orchestrator, _ = both
    junk = tmp_path / "junk.parquet"
    junk.write_bytes(b"this is no parquet")
    orchestrator.submit("junk", str(junk), str(data / "reference.parquet"))
    orchestrator.submit("absent", str(tmp_path / "absent.parquet"))
    submit(orchestrator, data, "odd", overrides=("cascade.nonsense=1",))
    ends = {}
    for job_id in ("junk", "absent", "odd"):
        assert orchestrator.wait(job_id, seconds=LONGEST_S) == "failed"
        ends[job_id] = orchestrator.ledger.end(job_id)
        assert not ends[job_id].retryable
    assert (ends["junk"].reason, list(ends["junk"].violations)) == ("BAD_DATA", ["job.candidate"])
    assert (ends["absent"].reason, list(ends["absent"].violations)) == ("DATASET_UNAVAILABLE", ["job.candidate.uri"])
    assert (ends["odd"].reason, list(ends["odd"].violations)) == ("BAD_SETTING", ["job.settings"])


def test_a_job_that_breaks_the_contract_fails_with_its_fields(both, data):
    orchestrator, _ = both
    submit(orchestrator, data, "broken", cascade="../etc")
    assert orchestrator.wait("broken", seconds=LONGEST_S) == "failed"
    end = orchestrator.ledger.end("broken")
    assert end.reason == "BAD_REQUEST"
    assert "job.settings.cascade" in end.message


def test_a_child_that_dies_is_replaced_and_the_job_done(both, data):
    orchestrator, worker = both
    submit(orchestrator, data, "orphaned")
    until(lambda: orchestrator.ledger.row("orphaned")["acknowledged"])
    kill(worker.child())
    assert orchestrator.wait("orphaned", seconds=LONGEST_S) == "done"
    assert orchestrator.ledger.row("orphaned")["attempt"] == 1
    assert len(orchestrator.ledger.calls("orphaned", "Complete")) == 1


@pytest.mark.slow
def test_training_goes_on_when_the_child_is_killed_and_while_the_orchestrator_is_away(both, data):
    orchestrator, worker = both
    submit(orchestrator, data, "killed", cascade="smoke", overrides=TRAINING)
    until(lambda: trains(orchestrator, "killed"))
    child = worker.child()
    kill(child)
    before = orchestrator.ledger.progress("killed").done
    until(lambda: worker.child() not in (None, child))
    orchestrator.stop()
    # The child is not only imported meanwhile: it trains, and nobody can be told.
    until(lambda: list((worker.folder / "jobs" / "killed" / ".vr").glob("training-*")))
    orchestrator.start()
    assert orchestrator.wait("killed", seconds=LONGEST_S) == "done"
    row = orchestrator.ledger.row("killed")
    assert row["attempt"] == 1
    assert len(orchestrator.ledger.calls("killed", "Complete")) == 1
    resumed = [
        request.progress.done
        for call in orchestrator.ledger.calls("killed", "ReportProgress")
        if (request := wire.ReportProgressRequest.FromString(call["request"])).progress.stage == "cascade"
    ]
    # What was kept was not trained again.
    assert all(done >= before for done in resumed[resumed.index(before) :])


def test_a_cancelled_job_is_stopped_and_another_taken(both, data):
    orchestrator, worker = both
    submit(orchestrator, data, "cancelled", cascade="smoke", overrides=ENDLESS)
    until(lambda: trains(orchestrator, "cancelled"))
    child = worker.child()
    assert child is not None
    orchestrator.ledger.cancel("cancelled")
    assert orchestrator.wait("cancelled", seconds=LONGEST_S) == "cancelled"
    assert not is_alive(child)
    fail = wire.FailRequest.FromString(orchestrator.ledger.calls("cancelled", "Fail")[0]["request"])
    assert (fail.reason, fail.retryable) == ("CANCELLED", False)
    until(lambda: not (worker.folder / "jobs" / "cancelled").exists())
    # Too late to cancel: nothing becomes of it, whatever the answers say.
    orchestrator.script.add("say", "Complete", command=wire.COMMAND_CANCEL)
    submit(orchestrator, data, "next")
    assert orchestrator.wait("next", seconds=LONGEST_S) == "done"
    orchestrator.ledger.cancel("next")
    assert orchestrator.ledger.state("next") == "done"


def test_a_worker_that_slept_through_its_lease_completes_nothing(both, data):
    orchestrator, worker = both
    # However soon it has finished, nobody hears of it.
    orchestrator.script.add("refuse", "Complete", 1_000_000)
    submit(orchestrator, data, "fenced")
    until(lambda: orchestrator.ledger.row("fenced")["acknowledged"])
    # Its child goes on to the end meanwhile.
    os.kill(worker.process.pid, signal.SIGSTOP)
    try:
        orchestrator.ledger.expire("fenced")
        lease = orchestrator.ledger.lease(wire.LeaseRequest(worker_id="other", request_id="1")).job_lease
        assert (lease.claim.job_id, lease.claim.attempt) == ("fenced", 2)
    finally:
        os.kill(worker.process.pid, signal.SIGCONT)
        orchestrator.script.clear()
    submit(orchestrator, data, "after")

    def is_after_done() -> bool:
        # The other worker lives, however long the first one takes to start another child.
        orchestrator.ledger.write("Heartbeat", wire.HeartbeatRequest(claim=lease.claim))
        return orchestrator.ledger.state("after") == "done"

    until(is_after_done)
    assert orchestrator.ledger.state("fenced") == "leased"
    orchestrator.ledger.write("Complete", wire.CompleteRequest(claim=lease.claim, verdict="review"))
    assert orchestrator.ledger.end("fenced").verdict == "review"
    assert len(orchestrator.ledger.calls("fenced", "Complete", effective=True)) == 1
    assert "the lease is lost" in worker.log() or "came too late" in worker.log()


def test_a_worker_that_is_told_to_shut_down_finishes_first(both, data):
    orchestrator, worker = both
    orchestrator.script.add("say", "Acknowledge", command=wire.COMMAND_SHUT_DOWN)
    submit(orchestrator, data, "last")
    assert orchestrator.wait("last", seconds=LONGEST_S) == "done"
    assert worker.process.wait(LONGEST_S) == 0
    with pytest.raises(ProcessLookupError):
        os.kill(worker.process.pid, 0)
