"""`vr sample` as a person calls it."""

import json

import pyarrow.parquet as pq
import pytest

from tests.diversity.test_strata import planted
from vr.cli import main


@pytest.fixture
def folder(tmp_path):
    pq.write_table(planted().slice(0, 2_000), tmp_path / "rows.parquet")
    return tmp_path


def sample(folder, *words):
    return main(["sample", str(folder / "rows.parquet"), "-o", str(folder / "out" / "s.csv"), "-q", *words])


def test_a_sample_is_drawn_and_told_of(folder, capsys):
    assert sample(folder, "--rows", "150", "seed=3") == 0
    printed = capsys.readouterr()
    rows = len((folder / "out" / "s.csv").read_text().splitlines()) - 1
    assert printed.out.startswith(f"wrote {folder / 'out' / 's.csv'}: {rows} rows, with their numbers in row_number")
    assert "confidence 1.00" in printed.out
    assert printed.err == ""
    assert sample(folder, "--rows", "150", "seed=3", "--json") == 0
    found = json.loads(capsys.readouterr().out)
    manifest = json.loads((folder / "out" / "s.csv.manifest.json").read_text())
    assert found == manifest["sample"]
    assert manifest["seed"] == 3


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--rows", "5"], 2, "--rows: must be 100 or more"),
        (["-o", "s.xlsx"], 2, "s.xlsx: does not end as a file that can be written"),
        (["--format", "nonsense"], 2, "'nonsense' is no format"),
        (["--rows", "150", "seed=4"], 4, "holds something else already"),
    ],
)
def test_what_cannot_be_done_is_one_line(folder, capsys, words, code, text):
    (folder / "out").mkdir(exist_ok=True)
    (folder / "out" / "s.csv.manifest.json").write_text("{}")
    assert sample(folder, *words) == code
    (line,) = capsys.readouterr().err.splitlines()
    assert text in line
