"""Boosted trees on codes: LightGBM's, and scikit-learn's where it is not there."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from sklearn.ensemble import HistGradientBoostingClassifier

from vr.stats import boosting
from vr.stats.boosting import fit_boosted_trees
from vr.stats.resampling import auroc


def rows_of(rng, shift=0.0, rows=1_500):
    """Numbers with a common part, on as many codes as numeric and nominal columns have."""
    x = rng.normal(size=(rows, 1)) + rng.normal(size=(rows, 6))
    x[:, 0] += shift
    levels = np.array([3, 12, 32, 33, 40, 70])
    return np.clip((x + 4) / 8 * levels, 0, levels - 1).astype(np.uint16)


def two_classes(seed, shift):
    rng = np.random.default_rng(seed)
    codes = np.concatenate([rows_of(rng, shift), rows_of(rng)])
    return codes, np.repeat([1.0, 0.0], 1_500), np.concatenate([rows_of(rng, shift), rows_of(rng)])


@pytest.fixture
def without_lightgbm(monkeypatch):
    monkeypatch.setattr(boosting, "lightgbm", None)


def test_without_lightgbm_the_trees_are_scikit_learns_on_the_codes_themselves(without_lightgbm):
    codes, labels, fresh = two_classes(0, 0.8)
    model = HistGradientBoostingClassifier(
        max_iter=20, max_leaf_nodes=8, learning_rate=0.3, max_bins=32, early_stopping=False
    )
    expected = model.fit(codes.astype(float), labels).decision_function(fresh.astype(float))
    # Bins made of counts are those that it makes of the values.
    assert fit_boosted_trees(codes, labels, 0).log_odds(fresh) == pytest.approx(expected, abs=1e-9)


def test_the_first_trees_are_the_same_by_either_library(monkeypatch):
    monkeypatch.setattr(boosting, "_TREES", 3)
    codes, labels, fresh = two_classes(1, 0.8)
    by_lightgbm = fit_boosted_trees(codes, labels, 0).log_odds(fresh)
    monkeypatch.setattr(boosting, "lightgbm", None)
    # Later a tie, or rows of a leaf that LightGBM counts by their weight, may part them.
    assert by_lightgbm == pytest.approx(fit_boosted_trees(codes, labels, 0).log_odds(fresh), abs=1e-9)


@pytest.mark.parametrize("shift", [0.0, 0.3, 1.0])
def test_all_trees_tell_as_much_by_either_library(monkeypatch, shift):
    told = []
    for seed in range(6):
        codes, labels, fresh = two_classes(seed, shift)
        told.append([auroc(fit_boosted_trees(codes, labels, 0).log_odds(fresh), labels > 0)])
        with monkeypatch.context() as patched:
            patched.setattr(boosting, "lightgbm", None)
            told[-1].append(auroc(fit_boosted_trees(codes, labels, 0).log_odds(fresh), labels > 0))
    apart = np.diff(told, axis=1)
    assert abs(apart.mean()) < 0.004
    assert np.abs(apart).max() < 0.015


def test_threads_grow_what_one_grows():
    cases = [two_classes(seed, 0.5) for seed in range(8)]
    one = [fit_boosted_trees(codes, labels, 0).log_odds(fresh) for codes, labels, fresh in cases]
    boosting._whole_bins.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        many = list(pool.map(lambda case: fit_boosted_trees(case[0], case[1], 0).log_odds(case[2]), cases))
    assert all(np.array_equal(a, b) for a, b in zip(one, many, strict=True))


def test_codes_that_were_not_seen_count_as_their_neighbours():
    codes = np.repeat(np.array([[2], [9]], np.uint16), 50, axis=0)
    odds = fit_boosted_trees(codes, np.repeat([1.0, 0.0], 50), 0).log_odds(np.array([[0], [2], [9], [400]], np.uint16))
    assert odds[0] == odds[1] > 0 > odds[2] == odds[3]


def test_two_rows_are_enough():
    odds = fit_boosted_trees(np.array([[0], [1]], np.uint16), np.array([1.0, 0.0]), 0).log_odds(
        np.array([[0], [1]], np.uint16)
    )
    assert np.isfinite(odds).all()


@pytest.mark.parametrize("shift", [0.0, 0.3, 3.0])
@pytest.mark.parametrize("rows", [30, 400, 3_000])
def test_many_rows_are_looked_up_and_get_what_lightgbm_gives_them(monkeypatch, shift, rows):
    codes, labels, fresh = two_classes(2, shift)
    some = np.arange(0, 3_000, 3_000 // rows)
    trees = fit_boosted_trees(codes[some], labels[some], 0)
    few = trees.log_odds(fresh)
    monkeypatch.setattr(boosting, "_MANY_ROWS", 1)
    monkeypatch.setattr(boosting, "_binned", None)  # not asked for any more
    assert np.array_equal(trees.log_odds(fresh), few)


def test_many_rows_are_read_by_scikit_learns_trees_too(monkeypatch, without_lightgbm):
    codes, labels, fresh = two_classes(3, 0.8)
    trees = fit_boosted_trees(codes, labels, 0)
    few = trees.log_odds(fresh)
    monkeypatch.setattr(boosting, "_MANY_ROWS", 1)
    assert np.array_equal(trees.log_odds(fresh), few)
