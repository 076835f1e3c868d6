"""The head that weighs evidence, and what the judge makes of its odds."""

import json
from importlib import resources

import numpy as np
import pytest

from vr.localization import judge as judge_module
from vr.localization.head import CLASSES, Head, features, load_head
from vr.localization.judge import DEFECTS, Judge
from vr.localization.row_evidence import EVIDENCE, QUICK, Evidence


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
    assert np.array_equal(Head.of(head.to_document()).shares, head.shares)
    assert head.shares.shape == (len(CLASSES),)
    assert 0.0 < head.shares.sum() < 0.2


def test_evidence_that_a_row_has_not_weighs_nothing():
    head, tails = load_head(), ordinary(3_000)
    tails[:2_500, QUICK:] = 0.0
    found = head.log_odds(tails)
    assert found == pytest.approx(features(tails) @ head.weights.T + head.bias, abs=1e-9)
    # To the last bit whatever stands beside it.
    for rows in ([0], [2_999], [2_999, 0, 1_200], np.arange(100, 2_900, 7)):
        assert np.array_equal(head.log_odds(tails[rows]), found[rows])


def test_a_head_of_other_evidence_is_refused():
    document = json.loads(resources.files("vr.localization").joinpath("head.json").read_text())
    with pytest.raises(ValueError, match="fits it anew"):
        Head.of(document | {"evidence": ["something else"]})


def test_ordinary_rows_score_evenly_and_are_suspected_of_nothing():
    judge, readings = judged(ordinary(2_000))
    assert readings.score.mean() == pytest.approx(0.5, abs=0.04)
    assert judge.share - load_head().shares[~judge_module._COUNTED].sum() < 0.01
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


def test_the_shares_of_kinds_are_those_that_a_mixture_was_drawn_at():
    """Three kinds told apart by one reading each: the densities are known, and so are the posteriors."""
    rng, truth = np.random.default_rng(0), np.array([0.08, 0.0, 0.02])
    kind = rng.choice(4, 20_000, p=[1.0 - truth.sum(), *truth])
    x = rng.normal(size=(20_000, 3))
    x[np.arange(20_000), np.maximum(kind - 1, 0)] += 2.5 * (kind > 0)
    before, every = np.array([0.01, 0.03, 0.05]), np.ones(3, bool)
    # log p(x | k) / p(x | none) of a normal shifted by 2.5 in one reading, at the shares before.
    odds = 2.5 * x - 2.5**2 / 2 + np.log(before / (1.0 - before.sum()))
    assert judge_module._shares(odds, before, every) == pytest.approx(truth, abs=0.006)
    # Of few rows the shares are hardly other than before.
    assert judge_module._shares(odds[:2], before, every) == pytest.approx(before, abs=0.01)
    assert judge_module._shares(odds[:0], before, every).tolist() == before.tolist()
    kept = judge_module._shares(odds, before, np.array([True, False, True]))
    assert kept[1] == before[1]
    moved = judge_module._at(odds, before, np.maximum(truth, 1e-6))
    posterior = np.exp(moved) / (1.0 + np.exp(moved).sum(axis=1, keepdims=True))
    assert posterior[:, 0].mean() == pytest.approx(0.08, abs=0.006)


def test_a_slight_sign_counts_for_more_where_the_file_is_full_of_its_kind():
    near, outer = ([EVIDENCE.index(name) for name in names] for names in (("near",), ("outer", "outers", "distance")))
    full = ordinary(2_000)
    full[:200, near] = 5.0
    slight = ordinary(2)
    slight[:] = 0.5
    slight[0, near], slight[1, outer] = 1.8, 1.8

    def gap(own):
        judge = judged(own)[0]
        found = judge.read(evidence(slight), np.zeros(2, bool)).odds
        return found[0] - found[1]

    assert gap(full) > gap(ordinary(2_000)) + 1.0


@pytest.mark.parametrize("rows", [60, 200, 1_000])
def test_a_short_file_without_a_wrong_row_is_given_none(rows):
    blocks = load_head().shares[~judge_module._COUNTED].sum()
    shares = [judged(ordinary(rows, seed))[0].share - blocks for seed in range(8)]
    # What is left is chance: no share of the prior's, which was fitted to files of many wrong rows.
    assert np.median(shares) < 0.005


def test_the_rows_of_a_block_keep_their_confidence_where_nothing_else_is_wrong():
    own = ordinary(3_000)
    own[:300, [EVIDENCE.index(name) for name in ("stretch", "shifted")]] = 4.0
    judge, readings = judged(own)
    assert np.median(judge.confidence(readings)[:300]) > 0.9
    assert np.mean(judge.confidence(readings)[300:] > 0.8) < 0.01
