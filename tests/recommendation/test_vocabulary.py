import json

import pytest

from vr.core.errors import DataError
from vr.recommendation.regions import Condition, Region
from vr.recommendation.vocabulary import (
    AddRealRows,
    Clip,
    Deduplicate,
    DropRows,
    FillRegions,
    GiveReference,
    Repair,
    Reweight,
    parse_action,
    to_document,
)


@pytest.mark.parametrize(
    "action",
    [
        Deduplicate(("a", "b"), keep_repeats=20),
        Deduplicate(("a",)),
        DropRows(min_confidence=0.8, except_defects=("exact_duplicate",)),
        DropRows(ranges=((0, 3), (7, 9))),
        Clip("z", 0.0, 12.5),
        Repair("z", 0.01, -1.5, 12.5),
        Repair("z", 1_000.0, 0.0, 12.5, decimals=0, ranges=((0, 3),)),
        AddRealRows(429),
        Reweight((Region((Condition("z", lower=0.5),), 0.3), Region((Condition("z", below=0.5),), 0.7)), 4.0),
        FillRegions((Region((Condition("z", lower=0.5), Condition("g", values=("low",))), 0.125),)),
        GiveReference(),
    ],
)
def test_an_action_survives_json(action):
    document = json.loads(json.dumps(to_document(action)))
    assert document["version"] == 1
    assert parse_action(document, "here") == action


REGION = {"share": 0.6, "conditions": [{"column": "z"}]}


@pytest.mark.parametrize(
    ("document", "text"),
    [
        ({"kind": "drop_rows", "min_confidence": 0.8}, "here: is of version None, and 1 is known"),
        ({"version": 2, "kind": "clip"}, "here: is of version 2"),
        ({"version": 1, "kind": "shuffle"}, "here: kind 'shuffle' is not known; there are deduplicate, drop_rows"),
        ({"version": 1, "kind": "deduplicate"}, "here: deduplicate: lacks 'columns'"),
        ({"version": 1, "kind": "deduplicate", "columns": []}, "columns must be a list of names"),
        ({"version": 1, "kind": "deduplicate", "columns": ["a"], "keep_repeats": -1}, "keep_repeats must be whole"),
        ({"version": 1, "kind": "drop_rows"}, "names no rows"),
        ({"version": 1, "kind": "drop_rows", "min_confidence": 0}, "min_confidence must lie above 0"),
        ({"version": 1, "kind": "drop_rows", "ranges": [[5, 5]]}, "start below end"),
        ({"version": 1, "kind": "drop_rows", "ranges": [5]}, "drop_rows: "),
        ({"version": 1, "kind": "clip", "column": "z", "lower": 2, "upper": 1}, "lower \\(2\\) lies above upper"),
        ({"version": 1, "kind": "clip", "column": "z", "lower": float("nan"), "upper": 1}, "lower must be a finite"),
        ({"version": 1, "kind": "repair", "column": "z", "lower": 0, "upper": 1}, "repair: lacks 'factor'"),
        ({"version": 1, "kind": "repair", "column": "z", "lower": 0, "upper": 1, "factor": 1}, "above 0 and not 1"),
        ({"version": 1, "kind": "add_real_rows", "rows": 0}, "rows must be 1 or more"),
        ({"version": 1, "kind": "reweight", "most": 0.5, "strata": [REGION]}, "most must be 1 or more, not 0.5"),
        ({"version": 1, "kind": "reweight", "strata": [REGION]}, "reweight: lacks 'most'"),
        ({"version": 1, "kind": "fill_regions", "regions": []}, "fill_regions: regions must be a list of regions"),
        ({"version": 1, "kind": "fill_regions", "regions": [REGION, REGION]}, "add up to 0.95 at most, not 1.2"),
        ({"version": 1, "kind": "add_real_rows", "rows": 5, "from": "x"}, "has an unknown setting 'from'"),
    ],
)
def test_what_is_no_action_is_refused(document, text):
    with pytest.raises(DataError, match=text):
        parse_action(document, "here")
