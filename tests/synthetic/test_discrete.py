import numpy as np
import pyarrow as pa
import pytest
from sklearn.metrics import mutual_info_score

from synthetic.columns import ColumnCodec
from synthetic.discrete import Discrete, count_pairs, mutual_information


def discretise(table, most_bins=16, most_levels=16):
    codec = ColumnCodec.fit(table)
    matrices = codec.encode(table, np.random.default_rng(0))
    return codec, matrices, Discrete.fit(codec, matrices, most_bins, most_levels)


def test_codes_and_positions_give_the_table_back(mixed):
    codec, matrices, discrete = discretise(mixed)
    codes = discrete.encode(matrices)
    assert (codes >= 0).all()
    assert (codes < np.array(discrete.num_codes)).all()
    assert [len(size) for size in discrete.log_measure()] == list(discrete.num_codes)
    back = codec.decode(discrete.decode(codes, discrete.position(matrices)))
    for name in mixed.column_names:
        assert str(back[name].to_pylist()) == str(mixed[name].to_pylist()), name


def test_a_missing_number_has_the_last_code_and_no_say_in_the_bins():
    table = pa.table({"x": [1.0, None, 2.0, None, 3.0], "empty": pa.nulls(5)})
    _, matrices, discrete = discretise(table)
    assert discrete.num_codes == (4, 1)
    np.testing.assert_array_equal(discrete.encode(matrices), [[0, 0], [3, 0], [1, 0], [3, 0], [2, 0]])


def test_pairs_are_counted():
    codes = np.array([[0, 1], [0, 1], [1, 0], [1, 1]])
    pairs = count_pairs(codes, (2, 3))
    np.testing.assert_array_equal(pairs.counts[:2, 2:], [[0, 2, 0], [1, 1, 0]])
    np.testing.assert_array_equal(np.diag(pairs.counts), [2, 2, 1, 3, 0])


def test_mutual_information_is_scikit_learns_less_its_bias():
    rng = np.random.default_rng(0)
    a = rng.integers(0, 4, 500)
    codes = np.column_stack([a, (a + rng.integers(0, 2, 500)) % 4, rng.integers(0, 4, 500)])
    information = mutual_information(count_pairs(codes, (4, 4, 4)), 500)
    for i, j in ((0, 1), (0, 2), (1, 2)):
        expected = max(0.0, mutual_info_score(codes[:, i], codes[:, j]) - 9 / 1000)
        assert information[i, j] == pytest.approx(expected)
    np.testing.assert_array_equal(np.diag(information), 0.0)
    np.testing.assert_allclose(information, information.T)
    assert information[0, 2] < 0.01 < 0.5 < information[0, 1]
