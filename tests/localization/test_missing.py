"""Regions of the reference that a candidate does not cover."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from scipy.stats import chi2_contingency, hypergeom

from vr.data.source import open_source
from vr.localization.missing import _chance, _differ_by_chance, find_missing, find_strata
from vr.pipeline.config import Config
from vr.pipeline.intake import take_in


def table(rows, seed):
    rng = np.random.default_rng(seed)
    age = rng.integers(18, 90, rows)
    city = rng.choice(["Rome", "Oslo", "Lima"], rows, p=[0.5, 0.3, 0.2])
    return pa.table({"age": age, "city": city, "income": rng.gamma(2.0, 20_000.0, rows)})


def regions(candidate, reference):
    intake = take_in(open_source(candidate), open_source(reference), Config(), 1, lambda *_: None)
    return find_missing(intake.candidate, intake.reference, intake.columns, 0), reference


def test_a_planted_hole_is_named_with_its_share_and_examples():
    rows = table(3_000, 1)
    old_in_lima = pc.and_(pc.greater(rows["age"], 60), pc.equal(rows["city"], "Lima"))
    found, reference = regions(rows.filter(pc.invert(old_in_lima)), table(3_000, 0))
    assert found
    first = found[0]
    truth = np.mean((reference["age"].to_numpy() > 60) & (reference["city"].to_numpy(zero_copy_only=False) == "Lima"))
    assert abs(first.reference_share - truth) < 0.03
    assert first.candidate_share < 0.005
    assert set(first.columns) >= {"age", "city"}
    assert any("Lima" in words for words in first.conditions)
    for row, cells in zip(first.rows, first.examples, strict=True):
        assert reference["age"][row].as_py() == int(cells["age"]) > 55
        assert cells["city"] == reference["city"][row].as_py() == "Lima"
        assert set(cells) == {"age", "city", "income"}
    # The least frequent of three categories; codes that no reference row has are no part of it.
    assert first.codes[1] == (3, 3)


def test_a_fresh_sample_lacks_nothing():
    for seed in range(1, 6):
        assert regions(table(2_000, seed), table(2_000, 0))[0] == []


def test_a_lost_category_is_named():
    rows = table(2_000, 1)
    found, _ = regions(rows.filter(pc.not_equal(rows["city"], "Oslo")), table(2_000, 0))
    assert found[0].conditions[0] == "city is Oslo" or any("city is Oslo" in words for words in found[0].conditions)
    assert sum(region.reference_share for region in found) > 0.25


def strata(candidate, reference, able=None):
    intake = take_in(open_source(candidate), open_source(reference), Config(), 1, lambda *_: None)
    return find_strata(intake.candidate, intake.reference, intake.columns, 0, able), intake


def test_parts_in_other_shares_are_disjoint_and_hold_every_row():
    rows = table(4_000, 1)
    # Every second row of Rome is missing.
    stays = pc.or_(pc.not_equal(rows["city"], "Rome"), pa.array(np.arange(4_000) % 2 == 0))
    found, intake = strata(rows.filter(stays), table(3_000, 0))
    assert sum(each.reference_share for each in found) == pytest.approx(1.0)
    assert sum(each.candidate_share for each in found) == pytest.approx(1.0)
    codes = intake.candidate.codes
    inside = [
        np.all([(codes[:, j] >= a) & (codes[:, j] <= b) for j, (a, b) in each.codes.items()], axis=0) for each in found
    ]
    assert (np.sum(inside, axis=0) == 1).all()
    rome = [each for each in found if 1 in each.codes and each.codes[1][1] == 1]
    assert sum(each.reference_share for each in rome) == pytest.approx(0.5, abs=0.05)
    assert sum(each.candidate_share for each in rome) == pytest.approx(1 / 3, abs=0.05)
    # Where conditions may not be on the city, the others do not tell.
    assert strata(rows.filter(stays), table(3_000, 0), np.array([0, 2]))[0] == []


def test_a_fresh_sample_has_no_parts_in_other_shares():
    for seed in range(1, 6):
        assert strata(table(2_000, seed), table(2_000, 0))[0] == []
    assert strata(table(60, 1), table(60, 0))[0] == []


def test_few_rows_tell_nothing():
    assert regions(table(60, 1), table(60, 0))[0] == []


@pytest.mark.parametrize("totals", [[5_000, 5_000], [400, 3_000], [60, 45]])
def test_the_chance_of_so_few_rows_is_scipys(totals):
    for counts in [(30, 0), (40, 12), (9, 9), (totals[0], 3), (1, totals[1]), tuple(totals)]:
        expected = hypergeom.cdf(counts[1], sum(totals), totals[1], sum(counts))
        assert _chance(list(counts), totals) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("leaves", [1, 2, 3, 9])
def test_the_chance_of_unlike_shares_is_scipys(leaves):
    for seed in range(20):
        counts = np.random.default_rng(seed).integers(1, 60, (leaves, 2))
        assert _differ_by_chance(counts) == pytest.approx(chi2_contingency(counts).pvalue, rel=1e-12)
