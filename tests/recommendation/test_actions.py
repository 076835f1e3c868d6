import pytest

from vr.detector.harm import Harm
from vr.recommendation.actions import Effect, with_effects
from vr.recommendation.proposals import recommend
from vr.recommendation.ranges import Beyond
from vr.recommendation.regions import Condition, Gap, Part, Region
from vr.recommendation.units import UnitError
from vr.recommendation.vocabulary import (
    AddRealRows,
    Clip,
    Deduplicate,
    DropRows,
    FillRegions,
    GiveReference,
    Repair,
    Reweight,
)

FACTS = {
    "verdict": "approve",
    "num_rows": 1_000,
    "columns": ["a", "b"],
    "num_repeated": 0,
    "duplicate_excess": 0.0,
    "num_suspicious": 0,
    "missing_mass": None,
    "reference_rows": 2_000,
}


def actions(**changes):
    return {action.category: action for action in recommend(**(FACTS | changes))}


def test_nothing_to_do_for_healthy_data():
    assert actions() == {}


def test_duplicates_beyond_the_reference_rate_are_removed():
    found = actions(num_repeated=100, duplicate_excess=0.8)["deduplicate"]
    assert found.affected_rows == 80
    assert found.action == Deduplicate(("a", "b"), keep_repeats=20)
    assert "20%" in found.description
    assert actions(num_repeated=100, duplicate_excess=None)["deduplicate"].affected_rows == 100


def test_duplicates_as_frequent_as_the_reference_has_are_left():
    assert "deduplicate" not in actions(num_repeated=100, duplicate_excess=0.0)


def test_confident_rows_are_dropped_unless_they_are_most_of_the_file():
    found = actions(num_suspicious=50)["drop_rows"]
    assert found.affected_rows == 50
    assert found.action == DropRows(min_confidence=0.8, except_defects=("exact_duplicate",))
    assert "drop_rows" not in actions(num_suspicious=600)


@pytest.mark.parametrize(("verdict", "rows"), [("review", 429), ("reject", 1_000)])
def test_real_rows_are_asked_for_when_in_doubt(verdict, rows):
    found = actions(verdict=verdict, missing_mass=0.25)["add_real_rows"]
    assert found.affected_rows == rows
    assert found.action == AddRealRows(rows)
    assert "25%" in found.description


def test_missing_regions_are_filled_when_in_doubt():
    regions = [Region((Condition("a", lower=float(i)),), 0.1) for i in range(4)]
    gaps = [Gap((f"a from {i}",), region, 0.01, 90 - i) for i, region in enumerate(regions)]
    found = actions(verdict="review", gaps=gaps, num_missing=6)["fill_regions"]
    assert found.action == FillRegions(tuple(regions))
    assert found.affected_rows == found.cost["real_rows"] == 90 + 89 + 88 + 87
    assert "a from 2 (10.0% of the reference, 1.0% here); and 1 more." in found.description
    assert "2 more of localization.missing_regions cannot be filled" in found.description
    alone = actions(verdict="review", gaps=gaps[:1], num_missing=1)["fill_regions"]
    assert alone.title == "Fill a region that the candidate lacks with 90 real rows"
    assert "cannot be filled" not in alone.description
    assert "fill_regions" not in actions(gaps=gaps, num_missing=6)


def test_rows_are_weighed_when_in_doubt():
    shares, have = (0.5, 0.3, 0.15, 0.05), (0.25, 0.4, 0.3, 0.05)
    regions = [Region((Condition("a", lower=float(i), below=i + 1.0),), share) for i, share in enumerate(shares)]
    strata = [Part((f"a is {i}",), *both) for i, both in enumerate(zip(regions, have, strict=True))]
    found = actions(verdict="review", strata=strata)["reweight"]
    assert found.action == Reweight(tuple(regions), 4.0)
    assert "2 where a is 0 (50.0% of the reference, 25.0% here); 0.5 where a is 2" in found.description
    assert "; and 1 more." in found.description
    weights = [2.0, 0.75, 0.5, 1.0]
    assert found.cost == {"effective_rows": round(1_000 / sum(h * w * w for h, w in zip(have, weights, strict=True)))}
    assert "reweight" not in actions(strata=strata)


def test_columns_in_another_unit_are_repaired_and_not_clipped():
    errors = [UnitError(Repair("a", 0.01, 0.0, 9.0), 70), UnitError(Repair("b", 12.0, 0.0, 9.0, 2, ((0, 1_000),)), 990)]
    beyond = [Beyond(name, 0.0, 7.0, 70, infinite=False) for name in ("a", "c")]
    found = recommend(**FACTS, unit_errors=errors, beyond=beyond)
    assert [action.action for action in found] == [errors[0].action, errors[1].action, Clip("c", 0.0, 7.0)]
    assert found[0].title == "Divide 70 numbers of column 'a' by 1/100"
    assert "the numbers outside of the reference's range are distributed" in found[0].description
    assert found[1].title == "Divide 990 numbers of column 'b' by 12"
    assert "all numbers are distributed" in found[1].description


def test_without_a_reference_one_is_asked_for():
    found = actions(verdict="review", reference_rows=None, duplicate_excess=None)
    assert set(found) == {"add_reference"}
    assert found["add_reference"].action == GiveReference()


def test_columns_that_leave_the_range_are_clipped_five_at_most():
    beyond = [Beyond(f"c{i}", -1.0, 2.5, 90 - i, infinite=i == 0) for i in range(7)]
    found = recommend(**FACTS, beyond=beyond)
    assert [action.action for action in found] == [Clip(f"c{i}", -1.0, 2.5) for i in range(5)]
    assert "infinite" in found[0].description
    assert "infinite" not in found[1].description


def listed():
    facts = {"verdict": "review", "num_repeated": 10, "duplicate_excess": None, "num_suspicious": 9}
    return recommend(**FACTS | facts, beyond=[Beyond("a", 0.0, 1.0, 7, infinite=False)])


def order(effects, risk=60.0):
    return [action.category for action in with_effects(listed(), effects, risk)]


def effect(risk, lost=None):
    return Effect(risk, risk, risk, harm=None if lost is None else Harm(lost, lost, lost))


def test_actions_are_listed_in_the_order_in_which_they_are_measured():
    assert [action.category for action in listed()] == ["deduplicate", "add_real_rows", "drop_rows", "clip"]
    # Without a risk there is no effect to order by.
    assert order([effect(60.0), effect(20.0)], risk=None) == ["deduplicate", "add_real_rows", "drop_rows", "clip"]


def test_the_greatest_measured_effect_comes_first_and_what_was_not_measured_last():
    found = with_effects(listed(), [effect(60.0), effect(20.0), effect(9.0)], 60.2)
    assert [action.category for action in found] == ["drop_rows", "add_real_rows", "deduplicate", "clip"]
    assert [action.effect.risk for action in found] == [9.0, 20.0, 60.0, None]
    assert found[2].description.endswith("By itself it does not lower the risk.")
    assert not any(action.description.endswith("lower the risk.") for action in (*found[:2], found[3]))
    assert "not among the actions that are measured" in (found[3].effect.reason or "")
    # One that could not be measured is not before one that was, however little that buys.
    assert order([Effect(None, reason="too few"), effect(60.0)]) == [
        "add_real_rows",
        "deduplicate",
        "drop_rows",
        "clip",
    ]


def test_equal_risks_are_told_apart_by_the_skill_lost_and_then_by_the_rows():
    # 10 repeats, 429 real rows, 9 suspicious ones.
    assert order([effect(20.3, 0.3), effect(19.8, 0.1), effect(20.1)])[:3] == [
        "add_real_rows",
        "deduplicate",
        "drop_rows",
    ]
    assert order([effect(20.0, 0.2), effect(20.0, 0.2), effect(20.0, 0.2)])[:3] == [
        "drop_rows",
        "deduplicate",
        "add_real_rows",
    ]
    # At a risk that nothing moves, the expected loss still tells what helps.
    assert order([effect(99.9, 0.5), effect(99.8, 0.2), effect(99.9, 0.6)], risk=99.9)[0] == "add_real_rows"


def test_what_raises_the_risk_comes_after_what_leaves_it():
    found = with_effects(listed(), [effect(70.0, 0.1), effect(60.3), effect(59.6)], 60.0)
    assert [action.category for action in found][:3] == ["drop_rows", "add_real_rows", "deduplicate"]
    assert all(action.description.endswith("lower the risk.") for action in found[:3])


def test_rows_that_may_differ_where_they_were_not_compared_are_not_removed():
    found = actions(num_repeated=100, duplicate_excess=None, beside=["vec", "img"])["deduplicate"]
    assert found.action == Deduplicate(("a", "b"), keep_repeats=0, beside=("vec", "img"))
    assert found.title == "Look at 100 rows that may be duplicates"
    assert "they may differ in 'vec', 'img', so `vr fix` removes none" in found.description
    assert found.cost == {}


def test_a_column_of_one_real_value_is_not_clipped_to_it():
    assert recommend(**FACTS, beyond=[Beyond("a", 1.0, 1.0, 40, infinite=False)]) == recommend(**FACTS)
