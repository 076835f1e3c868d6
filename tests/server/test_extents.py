"""Which extent's computation answers a call."""

import pytest

from vr.pipeline.extent import Extent
from vr.server.extents import answering, may_train

VERDICT, WHOLE = Extent.verdict, Extent.whole


def job(cascade="none", overrides=()):
    return {"settings": {"cascade": cascade, "overrides": [*overrides], "seed": 1}}


@pytest.mark.parametrize(
    ("cascade", "overrides", "by_default", "trains"),
    [
        ("none", [], True, False),
        ("", [], False, False),
        ("", [], True, True),
        ("smoke", [], False, True),
        ("none", ["cascade.tiers=[{name:a}]"], False, True),
        ("", ["sample.rows=500", "detector.x=cascade.y"], False, False),
    ],
)
def test_what_may_train_by_its_words(cascade, overrides, by_default, trains):
    assert may_train(job(cascade, overrides), by_default=by_default) is trains
    wanted = answering(job(cascade, overrides), VERDICT, {}, trains=by_default)
    assert wanted is (WHOLE if trains else VERDICT)


@pytest.mark.parametrize(
    ("verdict", "whole", "for_verdict", "for_whole"),
    [
        (None, None, VERDICT, WHOLE),
        ("queued", None, VERDICT, WHOLE),
        ("finished", None, VERDICT, WHOLE),
        ("finished", "queued", VERDICT, WHOLE),
        ("finished", "failed", VERDICT, WHOLE),
        ("finished", "cancelled", VERDICT, WHOLE),
        ("failed", None, VERDICT, VERDICT),
        ("cancelled", None, VERDICT, VERDICT),
        ("failed", "queued", VERDICT, WHOLE),
        ("failed", "running", VERDICT, WHOLE),
        ("cancelled", "abandoned", VERDICT, WHOLE),
        ("damaged", None, VERDICT, WHOLE),
        ("damaged", "queued", WHOLE, WHOLE),
        ("damaged", "abandoned", VERDICT, WHOLE),
        ("finished", "damaged", VERDICT, WHOLE),
        (None, "damaged", WHOLE, WHOLE),
        ("cancelled", "finished", WHOLE, WHOLE),
        ("failed", "failed", VERDICT, WHOLE),
        ("abandoned", None, VERDICT, WHOLE),
        ("abandoned", "running", WHOLE, WHOLE),
        ("abandoned", "finished", WHOLE, WHOLE),
        ("abandoned", "cancelled", WHOLE, WHOLE),
        ("abandoned", "abandoned", VERDICT, WHOLE),
        (None, "queued", WHOLE, WHOLE),
        (None, "finished", WHOLE, WHOLE),
        (None, "failed", WHOLE, WHOLE),
        (None, "abandoned", VERDICT, WHOLE),
    ],
)
def test_what_is_there_answers(verdict, whole, for_verdict, for_whole):
    kept = {extent: {"state": state} for extent, state in ((VERDICT, verdict), (WHOLE, whole)) if state is not None}
    assert answering(job(), VERDICT, kept, trains=False) is for_verdict
    assert answering(job(), WHOLE, kept, trains=False) is for_whole


def test_a_finished_verdict_answers_though_the_operator_trains_by_now():
    kept = {VERDICT: {"state": "finished"}}
    assert answering(job(""), VERDICT, kept, trains=True) is VERDICT
    assert answering(job(""), VERDICT, {VERDICT: {"state": "abandoned"}}, trains=True) is WHOLE
