"""A command killed in the middle of its pass goes on at the partition where it was, to the same result."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from tests.data.test_passes import age
from tests.doors.test_runs import broken_rows, but_run, real_rows
from vr.config import compose
from vr.pipeline.report import ValidationReport
from vr.session import run

# The command itself, which ends by SIGKILL once so many partitions were kept.
LAUNCHER = """
import os, signal, sys
number, *words = sys.argv[1:]
from vr.data.kept import KeptStates
real, calls = KeptStates.save, []
def save(*args):
    real(*args)
    calls.append(args)
    if len(calls) == int(number):
        os.kill(os.getpid(), signal.SIGKILL)
KeptStates.save = save
from vr.cli import main
sys.exit(main(words))
"""
SETTINGS = ("cascade=none", "reading.isolation=never", "engine.partition_rows=200")


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "candidate").mkdir()
    for i in range(2):
        pq.write_table(broken_rows(i), folder / "candidate" / f"{i}.parquet", row_group_size=200)
    pq.write_table(real_rows(9), folder / "reference.parquet", row_group_size=400)
    for path in folder.rglob("*.parquet"):
        age(path)
    return folder


def command(data: Path, *words: object, die_at: int = 0) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", LAUNCHER, str(die_at), *map(str, words), *SETTINGS],
        capture_output=True,
        text=True,
        cwd=data,
        timeout=300,
    )


def states(output: Path) -> list[Path]:
    return sorted((output / ".vr" / "states").glob("*.state"))


def test_a_killed_validation_ends_with_the_report_of_an_uninterrupted_one(data, tmp_path, monkeypatch):
    words = ("validate", "candidate", "-r", "reference.parquet", "--no-html", "-o")
    # The reference's three partitions are sampled first and profiled next, then the candidate's twelve profiled.
    killed = command(data, *words, tmp_path / "out", die_at=3 + 3 + 4)
    assert killed.returncode == -signal.SIGKILL
    assert len(states(tmp_path / "out")) == 10
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [".vr"]
    done = command(data, *words, tmp_path / "out")
    assert done.returncode == 0, done.stderr
    assert "reference: all 1,200 rows are done before the run was interrupted; none is profiled again" in done.stderr
    wanted = "candidate: resumed with 800 of 2,400 rows done before, from row 800 on, in candidate/0.parquet"
    assert wanted in done.stderr
    first = ValidationReport.model_validate_json((tmp_path / "out" / "report.json").read_bytes())
    monkeypatch.chdir(data)
    assert but_run(first) == but_run(run("candidate", "reference.parquet", compose(SETTINGS)))
    assert not (tmp_path / "out" / ".vr" / "states").exists()


def test_a_killed_profile_resumes(data, tmp_path):
    output = tmp_path / "out"
    words = ("profile", "candidate", "-o", output)
    assert command(data, *words, die_at=12 + 5).returncode == -signal.SIGKILL
    assert len(states(output)) == 17
    done = command(data, *words, "--json")
    assert done.returncode == 0, done.stderr
    assert "candidate: resumed with 1,000 of 2,400 rows done before, from row 1,000 on" in done.stderr
    assert sorted(path.name for path in output.iterdir()) == ["profile.json"]
    assert json.loads(done.stdout)["dataset"]["rows"] == 2_400
