import numpy as np

from vr.detector.inputs import Columns, Side
from vr.detector.rules import Rules

COLUMNS = Columns(
    names=("number", "city", "country"),
    num_codes=np.array([6, 7, 5]),
    ordinal=np.array([True, False, False]),
    numeric=np.array([True, False, False]),
    labels=([""] * 6, [""] * 7, [""] * 5),
    time=None,
)
PAIRS = np.arange(3)


def side(numbers, cities, countries):
    codes = np.column_stack([np.full(len(cities), 2), cities, countries]).astype(np.uint16)
    values = np.full(codes.shape, np.nan)
    values[:, 0] = numbers
    return Side(codes, values, np.zeros((len(codes), 1), np.float32), np.arange(len(codes)))


def base(rows=400):
    rng = np.random.default_rng(0)
    cities = rng.integers(1, 5, rows)
    return side(rng.integers(0, 10, rows).astype(float), cities, 1 + (cities > 2))


def test_a_sample_keeps_its_own_rules():
    assert set(Rules.fit(base(), COLUMNS, PAIRS).violations(base()).values()) == {0.0}


def test_values_beyond_the_range_and_unseen_categories_are_counted_by_cell():
    x = base()
    x.values[:40, 0] = 99.0
    x.codes[:20, 1] = 6
    found = Rules.fit(base(), COLUMNS, PAIRS).violations(x)
    assert found["out_of_range_fraction"] == (40 + 20) / (3 * 400)


def test_fractions_where_the_reference_has_whole_numbers():
    x = base()
    x.values[:100, 0] = 3.5
    assert Rules.fit(base(), COLUMNS, PAIRS).violations(x)["off_grid_fraction"] == 0.25


def test_a_broken_functional_dependency_is_counted_by_row():
    x = base()
    x.codes[:30, 2] = 3 - x.codes[:30, 2]
    found = Rules.fit(base(), COLUMNS, PAIRS).violations(x)
    assert found["dependency_violations"] == 30 / 400
    assert found["impossible_combinations"] == 30 / 400


def test_no_rule_is_read_into_a_constant_or_into_independent_columns():
    rng = np.random.default_rng(1)
    x = side(np.zeros(300), rng.integers(1, 3, 300), np.ones(300, int))
    rules = Rules.fit(x, COLUMNS, PAIRS)
    assert rules.decided == {}
    assert rules.impossible == {}
