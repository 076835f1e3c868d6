"""A column's type is that of the whole file: not of its first block, nor of where blocks, batches or files begin."""

import datetime
import pickle
import pickletools

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from mixed_data import rows_of

from vr.data.formats import delimited, jsonlines
from vr.data.formats.pickled import PickleRefusedError, plain_list
from vr.data.formats.pyvalues import array_of, type_of
from vr.data.formats.textual import infer_text, join_types, parse_text
from vr.data.source import open_source

TYPES = [
    pa.null(),
    pa.int8(),
    pa.uint16(),
    pa.int64(),
    pa.uint64(),
    pa.float32(),
    pa.float64(),
    pa.bool_(),
    pa.string(),
    pa.large_string(),
    pa.dictionary(pa.int32(), pa.string()),
    pa.date32(),
    pa.date64(),
    pa.timestamp("s"),
    pa.timestamp("ns"),
    pa.timestamp("us", "UTC"),
]
CELLS = st.sampled_from(
    ["", "NA", "1", "-7", "2.5", "1e3", "0x1F", " 3 ", "true", "FALSE", "x", "two words", "inf"]
    + ["2024-01-02", "2024-01-02 03:04:05", "2024-01-02 03:04:05.25", "2024-01-02T03:04:05Z", "99999999999999999999"]
)


@given(st.lists(CELLS, min_size=1, max_size=40), st.integers(20, 60))
def test_csv_types_and_values_do_not_depend_on_the_blocks(tmp_path_factory, cells, block_bytes):
    path = tmp_path_factory.getbasetemp() / "blocks.csv"
    path.write_text("a,b\n" + "".join(f"{cell},k\n" for cell in cells))
    whole = open_source(path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(delimited, "_BLOCK_BYTES", block_bytes)
        blocks = open_source(path)
        assert blocks.schema == whole.schema
        assert blocks.num_rows == whole.num_rows == len(cells)
        assert str(rows_of(blocks, batch_rows=3)) == str(rows_of(whole))


VALUES = st.one_of(
    st.none(),
    st.integers(-5, 5),
    st.sampled_from([2.5, 1e300, 10**20]),
    st.booleans(),
    st.sampled_from(["x", "1", "2024-01-02", "2024-01-02T03:04:05"]),
)


@given(st.lists(st.dictionaries(st.sampled_from("ab"), VALUES), min_size=1, max_size=30), st.integers(16, 200))
def test_json_types_and_values_do_not_depend_on_the_blocks_nor_on_the_layout(tmp_path_factory, rows, block_bytes):
    import json

    rows = [{"k": 1, **row} for row in rows]
    lines, array = (tmp_path_factory.getbasetemp() / name for name in ("blocks.jsonl", "blocks.json"))
    lines.write_text("".join(json.dumps(row) + "\n" for row in rows))
    array.write_text(json.dumps(rows))
    whole = open_source(lines)
    for path in (lines, array):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(jsonlines, "_BLOCK_BYTES", block_bytes)
            blocks = open_source(path)
            assert blocks.schema == whole.schema
            assert blocks.num_rows == len(rows)
            assert str(rows_of(blocks, batch_rows=3)) == str(rows_of(whole))


def _join(a: pa.DataType | None, b: pa.DataType | None) -> pa.DataType | None:
    return None if a is None or b is None else join_types(a, b)


def test_the_join_is_commutative_and_keeps_each_type():
    for a in TYPES:
        assert join_types(a, a) == a
        for b in TYPES:
            assert join_types(a, b) == join_types(b, a)


@pytest.mark.parametrize(
    ("a", "b", "joined"),
    [
        (pa.int64(), pa.float64(), pa.float64()),
        (pa.int8(), pa.int32(), pa.int32()),
        (pa.int64(), pa.uint64(), pa.float64()),
        (pa.uint8(), pa.int8(), pa.int64()),
        (pa.null(), pa.bool_(), pa.bool_()),
        (pa.bool_(), pa.int64(), None),
        (pa.date32(), pa.timestamp("us"), pa.timestamp("us")),
        (pa.timestamp("s"), pa.timestamp("ns"), pa.timestamp("ns")),
        (pa.timestamp("s"), pa.timestamp("s", "UTC"), None),
        (pa.int64(), pa.string(), None),
    ],
)
def test_joins(a, b, joined):
    assert join_types(a, b) == joined


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (["1", None, " 2"], pa.int64()),
        (["1", "2.5"], pa.float64()),
        (["0x1F"], pa.string()),
        (["true", "False"], pa.bool_()),
        (["true", "1"], pa.string()),
        ([None], pa.null()),
        (["2024-01-02"], pa.date32()),
        (["2024-01-02", "2024-01-02 03:04"], pa.timestamp("s")),
        (["1", "2"] * 100 + ["x"], pa.string()),
    ],
)
def test_types_of_text(values, expected):
    strings = pa.array(values, pa.string())
    assert infer_text(strings) == expected
    assert parse_text(strings, expected).null_count == strings.null_count


def test_types_of_python_values():
    now = datetime.datetime(2024, 1, 2, 3)
    assert type_of([1, 2.5, None]) == (pa.float64(), None)
    assert type_of([1, "x"]) == (pa.string(), "numbers")
    assert type_of([10**30]) == (pa.float64(), None)
    assert type_of([now, now.date()]) == (pa.timestamp("us"), None)
    assert pa.types.is_nested(type_of([1, [2]])[0])
    assert array_of([now, now.date(), None], pa.timestamp("us")).to_pylist() == [
        now,
        datetime.datetime(2024, 1, 2),
        None,
    ]
    assert array_of([1, 2.5, "x", True, None], pa.string()).to_pylist() == ["1", "2.5", "x", "true", None]


class TestPickled:
    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    @pytest.mark.parametrize("value", [[], ["a"], ["a", "b", "a"], [(1, ["x", "y"])], [None, 300, -5, 10**12]])
    def test_plain_lists_are_read(self, protocol, value):
        assert plain_list(pickle.dumps(value, protocol)) == value

    @pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
    def test_whatever_could_run_code_is_refused_and_not_run(self, protocol):
        class Evil:
            def __reduce__(self):
                return print, ("run!",)

        data = pickle.dumps([Evil()], protocol)
        assert any(opcode.name == "REDUCE" for opcode, _, _ in pickletools.genops(data))
        with pytest.raises(PickleRefusedError, match="is not allowed"):
            plain_list(data)

    @pytest.mark.parametrize("data", [b"", b"junk", b"(lp0\nVa", pickle.dumps("text"), pickle.dumps({"a": 1})])
    def test_damage_and_other_types_are_refused(self, data):
        with pytest.raises(PickleRefusedError):
            plain_list(data)
