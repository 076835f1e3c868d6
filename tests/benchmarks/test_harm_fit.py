"""The model of expected harm is what its command makes of the committed study."""

import numpy as np
import pytest

from benchmarks.collapse.evidence import load_cases
from benchmarks.collapse.harm import SKILL, SKILL_OF_TARGETS, fit_harm
from vr.detector.harm import load_harm_model


@pytest.mark.parametrize(("of_targets", "skill"), [(False, SKILL), (True, SKILL_OF_TARGETS)])
def test_the_shipped_model_is_the_fit_to_the_committed_cases(of_targets, skill):
    cases, _ = load_cases(["features", "targets", "reference_free"])
    fitted, shipped = fit_harm(cases, skill), load_harm_model(of_targets=of_targets)
    assert shipped.card["cases"] == len(cases), "python -m experiments.harm"
    assert shipped.names == fitted.names
    assert shipped.expected(cases.features) == pytest.approx(fitted.expected(cases.features), abs=2e-3)
    assert np.median(np.abs(fitted.expected(cases.features) - cases.harm)) < 0.05
