"""Settings of the library: no secret in them, since they are shown."""

import pytest

from vr.cli import main
from vr.core.errors import ConfigError
from vr.signatures.config import SignaturesConfig


@pytest.mark.parametrize(
    "place",
    [
        "postgresql://vr:secret@host/base",
        "postgresql+psycopg://vr:se/cret@host:5432/base",
        "postgresql://:secret@/base?host=/run",
        "postgresql://vr@host/base?password=secret",
        "postgresql://vr@host/base?host=a&sslpassword=secret",
    ],
)
def test_a_password_is_refused_and_not_repeated(place):
    with pytest.raises(ConfigError, match="holds a password") as caught:
        SignaturesConfig(library=place)
    assert "secret" not in str(caught.value)
    assert "PGPASSWORD" in str(caught.value)


@pytest.mark.parametrize(
    "place",
    [
        "ours.db",
        "a:b@c.db",
        "sqlite:////data/a:b@c.db",
        "postgresql://vr@host:5432/base",
        "postgresql://vr@/base?host=/run&passfile=/run/secrets/pgpass",
    ],
)
def test_what_holds_none_is_taken(place):
    assert SignaturesConfig(library=place).library == place


@pytest.mark.parametrize(
    "words",
    [
        ["validate", "c.parquet", "--output", "out", "signatures.library='postgresql://vr@host/base?password=secret'"],
        ["signatures", "export", "a.json", "--library", "postgresql://vr:secret@127.0.0.1:1/base"],
    ],
)
def test_no_command_takes_one_or_writes_it_anywhere(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.parquet").write_bytes(b"")
    assert main(words) == 2
    printed = capsys.readouterr()
    assert "holds a password" in printed.err
    assert "secret" not in printed.err + printed.out
    assert [path.name for path in tmp_path.iterdir()] == ["c.parquet"]
