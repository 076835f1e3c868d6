"""Regions: found where they are, and not where rows that are off lie anywhere."""

import numpy as np
import pytest

from vr.localization.regions import Blocks, Region, find_regions
from vr.localization.row_evidence import EVIDENCE, Evidence
from vr.localization.scorer import DEFECTS, Readings

REPEAT = DEFECTS.index("exact_duplicate") - 1


def blocks_of(totals, size_of_batch, repeated=None):
    """Blocks of rows with so much evidence of their own, given in batches."""
    repeated = np.zeros(len(totals), bool) if repeated is None else repeated
    blocks = Blocks(len(totals))
    for start in range(0, len(totals), size_of_batch):
        part = totals[start : start + size_of_batch]
        tails = np.zeros((len(part), len(EVIDENCE)))
        tails[:, :8] = part[:, None] / 8.0
        kinds = np.zeros((len(part), len(DEFECTS) - 1))
        kinds[:, 0] = part
        kinds[repeated[start : start + size_of_batch], REPEAT] = 4.0
        judged = Evidence(tails, np.zeros(len(part), int), np.zeros(len(part), bool))
        blocks.add(start, Readings(kinds, part, part, judged))
    return blocks


def evidence(rows=10_000, hot=None, seed=0):
    totals = -np.log10(np.random.default_rng(seed).uniform(size=rows))
    if hot is not None:
        totals[hot] += 2.0
    return totals


def test_a_hot_stretch_is_found_where_it_lies():
    (region,) = find_regions(blocks_of(evidence(hot=slice(4_000, 5_000)), 512))
    assert (region.row_start, region.row_end) == (4_000, 5_000)
    assert region.defect == "over_represented"
    assert 0.5 < region.score <= 1.0


def test_two_of_them_of_lengths_that_are_no_powers_of_two():
    totals = evidence(hot=slice(1_000, 1_550))
    totals[7_000:8_650] += 2.0
    found = find_regions(blocks_of(totals, 9_999))
    assert sorted((region.row_start, region.row_end) for region in found) == [(1_000, 1_550), (7_000, 8_650)]


def test_no_region_where_all_rows_are_alike_nor_beside_a_known_one():
    assert find_regions(blocks_of(evidence(hot=slice(None)), 512)) == []
    known = Region(4_100, 4_800, "drifted_block", 0.9)
    assert find_regions(blocks_of(evidence(hot=slice(4_000, 5_000)), 512), [known]) == [known]


@pytest.mark.parametrize("rows", [40, 300, 1_500, 10_000])
def test_no_region_among_ordinary_rows_however_heavy_the_tail_of_their_evidence(rows):
    found = 0
    for seed in range(100):
        rng = np.random.default_rng([rows, seed])
        totals = rng.exponential(0.4, rows)
        totals[rng.random(rows) < 0.03] += 15.0
        found += bool(find_regions(blocks_of(totals, rows)))
    assert found <= 3


def test_a_single_extreme_row_is_no_region():
    totals = evidence()
    totals[77] = 300.0
    assert find_regions(blocks_of(totals, 512)) == []


def test_rows_appended_once_more_are_a_region_of_repeats():
    repeated = np.zeros(3_000, bool)
    repeated[2_400:] = True
    (region,) = find_regions(blocks_of(evidence(3_000), 100, repeated))
    assert (region.row_start, region.row_end, region.defect) == (2_400, 3_000, "exact_duplicate")


def test_repeats_that_become_more_along_the_file_are_none():
    """As they do wherever rows are drawn again: the more rows there were, the likelier is a repeat."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(0, 1_500, 3_000)
    repeated = np.ones(3_000, bool)
    repeated[np.unique(drawn, return_index=True)[1]] = False
    assert repeated[:500].mean() < 0.2
    assert repeated[-500:].mean() > 0.7
    assert find_regions(blocks_of(evidence(3_000), 3_000, repeated)) == []


def test_batches_do_not_matter():
    totals = evidence(hot=slice(100, 700))
    a, b = blocks_of(totals, 64), blocks_of(totals, 9_999)
    assert np.array_equal(a.own, b.own)
    assert [(r.row_start, r.row_end) for r in find_regions(a)] == [(r.row_start, r.row_end) for r in find_regions(b)]


def test_one_row_and_a_ragged_end():
    assert find_regions(blocks_of(np.array([5.0]), 1)) == []
    assert blocks_of(evidence(1_234), 100).rows.sum() == 1_234


def test_a_long_mild_half_does_not_hide_a_short_region_within_it():
    rng = np.random.default_rng(0)
    totals = rng.exponential(1.0, 100_000)
    totals[:50_000] *= 1.15
    totals[20_000:21_000] *= 2.2
    (region,) = find_regions(blocks_of(totals, 100_000))
    assert (region.row_start, region.row_end) == (20_000, 21_000)
