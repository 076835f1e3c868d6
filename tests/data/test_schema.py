"""What kind each column is, and which columns two datasets have in common."""

import datetime

import numpy as np
import pyarrow as pa
import pytest

from vr.core.errors import DataError
from vr.data.config import CodecConfig
from vr.data.schema import Column, ColumnKind, common_columns, infer_columns, type_option


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
        (pa.array(range(100)), ("numbers the rows", "data.types.x=numeric")),
        (words(100, 10), ("value of its own", "data.types.x=text")),
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
    with pytest.raises(DataError, match=r"data\.types\.agee.*'age'"):
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
    ("one", "other", "kind"),
    [
        (pa.int64(), pa.string(), "categorical"),
        (pa.bool_(), pa.int8(), "numeric"),
        (pa.string(), pa.date32(), "datetime"),
        (pa.float64(), pa.timestamp("s"), "categorical"),
    ],
)
def test_types_of_two_families_are_noted_and_left_out(one, other, kind):
    names, notes = common_columns(schema(k=pa.int8(), x=one), schema(k=pa.int8(), x=other))
    assert names == ["k"]
    (note,) = notes
    assert "'x'" in note
    assert str(one) in note
    assert str(other) in note
    assert f"; data.types.x={kind} compares it" in note
    # What the note says is so.
    assert common_columns(schema(x=one), schema(x=other), {"x": kind}) == (["x"], [])


def test_columns_of_one_side_are_noted():
    names, notes = common_columns(schema(k=pa.int8(), a=pa.int8()), schema(b=pa.int8(), k=pa.int8()))
    assert names == ["k"]
    assert "'a' is missing from the candidate" in notes[0]
    assert "'b' is missing from the reference" in notes[1]


def test_ignored_columns_are_neither_compared_nor_missed():
    one, other = schema(k=pa.int8(), a=pa.int8(), x=pa.int8()), schema(b=pa.int8(), k=pa.int8(), x=pa.string())
    assert common_columns(one, other, dict.fromkeys("abx", "ignore")) == (["k"], [])


@pytest.mark.parametrize("name", ["kids", "_1", "a-b", "a b", "a.b c-d", "Größe", "a (%)", "it's", "x=y", "{", ""])
def test_the_option_in_a_hint_can_be_pasted(name):
    import ast
    import shlex

    from vr.config import compose

    text = type_option(name, "categorical")
    if text.startswith("vr.validate("):
        config = ast.literal_eval(text.removeprefix("vr.validate(..., config=").removesuffix(")"))
        assert compose(base=config).data.types == {name: "categorical"}
    else:
        assert compose(shlex.split(text)).data.types == {name: "categorical"}


def test_nothing_in_common_is_an_error_that_shows_a_few_names():
    many = schema(**{f"c{i}": pa.int8() for i in range(9)})
    with pytest.raises(DataError, match="no column in common.*'c5' and 3 more.*'x'"):
        common_columns(many, schema(x=pa.int8()))
    with pytest.raises(DataError, match="no column in common.*data.types.x=categorical compares it"):
        common_columns(schema(x=pa.int8()), schema(x=pa.string()))
    with pytest.raises(DataError, match="^a.csv and b.csv: no column in common"):
        common_columns(many, schema(x=pa.int8()), where="a.csv and b.csv")
