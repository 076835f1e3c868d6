import numpy as np
import pyarrow as pa

from synthetic.columns import ColumnCodec
from synthetic.neighbours import find_neighbours


def neighbours(table, num_neighbours):
    codec = ColumnCodec.fit(table)
    return find_neighbours(codec, codec.encode(table, np.random.default_rng(0)), num_neighbours)


def test_nearest_come_first_and_never_the_row_itself():
    found = neighbours(pa.table({"x": [1.0, 1.0, 2.0, 9.0]}), 2)
    assert found.index[0, 0] == 1
    assert found.index[3].tolist()[0] == 2
    assert not (found.index == np.arange(4)[:, None]).any()
    assert (np.diff(found.distance, axis=1) >= 0).all()


def test_rows_of_two_categories_are_one_apart():
    found = neighbours(pa.table({"kind": ["a", "b"], "x": [1.0, 1.0]}), 5)
    np.testing.assert_allclose(found.distance, 1.0)


def test_the_far_are_isolated_whatever_the_unit():
    x = np.random.default_rng(0).normal(size=200)
    found = neighbours(pa.table({"x": np.exp(3 * x)}), 5)
    np.testing.assert_allclose(found.isolation, neighbours(pa.table({"x": x}), 5).isolation)
    assert found.isolation[np.abs(x) > 2].min() > found.isolation[np.abs(x) < 0.5].mean() + 1


def test_a_missing_number_is_near_another_missing_one():
    found = neighbours(pa.table({"x": [None, 5.0, 5.1, 5.0, 5.1, None]}), 1)
    assert found.index[:, 0].tolist() == [5, 3, 4, 1, 2, 0]


def test_one_row_is_its_own_neighbour():
    found = neighbours(pa.table({"x": [1.0]}), 5)
    assert found.index.tolist() == [[0]]
    assert found.isolation.tolist() == [0.0]
