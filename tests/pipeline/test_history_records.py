"""What history keeps of a report and of a manifest."""

import pytest

from tests.pipeline.sample_report import reject
from vr.pipeline.history import fix_record, validation_record


def changed(**run):
    """The sample report with other settings."""
    report = reject()
    configuration = report.run.configuration | run.pop("configuration", {})
    return report.model_copy(update={"run": report.run.model_copy(update={"configuration": configuration, **run})})


def test_a_report_is_kept_as_it_was_told():
    report = reject()
    found = validation_record(report)
    assert (found.judged.risk, found.judged.verdict) == (report.risk_score, "reject")
    assert found.judged.fingerprint == report.dataset.fingerprint
    assert "/" not in found.judged.name
    assert [each.kind for each in found.recommended] == [item.action["kind"] for item in report.recommendations]
    assert type(found).model_validate_json(found.model_dump_json()) == found


def test_a_name_that_is_no_text_is_kept_as_text():
    report = reject()
    dataset = report.dataset.model_copy(update={"uri": "folder/\udcff.csv/"})
    found = validation_record(report.model_copy(update={"dataset": dataset}))
    assert found.judged.name == "?.csv"
    assert type(found).model_validate_json(found.model_dump_json()) == found


@pytest.mark.parametrize(
    ("run", "same"),
    [
        ({"seed": 9}, True),
        ({"configuration": {"engine": {"threads": 3}}}, True),
        ({"configuration": {"sample": {"rows": 77}}}, False),
        ({"configuration": {"cascade": {"tiers": []}}}, False),
        ({"configuration": {"data": {"types": {"a": "ignore"}}}}, False),
        ({"configuration": {"targets": ["a"]}}, False),
        ({"configuration": {"targets": []}}, True),
    ],
)
def test_a_question_is_what_has_to_be_alike(run, same):
    asked = validation_record(reject()).judged.question
    assert (validation_record(changed(**run)).judged.question == asked) is same


def test_an_action_on_fewer_real_rows_than_it_asked_for_is_not_as_told():
    for status, added, as_told in (("done", 9, False), ("done", 10, True), ("skipped", 0, False)):
        action = {
            "priority": 1,
            "action": {"version": 1, "kind": "add_real_rows", "rows": 10},
            "status": status,
            "rows_removed": 0,
            "cells_changed": 0,
            "rows_added": added,
            "rows_short": 0 if status == "skipped" else 10 - added,
        }
        manifest = {"actions": [action], "output": {"fingerprint": "0123456789abcdef", "rows": 7}}
        found = fix_record(reject(), manifest)
        assert found.applied[0].as_told is as_told
        assert (found.output, found.output_rows) == ("0123456789abcdef", 7)


def test_weights_are_not_held_against_a_validation_that_reads_none():
    action = {
        "priority": 1,
        "action": {"version": 1, "kind": "reweight"},
        "status": "done",
        "rows_removed": 0,
        "cells_changed": 0,
        "rows_added": 0,
        "rows_short": 0,
    }
    found = fix_record(reject(), {"actions": [action], "output": {"fingerprint": "0123456789abcdef", "rows": 7}})
    assert found.applied[0].as_told is False
    assert found.foretold is None
