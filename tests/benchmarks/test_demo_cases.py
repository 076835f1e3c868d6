import sys
from collections import Counter

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import demo_cases
from benchmarks.datasets import describe, load


def rows_of(table):
    return Counter(map(str, table.to_pylist()))


def test_description_names_package_and_version():
    entry = describe("wine")
    assert entry["package"].startswith("scikit-learn 1.")
    assert entry["columns"]["target"] == "string"


def test_one_hot_groups_are_one_column_again():
    assert sorted(load("randhie")["health"].unique().to_pylist()) == ["excellent", "fair", "good", "poor"]
    assert load("wagepan")["industry"].null_count == 0
    assert len(load("wagepan")["occupation"].unique()) == 9


def test_parts_are_disjoint_and_complete():
    table = load("gpa2")
    parts = demo_cases.split(table, 0)
    assert sum(map(rows_of, parts.values()), Counter()) == rows_of(table)
    assert [part.num_rows for part in parts.values()] == [1655, 827, 828, 827]
    assert not parts["fresh"].equals(demo_cases.split(table, 1)["fresh"])


def test_demo_case_repeats_and_follows_its_seed():
    first, again, other = (demo_cases.demo_case("wine", seed, "sequential_trees", 2) for seed in (0, 0, 1))
    assert list(first) == ["reference", "fresh", "train", "test", "generation_1", "generation_2"]
    assert all(first[name].equals(again[name]) for name in first)
    assert not first["generation_2"].equals(other["generation_2"])
    assert first["generation_2"].schema == first["reference"].schema
    assert first["generation_2"].num_rows == first["train"].num_rows


def test_command_writes_the_three_files(tmp_path, monkeypatch, capsys):
    arguments = ["--dataset", "wine", "--output", str(tmp_path / "demo"), "--generations", "2"]
    monkeypatch.setattr(sys, "argv", ["demo_cases", *arguments])
    demo_cases.main()
    case = demo_cases.demo_case("wine", 0, generations=2)
    assert sorted(path.name for path in (tmp_path / "demo").iterdir()) == [
        "fresh.parquet",
        "generation_2.parquet",
        "reference.parquet",
    ]
    assert pq.read_table(tmp_path / "demo" / "generation_2.parquet").equals(case["generation_2"])
    assert "71 rows" in capsys.readouterr().out


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="10 real rows"):
        demo_cases.split(pa.table({"x": range(9)}), 0)
