"""Products of rows do not depend on the rows beside them."""

import numpy as np
import pytest

from vr.stats.coverage import nearest_neighbours
from vr.stats.rowwise import in_whole_blocks, rowwise_product


@pytest.fixture(scope="module")
def rows():
    return np.random.default_rng(0).standard_normal((900, 45))


def test_product_is_the_matrix_product(rows):
    weights = np.random.default_rng(1).standard_normal((45, 7))
    assert np.allclose(rowwise_product(rows, weights), rows @ weights, atol=1e-12)
    assert rowwise_product(rows[:0], weights).shape == (0, 7)
    assert rowwise_product(rows[:, :0], weights[:0]).tolist() == np.zeros((900, 7)).tolist()


@pytest.mark.parametrize("size", [1, 3, 7, 97, 256, 500])
def test_product_of_a_row_is_the_same_in_any_batch(rows, size):
    weights = np.random.default_rng(1).standard_normal((7, 45)).T
    parts = [rowwise_product(rows[i : i + size], weights) for i in range(0, 900, size)]
    assert np.array_equal(np.concatenate(parts), rowwise_product(rows, weights))


@pytest.mark.parametrize("size", [1, 19, 97])
def test_which_of_equally_near_rows_is_found_is_the_same_in_any_batch(size):
    rng = np.random.default_rng(2)
    # Points on a coarse grid: many are equally near.
    x, y = (np.round(rng.standard_normal((n, 12)), 0) / 3 for n in (300, 1_500))
    parts = [nearest_neighbours(x[i : i + size], y, 5)[1] for i in range(0, 300, size)]
    assert np.array_equal(np.concatenate(parts), nearest_neighbours(x, y, 5)[1])


def test_whole_blocks_keep_the_rows(rows):
    filled = in_whole_blocks(rows)
    assert len(filled) == 1_024
    assert np.array_equal(filled[:900], rows)
    assert not filled[900:].any()
