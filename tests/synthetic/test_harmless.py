import numpy as np
import pyarrow as pa
import pytest

from synthetic.harmless import (
    HARMLESS,
    covariate_shift,
    jitter,
    light_duplication,
    permute_columns,
    permute_rows,
    round_numbers,
    subsample,
)

each_change = pytest.mark.parametrize("name", sorted(HARMLESS))


def rows_of(table: pa.Table) -> list[str]:
    return [str(row) for row in table.to_pylist()]


@each_change
@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_columns_keep_their_names_and_types(name, strength, mixed):
    changed = HARMLESS[name](mixed, strength, 0)
    assert {field.name: field.type for field in changed.schema} == {field.name: field.type for field in mixed.schema}
    assert changed.num_rows >= 1
    changed.validate(full=True)


@each_change
def test_no_strength_changes_nothing(name, mixed):
    assert rows_of(HARMLESS[name](mixed, 0.0, 0)) == rows_of(mixed)


@each_change
def test_same_key_same_change(name, mixed):
    first, again = HARMLESS[name](mixed, 0.5, 4), HARMLESS[name](mixed, 0.5, 4)
    assert rows_of(first) == rows_of(again)
    assert rows_of(first) != rows_of(mixed)
    if name != "round_numbers":
        assert rows_of(first) != rows_of(HARMLESS[name](mixed, 0.5, 5))


@each_change
@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_strength_out_of_range_is_refused(name, strength, mixed):
    with pytest.raises(ValueError, match="strength"):
        HARMLESS[name](mixed, strength, 0)


@each_change
@pytest.mark.parametrize(
    "table",
    [
        pa.table({"x": [1.5]}),
        pa.table({"a": ["x", None] * 20, "b": pa.array(["p", "q"] * 20).dictionary_encode()}),
        pa.table({"empty": pa.nulls(5), "nothing": pa.nulls(5, pa.float64())}),
    ],
)
def test_odd_tables_pass(name, table):
    assert set(HARMLESS[name](table, 1.0, 0).column_names) == set(table.column_names)


@each_change
def test_categories_and_missing_values_stay_with_their_rows(name):
    rng = np.random.default_rng(0)
    table = pa.table(
        {
            "row": pa.array([f"r{i}" for i in range(200)]),
            "x": pa.array(rng.normal(size=200), mask=rng.random(200) < 0.2),
            "kind": rng.choice(["a", "b"], 200),
        }
    )
    known = {row["row"]: (row["kind"], row["x"] is None) for row in table.to_pylist()}
    for row in HARMLESS[name](table, 0.7, 0).to_pylist():
        assert known[row["row"]] == (row["kind"], row["x"] is None)


def test_permutations_are_permutations(mixed):
    assert sorted(rows_of(permute_rows(mixed, 1.0, 0))) == sorted(rows_of(mixed))
    changed = permute_columns(mixed, 1.0, 0)
    assert changed.column_names != mixed.column_names
    assert rows_of(changed.select(mixed.column_names)) == rows_of(mixed)


def test_half_of_the_rows_permuted_leaves_half_in_place():
    x = permute_rows(pa.table({"x": np.arange(1000)}), 0.5, 0)["x"].to_numpy()
    assert (x == np.arange(1000)).mean() == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("strength", [0.2, 1.0])
def test_jitter_is_as_wide_as_it_says(strength):
    x = np.random.default_rng(0).normal(size=4000)
    moved = jitter(pa.table({"x": 7 * x}), strength, 0)["x"].to_numpy() - 7 * x
    assert np.std(moved) == pytest.approx(7 * 0.05 * strength, rel=0.05)


def test_jitter_leaves_point_masses_and_few_values_and_is_not_widened_by_a_giant():
    rng = np.random.default_rng(0)
    x = np.r_[np.zeros(100), rng.normal(10, 1, 898), -1e6, 1e9]
    table = pa.table({"x": x, "grade": rng.choice([1.0, 2.0, 3.0], 1000)})
    changed = jitter(table, 1.0, 0)
    assert changed["grade"].equals(table["grade"])
    moved = changed["x"].to_numpy() - x
    assert not moved[:100].any()
    assert 0.02 < np.std(moved[100:-2]) < 0.1


def test_a_subsample_keeps_its_share_in_order():
    x = subsample(pa.table({"x": np.arange(100)}), 0.3, 0)["x"].to_numpy()
    assert len(x) == 70
    assert (np.diff(x) > 0).all()
    assert subsample(pa.table({"x": [1, 2]}), 1.0, 0).num_rows == 1


def test_covariate_shift_moves_x_and_keeps_y_given_x():
    rng = np.random.default_rng(0)
    x = rng.normal(size=20_000)
    table = pa.table({"x": x, "y": 2 * x + rng.normal(size=20_000)})
    means = []
    for strength in (0.0, 0.4, 1.0):
        shifted = covariate_shift(table, strength, 0)
        assert shifted.num_rows == round(20_000 * (1 - strength / 2))
        assert len(set(shifted["x"].to_pylist())) == shifted.num_rows
        slope, intercept = np.polyfit(shifted["x"], shifted["y"], 1)
        assert (slope, intercept) == pytest.approx((2.0, 0.0), abs=0.05)
        means.append(np.mean(shifted["x"]))
    assert means[0] < means[1] - 0.05 < means[2] - 0.2
    assert means[2] < 1.0


def test_covariate_shift_along_a_category_keeps_every_level():
    table = pa.table({"kind": ["a", "b", "c", None] * 500, "label": np.arange(2000)})
    shares = covariate_shift(table, 1.0, 0)["kind"].value_counts().to_pylist()
    counts = [entry["counts"] for entry in shares]
    assert len(counts) == 4
    assert max(counts) > 1.3 * min(counts)
    assert covariate_shift(table, 1.0, 0, column="label").num_rows == 1000


def test_rounding_leaves_fewer_digits_and_little_error():
    x = np.random.default_rng(0).normal(1000, 100, 500)
    rounded = round_numbers(pa.table({"x": x}), 1.0, 0)["x"].to_numpy()
    np.testing.assert_array_equal(rounded[1:-1], np.clip(np.round(x, -1), x.min(), x.max())[1:-1])
    finer = round_numbers(pa.table({"x": x}), 0.05, 0)["x"].to_numpy()
    assert np.abs(finer - np.clip(np.round(x), x.min(), x.max())).max() == 0.0


def test_rounding_does_not_touch_years_or_days(mixed):
    table = pa.table({"year": np.arange(100) % 40 + 1980})
    assert round_numbers(table, 1.0, 0).equals(table)
    assert round_numbers(mixed, 1.0, 0).select(["day", "time"]).equals(mixed.select(["day", "time"]))


def test_light_duplication_repeats_rows_once():
    x = light_duplication(pa.table({"x": np.arange(100)}), 0.2, 0)["x"].to_numpy()
    np.testing.assert_array_equal(x[:100], np.arange(100))
    assert len(x) == 120
    assert np.bincount(x).max() == 2
