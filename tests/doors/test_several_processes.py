"""`vr validate` in two processes under the supervisor: one report, a stop that resumes, a gate that holds."""

import json
import re
import shutil
import signal
import subprocess
import sys

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cascade.test_checkpoint import tiny_disk

LONGEST_S = 400.0


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("several")
    for name, seed in (("reference", 0), ("candidate", 1)):
        rng = np.random.default_rng(seed)
        a = rng.normal(size=700)
        columns = {"a": a, "b": a + rng.normal(size=700), "c": rng.integers(0, 4, 700), "d": np.round(a).astype(int)}
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return folder


def start(folder, repository, *words, output="run"):
    vr = [sys.executable, "-m", "vr", "validate", "candidate.parquet", "-r", "reference.parquet", "-o", str(output)]
    settings = ["cascade=smoke", "cascade.progress_seconds=0", "cascade.checkpoint_seconds=0", *words]
    return subprocess.Popen(
        [sys.executable, "-m", "experiments.supervise", "--processes", "2", "--", *vr, *settings],
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(repository), "JAX_PLATFORMS": "cpu", "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("mount") is None, reason="no tmpfs can be mounted here")
def test_a_disk_that_is_full_on_the_first_ends_them_all_at_once_and_none_is_started_again(folder, repository, tmp_path):
    with tiny_disk(tmp_path / "disk", "256k"), start(folder, repository, output=tmp_path / "disk" / "run") as running:
        _, said = running.communicate(timeout=LONGEST_S)
    assert running.returncode == 4, said[-2000:]
    assert re.search("process [01] of 2 ended with exit code 4 .*cannot be saved.* make room", said), said[-2000:]
    assert "started again" not in said


@pytest.mark.slow
def test_a_gate_stays_shut_on_a_run_that_was_stopped_and_the_same_command_ends_it(folder, repository):
    with start(folder, repository, "--gate") as running:
        for line in running.stderr:
            if "step" in line:
                running.send_signal(signal.SIGTERM)
                break
        said = running.communicate(timeout=LONGEST_S)[1]
        assert running.returncode == 130, said[-2000:]
    assert "as SIGTERM asked for" in said
    assert not (folder / "run" / "report.json").exists()
    with start(folder, repository, "--gate") as running:
        out, said = running.communicate(timeout=LONGEST_S)
        assert running.returncode == 0, said[-2000:]
    # Process 0 alone speaks and writes.
    assert out.count("collapse probability") == 1
    report = json.loads((folder / "run" / "report.json").read_text())
    assert {tier["execution"] for tier in report["cascade"]["tiers"]} == {"stacked"}
    assert report["verdict"] == "approve"
    with start(folder, repository) as running:
        out, said = running.communicate(timeout=LONGEST_S)
        assert running.returncode == 0, said[-2000:]
    assert "already holds this run" in said
