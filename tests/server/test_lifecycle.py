"""Servers that are stopped, killed, replaced and reached over TLS; each test starts its own."""

import datetime
import ipaddress
import os
import signal
import threading
import time

import grpc
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc

from tests.server.service_process import children_of, running, slow_job, stream, until
from vr.client import Client, Job, ServiceError
from vr.server._generated.vr.v1 import validation_engine_pb2 as engine


def authority(name: str):
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder(subject, subject, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.BasicConstraints(True, None), critical=True)
        .sign(key, hashes.SHA256())
    )
    return key, certificate


def issue(folder, name: str, signer, common_name: str) -> None:
    """Writes `name.crt` and `name.key`, of a certificate for this machine."""
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.datetime.now(datetime.UTC)
    alternatives = [x509.IPAddress(ipaddress.ip_address("127.0.0.1")), x509.DNSName(common_name)]
    certificate = (
        x509.CertificateBuilder(
            signer[1].subject,
            x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]),
            key.public_key(),
            x509.random_serial_number(),
        )
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .sign(signer[0], hashes.SHA256())
    )
    encoding = serialization.Encoding.PEM
    plain = serialization.NoEncryption()
    (folder / f"{name}.key").write_bytes(key.private_bytes(encoding, serialization.PrivateFormat.PKCS8, plain))
    (folder / f"{name}.crt").write_bytes(certificate.public_bytes(encoding))


@pytest.mark.slow
def test_a_killed_child_is_resumed_and_a_killed_server_too(tmp_path, data):
    """The report after both is the one of a run that nobody disturbed."""
    words = (f"server.roots=[{data}]", "server.children=1")
    job = slow_job(data, idempotency_key="killed")
    job.settings.overrides[-2] = "cascade.tiers=[{name:one,seeds:3,width:8,depth:1,steps:400}]"
    job.settings.overrides.append("cascade.checkpoint_seconds=0")
    request = engine.ValidateRequest(job=job)
    with running(tmp_path / "first", *words, store=tmp_path / "store") as first:
        with first.channel as channel:
            messages = stream(first, request, channel)
            until(lambda: next(messages).progress.training.step > 0, 120)
            [child] = children_of(first)
            os.kill(child, signal.SIGKILL)
            # It begins again by itself, and gets on.
            until(lambda: next(messages).progress.stage == "begin", 60)
            until(lambda: next(messages).progress.training.step > 0, 120)
            id = next(messages).validation_id
        [child] = children_of(first)
        first.process.kill()
        first.process.wait()
        until(lambda: not os.path.exists(f"/proc/{child}") or "Z" in open(f"/proc/{child}/stat").read(), 10)
    with running(tmp_path / "second", *words, store=tmp_path / "store") as second, Client(second.address) as client:
        report = client.validate(id, timeout=300).to_dict()
        import vr

        direct = vr.validate(
            str(data / "broken.parquet"), str(data / "reference.parquet"), overrides=list(job.settings.overrides)
        ).to_dict()
        assert report["cascade"]["models"] == direct["cascade"]["models"]
        assert report["collapse_probability"] == direct["collapse_probability"]
        # SIGTERM with a validation under way: those who watch are told, and it goes on where it is asked for next.
        told = []

        def watch():
            with second.channel as channel:
                try:
                    for message in stream(second, engine.ValidateRequest(job=slow_job(data)), channel):
                        told.append(message.validation_id)
                except grpc.RpcError as error:
                    told.append(error)

        watcher = threading.Thread(target=watch)
        watcher.start()
        until(lambda: told)
        begun = time.monotonic()
        second.process.send_signal(signal.SIGTERM)
        second.process.send_signal(signal.SIGTERM)
        assert second.process.wait(60) == 0
        assert time.monotonic() - begun < 30
        watcher.join(30)
        assert told[-1].code() is grpc.StatusCode.UNAVAILABLE


@pytest.mark.slow
def test_two_replicas_of_one_store(tmp_path, data):
    """One begins, the other answers: while it runs, and afterwards; and takes over what the first let go."""
    words = (f"server.roots=[{data}]", "server.children=1", "server.drain_s=0")
    with (
        running(tmp_path / "a", *words, store=tmp_path / "store") as a,
        running(tmp_path / "b", *words, store=tmp_path / "store") as b,
    ):
        with Client(a.address) as first, Client(b.address) as second:
            screened = first.pre_screen_risk(Job(data / "broken.parquet", data / "reference.parquet"))
            assert second.detect_collapse(screened.validation_id).risk_score == screened.risk_score
            with a.channel as channel:
                id = next(stream(a, engine.ValidateRequest(job=slow_job(data)), channel)).validation_id
                with b.channel as other:
                    follower = stream(b, engine.ValidateRequest(validation_id=id), other)
                    assert next(follower).validation_id == id
                    a.process.send_signal(signal.SIGTERM)
                    assert a.process.wait(60) == 0
                    # The second has it now: it tells of progress of its own.
                    assert next(follower).progress.stage == "begin"
            assert second.cancel_validation(id) == "cancelled"


def test_a_server_killed_after_the_verdict_or_over_the_rest_loses_neither(tmp_path, data):
    words = (f"server.roots=[{data}]", "server.children=1", "cascade=none")
    job = Job(data / "broken.parquet", data / "reference.parquet")
    with running(tmp_path / "first", *words, store=tmp_path / "store") as first:
        with Client(first.address) as client:
            verdict = client.detect_collapse(job, timeout=300)
        with first.channel as channel:
            request = engine.ValidateRequest(validation_id=verdict.validation_id)
            until(lambda messages=stream(first, request, channel): next(messages).progress.stage == "profile", 60)
        first.process.kill()
        first.process.wait()
    folder = tmp_path / "store" / "local" / verdict.validation_id
    assert (folder / "verdict" / "report.json").exists()
    assert not (folder / "report" / "report.json").exists()
    with running(tmp_path / "second", *words, store=tmp_path / "store") as second, Client(second.address) as client:
        # Nobody asks again: what was begun goes on by itself.
        until((folder / "report" / "report.json").exists, 120)
        again = client.detect_collapse(verdict.validation_id, timeout=300)
        assert again == verdict
        report = client.validate(verdict.validation_id, timeout=300)
        assert (report.extent, report.risk_score) == ("whole", verdict.risk_score)
        assert report.localization.rows


def test_tls_tenants_and_a_new_certificate(tmp_path, data):
    signer, strangers = authority("ours"), authority("theirs")
    for name, (_, certificate) in (("ca", signer), ("other_ca", strangers)):
        (tmp_path / f"{name}.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    issue(tmp_path, "server", signer, "server")
    issue(tmp_path, "client", signer, "trainer.acme")
    issue(tmp_path, "second", signer, "trainer.other")
    issue(tmp_path, "unknown", signer, "nobody")
    issue(tmp_path, "stranger", strangers, "trainer.acme")
    (tmp_path / "tenants.toml").write_text(
        f'[acme]\ncertificates = ["trainer.acme"]\nroots = ["{data}"]\n'
        f'[other]\ncertificates = ["trainer.other"]\nroots = ["{tmp_path}"]\n'
    )
    path = {name: str(tmp_path / name) for name in os.listdir(tmp_path)}
    words = (
        f"server.certificate={path['server.crt']}",
        f"server.private_key={path['server.key']}",
        f"server.client_ca={path['ca.crt']}",
        f"server.tenants={path['tenants.toml']}",
        "server.health_port=0",
        "cascade=none",
    )

    def ask(address: str, name: str, ca: str = "ca") -> ServiceError:
        files = {"certificate": path[f"{name}.crt"], "private_key": path[f"{name}.key"]}
        with Client(address, authority=path[f"{ca}.crt"], attempts=1, timeout=20, **files) as client:
            with pytest.raises(ServiceError) as caught:
                client.detect_collapse("v" + "0" * 32)
        return caught.value

    with running(tmp_path / "run", *words) as server:
        assert ask(server.address, "client").reason == "VALIDATION_NOT_FOUND"
        assert ask(server.address, "unknown").reason == "UNAUTHENTICATED"
        # Of one tenant's validation another learns nothing, and cannot end it.
        files = {
            name: {"certificate": path[f"{name}.crt"], "private_key": path[f"{name}.key"]}
            for name in ("client", "second")
        }
        options = {"authority": path["ca.crt"], "attempts": 1, "timeout": 120}
        with Client(server.address, **options, **files["client"]) as acme:
            id = acme.detect_collapse(Job(data / "broken.parquet", data / "reference.parquet")).validation_id
            with Client(server.address, **options, **files["second"]) as other:
                for ask_of in (other.validate, other.cancel_validation, other.generate_recommendations):
                    with pytest.raises(ServiceError) as caught:
                        ask_of(id)
                    assert caught.value.reason == "VALIDATION_NOT_FOUND"
            assert acme.generate_recommendations(id).validation_id == id
        # Another authority's certificate by the same name does not get through TLS.
        assert ask(server.address, "stranger").code == "UNAVAILABLE"
        assert ask(server.address, "client", ca="other_ca").code == "UNAVAILABLE"
        with pytest.raises(grpc.RpcError), server.channel as plain:
            health_pb2_grpc.HealthStub(plain).Check(health_pb2.HealthCheckRequest(), timeout=10)
        # Probes have no certificate: a port of their own says health and nothing else.
        import re

        port = re.search(r"health (\d+)", server.log.read_text()).group(1)
        with grpc.insecure_channel(f"127.0.0.1:{port}") as probes:
            status = health_pb2_grpc.HealthStub(probes).Check(health_pb2.HealthCheckRequest(), timeout=10).status
            assert status == health_pb2.HealthCheckResponse.SERVING
            with pytest.raises(grpc.RpcError) as caught:
                probes.unary_unary("/vr.v1.CollapseEngine/DetectCollapse")(b"", timeout=10)
            assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        # A new certificate, of another authority: in use without a restart; half of it is not.
        issue(tmp_path, "new", strangers, "server")
        os.replace(path["server.crt"], tmp_path / "old.crt")
        os.replace(tmp_path / "new.crt", path["server.crt"])
        assert ask(server.address, "client").reason == "VALIDATION_NOT_FOUND"
        os.replace(tmp_path / "new.key", path["server.key"])
        assert ask(server.address, "client", ca="other_ca").reason == "VALIDATION_NOT_FOUND"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["server.host=0.0.0.0"], "no TLS"),
        (["server.prot=1"], "did you mean server.port"),
        (["server.port=no"], "server.port"),
        (["cascade=gigantic"], "no option 'gigantic'"),
        (["server.tenants=/no/such/file"], "no file"),
        (["server=other"], "server"),
    ],
)
def test_a_server_that_cannot_be_meant_does_not_start(words, says, capsys):
    from vr.cli import main

    assert main(["serve", *words]) == 2
    assert says in capsys.readouterr().err


def test_a_report_larger_than_a_message_is_a_failure_with_a_way_out(tmp_path):
    """300 listed rows take over 64 KiB; of the same validation the smaller parts are there."""
    data = tmp_path / "wide"
    data.mkdir()
    for seed, name in enumerate(("reference", "broken")):
        rows = np.random.default_rng(seed).standard_normal((1_000, 8))
        rows[: 300 * seed] += 20 * np.sign(rows[: 300 * seed])
        pq.write_table(pa.table({f"column {j}": rows[:, j] for j in range(8)}), data / f"{name}.parquet")
    words = (f"server.roots=[{data}]", "server.children=1", "cascade=none", "server.max_message_bytes=65536")
    with running(tmp_path, *words) as server, Client(server.address, timeout=300) as client:
        with pytest.raises(ServiceError) as caught:
            client.validate(Job(data / "broken.parquet", data / "reference.parquet"))
        error = caught.value
        assert (error.code, error.reason, error.retry_s) == ("RESOURCE_EXHAUSTED", "ANSWER_TOO_LARGE", None)
        assert int(error.metadata["bytes"]) > 65_536
        id = error.metadata["validation_id"]
        assert client.pre_screen_risk(id).verdict
        assert client.generate_recommendations(id).validation_id == id
