"""Reading in a process of its own: the same rows, the same errors, and one error whatever becomes of the process."""

import gc
import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mixed_data import WRITERS, mixed_table, rows_of, write_damaged

from vr.core.errors import ConfigError, DataError, StoreError, VrError
from vr.data.config import Isolation, ReadingConfig
from vr.data.isolation import process
from vr.data.isolation.frames import UnforeseenError, error_of, told
from vr.data.isolation.reader import ReadingProcesses
from vr.data.source import open_source

ALWAYS = ReadingConfig(isolation=Isolation.always)

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="children are found in Linux's /proc")


def children() -> set[int]:
    """The processes that this one has started, those that wait to be reaped included."""
    lists = Path("/proc/self/task").glob("*/children")
    return {int(pid) for each in lists for pid in each.read_text().split()}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(pid: int) -> bool:
    deadline = time.monotonic() + 120
    while is_alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not is_alive(pid)


@pytest.fixture
def long_file(tmp_path) -> Path:
    """A parquet file of more than a pipe holds."""
    path = tmp_path / "long.parquet"
    rng = np.random.default_rng(0)
    pq.write_table(pa.table({f"c{i}": rng.normal(size=200_000) for i in range(8)}), path)
    return path


@pytest.fixture(autouse=True)
def _nothing_is_left():
    before = children()
    yield
    gc.collect()
    assert children() - before == set()


class TestTheSame:
    @pytest.mark.parametrize("name", WRITERS)
    def test_batches_and_what_is_said_of_them(self, tmp_path, name):
        WRITERS[name](mixed_table(), tmp_path / name)
        within, isolated = open_source(tmp_path / name), open_source(tmp_path / name, reading=ALWAYS)
        for what in ("schema", "num_rows", "notes", "format", "files", "uri"):
            assert getattr(within, what) == getattr(isolated, what)
        expected = pa.Table.from_batches(within.batches(batch_rows=30))
        for _ in range(2):
            batches = list(isolated.batches(batch_rows=30))
            assert [batch.num_rows for batch in batches] == [30, 30, 30, 7]
            # By pandas, for which a NaN equals itself.
            assert pa.Table.from_batches(batches).to_pandas().equals(expected.to_pandas())

    def test_several_files_types_and_columns(self, tmp_path):
        for number, text in enumerate(("a,b,c\n1,2,x\n3,,y\n", "a,b,c\n2.5,7,z\n")):
            (tmp_path / f"{number}.csv").write_text(text)
        source = open_source(tmp_path, types={"c": "ignore"}, reading=ALWAYS)
        assert rows_of(source, ["b", "a"]) == {"b": [2, None, 7], "a": [1.0, 3.0, 2.5]}

    def test_passes_beside_each_other(self, long_file):
        source = open_source(long_file, reading=ALWAYS)
        pairs = list(zip(source.batches(["c0"], 10_000), source.batches(["c1"], 10_000), strict=True))
        within = open_source(long_file)
        assert pa.Table.from_batches(pair[1] for pair in pairs) == pa.Table.from_batches(within.batches(["c1"], 10_000))
        # Both processes are kept for the next passes.
        assert len(children()) == 2

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("x.csv", b"a,b\n1\n"),
            ("x.csv", b"a,a\n1,2\n"),
            ("x.json", b'[{"a": 1}'),
            ("x.parquet", b"PAR1junkjunkjunkPAR1"),
            ("x.parquet", b"a,b\n1,2\n"),
            ("x.h5", b"\x89HDF\r\n\x1a\n" + b"junk" * 50),
        ],
    )
    def test_errors(self, tmp_path, name, content):
        (tmp_path / name).write_bytes(content)
        said = []
        for reading in (None, ALWAYS):
            with pytest.raises(DataError) as caught:
                open_source(tmp_path / name, reading=reading)
            said.append(str(caught.value))
        assert said[0] == said[1]

    def test_an_error_in_the_middle_of_a_pass(self, tmp_path):
        path = tmp_path / "x.parquet"
        write_damaged(path)
        batches = open_source(path, reading=ALWAYS).batches(batch_rows=50_000)
        assert next(batches)["a"][0].as_py() == 0
        with pytest.raises(DataError, match=r"x\.parquet: cannot be read"):
            list(batches)

    def test_a_file_that_changes_between_two_openings(self, tmp_path):
        path = tmp_path / "x.csv"
        path.write_text("a\n1\n2\n")
        source = open_source(path, reading=ALWAYS)
        first = source.batches(batch_rows=1)
        next(first)
        path.write_text("a,b\n1,2\n")
        with pytest.raises(DataError, match="has changed since it was opened"):
            next(source.batches())
        first.close()


class TestShared:
    def test_two_datasets_are_read_by_one_process(self, tmp_path, long_file):
        (tmp_path / "x.csv").write_text("a\n1\n")
        processes = ReadingProcesses(ALWAYS, started=1)
        first = open_source(long_file, reading=ALWAYS, processes=processes)
        second = open_source(tmp_path / "x.csv", reading=ALWAYS, processes=processes)
        for _ in range(2):
            assert rows_of(second) == {"a": [1]}
            assert sum(batch.num_rows for batch in first.batches()) == 200_000
        assert len(children()) == 1
        # What one of them does to it, the other is not blamed for.
        (pid,) = children()
        batches = first.batches(batch_rows=1_000)
        next(batches)
        os.kill(pid, signal.SIGKILL)
        assert rows_of(second) == {"a": [1]}
        with pytest.raises(DataError, match=r"long\.parquet"):
            list(batches)

    def test_processes_that_nobody_needed_end(self):
        processes = ReadingProcesses(ALWAYS, started=2)
        assert len(children()) == 2
        del processes
        gc.collect()
        assert children() == set()


class TestWhatBecomesOfTheProcess:
    @pytest.mark.parametrize(
        ("sent", "said"),
        [
            (signal.SIGSEGV, "made the process that read it end with SIGSEGV"),
            (signal.SIGABRT, "end with SIGABRT; .* or raise reading.memory_bytes"),
            (signal.SIGKILL, "made the machine kill the process that read it, as it does for lack of memory"),
            (signal.SIGXCPU, "took over 120 s of processor time without getting on"),
        ],
    )
    def test_a_death_is_one_error_and_the_next_pass_has_another(self, long_file, sent, said):
        source = open_source(long_file, reading=ALWAYS)
        batches = source.batches(batch_rows=1_000)
        next(batches)
        (pid,) = children()
        os.kill(pid, sent)
        with pytest.raises(DataError, match=rf"long\.parquet: .*{said}"):
            list(batches)
        assert sum(batch.num_rows for batch in source.batches()) == 200_000

    def test_death_between_passes_goes_unnoticed(self, long_file):
        source = open_source(long_file, reading=ALWAYS)
        (pid,) = children()
        os.kill(pid, signal.SIGKILL)
        # Its first thread is dead before the whole of it is.
        source._readers[0]._dataset.processes._free[0]._process.wait(30)
        assert sum(batch.num_rows for batch in source.batches()) == 200_000

    def test_one_that_cannot_start_is_not_the_files_fault(self, long_file, monkeypatch):
        monkeypatch.setattr(process, "_START", "raise SystemExit(1)")
        with pytest.raises(VrError, match="could not be started .*code 1.*reading.isolation=never") as caught:
            open_source(long_file, reading=ALWAYS)
        assert not isinstance(caught.value, DataError)
        monkeypatch.setattr("sys.executable", "/nowhere/python")
        with pytest.raises(VrError, match="could not be started"):
            open_source(long_file, reading=ALWAYS)

    def test_a_fork_of_the_parent_leaves_it_alone(self, long_file):
        source = open_source(long_file, reading=ALWAYS)
        fork = multiprocessing.get_context("fork").Process(target=source._readers[0]._dataset.processes._free[0].kill)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about forking beside threads
            fork.start()
        fork.join()
        assert sum(batch.num_rows for batch in source.batches()) == 200_000
        assert len(children()) == 1

    def test_time_in_which_both_were_stopped_is_no_silence(self, long_file):
        # The parent and its child are stopped for longer than the silence that is allowed, while the parent waits.
        script = f"""
            import os, signal, sys, threading, time
            from pathlib import Path
            from vr.data.config import Isolation, ReadingConfig
            from vr.data.source import open_source
            reading = ReadingConfig(isolation=Isolation.always, silence_s=4.0)
            source = open_source(Path({str(long_file)!r}), reading=reading)
            (child,) = Path(f"/proc/self/task/{{os.getpid()}}/children").read_text().split()
            os.kill(int(child), signal.SIGSTOP)
            print(child, flush=True)
            print(sum(batch.num_rows for batch in source.batches()), flush=True)
        """
        with subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(script)], stdout=subprocess.PIPE, text=True
        ) as run:
            assert run.stdout is not None
            child = int(run.stdout.readline())
            time.sleep(1.0)  # it waits for a child that is stopped
            os.kill(run.pid, signal.SIGSTOP)
            time.sleep(6.0)
            os.kill(child, signal.SIGCONT)
            os.kill(run.pid, signal.SIGCONT)
            assert run.stdout.read().strip() == "200000"

    def test_silence_ends_it(self, long_file):
        source = open_source(long_file, reading=replace(ALWAYS, silence_s=3.0))
        batches = source.batches(batch_rows=1_000)
        next(batches)
        (pid,) = children()
        os.kill(pid, signal.SIGSTOP)
        with pytest.raises(DataError, match="did not get on for 3 s and was given up; .* reading.silence_s"):
            list(batches)
        assert not is_alive(pid)

    def test_a_slow_reader_is_no_silence(self, long_file):
        batches = open_source(long_file, reading=replace(ALWAYS, silence_s=3.0)).batches(batch_rows=1_000)
        next(batches)
        time.sleep(4.0)
        assert sum(batch.num_rows for batch in batches) == 199_000

    def test_memory_is_limited(self, tmp_path):
        path = tmp_path / "bomb.parquet"
        words = pa.DictionaryArray.from_arrays(np.zeros(2_000, np.int32), pa.array(["x" * 2_000_000]))
        pq.write_table(pa.table({"a": words}), path, compression="zstd", store_schema=False)
        assert path.stat().st_size < 10_000
        source = open_source(path, reading=replace(ALWAYS, memory_bytes=512 << 20))
        with pytest.raises(
            DataError, match=r"bomb\.parquet: .*(takes more memory|SIGABRT).*raise reading.memory_bytes"
        ):
            list(source.batches())

    def test_a_pass_broken_off_ends_its_process(self, long_file):
        source = open_source(long_file, reading=ALWAYS)
        batches = source.batches(batch_rows=1_000)
        next(batches)
        batches.close()
        assert children() == set()
        assert sum(batch.num_rows for batch in source.batches()) == 200_000

    def test_a_source_that_is_dropped_takes_its_process_along(self, long_file):
        source = open_source(long_file, reading=ALWAYS)
        assert len(children()) == 1
        del source
        gc.collect()
        assert children() == set()


SCRIPT = """
import sys, time
from pathlib import Path
from vr.data.config import Isolation, ReadingConfig
from vr.data.source import open_source
batches = open_source(sys.argv[1], reading=ReadingConfig(isolation=Isolation.always)).batches(batch_rows=1_000)
next(batches)
print(*(each.read_text() for each in Path("/proc/self/task").glob("*/children")), flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_no_process_outlives_its_parent(long_file, tmp_path, sent):
    parent = subprocess.Popen(
        [sys.executable, "-c", SCRIPT, str(long_file)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    )
    assert parent.stdout is not None
    try:
        pid = int(parent.stdout.readline())
        assert is_alive(pid)
        # As a terminal does it: to all that run in it.
        (os.killpg if sent == signal.SIGINT else os.kill)(parent.pid, sent)
        parent.wait(120)
        assert wait_until_gone(pid)
    finally:
        parent.kill()
        parent.stdout.close()
    assert [path.name for path in tmp_path.iterdir()] == ["long.parquet"]


def test_errors_go_through_the_pipe_whole():
    for error in (DataError("is odd", where="x.csv", hint="mend it"), StoreError("refuses"), ConfigError("is no key")):
        again = error_of(told(error), "y.csv")
        assert (type(again), str(again), again.hint) == (type(error), str(error), error.hint)
    again = error_of(told(KeyError("a")), "y.csv")
    assert str(again).startswith("y.csv: cannot be read (KeyError: 'a')")
    assert isinstance(again.__cause__, UnforeseenError)


def test_the_working_folder_lends_no_modules(tmp_path):
    # A folder of data from elsewhere may hold a file of any name.
    (tmp_path / "pyarrow.py").write_text("raise SystemExit('loaded')")
    (tmp_path / "x.csv").write_text("a\n1\n")
    script = SCRIPT.replace("time.sleep(60)", "").replace("import sys, time", "import sys; sys.path.remove('')")
    root = Path(__file__).resolve().parent.parent.parent
    done = subprocess.run(
        [sys.executable, "-c", script, "x.csv"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root)},
    )
    assert done.returncode == 0, done.stderr
