"""What the report says of rows, stretches and holes of which the truth is known."""

import re

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vr.cascade.config import preset
from vr.data.source import open_source
from vr.localization.explain import _oddness, _worst
from vr.pipeline.config import Config
from vr.pipeline.validate import validate

ROWS = 2_000
BEYOND, TOGETHER, STRETCH = np.arange(11, 900, 41), np.arange(23, 1_000, 41), slice(1_000, 1_120)


def table(rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(rows)
    group = np.array(["low", "mid", "high"])[np.searchsorted([-0.7, 0.7], x)]
    y = x + 0.5 * rng.standard_normal(rows)
    return pa.table({"x": x, "y": y, "z": rng.gamma(2.0, size=rows), "group": group}).to_pandas()


def validated(frame, folder):
    sides = (pa.Table.from_pandas(frame, preserve_index=False), pa.Table.from_pandas(table(3_000, 0)))
    report = validate(*map(open_source, sides), Config(cascade=preset("none")), output=folder, html=False)
    return report, pq.read_table(folder / "row_scores.parquet").to_pandas()


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    frame, rng = table(ROWS, 1), np.random.default_rng(7)
    frame.loc[BEYOND, "z"] = 30.0 + rng.random(len(BEYOND))
    contrary = frame.loc[TOGETHER, "x"] > 0
    frame.loc[TOGETHER, "group"] = np.where(contrary, "low", "high")
    return validated(frame, tmp_path_factory.mktemp("rows"))


@pytest.fixture(scope="module")
def found_along(tmp_path_factory):
    # In a file of its own: many extreme rows all over a file can hide a stretch (docs/localization.md).
    frame = table(ROWS, 1)
    frame.iloc[STRETCH, 2] += 2.0
    return validated(frame, tmp_path_factory.mktemp("stretch"))


def listed(report, rows):
    wanted = set(np.arange(ROWS)[rows].tolist())
    return [row for row in report.localization.rows if row.row in wanted]


def test_a_number_beyond_the_range_is_told_with_the_range(found):
    report, scores = found
    assert (scores.defect[BEYOND] == "out_of_range").mean() > 0.9
    for row in listed(report, BEYOND):
        if row.defects[0] == "out_of_range":
            assert row.columns[0] == "z"
            assert re.search(r"z = 30\.\d+, where the reference has 0\.0\d+ to 1\d", row.reason)


def test_cells_that_contradict_each_other_are_named(found):
    report, scores = found
    assert scores.score[TOGETHER].mean() > 0.9
    blamed = [set(row.columns) for row in listed(report, TOGETHER)]
    assert np.mean([bool(columns & {"group", "x"}) for columns in blamed]) > 0.9
    kinds = {"impossible_combination", "label_contradiction", "broken_dependence", "out_of_range"}
    assert np.isin(scores.defect[TOGETHER], [*kinds]).mean() > 0.6


def test_of_two_cells_the_one_is_named_first_that_the_others_speak_against(found):
    report, _ = found
    # y goes with x still, so that it is the group that is wrong.
    first = [row.columns[0] for row in listed(report, TOGETHER) if row.defects[0] == "impossible_combination"]
    assert len(first) >= 3
    assert np.mean([name == "group" for name in first]) > 0.6


def test_what_proxies_attribute_decides_between_cells_of_much_the_same_evidence():
    evidence, positions, first = np.array([2.0, 1.9, 0.1]), np.array([0, 2, 3]), {0: 0, 2: 2, 3: 3}
    shares = np.array([0.2, 9.0, 5.0, 1.0])
    alone, together = (_worst(evidence, positions, first, _oddness(evidence, positions, x)) for x in (None, shares))
    assert alone == [0, 2]
    assert together == [2, 0]


def test_a_shifted_stretch_has_its_edges_and_its_column(found_along):
    report, scores = found_along
    region = next(r for r in report.localization.regions if r.row_start < 1_060 < r.row_end)
    assert abs(region.row_start - STRETCH.start) <= 8
    assert abs(region.row_end - STRETCH.stop) <= 8
    assert region.columns[0] == "z"
    assert scores.score[STRETCH].mean() > 0.95


def test_confidence_does_not_fall_where_rows_get_rarer(found):
    _, scores = found
    rare = scores[scores.defect != "exact_duplicate"].sort_values("score")
    top = rare.confidence.to_numpy()[-10:]
    assert top.min() > 0.8


def test_ordinary_rows_stay_ordinary(found):
    _, scores = found
    planted = np.zeros(ROWS, bool)
    planted[np.concatenate([BEYOND, TOGETHER])] = True
    assert (scores.confidence[~planted] >= 0.8).mean() < 0.01
