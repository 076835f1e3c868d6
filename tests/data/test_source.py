"""Every format and every kind of frame gives the same rows, in order, in batches of one exact length."""

import duckdb
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pyarrow.dataset as pads
import pyarrow.parquet as pq
import pytest
from mixed_data import ROWS, WRITERS, csv_bytes, rows_of

from vr.core.errors import ConfigError, DataError
from vr.data.source import open_source


@pytest.mark.parametrize("name", WRITERS)
@pytest.mark.parametrize("batch_rows", [1, 7, 30, 1000])
def test_every_format_gives_the_rows_that_were_written(table, tmp_path, name, batch_rows):
    WRITERS[name](table, tmp_path / name)
    source = open_source(tmp_path / name)
    assert source.num_rows == ROWS
    assert source.schema.names == table.column_names
    got = rows_of(source, batch_rows=batch_rows)
    if name == "t.h5":  # a float of HDF5 is never null
        assert [value != value for value in got["size"]] == [value is None for value in table["size"].to_pylist()]
        got["size"] = [None if value != value else value for value in got["size"]]
    assert got == table.to_pydict()
    assert source.notes == []
    assert source.files == [(str(tmp_path / name), (tmp_path / name).stat().st_size)]
    assert pa.types.is_timestamp(source.schema.field("when").type)
    assert pa.types.is_integer(source.schema.field("count").type)


@pytest.mark.parametrize("name", WRITERS)
def test_columns_come_in_the_order_asked_for_and_again_on_every_pass(table, tmp_path, name):
    WRITERS[name](table, tmp_path / name)
    source = open_source(str(tmp_path / name))
    for _ in range(2):
        got = rows_of(source, ["city", "count"])
        assert list(got) == ["city", "count"]
        assert got == table.select(["city", "count"]).to_pydict()


@pytest.mark.parametrize("name", WRITERS)
def test_batches_have_the_types_of_the_schema(table, tmp_path, name):
    WRITERS[name](table, tmp_path / name)
    source = open_source(tmp_path / name)
    assert all(batch.schema.equals(source.schema) for batch in source.batches(batch_rows=13))


def frames(table: pa.Table) -> dict[str, object]:
    relation = duckdb.from_arrow(table)
    return {
        "<pandas.DataFrame>": table.to_pandas(),
        "<polars.DataFrame>": pl.from_arrow(table),
        "<duckdb.DuckDBPyRelation>": relation,
        "<pyarrow.Table>": table,
        "<pyarrow.RecordBatchReader>": table.to_reader(max_chunksize=10),
        "<pyarrow.InMemoryDataset>": pads.dataset(table),
    }


@pytest.mark.parametrize("name", ["pandas", "polars", "duckdb", "Table", "RecordBatchReader", "InMemoryDataset"])
def test_every_frame_gives_its_rows_more_than_once(table, name):
    uri, frame = next((uri, frame) for uri, frame in frames(table).items() if name in uri)
    source = open_source(frame)
    assert (source.uri, source.format, source.num_rows, source.files) == (uri, "memory", ROWS, [])
    for _ in range(2):
        assert rows_of(source, batch_rows=9) == table.to_pydict()


def test_frames_of_categories_give_dictionaries_of_strings(table):
    cities = table["city"].to_pylist()
    for frame in (
        pd.DataFrame({"c": pd.Categorical(cities)}),
        pl.DataFrame({"c": pl.Series(cities, dtype=pl.Categorical)}),
    ):
        source = open_source(frame)
        assert source.schema.field("c").type == pa.dictionary(pa.int32(), pa.string())
        assert rows_of(source)["c"] == cities


def test_a_pandas_index_is_left_out(table):
    source = open_source(table.to_pandas().sample(frac=1.0, random_state=0))
    assert source.schema.names == table.column_names
    assert source.notes == ["column '__index_level_0__' is a pandas index: left out"]


def test_odd_types_become_common_ones_and_nested_ones_are_left_out():
    table = pa.table(
        {
            "half": pa.array([1.5, None], pa.float16()),
            "money": pa.array([1, 2], pa.decimal128(10, 2)),
            "view": pa.array(["a", "b"], pa.string_view()),
            "runs": pa.RunEndEncodedArray.from_arrays(pa.array([2], pa.int32()), pa.array([7])),
            "coded": pa.array([3, 4]).dictionary_encode(),
            "nothing": pa.nulls(2),
            "list": [[1], [2]],
            "blob": pa.array([b"a", b"b"]),
        }
    )
    source = open_source(table)
    assert {field.name: str(field.type) for field in source.schema} == {
        "half": "double",
        "money": "double",
        "view": "string",
        "runs": "int64",
        "coded": "int64",
        "nothing": "null",
    }
    assert source.notes == ["column 'list' is a list: left out", "column 'blob' is a binary: left out"]
    assert rows_of(source)["runs"] == [7, 7]
    assert rows_of(source)["coded"] == [3, 4]


def test_nan_and_infinity_stay_what_they_are(tmp_path):
    values = [float("nan"), float("inf"), -float("inf"), 1.0]
    pq.write_table(pa.table({"x": values}), tmp_path / "x.parquet")
    (tmp_path / "x.jsonl").write_text('{"x": NaN}\n{"x": Infinity}\n{"x": -Infinity}\n{"x": 1.0}\n')
    for name in ("x.parquet", "x.jsonl"):
        assert np.array_equal(rows_of(open_source(tmp_path / name))["x"], values, equal_nan=True)


def test_null_inside_a_dictionary_is_null():
    coded = pa.DictionaryArray.from_arrays(pa.array([0, 1, 0]), pa.array(["a", None]))
    (batch,) = open_source(pa.table({"c": coded})).batches()
    assert batch.column("c").to_pylist() == ["a", None, "a"]
    assert batch.column("c").null_count == 1


class TestManyFiles:
    def test_files_are_read_in_the_order_of_their_paths(self, table, tmp_path):
        (tmp_path / "b").mkdir()
        for name, part in (
            ("b/0.csv", table.slice(60)),
            ("a.csv", table.slice(0, 20)),
            ("a2.csv", table.slice(20, 40)),
        ):
            (tmp_path / name).write_bytes(csv_bytes(part))
        (tmp_path / "README.md").write_text("not data")
        (tmp_path / "_log.csv").write_text("hidden\n1\n")
        (tmp_path / "a1.csv").touch()
        for data in (tmp_path, f"{tmp_path}/**/*.csv", f"file://{tmp_path}", f"file://{tmp_path}/*.csv"):
            if "**" in str(data):
                (tmp_path / "_log.csv").unlink()
            source = open_source(data)
            assert rows_of(source, batch_rows=11) == table.to_pydict()
            assert [path.rsplit("/", 1)[-1] for path, _ in source.files] == ["a.csv", "a2.csv", "0.csv"]
            assert "1 empty file skipped" in source.notes
        assert "1 file of no known format passed over" in open_source(tmp_path).notes

    def test_types_are_joined_over_files(self, tmp_path):
        for name, text in (("1.csv", "a,b\n1,07\n"), ("2.csv", "a,b\n2.5,x\n"), ("3.csv", "b,a\ny,3\n")):
            (tmp_path / name).write_text(text)
        source = open_source(tmp_path)
        assert source.schema == pa.schema([("a", pa.float64()), ("b", pa.string())])
        assert rows_of(source) == {"a": [1.0, 2.5, 3.0], "b": ["07", "x", "y"]}
        assert source.notes == ["column 'b' is int64 in some files and string in others: read as text"]

    def test_dictionary_and_plain_strings_of_different_files_are_joined(self, tmp_path):
        few, many = ["a", "b"] * 500, [f"name {i} of many" for i in range(1000)]
        for name, values in (("1.parquet", few), ("2.parquet", many)):
            pq.write_table(pa.table({"s": values}), tmp_path / name)
        assert pa.types.is_dictionary(open_source(tmp_path / "1.parquet").schema.field("s").type)
        assert open_source(tmp_path / "2.parquet").schema.field("s").type == pa.string()
        assert rows_of(open_source(tmp_path), batch_rows=300)["s"] == few + many

    def test_json_files_may_lack_columns(self, tmp_path):
        (tmp_path / "1.jsonl").write_text('{"a": 1}\n')
        (tmp_path / "2.jsonl").write_text('{"b": "x"}\n')
        assert rows_of(open_source(tmp_path)) == {"a": [1, None], "b": [None, "x"]}


class TestTypes:
    def test_strings_are_parsed_as_asked(self):
        data = pa.table({"n": [" 1", "2.5", ""], "d": ["2024-02-03", "2024-02-03T04:05:06", None], "x": [1, 2, 3]})
        data = data.append_column("coded", data["n"].combine_chunks().dictionary_encode())
        kinds = {"n": "numeric", "coded": "numeric", "d": "datetime", "x": "ignore"}
        source = open_source(data, types=kinds)
        assert source.schema.names == ["n", "d", "coded"]
        got = rows_of(source)
        assert got["n"] == got["coded"] == [1.0, 2.5, None]
        assert [str(day) for day in got["d"]] == ["2024-02-03 00:00:00", "2024-02-03 04:05:06", "None"]
        assert next(source.batches()).schema.equals(source.schema)

    def test_dates_with_an_offset_become_utc(self):
        source = open_source(pa.table({"d": ["2024-02-03T04:05:06+02:00"]}), types={"d": "datetime"})
        assert str(rows_of(source)["d"][0]) == "2024-02-03 02:05:06"

    @pytest.mark.parametrize(("kind", "value"), [("numeric", "12 apples"), ("datetime", "31/12/2024")])
    def test_what_cannot_be_parsed_is_named(self, kind, value):
        source = open_source(pa.table({"x": [None, value, "more"]}), types={"x": kind})
        with pytest.raises(DataError, match=f"column 'x': '{value}' is not a"):
            list(source.batches())

    def test_an_unknown_column_is_an_error_of_the_data_and_an_unknown_type_one_of_the_options(self, table):
        with pytest.raises(DataError, match=r"types\.town: no such column .* there are 'count'"):
            open_source(table, types={"town": "numeric"})
        with pytest.raises(ConfigError, match="'number' is no column type"):
            open_source(table, types={"city": "number"})


def test_a_parquet_stream_holds_little_more_than_a_batch(tmp_path):
    rows = 400_000
    data = np.random.default_rng(0).normal(size=(4, rows))
    pq.write_table(pa.table(list(data), names=list("abcd")), tmp_path / "x.parquet", row_group_size=20_000)
    before, most = pa.total_allocated_bytes(), 0
    for _ in open_source(tmp_path / "x.parquet").batches(batch_rows=10_000):
        most = max(most, pa.total_allocated_bytes() - before)
    assert most < data.nbytes / 3


def test_a_batch_within_one_chunk_is_not_copied():
    column = pa.array(np.arange(1000))
    first, second = open_source(pa.table({"x": column})).batches(batch_rows=500)
    assert first.column(0).buffers()[1].address == second.column(0).buffers()[1].address == column.buffers()[1].address


def test_a_lone_file_without_an_ending_is_known_by_its_looks(table, tmp_path):
    for name in ("t.parquet", "t.feather", "t.csv", "t.jsonl", "t.h5", "t.xlsx"):
        WRITERS[name](table, tmp_path / name)
        bare = (tmp_path / name).rename(tmp_path / name.replace(".", "_"))
        assert open_source(bare).num_rows == ROWS


def test_a_format_overrides_the_name(table, tmp_path):
    (tmp_path / "x.dat").write_bytes(csv_bytes(table, "\t"))
    assert rows_of(open_source(tmp_path / "x.dat", format="tsv")) == table.to_pydict()
    with pytest.raises(ConfigError, match="'sas' is no format"):
        open_source(tmp_path / "x.dat", format="sas")


def test_asking_for_nonsense_is_refused(table):
    source = open_source(table)
    with pytest.raises(DataError, match="column 'town': no such column"):
        source.batches(["town"])
    with pytest.raises(DataError, match="no column was asked for"):
        source.batches([])
    with pytest.raises(ConfigError, match="batch_rows"):
        source.batches(batch_rows=0)
