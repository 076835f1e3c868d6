"""Samples through the pipeline: what a report says of the uniform one, and a stratified one as a file."""

import json
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.diversity.test_strata import planted
from vr.cascade.config import preset
from vr.core.errors import AlreadyPublishedError, ConfigError, DataError
from vr.data.config import DataConfig, Isolation, ReadingConfig
from vr.data.passes import Passes
from vr.data.rewrite.table import write_table
from vr.data.source import open_source
from vr.pipeline.config import Config, EngineConfig
from vr.pipeline.describe import profile
from vr.pipeline.intake import take_in
from vr.pipeline.sampling import sample_if_possible
from vr.pipeline.validate import validate
from vr.session import run_sample

HERE = ReadingConfig(isolation=Isolation.never)
ROWS = 5_000


def config_of(path, **more) -> Config:
    return Config(data=DataConfig(uri=str(path), **more), reading=HERE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    pq.write_table(planted().slice(0, ROWS), folder / "rows.parquet", row_group_size=900)
    return folder


@pytest.mark.parametrize("name", ["s.parquet", "s.arrow", "s.csv", "s.tsv.gz", "s.jsonl", "s.json"])
def test_a_sample_is_written_in_the_format_of_its_name(folder, tmp_path, name):
    drawn = run_sample(config_of(folder / "rows.parquet"), str(tmp_path / name), 300)
    source = open_source(tmp_path / name, reading=HERE)
    table = pa.Table.from_batches(source.batches())
    full = planted().slice(0, ROWS)
    assert source.schema.names == [*full.schema.names, "row_number", "sample_weight"]
    rows = table["row_number"].to_numpy()
    assert len(rows) == drawn.rows
    for column in full.schema.names:
        assert table[column].to_pylist() == full[column].take(pa.array(rows)).to_pylist()
    assert table["sample_weight"].to_numpy().sum() == pytest.approx(ROWS, rel=0.02)
    manifest = json.loads((tmp_path / f"{name}.manifest.json").read_text())
    assert manifest["sample"] == drawn.model_dump(mode="json")
    assert manifest["input"]["rows"] == ROWS
    assert sorted(path.name for path in tmp_path.iterdir()) == [name, f"{name}.manifest.json"]


def test_the_same_command_writes_the_same_bytes_wherever_it_runs(folder, tmp_path):
    config = config_of(folder / "rows.parquet")
    for place, threads, partition in (("a", 1, 0), ("b", 3, 1_000)):
        engine = EngineConfig(threads=threads, partition_rows=partition)
        other = replace(config, engine=engine, data=replace(config.data, batch_rows=65_536 if threads == 1 else 777))
        run_sample(other, str(tmp_path / place / "s.csv"), 400)
    first, second = (tmp_path / place / "s.csv" for place in ("a", "b"))
    assert first.read_bytes() == second.read_bytes()
    # Over itself it is no other; another seed is.
    run_sample(config, str(first), 400)
    with pytest.raises(AlreadyPublishedError):
        run_sample(replace(config, seed=1), str(first), 400)
    assert first.read_bytes() == second.read_bytes()
    run_sample(replace(config, seed=1), str(first), 400, force=True)
    assert first.read_bytes() != second.read_bytes()


def test_names_that_the_dataset_has_are_left_to_it(tmp_path):
    rows = pa.table({"row_number": np.arange(300.0) % 7, "sample_weight": ["a", "b", "c"] * 100})
    pq.write_table(rows, tmp_path / "rows.parquet")
    drawn = run_sample(config_of(tmp_path / "rows.parquet"), str(tmp_path / "out" / "s.parquet"), 100)
    assert (drawn.row_column, drawn.weight_column) == ("row_number_", "sample_weight_")
    table = pq.read_table(tmp_path / "out" / "s.parquet")
    assert table["row_number"].to_pylist() == (table["row_number_"].to_numpy() % 7).tolist()


def test_a_column_of_identifiers_is_kept(tmp_path):
    rows = pa.table({"id": [f"row-{i:05d}" for i in range(2_000)], "x": np.random.default_rng(0).normal(size=2_000)})
    pq.write_table(rows, tmp_path / "rows.parquet")
    run_sample(config_of(tmp_path / "rows.parquet"), str(tmp_path / "out" / "s.parquet"), 150)
    table = pq.read_table(tmp_path / "out" / "s.parquet")
    assert table["id"].to_pylist() == [f"row-{i:05d}" for i in table["row_number"].to_pylist()]


@pytest.mark.parametrize(
    ("name", "rows", "error"),
    [
        ("out/s.xlsx", 300, ConfigError),
        ("out/s", 300, ConfigError),
        ("out/s.parquet", 99, ConfigError),
        ("rows.parquet", 300, ConfigError),
    ],
)
def test_what_cannot_be_is_refused_before_a_pass(folder, tmp_path, name, rows, error):
    place = folder if name == "rows.parquet" else tmp_path
    before = (folder / "rows.parquet").read_bytes()
    with pytest.raises(error):
        run_sample(config_of(folder / "rows.parquet"), str(place / name), rows)
    assert (folder / "rows.parquet").read_bytes() == before


def test_a_dataset_that_is_not_there_is_a_data_error(tmp_path):
    with pytest.raises(DataError):
        run_sample(config_of(tmp_path / "no.parquet"), str(tmp_path / "s.parquet"), 300)


def test_text_formats_have_no_nan_and_times_as_text(tmp_path):
    rows = pa.table(
        {
            "x": [1.5, float("nan"), float("inf")],
            "t": pa.array([0, 1, None], pa.timestamp("s")),
            "d": pa.array([1, None, 3], pa.duration("s")),
        }
    )
    write_table(rows, tmp_path / "a.jsonl", "jsonl")
    lines = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert lines == [
        {"x": 1.5, "t": "1970-01-01 00:00:00", "d": 1},
        {"x": None, "t": "1970-01-01 00:00:01", "d": None},
        {"x": None, "t": None, "d": 3},
    ]
    write_table(rows, tmp_path / "a.csv", "csv")
    assert (tmp_path / "a.csv").read_text().splitlines()[1] == '1.5,"1970-01-01 00:00:00",1'


def test_every_report_says_how_its_samples_stand():
    full = planted()
    candidate, reference = full.slice(0, 4_000), full.slice(4_000, 3_000)
    config = replace(Config(), cascade=preset("none"), sample=replace(Config().sample, rows=1_000))
    report = validate(open_source(candidate), open_source(reference), config)
    assert report.reference is not None
    for section, rows in ((report.dataset, 1_000), (report.reference, 1_000)):
        check = section.sample
        assert check is not None
        assert (check.rows, check.effective_rows, check.columns) == (rows, rows, 5)
        assert check.confidence == 1.0
        assert check.band == pytest.approx(np.sqrt(np.log(40) / 2_000))
        assert check.worst_distance is not None
        assert 0 < check.worst_distance <= check.band
        assert check.correlation_difference is None
        assert check.reason
    assert report.stratified_sample is not None
    assert report.stratified_sample.status == "not_measured"
    assert report.stratified_sample.reason
    described = profile(open_source(candidate), config)
    assert described["dataset"]["sample"]["confidence"] == 1.0


def test_a_validation_draws_a_sample_where_it_is_told_to(tmp_path):
    full = planted()
    config = replace(Config(), cascade=preset("none"))
    sources = open_source(full.slice(0, 400)), open_source(full.slice(400, 400))
    with_one = validate(*sources, config, sample_to=str(tmp_path / "s.parquet"), sample_rows=200)
    assert with_one.stratified_sample is not None
    assert with_one.stratified_sample.rows == pq.read_table(tmp_path / "s.parquet").num_rows
    # Nothing else of the report knows of it.
    without = validate(*sources, config)
    same = {"stratified_sample": None, "run": None}
    assert with_one.model_copy(update=same) == without.model_copy(update=same)


def test_a_sample_that_cannot_be_written_is_one_that_says_so(tmp_path):
    source, config = open_source(planted().slice(0, 400)), Config()
    intake = take_in(source, None, config, 1, lambda *_: None)
    (tmp_path / "file").write_text("no folder")
    for name in ("file/s.parquet", "s.xlsx"):
        section = sample_if_possible(source, None, intake, 200, config, Passes(), str(tmp_path / name), id)
        assert section.status == "not_measured"
        assert section.reason
        assert section.rows is None
