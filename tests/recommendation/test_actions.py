import pytest

from vr.recommendation.actions import recommend


def actions(**changes):
    facts = {
        "verdict": "approve",
        "num_rows": 1_000,
        "num_repeated": 0,
        "duplicate_excess": 0.0,
        "num_confident": 0,
        "missing_mass": None,
        "reference_rows": 2_000,
    }
    return {action.category: action for action in recommend(**(facts | changes))}


def test_nothing_to_do_for_healthy_data():
    assert actions() == {}


def test_duplicates_beyond_the_reference_rate_are_removed():
    found = actions(num_repeated=100, duplicate_excess=0.8)["deduplicate"]
    assert found.affected_rows == 80
    assert found.action == {"kind": "drop_rows", "where": {"defect": "exact_duplicate"}, "most": 80}
    assert "20%" in found.description
    assert actions(num_repeated=100, duplicate_excess=None)["deduplicate"].affected_rows == 100


def test_duplicates_as_frequent_as_the_reference_has_are_left():
    assert "deduplicate" not in actions(num_repeated=100, duplicate_excess=0.0)


def test_confident_rows_are_dropped_unless_they_are_most_of_the_file():
    assert actions(num_confident=50)["drop_rows"].affected_rows == 50
    assert "drop_rows" not in actions(num_confident=600)


@pytest.mark.parametrize(("verdict", "rows"), [("review", 429), ("reject", 1_000)])
def test_real_rows_are_asked_for_when_in_doubt(verdict, rows):
    found = actions(verdict=verdict, missing_mass=0.25)["add_real_rows"]
    assert found.affected_rows == rows
    assert "25%" in found.description


def test_without_a_reference_one_is_asked_for():
    found = actions(verdict="review", reference_rows=None, duplicate_excess=None)
    assert set(found) == {"add_reference"}
