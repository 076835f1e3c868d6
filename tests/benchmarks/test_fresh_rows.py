"""The benchmark of files in which nothing is wrong, on one of them."""

import numpy as np

from benchmarks import datasets
from benchmarks.fresh_rows import found


def test_of_fresh_rows_hardly_anything_is_reported():
    told = found(*datasets.halves("Default", 400, np.random.default_rng(0)))
    assert told["rows"] == 400
    assert told["regions"] == 0
    assert told["suspicious"] <= 4


def test_halves_share_no_row_and_are_of_one_size():
    first, second = datasets.halves("wine", 1_000, np.random.default_rng(3))
    whole = datasets.load("wine").to_pylist()
    assert len(first) == len(second) == len(whole) // 2
    rows = [tuple(row.values()) for row in first.to_pylist() + second.to_pylist()]
    assert sorted(rows) == sorted(set(rows))
