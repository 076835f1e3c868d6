import functools
import sys

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from benchmarks.datasets import DATASETS, describe, kind, load, targets
from benchmarks.datasets.tables import MOST_ROWS, sample, text, tidy_table, yes_or_no

TYPES = {pa.int64(), pa.float64(), pa.string(), pa.bool_()}

loaded = functools.cache(load)


@pytest.mark.parametrize("name", DATASETS)
def test_every_dataset_keeps_the_contract(name):
    table, dataset = loaded(name), DATASETS[name]
    assert dataset.name == name
    assert table.num_rows == dataset.rows
    assert set(table.schema.types) <= TYPES
    assert 3 <= len(dataset.targets) <= 7
    assert len(set(dataset.targets)) == len(dataset.targets)
    assert set(dataset.targets) <= set(table.column_names)
    groups: dict[bytes, str] = {}
    for column_name, column in zip(table.column_names, table.itercolumns(), strict=True):
        assert column.num_chunks == 1
        assert column.null_count < len(column) / 2, f"{column_name} is mostly missing"
        assert pc.count_distinct(column, "only_valid").as_py() > 1, f"{column_name} is constant"
        if pa.types.is_floating(column.type):
            assert pc.all(pc.is_finite(column)).as_py(), f"{column_name}: what is missing is null"
        # Values by the order in which they first come: the same for a copy, a negation and any renaming.
        codes = column.combine_chunks().dictionary_encode("encode").indices.to_numpy().tobytes()
        assert codes not in groups, f"{column_name} repeats {groups.get(codes)}"
        groups[codes] = column_name
    assert load(name).equals(table)


@pytest.mark.parametrize("name", DATASETS)
def test_a_string_column_has_levels_and_not_texts(name):
    table = loaded(name)
    for column in table.itercolumns():
        if pa.types.is_string(column.type):
            assert len(column.unique()) <= 60
            assert not pc.any(pc.equal(pc.utf8_length(column), 0)).as_py()


def test_kinds_are_all_there():
    kinds = {name: kind(loaded(name).schema) for name in DATASETS}
    assert set(kinds.values()) == {"numeric", "categorical", "mixed"}
    assert (kinds["wine"], kinds["Phishing"], kinds["alcohol"]) == ("numeric", "categorical", "mixed")
    assert describe("Phishing")["kind"] == "categorical"


@pytest.mark.parametrize(
    ("types", "expected"),
    [
        ("iifs", "numeric"),
        ("iiss", "mixed"),
        ("isbs", "categorical"),
        ("f", "numeric"),
        ("b", "categorical"),
    ],
)
def test_kind_follows_three_quarters_of_the_columns(types, expected):
    of = {"i": pa.int64(), "f": pa.float64(), "s": pa.string(), "b": pa.bool_()}
    assert kind(pa.schema([(str(i), of[letter]) for i, letter in enumerate(types)])) == expected


def test_a_missing_package_is_named(monkeypatch):
    from importlib import metadata

    def absent(name: str) -> None:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr("benchmarks.datasets._files.distribution", absent)
    with pytest.raises(ModuleNotFoundError, match="lifelines"):
        load("gbsg2")


def test_words_and_numbers_become_bools():
    assert yes_or_no(np.array(["yes", "No", np.nan, "Y"], object)).to_pylist() == [True, False, None, True]
    assert yes_or_no(np.array([1.0, 0.0, np.nan])).to_pylist() == [True, False, None]
    with pytest.raises(KeyError):
        yes_or_no(np.array(["yes", "perhaps"], object))


def test_columns_keep_their_kind_and_order():
    raw = {
        "id": np.arange(3),
        "word": np.array(["a ", None, "b"], object),
        "code": np.array([2.0, 1.0, np.nan]),
        "whole": np.array([1.0, np.nan, 3.0]),
        "real": np.array([0.1, 0.5, 0.7], np.float32),
    }
    table = tidy_table(raw, drop=("id",), codes={"code": {1: "one"}}, extra={"more": text(raw["word"])})
    assert table.to_pydict() == {
        "word": ["a", None, "b"],
        "code": [None, "one", None],
        "whole": [1, None, 3],
        "real": [0.1, 0.5, 0.7],
        "more": ["a", None, "b"],
    }


def test_long_tables_are_sampled_alike_each_time():
    table = pa.table({"row": np.arange(MOST_ROWS + 500)})
    drawn = sample(table)["row"].to_numpy()
    assert len(drawn) == MOST_ROWS
    assert (np.diff(drawn) > 0).all()
    assert drawn[-1] > MOST_ROWS
    np.testing.assert_array_equal(drawn, sample(table)["row"].to_numpy())
    assert sample(table.slice(500)).num_rows == MOST_ROWS
    assert sample(table.slice(0, 5)).num_rows == 5


def test_days_are_counted_within_their_year():
    table = loaded("seattle_weather")
    ends = table.filter(pc.equal(table["day_of_year"], 366))
    assert ends["year"].to_pylist() == [2012]
    assert pc.min(table["day_of_year"]).as_py() == 1


def test_skill_to_lose_is_measured_at_half_of_the_rows(monkeypatch, capsys):
    skills = targets.skill_to_lose("wine", ["target", "malic_acid", "flavanoids"])
    assert list(skills) == sorted(skills, key=skills.get, reverse=True)
    assert skills["target"] > 0.8
    monkeypatch.setattr(sys, "argv", ["targets", "wine", "--columns", "target", "malic_acid"])
    targets.main()
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "wine: 2 columns to choose from"
    assert lines[1].split()[:2] == ["*", "target"]
    assert lines[2].split()[0] == "malic_acid"
