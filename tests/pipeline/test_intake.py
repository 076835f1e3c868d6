"""What is decided about columns before anything is measured, and what is said about it."""

import numpy as np
import pyarrow as pa
import pytest

from vr.cascade.config import preset
from vr.core.errors import DataError
from vr.data.config import DataConfig, SampleConfig
from vr.data.source import open_source
from vr.pipeline.config import Config
from vr.pipeline.intake import take_in
from vr.session import run

ROWS = 1_000


def table(rows=ROWS, seed=0, **columns):
    rng = np.random.default_rng(seed)
    return pa.table({"x": rng.standard_normal(rows), "g": rng.choice(["a", "b", "c"], rows), **columns})


def config(**types):
    return Config(cascade=preset("none"), data=DataConfig(types=types))


def notes_of(candidate, reference, **types):
    sources = open_source(candidate), None if reference is None else open_source(reference)
    return take_in(*sources, config(**types), 1, lambda *step: None).notes


def with_nulls(rows, share, seed=3):
    rng = np.random.default_rng(seed)
    return pa.array(rng.standard_normal(rows), mask=rng.random(rows) < share)


def test_two_ordinary_datasets_have_no_notes():
    assert notes_of(table(seed=1), table()) == []
    assert notes_of(table(), None) == []


@pytest.mark.parametrize("role", ["candidate", "reference"])
def test_infinite_values_are_counted_on_either_side(role):
    values = np.random.default_rng(1).standard_normal(ROWS)
    endless = values.copy()
    endless[:25] = np.inf
    endless[25:40] = -np.inf
    sides = {"candidate": values, "reference": values, role: endless}
    notes = notes_of(table(seed=1, v=sides["candidate"]), table(v=sides["reference"]))
    assert notes == [f"column 'v' has 40 infinite values (4.0 %) in the {role}"]


def test_one_infinite_value_of_many_is_not_rounded_away():
    values = np.random.default_rng(1).standard_normal(5_000)
    values[7] = np.inf
    (note,) = notes_of(table(5_000, v=values), None)
    assert note == "column 'v' has 1 infinite value (under 0.1 %) in the candidate"


def test_columns_without_values_or_variety_on_one_side_are_noted():
    some, void, same = with_nulls(ROWS, 0.02), pa.nulls(ROWS, pa.float64()), np.full(ROWS, 3.5)
    candidate = table(seed=1, a=void, b=some, c=same, d=some, e=same, f=void)
    reference = table(a=some, b=void, c=some, d=same, e=same, f=void)
    share = f"{100 * some.null_count / ROWS:.1f} %"
    constant = {"c": "candidate, but not in the reference", "d": "reference, but not in the candidate"}
    assert notes_of(candidate, reference) == [
        f"column 'a' is all null in the candidate, {share} null in the reference",
        f"column 'b' is all null in the reference, {share} null in the candidate",
        *(f"column '{name}' is constant in the {text}" for name, text in constant.items()),
        "column 'e' is constant in both",
        "column 'f' is all null in both",
    ]
    assert notes_of(candidate.select(["x", "a", "c"]), None) == ["column 'a' is all null", "column 'c' is constant"]


def test_shares_of_nulls_far_apart_are_told_of_both_sides():
    few, many = with_nulls(ROWS, 0.02), with_nulls(ROWS, 0.3, seed=4)
    shares = [f"{100 * values.null_count / ROWS:.1f} %" for values in (many, few)]
    assert notes_of(table(seed=1, v=many), table(v=few)) == [
        f"column 'v' is {shares[0]} null in the candidate, {shares[1]} in the reference"
    ]
    assert notes_of(table(seed=1, v=few), table(v=with_nulls(ROWS, 0.02, seed=5))) == []
    # Of few rows chance alone takes shares that far apart.
    assert not [note for note in notes_of(table(40, v=with_nulls(40, 0.1)), table(v=few)) if "null" in note]


def test_the_same_data_twice_and_few_rows_come_first():
    assert notes_of(table(), table()) == ["candidate and reference are the same data: their columns and rows are equal"]
    notes = notes_of(table(99, 1, c=np.ones(99)), table(99, c=np.ones(99)))
    assert [note.split(":")[0] for note in notes[:2]] == [
        "the candidate has only 99 rows",
        "the reference has only 99 rows",
    ]
    assert notes_of(table(100, 1), table(100)) == []


def test_a_type_makes_columns_of_two_storage_types_comparable():
    kids = np.random.default_rng(2).integers(0, 4, ROWS)
    day = np.datetime64("2024-01-01") + np.random.default_rng(3).integers(0, 90, ROWS)
    candidate = table(seed=1, kids=kids.astype(str), day=day.astype(str))
    reference = table(kids=kids, day=day)
    notes = notes_of(candidate, reference)
    assert [note.rpartition("; ")[2] for note in notes] == [
        "data.types.kids=categorical compares it",
        "data.types.day=datetime compares it",
    ]
    report = run(candidate, reference, config(kids="categorical", day="datetime"))
    columns = {column.name: column for column in report.dataset.columns}
    assert {name: column.kind for name, column in columns.items()} == {
        "x": "numeric",
        "g": "categorical",
        "kids": "categorical",
        "day": "datetime",
    }
    # The same values, however they are stored.
    assert columns["kids"].drift == pytest.approx(columns["kids"].drift_null, abs=0.01)
    assert report.dataset.notes == []


def test_types_of_columns_on_one_side_are_taken_and_those_of_none_refused():
    candidate, reference = table(seed=1, new=np.arange(ROWS) % 7), table(old=np.arange(ROWS) % 5)
    assert notes_of(candidate, reference, new="ignore", old="ignore") == []
    assert notes_of(candidate, reference, new="categorical", old="ignore") == [
        "column 'new' is missing from the reference: not compared"
    ]
    assert notes_of(table(seed=1), table(), x="ignore") == []
    with pytest.raises(DataError, match=r"data\.types\.nwe"):
        notes_of(candidate, reference, nwe="categorical")


def test_nothing_in_common_names_both_files(tmp_path):
    paths = [tmp_path / "candidate.csv", tmp_path / "reference.csv"]
    for path, name in zip(paths, "ab", strict=True):
        path.write_text(f"{name}\n" + "1\n2\n" * 50)
    with pytest.raises(DataError) as caught:
        run(str(paths[0]), str(paths[1]), config())
    assert all(str(path) in str(caught.value) for path in paths)


def test_of_wide_tables_a_smaller_sample_is_looked_at_and_said():
    rng = np.random.default_rng(0)
    table = pa.table({f"x{i}": rng.standard_normal(300) for i in range(60)})
    config = Config(sample=SampleConfig(rows=250, cells=12_000))
    found = take_in(open_source(table), open_source(table.slice(0, 280)), config, 1, lambda *_: None)
    assert len(found.candidate) == len(found.reference_profile.sample.rows) == 200
    assert "of 60 columns a sample of 200 rows is looked at (sample.cells)" in found.notes
    assert SampleConfig().rows_of(200) == SampleConfig().rows
    assert SampleConfig(cells=10_000).rows_of(100_000) == 100
