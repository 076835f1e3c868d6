"""Numbers in another unit: found, measured, and given back by `vr fix` as they were, in every format."""

import json

import numpy as np
import pandas as pd
import pytest

from vr.cli import main

ROWS, STRETCH = 1_200, slice(400, 520)
WRITERS = {
    "parquet": lambda rows, path: rows.to_parquet(path, index=False),
    "csv": lambda rows, path: rows.to_csv(path, index=False),
    "jsonl": lambda rows, path: rows.to_json(path, orient="records", lines=True, double_precision=15),
}
READERS = {
    "parquet": pd.read_parquet,
    "csv": pd.read_csv,
    "jsonl": lambda path: pd.read_json(path, lines=True, precise_float=True),
}


def frame(rows, seed):
    rng = np.random.default_rng(seed)
    height = 170.0 + 10.0 * rng.standard_normal(rows)
    weight = 0.9 * (height - 100.0) + 8.0 * rng.standard_normal(rows)
    steps = rng.poisson(80, rows)
    return pd.DataFrame({"height": height.round(1), "weight": weight.round(2), "steps": steps})


def wrong_frame():
    """Heights of some rows in millimetres, weights of a stretch in grams, and all steps in thousandths."""
    rng, rows = np.random.default_rng(9), frame(ROWS, 1)
    some = np.sort(rng.permutation(ROWS)[:50])
    rows.loc[some, "height"] *= 10.0
    rows["weight"] = rows["weight"].where(~np.isin(np.arange(ROWS), np.arange(ROWS)[STRETCH]), rows["weight"] * 1_000.0)
    rows["steps"] *= 1_000
    return rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The candidate in every format, its reference, and a report."""
    place = tmp_path_factory.mktemp("repair")
    for name, write in WRITERS.items():
        write(wrong_frame(), place / f"made.{name}")
    frame(2_000, 0).to_parquet(place / "reference.parquet", index=False)
    words = [str(place / "made.parquet"), "-r", str(place / "reference.parquet"), "-o", str(place / "report"), "-q"]
    assert main(["validate", *words, "cascade=none"]) == 0
    return place


def report(folder):
    return json.loads((folder / "report" / "report.json").read_text())


def test_each_column_is_recommended_to_be_divided_by_its_own_factor(folder):
    told = [item for item in report(folder)["recommendations"] if item["category"] == "repair"]
    found = {item["action"]["column"]: item for item in told}
    assert {name: item["action"]["factor"] for name, item in found.items()} == {
        "height": 10.0,
        "weight": 1_000.0,
        "steps": 1_000.0,
    }
    assert found["height"]["affected_rows"] == found["height"]["cost"]["cells_changed"] == 50
    assert found["steps"]["action"]["ranges"] == [[0, ROWS]]
    assert "all numbers are distributed as the reference's are" in found["steps"]["description"]
    for item in told:
        assert item["expected_risk_score"]["value"] is not None
    # What is in another unit is not moved to the end of the range.
    clipped = {i["action"]["column"] for i in report(folder)["recommendations"] if i["category"] == "clip"}
    assert not clipped & set(found)


@pytest.mark.parametrize("name", WRITERS)
def test_numbers_come_back_as_they_were_and_the_risk_falls(folder, tmp_path, name):
    output = tmp_path / f"clean.{name}"
    only = report(folder)
    repairs = [item for item in only["recommendations"] if item["category"] in ("repair", "drop_rows")]
    only["recommendations"] = [{**item, "priority": i} for i, item in enumerate(repairs, 1)]
    (tmp_path / "report.json").write_text(json.dumps(only))
    (tmp_path / "row_scores.parquet").write_bytes((folder / "report" / "row_scores.parquet").read_bytes())
    given = ["--report", str(tmp_path / "report.json"), "-o", str(output), "-q"]
    assert main(["fix", str(folder / f"made.{name}"), *given, "--validate"]) == 0
    manifest = json.loads((tmp_path / f"clean.{name}.manifest.json").read_text())
    gone = [row for a in manifest["actions"] for start, end in a["removed"] for row in range(start, end)]
    # Rows whose cells are repaired are not dropped for what they were.
    assert len(gone) < 10
    assert not set(gone) & set(np.flatnonzero(wrong_frame().height != frame(ROWS, 1).height))
    expected = frame(ROWS, 1).drop(index=gone).reset_index(drop=True)
    pd.testing.assert_frame_equal(READERS[name](output), expected, check_exact=True)
    found = manifest["validation"]
    assert found["verdict"] == "approve"
    assert found["risk_score"] < 0.3 * found["risk_score_before"]
