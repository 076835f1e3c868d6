"""`vr doctor` as a command: what it prints, its exit code, and what it says of what is damaged."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from vr.cli import main
from vr.doctor import compute
from vr.doctor.finding import BROKEN, NOTE, OK


@pytest.fixture
def elsewhere(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_sound_installation_is_fine(elsewhere, capsys):
    assert main(["doctor", "--quick", "--json", "server.store=kept"]) == 0
    document = json.loads(capsys.readouterr().out)
    found = {each["name"]: each for each in document["findings"]}
    assert document["broken"] == 0
    assert {"python", "packages", "memory", "descriptors", "clock", "calibration", "signatures"} <= found.keys()
    assert found["server.store"]["values"]["folder"] == "kept"
    assert found["signatures"]["values"]["signatures"] > 100
    assert "jax" not in found
    assert list(elsewhere.iterdir()) == []


def test_what_is_broken_is_named_and_ends_with_one(elsewhere, capsys):
    (elsewhere / "kept").write_text("")
    assert main(["doctor", "--quick", "worker.folder=kept"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("broken  worker.folder") for line in lines)
    assert "1 broken" in lines[-1]


def test_settings_that_cannot_be_used_end_it_as_every_command(elsewhere, capsys):
    assert main(["doctor", "--quick", "server.stor=kept"]) == 2
    assert "did you mean server.store" in capsys.readouterr().err
    assert main(["doctor", "--quick", "--server", "nowhere"]) == 2
    assert "HOST:PORT" in capsys.readouterr().err


def test_damaged_calibration_and_signatures_are_found(tmp_path, repository):
    """In a copy of the package, whose shipped files are damaged as a bad disk would."""
    shutil.copytree(repository / "vr", tmp_path / "vr", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(repository / "synthetic", tmp_path / "synthetic", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(repository / "conf", tmp_path / "conf")
    calibration = tmp_path / "vr/detector/calibration.json"
    calibration.write_bytes(calibration.read_bytes()[:-1000])
    shipped = tmp_path / "vr/signatures/shipped.json"
    content = shipped.read_text()
    at = content.index('"fingerprint":[') + len('"fingerprint":[')
    digit = next(i for i in range(at, len(content)) if content[i].isdigit() and content[i + 1].isdigit())
    shipped.write_text(content[:digit] + str((int(content[digit]) + 1) % 10) + content[digit + 1 :])
    done = subprocess.run(
        [sys.executable, "-m", "vr", "doctor", "--quick", "--json"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    found = {each["name"]: each for each in json.loads(done.stdout)["findings"]}
    assert found["calibration"]["state"] == BROKEN
    assert found["signatures"]["state"] == BROKEN
    assert "damaged or edited" in found["signatures"]["said"]


def test_jax_and_a_whole_validation_work_here():
    jax, cache = compute.devices()
    assert (jax.state, cache.state) == (OK, OK), (jax, cache)
    assert jax.values["devices"][0]["platform"] == "cpu"
    [trial] = compute.self_test()
    assert trial.state == OK, trial
    assert trial.values["damaged"]["risk_score"] > trial.values["fresh"]["risk_score"]
    assert trial.values["peak_bytes"] > 50 << 20


def test_a_jax_that_does_not_start_is_broken(monkeypatch):
    monkeypatch.setenv("JAX_PLATFORMS", "no_such_platform")
    [found] = compute.devices()
    assert (found.name, found.state) == ("jax", BROKEN)
    assert "no_such_platform" in found.said


def test_trees_that_another_library_grows_are_noted(monkeypatch):
    (found,) = compute.trees()
    assert (found.state, "LightGBM" in found.said) == (OK, True)
    monkeypatch.setattr("vr.stats.boosted_models.lightgbm", None)
    (found,) = compute.trees()
    assert found.state == NOTE
    assert "libgomp" in (found.hint or "")


def test_compiled_loops_that_are_kept_nowhere_are_noted(monkeypatch):
    (found,) = compute.loops()
    assert (found.state, "Numba" in found.said) == (OK, True)
    monkeypatch.setattr("vr.stats.compiled.kept_in", lambda: None)
    (found,) = compute.loops()
    assert found.state == NOTE
    assert "NUMBA_CACHE_DIR" in (found.hint or "")
