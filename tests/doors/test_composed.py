"""Configurations that were composed before."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import vr.composed
import vr.config
from vr.composed import composed
from vr.config import compose
from vr.core.errors import ConfigError


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "vr" / "configurations"


@pytest.fixture
def calls(monkeypatch) -> list[list[str]]:
    made = []

    def counted(words):
        made.append(list(words))
        return compose(words)

    monkeypatch.setattr(vr.config, "compose", counted)
    return made


def test_the_same_words_are_composed_once(calls):
    words = ["cascade=smoke", "seed=3", "targets=[a,b]"]
    first, second = composed(words), composed(words)
    assert calls == [words]
    assert first == second == compose(words)
    assert repr(first) == repr(second)


def test_other_words_are_another_configuration(calls):
    assert (composed(["seed=3"]).seed, composed(["seed=4"]).seed, len(calls)) == (3, 4, 2)


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    copy = tmp_path / "conf"
    shutil.copytree(vr.composed.config_folder(), copy)
    for module in (vr.composed, vr.config):
        monkeypatch.setattr(module, "config_folder", lambda: copy)
    return copy


def test_another_file_of_settings_is_composed_anew(calls, folder):
    assert composed([]).seed == 0
    (folder / "config.yaml").write_text((folder / "config.yaml").read_text().replace("seed: 0", "seed: 9"))
    assert composed([]).seed == 9
    assert len(calls) == 2


def test_what_asks_the_environment_is_composed_every_time(calls, monkeypatch):
    for name in ("a.csv", "b.csv"):
        monkeypatch.setenv("DATASET", name)
        assert composed(["data.uri=${oc.env:DATASET}"]).data.uri == name
    assert len(calls) == 2


def test_a_file_that_asks_the_environment_is_composed_every_time(calls, folder, monkeypatch):
    (folder / "config.yaml").write_text((folder / "config.yaml").read_text().replace("seed: 0", "seed: ${oc.env:SEED}"))
    for seed in ("5", "6"):
        monkeypatch.setenv("SEED", seed)
        assert composed([]).seed == int(seed)
    assert len(calls) == 2


@pytest.mark.parametrize("word", ["targets=shuffle([a,b])", "data.uri='s3://key:secret@bucket/a.csv'"])
def test_what_is_drawn_or_may_hold_a_secret_is_not_kept(cache, word):
    composed([word])
    assert not cache.exists()


def test_a_file_that_cannot_be_read_stops_nothing(calls, folder):
    (folder / ".#config.yaml").symlink_to("nobody@nowhere")
    assert composed([]) == composed([])
    assert len(calls) == 2


def test_a_wrong_word_is_refused_every_time(cache):
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"did you mean cascade\.seeds|no such"):
            composed(["cascade.sedes=3"])
    assert not cache.exists()


def test_a_damaged_file_is_composed_anew(calls, cache):
    composed([])
    (file,) = cache.iterdir()
    file.write_bytes(b"\0" * 100)
    assert composed([]) == compose([])
    assert len(calls) == 2


def test_hydra_is_not_loaded_for_what_is_known(repository):
    code = "import sys; from vr.composed import composed; composed(['seed=7']); print('hydra' in sys.modules)"
    words = [sys.executable, "-c", code]
    said = [subprocess.run(words, cwd=repository, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert said == ["True\n", "False\n"]
