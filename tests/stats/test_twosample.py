import numpy as np
import pytest

from vr.stats.twosample import classifier_two_sample, fit_density_ratio


def codes(rng, rows, dependent=True):
    a = rng.integers(0, 8, rows)
    b = (a + rng.integers(0, 2, rows)) % 8 if dependent else rng.integers(0, 8, rows)
    return np.column_stack([a, b, rng.integers(0, 5, rows)]).astype(np.uint16)


def test_samples_of_one_distribution_cannot_be_told_apart():
    rng = np.random.default_rng(0)
    values = [classifier_two_sample(codes(rng, 800), codes(rng, 800), rng)[0] for _ in range(8)]
    # Under the null the AUROC has sd 1 / sqrt(6 n) = 0.0144.
    assert np.mean(values) == pytest.approx(0.5, abs=3 * 0.0144 / np.sqrt(8))


def test_a_difference_in_dependence_alone_is_seen():
    rng = np.random.default_rng(1)
    auroc, of_x, of_y = classifier_two_sample(codes(rng, 1_000), codes(rng, 1_000, dependent=False), rng)
    assert auroc > 0.8
    assert of_x.mean() > 0 > of_y.mean()


def test_disjoint_samples_are_told_apart_perfectly():
    rng = np.random.default_rng(2)
    assert classifier_two_sample(codes(rng, 300), codes(rng, 300) + 10, rng)[0] == 1.0


def test_unequal_sizes_leave_the_ratio_unbiased():
    rng = np.random.default_rng(3)
    ratio = fit_density_ratio(codes(rng, 4_000), codes(rng, 500))
    assert np.median(ratio.log_ratio(codes(rng, 1_000))) == pytest.approx(0.0, abs=0.25)


def test_log_ratio_matches_a_known_density_ratio():
    rng = np.random.default_rng(4)
    p, q = np.array([0.6, 0.3, 0.1]), np.array([0.2, 0.3, 0.5])
    x = rng.choice(3, 20_000, p=p)[:, None].astype(np.uint16)
    y = rng.choice(3, 20_000, p=q)[:, None].astype(np.uint16)
    found = fit_density_ratio(x, y).log_ratio(np.arange(3, dtype=np.uint16)[:, None])
    assert found == pytest.approx(np.log(p / q), abs=0.06)


def test_too_few_rows_give_nan_and_no_rows_give_nothing():
    rng = np.random.default_rng(5)
    assert np.isnan(classifier_two_sample(codes(rng, 1), codes(rng, 50), rng)[0])
    assert fit_density_ratio(codes(rng, 50), codes(rng, 50)).log_ratio(np.empty((0, 3), np.uint16)).shape == (0,)


def test_same_seed_same_answer():
    rng = np.random.default_rng(6)
    x, y = codes(rng, 400), codes(rng, 400, dependent=False)
    first, second = (classifier_two_sample(x, y, np.random.default_rng(1))[1] for _ in range(2))
    assert np.array_equal(first, second)
