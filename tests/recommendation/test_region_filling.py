"""Regions in conditions on columns: which rows they hold, that codes and values say the same, and what they need."""

import json
from datetime import datetime

import numpy as np
import pyarrow as pa
import pytest

from vr.core.errors import DataError
from vr.data.encoders import CategoricalEncoder, CyclicEncoder, NumericEncoder, TextEncoder
from vr.recommendation.regions import Condition, Region, condition_of, parse_region, region_of, rows_to_add, weights_of

NUMBERS = pa.array([None, -3.0, np.nan, 0.0, 1.5, 2.0, 7.25, 1e9, np.inf, -np.inf])
CITIES = pa.array(["Rome", "Oslo", None, "Lima", "Rome", "Bern", "Oslo", "Rome", "Cusco", "Bern"])
TIMES = pa.array([datetime(2024, 1 + i, 1 + i, 2 * i) for i in range(9)] + [None], pa.timestamp("us"))


def encoders():
    numbers = NumericEncoder.fit("x", "x", np.array([-3.0, 0.0, 1.5, 2.0, 7.25]), 32)
    cities = CategoricalEncoder.fit("c", "c", pa.array(["Rome"] * 4 + ["Oslo"] * 3 + ["Bern"] * 2 + ["Lima"]), 10)
    return [(numbers, NUMBERS), (cities, CITIES)] + [
        (CyclicEncoder(f"t {part}", "t", part), TIMES) for part in ("hour", "weekday", "month")
    ]


@pytest.mark.parametrize("place", range(5))
def test_a_condition_holds_where_the_codes_are(place):
    encoder, values = encoders()[place]
    codes, n = encoder.encode(values).astype(int), encoder.num_codes
    # A file may hold what the reference does not, which goes with the last codes of categories.
    if isinstance(encoder, CategoricalEncoder):
        codes, n = np.minimum(codes, n - 2), n - 1
    for first in range(n):
        for last in range(first, n):
            if (first, last) == (0, n - 1):
                continue
            told = condition_of(encoder, first, last)
            assert told is not None
            assert told.holds(values).tolist() == ((codes >= first) & (codes <= last)).tolist(), (first, last, told)


def test_values_are_asked_alike_in_whatever_type_they_are_stored():
    one = Condition("n", values=("1", "3"))
    for array in (pa.array([1, 2, 3, None]), pa.array([1.0, 2.0, 3.0, np.nan]), pa.array(["1", "2", "3", None])):
        assert one.holds(array).tolist() == [True, False, True, False]
        assert one.holds(array.dictionary_encode()).tolist() == [True, False, True, False]
    assert Condition("n", values=("1",), excluded=True, null=True).holds(pa.array([1, 2, None])).tolist() == [
        False,
        True,
        True,
    ]
    assert Condition("n", null=True).holds(NUMBERS).tolist() == [True, False, True] + [False] * 7
    assert Condition("n").holds(NUMBERS).tolist() == [False, True, False] + [True] * 7


def test_texts_have_no_condition():
    assert condition_of(TextEncoder("t", "t", np.eye(2, 512, dtype=np.float32)), 1, 1) is None


def test_a_row_lies_in_the_first_region_all_of_whose_conditions_hold():
    table = pa.table({"x": NUMBERS, "c": CITIES})
    rome = Region((Condition("c", values=("Rome",)), Condition("x", lower=1.0)), 0.2)
    large = Region((Condition("x", lower=2.0),), 0.2)
    assert region_of(table, [rome, large]).tolist() == [-1, -1, -1, -1, 0, 1, 1, 0, 1, -1]
    assert region_of(table.slice(3, 2), [large]).tolist() == [-1, -1]
    with pytest.raises(DataError, match="column 'z': is not among"):
        region_of(table, [Region((Condition("z", lower=1.0),), 0.2)])
    with pytest.raises(DataError, match="column 'c': holds string, which cannot be compared"):
        region_of(table, [Region((Condition("c", lower=1.0),), 0.2)])


@pytest.mark.parametrize(
    ("counts", "shares"),
    [([0], [0.2]), ([30, 0, 100], [0.2, 0.1, 0.3]), ([900, 10], [0.1, 0.4]), ([0, 0], [0.5, 0.45])],
)
def test_rows_added_bring_each_region_to_its_share_and_no_further(counts, shares):
    counts, shares = np.array(counts), np.array(shares)
    added = rows_to_add(counts, 1_000, shares)
    after = (counts + added) / (1_000 + added.sum())
    lacking = added > 0
    assert lacking.any()
    assert after[lacking] == pytest.approx(shares[lacking], abs=1e-3)
    assert (after >= shares - 1e-3).all()
    # What is full gets nothing more.
    assert rows_to_add(counts + added, 1_000 + int(added.sum()), shares).sum() <= len(shares)


def test_shares_that_leave_hardly_anything_over_are_counted_at_once():
    # A series would take as many steps as there are rows to add.
    shares = np.array([0.5, 0.4999999])
    assert rows_to_add(np.array([500, 0]), 1_000, shares).sum() == pytest.approx(5e9, rel=1e-6)
    # One region lacks rows only because of what is added for another.
    assert rows_to_add(np.array([250, 0]), 1_000, np.array([0.1, 0.5])).tolist() == [0, 1_000]
    assert rows_to_add(np.array([150, 0]), 1_000, np.array([0.1, 0.5])).tolist() == [62, 1_062]
    assert rows_to_add(np.array([0, 0]), 0, shares).tolist() == [0, 0]


def test_weights_give_strata_their_shares_within_bounds():
    counts, shares = np.array([300, 600, 100]), np.array([0.5, 0.3, 0.2])
    weights = weights_of(counts, shares, 4.0)
    assert counts * weights / (counts * weights).sum() == pytest.approx(shares)
    assert counts @ weights == pytest.approx(counts.sum())
    assert weights_of(counts, shares, 1.5).tolist() == pytest.approx([1.5, 1 / 1.5, 1.5])
    # Where there are no rows there is nothing to weigh.
    assert weights_of(np.array([10, 0]), np.array([0.5, 0.5]), 4.0).tolist() == [0.5, 1.0]
    assert weights_of(np.zeros(2), shares[:2], 4.0).tolist() == [1.0, 1.0]


def test_a_region_survives_json():
    region = Region(
        (
            Condition("x", 1.5, None, null=True),
            Condition("t", 3.0, 5.0, "hour"),
            Condition("c", values=("a", "b"), excluded=True),
            Condition("d", values=()),
        ),
        0.125,
    )
    assert parse_region(json.loads(json.dumps(region.to_document()))) == region


@pytest.mark.parametrize(
    ("document", "error", "text"),
    [
        ({"share": 0.1}, KeyError, "conditions"),
        ({"share": 1.0, "conditions": [{"column": "x"}]}, ValueError, "share must lie between 0 and 1"),
        ({"share": 0.1, "conditions": []}, TypeError, "conditions must be a list"),
        ({"share": 0.1, "conditions": [{"column": 3}]}, TypeError, "column must be a name"),
        ({"share": 0.1, "conditions": [{"column": "x", "lower": "1"}]}, TypeError, "lower must be a finite number"),
        ({"share": 0.1, "conditions": [{"column": "x", "values": "a"}]}, TypeError, "values must be a list of texts"),
        ({"share": 0.1, "conditions": [{"column": "x", "null": 1}]}, TypeError, "must be true or false"),
        ({"share": 0.1, "conditions": [{"column": "x", "part": "year"}]}, ValueError, "part must be one of hour"),
        ({"share": 0.1, "conditions": [{"column": "x", "lower": 1, "values": []}]}, ValueError, "bounds or values"),
        ({"share": 0.1, "conditions": [{"column": "x", "above": 1}]}, ValueError, "unknown setting 'above'"),
        ({"share": 0.1, "rows": 3, "conditions": [{"column": "x"}]}, ValueError, "unknown setting 'rows'"),
    ],
)
def test_what_is_no_region_is_refused(document, error, text):
    with pytest.raises(error, match=text):
        parse_region(document)
