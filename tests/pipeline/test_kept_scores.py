"""A long file's row scores: kept by segments, gone on with after a kill, and the same as in one go."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vr.cascade.config import preset
from vr.core.errors import VrError
from vr.data.config import DataConfig, SampleConfig
from vr.data.source import open_source
from vr.pipeline import localization
from vr.pipeline.config import Config
from vr.pipeline.localization import KeptScores
from vr.pipeline.run_folder import RunFolder
from vr.pipeline.validate import validate

ROWS, SEGMENT = 5_200, 1_500


def table(rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(rows, 2)) @ rng.normal(size=(2, 4)) * 0.3 + rng.normal(size=(rows, 4))
    return pa.table(
        {"a": x[:, 0], "b": x[:, 1], "c": np.round(x[:, 2], 1), "g": np.array(["u", "v"])[(x[:, 3] > 0) * 1]}
    )


@pytest.fixture(scope="module")
def datasets(tmp_path_factory):
    folder = tmp_path_factory.mktemp("long")
    made = table(ROWS, 1).to_pandas()
    made.loc[4_000:4_399, "a"] += 6.0  # a region
    made.iloc[5_000:5_200] = made.iloc[:200].to_numpy()  # repeats of the first rows
    pq.write_table(pa.Table.from_pandas(made, preserve_index=False), folder / "made.parquet", row_group_size=1_000)
    pq.write_table(table(1_500, 2), folder / "real.parquet")
    return folder


@pytest.fixture
def in_segments(monkeypatch):
    monkeypatch.setattr(localization, "SEGMENT_ROWS", SEGMENT)


def run(datasets: Path, output: Path, progress=None, **changes):
    config = Config(cascade=preset("none"), data=DataConfig(batch_rows=500), sample=SampleConfig(rows=1_000), **changes)
    sources = [open_source(datasets / name) for name in ("made.parquet", "real.parquet")]
    return validate(*sources, config, output=output, html=False, progress=progress)


def told(report, output: Path):
    document = json.loads(report.to_json())
    del document["run"]
    return document, pq.read_table(output / "row_scores.parquet")


class Killed(BaseException):
    pass


def until(row: int):
    def tell(event):
        if event.stage == "localize" and event.done >= row:
            raise Killed

    return tell


@pytest.fixture(scope="module")
def in_one_go(datasets, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole")
    return told(run(datasets, output), output)


def test_in_segments_is_as_in_one_go(datasets, in_one_go, in_segments, tmp_path):
    events = []
    found = told(run(datasets, tmp_path, events.append), tmp_path)
    # Segments are put together at the end, which takes a while of a file that is worth keeping segments of.
    assert [event for event in events if event.message == "row scores written"][-1].done == ROWS
    assert found[0] == in_one_go[0]
    assert found[1].equals(in_one_go[1])
    assert found[1].schema.equals(in_one_go[1].schema, check_metadata=True)
    assert in_one_go[0]["localization"]["rows"]
    assert not list(tmp_path.glob(".vr/scores-*"))


@pytest.mark.parametrize("row", [500, 2_000, 4_500])
def test_a_killed_run_goes_on_after_its_last_whole_segment(datasets, in_one_go, in_segments, tmp_path, row):
    with pytest.raises(Killed):
        run(datasets, tmp_path, until(row))
    events = []
    found = told(run(datasets, tmp_path, events.append), tmp_path)
    begun = [event.message for event in events if event.message.startswith("goes on at row")]
    first = (row - 1) // SEGMENT * SEGMENT  # killed before the segment that ends there was kept
    assert begun == ([f"goes on at row {first:,}"] if first else [])
    assert min(event.done for event in events if event.stage == "localize" and event.message == "rows scored") > first
    assert found[0] == in_one_go[0]
    assert found[1].equals(in_one_go[1])


def test_a_run_that_is_killed_twice_goes_on_twice(datasets, in_one_go, in_segments, tmp_path):
    for row in (2_000, 4_700):
        with pytest.raises(Killed):
            run(datasets, tmp_path, until(row))
    found = told(run(datasets, tmp_path), tmp_path)
    assert found[0] == in_one_go[0]
    assert found[1].equals(in_one_go[1])


def damaged(path: Path, how: str) -> None:
    content = bytearray(path.read_bytes())
    if how == "cut":
        content = content[: len(content) // 2]
    else:
        content[len(content) // 3] ^= 0x10
    path.write_bytes(content)


@pytest.mark.parametrize(
    ("name", "how"),
    [
        (name, how)
        for name in ("segment-00000.parquet", "segment-00001.parquet", "scored.state")
        for how in ("cut", "flip")
    ],
)
def test_what_is_damaged_is_as_good_as_not_there(datasets, in_one_go, in_segments, tmp_path, name, how):
    with pytest.raises(Killed):
        run(datasets, tmp_path, until(3_500))
    (kept,) = tmp_path.glob(f".vr/scores-*/{name}")
    damaged(kept, how)
    events = []
    found = told(run(datasets, tmp_path, events.append), tmp_path)
    assert not any(event.message.startswith("goes on") for event in events)
    assert found[0] == in_one_go[0]
    assert found[1].equals(in_one_go[1])


def test_a_segment_that_goes_meanwhile_is_told_of_and_scored_again(datasets, in_one_go, in_segments, tmp_path):
    def remove(event):
        for kept in tmp_path.glob(".vr/scores-*/segment-00000.parquet") if event.done >= ROWS else ():
            kept.unlink()

    with pytest.raises(VrError, match="cannot be read any more"):
        run(datasets, tmp_path, remove)
    found = told(run(datasets, tmp_path), tmp_path)
    assert found[0] == in_one_go[0]
    assert found[1].equals(in_one_go[1])


def test_a_run_of_something_else_does_not_throw_it_away(datasets, in_segments, tmp_path):
    with pytest.raises(Killed):
        run(datasets, tmp_path, until(3_500))
    with pytest.raises(VrError, match="other inputs or another configuration"):
        run(datasets, tmp_path, seed=5)


def test_without_a_folder_nothing_is_kept():
    with pytest.raises(ValueError, match="without a folder"):
        KeptScores(RunFolder(None, {}), "x", pa.schema([("row", pa.int64())]))
