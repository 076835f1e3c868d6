"""Text, Arrow and HDF5 files in parts: the same rows, types, profiles and errors as whole, however they are cut."""

import gzip
import io
import json
import os
import re
import time
from pathlib import Path

import h5py
import numpy as np
import pyarrow as pa
import pyarrow.csv as pacsv
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mixed_data import rows_of

from tests.data.test_passes import Counting, age, work_for
from tests.data.test_profile import assert_same, large_table, profiler_of
from vr.core.errors import DataError
from vr.data import shared
from vr.data.config import Isolation, ReadingConfig
from vr.data.formats import delimited, delimited_rows, hdf5, jsonlines
from vr.data.formats.delimited_rows import header_end, rows_end
from vr.data.formats.opening import open_reader
from vr.data.formats.reader import told_layout
from vr.data.partition import plan
from vr.data.passes import Known, Passes
from vr.data.source import Source, open_source

SOUP = st.text('a", \n\r;é', max_size=40).map(str.encode)


def rows_end_by_hand(text: bytes, delimiter: str) -> int:
    """Character by character, as pyarrow's parser goes."""
    end, state = {b"\n": 0, b"\r": 0}, "start"
    signs = [text[i : i + 1] for i in range(len(text))]
    at = 0
    while at < len(signs):
        sign = signs[at]
        at += 1
        if state == "quoted":
            if sign == b'"' and signs[at : at + 1] == [b'"']:
                at += 1
            elif sign == b'"':
                state = "cell"
        elif sign == b'"' and state == "start":
            state = "quoted"
        elif sign in end:
            end[sign], state = at, "start"
        else:
            state = "start" if sign == delimiter.encode() else "cell"
    return end[b"\n"] or end[b"\r"]


@given(SOUP, st.sampled_from(",;"), st.integers(1, 50))
@settings(max_examples=500)
def test_rows_end_where_a_parser_that_goes_by_characters_says(text, delimiter, piece_bytes):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited_rows, "_PIECE_BYTES", piece_bytes)
        assert rows_end(text, delimiter) == rows_end_by_hand(text, delimiter)


def test_a_long_row_of_many_quotes_takes_no_hours(tmp_path):
    (tmp_path / "x.csv").write_text("a,b\n" + '1,"' + 'x"",y\n' * 2_000_000 + '"\n2,z\n')
    started = time.process_time()
    assert [len(cell) for cell in rows_of(open_source(tmp_path / "x.csv"))["b"]] == [10_000_000, 1]
    assert time.process_time() - started < 20


@pytest.mark.parametrize(
    ("text", "end"),
    [
        (b"a,b\n1,2\n3", 8),
        (b'1,"x\n3,4\n', 0),
        (b'1,"x\n"\n3,4', 7),
        (b'1,"x""\n"\n3,4', 9),
        (b'1,""\n3,4', 5),
        (b'5" pipe,x\n6" pipe,"y\n"', 10),  # a quote within a cell is a character like any other
        (b'"a"b"\nc', 6),
        (b"1\r2\r3", 4),
        (b"1\r\n2\r\n3", 6),
        (b"", 0),
    ],
)
def test_where_rows_end(text, end):
    assert rows_end(text, ",") == end


def test_the_header_may_come_after_blank_lines_and_hold_some():
    assert header_end(b'\n\r\n"a\n",b\n1,2\n', ",") == 10
    assert header_end(b"a,b", ",") == 3
    assert header_end(b'a,"b\n1', ",") == 6


# As they are spelt, with what they hold.
CELLS = st.one_of(
    st.text("ab1 .\u00e9", max_size=4),
    st.text('a",\n\r\u00e9;', max_size=5).map(lambda cell: '"' + cell.replace('"', '""') + '"'),
    st.sampled_from(['5" x', 'a"b"', '"a"b', '"a"b"c', '""""', "NA", "1", "2.5", "\ufeff1"]),
)
ENDS = st.sampled_from(["\n", "\r\n", "\n\n", "\r\n\r\n", "\r"])


@st.composite
def spelt_tables(draw) -> tuple[bytes, int]:
    """The text of a table in csv, and how many columns it has."""
    columns = draw(st.integers(1, 3))
    rows = draw(st.lists(st.lists(CELLS, min_size=columns, max_size=columns), min_size=1, max_size=25))
    header = ",".join(f'"c{i}"' if draw(st.booleans()) else f"c{i}" for i in range(columns))
    text = draw(st.sampled_from(["", "\ufeff", "\n"])) + header
    for row in rows:
        # A line with nothing on it is no row.
        cells = ['""' if columns == 1 and not cell else cell for cell in row]
        text += draw(ENDS) + ",".join(cells)
    return (text + draw(st.sampled_from(["", "\n", "\r\n"]))).encode(), columns


def strings_of(content: bytes, columns: int) -> pa.Table:
    """A whole csv as pyarrow reads it in one block."""
    body = content.removeprefix("\ufeff".encode()).lstrip(b"\n")
    names = [f"c{i}" for i in range(columns)]
    convert = pacsv.ConvertOptions(
        strings_can_be_null=True, null_values=delimited._NULLS, column_types=dict.fromkeys(names, pa.string())
    )
    return pacsv.read_csv(
        io.BytesIO(body + b"\n"),
        read_options=pacsv.ReadOptions(block_size=len(body) + 100),
        parse_options=pacsv.ParseOptions(newlines_in_values=True),
        convert_options=convert,
    )


@given(spelt_tables(), st.integers(1, 40))
@settings(max_examples=150)
def test_blocks_of_a_csv_hold_the_rows_that_pyarrow_reads(tmp_path_factory, spelt, block_bytes):
    content, columns = spelt
    path = tmp_path_factory.getbasetemp() / "spelt.csv"
    path.write_bytes(content)
    whole = open_source(path)
    wanted = strings_of(content, columns)
    assert whole.num_rows == wanted.num_rows
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "_BLOCK_BYTES", block_bytes)
        source = open_source(path)
        assert (source.schema, source.notes) == (whole.schema, whole.notes)
        (reader,) = source.readers
        strings = pa.schema([(name, pa.string()) for name in reader.schema.names])
        (groups,) = source.group_rows or []
        assert sum(groups) == wanted.num_rows
        found = pa.Table.from_batches(reader.read(strings, 10), strings)
        assert found.to_pylist() == wanted.to_pylist()
        for most in (1, 2, 7):
            cut = plan([groups], most)
            parts = [batch for each in cut for batch in source.batches(None, 10, each)]
            assert str(pa.Table.from_batches(parts).to_pylist()) == rows_as_text(whole)


def rows_as_text(source: Source) -> str:
    # As text: NaN is itself there.
    return str(pa.Table.from_batches(source.batches()).to_pylist())


def text_of(table: pa.Table, ending: str, newline: str = "\n") -> str:
    """A table's rows in csv or jsonl, texts in the worst of spellings."""
    rows = table.to_pylist()
    if ending == "jsonl":
        return "".join(json.dumps(row, default=str) + newline for row in rows)

    def spelt(value: object) -> str:
        return "" if value is None else '"' + value.replace('"', '""') + '"' if isinstance(value, str) else str(value)

    lines = [",".join(table.schema.names), *(",".join(spelt(value) for value in row.values()) for row in rows)]
    return newline.join(lines)


@pytest.fixture(scope="module")
def nasty() -> pa.Table:
    table = large_table(3_000).replace_schema_metadata(None)
    rng = np.random.default_rng(1)
    words = np.array(['a\n"b"', "c,d\r\n", '""', "\n\n", "x", '"', 'e""f,\n'])
    return table.append_column("nasty", pa.array(words[rng.integers(0, len(words), 3_000)]))


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1", "utf-16"])
def test_a_profile_is_the_same_at_any_number_of_partitions(nasty, tmp_path, monkeypatch, ending, newline, encoding):
    path = tmp_path / f"x.{ending}"
    text = text_of(nasty, ending, newline)
    text = text.replace('"x"', '"\u00e9"')
    path.write_bytes(text.encode(encoding))
    source = open_source(path)
    assert source.num_rows == len(nasty)
    sampled = pa.Table.from_batches(source.batches())
    profiler = profiler_of(sampled, 100)
    whole = profiler.run(source.batches())
    for block_bytes in (4_000, 40_000):
        monkeypatch.setattr(delimited, "_BLOCK_BYTES", block_bytes)
        monkeypatch.setattr(jsonlines, "_BLOCK_BYTES", block_bytes)
        source = open_source(path)
        assert source.schema == sampled.schema
        for parts in (1, 2, 7):
            engine = Counting()
            passes = Passes(engine, -(-len(nasty) // parts))
            assert_same(passes.run(source, work_for(profiler, source), 257, lambda done: None), whole)
            # Text that is recoded is read from its start.
            assert len(engine.did) == 1 if parts == 1 or encoding == "utf-16" else len(engine.did) >= parts


def test_a_killed_pass_goes_on_in_the_middle_of_a_csv(nasty, tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "_BLOCK_BYTES", 10_000)
    path, kept = tmp_path / "x.csv", tmp_path / "kept"
    path.write_text(text_of(nasty, "csv"))
    age(path)
    source = open_source(path)
    profiler = profiler_of(nasty.slice(0, 1_000), 100)
    work = work_for(profiler, source)
    whole = profiler.run(source.batches())
    with pytest.raises(KeyboardInterrupt):
        Passes(Counting(stop_after=3), 500, kept).run(source, work, 100, lambda done: None)
    said: list[Known] = []
    engine = Counting()
    again = Passes(engine, 500, kept).run(open_source(path), work, 100, lambda done: None, said.append)
    assert_same(again, whole)
    assert 0 < said[0].rows < len(nasty)
    assert len(engine.did) + 3 == len(plan(source.group_rows or [], 500))


def test_a_large_file_is_cut_alike_in_processes_of_their_own(tmp_path):
    path = tmp_path / "x.csv"
    rng = np.random.default_rng(0)
    table = pa.table({"a": rng.normal(size=400_000), "b": [f'text, of "row"\n{i}' for i in range(400_000)]})
    pacsv.write_csv(table, path)
    source = open_source(path, reading=ReadingConfig(isolation=Isolation.always))
    (groups,) = source.group_rows or []
    assert len(groups) > 3
    first, second, *_ = plan([groups], 150_000)
    # Two passes beside each other are in two processes.
    passes = [source.batches(None, 65_536, each) for each in (first, second)]
    heads = [next(each) for each in passes]
    for part, head, rest in zip((first, second), heads, passes, strict=True):
        there = pa.Table.from_batches([head, *rest])
        assert there.equals(table.slice(part.row_start, part.rows))


@pytest.mark.parametrize("isolation", [Isolation.never, Isolation.always])
@pytest.mark.parametrize("ending", ["csv", "jsonl", "csv.gz"])
def test_who_is_told_the_layout_needs_no_pass(nasty, tmp_path, monkeypatch, ending, isolation):
    path = tmp_path / f"x.{ending}"
    text = text_of(nasty, ending.removesuffix(".gz")).encode()
    path.write_bytes(gzip.compress(text) if ending.endswith("gz") else text)
    source = open_source(path, reading=ReadingConfig(isolation=isolation))
    wanted = rows_as_text(source)
    layout = json.loads(json.dumps(told_layout(source.readers[0])))

    def never(*_: object) -> None:
        raise AssertionError("went through the file")

    monkeypatch.setattr(delimited.DelimitedReader, "_settled", never)
    monkeypatch.setattr(jsonlines.JsonReader, "_settled", never)
    reader = open_reader(source.inputs[0], source.format, layout)
    assert reader.schema == source.schema
    assert str(pa.Table.from_batches(reader.read(reader.schema, 10)).to_pylist()) == wanted
    # A worker of a cluster is told it with its partition.
    there, part = shared.open_share(shared.share(source, plan(source.group_rows or [], 10_000)[0]))
    assert str(pa.Table.from_batches(there.batches(None, 500, part)).to_pylist()) == wanted
    shared._readers.cache_clear()
    shared._processes.cache_clear()
    path.write_bytes(path.read_bytes() + b"\n")
    with pytest.raises(DataError, match="has changed since it was opened"):
        open_reader(source.inputs[0], source.format, layout)


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_a_file_that_is_cut_short_while_it_is_read_has_changed(nasty, tmp_path, monkeypatch, ending):
    monkeypatch.setattr(delimited, "_BLOCK_BYTES", 4_000)
    monkeypatch.setattr(jsonlines, "_BLOCK_BYTES", 4_000)
    path = tmp_path / f"x.{ending}"
    path.write_text(text_of(nasty, ending))
    (reader,) = open_source(path, reading=ReadingConfig(isolation=Isolation.never)).readers
    batches = reader.read(reader.schema, 10)
    next(batches)
    # Where a row ends, and where none does.
    os.truncate(path, reader.layout.starts[20] + (3 if ending == "csv" else 0))
    with pytest.raises(DataError, match="has changed since it was opened"):
        list(batches)


def said(path: Path) -> str:
    with pytest.raises(DataError) as caught:
        list(open_source(path).batches())
    return str(caught.value)


@given(st.integers(0, 300), st.sampled_from(["1,2,3", "1", '1,"2', '"x\n\n,2', '""']), st.integers(3, 4_000))
@settings(max_examples=40)
def test_a_damaged_row_of_a_csv_is_the_same_error_however_it_is_cut(tmp_path_factory, place, damage, block_bytes):
    path = tmp_path_factory.getbasetemp() / "damaged.csv"
    lines = [f'{i},"text\n{i}"' for i in range(300)]
    path.write_text("\n".join(["a,b", *lines[:place], damage, *lines[place:]]))
    try:
        source, whole = open_source(path), None
    except DataError as err:
        source, whole = None, str(err)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "_BLOCK_BYTES", block_bytes)
        if source is None:
            assert said(path) == whole
        else:
            assert rows_as_text(open_source(path)) == rows_as_text(source)


@given(st.integers(0, 300), st.sampled_from(["[" * 99_999, "{", "[1]", '{"a": 1, "a": 2}', "x"]), st.integers(3, 4_000))
@settings(max_examples=40)
def test_a_damaged_line_of_json_is_the_same_error_however_it_is_cut(tmp_path_factory, place, damage, block_bytes):
    path = tmp_path_factory.getbasetemp() / "damaged.jsonl"
    lines = [json.dumps({"a": i, "b": "x"}) for i in range(300)]
    path.write_text("\n".join([*lines[:place], '{"a": ' + damage if damage[0] == "[" else damage, *lines[place:]]))
    whole = said(path)
    # How much of what follows is shown is no matter.
    start = re.split(r", at '", whole)[0]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jsonlines, "_BLOCK_BYTES", block_bytes)
        assert said(path).startswith(start)


def test_a_wrong_line_far_down_is_named_by_its_number(tmp_path, monkeypatch):
    monkeypatch.setattr(delimited, "_BLOCK_BYTES", 1_000)
    monkeypatch.setattr(jsonlines, "_BLOCK_BYTES", 1_000)
    (tmp_path / "x.csv").write_text("a,b\n" + "1,2\n" * 5_000 + "1,2,3\n" + "1,2\n" * 5_000)
    assert "line 5002: has 3 values where the header names 2 columns" in said(tmp_path / "x.csv")
    (tmp_path / "x.jsonl").write_text('{"a": 1}\n' * 5_000 + '{"a": ' + "[" * 200_000 + "\n" + '{"a": 1}\n' * 5_000)
    assert "line 5001: is nested too deeply" in said(tmp_path / "x.jsonl")


def test_a_header_without_rows_and_one_after_blank_lines(tmp_path):
    (tmp_path / "x.csv").write_text("a,b")
    assert said(tmp_path / "x.csv").endswith("x.csv: has no rows")
    (tmp_path / "x.csv").write_text("\r\n\n")
    assert said(tmp_path / "x.csv").endswith("x.csv: has no rows")
    (tmp_path / "x.csv").write_text("\n\na,b\n1,2\n")
    assert rows_of(open_source(tmp_path / "x.csv")) == {"a": [1], "b": [2]}


@pytest.mark.parametrize("ending", ["csv", "jsonl"])
def test_small_files_are_one_part_and_compressed_ones_stay_whole(nasty, tmp_path, monkeypatch, ending):
    text = text_of(nasty, ending).encode()
    (tmp_path / f"x.{ending}").write_bytes(text)
    (tmp_path / f"x.{ending}.gz").write_bytes(gzip.compress(text))
    assert open_source(tmp_path / f"x.{ending}").group_rows == [[len(nasty)]]
    monkeypatch.setattr(delimited, "_BLOCK_BYTES", 1_000)
    monkeypatch.setattr(jsonlines, "_BLOCK_BYTES", 1_000)
    assert open_source(tmp_path / f"x.{ending}.gz").group_rows == [[len(nasty)]]
    (groups,) = open_source(tmp_path / f"x.{ending}").group_rows or []
    assert len(groups) > 100


def test_an_array_of_objects_stays_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(jsonlines, "_BLOCK_BYTES", 100)
    (tmp_path / "x.json").write_text(json.dumps([{"a": i} for i in range(500)], indent=1))
    assert open_source(tmp_path / "x.json").group_rows == [[500]]


@pytest.mark.parametrize("most", [1, 2_000, 7_000])
def test_arrow_files_are_cut_between_batches_and_hdf5_between_rows(nasty, tmp_path, monkeypatch, most):
    monkeypatch.setattr(hdf5, "_ROWS_A_TIME", 700)
    with pa.ipc.new_file(tmp_path / "x.arrow", nasty.schema) as writer:
        writer.write_table(nasty, max_chunksize=400)
    numbers = np.random.default_rng(0).normal(size=3_000)
    with h5py.File(tmp_path / "x.h5", "w") as root:
        root["a"], root["b"] = numbers, numbers > 0
    for name, groups in (("x.arrow", [400] * 7 + [200]), ("x.h5", [700] * 4 + [200])):
        source = open_source(tmp_path / name)
        assert source.group_rows == [groups]
        parts = plan([groups], most)
        assert len(parts) == {1: len(groups), 2_000: 2, 7_000: 1}[most]
        batches = [batch for part in parts for batch in source.batches(None, 300, part)]
        assert str(pa.Table.from_batches(batches).to_pylist()) == rows_as_text(source)


def test_an_arrow_stream_stays_whole(nasty, tmp_path):
    with pa.OSFile(str(tmp_path / "x.arrow"), "wb") as sink, pa.ipc.new_stream(sink, nasty.schema) as writer:
        writer.write_table(nasty, max_chunksize=400)
    assert open_source(tmp_path / "x.arrow").group_rows == [[len(nasty)]]


def test_a_part_of_an_endless_file_is_refused_as_the_whole_is(tmp_path):
    with h5py.File(tmp_path / "x.h5", "w") as root:
        root.create_dataset("a", shape=(1 << 40,), chunks=(1 << 16,), dtype="f8")
    source = open_source(tmp_path / "x.h5")
    (groups,) = source.group_rows or []
    assert len(groups) <= 1 << 14
    with pytest.raises(DataError, match="holds over 1.0 GiB of data in"):
        next(source.batches(None, 10, plan([groups], 1 << 26)[0]))
