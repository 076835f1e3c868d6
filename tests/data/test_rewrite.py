"""Files written again: what stays is what was there, in every format, with its order, types and metadata."""

import datetime
import gzip
import json

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vr.core.errors import ConfigError, DataError
from vr.data.rewrite.edits import Cells, Edits
from vr.data.rewrite.rewrite import check_writable, rewrite
from vr.data.source import open_source

DROPPED = np.array([0, 3, 4, 9])
KEPT = [1, 2, 5, 6, 7, 8, 10, 11]
NOTHING = Edits(np.empty(0, np.int64))


def table() -> pa.Table:
    """Twelve rows of every kind of column that a parquet file may hold."""
    rng = np.random.default_rng(0)
    when = [datetime.datetime(2024, 1, 1 + i, 12) for i in range(12)]
    schema = pa.schema(
        [
            pa.field("i", pa.int32(), nullable=False, metadata={b"unit": b"years"}),
            pa.field("f", pa.float32()),
            pa.field("d", pa.decimal128(10, 2)),
            pa.field("t", pa.timestamp("ms", tz="Europe/Paris")),
            pa.field("s", pa.large_string()),
            pa.field("g", pa.dictionary(pa.int8(), pa.string())),
            pa.field("l", pa.list_(pa.int64())),
            pa.field("n", pa.struct([("a", pa.int64()), ("b", pa.string())])),
            pa.field("b", pa.binary()),
        ],
        metadata={b"made by": b"a test"},
    )
    arrays = [
        pa.array(range(12), pa.int32()),
        pa.array(rng.standard_normal(12), pa.float32()),
        pa.array([None if i == 2 else f"{i}.25" for i in range(12)]).cast(pa.decimal128(10, 2)),
        pa.array(when).cast(pa.timestamp("ms", tz="Europe/Paris")),
        pa.array([f"text {i}" for i in range(12)], pa.large_string()),
        pa.array(["x", "y", None] * 4).dictionary_encode().cast(pa.dictionary(pa.int8(), pa.string())),
        pa.array([list(range(i)) for i in range(12)]),
        pa.array([{"a": i, "b": str(i)} for i in range(12)]),
        pa.array([bytes([i]) for i in range(12)]),
    ]
    return pa.table(arrays, schema=schema)


def again(path, edits, name=None):
    new = path.with_name(name or f"new_{path.name}")
    return rewrite(open_source(path), edits, new), new


def test_parquet_keeps_types_metadata_and_compression(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(table(), path, compression={"i": "zstd", "s": "gzip"}, row_group_size=5)
    rows, new = again(path, Edits(DROPPED))
    found = pq.read_table(new)
    assert rows == len(KEPT)
    assert found.equals(pq.read_table(path).take(KEPT))
    assert found.schema.equals(pq.read_schema(path), check_metadata=True)
    groups = [pq.ParquetFile(p).metadata.row_group(0) for p in (path, new)]
    assert len({tuple(g.column(i).compression for i in range(g.num_columns)) for g in groups}) == 1


@pytest.mark.parametrize("layout", ["file", "stream"])
def test_arrow_keeps_types_metadata_and_layout(tmp_path, layout):
    path = tmp_path / "a.arrow"
    with (pa.ipc.new_file if layout == "file" else pa.ipc.new_stream)(path, table().schema) as writer:
        writer.write_table(table(), max_chunksize=5)
    rows, new = again(path, Edits(DROPPED))
    found = (pa.ipc.open_file if layout == "file" else pa.ipc.open_stream)(new).read_all()
    assert rows == len(KEPT)
    assert found.equals(table().take(KEPT))
    assert found.schema.equals(table().schema, check_metadata=True)


def test_an_arrow_file_takes_in_words_it_did_not_know(tmp_path):
    words = pa.array(["x", "y", None, "x"]).dictionary_encode()
    path = tmp_path / "a.arrow"
    with pa.ipc.new_file(path, pa.schema([("g", words.type), ("v", pa.int64())])) as writer:
        writer.write_batch(pa.record_batch([words, pa.array(range(4))], names=["g", "v"]))
    more = pa.record_batch([pa.array(["z", "y"]), pa.array([7.0, 8.0])], names=["g", "v"])
    rows, new = again(path, Edits(np.array([1]), added=lambda: [more]))
    assert rows == 5
    found = pa.ipc.open_file(new).read_all()
    assert found["g"].to_pylist() == ["x", None, "x", "z", "y"]
    assert found["v"].to_pylist() == [0, 2, 3, 7, 8]


def test_cells_are_changed_in_their_own_type(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(table().select(["i", "f", "d"]), path)
    cells = {
        "i": Cells(np.array([2, 5]), np.array([40.0, 41.0])),
        "f": Cells(np.array([1]), np.array([0.1])),
        "d": Cells(np.array([11]), np.array([2.5])),
    }
    _, new = again(path, Edits(np.array([5]), cells))
    found = pq.read_table(new)
    assert found.schema.equals(pq.read_schema(path), check_metadata=True)
    assert found["i"].to_pylist() == [0, 1, 40, 3, 4, 6, 7, 8, 9, 10, 11]
    assert found["f"][1].as_py() == np.float32(0.1)
    assert str(found["d"][10]) == "2.50"


def test_a_bound_that_a_column_cannot_hold_is_refused(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(table().select(["i"]), path)
    with pytest.raises(DataError, match=r"column 'i', which is int32: cannot hold what is to be written"):
        again(path, Edits(np.empty(0, np.int64), {"i": Cells(np.array([1]), np.array([2.5]))}))


def test_pandas_reads_its_own_file_back(tmp_path):
    path = tmp_path / "a.parquet"
    frame = pd.DataFrame({"x": range(12), "when": pd.date_range("2024-01-01", periods=12, tz="UTC")})
    frame["g"] = pd.Categorical(["u", "v", "w"] * 4)
    frame.to_parquet(path)
    _, new = again(path, Edits(DROPPED))
    pd.testing.assert_frame_equal(pd.read_parquet(new), frame.iloc[KEPT].reset_index(drop=True))


CSV = (
    '\n\n"name",x,"odd, name"\r\n"a ""b"", c",1,\r\n5" pipe,02,NA\r\n'
    '"two\nlines",3.50,"x"\r\n\r\nplain,-0,""\r\nlast,1e5,é'
)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
def test_csv_rows_that_stay_are_copied_as_they_are_spelled(tmp_path, encoding):
    path = tmp_path / "a.csv"
    path.write_bytes(CSV.lstrip().encode(encoding))
    assert again(path, NOTHING)[1].read_bytes() == path.read_bytes()
    rows, new = again(path, Edits(np.array([0, 4])))
    expected = '"name",x,"odd, name"\r\n5" pipe,02,NA\r\n"two\nlines",3.50,"x"\r\n\r\nplain,-0,""\r\n'
    assert rows == 3
    assert new.read_bytes() == expected.encode(encoding)


def test_csv_cells_and_rows_are_put_in_as_the_file_has_them(tmp_path):
    path = tmp_path / "a.csv"
    path.write_text('x;word;y\n1;"a;b";2\n-7;c;"3"\n5;d;4', newline="")
    more = pa.record_batch(
        [pa.array([1.5, None]), pa.array(["e;f", 'g "h"']), pa.array([6, 7])], names=["x", "word", "y"]
    )
    cells = {"x": Cells(np.array([1]), np.array([0.0])), "y": Cells(np.array([1]), np.array([2.75]))}
    rows, new = again(path, Edits(np.array([0]), cells, added=lambda: [more]))
    assert rows == 4
    assert new.read_bytes() == b'x;word;y\n0;c;2.75\n5;d;4\n1.5;"e;f";6\n;"g ""h""";7\n'


def test_csv_is_cut_alike_wherever_its_pieces_end(tmp_path, monkeypatch):
    path = tmp_path / "a.csv"
    rng = np.random.default_rng(1)
    cells = ['"a""\n"', "b", '"""x"', "", '"c,\r\nd"']
    lines = [",".join(cells[i] for i in rng.integers(0, 5, 3)) for _ in range(200)]
    path.write_text("p,q,r\r\n" + "\r\n".join(lines) + "\r\n", newline="")
    dropped = np.sort(rng.permutation(200)[:60])
    whole = again(path, Edits(dropped), "whole.csv")[1].read_bytes()
    monkeypatch.setattr("vr.data.rewrite.text._PIECE_BYTES", 7)
    assert again(path, Edits(dropped), "pieces.csv")[1].read_bytes() == whole
    kept = np.setdiff1d(np.arange(200), dropped)
    assert whole.decode() == "p,q,r\r\n" + "".join(lines[i] + "\r\n" for i in kept)


def test_tsv_and_compressed_text(tmp_path):
    path = tmp_path / "a.tsv.gz"
    path.write_bytes(gzip.compress(b"x\ty\n1\ta\n2\tb\n3\tc\n"))
    rows, new = again(path, Edits(np.array([1])))
    assert rows == 2
    assert gzip.decompress(new.read_bytes()) == b"x\ty\n1\ta\n3\tc\n"


def test_files_are_joined_under_one_header(tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    (folder / "1.csv").write_text("x,y\n1,a\n2,b")
    (folder / "2.csv").write_text("x,y\n3,c\n4,d\n")
    rows = rewrite(open_source(folder), Edits(np.array([1, 2])), tmp_path / "new.csv")
    assert rows == 2
    assert (tmp_path / "new.csv").read_text() == "x,y\n1,a\n4,d\n"
    (folder / "2.csv").write_text("y,x\nc,3\n")
    with pytest.raises(DataError, match=r"2\.csv: has other columns"):
        rewrite(open_source(folder), NOTHING, tmp_path / "other.csv")


def test_parquet_files_of_other_types_are_not_joined(tmp_path):
    folder = tmp_path / "parts"
    folder.mkdir()
    pq.write_table(pa.table({"x": pa.array([1, 2], pa.int32())}), folder / "1.parquet")
    pq.write_table(pa.table({"x": pa.array([3, 4], pa.int64())}), folder / "2.parquet")
    with pytest.raises(DataError, match=r"2\.parquet: stores column 'x' in another place or type"):
        rewrite(open_source(folder), NOTHING, tmp_path / "new.parquet")


JSONL = (
    '{"x": 1, "s": "a\\u00e9 {\\"x\\": 5}", "x y": [1, {"x": 2}]}\n\n{"x":2.50,"s":null}\n'
    '  {"s": "b", "x": 30000000000000000000001}\n{"x": -1}'
)


def test_json_lines_that_stay_are_copied_as_they_are_spelled(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(JSONL)
    lines = [line for line in JSONL.splitlines() if line]
    rows, new = again(path, Edits(np.array([1])))
    assert rows == 3
    assert new.read_text() == "".join(f"{line}\n" for line in (lines[0], lines[2], lines[3]))


def test_a_json_number_is_changed_in_its_place(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text(JSONL)
    more = pa.record_batch(
        [pa.array([4.0, None]), pa.array(["é", "z"]), pa.array([None, None], pa.string())], names=["x", "s", "x y"]
    )
    cells = {"x": Cells(np.array([0, 2]), np.array([7.0, 0.5]))}
    _, new = again(path, Edits(np.array([1]), cells, added=lambda: [more]))
    lines = new.read_text().splitlines()
    assert lines[0] == '{"x": 7, "s": "a\\u00e9 {\\"x\\": 5}", "x y": [1, {"x": 2}]}'
    assert lines[1] == '  {"s": "b", "x": 0.5}'
    assert [json.loads(line) for line in lines[3:]] == [{"x": 4.0, "s": "é"}, {"s": "z"}]


def test_a_json_array_is_refused(tmp_path):
    path = tmp_path / "a.json"
    path.write_text('[{"x": 1},\n{"x": 2}]')
    with pytest.raises(DataError, match="is one array of objects"):
        again(path, NOTHING)


def test_formats_that_would_lose_something_are_refused(tmp_path):
    path = tmp_path / "a.xlsx"
    pd.DataFrame({"x": range(5)}).to_excel(path, index=False)
    with pytest.raises(DataError, match="is xlsx, which cannot be written with nothing else changed"):
        check_writable(open_source(path), "new.xlsx")
    import h5py

    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["x"] = np.arange(5)
    with pytest.raises(DataError, match="is hdf5, which cannot be written"):
        check_writable(open_source(tmp_path / "a.h5"), "new.h5")
    with pytest.raises(DataError, match="is no file"):
        check_writable(open_source(pa.table({"x": [1]})), "new.parquet")


def test_the_new_name_must_be_of_the_same_format(tmp_path):
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"x": [1]}), path)
    check_writable(open_source(path), "new.pq")
    with pytest.raises(ConfigError, match=r"new\.csv: does not end as a parquet file does"):
        check_writable(open_source(path), "new.csv")


def test_memory_does_not_grow_with_the_rows(tmp_path):
    def most_held(rows: int) -> int:
        path = tmp_path / f"{rows}.parquet"
        pq.write_table(pa.table({"x": np.random.default_rng(0).random(rows)}), path, row_group_size=65_536)
        before, held = pa.total_allocated_bytes(), []
        edits = Edits(np.arange(0, rows, 10), on_rows=lambda _: held.append(pa.total_allocated_bytes() - before))
        assert again(path, edits)[0] == rows - rows // 10
        return max(held)

    assert most_held(1_500_000) < 1.2 * most_held(300_000)
