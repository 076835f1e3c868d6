"""Rows of the fault matrix that want many tries: `make faults`. Each prints its figure."""

import math
import os
import random
import signal
import socket
import threading
import time
from collections import Counter
from pathlib import Path

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.server.service_process import Running, children_of, details_of, running, slow_job, stream, until
from tests.server.test_service import metrics_of
from vr.client import Client, Job
from vr.server._generated.vr.v1 import job_pb2
from vr.server._generated.vr.v1 import validation_engine_pb2 as engine
from vr.server.reasons import REASONS

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def quick(tmp_path_factory, data):
    """A server of statistics alone."""
    words = (f"server.roots=[{data}]", "server.children=1", "server.metrics_port=0", "cascade=none", "server.drain_s=0")
    with running(tmp_path_factory.mktemp("quick"), *words, "server.tenant_jobs=8") as it:
        yield it


def percentile(values: list[float], share: float) -> float:
    """By nearest rank."""
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def idle(server: Running) -> bool:
    """Whether nothing is computed, as the server's gauge says every second or so."""
    return metrics_of(server)['vr_validations{state="running"}'] == 0


def in_flight(server: Running) -> float:
    return metrics_of(server)['vr_inflight{method="DetectCollapse"}']


def test_row_1_a_child_killed_again_and_again(tmp_path, data):
    """Kills at seeded moments, as many validations as it takes; each report is that of a run that nobody disturbed."""
    import vr
    from vr.server.wire import to_document

    kills, rng = int(os.environ.get("VR_KILLS", "10")), random.Random(1)
    words = (f"server.roots=[{data}]", "server.children=1", f"server.restarts={kills}")
    job = slow_job(data)
    job.settings.overrides[-2] = "cascade.tiers=[{name:one,seeds:3,width:16,depth:1,steps:4000}]"
    job.settings.overrides.append("cascade.checkpoint_seconds=0")
    done = 0
    with running(tmp_path, *words) as server, server.channel as channel:
        while done < kills:
            job.settings.seed += 1  # another validation, not the last one's report
            before, report, wait = done, None, 0
            for message in stream(server, engine.ValidateRequest(job=job), channel):
                report = message.report if message.WhichOneof("event") == "report" else None
                if done < kills and message.progress.training.step:
                    if wait:
                        wait -= 1
                        continue
                    os.kill(children_of(server)[0], signal.SIGKILL)
                    done, wait = done + 1, rng.randrange(1, 20)
            direct = vr.validate(
                str(data / "broken.parquet"),
                str(data / "reference.parquet"),
                overrides=[*job.settings.overrides, f"seed={job.settings.seed}"],
            ).to_dict()
            found = to_document(report)
            assert found["cascade"]["models"] == direct["cascade"]["models"]
            assert found["risk_score"] == direct["risk_score"]
            assert done > before
    print(f"\nkills survived: {done} of {kills}, in {job.settings.seed} validations")


def test_row_15_many_cancelled_and_expired_calls_then_one(tmp_path, data):
    """200 calls that are cancelled or expire; the next answers as before them, and nothing is in flight."""
    work, rng = Job(data / "broken.parquet", data / "reference.parquet"), random.Random(15)
    words = (f"server.roots=[{data}]", "server.children=1", "server.metrics_port=0", "cascade=none", "server.drain_s=0")
    # Room for all of them: a call that is refused is neither cancelled nor expired.
    room = ("server.queue=256", "server.tenant_jobs=256", "server.tenant_calls=256")
    with (
        running(tmp_path, *words, *room) as server,
        Client(server.address, timeout=300) as client,
        server.channel as channel,
    ):

        def seconds() -> float:
            begun = time.monotonic()
            client.detect_collapse(work)
            return time.monotonic() - begun

        seconds()
        normal = percentile([seconds() for _ in range(20)], 0.95)
        job = job_pb2.Job(
            candidate=job_pb2.Dataset(uri=str(data / "broken.parquet")),
            reference=job_pb2.Dataset(uri=str(data / "reference.parquet")),
        )
        raw = engine.ValidateRequest(job=job).SerializeToString()
        ask, calls = channel.unary_unary("/vr.v1.CollapseEngine/DetectCollapse"), []
        for number in range(200):
            calls.append(ask.future(raw, timeout=rng.uniform(0.05, 0.5) if number % 2 else 60))
            time.sleep(0.02)
            if number % 2 == 0:
                calls[-1].cancel()
        codes = Counter(call.code().name for call in calls)
        begun = time.monotonic()
        until(lambda: in_flight(server) == 0, 60)
        settled = time.monotonic() - begun
        first = seconds()
        until(lambda: metrics_of(server)["vr_children"] == 1, 60)
        second = seconds()
        left = in_flight(server)
    print(
        f"\nnormal p95 {normal:.2f} s; {dict(codes)}; nothing in flight {settled:.2f} s after the last; "
        f"the next answer {first:.2f} s, the one after that {second:.2f} s"
    )
    # One that was answered before its deadline is no failure of anything.
    assert set(codes) <= {"CANCELLED", "DEADLINE_EXCEEDED", "OK"}
    assert codes["CANCELLED"] == 100
    assert codes["DEADLINE_EXCEEDED"] > 50
    assert left == 0
    # A cold child behind the last stopped call takes some seconds; a queue of 200 validations would take minutes.
    assert max(first, second) < 10 * normal + 30


def test_row_16_clients_that_do_not_read(quick, data):
    """Streams that nobody reads, and idle connections: memory is bounded, others are answered."""

    def rss() -> int:
        statm = Path(f"/proc/{quick.process.pid}/statm").read_text()
        return int(statm.split()[1]) * os.sysconf("SC_PAGE_SIZE")

    with Client(quick.address, timeout=300) as client:
        id = client.detect_collapse(Job(data / "broken.parquet", data / "reference.parquet")).validation_id
        before = rss()
        # Without this, all channels of one process share one connection.
        own = [("grpc.use_local_subchannel_pool", 1)]
        channels = [grpc.insecure_channel(quick.address, options=own) for _ in range(100)]
        # Asked for and never read: the report waits in the server's transport.
        held = [stream(quick, engine.ValidateRequest(validation_id=id), channel) for channel in channels]
        idle = [socket.create_connection(tuple(quick.address.split(":")), 10) for _ in range(200)]
        times = []
        for _ in range(50):
            begun = time.monotonic()
            client.detect_collapse(id)
            times.append(time.monotonic() - begun)
        grown = rss() - before
        for each in held:
            each.cancel()
        for each in [*channels, *idle]:
            each.close()
    print(f"\nmemory grew by {grown / 2**20:.0f} MiB; p99 of others {percentile(times, 0.99):.3f} s")
    assert grown < 512 * 2**20
    assert percentile(times, 0.99) < 20


def test_row_17_garbage(quick):
    """Damaged messages to every method: a status of the table each time, and the server lives."""
    rng, codes = random.Random(17), set()
    whole = engine.ValidateRequest(job=job_pb2.Job(candidate=job_pb2.Dataset(uri="/nowhere/x"))).SerializeToString()
    methods = [
        f"/{service}/{method.name}"
        for service, descriptor in __import__("vr.server.methods", fromlist=["SERVICES"]).SERVICES.items()
        for method in descriptor.methods
    ]
    cases = 0
    with quick.channel as channel:
        for _ in range(300):
            for method in methods:
                damaged = bytearray(whole)
                for _ in range(rng.randrange(1, 6)):
                    damaged[rng.randrange(len(damaged))] = rng.randrange(256)
                if rng.random() < 0.3:
                    damaged = bytearray(rng.randbytes(rng.randrange(200)))
                invoke = channel.unary_stream(method)
                with pytest.raises(grpc.RpcError) as caught:
                    list(invoke(bytes(damaged), timeout=60))
                info = details_of(caught.value)["ErrorInfo"]
                assert info.reason in REASONS
                assert "Traceback" not in (caught.value.details() or "")
                codes.add(info.reason)
                cases += 1
    print(f"\n{cases} damaged messages, crashes 0, reasons {', '.join(sorted(codes))}")
    assert quick.process.poll() is None
    assert "INTERNAL" not in codes


def test_row_18_a_deadline_shorter_than_the_work(tmp_path, data):
    """How long after the deadline the child has left it, or is gone."""
    words = (f"server.roots=[{data}]", "server.children=1", "server.metrics_port=0")
    found = []
    with running(tmp_path, *words) as server, server.channel as channel:
        for _ in range(3):
            until(lambda: metrics_of(server)["vr_children"] == 1, 120)
            [child] = children_of(server)
            stages = []
            messages = stream(server, engine.ValidateRequest(job=slow_job(data)), channel, timeout=8)
            with pytest.raises(grpc.RpcError) as caught:
                stages.extend(message.progress.stage for message in messages)
            assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
            # On a machine so busy that the work has not begun, there is none to be stopped.
            if "begin" not in stages:
                continue
            begun = time.monotonic()
            until(lambda child=child: child not in children_of(server) or idle(server), 30)
            found.append(time.monotonic() - begun)
    assert found
    print(f"\nthe child has left it, or is gone, {max(found):.2f} s after the deadline")
    assert max(found) < 10


def test_health_while_both_cores_compute(tmp_path, data):
    """Health's p99 while a cascade trains on every core."""
    words = (f"server.roots=[{data}]", "server.children=2")
    with running(tmp_path, *words) as server, server.channel as channel:
        busy = [stream(server, engine.ValidateRequest(job=slow_job(data)), channel) for _ in range(2)]
        readers = [threading.Thread(target=lambda each=each: drained(each), daemon=True) for each in busy]
        for reader in readers:
            reader.start()
        time.sleep(5)
        times = []
        stub = health_pb2_grpc.HealthStub(channel)
        for _ in range(300):
            begun = time.monotonic()
            stub.Check(health_pb2.HealthCheckRequest(service=""), timeout=30)
            times.append(time.monotonic() - begun)
            time.sleep(0.02)
    print(f"\nhealth p50 {percentile(times, 0.5) * 1000:.1f} ms, p99 {percentile(times, 0.99) * 1000:.1f} ms")
    assert percentile(times, 0.99) < 5


def drained(messages) -> None:
    try:
        for _ in messages:
            pass
    except grpc.RpcError:
        pass
