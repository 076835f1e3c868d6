"""Faults at a known moment of a real run: each ends as written, and the same command goes on to the same report."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.cascade.test_checkpoint import tiny_disk

# The command itself, with one of its functions held at one of its calls. It says where it is on stdout and goes on once
# the signal has arrived, so that no moment is a matter of luck.
LAUNCHER = """
import importlib, itertools, os, signal, sys, threading, weakref
fault, *words = sys.argv[1:]
arrived, interrupt = threading.Event(), signal.default_int_handler

def handler(*args):
    arrived.set()
    interrupt(*args)

signal.default_int_handler = handler

def hold():
    print("here", flush=True)
    assert arrived.wait(120)

def hold_in_a_finalizer():
    weakref.finalize(threading.Event(), hold)

def fill():
    disk = os.statvfs(os.environ["DISK"])
    with open(os.environ["DISK"] + "/ballast", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize)

class Hung:
    def start(self, configuration, folder): pass
    def log(self, event):
        if event.stage == "cascade":
            threading.Event().wait()
    def finish(self, report, folder): raise AssertionError("it hangs")

def before(module, owner, name, number, act):
    owner = getattr(importlib.import_module(module), owner)
    real, calls = getattr(owner, name), itertools.count(1)
    def replaced(*args, **kwargs):
        if next(calls) == number:
            act()
        return real(*args, **kwargs)
    setattr(owner, name, replaced)

if fault == "compile":
    before("jax.stages", "Lowered", "compile", 1, hold)
elif fault == "step":
    before("vr.cascade.programs", "Program", "__call__", 30, hold)
elif fault == "segment":
    before("vr.cascade.programs", "Program", "__call__", 12, hold)
elif fault == "finalizer":
    before("vr.cascade.programs", "Program", "__call__", 30, hold_in_a_finalizer)
elif fault == "save":
    before("vr.cascade.checkpoint_folder", "CheckpointFolder", "commit", 3, hold)
elif fault == "disk":
    before("vr.cascade.checkpoint_folder", "CheckpointFolder", "begin", 30, fill)
elif fault == "tracker":
    import vr.telemetry.background
    vr.telemetry.background.build = lambda config: Hung()
from vr.cli import main
sys.exit(main(words))
"""
ROWS = 300
# Four models, kept after every segment, each of which is told of.
WORDS = (
    "validate",
    "fresh.parquet",
    "-r",
    "reference.parquet",
    "--no-html",
    "cascade=smoke",
    "cascade.network=mlp",
    "cascade.tiers=[{name: one, seeds: 2, width: 8, depth: 1, steps: 40}]",
    "cascade.threads=1",
    "cascade.checkpoint_seconds=0",
    "cascade.progress_seconds=0",
)


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    for number, name in enumerate(("reference", "fresh")):
        x = np.random.default_rng(number).standard_normal((ROWS, 3))
        x[:, 1] += x[:, 0]
        pq.write_table(pa.table({name: x[:, i] for i, name in enumerate("abc")}), folder / f"{name}.parquet")
    return folder


def run(data: Path, fault: str, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs the command with a fault, and sends it SIGTERM where it says that it is there."""
    process = subprocess.Popen(
        [sys.executable, "-c", LAUNCHER, fault, *map(str, WORDS + words)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=data,
        env=os.environ | environment,
    )
    watchdog = threading.Timer(240, process.kill)
    watchdog.start()
    try:
        assert process.stdout is not None
        if fault in ("compile", "step", "segment", "finalizer", "save"):
            assert process.stdout.readline() == "here\n"
            process.send_signal(signal.SIGTERM)
        out, err = process.communicate()
    finally:
        watchdog.cancel()
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def report_of(folder: Path) -> dict:
    document = json.loads((folder / "report.json").read_text())
    return {key: value for key, value in document.items() if key != "run"}


def begun_at(done: subprocess.CompletedProcess[str]) -> int:
    """Returns the percentage at which the cascade first spoke."""
    found = re.search(r"^cascade +(\d+)%", done.stderr, re.MULTILINE)
    assert found is not None, done.stderr
    return int(found[1])


@pytest.fixture(scope="module")
def hung(data, tmp_path_factory) -> tuple[subprocess.CompletedProcess[str], dict]:
    """A run whose tracker hangs in the middle, which nothing else disturbs, and its report."""
    folder = tmp_path_factory.mktemp("whole")
    done = run(data, "tracker", "-o", folder, "tracking=wandb", "tracking.timeout_s=1")
    assert done.returncode == 0, done.stderr
    return done, report_of(folder)


@pytest.fixture
def whole(hung) -> dict:
    return hung[1]


def test_a_tracker_that_hangs_in_the_middle_costs_its_time_out_and_the_run_says_what_was_lost(hung):
    done, report = hung
    # A first of eighty segments.
    assert begun_at(done) == 1
    assert "the tracker did not finish within 1 s and is left alone" in done.stderr
    found = re.search(r"(\d+) of (\d+) events did not reach the tracker", done.stderr)
    assert found is not None, done.stderr
    # All 81 of the cascade and what came after it.
    assert 81 < int(found[1]) < int(found[2])
    assert report["cascade"]["status"] == "measured"
    assert done.stdout.startswith(report["verdict"].upper())


@pytest.mark.slow
def test_a_run_terminated_while_it_compiles_steps_and_saves_ends_as_if_it_never_was(data, whole, tmp_path):
    begun = []
    for fault in ("compile", "step", "save"):
        done = run(data, fault, "-o", tmp_path)
        assert done.returncode == 130, (fault, done.stderr)
        assert done.stderr.splitlines()[-1] == "interrupted; the same command resumes"
        assert done.stdout == ""
        assert "Traceback" not in done.stderr
        assert [path.name for path in tmp_path.iterdir()] == [".vr"]
        if fault != "compile":
            begun.append(begun_at(done))
    done = run(data, "none", "-o", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "does not verify" not in done.stderr
    begun.append(begun_at(done))
    # Stopped at the thirtieth of eighty segments, and again while the third one after it was saved. A few more may be
    # trained before the threads are told to stop.
    assert begun[0] == 1
    assert 36 <= begun[1] < begun[2] < 100
    assert report_of(tmp_path) == whole


@pytest.mark.slow
def test_a_stacked_training_that_is_terminated_goes_on_where_it_was_kept(data, tmp_path):
    def stacked(fault: str, folder: str) -> subprocess.CompletedProcess[str]:
        return run(data, fault, "-o", tmp_path / folder, "cascade.execution=stacked")

    done = stacked("segment", "stopped")
    assert done.returncode == 130, done.stderr
    assert done.stderr.splitlines()[-1] == "interrupted; the same command resumes"
    resumed, undisturbed = stacked("none", "stopped"), stacked("none", "whole")
    assert resumed.returncode == undisturbed.returncode == 0, resumed.stderr
    # Stopped in its twelfth segment of twenty; a save may have been under way.
    assert begun_at(resumed) >= 50
    assert report_of(tmp_path / "stopped") == report_of(tmp_path / "whole")


@pytest.mark.slow
def test_a_termination_that_arrives_in_a_finalizer_is_not_lost(data, tmp_path):
    done = run(data, "finalizer", "-o", tmp_path)
    assert done.returncode == 130, done.stderr
    assert done.stderr.splitlines()[-1] == "interrupted; the same command resumes"
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("mount") is None, reason="no tmpfs can be mounted here")
def test_a_disk_that_fills_up_while_training_is_an_error_and_the_run_goes_on_once_there_is_room(data, whole, tmp_path):
    with tiny_disk(tmp_path / "disk", "32m"):
        folder, ballast = tmp_path / "disk" / "out", tmp_path / "disk" / "ballast"
        done = run(data, "disk", "-o", folder, DISK=str(ballast.parent))
        assert done.returncode == 4, done.stderr
        # A library's own words may have begun its line.
        (said,) = re.findall(r"error: .*", done.stderr)
        assert re.match(rf"error: {folder}/\.vr/training-\w+/one: step 30 cannot be saved \(No space left", said), said
        assert "make room there" in said
        assert [path.name for path in folder.iterdir()] == [".vr"]
        ballast.unlink()
        done = run(data, "none", "-o", folder)
        assert done.returncode == 0, done.stderr
        assert "does not verify" not in done.stderr
        # Twenty-nine segments were kept.
        assert begun_at(done) >= 36
        assert report_of(folder) == whole


@pytest.mark.slow
def test_too_little_memory_for_any_part_of_a_batch_is_one_line(data, tmp_path):
    done = run(data, "none", "-o", tmp_path, "--quiet", "cascade.memory_limit_bytes=1000")
    assert done.returncode == 4
    assert done.stdout == ""
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: cascade: a batch of ")
    assert "does not fit into a device's memory" in last
    assert "choose a smaller preset" in last
