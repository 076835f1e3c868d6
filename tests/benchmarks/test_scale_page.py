"""The page of scale shows the committed results, and its benchmark makes what it says."""

import json

import pyarrow.parquet as pq

from benchmarks.measure import RESULTS
from benchmarks.rows_and_columns import write_columns, write_rows
from benchmarks.scale_page import PAGE, tables


def test_the_page_is_that_of_the_committed_results():
    page = PAGE.read_text()
    for name, lines in tables(json.loads((RESULTS / "rows_and_columns.json").read_text())).items():
        assert f"<!-- {name} -->\n" + "\n".join(lines) + f"\n<!-- /{name} -->" in page


def test_datasets_have_the_size_that_was_asked_for(tmp_path):
    write_rows(tmp_path / "rows", 1_000)
    assert pq.read_table(tmp_path / "rows").shape == (1_000, 20)
    write_columns(tmp_path / "columns", 12)
    assert pq.read_table(tmp_path / "columns").shape == (20_000, 12)
