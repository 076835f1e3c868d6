import numpy as np
import pytest

from vr.stats import patterns as pt


@pytest.fixture
def rng():
    return np.random.default_rng(9)


@pytest.mark.parametrize(("num_columns", "num_codes"), [(3, [7] * 8), (3, None), (8, None)])
def test_pattern_ids_are_equal_exactly_for_equal_patterns(rng, num_columns, num_codes):
    codes = rng.integers(0, 3 if num_columns == 8 else 7, (3000, 8)).astype(np.uint16)
    columns = np.arange(8)[:num_columns]
    ids = pt.pattern_ids(codes, columns, num_codes)
    assert ids.dtype == np.int64
    _, by_id = np.unique(ids, return_inverse=True)
    _, by_row = np.unique(codes[:, columns], axis=0, return_inverse=True)
    # The two partitions are the same: as many joint classes as classes of either.
    assert len(np.unique(np.column_stack([by_id, by_row.ravel()]), axis=0)) == by_id.max() + 1 == by_row.max() + 1


def test_pattern_ids_do_not_depend_on_the_other_rows(rng):
    codes = rng.integers(0, 9, (100, 6)).astype(np.uint16)
    for columns in ([0, 2], [0, 1, 2, 3, 4, 5]):
        np.testing.assert_array_equal(pt.pattern_ids(codes[40:], columns), pt.pattern_ids(codes, columns)[40:])


def test_pattern_ids_tell_columns_apart(rng):
    codes = np.array([[1, 2, 0, 0, 0], [2, 1, 0, 0, 0]], np.uint16)
    assert len(set(pt.pattern_ids(codes, [0, 1]).tolist())) == 2
    assert len(set(pt.pattern_ids(codes, [0, 1, 2, 3, 4]).tolist())) == 2


def test_uncovered_mass_counts_rows():
    reference, candidate = np.array([1, 1, 2, 3]), np.array([3, 1, 1, 9])
    assert pt.uncovered_mass(reference, candidate) == 0.25
    assert pt.uncovered_mass(reference, reference) == 0.0
    assert pt.uncovered_mass(reference, candidate + 100) == 1.0
    assert pt.uncovered_mass(reference, candidate[:0]) == 1.0
    assert np.isnan(pt.uncovered_mass(reference[:0], candidate))


def test_uncovered_pair_mass_agrees_with_pattern_ids(rng):
    num_codes = np.array([9, 4, 7])
    reference = rng.integers(0, num_codes, (80, 3)).astype(np.uint16)
    candidate = rng.integers(0, num_codes, (40, 3)).astype(np.uint16)
    result = pt.uncovered_pair_mass(reference, candidate, num_codes)
    for i in range(3):
        for j in range(3):
            columns = [i] if i == j else [i, j]
            ids = [pt.pattern_ids(codes, columns, num_codes) for codes in (reference, candidate)]
            assert result[i, j] == pytest.approx(pt.uncovered_mass(*ids))
    assert 0 < result[0, 2] < 1
    assert np.isnan(pt.uncovered_pair_mass(reference[:0], candidate, num_codes)).all()


def _seen(rng, p, n):
    counts = rng.multinomial(n, p)
    return counts, int((counts == 1).sum()), int((counts == 2).sum())


def test_missing_mass_intervals_cover_the_truth(rng):
    p = 1 / np.arange(1, 2001)
    p /= p.sum()
    inside, inside_worst_case, errors = 0, 0, []
    for _ in range(300):
        counts, ones, twos = _seen(rng, p, 1000)
        truth = p[counts == 0].sum()
        mass = pt.missing_mass(ones, 1000, twos)
        inside += mass.lower <= truth <= mass.upper
        worst = pt.missing_mass(ones, 1000)
        inside_worst_case += worst.lower <= truth <= worst.upper
        errors.append(mass.value - truth)
    # Binomial standard error of 95 % over 300 draws is 1.3 points.
    assert inside / 300 > 0.91
    assert inside_worst_case / 300 > 0.94
    assert abs(np.mean(errors)) < 0.005


def test_missing_mass_limits():
    assert pt.missing_mass(10, 10).value == 1.0
    none = pt.missing_mass(0, 300, 0)
    assert none.value == none.lower == 0.0
    assert none.upper == pytest.approx(0.01, rel=0.01)
    assert all(np.isnan(pt.missing_mass(0, 0)))


def test_chao1_bounds_the_number_of_patterns(rng):
    assert pt.chao1(10, 0, 0) == 10
    assert pt.chao1(10, 4, 0) == 16
    assert pt.chao1(10, 4, 2) == 14
    counts, ones, twos = _seen(rng, np.ones(1000) / 1000, 1500)
    assert pt.chao1(int((counts > 0).sum()), ones, twos) == pytest.approx(1000, rel=0.1)


def _resampled(rng, p, n, generations):
    for _ in range(generations):
        counts = rng.multinomial(n, p)
        p = counts / n
    return counts


@pytest.mark.parametrize("generations", [1, 2, 5, 10])
def test_effective_generations_recover_the_depth(rng, generations):
    p = 1 / np.arange(1, 3001)
    p /= p.sum()
    n = 20_000
    depths = [pt.effective_generations(rng.multinomial(n, p), _resampled(rng, p, n, generations)) for _ in range(8)]
    assert np.mean(depths) == pytest.approx(generations, rel=0.45)


def test_effective_generations_follow_the_size_of_the_candidate(rng):
    p = 0.97 ** np.arange(300)
    p /= p.sum()
    reference = rng.multinomial(4000, p)
    depths = [pt.effective_generations(reference, rng.multinomial(m, p)) for m in (1000, 4000, 8000)]
    np.testing.assert_allclose(depths, 1.0, atol=0.6)


def test_effective_generations_interval_holds_the_value(rng):
    p = 0.97 ** np.arange(300)
    p /= p.sum()
    reference, candidate = rng.multinomial(2000, p), _resampled(rng, p, 2000, 4)
    value, lower, upper = pt.effective_generations_interval(reference, candidate)
    assert lower < value < upper
    narrow = pt.effective_generations_interval(reference, candidate, level=0.5)
    assert lower < narrow[1] <= value <= narrow[2] < upper


def test_effective_generations_limits():
    reference = np.array([5, 5, 9, 40])
    assert pt.effective_generations(reference, reference) == 0.0
    assert pt.effective_generations(reference, np.array([0, 0, 0, 59])) > 5
    assert pt.effective_generations(np.full(50, 20), np.array([1000] + [0] * 49)) > 60
    assert np.isnan(pt.effective_generations(np.array([1, 2, 0]), reference[:3]))
    assert np.isnan(pt.effective_generations(reference, 0 * reference))


def test_pattern_tables_count_every_possible_pattern(rng):
    codes = np.column_stack([rng.integers(0, k, 500) for k in (3, 4, 2)]).astype(np.uint16)
    tables = pt.pattern_tables(codes, [[0, 2], [0, 1]], [3, 4, 2])
    for counts, (a, b), sizes in zip(tables, [[0, 2], [0, 1]], [(3, 2), (3, 4)], strict=True):
        expected = np.histogram2d(codes[:, a], codes[:, b], bins=[range(k + 1) for k in sizes])[0].ravel()
        np.testing.assert_array_equal(counts[: expected.size], expected)
        assert not counts[expected.size :].any()
    assert pt.pattern_tables(codes[:0], [[1]], [3, 4, 2]).tolist() == [[0, 0, 0, 0]]
