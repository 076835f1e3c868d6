"""Rare combinations: those that were planted are named with their rows, chance names none."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tests.diversity.sides import inputs, table
from vr.diversity.rare import find_rare


def found(candidate, reference=None):
    taken = inputs(candidate, reference)
    return find_rare(taken.candidate, taken.reference, taken.columns)


def both(rows, group, kind):
    return pc.and_(pc.equal(rows["group"], group), pc.equal(rows["kind"], kind))


def test_chance_names_no_combination():
    reports = [found(table(800, seed), table(800, 100 + seed)) for seed in range(8)]
    # One false combination in a hundred reports is allowed.
    assert sum(map(len, reports)) == 0


def test_a_lost_combination_is_named_with_rows_of_the_reference():
    reference, fresh = table(2000, 0), table(2000, 1)
    lost = found(fresh.filter(pc.invert(both(fresh, "c", "v"))), reference)
    assert lost
    assert {pattern.kind for pattern in lost} == {"lost"}
    first = lost[0]
    assert (set(first.columns), first.count) == ({"group", "kind"}, 0)
    assert set(first.conditions) == {"group is c", "kind is v"}
    assert first.reference_count == pc.sum(both(reference, "c", "v")).as_py()
    here = np.flatnonzero(both(reference, "c", "v").to_numpy())
    assert set(first.rows) <= set(here.tolist())
    assert 0 < len(first.rows) <= 5


def test_a_lost_value_is_named_once_not_with_every_other_column():
    reference, fresh = table(2000, 0), table(2000, 1)
    lost = found(fresh.filter(pc.not_equal(fresh["kind"], "w")), reference)
    assert [pattern.conditions for pattern in lost] == [["kind is w"]]
    assert lost[0].expected == pytest.approx(lost[0].reference_count * 0.9, rel=0.05)


def test_a_made_up_combination_is_named_with_rows_of_the_candidate():
    reference, candidate = table(2000, 0), table(2000, 1)
    reference = reference.filter(pc.invert(both(reference, "c", "w")))
    new = [pattern for pattern in found(candidate, reference) if pattern.kind == "new"]
    assert set(new[0].conditions) == {"group is c", "kind is w"}
    assert new[0].reference_count == 0
    here = np.flatnonzero(both(candidate, "c", "w").to_numpy())
    assert new[0].count == len(here)
    assert set(new[0].rows) <= set(here.tolist())


def test_alone_an_odd_combination_is_named():
    rng = np.random.default_rng(0)
    left = rng.choice(["p", "q"], 2000)
    right = np.where(left == "p", rng.choice(["s", "t"], 2000), "s")
    right[np.flatnonzero(left == "q")[[3, 70]]] = "t"
    odd = found(pa.table({"left": left, "right": right, "z": rng.standard_normal(2000)}))
    assert len(odd) == 1
    assert set(odd[0].conditions) == {"left is q", "right is t"}
    assert odd[0].rows == np.flatnonzero(left == "q")[[3, 70]].tolist()
    assert odd[0].count == 2
    assert odd[0].expected > 200
