import numpy as np
import pyarrow as pa
import pytest

from synthetic.damage import (
    DAMAGES,
    break_pair,
    cut_tails,
    drop_mode,
    duplicate_rows,
    flip_labels,
    impossible_combinations,
    lose_rare_categories,
    low_diversity,
    near_duplicates,
    shuffle_columns,
    wrong_units,
)

each_damage = pytest.mark.parametrize("name", sorted(DAMAGES))
REMOVING = {"drop_mode", "cut_tails", "lose_rare_categories"}


def rows_of(table: pa.Table) -> list[str]:
    return [str(row) for row in table.to_pylist()]


@each_damage
def test_schema_is_kept_and_rows_are_a_mask(name, mixed):
    table, rows = DAMAGES[name](mixed, 0.2, 0)
    assert table.schema == mixed.schema
    assert rows.shape == (table.num_rows,)
    assert rows.dtype == bool


@each_damage
def test_rows_outside_the_mask_are_untouched(name, mixed):
    table, rows = DAMAGES[name](mixed, 0.2, 0)
    after, before = rows_of(table), rows_of(mixed)
    if name in REMOVING:
        assert table.num_rows == 320
        assert not rows.any()
        assert set(after) <= set(before)
    else:
        assert rows.sum() == 80
        assert [row for row, hit in zip(after, rows, strict=True) if not hit] == [
            row for row, hit in zip(before, rows, strict=True) if not hit
        ]


@pytest.mark.parametrize("name", sorted(set(DAMAGES) - REMOVING - {"flip_labels"}))
def test_masked_rows_did_change(name, mixed):
    table, rows = DAMAGES[name](mixed, 0.2, 0)
    changed = np.array([a != b for a, b in zip(rows_of(table), rows_of(mixed), strict=True)])
    # Not all of them: an exchanged cell may get a value equal to its own.
    assert changed[rows].mean() > 0.9


@each_damage
def test_no_strength_changes_nothing(name, mixed):
    table, rows = DAMAGES[name](mixed, 0.0, 0)
    assert rows_of(table) == rows_of(mixed)
    assert not rows.any()


@each_damage
def test_same_key_same_damage(name, mixed):
    (first, rows), (again, rows_again) = DAMAGES[name](mixed, 0.3, 4), DAMAGES[name](mixed, 0.3, 4)
    assert rows_of(first) == rows_of(again)
    np.testing.assert_array_equal(rows, rows_again)
    if name != "flip_labels":
        assert rows_of(first) != rows_of(DAMAGES[name](mixed, 0.3, 5).table)


@each_damage
@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_strength_out_of_range_is_refused(name, strength, mixed):
    with pytest.raises(ValueError, match="strength"):
        DAMAGES[name](mixed, strength, 0)


@each_damage
def test_full_strength_and_categories_alone(name):
    table = pa.table({"a": ["x", "y"] * 20, "b": pa.array(["p", "q", "r", None] * 10).dictionary_encode()})
    damaged, rows = DAMAGES[name](table, 1.0, 0)
    assert damaged.schema == table.schema
    assert len(rows) == damaged.num_rows


def test_drop_mode_removes_one_of_two_clusters():
    rng = np.random.default_rng(0)
    x = np.r_[rng.normal(-5, 1, 100), rng.normal(5, 1, 100)]
    left = drop_mode(pa.table({"x": x, "kind": np.where(x < 0, "low", "high")}), 0.5, 0).table
    assert len(set(left["kind"].to_pylist())) == 1


def test_cut_tails_keeps_the_middle_quantiles():
    left = cut_tails(pa.table({"x": np.arange(100.0)}), 0.2, 0).table["x"].to_numpy()
    np.testing.assert_array_equal(left, np.arange(10.0, 90.0))


def test_shuffled_columns_keep_marginals_and_lose_correlation():
    x = np.random.default_rng(0).normal(size=2000)
    table = shuffle_columns(pa.table({"x": x, "y": x}), 1.0, 0).table
    np.testing.assert_array_equal(np.sort(table["y"]), np.sort(x))
    assert abs(np.corrcoef(table["x"], table["y"])[0, 1]) < 0.08


def test_half_shuffled_columns_keep_half_of_the_correlation():
    x = np.random.default_rng(0).normal(size=4000)
    table = shuffle_columns(pa.table({"x": x, "y": x}), 0.5, 0).table
    assert np.corrcoef(table["x"], table["y"])[0, 1] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("strength", [0.3, 1.0])
def test_duplicates_copy_rows_that_are_kept(strength):
    table, rows = duplicate_rows(pa.table({"x": np.arange(50)}), strength, 0)
    x = table["x"].to_numpy()
    assert set(x[rows]) <= set(x[~rows])
    assert len(set(x)) == (~rows).sum()


def test_near_duplicates_are_near_but_not_equal():
    table, rows = near_duplicates(pa.table({"x": np.random.default_rng(0).normal(size=200)}), 0.3, 0, jitter=0.001)
    x = table["x"].to_numpy()
    distance = np.abs(x[rows][:, None] - x[~rows]).min(axis=1)
    assert (distance < 0.006).all()
    assert (distance > 0).mean() > 0.9


def test_flipped_labels_touch_one_column():
    table = pa.table({"x": np.arange(100), "label": np.arange(100) % 2 == 0})
    damaged, rows = flip_labels(table, 0.4, 0)
    assert damaged["x"].equals(table["x"])
    assert sorted(damaged["label"].to_pylist()) == sorted(table["label"].to_pylist())
    assert flip_labels(table, 0.4, 0, column="x").table["label"].equals(table["label"])
    changed = np.array(damaged["label"]) != np.array(table["label"])
    assert changed[rows].mean() == pytest.approx(0.5, abs=0.2)


def test_drifted_block_is_contiguous_and_shifted():
    x = np.random.default_rng(0).normal(size=1000)
    table, rows = DAMAGES["drifted_block"](pa.table({"x": np.r_[x, -9.0, 9.0]}), 0.2, 0)
    where = np.flatnonzero(rows)
    np.testing.assert_array_equal(where, np.arange(where[0], where[0] + 200))
    assert abs(table["x"].to_numpy()[rows].mean() - table["x"].to_numpy()[~rows].mean()) == pytest.approx(
        1.08, abs=0.25
    )


def test_the_rarest_levels_are_lost_first_and_wholly():
    kind = ["a"] * 60 + ["b"] * 25 + ["c"] * 10 + ["d"] * 5
    table = pa.table({"kind": np.random.default_rng(0).permutation(kind), "x": np.arange(100.0)})
    left = lose_rare_categories(table, 0.2, 0).table["kind"].to_pylist()
    assert {level: left.count(level) for level in set(left)} == {"a": 60, "b": 20}


def test_few_valued_numbers_have_rare_levels_too():
    table = pa.table({"count": [0] * 70 + [1] * 25 + [2] * 5, "x": np.arange(100.0)})
    assert set(lose_rare_categories(table, 0.05, 0).table["count"].to_pylist()) == {0, 1}


def test_low_diversity_overwrites_what_is_unlikely_with_what_is_likely():
    x = np.random.default_rng(0).normal(size=1000)
    table, rows = low_diversity(pa.table({"x": x}), 0.3, 0)
    after = table["x"].to_numpy()
    assert np.abs(x[rows]).mean() > 1.5 > 0.7 > np.abs(x[~rows]).mean()
    assert set(after) == set(x[~rows])
    assert len(set(low_diversity(pa.table({"x": x}), 1.0, 0).table["x"].to_pylist())) == 1


def test_the_most_dependent_pair_breaks_and_the_rest_holds():
    rng = np.random.default_rng(0)
    a, u = rng.normal(size=(2, 2000))
    table = pa.table({"a": a, "b": a + 0.1 * rng.normal(size=2000), "c": u, "d": u + 0.5 * rng.normal(size=2000)})
    broken, rows = break_pair(table, 1.0, 0)
    assert rows.all()
    assert abs(np.corrcoef(broken["a"], broken["b"])[0, 1]) < 0.07
    assert broken.select(["c", "d"]).equals(table.select(["c", "d"]))
    assert (broken["a"].equals(table["a"])) != (broken["b"].equals(table["b"]))


def test_of_the_pair_the_column_breaks_that_others_need_least():
    rng = np.random.default_rng(0)
    a = rng.normal(size=2000)
    table = pa.table({"a": a, "b": a + 0.1 * rng.normal(size=2000), "c": a + rng.normal(size=2000)})
    broken = break_pair(table, 1.0, 0).table
    assert broken["a"].equals(table["a"])
    assert not broken["b"].equals(table["b"])


def test_impossible_combinations_never_occurred():
    rng = np.random.default_rng(0)
    x = rng.random(1000)
    table = pa.table({"sex": np.where(x < 0.5, "m", "f"), "pregnant": x > 0.8, "other": rng.choice(["p", "q"], 1000)})
    damaged, rows = impossible_combinations(table, 0.1, 0)
    pairs = list(zip(damaged["sex"].to_pylist(), damaged["pregnant"].to_pylist(), strict=True))
    assert [pair == ("m", True) for pair in pairs] == rows.tolist()
    assert damaged["other"].equals(table["other"])


def test_impossible_numbers_are_values_of_their_column():
    x = np.random.default_rng(0).normal(size=1000)
    table, rows = impossible_combinations(pa.table({"x": x, "y": 2 * x}), 0.2, 0)
    after = np.column_stack([table["x"], table["y"] / np.full(1000, 2.0)])
    assert set(after[:, 0]) | set(after[:, 1]) <= set(x)
    assert (np.abs(after[rows, 0] - after[rows, 1]) > 0).all()
    assert np.corrcoef(after[rows].T)[0, 1] < 0.3


@pytest.mark.parametrize("name", ["break_pair", "impossible_combinations"])
def test_one_column_has_no_pair_to_damage(name):
    table = pa.table({"x": np.arange(30.0)})
    damaged, rows = DAMAGES[name](table, 0.5, 0)
    assert damaged.equals(table)
    assert not rows.any()


def test_wrong_units_multiply_one_column_in_their_rows():
    table = pa.table({"x": np.r_[np.zeros(50), np.arange(1.0, 151.0)], "kind": ["a", "b"] * 100})
    damaged, rows = wrong_units(table, 0.2, 0)
    np.testing.assert_array_equal(damaged["x"], np.where(rows, 1000.0, 1.0) * table["x"].to_numpy())
    assert rows.sum() == 40
    assert not rows[:50].any()
    assert wrong_units(table, 1.0, 0).rows.sum() == 150


def test_wrong_units_leave_what_cannot_hold_them():
    table = pa.table({"small": pa.array(range(1, 101), pa.int8()), "big": pa.array([2**60 + i for i in range(100)])})
    assert wrong_units(table, 0.5, 0).table.equals(table)
    wide = table.append_column("wide", pa.array(range(100), pa.int32()))
    assert not wrong_units(wide, 0.5, 0).table["wide"].equals(wide["wide"])
    with pytest.raises(ValueError, match="factor"):
        wrong_units(table, 0.5, 0, factor=1)
