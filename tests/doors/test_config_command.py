"""`vr config check`: what a command would run with, where that comes from, and nothing that is secret."""

import json
from pathlib import Path

import pytest

from vr.cli import main
from vr.config_command import masked


def checked(capsys, *words: str) -> tuple[dict, dict]:
    assert main(["config", "check", *words, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    return document["settings"], document["sources"]


def test_every_value_has_its_source(capsys):
    settings, sources = checked(
        capsys, "validate", "cascade=smoke", "detector=strict", "detector.review_threshold=5", "data.types.age=numeric"
    )
    assert settings.keys() == sources.keys()
    expected = {
        "cascade.preset": ("smoke", "conf/cascade/smoke.yaml"),
        "detector.overall_threshold": (35.0, "conf/detector/strict.yaml"),
        "detector.review_threshold": (5.0, "command line"),
        "data.types.age": ("numeric", "command line"),
        "seed": (0, "conf/config.yaml"),
        "sample.rows": (20_000, "default"),
    }
    assert {name: (settings[name], sources[name]) for name in expected} == expected


def test_files_below_a_file_and_experiments_are_told_apart(capsys):
    settings, sources = checked(capsys, "validate", "data=demo_fresh", "experiment=demo")
    assert (settings["data.uri"], sources["data.uri"]) == ("outputs/demo/fresh.parquet", "conf/data/demo_fresh.yaml")
    assert sources["data.batch_rows"] == "conf/data/files.yaml"
    assert (settings["reference.uri"], sources["reference.uri"]) == (
        "outputs/demo/reference.parquet",
        "conf/reference/demo.yaml",
    )


def test_only_what_was_changed(capsys):
    assert main(["config", "check", "serve", "--changed", "server.port=0", "cascade=none"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("server.port=0 ") and line.endswith("# command line") for line in lines)
    assert any(line.startswith('cascade.preset="none"') and line.endswith("# conf/cascade/none.yaml") for line in lines)
    assert not any(line.startswith("server.queue=") for line in lines)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["validate", "detector.overal_threshold=3"], "did you mean detector.overall_threshold"),
        (["validate", "sample.rows=3"], "must be 100 or more"),
        (["validate", "cascade=gigantic"], "no option 'gigantic'"),
        (["serve", "server.port=99999"], "server.port"),
        (["serve", "server.host=0.0.0.0"], "there is no TLS"),
        (["serve", "server.tenants=/nowhere.toml"], "no file /nowhere.toml"),
        (["worker"], "worker.orchestrator: nobody to take jobs from"),
        (["worker", "worker.orchestrator=far.example:1"], "there is no TLS"),
        (["worker", "worker.orchestrator=127.0.0.1:1", "cascade=gigantic"], "no option 'gigantic'"),
    ],
)
def test_what_cannot_be_used_is_the_commands_own_error(capsys, words, text):
    assert main(["config", "check", *words]) == 2
    told = capsys.readouterr()
    assert text in told.err
    assert told.out == ""
    if words[0] != "validate":
        # Before anything is begun, the command itself says the same.
        assert main(words) == 2
        assert capsys.readouterr().err == told.err


def test_files_that_the_command_would_refuse_are_looked_into(capsys, tmp_path):
    (tmp_path / "tenants.toml").write_text("[acme]\ntokens = ['a plain token']\n")
    assert main(["config", "check", "serve", f"server.tenants={tmp_path}/tenants.toml"]) == 2
    told = capsys.readouterr().err
    assert "tokens[0] is no SHA-256" in told
    assert "a plain token" not in told
    for name in ("certificate", "private_key"):
        (tmp_path / name).write_text("no certificate")
    words = [f"server.{name}={tmp_path / name}" for name in ("certificate", "private_key")]
    assert main(["config", "check", "serve", *words]) == 2
    assert "server.certificate: cannot be used" in capsys.readouterr().err
    (tmp_path / "token").write_text("\n")
    words = ["worker.orchestrator=127.0.0.1:1", f"worker.token_file={tmp_path / 'token'}"]
    assert main(["config", "check", "worker", *words]) == 2
    assert "holds no token" in capsys.readouterr().err


def test_nothing_secret_is_printed(capsys, tmp_path):
    Path(tmp_path / "token").write_text("s3cr3t-token")
    words = [
        "worker",
        "worker.orchestrator=127.0.0.1:1",
        f"worker.token_file={tmp_path / 'token'}",
        "data.uri='s3://AKIA0123456789ABCDEF:s3cr3t@bucket/x?X-Amz-Signature=s3cr3t&region=eu'",
        "engine.address='ray://user:s3cr3t@head:10001'",
    ]
    assert main(["config", "check", *words]) == 0
    told = capsys.readouterr().out
    assert "s3cr3t" not in told
    assert "AKIA" not in told
    assert "s3://***@bucket/x?X-Amz-Signature=***&region=eu" in told
    assert str(tmp_path / "token") in told


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("a.token", "x", "***"),
        ("a.api_key", "x", "***"),
        ("a.tokens", ["x", "y"], ["***", "***"]),
        ("a.token_file", "/etc/token", "/etc/token"),
        ("server.private_key", "/etc/key.pem", "/etc/key.pem"),
        ("signatures.library", "postgresql://vr:pw@host/db?sslpassword=pw", "postgresql://***@host/db?sslpassword=***"),
        ("a.header", "Authorization: Bearer abc.def", "Authorization: ***"),
        ("a.uri", "gs://bucket/a@b/c", "gs://bucket/a@b/c"),
        ("a.uri", "s3://key:with/slash@bucket/x", "s3://***@bucket/x"),
        ("signatures.library", "postgresql:vr:pw@host/db", "postgresql:***@host/db"),
        ("a.token", None, None),
        ("a.limit", 5, 5),
        ("types", {"password": "x"}, {"password": "***"}),
    ],
)
def test_masks(name, value, shown):
    assert masked(name, value) == shown
