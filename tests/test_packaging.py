"""The wheel works outside the checkout, conf/ and synthetic/ included."""

import json
import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest


def run(*words: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "COV_"))}
    return subprocess.run(
        [str(word) for word in words], capture_output=True, text=True, cwd=cwd, env=environment, timeout=300
    )


@pytest.fixture(scope="module")
def wheel(tmp_path_factory, repository) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    done = run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", folder, repository, cwd=folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The bin folder of an environment that has the wheel, and this one's dependencies but not its editable vr."""
    root = tmp_path_factory.mktemp("installed")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(root / "venv")], check=True, timeout=120)
    # A .pth line adds the folder without reading the .pth files in it, and so leaves the checkout out.
    packages = next((root / "venv").glob("lib/python*/site-packages"))
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    python = root / "venv" / "bin" / "python"
    pip = (
        sys.executable,
        "-m",
        "pip",
        "--python",
        python,
        "install",
        "--quiet",
        "--no-deps",
        "--no-index",
        "--force-reinstall",
    )
    done = run(*pip, wheel, cwd=root)
    assert done.returncode == 0, done.stderr
    return python.parent


def test_the_wheel_holds_configuration_types_and_generators(wheel, repository):
    names = set(zipfile.ZipFile(wheel).namelist())
    for file in (repository / "conf").rglob("*.yaml"):
        assert f"vr/_conf/{file.relative_to(repository / 'conf').as_posix()}" in names
    for package in ("vr", "synthetic"):
        for file in (repository / package).rglob("*.py"):
            assert file.relative_to(repository).as_posix() in names
    assert "vr/py.typed" in names
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "experiments/", "conf/"))]


def test_the_wheel_is_what_gets_imported(installed, tmp_path):
    code = "import vr, synthetic; print(vr.__file__); print(synthetic.__file__); print(vr.__version__)"
    done = run(installed / "python", "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    *files, version = done.stdout.split()
    assert all(Path(file).is_relative_to(installed.parent) for file in files)
    metadata = run(
        installed / "python", "-c", "from importlib.metadata import version as v; print(v('vr'))", cwd=tmp_path
    )
    assert metadata.stdout.strip() == version


def test_the_installed_command_prints_the_schema(installed, tmp_path):
    done = run(installed / "vr", "schema", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["title"] == "ValidationReport"


def test_the_installed_configuration_composes(installed, tmp_path):
    code = (
        "from vr.config import compose; from vr.config_folder import config_folder; print(config_folder()); "
        "print(compose(['cascade=smoke', 'seed=3']).cascade.preset, compose([]).seed)"
    )
    done = run(installed / "python", "-c", code, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    folder, words = done.stdout.splitlines()
    assert Path(folder).is_relative_to(installed.parent)
    assert words == "smoke 0"


def test_the_installed_command_names_a_misspelt_key(installed, tmp_path):
    done = run(installed / "vr", "validate", "a.parquet", "sed=1", cwd=tmp_path)
    assert done.returncode == 2
    assert done.stderr == "error: sed: no such configuration key; did you mean seed?\n"
    assert list(tmp_path.iterdir()) == []


def test_the_doctor_holds_the_installation_against_its_record(installed, tmp_path):
    def files_of(done: subprocess.CompletedProcess[str]) -> dict:
        return {each["name"]: each for each in json.loads(done.stdout)["findings"]}["files"]

    command = (installed / "vr", "doctor", "--quick", "--json")
    done = run(*command, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert files_of(done)["values"]["files"] > 200
    path = next(installed.parent.glob("lib/python*/site-packages/vr/detector/calibration.json"))
    content = path.read_bytes()
    # Still JSON, and of the same length: only the digest can tell.
    path.write_bytes(content.rstrip(b"\n") + b" ")
    try:
        done = run(*command, cwd=tmp_path)
    finally:
        path.write_bytes(content)
    assert done.returncode == 1
    assert files_of(done)["values"]["damaged"] == ["vr/detector/calibration.json"]
