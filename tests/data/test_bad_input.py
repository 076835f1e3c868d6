"""Each way in which input can be odd has either a defined meaning, in the notes, or one line that says what to do."""

import gzip
import json
import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mixed_data import WRITERS, csv_bytes, mixed_table, rows_of, write_damaged, write_h5
from pyarrow import fs

from vr.core.errors import ConfigError, DataError
from vr.data.config import Isolation, ReadingConfig
from vr.data.formats import jsonlines
from vr.data.formats.parquet import ParquetReader
from vr.data.formats.reader import InputFile
from vr.data.source import open_source
from vr.pipeline.run_folder import refuse_inside
from vr.pipeline.validate import _files


def refused(path: Path | str, content: bytes | str | None = None, **options: object) -> str:
    """Returns the one line of the error, and checks that it is one and names the file."""
    if content is not None:
        Path(path).write_bytes(content.encode() if isinstance(content, str) else content)
    with pytest.raises(DataError) as caught:
        list(open_source(path, **options).batches())
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value)
    return str(caught.value).replace(str(path), "FILE")


def read(path: Path, content: bytes | str) -> tuple[dict[str, list], list[str]]:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    source = open_source(path)
    return rows_of(source), [note.replace(str(path), "FILE") for note in source.notes]


class TestNothingThere:
    def test_missing(self, tmp_path):
        assert refused(tmp_path / "no.csv") == "FILE: does not exist; check the path"
        assert refused(f"{tmp_path}/*.csv") == "FILE: matches no file"
        assert "does not exist" in refused(f"file://{tmp_path}/no.csv")

    def test_below_a_file(self, tmp_path):
        (tmp_path / "a b.csv").write_text("a\n1\n")
        assert refused(f"file://{tmp_path}/a b.csv/*.csv").endswith("matches no file")

    def test_a_file_uri_may_be_percent_encoded(self, tmp_path):
        path = tmp_path / "a b.csv"
        path.write_text("a\n1\n")
        source = open_source(path.as_uri())
        assert rows_of(source)["a"] == [1]
        # Resuming knows by size and time whether it is the same file.
        before = _files(source)
        assert before[0][2] == path.stat().st_mtime_ns
        (tmp_path / "a b").mkdir()
        with pytest.raises(ConfigError, match="lies inside the dataset"):
            refuse_inside(tmp_path / "a b" / "out", [replace(source, uri=(tmp_path / "a b").as_uri())])

    def test_unknown_kind_of_address(self):
        assert "cannot be reached" in refused("gopher://host/x.csv")

    @pytest.mark.parametrize("name", ["x.csv", "x.parquet", "x.json", "x.h5", "x.xlsx", "x.arrow"])
    def test_empty_file(self, tmp_path, name):
        assert refused(tmp_path / name, b"") == "FILE: is empty (0 bytes)"

    def test_folder_without_data(self, tmp_path):
        assert "holds no data files" in refused(tmp_path)
        (tmp_path / "x.csv").mkdir()
        assert "holds no data files" in refused(tmp_path / "x.csv")
        (tmp_path / "a.csv").touch()
        assert "holds only empty files" in refused(tmp_path)

    @pytest.mark.parametrize(
        ("name", "text"),
        [("x.csv", "a,b\n"), ("x.csv", "a,b"), ("x.csv", "\n\n"), ("x.json", "[]"), ("x.jsonl", "\n\n")],
    )
    def test_header_only(self, tmp_path, name, text):
        said = refused(tmp_path / name, text)
        assert "has no rows" in said or (text == "\n\n" and "should be json" in said)

    def test_no_rows_in_binary_formats(self, tmp_path):
        empty = mixed_table().slice(0, 0)
        for name in ("t.parquet", "t.feather", "t.arrow", "t.xlsx"):
            WRITERS[name](empty, tmp_path / name)
            assert "has no rows" in refused(tmp_path / name)
        pd.DataFrame({"a": []}).to_hdf(tmp_path / "t.h5", key="k")
        assert "has no rows" in refused(tmp_path / "t.h5")
        with pytest.raises(DataError, match="<pyarrow.Table>: has no rows"):
            open_source(empty)

    def test_unreadable(self):
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "x.csv"
            path.write_text("a\n1\n")
            path.chmod(0)
            os.chmod(name, 0o755)
            user = os.geteuid()
            if user == 0:
                # Root may read everything: as somebody else, then. A process of its own would be root's again.
                os.seteuid(65_534)
            try:
                said = refused(path, reading=ReadingConfig(isolation=Isolation.never))
            finally:
                os.seteuid(user)
        assert "permissions" in said

    def test_a_file_that_goes_away(self, tmp_path):
        (tmp_path / "x.csv").write_text("a\n1\n")
        source = open_source(tmp_path / "x.csv")
        (tmp_path / "x.csv").unlink()
        with pytest.raises(DataError, match="is not there any more"):
            list(source.batches())


class TestMislabelledAndDamaged:
    @pytest.mark.parametrize(("named", "really"), [("t.parquet", "t.csv"), ("t.csv", "t.parquet"), ("t.h5", "t.xlsx")])
    def test_a_wrong_name_is_told_with_the_right_format(self, tmp_path, named, really):
        WRITERS[really](mixed_table(), tmp_path / really)
        right = {"t.csv": "csv", "t.parquet": "parquet", "t.xlsx": "xlsx"}[really]
        said = refused(tmp_path / named, (tmp_path / really).read_bytes())
        assert "looks like" in said
        assert said.endswith(f"rename it or pass --format {right}")
        assert open_source(tmp_path / named, format=right).num_rows == mixed_table().num_rows

    def test_csv_and_json_are_told_apart(self, tmp_path):
        assert "looks like json" in refused(tmp_path / "x.csv", '{"a": 1}\n')
        assert "looks like csv" in refused(tmp_path / "x.json", "a,b\n1,2\n")

    @pytest.mark.parametrize("name", ["t.parquet", "t.feather", "t.arrow", "t.h5", "t.xlsx"])
    @pytest.mark.parametrize("part", [0.3, 0.95])
    def test_truncated(self, tmp_path, name, part):
        WRITERS[name](mixed_table(), tmp_path / "whole")
        whole = (tmp_path / "whole").read_bytes() if (tmp_path / "whole").exists() else b""
        assert "again" in refused(tmp_path / name, whole[: int(len(whole) * part)])

    def test_truncated_text(self, tmp_path):
        packed = gzip.compress(csv_bytes(mixed_table(2000)))
        assert "Truncated" in refused(tmp_path / "x.csv.gz", packed[:-200])
        assert "ends too early" in refused(tmp_path / "x.json", '[{"a": 1}')
        assert "damaged" in refused(tmp_path / "x.jsonl", '{"a": 1}\n{"a"')

    @pytest.mark.parametrize("name", ["x.parquet", "x.arrow", "x.csv", "x.json", "x.h5", "x.xlsx"])
    def test_junk(self, tmp_path, name):
        junk = np.random.default_rng(0).integers(0, 256, 5000).astype(np.uint8).tobytes()
        assert "looks like binary data" in refused(tmp_path / name, junk)

    @pytest.mark.parametrize(
        ("name", "magic"), [("x.parquet", b"PAR1"), ("x.arrow", b"ARROW1"), ("x.xlsx", b"PK\x03\x04")]
    )
    def test_junk_with_the_right_beginning(self, tmp_path, name, magic):
        assert "again" in refused(tmp_path / name, magic + b"junk" * 50)

    def test_damage_in_the_middle_strikes_in_the_middle_of_a_pass(self, tmp_path):
        path = tmp_path / "x.parquet"
        write_damaged(path)
        batches = open_source(path).batches(batch_rows=50_000)
        assert next(batches)["a"][0].as_py() == 0
        with pytest.raises(DataError, match="cannot be read"):
            list(batches)

    def test_old_and_foreign_formats_are_named(self, tmp_path):
        assert "xls" in refused(tmp_path / "x.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600))
        assert "a PDF" in refused(tmp_path / "report", b"%PDF-1.7\n")

    def test_mixed_formats_name_the_odd_file(self, tmp_path):
        for name in ("a.csv", "b.csv", "c.parquet"):
            WRITERS["t" + Path(name).suffix](mixed_table(), tmp_path / name)
        with pytest.raises(DataError, match=r"c\.parquet: is parquet among csv files"):
            open_source(tmp_path)

    def test_files_must_have_the_same_columns_and_types(self, tmp_path):
        pq.write_table(pa.table({"a": [1], "b": [2]}), tmp_path / "1.parquet")
        pq.write_table(pa.table({"a": [1]}), tmp_path / "2.parquet")
        with pytest.raises(DataError, match=r"2\.parquet: lacks column 'b'"):
            open_source(tmp_path)
        pq.write_table(pa.table({"a": [1], "b": ["x"]}), tmp_path / "2.parquet")
        with pytest.raises(DataError, match=r"2\.parquet, column 'b': is .*, but int64 in the files before"):
            open_source(tmp_path)
        pq.write_table(pa.table({"a": [1], "b": [2], "c": [3]}), tmp_path / "2.parquet")
        with pytest.raises(DataError, match=r"2\.parquet: has a column 'c' of its own"):
            open_source(tmp_path)


class TestNames:
    def test_duplicates(self, tmp_path):
        assert "column 'a' occurs twice" in refused(tmp_path / "x.csv", "a,b,a\n1,2,3\n")
        assert "column 'a' occurs twice" in refused(tmp_path / "x.json", '{"a": 1, "a": 2}\n')
        pq.write_table(pa.table([[1], [2]], names=["a", "a"]), tmp_path / "x.parquet")
        assert "column 'a' occurs twice" in refused(tmp_path / "x.parquet")
        for frame in (pa.table([[1], [2]], names=["a", "a"]), pd.DataFrame([[1, 2]], columns=["a", "a"])):
            with pytest.raises(DataError, match="'a'"):
                open_source(frame)

    def test_empty_names_are_filled_in(self, tmp_path):
        rows, notes = read(tmp_path / "x.csv", ",b,\n1,2,3\n")
        assert rows == {"column_1": [1], "b": [2], "column_3": [3]}
        assert notes[1] == "column 3 has no name: called 'column_3'"
        assert "column 'column_2' occurs twice" in refused(tmp_path / "y.csv", "column_2,\n1,2\n")

    def test_a_dotted_name_is_not_a_nested_one(self, tmp_path):
        pq.write_table(pa.table({"a": [1], "a.b": [2]}), tmp_path / "x.parquet")
        assert rows_of(open_source(tmp_path / "x.parquet"), ["a"]) == {"a": [1]}


class TestDelimited:
    def test_ragged_lines_are_named_by_number(self, tmp_path):
        said = refused(tmp_path / "x.csv", 'a,b\n1,"two\nlines"\n\n1,2,3\n')
        assert said == "FILE, line 5: has 3 values where the header names 2 columns; mend or quote that line"

    def test_numbers_among_text_are_text(self, tmp_path):
        for text in ("a\n1\nx\n", "a\nx\n1\n", "a\n" + "1\n" * 3_000_000 + "x\n"):
            rows, notes = read(tmp_path / "x.csv", text)
            assert set(rows["a"]) == {"1", "x"}
            assert notes == ["column 'a' mixes numbers and text: read as text"]

    def test_missing_values(self, tmp_path):
        rows, _ = read(tmp_path / "x.csv", 'a,b,c\n1,,x\nNA,nan,""\n3,inf,null\n')
        assert rows == {"a": [1, None, 3], "b": [None, None, float("inf")], "c": ["x", None, None]}

    def test_all_null_and_constant_columns(self, tmp_path):
        (tmp_path / "x.csv").write_text("a,b\n,5\n,5\n")
        source = open_source(tmp_path / "x.csv")
        assert source.schema == pa.schema([("a", pa.null()), ("b", pa.int64())])
        assert rows_of(source) == {"a": [None, None], "b": [5, 5]}

    def test_encodings(self, tmp_path):
        text = "naïve,b\ncafé,1\n"
        rows, notes = read(tmp_path / "x.csv", text.encode("latin-1"))
        assert rows == {"naïve": ["café"], "b": [1]}
        assert notes == ["file FILE is not UTF-8: read as latin-1"]
        late = "a,b\n" + "x,1\n" * 2_000_000 + "é,1\n"
        rows, notes = read(tmp_path / "x.csv", late.encode("latin-1"))
        assert rows["a"][-1] == "é"
        assert len(rows["a"]) == 2_000_001
        for encoding in ("utf-8-sig", "utf-16"):
            assert read(tmp_path / "x.csv", text.encode(encoding))[0] == {"naïve": ["café"], "b": [1]}
        assert "binary data" in refused(tmp_path / "x.csv", text.encode("utf-16-le"))

    def test_nul_bytes(self, tmp_path):
        assert "binary data" in refused(tmp_path / "x.csv", b"a,b\n1,x\x00y\n")

    def test_a_cell_of_millions_of_characters(self, tmp_path):
        rows, _ = read(tmp_path / "x.csv", "a,b\n1," + "x" * 9_000_000 + "\n2,y\n")
        assert [len(cell) for cell in rows["b"]] == [9_000_000, 1]
        assert rows["a"] == [1, 2]

    def test_a_long_cell_far_down_loses_and_repeats_no_row(self, tmp_path):
        numbers = "".join(f"{i},x\n" for i in range(700_000))
        rows, _ = read(tmp_path / "x.csv", "a,b\n" + numbers + "700000," + "y" * 9_000_000 + "\n700001,z\n")
        assert rows["a"] == list(range(700_002))

    def test_very_many_columns(self, tmp_path):
        names = [f"c{i}" for i in range(5000)]
        rows, _ = read(tmp_path / "x.csv", ",".join(names) + "\n" + ",".join("1" * 5000) + "\n")
        assert list(rows) == names

    def test_one_column_one_row(self, tmp_path):
        assert read(tmp_path / "x.csv", "a\n1\n")[0] == {"a": [1]}
        assert read(tmp_path / "x.csv", "a\r\n1\r\n2")[0] == {"a": [1, 2]}

    def test_other_delimiters_are_noticed(self, tmp_path):
        rows, notes = read(tmp_path / "x.csv", "a;b\n1;2\n")
        assert rows == {"a": [1], "b": [2]}
        assert notes == ["file FILE is split at each semicolon"]
        rows, notes = read(tmp_path / "x.csv", "a;b\n1;é\n".encode("latin-1"))
        assert rows == {"a": [1], "b": ["é"]}
        assert notes == ["file FILE is not UTF-8: read as latin-1", "file FILE is split at each semicolon"]

    @pytest.mark.parametrize("cell", ["UTF8", "invalid UTF8 data"])
    def test_a_long_row_that_speaks_of_its_encoding(self, tmp_path, cell):
        said = refused(tmp_path / "x.csv", f"a,b\n1,2\n1,{cell},3\n")
        assert "line 3: has 3 values where the header names 2 columns" in said

    @pytest.mark.parametrize(
        ("name", "text"), [("x.csv", "a,b\n1,x\n"), ("x.jsonl", '{"a": "x"}\n'), ("x.json", '[{"a": "x"}]')]
    )
    def test_damaged_utf16_is_not_taken_for_latin1(self, tmp_path, name, text):
        content = text.encode("utf-16")
        place = content.index(b"x")
        for damaged in (content[:-1], content[:place] + b"\x00\xdc" + content[place + 2 :]):
            assert "cannot be read ('utf-16-le' codec" in refused(tmp_path / name, damaged)

    def test_text_that_stops_being_utf8_after_it_was_opened(self, tmp_path):
        path = tmp_path / "x.csv"
        path.write_bytes(b"a,b\nxx,1\n")
        source, told = open_source(path), path.stat()
        path.write_bytes(b"a,b\nx\xe9,1\n")
        os.utime(path, ns=(told.st_atime_ns, told.st_mtime_ns))
        with pytest.raises(DataError, match="cannot be read"):
            list(source.batches())

    @pytest.mark.parametrize("codec", ["gzip", "zstd"])
    def test_compressed(self, tmp_path, codec):
        sink = pa.BufferOutputStream()
        with pa.CompressedOutputStream(sink, codec) as packed:
            packed.write(b"a,b\n1,x\n")
        for name in ("x.csv.gz", "x.csv"):
            assert read(tmp_path / name, sink.getvalue().to_pybytes())[0] == {"a": [1], "b": ["x"]}

    def test_dates_times_and_truth(self, tmp_path):
        text = "d,t,z,b\n2024-01-02,2024-01-02,2024-01-02T03:04:05Z,true\n2024-01-03,2024-01-02 03:04:05.5,,FALSE\n"
        (tmp_path / "x.csv").write_text(text)
        types = {field.name: str(field.type) for field in open_source(tmp_path / "x.csv").schema}
        assert types == {"d": "date32[day]", "t": "timestamp[us]", "z": "timestamp[s, tz=UTC]", "b": "bool"}
        assert rows_of(open_source(tmp_path / "x.csv"))["b"] == [True, False]


class TestJson:
    def test_mixed_values_are_spelt_as_in_json(self, tmp_path):
        for text in ('{"a": 1}\n{"a": "x"}\n{"a": true}\n', '[{"a": 1}, {"a": "x"},\n{"a": true}]'):
            rows, notes = read(tmp_path / "x.json", text)
            assert rows == {"a": ["1", "x", "true"]}
            assert notes == ["column 'a' mixes numbers and text: read as text"]

    def test_a_change_of_kind_far_down(self, tmp_path, monkeypatch):
        monkeypatch.setattr(jsonlines, "_BLOCK_BYTES", 1 << 16)
        rows, _ = read(tmp_path / "x.jsonl", '{"a": 1}\n' * 20_000 + '{"b": 2.5, "a": "x"}\n')
        assert rows["a"][0] == "1"
        assert rows["a"][-1] == "x"
        assert rows["b"][-1] == 2.5

    def test_missing_keys_are_null_and_nested_values_left_out(self, tmp_path):
        rows, notes = read(tmp_path / "x.json", '{"a": 1, "n": {"x": 1}}\n{"b": null, "l": [1]}\n{"l": 3}\n')
        assert rows == {"a": [1, None, None], "b": [None] * 3}
        assert notes == ["column 'n' is a struct: left out", "column 'l' is a list: left out"]

    @pytest.mark.parametrize("text", ["[1, 2]", '[{"a": 1}] more', '{"a": 1}\n[2]\n'])
    def test_neither_lines_nor_an_array_of_objects(self, tmp_path, text):
        assert "write one object per line" in refused(tmp_path / "x.json", text)

    def test_without_utf8(self, tmp_path):
        rows, notes = read(tmp_path / "x.json", '{"a": "é"}\n'.encode("latin-1"))
        assert rows == {"a": ["é"]}
        assert notes == ["file FILE is not UTF-8: read as latin-1"]

    def test_a_long_string(self, tmp_path):
        for text in ('{"a": "%s"}\n{"a": "y"}', '[{"a": "%s"}, {"a": "y"}]'):
            rows, _ = read(tmp_path / "x.json", text % ("x" * 9_000_000))
            assert [len(cell) for cell in rows["a"]] == [9_000_000, 1]

    @pytest.mark.parametrize("block_bytes", [1 << 17, 4 << 20])
    @pytest.mark.parametrize(
        "deep", ["[" * 200_000 + "]" * 200_000, "[\n" * 200_000, '{"a": ' * 200_000 + "1" + "}" * 200_000]
    )
    @pytest.mark.parametrize(
        ("text", "line"),
        [
            ('{"a": %s}\n', 1),  # alone in its block, pyarrow would overflow the stack
            ('\n\n{"a": 1}\n\n{"a": "\\"]]"}\n{"a": %s}\n{"a": 3}', 6),
            ('\n[{"a": 1},\n{"a": 2},\n{"a": %s}]', 4),
        ],
    )
    def test_deep_nesting_names_file_and_line(self, tmp_path, monkeypatch, text, line, deep, block_bytes):
        monkeypatch.setattr(jsonlines, "_BLOCK_BYTES", block_bytes)
        assert refused(tmp_path / "x.json", text % deep).startswith(f"FILE, line {line}: is nested too deeply")

    def test_many_brackets_side_by_side_or_in_text_are_not_deep(self, tmp_path):
        text = json.dumps({"a": "[{" * 2_000, "b": [[]] * 2_000})
        rows, notes = read(tmp_path / "x.json", text + "\n")
        assert rows == {"a": ["[{" * 2_000]}
        assert notes == ["column 'b' is a list: left out"]


class TestWorkbooks:
    def save(self, path: Path, *rows: list) -> Path:
        book = openpyxl.Workbook()
        for row in rows:
            book.active.append(row)
        book.create_sheet("more")
        book.save(path)
        return path

    def test_odd_cells(self, tmp_path):
        path = self.save(tmp_path / "x.xlsx", ["a", None, "c"], [1, "x", "#N/A"], [], ["y", None, 2.5])
        source = open_source(path)
        assert rows_of(source) == {"a": ["1", "y"], "column_2": ["x", None], "c": [None, 2.5]}
        assert "column 'a' mixes numbers and text: read as text" in source.notes
        assert any("only the first of 2 sheets" in note for note in source.notes)

    @pytest.mark.parametrize("size", ["A1:B2", "A1", "A1:XFD1048576", "C3:D9"])
    def test_a_wrong_size_in_the_file_changes_nothing(self, tmp_path, size):
        import zipfile

        rows = (["a", "b", "c"], [1, "x"], [], [2, "y", 2.5], [3], [None, None, None], [])
        path = self.save(tmp_path / "right.xlsx", *rows)
        with zipfile.ZipFile(path) as right, zipfile.ZipFile(tmp_path / "wrong.xlsx", "w") as wrong:
            for name in right.namelist():
                content = right.read(name)
                if name == "xl/worksheets/sheet1.xml":
                    content, edits = re.subn(
                        rb'<dimension ref="[^"]*"', b'<dimension ref="%s"' % size.encode(), content
                    )
                    assert edits == 1
                wrong.writestr(name, content)
        source = open_source(tmp_path / "wrong.xlsx")
        assert source.num_rows == 3
        assert rows_of(source) == {"a": [1, 2, 3], "b": ["x", "y", None], "c": [None, 2.5, None]}

    def test_an_empty_sheet(self, tmp_path):
        assert "has no rows" in refused(self.save(tmp_path / "x.xlsx"))
        assert "has no rows" in refused(self.save(tmp_path / "x.xlsx", ["a", "b"]))

    def test_a_zip_that_is_no_workbook(self, tmp_path):
        import zipfile

        with zipfile.ZipFile(tmp_path / "x.xlsx", "w") as archive:
            archive.writestr("hello.txt", "hello")
        assert "no workbook" in refused(tmp_path / "x.xlsx")


class TestHdf5:
    def test_plain_datasets(self, tmp_path):
        path = write_h5(
            tmp_path / "x.h5",
            a=np.arange(3, dtype=">i4"),
            s=["x", "é", ""],
            b=np.array([b"p", b"q", b""]),
            t=np.array([True, False, True]),
            X=np.arange(6.0).reshape(3, 2),
        )
        assert rows_of(open_source(path), batch_rows=2) == {
            "X_0": [0.0, 2.0, 4.0],
            "X_1": [1.0, 3.0, 5.0],
            "a": [0, 1, 2],
            "b": ["p", "q", ""],
            "s": ["x", "é", ""],
            "t": [True, False, True],
        }

    def test_a_compound_dataset_in_a_group(self, tmp_path):
        rows = np.array([(1, 2.5, b"x"), (3, 4.5, b"y")], dtype=[("i", "i4"), ("f", "f8"), ("s", "S3")])
        path = write_h5(tmp_path / "x.h5", **{"deep/down": rows})
        assert rows_of(open_source(path)) == {"i": [1, 3], "f": [2.5, 4.5], "s": ["x", "y"]}

    def test_unequal_lengths_name_both(self, tmp_path):
        said = refused(write_h5(tmp_path / "x.h5", a=np.arange(3), b=np.arange(4)))
        assert "dataset '/a' has 3 rows but '/b' has 4" in said

    def test_no_table(self, tmp_path):
        assert "holds no table" in refused(write_h5(tmp_path / "x.h5"))
        assert "holds no table" in refused(write_h5(tmp_path / "x.h5", cube=np.zeros((2, 2, 2))))
        source = open_source(write_h5(tmp_path / "x.h5", a=np.zeros(2), c=np.zeros(2) * 1j))
        assert source.notes == ["dataset '/c' of 1 dimensions, complex128: left out"]

    @pytest.mark.parametrize("data_columns", [True, None])
    def test_pandas_tables(self, tmp_path, data_columns):
        frame = pd.DataFrame(
            {
                "b": [1.5, None, 2.5],
                "a": [1, 2, 3],
                "s": ["x", None, "z"],
                "when": pd.to_datetime(["2024-01-02", None, "2024-01-03"]),
                "t": [True, False, True],
                "c": pd.Categorical(["u", None, "v"]),
                "a2": [4, 5, 6],
            }
        )
        frame.to_hdf(tmp_path / "x.h5", key="k", format="table", data_columns=data_columns)
        source = open_source(tmp_path / "x.h5")
        got = rows_of(source, batch_rows=2)
        assert list(got) == list(frame)
        assert got["s"] == ["x", None, "z"]
        assert got["c"] == ["u", None, "v"]
        assert got["t"] == [True, False, True]
        assert got["a2"] == [4, 5, 6]
        assert [str(day) for day in got["when"]] == ["2024-01-02 00:00:00", "None", "2024-01-03 00:00:00"]
        assert source.schema.field("c").type == pa.dictionary(pa.int32(), pa.string())

    def test_pandas_fixed(self, tmp_path):
        frame = pd.DataFrame(
            {
                "b": [1.5, 2.5],
                "t": [True, False],
                "when": pd.to_datetime(["2024-01-02", None]),
                "a": [1, 2],
                7: [0.5, 1.5],
            }
        )
        frame.columns = frame.columns.astype(str)
        frame.to_hdf(tmp_path / "x.h5", key="k", format="fixed")
        got = rows_of(open_source(tmp_path / "x.h5"))
        assert list(got) == ["b", "t", "when", "a", "7"]
        assert got["t"] == [True, False]
        assert [str(day) for day in got["when"]] == ["2024-01-02 00:00:00", "None"]

    @pytest.mark.filterwarnings("ignore::pandas.errors.PerformanceWarning")
    def test_pickled_strings_are_refused_with_what_to_do(self, tmp_path):
        pd.DataFrame({"a": [1], "s": ["x"]}).to_hdf(tmp_path / "x.h5", key="k", format="fixed")
        said = refused(tmp_path / "x.h5")
        assert said.startswith("FILE, column 's': is stored as pickled Python objects")
        assert 'format="table"' in said

    def test_the_first_of_many_frames(self, tmp_path):
        for key in ("b", "a"):
            pd.DataFrame({key: [1]}).to_hdf(tmp_path / "x.h5", key=key, format="table")
        source = open_source(tmp_path / "x.h5")
        assert source.schema.names == ["a"]
        assert "only frame '/a' of 2 is read" in source.notes[0]


class TestFrames:
    def test_what_is_no_dataset(self):
        for data in (3, {"a": [1]}, [1, 2], None):
            with pytest.raises(DataError, match="is not a dataset; give a path"):
                open_source(data)

    def test_mixed_objects_name_the_column(self):
        with pytest.raises(DataError, match="column a with type object"):
            open_source(pd.DataFrame({"a": [1, "x"]}))

    def test_nothing_but_nested_columns(self):
        with pytest.raises(DataError, match="has no column that can be used; column 'a' is a list"):
            open_source(pa.table({"a": [[1]]}))

    def test_a_stream_that_breaks(self):
        schema = pa.schema([("a", pa.int64())])

        def batches():
            yield pa.record_batch([[1]], schema=schema)
            raise OSError("the line went dead")

        with pytest.raises(DataError, match="RecordBatchReader>: cannot be read .*the line went dead"):
            open_source(pa.RecordBatchReader.from_batches(schema, batches()))


def test_parquet_far_away_is_read_by_row_groups(tmp_path):
    table = mixed_table()
    WRITERS["t.parquet"](table, tmp_path / "t.parquet")
    far = fs.SubTreeFileSystem(str(tmp_path), fs.LocalFileSystem())
    size = (tmp_path / "t.parquet").stat().st_size
    reader = ParquetReader(InputFile("far://t.parquet", size, far, "t.parquet"))
    assert not reader.file.is_local
    got = pa.Table.from_batches(reader.read(pa.schema([reader.schema.field("count")]), 1000))
    assert got["count"].to_pylist() == table["count"].to_pylist()
