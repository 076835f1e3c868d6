"""A real Ray cluster of this machine: the report of engine=local, also where a worker is killed in the middle."""

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.data.test_passes import work_for, write_files
from tests.data.test_profile import assert_same, large_table, profiler_of
from vr.core.errors import ConfigError, DataError, VrError
from vr.data.config import Isolation, ReadingConfig
from vr.data.partition import plan
from vr.data.passes import Passes
from vr.data.profile import Profile, Profiler
from vr.data.ray_engine import RayEngine, profile_partition
from vr.data.shared import share
from vr.data.source import open_source
from vr.data.work import ProfileWork, SampleWork, StratifiedWork
from vr.detector.inputs import Columns
from vr.diversity.strata import fit_strata

pytest.importorskip("ray")
# What Ray itself does at its start and end is not ours to mend.
pytestmark = pytest.mark.filterwarnings("default")

PARTITIONS = 12


@pytest.fixture(scope="module")
def engine() -> Iterator[RayEngine]:
    engine = RayEngine(workers=2, object_store_bytes=80 << 20)
    yield engine
    engine.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_files(tmp_path_factory.mktemp("data") / "files", [400] * PARTITIONS, large_table(400 * PARTITIONS))


def profiled(engine: RayEngine | None, folder: Path, **reading: Isolation) -> Profile:
    source = open_source(folder, reading=ReadingConfig(**{"isolation": Isolation.never, **reading}))
    profiler = profiler_of(large_table(1_000), 300, {"name": "categorical"})
    passes = Passes(partition_rows=400) if engine is None else Passes(engine, 400)
    return passes.run(source, work_for(profiler, source), 100, lambda done: None)


def workers() -> list[int]:
    """The processes that work on a partition at this moment; Ray names them by what they do."""
    found = []
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if each.read_bytes().startswith(b"ray::vr.profile_partition"):
                found.append(int(each.parent.name))
        except OSError:
            continue
    return found


def test_two_workers_give_the_profile_and_the_sample_of_one_process(engine, folder):
    # Files are parsed in a process of their own there too.
    assert_same(profiled(engine, folder, isolation=Isolation.always), profiled(None, folder))
    source = open_source(folder)
    work = SampleWork(source.schema.names, 50, 1)
    there, here = (passes.run(source, work, 100, lambda done: None) for passes in (Passes(engine, 400), Passes()))
    np.testing.assert_array_equal(there.rows, here.rows)
    assert there.table.equals(here.table)


def test_two_workers_read_parts_of_one_csv(engine, tmp_path):
    folder = write_files(tmp_path / "files", [120_000], large_table(120_000), "csv")
    source = open_source(folder)
    profiler = profiler_of(large_table(1_000), 300, {"name": "categorical"})
    work = work_for(profiler, source)
    whole = Passes().run(source, work, 10_000, lambda done: None)
    assert len(plan(source.group_rows or [], 50_000)) == 3
    assert_same(Passes(engine, 50_000).run(source, work, 10_000, lambda done: None), whole)


def test_two_workers_draw_the_stratified_sample_of_one_process(engine, folder):
    source = open_source(folder)
    codec = profiler_of(large_table(1_000), 300, {"name": "categorical"}).codec
    codes, counts = codec.encode(large_table(1_000)).codes, Profiler(codec, 10, 0).run(source.batches()).counts
    strata = fit_strata(codes, Columns.of(codec), counts, 300, 0).strata
    work = StratifiedWork(source.schema.names, codec, strata, 1)
    there, here = (passes.run(source, work, 100, lambda done: None) for passes in (Passes(engine, 400), Passes()))
    np.testing.assert_array_equal(there.rows, here.rows)
    np.testing.assert_array_equal(there.weights, here.weights)
    assert repr(there.table.to_pylist()) == repr(here.table.to_pylist())


def test_a_worker_that_is_killed_changes_nothing(engine, folder, tmp_path):
    # Wide enough that a partition takes a moment.
    rng = np.random.default_rng(0)
    for i in range(6):
        table = pa.table({f"x{j}": rng.standard_normal(20_000) for j in range(20)})
        pq.write_table(table, tmp_path / f"{i}.parquet")
    source = open_source(tmp_path)
    profiler = profiler_of(pa.Table.from_batches(list(source.batches(batch_rows=5_000))[:1]), 100)
    work = work_for(profiler, source)
    killed: list[int] = []

    def kill_one() -> None:
        deadline = time.monotonic() + 120
        while not killed and time.monotonic() < deadline:
            for pid in workers():
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
                return
            time.sleep(0.001)

    killer = threading.Thread(target=kill_one)
    killer.start()
    profile = Passes(engine, 20_000).run(source, work, 500, lambda done: None)
    killer.join()
    assert killed
    assert_same(profile, Passes().run(source, ProfileWork(profiler), 65_536, lambda done: None))


def test_what_a_worker_cannot_read_is_the_same_error(engine, folder, tmp_path):
    broken = tmp_path / "broken"
    write_files(broken, [400, 400], large_table(800))
    source = open_source(broken)
    work = SampleWork(source.schema.names, 50, 1)
    content = bytearray((broken / "part-01.parquet").read_bytes())
    content[1_000:3_000] = bytes(2_000)
    (broken / "part-01.parquet").write_bytes(content)
    with pytest.raises(DataError, match="part-01.parquet"):
        Passes(engine, 400).run(source, work, 100, lambda done: None)
    (broken / "part-01.parquet").unlink()
    with pytest.raises(DataError, match="is not there on the worker"):
        Passes(engine, 400).run(source, work, 100, lambda done: None)
    with pytest.raises(ConfigError, match="is in memory"):
        Passes(engine).run(open_source(large_table(100)), SampleWork(["few"], 5, 1), 100, lambda done: None)


def test_a_cluster_of_others_is_given_no_more_partitions_than_asked_for(monkeypatch):
    import ray

    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **options: None)
    windows = []
    for address in (None, "auto"):
        engine = RayEngine(address, workers=3)
        engine._connect()
        windows.append(engine._window())
    assert windows == [6, 3]


def test_a_worker_of_other_versions_is_refused(folder):
    source = open_source(folder)
    assert source.group_rows is not None
    work = SampleWork(source.schema.names, 50, 1)
    for digest, kind in ((work.digest, b"S"), ("of another version", b"E")):
        request = {"share": share(source, plan(source.group_rows, 400)[0]), "batch_rows": 100, "digest": digest}
        answer = profile_partition(work.packed(), json.dumps(request).encode())
        assert answer[:1] == kind
    assert "another version of vr" in json.loads(answer[1:])["message"]


def test_the_report_is_that_of_the_local_engine(engine, tmp_path):
    from tests.doors.test_runs import broken_rows, but_run, real_rows
    from vr.config import compose
    from vr.session import run

    write_files(tmp_path / "candidate", [500, 700], broken_rows(3))
    pq.write_table(real_rows(1), tmp_path / "reference.parquet", row_group_size=300)
    given = str(tmp_path / "candidate"), str(tmp_path / "reference.parquet")
    settings = ["cascade=none", "reading.isolation=never", "engine.partition_rows=300"]
    reports = [run(*given, compose([*settings, f"engine={kind}"])) for kind in ("local", "ray")]
    assert but_run(reports[0]) == but_run(reports[1])


def test_a_pass_that_is_broken_off_leaves_no_task_behind(engine, folder):
    class StopError(Exception):
        pass

    def stop(done: int) -> None:
        raise StopError

    source = open_source(folder)
    with pytest.raises(StopError):
        Passes(engine, 400).run(source, SampleWork(source.schema.names, 50, 1), 1, stop)
    deadline = time.monotonic() + 180
    while workers() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert workers() == []


@pytest.mark.slow
def test_four_workers_two_of_which_are_killed(engine, folder):
    import ray

    ray.shutdown()
    four = RayEngine(workers=4, object_store_bytes=80 << 20)
    try:
        killed: list[int] = []

        def kill(done: int) -> None:
            for pid in workers()[: 2 - len(killed)]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)

        source = open_source(folder)
        profiler = profiler_of(large_table(1_000), 300, {"name": "categorical"})
        profile = Passes(four, 100).run(source, work_for(profiler, source), 1, kill)
        assert len(killed) == 2
        assert_same(profile, profiled(None, folder))
    finally:
        four.close()


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1", "[::1]:1", "127.0.0.1:99999"])
def test_a_cluster_that_is_not_there_is_one_line(address):
    import ray

    ray.shutdown()
    with pytest.raises(VrError, match="engine.address: no Ray cluster"):
        RayEngine(address)._connect()
