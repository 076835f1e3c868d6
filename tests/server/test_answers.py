"""What recommendations do at once, out of a report of any kind."""

import pytest

from vr.server.answers import _combined_impact


def expected(value, reason=None):
    return {"value": value, "lower": None, "upper": None, "level": 0.9, "reason": reason}


def report(advice, together=None):
    recommendations = [{"priority": i, "expected_risk_score": each} for i, each in enumerate(advice, 1)]
    remedies = None if together is None else {"together": together}
    return {"recommendations": recommendations, "remedies": remedies}


def test_it_is_that_of_the_most_that_were_measured_at_once():
    several = [
        {"priorities": [1, 2], "expected_risk_score": expected(30.0)},
        {"priorities": [1, 2, 3], "expected_risk_score": expected(14.0)},
        {"priorities": [2, 3], "expected_risk_score": expected(60.0)},
    ]
    found = _combined_impact(report([expected(40.0)] * 3, several))
    assert (found["status"], found["risk_score"], found["priorities"]) == ("measured", 14.0, [1, 2, 3])
    assert found["interval"] == expected(14.0)


def test_one_alone_needs_no_others():
    found = _combined_impact(report([expected(40.0)], []))
    assert (found["risk_score"], found["priorities"]) == (40.0, [1])


@pytest.mark.parametrize(
    ("told", "why"),
    [
        (report([], []), "nothing is recommended"),
        (report([expected(40.0), expected(None)], []), "no two of the recommendations were measured"),
        (report([expected(40.0)] * 2), "no two"),  # of an earlier version
        (report([None]), "it was not measured"),
        (report([expected(None, "too few rows")]), "too few rows"),
    ],
)
def test_what_is_not_measured_says_why(told, why):
    found = _combined_impact(told)
    assert found["status"] == "not_measured"
    assert why in found["reason"]
