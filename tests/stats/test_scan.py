import numpy as np
import pytest
from scipy.stats import chi2

from vr.stats.scan import _tail, scan, whitened


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


def test_what_holds_for_the_whole_file_is_no_stretch():
    assert scan(readings(shift=slice(None)), np.random.default_rng(1)).stretches == ()


@pytest.mark.parametrize("rows", [0, 1, 5, 6, 7])
def test_few_rows_are_survived(rows):
    found = scan(np.ones((rows, 2)), np.random.default_rng(0))
    assert found.evidence.shape == (rows,)
