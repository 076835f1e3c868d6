import numpy as np
import pytest
from scipy.stats import chi2, gumbel_r

from vr.stats.scan import Scan, _tail, scan, whitened


def readings(rows=1_000, shift=None):
    rng = np.random.default_rng(0)
    x = rng.standard_normal((rows, 4))
    if shift is not None:
        x[shift] += 1.0
    return whitened(x, rng.standard_normal((2_000, 4)))


def test_a_shifted_stretch_is_found_with_its_edges_and_no_other():
    found = scan(readings(shift=slice(300, 360)), np.random.default_rng(1))
    ((start, end, evidence),) = found.stretches
    assert abs(start - 300) <= 5
    assert abs(end - 360) <= 5
    assert evidence > found.null.max()
    outside = np.delete(found.evidence, np.arange(start, end))
    assert outside.max() < evidence / 2


def test_a_stretch_beyond_the_smallest_float_has_its_edges():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((1_000, 8))
    x[400:500] += 3.0
    ((start, end, evidence),) = scan(whitened(x, rng.standard_normal((2_000, 8))), np.random.default_rng(1)).stretches
    assert (start, end) == (400, 500)
    assert evidence > 330.0


@pytest.mark.parametrize("k", [1, 2, 7, 39])
def test_far_tails_go_on_where_floats_end(k):
    statistic = np.linspace(900.0, 1_300.0, 401)
    tails = _tail(statistic, k)
    exact = -chi2.logsf(statistic, k) / np.log(10.0)
    assert np.allclose(tails, exact, rtol=2e-3)
    assert (np.diff(tails) > 0.0).all()


def test_ordinary_rows_have_no_stretch_and_the_evidence_of_random_orders():
    found = scan(readings(), np.random.default_rng(1))
    assert found.stretches == ()
    assert np.median(found.evidence) == pytest.approx(np.median(found.null), abs=0.3)


def test_the_best_stretch_of_a_random_order_is_as_surprising_as_it_is_rare():
    surprise = []
    for seed in range(150):
        x = np.random.default_rng(seed).standard_normal((400, 3))
        found = scan(x, np.random.default_rng([seed, 1]))
        surprise.append(found.surprise(found.evidence.max()))
    surprise = np.array(surprise)
    # One in ten has more than 1; fifteen orders know the far tail badly, so that more than one in a hundred has 2.
    assert 0.04 < np.mean(surprise > 1.0) < 0.18
    assert np.mean(surprise > 2.0) < 0.05
    assert np.mean(surprise > np.log10(2.0)) == pytest.approx(0.5, abs=0.12)


def test_surprise_is_gumbels_tail_and_goes_on_where_floats_end():
    found = Scan(np.zeros(0), np.zeros(0), (), np.array([2.0, 3.0, 5.0, 4.5]))
    scale = found.greatest.std(ddof=1) * np.sqrt(6) / np.pi
    location = found.greatest.mean() - np.euler_gamma * scale
    x = np.linspace(0.0, 30.0, 61)
    exact = -gumbel_r.logsf(x, location, scale) / np.log(10.0)
    np.testing.assert_allclose(found.surprise(x), exact, rtol=1e-6, atol=1e-9)
    assert (np.diff(found.surprise(np.linspace(5.0, 3_000.0, 100))) > 0.0).all()


def test_what_holds_for_the_whole_file_is_no_stretch():
    assert scan(readings(shift=slice(None)), np.random.default_rng(1)).stretches == ()


@pytest.mark.parametrize("rows", [0, 1, 5, 6, 7])
def test_few_rows_are_survived(rows):
    found = scan(np.ones((rows, 2)), np.random.default_rng(0))
    assert found.evidence.shape == (rows,)
