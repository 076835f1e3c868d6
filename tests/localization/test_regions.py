import numpy as np

from vr.localization.regions import Blocks, find_regions
from vr.localization.scorer import DEFECTS, Readings


def blocks_of(totals, size_of_batch):
    blocks = Blocks(len(totals))
    for start in range(0, len(totals), size_of_batch):
        part = totals[start : start + size_of_batch]
        kinds = np.zeros((len(part), len(DEFECTS) - 1))
        kinds[:, 0] = part
        blocks.add(start, Readings(kinds, part, part))
    return blocks


def evidence(rows=10_000, hot=None):
    totals = -np.log10(np.random.default_rng(0).uniform(size=rows))
    if hot is not None:
        totals[hot] += 2.0
    return totals


def test_a_hot_stretch_is_found_where_it_lies():
    (region,) = find_regions(blocks_of(evidence(hot=slice(4_000, 5_000)), 512))
    assert (region.row_start, region.row_end) == (4_000, 5_000)
    assert region.defect == "over_represented"
    assert 0.5 < region.score <= 1.0


def test_no_region_among_ordinary_rows_nor_where_all_rows_are_alike():
    assert find_regions(blocks_of(evidence(), 512)) == []
    assert find_regions(blocks_of(evidence(hot=slice(None)), 512)) == []


def test_a_single_extreme_row_is_no_region():
    totals = evidence()
    totals[77] = 300.0
    assert find_regions(blocks_of(totals, 512)) == []


def test_batches_do_not_matter():
    totals = evidence(hot=slice(100, 700))
    a, b = blocks_of(totals, 64), blocks_of(totals, 9_999)
    assert np.allclose(a.mean, b.mean)
    assert [r.row_start for r in find_regions(a)] == [r.row_start for r in find_regions(b)]


def test_one_row_and_a_ragged_end():
    assert find_regions(blocks_of(np.array([5.0]), 1)) == []
    assert blocks_of(evidence(1_234), 100).rows.sum() == 1_234
