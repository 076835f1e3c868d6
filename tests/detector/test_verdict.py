"""The rule behind the verdict: monotone, silent about what was not measured."""

import pytest

from vr.detector.config import DetectorConfig
from vr.detector.metric import Feature
from vr.detector.registry import DIMENSIONS
from vr.detector.verdict import WEIGHTS_TRAINED, WEIGHTS_UNTRAINED, judge

SPECS = {f"{name}.{metric}": spec for name, d in DIMENSIONS.items() for metric, spec in d.metrics.items()}


def features(**changes):
    """All features of the head on their nulls, some moved to the harmful side by so many deviations."""
    found = {}
    for name in WEIGHTS_TRAINED:
        sign = 1.0 if SPECS[name].higher_is_worse else -1.0
        shift = changes.get(name.split(".")[1], 0.0) * SPECS[name].floor
        found[name] = Feature(0.5 + sign * shift, 0.0, 0.5, 0.0)
    return found


def risk(found):
    return judge(found, SPECS, DetectorConfig(), with_reference=True)


def test_every_feature_can_only_raise_the_risk():
    calm = risk(features()).probability
    for name in WEIGHTS_TRAINED:
        metric = name.split(".")[1]
        steps = [risk(features(**{metric: z})).probability for z in (-5.0, 0.0, 2.0, 5.0, 50.0)]
        assert steps == sorted(steps)
        assert steps[0] == calm < steps[-1]


def test_a_ratio_without_its_null_is_no_approval_by_itself():
    found = features(coverage_deficit=30.0, dependence_change_rms=30.0, predictability=30.0)
    without = found | {"generalization_gap.log_ratio": Feature(0.5, 0.0)}
    assert {driver.name for driver in risk(without).drivers} <= set(WEIGHTS_UNTRAINED)
    assert risk(without).verdict == "reject"


@pytest.mark.parametrize("with_reference", [True, False])
def test_nothing_measured_has_no_probability(with_reference):
    found = judge({}, SPECS, DetectorConfig(), with_reference=with_reference)
    assert found.probability is found.lower is found.upper is None
    assert found.verdict == "review"
    assert found.reason
