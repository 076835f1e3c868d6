import numpy as np

from vr.stats.conditionals import classes_of, fit_conditionals


def tied(rng, rows):
    a = rng.integers(0, 6, rows)
    # The second column follows the first, the third nothing.
    return np.column_stack([a, (a + rng.integers(0, 2, rows)) % 6, rng.integers(0, 4, rows)]).astype(np.uint16)


def fitted(rows=800):
    codes = tied(np.random.default_rng(0), rows)
    parts = [[0], [1], [2]]
    return fit_conditionals(codes, np.array([True, False, True]), np.array([6, 6, 4]), parts, np.arange(3), 0)


def test_a_cell_that_contradicts_the_others_surprises():
    rows = tied(np.random.default_rng(1), 200)
    wrong = rows.copy()
    wrong[:, 1] = (wrong[:, 0] + 3) % 6
    forests = fitted()
    assert np.median(forests.surprise(wrong)[:, 1]) > np.median(forests.surprise(rows)[:, 1]) + 2.0


def test_surprise_of_a_free_column_is_its_entropy():
    surprise = fitted(3_000).surprise(tied(np.random.default_rng(2), 2_000))[:, 2]
    assert abs(surprise.mean() - np.log(4)) < 0.15


def test_the_likeliest_code_follows_the_other_cells():
    rows = tied(np.random.default_rng(3), 100)
    likeliest = fitted().likeliest(rows, 1)
    assert np.mean((likeliest - rows[:, 0]) % 6 <= 1) > 0.95
    assert (fitted().likeliest(rows, 5) == -1).all()


def test_parts_of_one_column_do_not_predict_each_other():
    codes = np.repeat(np.random.default_rng(0).integers(0, 8, (500, 1)), 2, axis=1).astype(np.uint16)
    ordinal, sizes = np.array([True, True]), np.array([8, 8])
    alone = fit_conditionals(codes, ordinal, sizes, [[0, 1]], np.arange(2), 0).surprise(codes)
    assert abs(alone.mean() - np.log(8)) < 0.2


def test_classes_are_few_and_hold_every_code():
    codes = np.random.default_rng(0).integers(0, 100, 1_000)
    for ordinal in (True, False):
        classes = classes_of(codes, 100, ordinal)
        assert len(classes) == 100
        assert set(classes) == set(range(classes.max() + 1))
        assert classes.max() < 24
    assert (np.diff(classes_of(codes, 100, True)) >= 0).all()
