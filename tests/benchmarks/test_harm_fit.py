"""The model of expected harm is what its command makes of the committed study."""

import numpy as np
import pytest

from benchmarks.collapse.evidence import load_cases
from benchmarks.collapse.harm import fit_harm
from vr.detector.harm import load_harm_model


def test_the_shipped_model_is_the_fit_to_the_committed_cases():
    cases, _ = load_cases(["features", "reference_free"])
    fitted, shipped = fit_harm(cases), load_harm_model()
    assert shipped.card["cases"] == len(cases), "python -m experiments.harm"
    assert shipped.names == fitted.names
    assert shipped.expected(cases.features) == pytest.approx(fitted.expected(cases.features), abs=2e-3)
    assert np.median(np.abs(fitted.expected(cases.features) - cases.harm)) < 0.05
