"""Regions of the reference that a candidate does not cover."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from vr.data.source import open_source
from vr.localization.missing import find_missing
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


def test_few_rows_tell_nothing():
    assert regions(table(60, 1), table(60, 0))[0] == []
