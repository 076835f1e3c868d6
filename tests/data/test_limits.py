"""What one file may take of a machine, wherever it is parsed: columns, rows, bytes, depth, and other people's files."""

import gzip
import json
import zipfile

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mixed_data import rows_of, write_h5

from vr.core.errors import ConfigError, DataError
from vr.data import meter
from vr.data.config import Isolation, ReadingConfig, is_isolated
from vr.data.formats import delimited, jsonlines
from vr.data.meter import Meter, shown_bytes
from vr.data.source import open_source


def within(**limits) -> ReadingConfig:
    return ReadingConfig(isolation=Isolation.never, **limits)


def refused(path, **limits) -> str:
    with pytest.raises(DataError) as caught:
        list(open_source(path, reading=within(**limits)).batches())
    assert str(caught.value).startswith(str(path))
    return str(caught.value).removeprefix(str(path))


class TestColumns:
    @pytest.mark.parametrize("name", ["x.csv", "x.parquet", "x.arrow", "x.jsonl", "x.json", "x.h5", "x.xlsx"])
    def test_their_number(self, tmp_path, name):
        path = tmp_path / name
        table = pa.table({f"c{i}": [1] for i in range(6)})
        if name == "x.csv":
            path.write_text(",".join(table.column_names) + "\n1,1,1,1,1,1\n")
        elif name == "x.parquet":
            pq.write_table(table, path)
        elif name == "x.arrow":
            with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
                writer.write_table(table)
        elif name == "x.jsonl":
            path.write_text("".join(json.dumps({f"c{i}": 1}) + "\n" for i in range(6)))
        elif name == "x.json":
            path.write_text(json.dumps([{f"c{i}": 1} for i in range(6)]))
        elif name == "x.h5":
            write_h5(path, wide=np.ones((3, 6)))
        else:
            import openpyxl

            book = openpyxl.Workbook()
            for row in (table.column_names, [1] * 6):
                book.active.append(row)
            book.save(path)
        assert refused(path, columns=5).startswith(": has 6 columns, over 5; ")
        assert "raise reading.columns" in refused(path, columns=5)
        assert len(open_source(path, reading=within(columns=6)).schema) == 6

    def test_a_dataset_of_a_trillion_values_across_makes_no_columns(self, tmp_path):
        with h5py.File(tmp_path / "x.h5", "w") as root:
            root.create_dataset("a", shape=(10, 1 << 40), chunks=(1, 1 << 16), dtype="f8")
        assert "values across" in refused(tmp_path / "x.h5")


class TestRows:
    @pytest.mark.parametrize(
        ("name", "start"), [("x.csv", b'a,b\n1,"'), ("x.jsonl", b'{"a": "'), ("x.json", b'[{"a": 1},\n{"a": "')]
    )
    def test_one_that_never_ends(self, tmp_path, monkeypatch, name, start):
        monkeypatch.setattr(delimited, "_BLOCK_BYTES", 1 << 10)
        monkeypatch.setattr(jsonlines, "_BLOCK_BYTES", 1 << 10)
        (tmp_path / name).write_bytes(start + b"x" * 100_000)
        said = refused(tmp_path / name, row_bytes=8 << 10)
        assert "has a row of over" in said
        assert "raise reading.row_bytes" in said

    @pytest.mark.parametrize("block_bytes", [1 << 10, 4 << 10, 4 << 20])
    @pytest.mark.parametrize(
        ("name", "start", "row", "place"),
        [("x.csv", "a,b\n", '1,"\n{}"', ""), ("x.jsonl", "", '{{"a": "{}"}}', ", line 21")],
    )
    def test_one_that_is_too_long_within_a_block(self, tmp_path, monkeypatch, name, start, row, place, block_bytes):
        monkeypatch.setattr(delimited, "_BLOCK_BYTES", block_bytes)
        monkeypatch.setattr(jsonlines, "_BLOCK_BYTES", block_bytes)

        def row_of(num_bytes: int) -> str:
            return row.format("x" * (num_bytes - len(row.format(""))))

        before = start + (row_of(500) + "\n") * 20
        for after in ("", "\n", "\n" + row_of(500)):
            most = 2048 - len(after[:1])
            (tmp_path / name).write_text(before + row_of(most) + after)
            assert open_source(tmp_path / name, reading=within(row_bytes=2048)).num_rows == 21 + (len(after) > 1)
            (tmp_path / name).write_text(before + row_of(most + 1) + after)
            assert refused(tmp_path / name, row_bytes=2048).startswith(f"{place}: has a row of over 2 KiB; ")

    def test_a_batch_of_too_many_bytes(self, tmp_path):
        table = pa.table({"a": ["x" * 2_000_000 + str(i) for i in range(3)]})
        pq.write_table(table, tmp_path / "x.parquet", use_dictionary=False)
        said = refused(tmp_path / "x.parquet", batch_bytes=1 << 20)
        assert "for 1 rows at a time, over 1 MiB; lower data.batch_rows" in said

    def test_long_text_and_many_columns_come_in_smaller_batches(self, tmp_path):
        texts = pa.table({"a": ["x" * 100_000 + str(i) for i in range(100)]})
        pq.write_table(texts, tmp_path / "x.parquet", use_dictionary=False)
        pq.write_table(pa.table({f"c{i}": pa.array(range(2_000)) for i in range(200)}), tmp_path / "wide.parquet")
        for name, table in (("x.parquet", texts), ("wide.parquet", pq.read_table(tmp_path / "wide.parquet"))):
            batches = list(open_source(tmp_path / name, reading=within(batch_bytes=1 << 20)).batches())
            assert max(batch.nbytes for batch in batches) <= 1 << 18
            assert pa.Table.from_batches(batches).equals(table)

    def test_a_dictionary_that_all_batches_share_counts_once(self, tmp_path):
        # 4 MB of categories in a hundred batches.
        names = pa.array([f"category {i:030d}" for i in range(100_000)])
        codes = np.random.default_rng(0).integers(0, len(names), 20_000).astype(np.int32)
        column = pa.DictionaryArray.from_arrays(codes, names)
        with pa.ipc.new_file(tmp_path / "x.arrow", pa.schema([("a", column.type)])) as writer:
            for start in range(0, len(codes), 200):
                writer.write_batch(pa.record_batch({"a": column[start : start + 200]}))
        source = open_source(tmp_path / "x.arrow", reading=within(batch_bytes=32 << 20, expansion=1))
        assert sum(batch.num_rows for batch in source.batches()) == len(codes)

    def test_sparse_columns_may_be_small_in_a_file(self, tmp_path):
        flags = np.zeros(4_000_000, np.int64)
        table = pa.table({f"flag {i}": flags for i in range(40)})
        pq.write_table(table, tmp_path / "x.parquet", compression="zstd")
        assert (tmp_path / "x.parquet").stat().st_size * 200 < table.nbytes > 1 << 30
        assert sum(batch.num_rows for batch in open_source(tmp_path / "x.parquet").batches()) == len(flags)


def refused_with_rows(path, batch_rows: int, **limits) -> str:
    with pytest.raises(DataError) as caught:
        list(open_source(path, reading=within(**limits)).batches(batch_rows=batch_rows))
    return str(caught.value)


class TestExpansion:
    def test_the_meter(self):
        steps = []
        meter = Meter(ReadingConfig(expansion=10), 1 << 30, "x.csv", lambda: steps.append(1))
        meter.add(10 << 30)
        assert steps == [1]
        with pytest.raises(DataError, match=r"x\.csv: holds over 10.0 GiB of data in 1.0 GiB; .* reading.expansion"):
            meter.add(1)
        # A GiB is free, whatever was stored.
        Meter(ReadingConfig(expansion=10), 1, "x.csv", lambda: None).add(1 << 30)

    def test_rows_that_nobody_stored(self, tmp_path):
        with h5py.File(tmp_path / "x.h5", "w") as root:
            root.create_dataset("a", shape=(1 << 50,), chunks=(1 << 16,), dtype="f8")
        assert "holds over 1.0 GiB of data in" in refused(tmp_path / "x.h5")

    @pytest.mark.parametrize(("name", "start"), [("x.csv.gz", b""), ("x.jsonl.gz", b'{"a": 1}\n')])
    def test_blank_lines_that_never_end(self, tmp_path, monkeypatch, name, start):
        monkeypatch.setattr(meter, "_FREE_BYTES", 1 << 20)
        (tmp_path / name).write_bytes(gzip.compress(start + b"\n" * (20 << 20)))
        assert "holds over 1 MiB of data in" in refused(tmp_path / name, expansion=1)

    def test_bytes_as_shown(self):
        assert [shown_bytes(size) for size in (12, 1 << 10, 3 << 20, 5 << 30)] == [
            "12 bytes",
            "1 KiB",
            "3 MiB",
            "5.0 GiB",
        ]


class TestJson:
    def test_escaped_quotes_take_no_hours(self, tmp_path):
        (tmp_path / "x.jsonl").write_text('{"a": ' + "[" * 600 + '"' + '\\"' * 1_500_000 + "\n")
        assert "is damaged" in refused(tmp_path / "x.jsonl")

    def test_numbers_of_thousands_of_digits(self, tmp_path):
        for text in ('{"a": %s}\n{"a": 1}\n', '[{"a": %s}, {"a": 1}]'):
            (tmp_path / "x.json").write_text(text % ("9" * 5_000))
            assert rows_of(open_source(tmp_path / "x.json"))["a"] == [float("inf"), 1.0]
            (tmp_path / "x.json").write_text(text % ("9" * 200))
            assert rows_of(open_source(tmp_path / "x.json"))["a"] == [1e200, 1.0]

    def test_half_a_character(self, tmp_path):
        (tmp_path / "x.json").write_text('[{"a": "\\ud800"}]')
        assert "column 'a': cannot be read" in refused(tmp_path / "x.json")
        (tmp_path / "x.json").write_text('[{"\\ud800": 1}]')
        assert "cannot be read" in refused(tmp_path / "x.json")

    def test_what_follows_an_array_is_not_collected(self, tmp_path, monkeypatch):
        monkeypatch.setattr(jsonlines, "_BLOCK_BYTES", 1 << 10)
        (tmp_path / "x.json").write_text('[{"a": 1}]' + " " * 10_000 + "x" + " " * 10_000)
        assert "is damaged, or no list of JSON objects, at 'x'" in refused(tmp_path / "x.json")
        (tmp_path / "x.json").write_text('[{"a": 1}]' + " " * 10_000)
        assert rows_of(open_source(tmp_path / "x.json")) == {"a": [1]}


class TestDamageThatNobodyElseWouldSee:
    def test_text_in_parquet_that_is_not_utf8(self, tmp_path):
        pq.write_table(pa.table({"a": ["abcdefgh", "b"]}), tmp_path / "x.parquet", compression="none")
        content = (tmp_path / "x.parquet").read_bytes()
        (tmp_path / "x.parquet").write_bytes(content.replace(b"abcdefgh", b"abc\xff\xfefgh"))
        assert ", column 'a': cannot be read" in refused(tmp_path / "x.parquet")

    def test_names_in_parquet_that_are_not_utf8(self, tmp_path):
        options = {"compression": "none", "store_schema": False}
        pq.write_table(pa.table({"a_long_name": ["x", "y"], "b": ["x", "y"]}), tmp_path / "x.parquet", **options)
        content = (tmp_path / "x.parquet").read_bytes()
        for count in (1, 2):  # in the schema alone, and in the column's own record as well
            damaged = content[::-1].replace(b"a_long_name"[::-1], b"a_l\xff\xfe_name"[::-1], count)[::-1]
            (tmp_path / "x.parquet").write_bytes(damaged)
            assert "cannot be read" in refused(tmp_path / "x.parquet")

    def test_workbooks_for_newer_software(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "x.xlsx", "w") as book:
            book.writestr("[Content_Types].xml", "<Types/>")
        content = bytearray((tmp_path / "x.xlsx").read_bytes())
        content[content.index(b"PK\x01\x02") + 6] = 105
        (tmp_path / "x.xlsx").write_bytes(content)
        assert ": is no workbook that can be read (zip file version 10.5)" in refused(tmp_path / "x.xlsx")

    def test_codes_in_arrow_beyond_their_categories(self, tmp_path):
        column = pa.DictionaryArray.from_arrays(pa.array([0, 1, 77], pa.int32()), pa.array(["x", "y"]), safe=False)
        with pa.OSFile(str(tmp_path / "x.arrow"), "wb") as sink:
            table = pa.table({"a": column})
            with pa.ipc.new_file(sink, table.schema) as writer:
                writer.write_table(table)
        assert "cannot be read" in refused(tmp_path / "x.arrow")

    def test_pages_with_a_wrong_check_sum(self, tmp_path):
        numbers = np.arange(1_000, dtype=np.float64)
        options = {"compression": "none", "use_dictionary": False, "write_page_checksum": True}
        pq.write_table(pa.table({"a": numbers}), tmp_path / "x.parquet", **options)
        content = bytearray((tmp_path / "x.parquet").read_bytes())
        at = content.index(numbers[500:510].tobytes())
        content[at + 3] ^= 1
        (tmp_path / "x.parquet").write_bytes(content)
        assert "cannot be read" in refused(tmp_path / "x.parquet")

    def test_rows_that_are_not_there(self, tmp_path):
        path = tmp_path / "x.arrow"
        pa.feather.write_feather(pa.table({"a": [1, 2]}), path)
        source = open_source(path)
        pa.feather.write_feather(pa.table({"a": [1, 2, 3]}), path)
        with pytest.raises(DataError, match=r"x\.arrow: gave 3 rows where it said 2"):
            list(source.batches())


class TestFilesThatBorrow:
    def test_external_storage(self, tmp_path):
        (tmp_path / "secret").write_bytes(bytes(range(64)))
        with h5py.File(tmp_path / "x.h5", "w") as root:
            root.create_dataset("a", shape=(64,), dtype="u1", external=[(str(tmp_path / "secret"), 0, 64)])
        assert "lies in another file" in refused(tmp_path / "x.h5")

    def test_virtual_datasets(self, tmp_path):
        write_h5(tmp_path / "other.h5", a=np.arange(5))
        layout = h5py.VirtualLayout(shape=(5,), dtype="i8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "a", shape=(5,))
        with h5py.File(tmp_path / "x.h5", "w") as root:
            root.create_virtual_dataset("a", layout)
        assert "lies in another file" in refused(tmp_path / "x.h5")

    def test_links_out_of_a_frame(self, tmp_path):
        import pandas as pd

        pd.DataFrame({"a": [1, 2]}).to_hdf(tmp_path / "other.h5", key="k", format="table")
        pd.DataFrame({"a": [1, 2]}).to_hdf(tmp_path / "x.h5", key="k", format="table")
        with h5py.File(tmp_path / "x.h5", "a") as root:
            del root["k/table"]
            root["k/table"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/k/table")
        assert "lies in another file" in refused(tmp_path / "x.h5")


@pytest.mark.parametrize(
    ("name", "value"), [("memory_bytes", 1), ("silence_s", float("nan")), ("silence_s", 0.0), ("columns", 0)]
)
def test_limits_have_limits(name, value):
    with pytest.raises(ConfigError, match=f"reading.{name}: must be"):
        ReadingConfig(**{name: value})


def test_where_files_are_parsed(monkeypatch):
    assert [is_isolated(each) for each in (Isolation.auto, Isolation.always, Isolation.never)] == [True, True, False]
    monkeypatch.setattr("os.name", "nt")
    assert not is_isolated(Isolation.auto)
    with pytest.raises(ConfigError, match="not possible on this system"):
        is_isolated(Isolation.always)
