"""An output folder's files come whole, the old ones stay until the new ones are there, and nobody else's are lost."""

import os
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.pipeline.sample_report import approve, reject
from vr.core.errors import ConfigError, VrError
from vr.data.source import open_source
from vr.pipeline.extent import Extent
from vr.pipeline.run_folder import RunFolder, open_folder, refuse_inside, states_of, write_whole

OLD, NEW = reject(), approve()
SCHEMA = pa.schema({"row": pa.int64()})
FILES = ["report.html", "report.json", "row_scores.parquet"]


def score(folder: RunFolder, rows: int) -> None:
    with folder.table("row_scores.parquet", SCHEMA) as writer:
        assert writer is not None
        writer.write_batch(pa.record_batch({"row": range(rows)}, SCHEMA))


def finish(path: Path, identity: dict, report=OLD, *, rows=3, html=True, force=False) -> None:
    folder = RunFolder(path, identity, force=force)
    score(folder, rows)
    folder.publish(report, html=html)


def finish_verdict(path: Path, identity: dict, report=NEW) -> None:
    RunFolder(path, identity, extent=Extent.verdict).publish(report, html=True)


def all_files(path: Path) -> list[str]:
    return sorted(str(each.relative_to(path)) for each in path.rglob("*") if each.is_file())


def verdict(path: Path, identity: dict) -> str | None:
    report = RunFolder(path, identity).finished()
    return None if report is None else report.verdict.value


def killed(monkeypatch, name: str, call: int = 1) -> None:
    """Makes the `call`-th use of os.`name` the last thing that the process does, as SIGKILL would."""
    real, left = getattr(os, name), [call]

    def die(*args):
        left[0] -= 1
        if left[0] == 0:
            raise SystemExit
        return real(*args)

    monkeypatch.setattr(f"os.{name}", die)


def test_a_finished_run_leaves_its_files_and_one_marker(tmp_path):
    folder = RunFolder(tmp_path, {"a": 1})
    folder.stages("cascade", "key")["tier_1"] = {"x": 1}
    score(folder, 3)
    folder.publish(OLD, html=True)
    assert all_files(tmp_path) == [".vr/finished", *FILES]
    assert [path.name for path in (tmp_path / ".vr").iterdir()] == ["finished"]
    assert verdict(tmp_path, {"a": 1}) == "reject"


def test_files_are_as_readable_as_the_umask_says(tmp_path):
    before = os.umask(0o027)
    try:
        finish(tmp_path, {"a": 1})
    finally:
        os.umask(before)
    assert {(tmp_path / name).stat().st_mode & 0o777 for name in FILES} == {0o640}


def test_temporaries_grow_out_of_sight_and_the_next_run_removes_them(tmp_path):
    folder = RunFolder(tmp_path, {"a": 1})
    with folder.table("row_scores.parquet", SCHEMA):
        assert [name for name in all_files(tmp_path) if not name.startswith(".vr/tmp/")] == [".vr/begun"]
    # What a killed process leaves.
    (tmp_path / ".vr" / "tmp" / "tier_1.json.77").write_text("{")
    assert len(all_files(tmp_path)) == 3
    RunFolder(tmp_path, {"a": 1})
    assert all_files(tmp_path) == [".vr/begun"]
    finish(tmp_path, {"a": 1})
    (tmp_path / ".vr" / "tmp").mkdir()
    (tmp_path / ".vr" / "tmp" / "report.html.77").write_text("<")
    assert verdict(tmp_path, {"a": 1}) == "reject"
    assert all_files(tmp_path) == [".vr/finished", *FILES]


def test_a_table_that_fails_leaves_nothing(tmp_path):
    folder = RunFolder(tmp_path, {"a": 1})

    def fail() -> None:
        with folder.table("row_scores.parquet", SCHEMA):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert all_files(tmp_path) == [".vr/begun"]


@pytest.mark.parametrize("identity", [{"a": 1}, {"a": 2}], ids=["same", "other"])
def test_a_forced_run_that_fails_leaves_the_old_result(tmp_path, identity):
    finish(tmp_path, {"a": 1}, OLD, rows=3)
    forced = RunFolder(tmp_path, identity, force=True)
    assert forced.finished() is None
    score(forced, 7)
    # Here it fails: what was finished is still so, and whole.
    assert verdict(tmp_path, {"a": 1}) == "reject"
    assert pq.read_metadata(tmp_path / "row_scores.parquet").num_rows == 3
    if identity != {"a": 1}:
        with pytest.raises(ConfigError, match="--force"):
            RunFolder(tmp_path, identity)
    finish(tmp_path, identity, NEW, rows=7, html=False, force=True)
    assert verdict(tmp_path, identity) == "approve"
    assert pq.read_metadata(tmp_path / "row_scores.parquet").num_rows == 7
    # The old page would tell of the old run.
    assert all_files(tmp_path) == [".vr/finished", "report.json", "row_scores.parquet"]


def test_a_forced_run_resumes_itself_and_nothing_else(tmp_path):
    finish(tmp_path, {"a": 1})
    RunFolder(tmp_path, {"a": 1}, force=True).stages("cascade", "key")["tier_1"] = {"x": 1}
    assert "tier_1" in RunFolder(tmp_path, {"a": 1}, force=True).stages("cascade", "key")
    assert "tier_1" not in RunFolder(tmp_path, {"a": 2}, force=True).stages("cascade", "key")
    assert "tier_1" not in RunFolder(tmp_path, {"a": 1}, force=True).stages("cascade", "key")


# First both documents are written out of sight, then three files and the marker are moved to their places.
@pytest.mark.parametrize(("is_moving", "call"), [(False, 1), (False, 2), (True, 1), (True, 2), (True, 3), (True, 4)])
def test_a_run_killed_while_it_publishes_is_finished_or_goes_on(tmp_path, monkeypatch, is_moving, call):
    finish(tmp_path, {"a": 1}, OLD, rows=3)
    forced = RunFolder(tmp_path, {"a": 2}, force=True)
    score(forced, 7)
    killed(monkeypatch, "replace" if is_moving else "fsync", call)
    with pytest.raises(SystemExit):
        forced.publish(NEW, html=True)
    monkeypatch.undo()
    if not is_moving:
        assert verdict(tmp_path, {"a": 1}) == "reject"
        assert pq.read_metadata(tmp_path / "row_scores.parquet").num_rows == 3
    else:
        # Files of two runs may lie here: nobody is told that either is finished.
        with pytest.raises(ConfigError, match="other inputs"):
            RunFolder(tmp_path, {"a": 1})
        assert verdict(tmp_path, {"a": 2}) is None
    finish(tmp_path, {"a": 2}, NEW, rows=7, force=not is_moving)
    assert verdict(tmp_path, {"a": 2}) == "approve"
    assert all_files(tmp_path) == [".vr/finished", *FILES]


@pytest.mark.parametrize("name", FILES)
def test_files_of_no_run_are_refused(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(ConfigError) as caught:
        RunFolder(tmp_path, {"a": 1})
    assert str(tmp_path / name) in str(caught.value)
    assert "--force" in str(caught.value)
    assert all_files(tmp_path) == [name]
    RunFolder(tmp_path, {"a": 1}, force=True)
    assert (tmp_path / name).read_text() == "mine"
    finish(tmp_path, {"a": 1}, force=True)
    assert all_files(tmp_path) == [".vr/finished", *FILES]


def test_other_files_in_the_folder_are_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    finish(tmp_path, {"a": 1})
    finish(tmp_path, {"a": 2}, force=True)
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_run_that_saved_nothing_gives_its_folder_up(tmp_path):
    RunFolder(tmp_path, {"a": 1})
    second = RunFolder(tmp_path, {"a": 2})
    second.stages("cascade", "key")["tier_1"] = {"x": 1}
    with pytest.raises(ConfigError, match="other inputs"):
        RunFolder(tmp_path, {"a": 3})
    assert "tier_1" in RunFolder(tmp_path, {"a": 2}).stages("cascade", "key")


def test_a_finished_verdict_is_no_finished_whole_and_stays_until_there_is_one(tmp_path):
    finish_verdict(tmp_path, {"a": 1})
    assert all_files(tmp_path) == [".vr/finished", *FILES[:2]]
    whole = RunFolder(tmp_path, {"a": 1})
    assert whole.finished() is None
    whole.stages("cascade", "key")["tier_1"] = {"x": 1}
    # Here it is interrupted: the verdict is there for whoever asks for it, and takes nothing from the whole.
    again = RunFolder(tmp_path, {"a": 1}, extent=Extent.verdict).finished()
    assert again is not None
    assert again.verdict == "approve"
    assert "tier_1" in RunFolder(tmp_path, {"a": 1}).stages("cascade", "key")
    finish(tmp_path, {"a": 1}, OLD)
    assert all_files(tmp_path) == [".vr/finished", *FILES]
    # The whole has the verdict too.
    assert RunFolder(tmp_path, {"a": 1}, extent=Extent.verdict).finished() == RunFolder(tmp_path, {"a": 1}).finished()
    with pytest.raises(ConfigError, match="other inputs"):
        RunFolder(tmp_path, {"a": 2}, extent=Extent.verdict)


@pytest.mark.parametrize(("first", "second"), [(Extent.verdict, Extent.whole), (Extent.whole, Extent.verdict)])
def test_what_an_interrupted_run_trained_serves_the_other_extent(tmp_path, first, second):
    RunFolder(tmp_path, {"a": 1}, extent=first).stages("cascade", "key")["tier_1"] = {"x": 1}
    assert "tier_1" in RunFolder(tmp_path, {"a": 1}, extent=second).stages("cascade", "key")
    with pytest.raises(ConfigError, match="other inputs"):
        RunFolder(tmp_path, {"a": 2}, extent=first)


def test_a_page_is_added_to_a_finished_run(tmp_path):
    finish(tmp_path, {"a": 1}, html=False)
    RunFolder(tmp_path, {"a": 1}).add_page(OLD)
    assert all_files(tmp_path) == [".vr/finished", *FILES]


@pytest.mark.parametrize("where", ["stage", "table", "publish"])
def test_a_full_disk_is_one_line_that_names_the_file(tmp_path, monkeypatch, where):
    folder = RunFolder(tmp_path / "out", {"a": 1})
    stages = folder.stages("cascade", "key")
    score(folder, 3)

    def full(*args, **kwargs):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    monkeypatch.setattr(pq.ParquetWriter, "write_batch", full)
    calls = {
        "stage": lambda: stages.__setitem__("tier_1", {"x": 1}),
        "table": lambda: score(folder, 3),
        "publish": lambda: folder.publish(OLD, html=False),
    }
    names = {"stage": "tier_1.json", "table": "row_scores.parquet", "publish": "report.json"}
    with pytest.raises(VrError) as caught:
        calls[where]()
    assert not isinstance(caught.value, ConfigError)
    assert caught.value.exit_code == 4
    assert f"{names[where]}: cannot be written (No space left on device)" in str(caught.value)


def test_an_error_of_the_caller_inside_the_table_stays_itself(tmp_path):
    folder = RunFolder(tmp_path, {"a": 1})

    def fail() -> None:
        with folder.table("row_scores.parquet", SCHEMA):
            raise OSError("the source went away")

    with pytest.raises(OSError, match="went away"):
        fail()


@pytest.mark.parametrize("use", [open_folder, lambda path: RunFolder(path, {})], ids=["profile", "validate"])
def test_a_folder_that_cannot_be_is_a_configuration_error(tmp_path, use):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file, not a folder"):
        use(tmp_path / "file")
    with pytest.raises(ConfigError, match="cannot be written to"):
        use(tmp_path / "file" / "out")


def test_nothing_is_left_where_a_write_is_interrupted(tmp_path, monkeypatch):
    killed(monkeypatch, "fsync")
    with pytest.raises(SystemExit):
        write_whole(tmp_path / "a.json", b"{}", tmp_path / "tmp")
    assert all_files(tmp_path) == []


class TestOutputInsideTheDataset:
    @pytest.fixture
    def parts(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (tmp_path / "parts" / "day").mkdir(parents=True)
        for name in ("parts/a.parquet", "parts/day/b.parquet"):
            pq.write_table(pa.table({"x": [1, 2]}), tmp_path / name)
        return tmp_path

    @pytest.mark.parametrize(
        ("uri", "output"),
        [
            ("parts", "parts"),
            ("parts", "parts/day/out"),
            ("parts/", "day/../parts/out"),
            (".", "outputs/2024-01-01/10-00-00"),
            ("parts/*.parquet", "parts"),
            ("parts/*/*.parquet", "parts/out"),
            ("**/*.parquet", "out"),
            ("parts/**/*.parquet", "parts"),
        ],
    )
    @pytest.mark.parametrize("is_absolute", [False, True])
    def test_is_refused(self, parts, uri, output, is_absolute):
        inside = (parts / output) if is_absolute else Path(output)
        with pytest.raises(ConfigError) as caught:
            refuse_inside(inside, [None, open_source(uri)])
        assert str(inside) in str(caught.value)
        assert "give an --output outside it" in str(caught.value)

    @pytest.mark.parametrize(
        ("uri", "output"),
        [
            ("parts", "out"),
            ("parts", "parts_out"),
            ("parts", "."),
            (".", "_out"),
            ("parts", "parts/.out/here"),
            ("parts/a.parquet", "parts"),
            ("parts/*.parquet", "parts/out"),
            ("parts/**/*.parquet", "out"),
            ("parts/a*.parquet", "parts"),
        ],
    )
    def test_is_allowed_where_it_would_not_be_read(self, parts, uri, output):
        refuse_inside(Path(output), [open_source(uri)])

    def test_frames_and_no_output_lie_nowhere(self, parts):
        refuse_inside(Path("parts"), [open_source(pa.table({"x": [1]})), None])
        refuse_inside(None, [open_source("parts")])


def test_a_finished_run_clears_what_a_forced_one_left_that_was_killed(tmp_path):
    out = tmp_path / "out"
    RunFolder(out, {"a": 1}).publish(approve(), html=False)
    RunFolder(out, {"a": 1}, force=True).stages("seeds", "key")["0"] = {"x": 1}
    states_of(out).mkdir()
    (states_of(out) / "a.state").write_bytes(b"rows")
    assert RunFolder(out, {"a": 1}).finished() == approve()
    assert [path.name for path in (out / ".vr").iterdir()] == ["finished"]
