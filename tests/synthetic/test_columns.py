import numpy as np
import pyarrow as pa
import pytest

from synthetic.columns import ColumnCodec


def round_trip(table: pa.Table) -> pa.Table:
    codec = ColumnCodec.fit(table)
    return codec.decode(codec.encode(table, np.random.default_rng(0)))


def test_decoding_undoes_encoding(mixed):
    back = round_trip(mixed)
    assert back.schema == mixed.schema
    for name in mixed.column_names:
        assert str(back[name].to_pylist()) == str(mixed[name].to_pylist()), name


def test_chunks_and_row_order_do_not_matter(mixed):
    chunked = pa.concat_tables([mixed.slice(0, 150), mixed.slice(150)])
    assert str(round_trip(chunked).to_pydict()) == str(mixed.to_pydict())


def test_in_order_and_from_order_are_inverse(mixed):
    codec = ColumnCodec.fit(mixed)
    matrices = codec.encode(mixed, np.random.default_rng(0))
    back = codec.from_order(codec.in_order(matrices))
    np.testing.assert_array_equal(back.numbers, matrices.numbers)
    np.testing.assert_array_equal(back.codes, matrices.codes)


def test_matrices_are_complete_and_codes_in_range(mixed):
    codec = ColumnCodec.fit(mixed)
    matrices = codec.encode(mixed, np.random.default_rng(0))
    assert np.isfinite(matrices.numbers).all()
    assert (matrices.codes >= 0).all()
    assert (matrices.codes < np.array(codec.num_levels)).all()


@pytest.mark.parametrize("value", [-(2**63), 2**63 - 1, 2**53 + 1])
def test_integers_that_float64_cannot_hold_keep_their_type(value):
    table = pa.table({"big": pa.array([value, 0, *range(30)], pa.int64())})
    back = round_trip(table)["big"].to_pylist()
    assert back[1:] == [0, *range(30)]
    assert back[0] == pytest.approx(value, rel=1e-15)


def test_dictionary_keeps_its_index_type():
    kind = pa.dictionary(pa.int8(), pa.string())
    table = pa.table({"d": pa.array(["b", "a", None, "b"]).dictionary_encode().cast(kind)})
    assert round_trip(table).schema == table.schema
    assert round_trip(table)["d"].to_pylist() == ["b", "a", None, "b"]


@pytest.mark.parametrize(
    ("table", "error", "message"),
    [
        (pa.table({"x": pa.array([], pa.float64())}), ValueError, "rows and columns"),
        (pa.table({}), ValueError, "rows and columns"),
        (pa.table([[1], [2]], names=["x", "x"]), ValueError, "distinct"),
        (pa.table({"x": [1.0, float("inf")]}), ValueError, "x: infinite"),
        (pa.table({"list": [[1], [2]]}), TypeError, "list: columns of type list"),
    ],
)
def test_what_cannot_be_generated_is_named(table, error, message):
    with pytest.raises(error, match=message):
        ColumnCodec.fit(table)
