"""The report as JSON text: what the standard library would write, whatever its strings and numbers are."""

import json
import math

import pytest
import sample_report


@pytest.mark.parametrize("name", ["price", "NaN", "Größe \u2028 \U0001f600", "-Infinity", "half of a pair \udc80"])
def test_text_says_what_the_report_holds(name):
    report = sample_report.approve().model_copy(
        update={"scaling": {name: [1e-5, 1e16, 0.1, -0.0, 5e-324, 3, None, True, name]}}
    )
    text = report.to_json()
    assert json.loads(text) == report.to_dict()
    assert math.copysign(1.0, next(iter(json.loads(text)["scaling"].values()))[3]) == -1.0
    assert text.isascii()
    assert text.startswith('{\n "schema_version"')


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("name", ["price", "half of a pair \udc80"])
def test_what_is_no_number_is_null(name, number):
    report = sample_report.approve().model_copy(update={"scaling": {"law": [name, {"points": [1.0, number]}]}})
    assert json.loads(report.to_json())["scaling"] == {"law": [name, {"points": [1.0, None]}]}
