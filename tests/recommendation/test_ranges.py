import numpy as np

from vr.recommendation.ranges import beyond_reference


def found(values, *, rows=None, reference_rows=2_000):
    columns = [("x", np.asarray(values, float), 0.0, 10.0)]
    return beyond_reference(columns, num_rows=rows or len(values), reference_rows=reference_rows)


def test_a_fresh_sample_is_not_clipped():
    rng = np.random.default_rng(0)
    for _ in range(50):
        reference, fresh = rng.standard_cauchy(2_000), rng.standard_cauchy(4_000)
        columns = [("x", fresh, float(reference.min()), float(reference.max()))]
        assert beyond_reference(columns, num_rows=4_000, reference_rows=2_000) == []


def test_columns_that_leave_the_range_are_told_most_first():
    inside = np.full(900, 5.0)
    columns = [("few", np.append(inside, np.full(20, 11.0)), 0.0, 10.0)]
    columns += [("many", np.append(inside, np.full(100, -1.0)), 0.0, 10.0)]
    told = beyond_reference(columns, num_rows=10_000, reference_rows=2_000)
    assert [(beyond.column, beyond.rows) for beyond in told] == [("many", 1_000), ("few", 217)]


def test_one_infinite_number_is_enough():
    (told,) = found(np.append(np.full(9_999, 5.0), np.inf))
    assert told.infinite
    assert told.rows == 1


def test_of_a_small_reference_more_is_expected():
    values = np.append(np.full(980, 5.0), np.full(20, 11.0))
    assert found(values, reference_rows=500) == []
    assert len(found(values, reference_rows=5_000)) == 1


def test_no_numbers_are_no_finding():
    assert found([], rows=10) == []
