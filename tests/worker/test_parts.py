"""Leases, what is kept on the disk, calls and the ledger's rules, without a worker's process."""

import asyncio
import hashlib
import json
import os

import pytest

from tests.test_architecture import loaded_by
from vr.config import compose_section
from vr.core.errors import ConfigError, VrError
from vr.server._generated.vr.orchestrator.v1 import orchestrator_pb2 as wire
from vr.server._generated.vr.v1 import job_pb2
from vr.worker.calls import Backoff, CallFailed, Calls
from vr.worker.config import WorkerConfig
from vr.worker.disk import Current, WorkFolder
from vr.worker.ends import completed, failed, published_at
from vr.worker.lease import Lease, now
from vr.worker.testing import Ledger, ReferenceOrchestrator

HEAVY = {
    "jax",
    "jaxlib",
    "flax",
    "numpy",
    "numba",
    "pyarrow",
    "sklearn",
    "scipy",
    "hydra",
    "omegaconf",
    "pydantic",
    "wandb",
}


def claim(job_id: str = "a", attempt: int = 1, token: int = 1) -> wire.Claim:
    return wire.Claim(job_id=job_id, attempt=attempt, fencing_token=token)


def test_the_reference_orchestrator_loads_nothing_that_computes():
    assert loaded_by("import vr.worker.testing") & HEAVY == set()


def test_a_lease_counts_from_the_question_and_is_never_shortened():
    time = [100.0]
    lease = Lease(9.0, 100.0, lambda: time[0])
    assert lease.beat_s == 3.0
    time[0] = 108.0
    assert lease.overdue_s == 0.0
    lease.renew(9.0, 107.0)
    # The answer to an earlier question comes later.
    lease.renew(9.0, 103.0)
    time[0] = 118.0
    assert lease.overdue_s == 2.0


def test_the_clock_of_leases_only_rises():
    assert now() <= now()


def test_pauses_double_up_to_a_limit_and_begin_anew():
    backoff = Backoff(5.0, lambda low, high: high)
    assert [backoff.next() for _ in range(6)] == [0.2, 0.4, 0.8, 1.6, 3.2, 5.0]
    assert backoff.next(at_least=30.0) == 30.0
    backoff.reset()
    assert backoff.next() == 0.2
    assert 0.1 <= Backoff(5.0).next() <= 0.2


def test_what_was_spooled_is_there_again_in_order_and_what_is_damaged_is_set_aside(tmp_path):
    folder = WorkFolder(tmp_path)
    requests = [wire.ReleaseRequest(claim=claim(f"job-{number}")) for number in range(12)]
    paths = [folder.spool.add("Release", request) for request in requests]
    content = bytearray(paths[3].read_bytes())
    content[len(content) // 2] ^= 4
    paths[3].write_bytes(content)
    folder.spool.remove(paths[0])
    found = folder.spool.waiting()
    assert [request for _, _, request in found] == requests[1:3] + requests[4:]
    assert {name for _, name, _ in found} == {"Release"}
    assert len(list((tmp_path / "spool" / "refused").iterdir())) == 1
    folder.close()


def test_the_job_under_way_is_known_to_the_next_process_and_a_damaged_note_is_none(tmp_path):
    folder = WorkFolder(tmp_path)
    name = folder.name()
    folder.begin(Current(wire.JobLease(claim=claim(), output_uri="s3://bucket/x"), process=3))
    folder.close()
    folder = WorkFolder(tmp_path)
    assert folder.name() == name
    current = folder.current()
    assert current is not None
    assert (current.lease.output_uri, current.process) == ("s3://bucket/x", 3)
    assert published_at(current.lease) == "s3://bucket/x/attempt-1"
    path = tmp_path / "current"
    path.write_bytes(path.read_bytes()[:-9])
    assert folder.current() is None
    folder.end()
    assert not path.exists()
    folder.close()


def test_what_cannot_be_read_for_now_is_neither_absent_nor_damaged(tmp_path):
    folder = WorkFolder(tmp_path)
    # A folder in a file's place is an error of the system's that every user meets, root too.
    (tmp_path / "spool" / "000000000001.json").mkdir()
    for path, read in ((tmp_path / "current", folder.current), (tmp_path / "name", folder.name)):
        path.mkdir()
        with pytest.raises(VrError, match="cannot be read"):
            read()
        assert path.exists()
    with pytest.raises(VrError, match="cannot be read"):
        folder.spool.waiting()
    assert not (tmp_path / "spool" / "refused").exists()
    folder.close()


def test_a_folder_has_one_worker(tmp_path):
    folder = WorkFolder(tmp_path)
    with pytest.raises(ConfigError, match="another worker uses it"):
        WorkFolder(tmp_path, lock_s=0.0)
    folder.close()
    WorkFolder(tmp_path, lock_s=0.0).close()


def test_folders_of_jobs_that_nobody_works_on_are_removed(tmp_path):
    folder = WorkFolder(tmp_path)
    for name in ("old", "young"):
        (folder.job(name) / ".vr").mkdir(parents=True)
    for path in (folder.job("old"), folder.job("old") / ".vr"):
        os.utime(path, (1e9, 1e9))
    folder.sweep(3600.0)
    assert [path.name for path in (tmp_path / "jobs").iterdir()] == ["young"]
    folder.close()


def test_settings_that_cannot_be_used_are_refused(tmp_path):
    def settings(*words: str) -> WorkerConfig:
        return compose_section("worker", WorkerConfig, [f"worker.{word}" for word in words])

    assert settings("orchestrator=127.0.0.1:1").target() == "127.0.0.1:1"
    assert settings("orchestrator=far.example:1", "insecure=true").target() == "far.example:1"
    with pytest.raises(ConfigError, match="no TLS"):
        settings("orchestrator=far.example:1").target()
    # No more than a look at its beginning would take it for loopback.
    with pytest.raises(ConfigError, match="no TLS"):
        settings("orchestrator=127.0.0.1.example:1").target()
    with pytest.raises(ConfigError, match="nobody to take jobs from"):
        settings().target()
    for word, match in (
        ("orchestrator=nowhere", "HOST:PORT"),
        ("call_s=0", "worker.call_s"),
        ("nmae=x", r"worker\.name"),
        ("name=a/b", "no name"),
        ("certificate=x.pem", "give both"),
        ("token_file=absent", "no file absent"),
    ):
        with pytest.raises(ConfigError, match=match):
            settings(word)


def test_a_failure_says_whether_another_attempt_may_help():
    from vr.server.failures import Failure, Violation

    bad = failed(claim(), Failure("BAD_DATA", "x", [Violation("job.candidate", "y")]))
    assert (bad.retryable, dict(bad.violations)) == (False, {"job.candidate": "y"})
    assert failed(claim(), Failure("COMPUTE_DIED")).retryable


@pytest.mark.parametrize("size", [4_100_000, 4_300_000])
def test_a_large_report_does_not_keep_the_end_of_a_job_from_an_orchestrator_with_grpcs_limits(tmp_path, size):
    content = json.dumps({"verdict": "approve", "risk_score": 1.0, "padding": ""})
    content = content.replace('""', f'"{"x" * (size - len(content))}"')
    (tmp_path / "report.json").write_text(content)

    async def said(orchestrator: ReferenceOrchestrator, request: wire.CompleteRequest) -> None:
        calls = Calls(WorkerConfig(orchestrator=orchestrator.target))
        try:
            async with asyncio.timeout(15.0):
                await calls.insist("Complete", request)
        finally:
            await calls.close()

    with ReferenceOrchestrator(tmp_path / "jobs.db") as orchestrator:
        for job_id in ("job", "earlier"):
            orchestrator.submit(job_id, "/x")
            lease = orchestrator.ledger.lease(wire.LeaseRequest(worker_id=job_id, request_id="1")).job_lease
            request = completed(lease, tmp_path)
            fits = size < (4 << 20) - (64 << 10)
            assert request.HasField("report_json") == fits
            if job_id == "earlier":
                # As an earlier version spooled it.
                request.report_json = content.encode()
            asyncio.run(said(orchestrator, request))
            assert orchestrator.ledger.end(job_id).HasField("report_json") == fits
            assert orchestrator.ledger.end(job_id).report_sha256 == hashlib.sha256(content.encode()).digest()


@pytest.fixture
def ledger(tmp_path):
    time = [0.0]
    it = Ledger(tmp_path / "jobs.db", lease_s=10.0, clock=lambda: time[0])
    it.time = time
    for job_id in "ab":
        it.submit(job_id, job_pb2.Job(candidate=job_pb2.Dataset(uri="/x")))
    yield it
    it.close()


def ask(ledger: Ledger, worker: str, request: str = "1") -> wire.JobLease | None:
    answer = ledger.lease(wire.LeaseRequest(worker_id=worker, request_id=request))
    return answer.job_lease if answer.HasField("job_lease") else None


def commands(ledger: Ledger, name: str, claim: wire.Claim, **more) -> list[int]:
    return list(ledger.write(name, getattr(wire, f"{name}Request")(claim=claim, **more)).commands)


def test_a_question_asked_twice_is_granted_once(ledger):
    first = ask(ledger, "w")
    assert ask(ledger, "w") == first
    # Nothing was acknowledged: the answer may have been lost with the process.
    assert ask(ledger, "w", "2") == first
    commands(ledger, "Acknowledge", first.claim)
    assert ask(ledger, "v").claim.job_id == "b"
    assert ask(ledger, "u") is None


def test_an_older_claim_changes_nothing(ledger):
    old = ask(ledger, "w").claim
    ledger.time[0] = 10.0
    new = ask(ledger, "v").claim
    assert (new.job_id, new.attempt) == (old.job_id, 2)
    assert new.fencing_token > old.fencing_token
    for name in ("Heartbeat", "ReportProgress", "Complete", "Fail", "Release"):
        assert commands(ledger, name, old) == [wire.COMMAND_LEASE_LOST]
    assert ledger.state("a") == "leased"
    assert commands(ledger, "Complete", new, verdict="approve") == []
    assert commands(ledger, "Complete", new, verdict="approve") == []
    assert commands(ledger, "Fail", new) == []
    assert ledger.end("a").verdict == "approve"
    assert len(ledger.calls("a", effective=True)) == 1


def test_a_lease_that_ran_out_counts_until_somebody_else_has_it(ledger):
    mine = ask(ledger, "w").claim
    ledger.time[0] = 60.0
    assert commands(ledger, "Heartbeat", mine) == []
    ledger.time[0] = 69.0
    assert ask(ledger, "v").claim.job_id == "b"


def test_a_job_given_back_is_granted_at_once_and_its_claim_is_over(ledger):
    mine = ask(ledger, "w").claim
    assert commands(ledger, "Release", mine) == []
    assert commands(ledger, "Release", mine) == []
    assert commands(ledger, "Complete", mine) == [wire.COMMAND_LEASE_LOST]
    assert ask(ledger, "v").claim.job_id == "a"


def test_failures_are_tried_again_only_so_often(ledger):
    for number in range(3):
        mine = ask(ledger, "w", str(number)).claim
        assert (mine.job_id, mine.attempt) == ("a", number + 1)
        commands(ledger, "Fail", mine, retryable=True)
        commands(ledger, "Fail", mine, retryable=True)
    assert ledger.state("a") == "failed"
    mine = ask(ledger, "w", "b").claim
    commands(ledger, "Fail", mine, retryable=False)
    assert ledger.state("b") == "failed"


def test_progress_that_was_overtaken_is_old(ledger):
    mine = ask(ledger, "w").claim
    for sequence, stage in ((1, "read"), (3, "cascade"), (2, "profile")):
        commands(ledger, "ReportProgress", mine, sequence=sequence, progress=job_pb2.Progress(stage=stage))
    assert ledger.progress("a").stage == "cascade"


def test_cancelled_jobs_are_not_completed(ledger):
    mine = ask(ledger, "w").claim
    ledger.cancel("a")
    ledger.cancel("b")
    assert ledger.state("b") == "cancelled"
    assert commands(ledger, "Heartbeat", mine) == [wire.COMMAND_CANCEL]
    assert commands(ledger, "Complete", mine) == [wire.COMMAND_CANCEL]
    assert (ledger.state("a"), ledger.end("a")) == ("cancelled", None)


def test_the_ledger_is_the_same_after_a_restart_and_leases_run_anew(ledger, tmp_path):
    mine = ask(ledger, "w").claim
    ledger.time[0] = 9.0
    again = Ledger(tmp_path / "jobs.db", lease_s=10.0, clock=lambda: ledger.time[0])
    ledger.time[0] = 18.0
    assert ask(again, "v").claim.job_id == "b"
    assert commands(again, "Complete", mine, verdict="review") == []
    assert again.end("a").verdict == "review"
    again.close()


def test_a_worker_without_the_token_is_not_let_in_and_says_what_to_check(tmp_path):
    token = tmp_path / "token"
    token.write_text("right\n")
    request = wire.LeaseRequest(worker_id="w", request_id="1")
    with ReferenceOrchestrator(tmp_path / "jobs.db", token="right") as orchestrator:

        async def asked(**more) -> wire.LeaseResponse:
            calls = Calls(WorkerConfig(orchestrator=orchestrator.target, **more))
            try:
                return await calls.ask("Lease", request)
            finally:
                await calls.close()

        assert not asyncio.run(asked(token_file=str(token))).HasField("job_lease")
        with pytest.raises(VrError, match=r"UNAUTHENTICATED.*worker\.token_file"):
            asyncio.run(asked())
        token.write_text("")
        with pytest.raises(ConfigError, match="holds no token"):
            asyncio.run(asked(token_file=str(token)))


def test_a_connection_whose_other_end_is_silent_is_made_anew(tmp_path):
    """A server that accepts and never answers, as one whose machine vanished: each call ends by its deadline."""
    request = wire.LeaseRequest(worker_id="w", request_id="1")

    async def scenario() -> None:
        heard: list[asyncio.StreamWriter] = []

        async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            heard.append(writer)

        server = await asyncio.start_server(swallow, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        calls = Calls(WorkerConfig(orchestrator=f"127.0.0.1:{port}", call_s=0.3))
        for _ in range(4):
            with pytest.raises(CallFailed, match="DEADLINE_EXCEEDED"):
                await calls.ask("Lease", request)
        assert len(heard) >= 2
        await calls.close()
        for writer in heard:
            writer.close()
        server.close()

    asyncio.run(scenario())
