"""How a sample stands for all rows, against SciPy and against what the band promises."""

import numpy as np
import pytest
from scipy import stats

from vr.diversity.standing import LEVEL, correlations, effective_rows, standing


def counts_of(codes: np.ndarray, num: int) -> np.ndarray:
    return np.stack([np.bincount(column, minlength=num) for column in codes.T])


def drawn(rows: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    first = rng.binomial(9, 0.4, rows)
    return np.column_stack([first, np.minimum(9, first + rng.poisson(1.0, rows)), rng.integers(0, 3, rows)]).astype(
        np.uint16
    )


def test_distances_and_entropies_are_scipys():
    full, part = drawn(5_000, 0), drawn(400, 1)
    found = standing(part, np.ones(400), counts_of(full, 10))
    for j in range(3):
        assert found.ks[j] == pytest.approx(stats.ks_2samp(part[:, j], full[:, j]).statistic, abs=1e-12)
        own, known = (np.bincount(codes[:, j], minlength=10) for codes in (part, full))
        assert found.entropy_difference[j] == pytest.approx(stats.entropy(own) - stats.entropy(known), abs=1e-12)
    assert found.effective_rows == found.rows == 400
    assert found.band == pytest.approx(np.sqrt(np.log(40.0) / 800.0))


def test_all_rows_stand_for_themselves():
    full = drawn(500, 0)
    found = standing(full, np.full(500, 3.0), counts_of(full, 10))
    assert found.confidence == 1.0
    np.testing.assert_allclose(found.ks, 0.0, atol=1e-12)
    np.testing.assert_allclose(found.entropy_difference, 0.0, atol=1e-12)


def test_weights_undo_unequal_probabilities():
    full = drawn(40_000, 0)
    probability = np.where(full[:, 0] > 6, 0.5, 0.02)
    chosen = np.random.default_rng(1).random(len(full)) < probability
    weighted = standing(full[chosen], 1.0 / probability[chosen], counts_of(full, 10))
    plain = standing(full[chosen], np.ones(chosen.sum()), counts_of(full, 10))
    assert weighted.confidence == 1.0
    assert plain.ks[0] > 3 * plain.band
    assert plain.confidence < 1.0
    assert weighted.effective_rows < 0.8 * plain.effective_rows


def test_random_samples_keep_to_the_band_as_often_as_it_says():
    # A continuous column, where the band is tightest: 400 codes, each of 25 rows.
    codes = np.repeat(np.arange(400, dtype=np.uint16), 25)[:, None]
    counts = counts_of(codes, 400)
    rng = np.random.default_rng(0)
    draws = 600
    within = sum(
        standing(codes[rng.integers(0, len(codes), 300)], np.ones(300), counts).confidence for _ in range(draws)
    )
    # Massart's bound is nearly reached: no fewer than it says, and no more than would make it useless.
    assert LEVEL - 4 * np.sqrt(LEVEL * (1 - LEVEL) / draws) < within / draws < 0.99


def test_effective_rows_of_two_kinds():
    assert effective_rows(np.array([1.0, 1.0, 2.0])) == pytest.approx(16.0 / 6.0)


def test_correlations_are_spearmans_and_whole_weights_are_repeats():
    codes = drawn(300, 3)
    codes[:, 2] = 1  # constant
    weights = np.random.default_rng(4).integers(1, 4, 300)
    found = correlations(codes, weights.astype(float), np.full(3, 10))
    repeated = np.repeat(codes, weights, axis=0)
    assert found[0, 1] == pytest.approx(stats.spearmanr(repeated[:, 0], repeated[:, 1]).statistic, abs=1e-12)
    assert found[0, 2] == found[2, 1] == 0.0
    assert (np.diag(found) == 1.0).all()
    plain = correlations(codes, np.ones(300), np.full(3, 10))
    assert plain[0, 1] == pytest.approx(stats.spearmanr(codes[:, 0], codes[:, 1]).statistic, abs=1e-12)
