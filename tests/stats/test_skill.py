from dataclasses import replace

import numpy as np
import pytest

from vr.stats import skill
from vr.stats.forests import grow_forest

ORDINAL = np.array([True, True, False, True])
NUM_CODES = np.array([9, 6, 4, 5])


@pytest.fixture
def rng():
    return np.random.default_rng(5)


def sample(rng, n, *, independent=0.0):
    """Column 1 follows 0 by a bend, 2 (nominal) follows both, 3 is noise; some rows with columns of their own."""
    a = rng.integers(1, 9, n)
    b = np.where(rng.random(n) < 0.9, np.abs(a - 4) + 1, rng.integers(1, 6, n))
    c = np.where(rng.random(n) < 0.9, (a // 3 + b) % 4, rng.integers(0, 4, n))
    rows = np.column_stack([a, b, c, rng.integers(1, 5, n)])
    mixed = np.column_stack([rng.permutation(column) for column in rows.T])
    return np.where(rng.random((n, 1)) < independent, mixed, rows).astype(np.uint16)


def prepare(codes, rows, **settings):
    return skill.prepare_skill_test(codes, ORDINAL, NUM_CODES, rows, 0, **settings)


def test_real_rows_lose_nothing_independent_columns_all_and_mixtures_lie_between(rng):
    test = prepare(sample(rng, 600), 300)
    shares = [test.lost(sample(rng, 300, independent=share)).share for share in (0.0, 0.7, 1.0)]
    assert abs(shares[0]) < 3 * np.hypot(test.null_std, 0.02)
    assert shares[0] + 0.1 < shares[1] < 0.8
    # What a forest makes of noise is worse than the mean.
    assert 1.0 <= shares[2] < 1.6


def test_the_null_is_as_wide_as_real_rows_spread_or_wider(rng):
    shares, nulls = [], []
    for _ in range(20):
        test = prepare(sample(rng, 120), 100)
        shares.append(test.lost(sample(rng, 100)).share)
        nulls.append(test.null_std)
    assert 0.25 < np.std(shares) / np.mean(nulls) < 1.2
    assert abs(np.mean(shares)) < 3 * np.std(shares) / np.sqrt(20)


def test_a_column_loses_what_forests_of_either_side_differ_by(rng):
    real, candidate = sample(rng, 200), sample(rng, 100, independent=0.5)
    test = prepare(real, 100)
    assert test.train_rows == 100
    assert test.columns.tolist() == [0, 1, 2, 3]
    lost = test.lost(candidate)
    rank, indicators = test.basis.tables[1][:, 0], np.eye(4)
    for j, others, target, classes in ((1, [0, 2, 3], rank, None), (2, [0, 1, 3], np.arange(4), 4)):
        losses = []
        for i in range(2):
            rows = candidate[np.random.default_rng([0, 3, i]).permutation(100)]
            forest = grow_forest(rows[:, others], target[rows[:, j]], i, trees=12, leaf_rows=3, num_classes=classes)
            actual = target[test.codes[:, j], None] if classes is None else indicators[test.codes[:, j]]
            losses.append(np.mean(np.sum((forest.predict(test.codes[:, others]) - actual) ** 2, axis=1)))
        assert lost.by_column[j] == pytest.approx((np.mean(losses) - test.losses[j]) / test.prior[j])
    # The mean of other rows predicts a little worse than a column's own, whose variance on these rows is 1.
    assert 1.0 <= test.prior[1] < 1.05
    counts = test.weights * (test.prior - test.losses >= 0.05 * test.prior)
    assert counts[3] == 0
    assert lost.share == pytest.approx(counts @ lost.by_column / (counts @ test.skill))


def test_columns_at_which_real_rows_differ_among_themselves_count_for_less(rng):
    def with_rare(n, rare):
        rows = sample(rng, 4 * n)
        is_rare = rows[:, 0] == 8
        rows = np.concatenate([rows[is_rare][:rare], rows[~is_rare][: n - rare]])
        # A few rows are all of its variance: with half as many, forests teach something else.
        rows[:, 3] = np.where(rows[:, 0] == 8, 4, 1)
        return rng.permutation(rows)

    test = prepare(with_rare(200, 8), 100)
    assert test.weights == pytest.approx(1 / (1 + (test.null_by_column / 0.05) ** 2))
    assert test.weights[3] < 0.5 * test.weights[:3].min()
    candidate = with_rare(100, 4)
    without = candidate.copy()
    without[:, 3] = 1
    alike = replace(test, weights=np.ones(4))
    more, more_alike = (each.lost(without).share - each.lost(candidate).share for each in (test, alike))
    assert more < 0.15 < 0.2 < more_alike


def test_columns_that_were_named_count_alike(rng):
    test = prepare(sample(rng, 200), 100, targets={1: [1], 2: [2]})
    assert test.weights.tolist() == [1.0, 1.0]


def test_a_fold_does_not_weigh_its_own_null(rng, monkeypatch):
    weighed = []
    share = skill._share
    monkeypatch.setattr(skill, "_share", lambda *given: weighed.append(given) or share(*given))
    test = prepare(sample(rng, 200), 100)
    squares = [(gap / test.prior) ** 2 for gap, *_ in weighed]
    assert len(weighed) == test.num_folds == 2
    for (*_, weights), of_the_other in zip(weighed, squares[::-1], strict=True):
        assert weights == pytest.approx(1 / (1 + of_the_other / 2 / 0.05**2))


def test_rows_are_judged_by_forests_that_did_not_see_them_and_where_none_predicts_nothing_is_lost(rng):
    # Columns of noise: a forest that had seen the rows would predict them well.
    test = skill.prepare_skill_test(rng.integers(0, 8, (400, 4)).astype(np.uint16), np.ones(4, bool), [8] * 4, 200, 0)
    assert (test.losses > test.prior).all()
    # Two columns that follow each other, where the real ones do not, are no loss of skill.
    copied = test.codes[:200, [0, 0, 2, 3]]
    assert test.lost(copied).by_column[0] > 0.1
    assert test.lost(copied).share == 0.0
    assert test.null_std == 0.0


@pytest.mark.parametrize(
    ("rows", "wanted", "size"),
    [(400, 200, 200), (400, 1_000, 320), (300, 200, 200), (100, 50, 50), (5_000, 5_000, 1_000)],
)
def test_both_arms_get_as_many_rows_as_the_folds_leave(rng, rows, wanted, size):
    assert prepare(sample(rng, rows), wanted).train_rows == size


def test_too_few_rows_or_columns_are_no_test(rng):
    assert prepare(sample(rng, 39), 100) is None
    assert prepare(sample(rng, 100), 39) is None
    constant = np.ones((100, 4), np.uint16)
    assert prepare(constant, 100) is None
    constant[:, 0] = rng.integers(0, 9, 100)
    assert prepare(constant, 100) is None


def test_threads_change_nothing(rng):
    real, candidate = sample(rng, 120), sample(rng, 100, independent=0.3)
    one, two = (prepare(real, 100, threads=n) for n in (1, 2))
    np.testing.assert_array_equal(one.losses, two.losses)
    assert one.lost(candidate).share == two.lost(candidate, threads=2).share


def test_real_rows_in_the_mix_give_back_what_the_others_lost(rng):
    test, candidate = prepare(sample(rng, 600), 300), sample(rng, 300, independent=0.9)
    none, half, only = (test.lost_in_mix(candidate, share) for share in (0.0, 0.5, 1.0))
    assert abs(none - test.lost(candidate).share) < 0.15
    assert none - 0.2 > half > only
    assert abs(only) < 3 * np.hypot(test.null_std, 0.02)


def test_no_row_of_the_mix_judges_what_it_taught(rng):
    # Columns of noise: a forest that had seen the rows that judge it would predict them, and lose less than nothing.
    noise = rng.integers(0, 8, (400, 4)).astype(np.uint16)
    test = skill.prepare_skill_test(noise, np.ones(4, bool), [8] * 4, 200, 0)
    # As if there were a tenth of skill to lose: none is found, and so all of it is lost.
    test = replace(test, losses=0.9 * test.prior)
    assert test.lost_in_mix(noise, 1.0) > 1.0
    every = np.ones(len(noise), bool)
    assert test.lost_in_mix(noise, 0.0, some=[(0.5, every), (0.5, every)]) > 1.0


def test_some_of_the_real_rows_alone_can_be_in_the_mix(rng):
    test, candidate = prepare(sample(rng, 600), 300), sample(rng, 300, independent=0.9)
    every = np.ones(len(test.codes), bool)
    # Of all of them it is what real rows from anywhere are.
    assert test.lost_in_mix(candidate, 0.0, some=[(0.5, every)]) == test.lost_in_mix(candidate, 0.5)
    low = test.codes[:, 0] < np.median(test.codes[:, 0])
    assert test.lost_in_mix(candidate, 0.5) < test.lost_in_mix(candidate, 0.0, some=[(0.5, low)])
    assert test.lost_in_mix(candidate, 0.0, some=[(0.5, ~every)]) == pytest.approx(test.lost(candidate).share, abs=0.15)
