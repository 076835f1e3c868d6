import numpy as np
import pytest

from vr.cascade.scaling import extrapolate, fit_power_law

SIZES = np.array([4e3, 4e4, 4e5])


def law(sizes, a=30.0, b=0.4, c=1.2):
    return a * np.asarray(sizes) ** -b + c


def test_an_exact_power_law_is_recovered():
    sizes = np.geomspace(1e3, 1e6, 7)
    fit = fit_power_law(sizes, law(sizes), np.ones(7))
    assert (fit.b, fit.c) == pytest.approx((0.4, 1.2), rel=1e-3)
    assert fit(1e7) == pytest.approx(law(1e7), rel=1e-4)


def test_no_negative_asymptote_and_no_rising_law():
    falling = fit_power_law(SIZES, SIZES**-0.5, np.ones(3))
    assert falling.c >= 0.0
    rising = fit_power_law(SIZES, np.array([1.0, 2.0, 3.0]), np.ones(3))
    assert rising.a == 0.0
    assert rising(1e9) == pytest.approx(2.0)


def simulated(rng, noise=0.01, excess=0.0):
    counts = (10, 5, 3)
    shared = [rng.normal(0, noise, n) for n in counts]
    reference = [law(s) + e for s, e in zip(SIZES, shared, strict=True)]
    candidate = [(law(s) + e) * np.exp(excess) for s, e in zip(SIZES, shared, strict=True)]
    return reference, candidate


def test_the_interval_covers_the_truth_at_ten_times_the_largest_size():
    covered = 0
    for seed in range(16):
        rng = np.random.default_rng(seed)
        reference, candidate = simulated(rng)
        found = extrapolate(SIZES, reference, candidate, target=None, level=0.95, rng=rng, num_resamples=20)
        interval = found["predicted_loss"]
        covered += interval["lower"] <= law(4e6) <= interval["upper"]
        # An interval of everything covers too: it has to say something of the loss.
        assert interval["upper"] - interval["lower"] < 0.6 * law(4e6)
    assert covered >= 14


def test_paired_excess_is_found_and_the_horizon_is_capped():
    rng = np.random.default_rng(0)
    reference, candidate = simulated(rng, excess=0.1)
    found = extrapolate(SIZES, reference, candidate, target=1e12, level=0.95, rng=rng)
    assert found["target_parameters"] == 4e6
    assert found["predicted_excess_loss"]["value"] == pytest.approx(0.1, abs=0.01)
    assert found["largest_tier"]["candidate_loss"] > found["largest_tier"]["reference_loss"]


def test_one_tier_is_no_law():
    rng = np.random.default_rng(0)
    assert extrapolate([1e3], [np.ones(3)], [np.ones(3)], target=None, level=0.95, rng=rng) is None
