import numpy as np
import pytest

from vr.localization.evidence import TailScale


def test_evidence_of_null_readings_is_uniform_in_probability():
    rng = np.random.default_rng(0)
    scale = TailScale.fit(rng.standard_normal(5_000))
    p = 10.0 ** -scale(rng.standard_normal(5_000))
    assert np.quantile(p, [0.1, 0.5, 0.9]) == pytest.approx([0.1, 0.5, 0.9], abs=0.03)


def test_evidence_rises_with_the_reading_and_goes_on_beyond_the_null():
    scale = TailScale.fit(np.arange(1_000.0))
    evidence = scale(np.array([-5.0, 500.0, 999.0, 1_200.0, 5_000.0]))
    assert (np.diff(evidence) > 0).all()
    assert evidence[0] == pytest.approx(0.0, abs=1e-3)


def test_nan_is_no_evidence_and_a_constant_null_is_survived():
    assert TailScale.fit(np.ones(10))(np.array([np.nan, 1.0])).tolist() == [0.0, 0.0]
    assert np.isfinite(TailScale.fit(np.ones(10))(np.array([2.0]))).all()
