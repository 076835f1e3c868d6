"""Near rows against the count of differing columns over all pairs."""

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from vr.stats.near_rows import allowed_differences, near_rows


def codes_with_near_rows(rng, rows=400, columns=24, most=3):
    """Rows of 50 codes a column, of which every eighth repeats another one but for 0 to `most` columns."""
    codes = rng.integers(0, 50, (rows, columns)).astype(np.uint16)
    for i in range(0, rows, 8):
        codes[i] = codes[i + 1]
        changed = rng.permutation(columns)[: rng.integers(0, most + 1)]
        codes[i, changed] += 50
    return codes


@pytest.mark.parametrize("max_differing", [1, 2, 3])
@pytest.mark.parametrize("among", ["itself", "others"])
def test_finds_what_all_pairs_find(max_differing, among):
    rng = np.random.default_rng(0)
    codes = codes_with_near_rows(rng)
    others = None if among == "itself" else codes[rng.permutation(len(codes))[:250]]
    found = near_rows(codes, max_differing, others)
    apart = np.rint(cdist(codes, codes if others is None else others, "hamming") * codes.shape[1]).astype(int)
    apart[apart == 0] = 99
    nearest = apart.min(axis=1)
    expected = nearest <= max_differing
    assert 10 < expected.sum() < 300
    np.testing.assert_array_equal(found.partner >= 0, expected)
    np.testing.assert_array_equal(found.differing[expected], nearest[expected])
    rows = np.flatnonzero(expected)
    np.testing.assert_array_equal(apart[rows, found.partner[rows]], nearest[rows])
    assert (found.differing[~expected] == -1).all()


@pytest.mark.parametrize("max_differing", [1, 2])
def test_exact_repeats_are_not_near_and_crowd_nothing_out(max_differing):
    codes = np.tile(np.arange(8, dtype=np.uint16), (60, 1))
    assert (near_rows(codes, max_differing).partner == -1).all()
    codes[37, 3] = 77
    found = near_rows(codes, max_differing)
    assert (found.differing == 1).all()
    assert found.partner[37] != 37
    assert (np.delete(found.partner, 37) == 37).all()
    assert (near_rows(codes[:1], max_differing, codes).partner == 37).all()


def test_nothing_is_near_where_nothing_may_differ():
    codes = np.zeros((4, 2), np.uint16)
    assert allowed_differences(2) == 0
    assert (near_rows(codes, 0).partner == -1).all()
    assert (near_rows(codes[:0], 1).partner == -1).all()
    assert (near_rows(codes, 1, codes[:0]).partner == -1).all()


def test_a_tenth_of_the_columns_may_differ():
    assert [allowed_differences(d) for d in (1, 3, 12, 20, 48)] == [0, 1, 1, 2, 4]


def test_the_order_of_rows_does_not_matter():
    rng = np.random.default_rng(1)
    codes = codes_with_near_rows(rng, most=2)
    order = rng.permutation(len(codes))
    np.testing.assert_array_equal(near_rows(codes, 2).differing[order], near_rows(codes[order], 2).differing)
