"""Passes: the same integers however a dataset is cut, whatever of it was done before, and wherever it is done."""

import os
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.data.test_profile import ROW, assert_same, large_table, profiler_of, table_of
from vr.core.errors import DataError, VrError
from vr.data.config import Isolation, ReadingConfig
from vr.data.engine import LocalEngine
from vr.data.kept import trim
from vr.data.partition import Partition
from vr.data.passes import Known, Passes
from vr.data.profile import Profile, Profiler, sample_rows
from vr.data.sample import bound_for
from vr.data.source import Source, open_source
from vr.data.work import ProfileWork, SampleWork

ROWS = 6_000


class Counting(LocalEngine):
    """A local engine that notes what it did, backwards, and may stop before the end."""

    def __init__(self, stop_after: int = 1_000_000):
        super().__init__(1)
        object.__setattr__(self, "did", [])
        object.__setattr__(self, "stop_after", stop_after)

    def run(self, source, work, partitions: Sequence[Partition], batch_rows, on_rows) -> Iterator:
        for partition, state in super().run(source, work, list(reversed(partitions)), batch_rows, on_rows):
            if len(self.did) == self.stop_after:
                raise KeyboardInterrupt
            self.did.append(partition.row_start)
            yield partition, state


def write_files(folder: Path, sizes: Sequence[int], table: pa.Table, ending: str = "parquet") -> Path:
    folder.mkdir(exist_ok=True)
    start = 0
    for i, size in enumerate(sizes):
        part, path = table.slice(start, size), folder / f"part-{i:02d}.{ending}"
        start += size
        if ending == "parquet":
            pq.write_table(part, path, row_group_size=400)
        else:
            pacsv.write_csv(part, path)
        age(path)
    return folder


def age(path: Path) -> None:
    """Makes a file an hour old: nothing is kept of one that was written this moment."""
    then = path.stat().st_mtime_ns - 3_600_000_000_000
    os.utime(path, ns=(then, then))


@pytest.fixture(scope="module")
def large() -> tuple[pa.Table, Profiler, Profile]:
    table = large_table(ROWS).replace_schema_metadata(None)
    profiler = profiler_of(table.slice(0, 3_000), 500, {"name": "categorical"})
    return table, profiler, profiler.run(table.to_batches())


def work_for(profiler: Profiler, source: Source) -> ProfileWork:
    assert source.num_rows is not None
    bound = bound_for(profiler.sample_size, source.num_rows)
    return ProfileWork(Profiler(profiler.codec, profiler.sample_size, profiler.seed, profiler.watch, bound))


def run(profiler: Profiler, folder: Path, passes: Passes, said: list | None = None) -> Profile:
    source = open_source(folder)
    told: list[int] = []
    say = (said if said is not None else []).append
    profile = passes.run(source, work_for(profiler, source), 257, told.append, say)
    assert told == sorted(told) or said is None
    assert told[-1] == source.num_rows
    return profile


@given(
    st.lists(ROW, min_size=1, max_size=60),
    st.lists(st.integers(1, 60), max_size=4),
    st.integers(1, 30),
    st.integers(1, 40),
)
@settings(max_examples=8)
def test_any_partitions_give_the_same_profile_and_sample(tmp_path_factory, rows, cuts, group, most):
    table = table_of(rows)
    folder = tmp_path_factory.mktemp("files")
    ends = sorted({0, *(min(cut, len(rows)) for cut in cuts), len(rows)})
    for a, b in zip(ends[:-1], ends[1:], strict=True):
        pq.write_table(table.slice(a, b - a), folder / f"{a:03d}.parquet", row_group_size=group)
        age(folder / f"{a:03d}.parquet")
    source = open_source(folder)
    profiler = profiler_of(table_of(rows * 3))
    whole = profiler.run(source.batches())
    passes = Passes(Counting(), most, folder / "_kept")
    assert_same(passes.run(source, work_for(profiler, source), 7, lambda done: None), whole)
    # Again from what was kept of every partition.
    assert_same(Passes(Counting(0), most, folder / "_kept").run(source, work_for(profiler, source), 7, id), whole)
    names = source.schema.names
    sample = Passes(Counting(), most).run(source, SampleWork(names, 9, 3, bound_for(9, len(rows))), 5, id)
    wanted = sample_rows(source.batches(), 9, 3)
    np.testing.assert_array_equal(sample.rows, wanted.rows)
    assert repr(sample.table.to_pylist()) == repr(wanted.table.to_pylist())


@pytest.mark.parametrize("ending", ["parquet", "csv"])
def test_a_pass_that_was_broken_off_goes_on_where_it_was(large, tmp_path, ending):
    table, profiler, whole = large
    folder = write_files(tmp_path / "data", [1_000, 3_500, 1_500], table, ending)
    whole = run(profiler, folder, Passes()) if ending == "csv" else whole  # csv keeps no dictionaries
    kept = tmp_path / "kept"
    with pytest.raises(KeyboardInterrupt):
        run(profiler, folder, Passes(Counting(stop_after=2), 1_000, kept))
    assert len(list(kept.glob("*.state"))) == 2
    said: list[Known] = []
    again = Counting()
    assert_same(run(profiler, folder, Passes(again, 1_000, kept), said), whole)
    (known,) = said
    assert (known.next_row, known.num_rows) == (0, ROWS)
    assert 0 < known.rows < ROWS
    assert known.next_file is not None
    assert known.next_file.endswith(f"part-00.{ending}")
    last = Counting()
    assert_same(run(profiler, folder, Passes(last, 1_000, kept), said), whole)
    assert last.did == []
    assert said[-1].next_row is None


def test_only_appended_files_are_read(large, tmp_path):
    table, profiler, whole = large
    folder = write_files(tmp_path / "data", [100, 200, 2_000], table.slice(0, 2_300))
    kept, said = tmp_path / "kept", []
    run(profiler, folder, Passes(Counting(), 1_000, kept))
    before = {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}
    write_files(tmp_path / "more", [700, 3_000], table.slice(2_300))
    (tmp_path / "more" / "part-00.parquet").rename(folder / "part-03.parquet")
    (tmp_path / "more" / "part-01.parquet").rename(folder / "part-04.parquet")
    assert before.items() <= {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}.items()
    engine = Counting()
    assert_same(run(profiler, folder, Passes(engine, 1_000, kept), said), whole)
    assert min(engine.did) == 2_300
    assert (said[0].files, said[0].num_files, said[0].next_row) == (3, 5, 2_300)
    # Files taken away again: what the longer dataset left out of its samples is read once more.
    (folder / "part-04.parquet").unlink()
    for reads in (True, False):
        engine, said = Counting(), []
        shorter = run(profiler, folder, Passes(engine, 1_000, kept), said)
        assert_same(shorter, profiler.run(table.slice(0, 3_000).to_batches()))
        # Once, for the states are replaced.
        assert bool(engine.did) == reads
        assert bool(said[0].next_row is None) != reads


def test_what_changed_is_read_again(large, tmp_path):
    table, profiler, whole = large
    folder = write_files(tmp_path / "data", [1_000, 5_000], table)
    passes = Passes(Counting(), 1_000, tmp_path / "kept")
    run(profiler, folder, passes)
    # The same rows, at another time.
    pq.write_table(table.slice(0, 1_000), folder / "part-00.parquet", row_group_size=400)
    os.utime(folder / "part-00.parquet", ns=(5, 5))
    engine = Counting()
    assert_same(run(profiler, folder, Passes(engine, 1_000, tmp_path / "kept")), whole)
    assert engine.did == [0]
    # Another codec, seed or way to cut.
    for other in (profiler_of(table.slice(0, 2_000), 500, {"name": "categorical"}), Profiler(profiler.codec, 500, 8)):
        engine = Counting()
        assert_same(run(other, folder, Passes(engine, 1_000, tmp_path / "kept")), other.run(table.to_batches()))
        assert len(engine.did) > 1


def test_a_file_of_the_same_size_and_time_is_not_taken_for_the_old_one(large, tmp_path):
    table, profiler, _ = large
    folder = write_files(tmp_path / "data", [1_000], table)
    path = folder / "part-00.parquet"
    run(profiler, folder, Passes(Counting(), 1_000, tmp_path / "kept"))
    told, content = path.stat(), path.read_bytes()
    path.write_bytes(content)
    os.utime(path, ns=(told.st_mtime_ns, told.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (told.st_size, told.st_mtime_ns)
    engine = Counting()
    run(profiler, folder, Passes(engine, 1_000, tmp_path / "kept"))
    assert engine.did == [0]


def test_nothing_is_kept_of_a_file_that_was_written_this_moment(large, tmp_path):
    table, profiler, _ = large
    folder, kept = write_files(tmp_path / "data", [500, 500], table), tmp_path / "kept"
    os.utime(folder / "part-01.parquet")
    run(profiler, folder, Passes(Counting(), 500, kept))
    assert [path.name.split("-")[1:3] for path in kept.iterdir()] == [["0", "500"]]


def test_a_damaged_state_is_done_again(large, tmp_path):
    table, profiler, whole = large
    folder, kept = write_files(tmp_path / "data", [1_000, 5_000], table), tmp_path / "kept"
    run(profiler, folder, Passes(Counting(), 1_000, kept))
    for damage in (lambda content: content[:-40], lambda content: b"", lambda content: content[:99] + content[100:]):
        path = sorted(kept.glob("*.state"))[0]
        path.write_bytes(damage(path.read_bytes()))
        engine = Counting()
        assert_same(run(profiler, folder, Passes(engine, 1_000, kept)), whole)
        assert len(engine.did) == 1


def test_a_file_that_is_written_to_meanwhile_is_an_error(large, tmp_path):
    table, profiler, _ = large
    folder = write_files(tmp_path / "data", [1_000, 1_000], table.slice(0, 2_000))

    class Meddling(Counting):
        def run(self, *args) -> Iterator:
            for each in super().run(*args):
                os.utime(folder / "part-01.parquet", ns=(7, 7))
                yield each

    with pytest.raises(DataError, match="part-01.parquet: was written to while it was read"):
        run(profiler, folder, Passes(Meddling(), 1_000, tmp_path / "kept"))


def test_a_folder_that_cannot_be_used_is_one_error(large, tmp_path):
    table, profiler, _ = large
    folder = write_files(tmp_path / "data", [500], table.slice(0, 500))
    (tmp_path / "file").write_text("")
    with pytest.raises(VrError, match="cannot keep what was profiled"):
        run(profiler, folder, Passes(Counting(), 1_000, tmp_path / "file"))


def test_states_are_private_and_small_and_the_oldest_are_removed(large, tmp_path):
    table, profiler, _ = large
    folder, kept = write_files(tmp_path / "data", [3_000, 3_000], table), tmp_path / "kept"
    run(profiler, folder, Passes(Counting(), 500, kept))
    states = sorted(kept.glob("*.state"), key=lambda path: path.stat().st_mtime_ns)
    assert len(states) > 6
    assert all(path.stat().st_mode & 0o077 == 0 for path in (kept, *states))
    # The samples of all partitions together are not much more than one: little of each state.
    sizes = [path.stat().st_size for path in states]
    trim(kept, sum(sizes[2:]))
    assert sorted(kept.iterdir()) == sorted(states[2:])
    # What killed processes left, an hour and two days ago.
    for name, hours in (("new", 1), ("old", 48)):
        (kept / f".{states[0].name}.{name}").write_bytes(b"")
        os.utime(kept / f".{states[0].name}.{name}", (time.time() - 3_600 * hours,) * 2)
    trim(kept, 0)
    assert [path.suffix for path in kept.iterdir()] == [".new"]


def test_files_in_a_folder_that_others_may_read_are_private(large, tmp_path):
    table, profiler, _ = large
    folder, kept = write_files(tmp_path / "data", [500], table), tmp_path / "kept"
    kept.mkdir(mode=0o755)
    run(profiler, folder, Passes(Counting(), 1_000, kept))
    assert [path.stat().st_mode & 0o777 for path in kept.iterdir()] == [0o600]


def test_rows_in_memory_are_one_partition_and_nothing_is_kept(large, tmp_path):
    table, profiler, whole = large
    source = open_source(table)
    kept = tmp_path / "kept"
    assert_same(Passes(Counting(), 1_000, kept).run(source, ProfileWork(profiler), 1_000, lambda done: None), whole)
    assert not kept.exists()


def test_partitions_are_read_alike_in_a_process_of_their_own(large, tmp_path):
    table, profiler, whole = large
    folder = write_files(tmp_path / "data", [1_000, 5_000], table)
    source = open_source(folder, reading=ReadingConfig(isolation=Isolation.always))
    engine = Counting()
    assert_same(Passes(engine, 1_000).run(source, ProfileWork(profiler), 1_000, lambda done: None), whole)
    assert len(engine.did) > 3
