"""What kind each column is, and which columns two datasets have in common."""

import datetime

import numpy as np
import pyarrow as pa
import pytest

from vr.core.errors import DataError
from vr.data.config import CodecConfig
from vr.data.schema import Column, ColumnKind, common_columns, infer_columns


def kind_of(values: pa.Array, types: dict[str, str] | None = None) -> Column:
    (column,) = infer_columns(pa.table({"x": values}), types or {}, CodecConfig())
    return column


def words(n: int, length: int) -> pa.Array:
    return pa.array([f"{i:0{length}d}" for i in range(n)])


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        (pa.array([1.5, 2.5, None]), ColumnKind.numeric),
        (pa.array([3, 1, 2]), ColumnKind.numeric),
        (pa.array([True, False]), ColumnKind.categorical),
        (pa.array(["a", "b", None]), ColumnKind.categorical),
        (pa.array(["a", "b", None]).dictionary_encode(), ColumnKind.categorical),
        (pa.array(["a", "b"] * 500), ColumnKind.categorical),
        (words(49, 10), ColumnKind.categorical),  # too few to tell a name from a property
        (pa.array(["a long text of the same words each time"] * 60), ColumnKind.categorical),
        (words(100, 60), ColumnKind.text),
        (words(100, 60).dictionary_encode(), ColumnKind.text),
        (words(100, 10), ColumnKind.identifier),
        (pa.array(range(100)), ColumnKind.identifier),
        (pa.array(range(100, 0, -1)), ColumnKind.identifier),
        (pa.array([*range(99), None]), ColumnKind.numeric),
        (pa.array([0, *range(99)]), ColumnKind.numeric),
        (pa.array(range(49)), ColumnKind.numeric),
        (pa.array(np.arange(100.0)), ColumnKind.numeric),  # a float is a measurement even where it rises
        (pa.array([datetime.date(2024, 1, 1)] * 3), ColumnKind.datetime),
        (pa.array([datetime.datetime(2024, 1, 1)]), ColumnKind.datetime),
        (pa.array([datetime.time(3)]), ColumnKind.datetime),
        (pa.array([datetime.timedelta(3)]), ColumnKind.datetime),
        (pa.nulls(5), ColumnKind.empty),
        (pa.nulls(5, pa.float64()), ColumnKind.empty),
        (pa.nulls(5, pa.string()), ColumnKind.empty),
        (pa.array([], pa.int64()), ColumnKind.empty),
    ],
)
def test_kinds(values, kind):
    assert kind_of(values).kind is kind


def test_unsigned_numbers_that_go_up_and_down_do_not_number_the_rows():
    for type_ in (pa.uint8(), pa.uint64(), pa.int8()):
        assert kind_of(pa.array([3, 1] * 50, type_)).kind is ColumnKind.numeric
        assert kind_of(pa.array(range(100), type_)).kind is ColumnKind.identifier


def test_a_column_of_several_chunks_is_one_column():
    table = pa.concat_tables([pa.table({"x": [*range(start, start + 50)]}) for start in (0, 50)])
    (column,) = infer_columns(table, {}, CodecConfig())
    assert column.kind is ColumnKind.identifier


@pytest.mark.parametrize(
    ("values", "words_of_note"),
    [
        (pa.array(range(100)), ("numbers the rows", "types={x: numeric}")),
        (words(100, 10), ("value of its own", "types={x: text}")),
        (pa.nulls(4), ("all null", "'x'")),
    ],
)
def test_what_is_left_out_is_noted_with_its_remedy(values, words_of_note):
    note = kind_of(values).note
    assert note is not None
    assert all(word in note for word in words_of_note)


def test_an_ordinary_column_has_no_note():
    assert kind_of(pa.array([1.0, 2.0])).note is None


def test_types_override_and_ignore():
    table = pa.table({"id": range(100), "code": [1, 2] * 50, "gone": [1.0] * 100})
    columns = infer_columns(table, {"id": "numeric", "code": "categorical", "gone": "ignore"}, CodecConfig())
    assert columns == [Column("id", ColumnKind.numeric), Column("code", ColumnKind.categorical)]


def test_a_type_for_no_column_is_an_error_that_names_the_columns():
    with pytest.raises(DataError, match=r"types\.agee.*'age'"):
        infer_columns(pa.table({"age": [1]}), {"agee": "numeric"}, CodecConfig())
    assert infer_columns(pa.table({"age": [1]}), {"agee": "ignore"}, CodecConfig())


def schema(**types: pa.DataType) -> pa.Schema:
    return pa.schema(list(types.items()))


def test_columns_are_compared_in_the_order_of_the_reference():
    names, notes = common_columns(schema(a=pa.int64(), b=pa.string()), schema(b=pa.string(), a=pa.int64()))
    assert names == ["a", "b"]
    assert notes == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (pa.int64(), pa.float32()),
        (pa.int8(), pa.decimal128(5, 2)),
        (pa.string(), pa.large_string()),
        (pa.string(), pa.dictionary(pa.int32(), pa.string())),
        (pa.dictionary(pa.int8(), pa.int64()), pa.float64()),
        (pa.date32(), pa.timestamp("ns", "UTC")),
        (pa.null(), pa.float64()),
        (pa.string(), pa.null()),
        (pa.null(), pa.null()),
    ],
)
def test_types_of_one_family_are_compared(one, other):
    assert common_columns(schema(x=one), schema(x=other)) == (["x"], [])
    assert common_columns(schema(x=other), schema(x=one)) == (["x"], [])


@pytest.mark.parametrize(
    ("one", "other"),
    [(pa.int64(), pa.string()), (pa.bool_(), pa.int8()), (pa.string(), pa.date32()), (pa.float64(), pa.timestamp("s"))],
)
def test_types_of_two_families_are_noted_and_left_out(one, other):
    names, notes = common_columns(schema(k=pa.int8(), x=one), schema(k=pa.int8(), x=other))
    assert names == ["k"]
    (note,) = notes
    assert "'x'" in note
    assert str(one) in note
    assert str(other) in note
    assert "types={x:" in note


def test_columns_of_one_side_are_noted():
    names, notes = common_columns(schema(k=pa.int8(), a=pa.int8()), schema(b=pa.int8(), k=pa.int8()))
    assert names == ["k"]
    assert "'a' is missing from the candidate" in notes[0]
    assert "'b' is missing from the reference" in notes[1]


def test_nothing_in_common_is_an_error_that_shows_a_few_names():
    many = schema(**{f"c{i}": pa.int8() for i in range(9)})
    with pytest.raises(DataError, match="no column in common.*'c5' and 3 more.*'x'"):
        common_columns(many, schema(x=pa.int8()))
    with pytest.raises(DataError, match="no column in common"):
        common_columns(schema(x=pa.int8()), schema(x=pa.string()))
