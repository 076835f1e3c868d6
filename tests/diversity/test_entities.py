"""Identifiers that repeat, counted in row order."""

import numpy as np
import pyarrow as pa
import pytest

from vr.diversity.entities import entity_repeats


@pytest.mark.parametrize("batch_rows", [1, 7, 100])
def test_repeats_are_those_of_a_set_kept_in_row_order(batch_rows):
    rng = np.random.default_rng(0)
    key = rng.integers(0, 60, 100)
    name = [None if i % 9 == 0 else f"n{k}" for i, k in enumerate(key)]
    table = pa.table({"key": key, "name": pa.array(name).dictionary_encode()})
    found = entity_repeats(table.to_batches(max_chunksize=batch_rows), ["key", "name"])
    for each, values in zip(found, (key.tolist(), name), strict=True):
        seen, expected = set(), []
        for row, value in enumerate(values):
            if value in seen and value is not None:
                expected.append(row)
            seen.add(value)
        present = [value for value in values if value is not None]
        assert each.share == pytest.approx(len(expected) / len(present))
        assert each.rows == expected[:20]
        assert each.num_rows == 100


def test_without_a_single_identifier_there_is_no_share():
    (found,) = entity_repeats(pa.table({"key": pa.array([None, None], pa.string())}).to_batches(), ["key"])
    assert found.share is None
    assert found.rows == []
