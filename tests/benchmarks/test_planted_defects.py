"""Planted defects: what is planted is what the truth says, scores find it, and committed tables are the results'."""

import json

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.planted import page
from benchmarks.planted.cases import DATASETS, Case, cases_of, material_of, reference_of
from benchmarks.planted.fitting import akin_to, fit_head
from benchmarks.planted.observe import observe
from benchmarks.planted.plant import KINDS, Material, plant
from benchmarks.planted.store import peers_of
from benchmarks.planted_defects import measure
from vr.localization.head import CLASSES, load_head


def table(rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(rows).round(3)
    y = np.where(x > 0, "high", "low")
    return pa.table({"x": x, "w": (2 * x + rng.standard_normal(rows)).round(3), "n": rng.integers(0, 90, rows), "y": y})


MATERIAL = Material(table(400, 0), table(400, 1), "y")


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_planted_rows_differ_and_they_are_as_many_as_asked(kind):
    damaged = plant(MATERIAL, kind, 0.1, 3)
    assert damaged.rows.sum() == 40
    assert damaged.table.schema == MATERIAL.table.schema
    before, after = (t.to_pandas().astype(str).agg("|".join, axis=1) for t in (MATERIAL.table, damaged.table))
    assert (before == after)[~damaged.rows].all()
    assert (before != after)[damaged.rows].mean() > 0.9
    again = plant(MATERIAL, kind, 0.1, 3)
    assert again.table.equals(damaged.table)


def test_copies_follow_what_they_copy():
    damaged = plant(MATERIAL, "exact_duplicates", 0.1, 0)
    assert (damaged.table.to_pandas().duplicated().to_numpy() == damaged.rows).all()


def test_a_flipped_label_is_another():
    damaged = plant(MATERIAL, "label_flips", 0.1, 0)
    before, after = (t["y"].to_numpy(zero_copy_only=False) for t in (MATERIAL.table, damaged.table))
    assert (before != after)[damaged.rows].all()


def test_reference_and_files_share_no_row():
    assert reference_of("ImageSegments").num_rows >= 2 * material_of("ImageSegments").table.num_rows
    assert len({case.name for name in DATASETS for case in cases_of(name)}) == 27 * len(DATASETS)


def test_the_scores_find_what_is_planted_in_a_small_dataset():
    norms = {}
    kinds = ("outliers", "label_flips", "impossible_combinations", "drifted_block")
    files = [observe("crime1", None, norms), *(observe("crime1", Case("crime1", kind, 0.1), norms) for kind in kinds)]
    found = {entry["kind"]: entry for entry in measure(files, load_head())}
    assert found["none"]["confidence"][-1][0] + found["none"]["confidence"][-2][0] <= 0.01 * len(files[0].wrong)
    for kind in kinds:
        assert found[kind]["scores"]["vr"][0] > 0.9
    with pytest.raises(ValueError, match="near_duplicate"):
        fit_head(files)
    # As if nobody had thought of label flips: no odds of theirs, and the rest as before.
    left = {"near_duplicates", "shuffled_cells", "generated_rows", "generated_block", "label_flips"}
    head = fit_head(files, left)
    of = dict(zip(CLASSES, head.log_odds(files[1].evidence.tails).T, strict=True))
    assert (of["label_contradiction"] < -40).all()
    assert of["outlier"][files[1].wrong].min() > of["outlier"][~files[1].wrong].mean()


def test_what_is_akin_teaches_a_head_that_never_saw_a_kind_nothing():
    assert akin_to("outliers") == {"outliers"}
    assert akin_to("shuffled_cells") == {"shuffled_cells", "generated_rows"}
    assert akin_to("generated_rows") == {"shuffled_cells", "generated_rows", "generated_block"}
    assert akin_to("generated_block") == {"generated_rows", "generated_block"}


def test_peers_ranks_are_committed_for_every_file():
    for name in DATASETS:
        ranks = peers_of(name, None)
        assert len(ranks) == 27
        assert all(len(scores) == 5 for scores in ranks.values())


def test_the_tables_are_those_of_the_results():
    result, text = json.loads(page.RESULT.read_text()), page.PAGE.read_text()
    for name, expected in page.tables(result).items():
        assert f"<!-- {name} -->\n{expected}\n<!-- end -->" in text, f"python -m benchmarks.planted.page writes {name}"


def test_the_calibration_error_is_that_of_the_bins():
    case = {"confidence": [[90, 9.0, 9], [10, 8.0, 6]]}
    assert page.calibration_error([case]) == pytest.approx(0.02)
    assert page.calibration_error([case], 1) == pytest.approx(0.2)
