"""What `vr fix` prints of what was predicted."""

import pytest

from vr.core.printable import numbered
from vr.telemetry.fixed import fixed_lines


def manifest(**validation):
    def action(priority, status):
        expected = {"value": 40.0, "lower": None, "upper": None, "level": 0.9, "reason": None}
        return {
            "priority": priority,
            "title": f"Do {priority}",
            "status": status,
            "note": "no real rows were given" if status == "skipped" else None,
            "rows_removed": 5,
            "rows_added": 0,
            "cells_changed": 0,
            "expected_risk_score": expected,
        }

    told = {
        "risk_score_before": 85.0,
        "verdict_before": "review",
        "risk_score": 14.0,
        "verdict": "approve",
        "risk_score_predicted": 17.0,
        "predicted_by": None,
        "predicted_together": True,
        "note": None,
    }
    return {
        "input": {"rows": 100},
        "output": {"rows": 90},
        "actions": [action(1, "done"), action(2, "skipped"), action(3, "done")],
        "real": None,
        "validation": told | validation,
    }


def test_what_several_actions_were_to_bring_at_once():
    assert "predicted 17, by actions 1 and 3 together; measured 14" in fixed_lines(manifest(), place="x.parquet")


def test_what_the_best_of_them_was_to_bring_alone():
    lines = fixed_lines(manifest(predicted_by=3, predicted_together=False), place="x.parquet")
    assert "predicted 17, by action 3 alone; measured 14" in lines


@pytest.mark.parametrize(
    ("numbers", "said"), [([1], "1"), ([1, 2], "1 and 2"), ([1, 2, 3], "1, 2 and 3"), ([1200, 7], "1,200 and 7")]
)
def test_numbers_as_a_phrase(numbers, said):
    assert numbered(numbers) == said
