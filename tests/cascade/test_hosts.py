"""Several processes on loopback: they agree, train as one would, stop together and go on in any number."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.cascade.test_training import Execution, job, trainer
from vr.cascade.checkpoint_folder import CheckpointFolder
from vr.cascade.hosts import Hosts
from vr.cascade.supervisor import Supervision, supervise
from vr.core.errors import ConfigError

PROGRAM = Path(__file__).with_name("hosts_process.py")
LONGEST_S = 300.0


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def environment(**more):
    return {
        "PATH": "/usr/bin:/bin",
        "JAX_PLATFORMS": "cpu",
        "OMP_NUM_THREADS": "1",
        # What one test has compiled the next one finds.
        "JAX_COMPILATION_CACHE_DIR": os.environ["JAX_COMPILATION_CACHE_DIR"],
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "PYTHONPATH": os.pathsep.join(sys.path),
        **more,
    }


def ended(mode, folder, count, **more):
    """Runs `count` processes to their end; returns exit codes and stderr of each."""
    port = free_port()
    places = [Hosts(f"127.0.0.1:{port}", count, number, 30) for number in range(count)]
    running = [
        subprocess.Popen(
            [sys.executable, str(PROGRAM), mode, str(folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=environment(**more, **place.environment()),
        )
        for place in places
    ]
    try:
        texts = [process.communicate(timeout=LONGEST_S)[1] for process in running]
    finally:
        for process in running:
            process.kill()
    return [process.returncode for process in running], texts


def run(mode, folder, count, **more):
    codes, texts = ended(mode, folder, count, **more)
    assert codes == [0] * count, "\n".join(text[-2000:] for text in texts)


def same(first, second, names=("params", "curve", "norms")):
    for name in names:
        np.testing.assert_array_equal(first[name], second[name])


def alike(found, expected):
    np.testing.assert_allclose(found["curve"], expected["curve"], atol=2e-4)
    np.testing.assert_allclose(found["params"], expected["params"], atol=2e-3)


@pytest.fixture(scope="module")
def alone():
    """Four members, trained in this process."""
    made = trainer(members=4, form=Execution.stacked).run([job(number) for number in range(4)], 1)
    return {"params": np.stack([each.params for each in made]), "curve": np.stack([each.curve for each in made])}


@pytest.fixture(scope="module")
def pair(tmp_path_factory):
    """Four and three members, trained by two processes."""
    folder = tmp_path_factory.mktemp("pair")
    run("trained", folder, 2, TEST_MEMBERS="4,3")
    return [{m: dict(np.load(folder / f"trained_{m}_{number}.npz")) for m in (4, 3)} for number in range(2)]


def test_processes_agree_on_what_the_first_sees_and_raise_what_it_raises(tmp_path):
    run("agreed", tmp_path, 2)
    first, second = (json.loads((tmp_path / f"agreed_{number}.json").read_text()) for number in range(2))
    assert first["told"] == second["told"] == ["é" * 3_000, 0]
    assert (first["by_first"], second["by_first"]) == (0, None)
    assert first["least"] == second["least"] == [5_000_000_000, None]
    assert first["sent"] == second["sent"] == first["bits"]
    assert first["errors"][:3] == second["errors"][:3] == ["folder: no room, says 0; make room"] * 3
    # One that fails alone says why, and the other does not wait for it.
    assert first["errors"][3:] == ["one of 2 processes: another process failed, and says why"]
    assert second["errors"][3:] == ["folder: no room, says 1; make room"]
    assert (first["by_each"], second["by_each"]) == (0, 1)


def test_two_processes_train_what_one_trains_and_both_know_all_of_it(alone, pair):
    for found in pair:
        alike(found[4], alone)
        # Three members over two processes: every member on both, a batch's rows on either.
        alike(found[3], {name: values[:3] for name, values in alone.items()})
    for members in (4, 3):
        same(pair[0][members], pair[1][members])


def test_each_process_makes_the_members_that_it_holds(pair):
    assert [found[4]["asked"].tolist() for found in pair] == [[0, 1], [2, 3]]
    assert [found[3]["asked"].tolist() for found in pair] == [[0, 1, 2], [0, 1, 2]]


@pytest.mark.slow
def test_four_processes_train_what_one_trains(alone, tmp_path):
    run("trained", tmp_path, 4, TEST_MEMBERS="2")
    found = [dict(np.load(tmp_path / f"trained_2_{number}.npz")) for number in range(4)]
    # Two members along `model`, each on two processes along `data`.
    assert [each["asked"].tolist() for each in found] == [[0], [0], [1], [1]]
    for each in found:
        alike(each, {name: values[:2] for name, values in alone.items()})
        same(each, found[0])


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    """A folder in which two processes have stopped, since one got SIGTERM; and what they said."""
    folder = tmp_path_factory.mktemp("stopped")
    codes, texts = ended("kept", folder, 2, TEST_SIGNAL="SIGTERM")
    assert codes == [0, 0], "\n".join(text[-2000:] for text in texts)
    return folder, [json.loads((folder / f"kept_{number}.json").read_text()) for number in range(2)]


def test_a_sigterm_on_one_stops_all_at_the_same_segment_with_a_verified_checkpoint(stopped):
    folder, said = stopped
    last = [each["segments"][-1] for each in said]
    assert last[0] == last[1]
    assert 6 <= last[0] < 20
    assert said[0]["ended"] == said[1]["ended"]
    assert f"stopped after segment {last[0]} of 20" in said[0]["ended"]
    assert "the same command resumes" in said[0]["ended"]
    found = CheckpointFolder(folder / "kept", "test").newest()
    assert found is not None
    assert found.step == 4 * last[0]


@pytest.mark.parametrize("count", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_what_two_stopped_one_or_two_end_with_the_same_numbers(stopped, pair, tmp_path, count):
    folder, said = stopped
    copied = tmp_path / "resumed"
    subprocess.run(["cp", "-r", str(folder), str(copied)], check=True)
    run("kept", copied, count)
    for number in range(count):
        segments = json.loads((copied / f"kept_{number}.json").read_text())["segments"]
        assert segments[0] == said[0]["segments"][-1] + 1
        found = dict(np.load(copied / f"kept_{number}.npz"))
        alike(found, pair[0][4])
        if count == 2:
            same(found, pair[0][4])
    assert not (copied / "kept").exists()


@pytest.mark.slow
def test_a_cascade_is_the_same_in_every_process_and_goes_on_from_what_the_first_has(tmp_path):
    run("cascade", tmp_path, 2)
    first, second = (json.loads((tmp_path / f"cascade_{number}.json").read_text()) for number in range(2))
    assert first["models"] == second["models"]
    assert first["forms"] == ["stacked", "stacked"]
    assert second["left"] == ["one", "two"]
    run("cascade", tmp_path, 2)
    again = [json.loads((tmp_path / f"cascade_{number}.json").read_text()) for number in range(2)]
    assert [each["had"] for each in again] == [["one"], []]
    assert again[0]["models"] == again[1]["models"] == first["models"]


@pytest.mark.slow
def test_a_training_whose_process_is_killed_ends_with_the_numbers_of_one_that_was_not(pair, tmp_path, monkeypatch):
    for name, value in environment(TEST_SIGNAL="SIGKILL").items():
        monkeypatch.setenv(name, value)
    said = []
    command = [sys.executable, str(PROGRAM), "kept", str(tmp_path)]
    assert supervise(Supervision(command, processes=2, heartbeat_seconds=20), said.append) == 0
    assert said[0] == "process 1 of 2 was killed by SIGKILL"
    assert said[-1] == "all processes are started again, 1 of at most 3 times"
    for number in range(2):
        same(dict(np.load(tmp_path / f"kept_{number}.npz")), pair[number][4])
        # It went on where it was, and not from the start.
        assert 3 < json.loads((tmp_path / f"kept_{number}.json").read_text())["segments"][0] <= 7


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"VR_PROCESSES": "2"}, "VR_COORDINATOR and VR_PROCESS: not set"),
        (
            {"VR_COORDINATOR": "a:1", "VR_PROCESSES": "2"},
            "VR_PROCESS: not set, where VR_COORDINATOR and VR_PROCESSES are",
        ),
        ({"VR_COORDINATOR": "a:1", "VR_PROCESSES": "2", "VR_PROCESS": "2"}, "VR_PROCESS: must lie in 0 to 1, not 2"),
        ({"VR_COORDINATOR": "a:1", "VR_PROCESSES": "x", "VR_PROCESS": "0"}, "VR_PROCESSES: 'x' is not a whole number"),
        ({"VR_COORDINATOR": "a:1", "VR_PROCESSES": "0", "VR_PROCESS": "0"}, "VR_PROCESSES: must be 1 or more"),
        ({"VR_COORDINATOR": "a", "VR_PROCESSES": "2", "VR_PROCESS": "0"}, "VR_COORDINATOR: 'a' is not ADDRESS:PORT"),
        ({"VR_COORDINATOR": "a:0", "VR_PROCESSES": "2", "VR_PROCESS": "0"}, "is not ADDRESS:PORT"),
    ],
)
def test_half_an_environment_or_a_wrong_one_is_refused(given, message):
    with pytest.raises(ConfigError, match=message):
        Hosts.of(given)


def test_a_silence_is_neither_too_short_nor_too_long():
    for seconds in (4, 601):
        with pytest.raises(ConfigError, match="VR_HEARTBEAT_SECONDS: must lie in 5 to 600"):
            Hosts("a:1", 2, 0, seconds)


def test_one_process_joins_nobody():
    assert Hosts.of({}) is None
    assert Hosts.of({"VR_COORDINATOR": "a:1", "VR_PROCESSES": "1", "VR_PROCESS": "0"}) is None
    place = Hosts("a:1", 3, 2, 12)
    assert Hosts.of(place.environment()) == place
