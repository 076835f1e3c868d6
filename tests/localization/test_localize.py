"""Row scores on planted defects: what is found, how surely, and that healthy rows are left alone."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vr.cascade.config import preset
from vr.data.source import open_source
from vr.pipeline.config import Config
from vr.pipeline.validate import validate

ROWS = 2_000


def table(rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(rows)
    y = x + 0.5 * rng.standard_normal(rows)
    group = np.array(["low", "mid", "high"])[np.searchsorted([-0.7, 0.7], x)]
    return pa.table({"x": x, "y": y, "z": rng.gamma(2.0, size=rows), "group": group})


def run(candidate, tmp_path, **changes):
    config = Config(cascade=preset("none"), **changes)
    report = validate(open_source(candidate), open_source(table(3_000, 0)), config, output=tmp_path, html=False)
    return report, pq.read_table(tmp_path / "row_scores.parquet").to_pandas()


@pytest.fixture(scope="module")
def fresh(tmp_path_factory):
    return run(table(ROWS, 1), tmp_path_factory.mktemp("fresh"))


def test_a_fresh_sample_is_told_to_drop_nothing(fresh):
    report, scores = fresh
    assert report.recommendations == []
    assert (scores.confidence >= 0.8).mean() < 0.005


def test_scores_of_fresh_samples_lie_about_a_half(fresh, tmp_path):
    # Those of one file hang together, as all its rows are held against the same reference rows.
    means = [scores.score.mean() for _, scores in (fresh, run(table(ROWS, 2), tmp_path))]
    assert np.mean(means) == pytest.approx(0.5, abs=0.06)


def test_only_rows_with_a_defect_are_listed(fresh):
    report, scores = fresh
    listed = {row.row for row in report.localization.rows}
    assert listed <= set(scores.row[scores.defect != "none"])
    assert len(listed) < 0.35 * ROWS


def test_planted_outliers_and_impossible_rows_are_found(tmp_path):
    rng = np.random.default_rng(5)
    frame = table(ROWS, 1).to_pandas()
    outliers, mixed = np.arange(100, 130), np.arange(300, 380)
    frame.loc[outliers, "z"] = 40.0 + rng.random(30)
    frame.loc[mixed, "y"] = -2.5 * np.sign(frame.loc[mixed, "x"])
    report, scores = run(pa.Table.from_pandas(frame), tmp_path)
    assert any("fewer than 1 in 3,000 real rows" in row.reason for row in report.localization.rows)
    assert (scores.confidence[outliers] > 0.8).mean() > 0.9
    assert scores.score[mixed].mean() > 0.9
    healthy = np.setdiff1d(np.arange(ROWS), np.concatenate([outliers, mixed]))
    assert (scores.confidence[healthy] >= 0.8).mean() < 0.03
    assert any(region.row_start <= 340 < region.row_end for region in report.localization.regions)


def test_duplicates_lead_to_their_removal_and_to_nothing_else(tmp_path):
    base = table(ROWS // 2, 1)
    order = np.random.default_rng(0).permutation(ROWS)
    report, scores = run(pa.concat_tables([base, base]).take(order), tmp_path)
    assert (scores.defect == "exact_duplicate").sum() == ROWS // 2
    # The first of each pair is no defect, and no near duplicate of its own copy.
    first = scores[scores.defect != "exact_duplicate"]
    assert (first.defect == "near_duplicate").mean() < 0.1
    actions = {action.category: action for action in report.recommendations}
    assert actions["deduplicate"].affected_rows == pytest.approx(ROWS // 2, rel=0.02)
    assert "drop_rows" not in actions


def test_copies_of_suspicious_rows_count_with_them(tmp_path):
    base = table(ROWS, 1).to_pandas()
    base.loc[np.arange(100, 140), "z"] = 40.0 + np.random.default_rng(5).random(40)
    # Later copies of thirty of the outliers, and of thirty ordinary rows.
    frame = pd.concat([base, base.iloc[110:170]], ignore_index=True)
    report, scores = run(pa.Table.from_pandas(frame), tmp_path)
    copies = scores.defect == "exact_duplicate"
    assert copies[ROWS:].all()
    judged = frame[~copies & (scores.confidence >= 0.8)]
    outliers = judged.index[judged.z >= 40.0]
    assert len(outliers) > 35
    actions = {action.category: action for action in report.recommendations}
    follow = copies & frame.z.isin(judged.z)
    assert follow.sum() >= 25
    assert actions["drop_rows"].affected_rows == len(judged) + follow.sum()


def test_repeats_that_the_reference_has_too_are_left(tmp_path):
    rng = np.random.default_rng(2)
    names = np.array(list("abcdefghij"))
    few = [pa.table({f"c{j}": names[rng.integers(0, 10, n)] for j in range(3)}) for n in (8_000, 1_500)]
    report = validate(open_source(few[0]), open_source(few[1]), Config(cascade=preset("none")), html=False)
    assert "deduplicate" not in {action.category for action in report.recommendations}
    assert report.verdict == "approve"


def test_announced_rows_are_the_rows_that_the_action_selects(tmp_path):
    frame = table(ROWS, 1).to_pandas()
    frame.loc[:99, "z"] = 60.0 + np.arange(100)
    frame.loc[200:499] = frame.loc[500:799].to_numpy()
    report, scores = run(pa.Table.from_pandas(frame), tmp_path)
    for action in report.recommendations:
        where = action.action.get("where")
        if where is None:
            continue
        chosen = np.ones(ROWS, bool)
        if "defect" in where:
            chosen &= (scores.defect == where["defect"]).to_numpy()
        if "not_defect" in where:
            chosen &= (scores.defect != where["not_defect"]).to_numpy()
        if "min_confidence" in where:
            chosen &= (scores.confidence >= where["min_confidence"]).to_numpy()
        assert min(chosen.sum(), action.action.get("most", ROWS)) == action.affected_rows
    assert {"deduplicate", "drop_rows"} <= {action.category for action in report.recommendations}
