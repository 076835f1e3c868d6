"""What each action changes, on rows whose answer is known."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from vr.core.errors import DataError
from vr.data.hashing import fingerprint_of, hash_batch
from vr.recommendation.edits import decide, decide_regions
from vr.recommendation.regions import Condition, Region
from vr.recommendation.vocabulary import (
    AddRealRows,
    Clip,
    Deduplicate,
    DropRows,
    FillRegions,
    Repair,
    Reweight,
    in_ranges,
)


def batches(table, size=7):
    return table.combine_chunks().to_batches(max_chunksize=size)


def decided(table, *actions, scores=(), seed=0, size=7, columns=None):
    found = decide(batches(table, size), columns or table.column_names, actions, scores, seed=seed)
    return decide_regions(lambda names: batches(table.select(names), size), actions, found)


def repeated_rows() -> pa.Table:
    """Ten distinct rows, and thirty that repeat one of them; `id` tells all apart."""
    rng = np.random.default_rng(0)
    x = np.concatenate([np.arange(10), rng.integers(0, 10, 30)])
    return pa.table({"x": x, "y": [f"word {i}" for i in x], "id": np.arange(40)})


def test_repeats_go_and_first_occurrences_stay():
    (change,) = decided(repeated_rows(), Deduplicate(("x", "y")), columns=["x", "y"]).changes
    assert change.dropped.tolist() == list(range(10, 40))


@pytest.mark.parametrize("columns", [["x", "y"], ["x", "y", "id"]])
def test_as_many_repeats_stay_as_the_reference_explains(columns):
    table = repeated_rows()
    action = Deduplicate(("x", "y"), keep_repeats=12)
    (change,) = decided(table, action, columns=columns).changes
    assert len(change.dropped) == 18
    assert change.dropped.min() >= 10
    # All along the file, not its first repeats or its last.
    assert change.dropped.min() < 20
    assert change.dropped.max() > 30
    assert not np.array_equal(change.dropped, decided(table, action, seed=1, columns=columns).changes[0].dropped)
    rest = table.take(np.setdiff1d(np.arange(40), change.dropped))
    assert decided(rest, action, columns=columns).changes[0].dropped.tolist() == []


def test_what_is_decided_does_not_depend_on_batches():
    actions = Deduplicate(("x",), keep_repeats=5), Clip("id", 3, 30), DropRows(ranges=((2, 4), (3, 9)))
    first, second = (decided(repeated_rows(), *actions, size=size) for size in (1, 40))
    assert (first.rows, first.fingerprint) == (second.rows, second.fingerprint) == (40, second.fingerprint)
    for a, b in zip(first.changes, second.changes, strict=True):
        assert a.dropped.tolist() == b.dropped.tolist()
        assert a.changed.tolist() == b.changed.tolist()
    assert first.changes[2].dropped.tolist() == [2, 3, 4, 5, 6, 7, 8]


def test_the_fingerprint_is_that_of_a_profile():
    table = repeated_rows()
    names = table.column_names
    assert decided(table).fingerprint == fingerprint_of(hash_batch(table, names), 0)


def scores(confidence, defects) -> list[pa.RecordBatch]:
    names = pa.array(defects).dictionary_encode()
    columns = [pa.array(range(len(confidence))), pa.array(confidence, pa.float32()), names]
    return pa.table(columns, names=["row", "confidence", "defect"]).to_batches(max_chunksize=2)


def test_rows_go_by_their_confidence_but_for_the_defects_that_are_spared():
    table = pa.table({"x": range(6)})
    told = scores(
        [0.8, 0.79, 0.99, 0.9, 0.1, 1.0], ["outlier", "outlier", "exact_duplicate", "none", "none", "outlier"]
    )
    action = DropRows(min_confidence=0.8, except_defects=("exact_duplicate",))
    assert decided(table, action, scores=told).changes[0].dropped.tolist() == [0, 3, 5]
    assert decided(table, DropRows(min_confidence=0.8), scores=told).changes[0].dropped.tolist() == [0, 2, 3, 5]


@pytest.mark.parametrize("size", [1, 3, 50])
@pytest.mark.parametrize("spared", [("exact_duplicate",), ()])
def test_copies_of_a_dropped_row_go_with_it(size, spared):
    # Rows 0 to 9 are outliers and 10 to 29 are not; then come a copy of each of 5 to 19, and of 5 to 9 once more.
    x = np.concatenate([np.arange(30), np.arange(5, 20), np.arange(5, 10)])
    table = pa.table({"x": x, "id": np.arange(50)})
    repeat = np.arange(50) >= 30
    told = scores(np.where(repeat, 0.4, np.where(x < 10, 0.95, 0.1)), np.where(repeat, "exact_duplicate", "none"))
    drop, fewer = DropRows(min_confidence=0.8, except_defects=spared), Deduplicate(("x",), keep_repeats=12)
    found = decided(table, fewer, drop, scores=told, size=size, columns=["x"]).changes
    assert found[1].dropped.tolist() == np.flatnonzero(x < 10).tolist()
    assert found[1].note is None
    # Whatever repeats deduplication keeps, none is left whose original is gone.
    rest = np.setdiff1d(np.arange(50), np.union1d(found[0].dropped, found[1].dropped))
    assert x[rest].min() == 10
    assert set(x[rest]) == set(range(10, 30))


def test_numbers_beyond_the_bounds_are_moved_to_them():
    table = pa.table({"x": [1.0, -np.inf, np.nan, None, 9.0, np.inf, -2.0], "w": [-5, 0, 7, None, 2, 3, 4]})
    by_x, by_w = decided(table, Clip("x", 0.0, 8.5), Clip("w", -1.5, 3.5)).changes
    assert by_x.changed.tolist() == [1, 4, 5, 6]
    assert by_x.numbers.tolist() == [0.0, 8.5, 8.5, 0.0]
    # A column of whole numbers is moved to whole numbers.
    assert by_w.changed.tolist() == [0, 2, 6]
    assert by_w.numbers.tolist() == [-1.0, 3.0, 3.0]


@pytest.mark.parametrize("type_", [pa.float16(), pa.float32(), pa.float64()])
@pytest.mark.parametrize(("lower", "upper"), [(0.1, 0.7), (-0.7, -0.1), (0.1, 0.1), (-1e300, 1e300)])
def test_numbers_that_were_moved_are_not_moved_again(type_, lower, upper):
    numbers = np.array([-np.inf, -3.0, 0.25, -0.25, 3.0, np.inf])
    table = pa.table({"x": pa.array(numbers.astype(type_.to_pandas_dtype()), type_)})
    (change,) = decided(table, Clip("x", lower, upper)).changes
    assert len(change.changed) > 0
    numbers[change.changed] = change.numbers
    moved = numbers.astype(type_.to_pandas_dtype())
    assert np.isfinite(moved).all()
    if lower < upper:
        assert lower <= moved.astype(float).min() <= moved.astype(float).max() <= upper
    again = pa.table({"x": pa.array(moved, type_)})
    assert decided(again, Clip("x", lower, upper)).changes[0].changed.tolist() == []


@pytest.mark.parametrize("size", [1, 4, 9])
def test_numbers_in_another_unit_are_divided_and_their_rows_are_not_dropped_for_their_scores(size):
    table = pa.table({"x": [5, 5_000, 7_000, 5_500, None, 3, 90_000, 2, 4], "y": [0.5] * 9})
    told = scores([0.1, 0.9, 0.1, 0.9, 0.1, 0.9, 0.9, 0.1, 0.9], ["outlier"] * 9)
    drop = DropRows(min_confidence=0.8, ranges=((2, 3),))
    repair, dropped = decided(table, Repair("x", 1_000.0, 1.0, 10.0), drop, scores=told, size=size).changes
    # Whole numbers alone where the column has no others, and what lies within after it.
    assert repair.changed.tolist() == [1, 2]
    assert repair.numbers.tolist() == [5.0, 7.0]
    # Those that were asked for by number go all the same.
    assert dropped.dropped.tolist() == [2, 3, 5, 6, 8]
    stretch = Repair("y", 0.5, 0.0, 10.0, ranges=((3, 5), (8, 9)))
    assert decided(table, stretch, size=size).changes[0].changed.tolist() == [3, 4, 8]


def test_what_cannot_be_done_is_refused():
    table = pa.table({"x": [1, 2], "s": ["a", "b"]})
    with pytest.raises(DataError, match="column 's': holds string and cannot be clipped"):
        decided(table, Clip("s", 0, 1))
    with pytest.raises(DataError, match="column 's': holds string and cannot be repaired"):
        decided(table, Repair("s", 2.0, 0.0, 1.0))
    with pytest.raises(DataError, match=r"column 'z': is not among"):
        decided(table, Clip("z", 0, 1))
    with pytest.raises(DataError, match="asks for row 3 of 2"):
        decided(table, DropRows(ranges=((0, 3),)))
    assert decided(table, AddRealRows(5)).changes[0].dropped.tolist() == []


@pytest.mark.parametrize("size", [1, 7, 40])
def test_regions_get_what_they_lack_of_their_shares(size):
    low, high = (Region((Condition("x", lower=lower, below=lower + 1.0),), 0.25) for lower in (0.0, 77.0))
    table = repeated_rows()
    there = np.sum(table["x"].to_numpy() == 0)
    (change,) = decided(table, FillRegions((low, high)), size=size).changes
    assert (there + change.wanted[0]) / (40 + sum(change.wanted)) == pytest.approx(0.25, abs=0.01)
    assert change.wanted[1] == there + change.wanted[0]
    assert change.dropped.tolist() == change.changed.tolist() == []


def test_strata_weigh_by_all_of_their_rows():
    table = pa.table({"x": [1, 1, 1, 2, 2, 2, 2, 2, 2, 9]})
    strata = [Region((Condition("x", lower=v, below=v + 1.0),), share) for v, share in ((1.0, 0.6), (2.0, 0.3))]
    for size in (1, 4, 10):
        (change,) = decided(table, Reweight(tuple(strata), 4.0), size=size).changes
        assert change.weights == pytest.approx((0.6 / (3 / 9), 0.3 / (6 / 9)))
        assert change.dropped.tolist() == change.changed.tolist() == []


@pytest.mark.parametrize("size", [1, 400, 1_500])
def test_strata_and_regions_are_counted_among_the_rows_that_stay(size):
    table = pa.table({"c": ["A"] * 1_000 + ["B"] * 500})
    a, b = (Region((Condition("c", values=(name,)),), 0.5) for name in "AB")
    drop, weigh, fill = DropRows(ranges=((0, 500),)), Reweight((a, b), 4.0), FillRegions((replace(b, share=0.6),))
    for actions in ((drop, weigh, fill), (fill, weigh, drop)):
        found = dict(zip(actions, decided(table, *actions, size=size).changes, strict=True))
        # 500 of each are left: half of the rows as they are, and 250 more of B are six in ten.
        assert found[weigh].weights == (1.0, 1.0)
        assert found[fill].wanted == (250,)


@pytest.mark.parametrize("factor", [1_000.0, 0.001])
def test_whole_numbers_that_no_float_can_tell_are_not_repaired(factor):
    x = pa.array([9_000, None, 9_007_199_254_741_000, 2**53 + 1, 9_007_199_254_740_000, 2_000], pa.int64())
    (change,) = decided(pa.table({"x": x}), Repair("x", factor, -1e30, 1e30, 0, ((0, 6),)), size=2).changes
    expected = {1_000.0: [0, 4, 5], 0.001: [0, 5]}[factor]
    assert change.changed.tolist() == expected
    assert change.numbers.tolist() == [x[i].as_py() / factor for i in expected]
    assert change.note == f"{5 - len(expected)} cells stay, whose whole numbers are beyond 2**53"


def test_ranges_are_half_open():
    assert in_ranges(np.arange(6), [(1, 3), (2, 4)]).tolist() == [False, True, True, True, False, False]
