"""What is remembered in the user's cache."""

import os
from pathlib import Path

import pytest

from vr.core import user_cache
from vr.core.user_cache import recall, remember


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "vr"


def test_what_was_remembered_is_recalled_by_its_key_alone(cache):
    assert recall("things", "a") is None
    remember("things", "a", b"1")
    remember("things", "a", b"2")
    assert (recall("things", "a"), recall("things", "b"), recall("others", "a")) == (b"2", None, None)


@pytest.mark.parametrize("damage", [lambda kept: kept[:-1], lambda kept: kept + b"x", lambda kept: b"", bytes.upper])
def test_what_is_not_as_it_was_written_is_not_recalled(cache, damage):
    remember("things", "a", b"content")
    (file,) = (cache / "things").iterdir()
    file.write_bytes(damage(file.read_bytes()))
    assert recall("things", "a") is None


@pytest.mark.skipif(not hasattr(os, "geteuid"), reason="no such users")
@pytest.mark.parametrize("what", ["file", "folder"])
def test_what_others_can_write_is_not_recalled(cache, what):
    remember("things", "a", b"content")
    (file,) = (cache / "things").iterdir()
    assert file.parent.stat().st_mode & 0o777 == 0o700
    (file if what == "file" else file.parent).chmod(0o777)
    assert recall("things", "a") is None


def test_where_nobody_has_a_home_nothing_is_kept(cache, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("platformdirs.user_cache_dir", lambda name: f"~/.cache/{name}")
    remember("things", "a", b"content")
    assert (recall("things", "a"), list(tmp_path.iterdir())) == (None, [])


def test_where_nothing_can_be_written_nothing_is_missed(cache):
    cache.write_text("a file where the folder would be")
    remember("things", "a", b"1")
    assert recall("things", "a") is None


def test_the_oldest_go(cache, monkeypatch):
    monkeypatch.setattr(user_cache, "_MOST_FILES", 2)
    for age, key in enumerate("abc"):
        remember("things", key, key.encode())
        for file in (cache / "things").iterdir():
            os.utime(file, ns=(file.stat().st_mtime_ns - 10**9,) * 2)
        assert len(list((cache / "things").iterdir())) == min(age + 1, 2)
    assert [recall("things", key) for key in "abc"] == [None, b"b", b"c"]
