"""Skill lost by training on mixes of made and real rows."""

import numpy as np
import pytest

from vr.stats import mix_training
from vr.stats.mix_training import Learnt, train_on_mixes

SHARES = [0.25, 0.5, 0.75]
NUMBERS = np.zeros(3, bool)
Y = Learnt(2, (2,), None)


def rows_of(seed, rows=240, noise=0.3):
    """Two numbers and what depends on them."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, 2))
    return np.column_stack([x, x[:, 0] + np.sin(2.0 * x[:, 1]) + noise * rng.standard_normal(rows)])


def independent(rows, seed=0):
    rng = np.random.default_rng(seed)
    return np.column_stack([rng.permutation(column) for column in rows.T])


def trained(real, made, targets=(Y,), is_category=NUMBERS, **changes):
    return train_on_mixes(real, made, is_category, targets, SHARES, 0, **changes)


def test_real_rows_lose_nothing():
    found = trained(rows_of(0), rows_of(1))
    assert found.shares.tolist() == [0.0, *SHARES, 1.0]
    assert np.abs(found.lost).max() < 0.1
    assert found.counts.tolist() == [True]
    assert found.train_rows == 216


def test_independent_columns_lose_all_and_the_less_the_more_real_rows_there_are():
    found = trained(rows_of(0), independent(rows_of(1)))
    assert found.lost[0] > 0.9
    assert (np.diff(found.lost) < 0).all()
    assert found.lost[-1] == 0.0


def test_what_can_only_be_remembered_is_no_skill():
    # Pure noise can be remembered and not learnt: rows that were judged by what they taught would show skill.
    rng = np.random.default_rng(0)
    noise = rng.standard_normal((240, 3))
    assert trained(noise, rng.standard_normal((240, 3))) is None


def test_rows_of_the_judging_fold_never_teach(monkeypatch):
    from vr.stats import mix_training

    seen = []

    def spy(x, y, x_test, is_category, seed):
        seen.append(len({row.tobytes() for row in x} & {row.tobytes() for row in x_test}))
        return np.zeros(len(x_test))

    monkeypatch.setattr(mix_training, "predict_number", spy)
    trained(rows_of(0), rows_of(1))
    assert len(seen) == 8 * 10 * (5 + 2)
    assert set(seen) == {0}


def test_a_class_is_a_target_too_and_what_is_made_of_it_is_hidden():
    def with_class(rows):
        label = np.digitize(rows[:, 2], [-0.8, 0.8]).astype(float)
        return np.column_stack([rows[:, :2], label, label])

    real, categories = with_class(rows_of(0, 400)), np.array([False, False, True, True])
    made = with_class(independent(rows_of(1, 400)))
    hidden = trained(real, made, [Learnt(2, (2, 3), 3)], categories, most_draws=1)
    assert hidden.lost[0] > 0.7
    # With a copy of it in sight even those rows teach it.
    assert trained(real, made, [Learnt(2, (2,), 3)], categories, most_draws=1).lost[0] < 0.1


def test_only_targets_that_real_rows_teach_count():
    rng = np.random.default_rng(0)
    real, made = (np.column_stack([rows_of(seed), rng.standard_normal(240)]) for seed in (0, 1))
    numbers, noise = np.zeros(4, bool), Learnt(3, (3,), None)
    both = trained(real, made, [Y, noise], numbers, most_draws=2)
    assert both.counts.tolist() == [True, False]
    assert both.lost == pytest.approx(trained(real, made, [Y], numbers, most_draws=2).lost)
    assert trained(real, made, [noise], numbers, most_draws=2) is None


def test_missing_targets_and_unknown_classes_are_left_out():
    real, made = rows_of(0, 500), rows_of(1, 500)
    for rows in (real, made):
        rows[::7, 2] = np.nan
        rows[::5, 0] = np.nan
    assert np.isfinite(trained(real, made).lost).all()
    label = np.digitize(made[:, 2], [0.0]).astype(float)
    label[:20] = 7.0  # real rows have none of it
    real[:, 2] = np.digitize(np.nan_to_num(real[:, 2]), [0.0])
    made[:, 2] = label
    assert np.isfinite(trained(real, made, [Learnt(2, (2,), 8)], np.array([False, False, True])).lost).all()


def test_a_target_that_is_nowhere_known_does_not_count():
    real, made = (np.column_stack([rows_of(seed), np.full(240, np.nan)]) for seed in (0, 1))
    number, label = Learnt(3, (3,), None), Learnt(3, (3,), 4)
    found = trained(real, made, [Y, number, label], np.zeros(4, bool))
    assert found.counts.tolist() == [True, False, False]


def test_threads_change_nothing_and_a_seed_repeats():
    real, made = rows_of(0, 80), rows_of(1, 80)
    found = [trained(real, made, threads=threads, most_draws=2) for threads in (1, 2, 1)]
    assert np.array_equal(found[0].lost, found[1].lost)
    assert np.array_equal(found[0].lost, found[2].lost)
    other = train_on_mixes(real, made, NUMBERS, [Y], SHARES, 1, most_draws=2)
    assert not np.array_equal(found[0].lost, other.lost)


def test_too_few_rows_teach_nothing_and_many_are_capped():
    assert trained(rows_of(0, 39), rows_of(1)) is None
    assert trained(rows_of(0), rows_of(1, 39)) is None
    done = []
    found = train_on_mixes(
        rows_of(0, 2_600), rows_of(1, 3_000), NUMBERS, [Y], [0.5], 0, on_step=lambda *step: done.append(step)
    )
    assert found.train_rows == 1_600
    assert done == [(1, 2), (2, 2)]


def test_real_rows_are_divided_no_more_often_than_asked():
    steps = []
    real, made = rows_of(0, 80), rows_of(1, 80)
    train_on_mixes(real, made, NUMBERS, [Y], [0.5], 0, on_step=lambda *step: steps.append(step), most_draws=2)
    assert steps == [(1, 2), (2, 2)]


def test_what_would_take_too_long_is_divided_less_often_or_not_trained_at_all(monkeypatch):
    steps = []
    whole = trained(rows_of(0, 200), rows_of(1, 200))
    # Ten folds of 180 rows, five arms, and two columns seen of three.
    monkeypatch.setattr(mix_training, "_MOST_CELLS", 1.5 * 180 * 10 * 5 * 2)
    less = train_on_mixes(
        rows_of(0, 200), rows_of(1, 200), NUMBERS, [Y], [0.5], 0, on_step=lambda *step: steps.append(step)
    )
    assert steps == [(1, 1)]
    assert less is not None
    assert whole is not None
    assert less.train_rows == whole.train_rows == 180
    monkeypatch.setattr(mix_training, "_MOST_CELLS", 0.9 * 180 * 10 * 5 * 2)
    assert trained(rows_of(0, 200), rows_of(1, 200)) is None
