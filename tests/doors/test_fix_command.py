"""`vr fix` as a command: executed, validated, said to be done, and its errors in one line."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from vr.cli import main
from vr.pipeline.report import ValidationReport


def table(rows, seed):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(rows)
    return pa.table({"x": x, "y": x + 0.5 * rng.standard_normal(rows), "n": rng.poisson(4.0, rows)})


def write_datasets(place):
    """Writes a candidate with repeats and a column out of range, and its reference."""
    made = table(500, 1)
    far = made["n"].to_numpy().copy()
    far[:40] = 90
    made = pa.concat_tables([made.set_column(2, "n", pa.array(far)), made.slice(100, 150)])
    pq.write_table(made, place / "made.parquet")
    pq.write_table(table(900, 0), place / "real.parquet")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Both datasets, and a report."""
    place = tmp_path_factory.mktemp("fix")
    write_datasets(place)
    words = [str(place / "made.parquet"), "-r", str(place / "real.parquet"), "-o", str(place / "report"), "-q"]
    assert main(["validate", *words, "cascade=none", "seed=3"]) == 0
    return place


def fix(folder, *words):
    given = ["--report", str(folder / "report" / "report.json"), "-o", str(folder / "clean.parquet"), "-q"]
    return main(["fix", str(folder / "made.parquet"), *given, *words])


def test_a_dataset_is_fixed_and_validated(folder, capsys):
    capsys.readouterr()
    assert fix(folder, "--validate") == 0
    printed = capsys.readouterr()
    before = ValidationReport.model_validate_json((folder / "report" / "report.json").read_bytes())
    after = ValidationReport.model_validate_json((folder / "clean.parquet.report" / "report.json").read_bytes())
    assert printed.out.startswith(f"wrote {folder / 'clean.parquet'}: {after.dataset.rows:,} rows, from 650\n")
    assert (
        f"risk {before.risk_score:.0f} ({before.verdict}) before, {after.risk_score:.0f} ({after.verdict}) after"
        in (printed.out)
    )
    manifest = json.loads((folder / "clean.parquet.manifest.json").read_text())
    found = manifest["validation"]
    assert (found["risk_score_before"], found["risk_score"]) == (before.risk_score, after.risk_score)
    assert found["fingerprint"] == manifest["output"]["fingerprint"]
    assert found["note"] is None
    assert after.run.seed == manifest["seed"] == 3
    assert after.run.configuration["cascade"]["preset"] == "none"
    # What each action promised stands beside what came of all.
    promised = {action["priority"]: action["expected_risk_score"] for action in manifest["actions"]}
    assert promised == {
        item.priority: item.model_dump(mode="json")["expected_risk_score"] for item in before.recommendations
    }
    assert fix(folder, "--validate", "--json") == 0
    printed = capsys.readouterr()
    assert "is there already, from the same command; --force writes it again" in printed.err
    assert json.loads(printed.out) == manifest


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--top", "9"], 2, "--top: must lie in 1 to"),
        (["--real", "nowhere.csv"], 3, "nowhere.csv: does not exist"),
        (["--format", "nonsense"], 2, "'nonsense' is no format"),
    ],
)
def test_what_cannot_be_done_is_one_line(folder, capsys, words, code, text):
    capsys.readouterr()
    assert fix(folder, *words, "--output", str(folder / "other.parquet")) == code
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.count("\n") == 1
    assert text in printed.err
    assert not (folder / "other.parquet").exists()
