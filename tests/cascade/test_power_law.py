import numpy as np
import pytest
from scipy.optimize import least_squares

from vr.cascade.power_law import Sample, fit, fit_power_law, project

SIZES = np.array([4e3, 4e4, 4e5])


def law(sizes, a=30.0, b=0.4, c=1.2):
    return a * np.asarray(sizes) ** -b + c


def seeds(rng, truth=law, noise=0.01, counts=(10, 5, 3)):
    return [truth(size) + rng.normal(0, noise, count) for size, count in zip(SIZES, counts, strict=True)]


@pytest.mark.parametrize(("a", "b", "c"), [(30.0, 0.4, 1.2), (-5.0, 0.3, 2.0), (4.0, 0.15, 0.3)])
def test_an_exact_power_law_is_recovered_falling_or_rising(a, b, c):
    sizes = np.geomspace(1e3, 1e6, 7)
    found = fit_power_law(sizes, law(sizes, a, b, c), np.ones(7))
    assert (found.a, found.b, found.c) == pytest.approx((a, b, c), rel=5e-3)
    assert found(1e7) == pytest.approx(law(1e7, a, b, c), rel=1e-4)


def test_no_negative_asymptote_and_a_flat_law_where_none_may_rise():
    assert fit_power_law(SIZES, SIZES**-0.5, np.ones(3)).c >= 0.0
    flat = fit_power_law(SIZES, np.array([1.0, 1.1, 1.5]), np.array([1.0, 1.0, 2.0]), may_rise=False)
    assert flat.a == 0.0
    assert flat(1e9) == pytest.approx((1.0 + 1.1 + 2 * 1.5) / 4)


def test_the_linear_part_is_scipys_huber_regression():
    sample = Sample.of(SIZES, seeds(np.random.default_rng(0)))
    sample.losses[3] += 0.2
    for exponent in (0.36, 0.4, 0.5):
        a, c, cost = (float(value[0]) for value in project(sample, np.array([exponent])))
        x = (sample.sizes / SIZES[0]) ** -exponent

        def residuals(p, x=x):
            return (sample.losses - p[0] * x - p[1]) * np.sqrt(sample.weights)

        oracle = least_squares(residuals, [1.0, 1.0], loss="huber", f_scale=1.345, xtol=1e-12, ftol=1e-12)
        np.testing.assert_allclose((a, c), oracle.x, atol=2e-3)
        assert cost == pytest.approx(2 * oracle.cost, rel=1e-3)


def test_one_wild_seed_hardly_moves_the_law():
    clean = seeds(np.random.default_rng(0))
    wild = [clean[0], clean[1].copy(), clean[2]]
    wild[1][2] += 1.0
    before, after = (fit(Sample.of(SIZES, losses)) for losses in (clean, wild))
    assert after(4e6) == pytest.approx(before(4e6), rel=0.01)
    # The middle tier's mean is higher by 0.2: a law through the means follows it.
    means = fit_power_law(SIZES, [x.mean() for x in wild], np.full(3, 1e4))
    assert abs(means(4e6) / before(4e6) - 1.0) > 0.05


def test_units_of_size_and_of_loss_do_not_matter():
    losses = seeds(np.random.default_rng(0))
    found = fit(Sample.of(SIZES, losses))
    assert fit(Sample.of(1e3 * SIZES, losses))(4e9) == pytest.approx(found(4e6), rel=1e-6)
    assert fit(Sample.of(SIZES, [3.0 * x for x in losses]))(4e6) == pytest.approx(3.0 * found(4e6), rel=1e-6)


def test_the_prior_decides_where_the_sizes_say_nothing_and_fades_where_they_do():
    two = Sample.of(SIZES[:2], seeds(np.random.default_rng(0))[:2])
    assert fit(two).b == pytest.approx(0.34, rel=0.01)
    assert fit(two)(SIZES[1]) == pytest.approx(np.median(two.losses[10:]), abs=0.02)
    sizes = np.geomspace(1e3, 1e6, 7)
    steep = fit_power_law(sizes, law(sizes, 300.0, 0.9, 1.0), np.full(7, 1e8), prior=True)
    assert steep.b == pytest.approx(0.9, rel=0.01)


def test_resamples_are_fitted_as_they_would_be_alone():
    rng = np.random.default_rng(0)
    samples = [Sample.of(SIZES, seeds(rng)) for _ in range(3)]
    stacked = Sample(samples[0].sizes, np.stack([s.losses for s in samples]), np.stack([s.weights for s in samples]))
    exponents = np.array([0.1, 0.5])
    for together, alone in zip(
        zip(*project(stacked, exponents), strict=True), (project(s, exponents) for s in samples), strict=True
    ):
        np.testing.assert_allclose(together, alone, rtol=1e-10)
