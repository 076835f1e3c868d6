"""What a client finds out about a server without asking it for work, and what the doctor makes of it."""

import socket

import pytest

from tests.server.service_process import running
from vr import __version__
from vr.cli import main
from vr.client.calls import ServiceError
from vr.client.connection import Connection
from vr.client.health import health_of
from vr.doctor.finding import BROKEN, OK
from vr.doctor.server import server as look_at


def test_a_server_that_works(server):
    found = health_of(Connection(server.address))
    assert set(found.status.values()) == {"SERVING"}
    assert set(found.status) == {"", "liveness", "vr.v1.ValidationEngine", "vr.v1.CollapseEngine"}
    assert (found.version, found.refused) == (__version__, None)
    assert 0 < found.latency_ms <= found.connect_ms * 10
    assert [each.state for each in look_at(Connection(server.address))][1:] == [OK]


def test_nobody_there_is_broken(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        place = f"127.0.0.1:{held.getsockname()[1]}"
        with pytest.raises(ServiceError, match="UNAVAILABLE"):
            health_of(Connection(place), timeout_s=5)
        assert main(["doctor", "--quick", "--server", place]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("broken  server ") and place in line for line in lines)


def test_a_server_that_does_not_know_this_client_is_broken(tmp_path):
    (tmp_path / "tenants.toml").write_text('[acme]\ntokens = ["' + 64 * "0" + '"]\nroots = ["/nowhere"]\n')
    with running(tmp_path, f"server.tenants={tmp_path / 'tenants.toml'}", "server.children=1", "cascade=none") as it:
        found = list(look_at(Connection(it.address, token="wrong")))
    assert [each.state for each in found][-1] == BROKEN
    assert "UNAUTHENTICATED" in found[-1].said
