"""The head that weighs evidence, and what the judge makes of its odds."""

import json
from importlib import resources

import numpy as np
import pytest

from vr.localization.head import CLASSES, Head, features, load_head
from vr.localization.judge import DEFECTS, Judge
from vr.localization.row_evidence import EVIDENCE, Evidence


def evidence(tails):
    return Evidence(tails, np.zeros(len(tails), np.int64), np.zeros(len(tails), bool))


def ordinary(rows, seed=0):
    return -np.log10(np.random.default_rng(seed).uniform(size=(rows, len(EVIDENCE))))


def judged(own, seed=0):
    repeated = np.zeros(len(own), bool)
    judge = Judge.fit(load_head(), ordinary(3_000, 99), evidence(own), repeated, 0.0)
    return judge, judge.read(evidence(own), repeated)


def test_the_shipped_head_is_of_this_versions_evidence():
    head = load_head()
    assert head.weights.shape == (len(CLASSES), features(np.zeros((1, len(EVIDENCE)))).shape[1])
    assert Head.of(head.to_document()).share == head.share


def test_a_head_of_other_evidence_is_refused():
    document = json.loads(resources.files("vr.localization").joinpath("head.json").read_text())
    with pytest.raises(ValueError, match="fits it anew"):
        Head.of(document | {"evidence": ["something else"]})


def test_ordinary_rows_score_evenly_and_are_suspected_of_nothing():
    judge, readings = judged(ordinary(2_000))
    assert readings.score.mean() == pytest.approx(0.5, abs=0.04)
    assert judge.share < 0.01
    assert judge.confidence(readings).max() < 0.8


@pytest.mark.parametrize(
    ("names", "kind"),
    [
        (("near",), "near_duplicate"),
        (("stretch", "shifted"), "drifted_block"),
        (("outer", "outers", "far", "distance"), "outlier"),
        (("surprise", "dependence", "second"), "broken_dependence"),
    ],
)
def test_the_kind_follows_the_evidence(names, kind):
    own = ordinary(2_000)
    own[:100, [EVIDENCE.index(name) for name in names]] = 4.0
    _, readings = judged(own)
    named = np.bincount(readings.defect[:100], minlength=len(DEFECTS))
    assert readings.score[:100].mean() > 0.95
    assert DEFECTS.index(kind) in np.argsort(-named, kind="stable")[:2]


def test_the_files_own_share_of_wrong_rows_is_estimated():
    shares = []
    for wrong in (0, 40, 200):
        own = ordinary(2_000)
        own[:wrong, [EVIDENCE.index(name) for name in ("outer", "outers", "distance")]] = 5.0
        shares.append(judged(own)[0].share)
    assert shares[0] < shares[1] < shares[2]
    assert 0.05 < shares[2] < 0.2


def test_a_row_beyond_the_range_is_named_so():
    own = ordinary(500)
    own[0, [EVIDENCE.index(name) for name in ("outer", "outers", "distance")]] = 5.0
    beyond = Evidence(own, np.zeros(500, np.int64), np.arange(500) == 0)
    judge = Judge.fit(load_head(), ordinary(3_000, 99), beyond, np.zeros(500, bool), 0.0)
    assert DEFECTS[judge.read(beyond, np.zeros(500, bool)).defect[0]] == "out_of_range"
