"""What a machine gives, read from files such as control groups have them, and from this machine."""

import resource
from pathlib import Path

import pytest

from vr.doctor import machine
from vr.doctor.finding import BROKEN, NOTE, OK, checked, lines_of

GIB = 1 << 30


def written(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / name.replace("__", "/").replace("_dot_", ".")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text + "\n")
    return folder


class TestControlGroups:
    def test_the_second_version_counts_no_files_that_would_be_given_up(self, tmp_path):
        folder = written(
            tmp_path,
            memory_dot_max=str(4 * GIB),
            memory_dot_current=str(3 * GIB),
            memory_dot_stat=f"anon {GIB}\ninactive_file {2 * GIB}\nactive_file 0",
            cpu_dot_max="150000 100000",
        )
        assert machine.memory_limit(folder) == (4 * GIB, GIB)
        assert machine.quota(folder) == 1.5

    def test_the_first_version(self, tmp_path):
        folder = written(
            tmp_path,
            memory__memory_dot_limit_in_bytes=str(2 * GIB),
            memory__memory_dot_usage_in_bytes=str(GIB),
            memory__memory_dot_stat="total_inactive_file 1048576",
            cpu__cpu_dot_cfs_quota_us="50000",
            cpu__cpu_dot_cfs_period_us="100000",
        )
        assert machine.memory_limit(folder) == (2 * GIB, GIB - 1_048_576)
        assert machine.quota(folder) == 0.5

    @pytest.mark.parametrize(
        "files",
        [
            {},
            {"memory_dot_max": "max", "memory_dot_current": "5", "cpu_dot_max": "max 100000"},
            {
                "memory__memory_dot_limit_in_bytes": str((1 << 63) - 4096),
                "cpu__cpu_dot_cfs_quota_us": "-1",
                "cpu__cpu_dot_cfs_period_us": "100000",
            },
        ],
    )
    def test_no_limit_is_none(self, tmp_path, files):
        assert machine.memory_limit(written(tmp_path, **files))[0] is None
        assert machine.quota(tmp_path) is None

    def test_little_memory_is_broken_and_some_is_a_note(self, monkeypatch):
        for left, state in ((100 << 20, BROKEN), (GIB, NOTE), (64 * GIB, OK)):
            monkeypatch.setattr(machine, "_system_memory", lambda left=left: (64 * GIB, left))
            monkeypatch.setattr(machine, "memory_limit", lambda: (None, 0))
            [found] = machine.memory()
            assert found.state == state
            assert found.values["available_bytes"] == left


def test_this_machine_is_described():
    for check in (machine.python, machine.cores, machine.memory, machine.descriptors, machine.clock):
        [found] = check()
        assert found.state in (OK, NOTE), found
        assert found.values
        assert (found.hint is None) is (found.state == OK)


def test_few_descriptors_are_broken():
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (200, before[1]))
        [found] = machine.descriptors()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)
    assert (found.state, found.values["soft"]) == (BROKEN, 200)
    assert "ulimit -n" in found.hint


class TestFolders:
    def test_one_that_is_not_there_yet_is_not_made(self, tmp_path):
        [found] = machine.folders({"server.store": (tmp_path / "a" / "b", True)})
        assert (found.state, found.name) == (OK, "server.store")
        assert "not there yet" in found.said
        assert not (tmp_path / "a").exists()

    def test_one_that_is_there_stays_as_it_is(self, tmp_path):
        [found] = machine.folders({"server.store": (tmp_path, True)})
        assert found.state == OK
        assert found.values["free_bytes"] > 0
        assert list(tmp_path.iterdir()) == []

    def test_a_file_in_its_place_is_broken(self, tmp_path):
        (tmp_path / "a").write_text("")
        [found] = machine.folders({"worker.folder": (tmp_path / "a" / "b", True)})
        assert found.state == BROKEN
        assert "is a file" in found.said

    def test_one_that_cannot_be_written_is_broken(self):
        # Of all folders the one in which not even root makes files.
        [found] = machine.folders({"server.store": (Path("/proc/self"), False)})
        assert found.state == BROKEN
        assert found.hint


def test_a_check_that_fails_is_a_finding_and_not_the_end():
    def fails():
        raise OSError(5, "Input/output error")
        yield

    [found] = checked("memory", fails)
    assert (found.name, found.state) == ("memory", BROKEN)
    assert "Input/output error" in lines_of(found)
