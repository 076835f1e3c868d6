"""The codec: a table as a matrix of codes, the same for both datasets."""

import datetime

import numpy as np
import pyarrow as pa
import pytest

from vr.core.errors import DataError
from vr.data.codec import Codec, fit_codec
from vr.data.config import CodecConfig
from vr.data.schema import Column, ColumnKind, infer_columns

START = datetime.datetime(2024, 1, 1)


def reference(n: int = 300) -> pa.Table:
    rng = np.random.default_rng(0)
    return pa.table(
        {
            "id": np.arange(n),
            "amount": rng.lognormal(0, 1, n),
            "age": pa.array([None if i % 10 == 0 else int(i % 50) for i in range(n)]),
            "city": pa.array([f"city {i % 3}" for i in range(n)]).dictionary_encode(),
            "member": pa.array(rng.random(n) < 0.5),
            "seen": pa.array([START + datetime.timedelta(hours=int(h)) for h in rng.integers(0, 9_000, n)]),
            "birthday": pa.array([START.date() + datetime.timedelta(days=int(h)) for h in rng.integers(0, 9_000, n)]),
            "at": pa.array([datetime.time(int(h)) for h in rng.integers(0, 24, n)]),
            "took": pa.array([datetime.timedelta(seconds=int(s)) for s in rng.integers(0, 99, n)]),
            "remark": pa.array([f"a remark of more than forty characters, the {i}th of them all" for i in range(n)]),
            "void": pa.nulls(n),
        }
    )


def codec_of(table: pa.Table, types: dict[str, str] | None = None) -> Codec:
    config = CodecConfig()
    return fit_codec(infer_columns(table, types or {}, config), table, config, 0)


@pytest.fixture(scope="module")
def codec() -> Codec:
    return codec_of(reference())


def test_every_column_but_identifiers_is_encoded_dates_with_their_parts(codec):
    assert codec.names == [
        *("amount", "age", "city", "member"),
        *("seen", "seen[hour]", "seen[weekday]", "seen[month]"),
        *("birthday", "birthday[weekday]", "birthday[month]"),
        *("at", "at[hour]", "took", "remark", "void"),
    ]
    assert codec.sources == ["amount", "age", "city", "member", "seen", "birthday", "at", "took", "remark", "void"]
    assert len(codec.columns) == 11
    numeric = [name for name, is_numeric in zip(codec.names, codec.numeric, strict=True) if is_numeric]
    assert numeric == ["amount", "age", "seen", "birthday", "at", "took"]
    nominal = [name for name, ordinal in zip(codec.names, codec.ordinal, strict=True) if not ordinal]
    assert nominal == ["city", "member", "remark", "void"]


def test_codes_lie_in_their_range_and_values_are_the_numbers_behind_them(codec):
    table = reference()
    coded = codec.encode(table)
    assert coded.codes.shape == coded.values.shape == (300, len(codec.names))
    assert coded.codes.dtype == np.uint16
    assert (coded.codes < codec.num_codes).all()
    assert np.isnan(coded.values[:, ~codec.numeric]).all()
    np.testing.assert_array_equal(coded.values[:, 0], table["amount"].to_numpy())
    null = table["age"].is_null().to_numpy()
    np.testing.assert_array_equal(coded.codes[:, 1] == 0, null)
    np.testing.assert_array_equal(np.isnan(coded.values[:, 1]), null)
    assert (coded.codes[:, -1] == 0).all()


def test_a_row_s_codes_do_not_depend_on_the_batch(codec):
    table = reference()
    whole = codec.encode(table)
    for size in (1, 37, 1_000):
        parts = [codec.encode(batch) for batch in table.to_batches(max_chunksize=size)]
        np.testing.assert_array_equal(np.concatenate([part.codes for part in parts]), whole.codes)
        np.testing.assert_array_equal(np.concatenate([part.values for part in parts]), whole.values)
    chunked = pa.concat_tables([table.slice(0, 100), table.slice(100)])
    np.testing.assert_array_equal(codec.encode(chunked).codes, whole.codes)
    assert len(codec.encode(table.slice(0, 0))) == 0


def test_columns_are_found_by_name_whatever_their_order(codec):
    table = reference()
    turned = table.select(table.column_names[::-1])
    np.testing.assert_array_equal(codec.encode(turned).codes, codec.encode(table).codes)


def test_fitting_twice_gives_the_same_codes(codec):
    table = reference()
    np.testing.assert_array_equal(codec_of(table).encode(table).codes, codec.encode(table).codes)


def test_take_keeps_rows_together(codec):
    coded = codec.encode(reference())
    taken = coded.take(np.array([5, 2]))
    assert len(taken) == 2
    np.testing.assert_array_equal(taken.codes, coded.codes[[5, 2]])
    np.testing.assert_array_equal(taken.values, coded.values[[5, 2]])


def test_another_storage_of_the_same_values_gets_the_same_codes(codec):
    table = reference()
    stored = {
        "amount": table["amount"],
        "age": table["age"].cast(pa.float64()),
        "city": table["city"].cast(pa.string()),
        "seen": table["seen"].cast(pa.timestamp("ns")),
        "birthday": table["birthday"].cast(pa.timestamp("s")),
        "remark": table["remark"].cast(pa.large_string()),
    }
    other = pa.table({name: stored.get(name, table[name]) for name in table.column_names})
    np.testing.assert_array_equal(codec.encode(other).codes, codec.encode(table).codes)


def test_a_candidate_s_all_null_column_is_null_in_every_part(codec):
    table = reference(20)
    void = pa.table({name: pa.nulls(20) for name in table.column_names})
    assert (codec.encode(void).codes == 0).all()


def test_a_part_of_a_date_that_never_changes_is_left_out():
    days = pa.array([START + datetime.timedelta(days=i % 20) for i in range(60)])
    assert codec_of(pa.table({"day": days})).names == ["day", "day[weekday]"]


@pytest.mark.parametrize("kind", ["numeric", "categorical", "datetime", "text"])
def test_an_all_null_column_can_be_any_type(kind):
    for values in (pa.nulls(9), pa.nulls(9, pa.float64()), pa.nulls(9, pa.string())):
        table = pa.table({"x": values})
        codec = codec_of(table, {"x": kind})
        assert (codec.encode(table).codes == 0).all()


def test_what_cannot_be_read_as_its_type_is_an_error_with_the_column_and_a_remedy():
    table = pa.table({"word": ["one", "two"]})
    with pytest.raises(DataError, match=r"column 'word': cannot be read as numeric.*data\.types\.word=categorical"):
        codec_of(table, {"word": "numeric"})
    codec = codec_of(pa.table({"word": ["1", "2"]}), {"word": "numeric"})
    with pytest.raises(DataError, match=r"column 'word': cannot be read as numeric.*data\.types\.word=categorical"):
        codec.encode(table)


def test_no_column_left_is_an_error():
    table = pa.table({"id": range(100)})
    with pytest.raises(DataError, match=r"no column is left.*data\.types\.id=categorical keeps one"):
        codec_of(table)
    assert codec_of(table, {"id": "numeric"}).names == ["id"]


def test_identifiers_stay_listed_among_the_columns(codec):
    assert codec.columns[0].kind is ColumnKind.identifier
    assert codec.columns[-1] == Column("void", ColumnKind.empty, "column 'void' is all null")
