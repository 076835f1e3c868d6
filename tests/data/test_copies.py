"""Copies of the reference in the candidate: what chance explains, and what must not judge."""

import numpy as np
import pytest

from vr.data.copies import expected_coincidences, find_copies


def draw(rng, levels, rows):
    """Rows of a Zipf distribution, as their own hashes."""
    shares = 1.0 / np.arange(1, levels + 1)
    return rng.choice(levels, rows, p=shares / shares.sum())


@pytest.mark.parametrize(("levels", "rows", "fresh_rows"), [(50, 400, 400), (2_000, 1_000, 500), (20_000, 800, 2_000)])
def test_expected_coincidences_match_fresh_samples(levels, rows, fresh_rows):
    rng = np.random.default_rng(0)
    expected, found = [], []
    for _ in range(30):
        reference = draw(rng, levels, rows)
        expected.append(expected_coincidences(reference, fresh_rows))
        found.append(np.isin(reference, draw(rng, levels, fresh_rows)).mean())
    # Never below what a fresh sample shows by more than a trifle: an honest candidate is not accused.
    assert -0.02 < np.mean(expected) - np.mean(found) < 0.12


def test_distinct_rows_expect_no_coincidence():
    assert expected_coincidences(np.arange(500), 10_000) == 0.0
    assert expected_coincidences(np.empty(0, np.uint64), 10) == 0.0


def test_only_copies_beyond_chance_among_other_rows_are_set_aside():
    distinct = np.arange(1_000, dtype=np.uint64)
    third = np.arange(1_000) < 300
    assert find_copies(distinct, third, 1_000, own_share=0.3).set_aside
    assert find_copies(distinct, third, 1_000, own_share=0.3).share == 0.3
    # A candidate that holds nothing else has nothing else to be judged.
    assert not find_copies(distinct, third, 1_000, own_share=1.0).set_aside
    assert not find_copies(distinct, np.arange(1_000) < 10, 1_000, own_share=0.01).set_aside
    common = np.repeat(np.arange(10, dtype=np.uint64), 100)
    assert not find_copies(common, np.ones(1_000, bool), 1_000, own_share=0.9).set_aside
