import numpy as np
import pyarrow as pa
import pytest

from synthetic.damage import (
    DAMAGES,
    cut_tails,
    drop_mode,
    duplicate_rows,
    flip_labels,
    near_duplicates,
    shuffle_columns,
)

each_damage = pytest.mark.parametrize("name", sorted(DAMAGES))
REMOVING = {"drop_mode", "cut_tails"}


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
