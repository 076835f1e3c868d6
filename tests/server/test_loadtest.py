"""`vr loadtest` against a server over a socket, and what it refuses to do."""

import json

import pytest

from vr.cli import main
from vr.client import Client, Job
from vr.client.load.datasets import write_pair


def test_a_server_under_load(server, data, capsys, tmp_path):
    words = ["--candidate", str(data / "broken.parquet"), "--reference", str(data / "reference.parquet")]
    words += ["--clients", "2", "--rate", "20", "--requests", "900", "--warm-up", "0.1", "--window", "0.2"]
    words += ["--window-requests", "3", "--seconds", "20", "--tolerance", "1", "--reuse", "--timeout", "120"]
    file = tmp_path / "load.json"
    assert main(["loadtest", server.address, *words, "--output", str(file)]) == 0
    lines = capsys.readouterr().out.splitlines()
    document = json.loads(file.read_text())
    assert len(lines) == len(document["levels"]) == 2
    assert document["server_version"]
    closed = document["levels"][0]
    assert closed["errors"] == {}
    assert closed["latency"]["count"] == closed["answers"] > 0
    assert closed["health"]["count"] > 0
    assert closed["health"]["not_serving"] == 0
    assert document["requests"] <= 900


def test_new_validations_refusals_and_failures_are_told_apart(server, data, capsys):
    """Four clients where three validations of a tenant may be, of data that is no parquet file."""
    words = ["--candidate", str(data / "junk.parquet"), "--clients", "8", "--requests", "24", "--warm-up", "0"]
    assert main(["loadtest", server.address, *words, "--window", "0.1", "--seconds", "60", "--json"]) == 0
    [level] = json.loads(capsys.readouterr().out)["levels"]
    assert level["answers"] == 0
    assert level["errors"].keys() <= {"INVALID_ARGUMENT/BAD_DATA", "RESOURCE_EXHAUSTED/TENANT_JOBS"}
    assert level["errors"]["INVALID_ARGUMENT/BAD_DATA"] > 0
    assert level["refused"]["count"] == level["errors"].get("RESOURCE_EXHAUSTED/TENANT_JOBS", 0)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["far.example:50051"], "--yes-remote"),
        (["127.0.0.1:1", "--output", "/no/such/folder/load.json"], "cannot be written"),
        (["far.example:50051", "--yes-remote"], "--candidate: not given"),
        (["127.0.0.1"], "is not HOST:PORT"),
        (["127.0.0.1:1", "--clients", "2000"], "must lie in 1 to 1024"),
        (["127.0.0.1:1", "--requests", "0"], "requests"),
    ],
)
def test_what_it_refuses(capsys, words, text):
    assert main(["loadtest", *words]) == 2
    assert text in capsys.readouterr().err


def test_nobody_there_is_an_error_and_no_figure(capsys):
    assert main(["loadtest", "127.0.0.1:1", "--candidate", "x"]) == 4
    told = capsys.readouterr()
    assert "UNAVAILABLE" in told.err
    assert told.out == ""


def test_the_datasets_made_for_it_are_fresh_samples_of_one_distribution(server, data):
    folder = data / "made"
    folder.mkdir()
    with Client(server.address, timeout=300) as client:
        answer = client.detect_collapse(Job(*write_pair(folder, rows=300, columns=4), cascade="none"))
    assert answer.verdict.value != "reject"
