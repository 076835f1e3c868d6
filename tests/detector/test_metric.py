import numpy as np
import pytest

from vr.detector.metric import Feature, MetricSpec, excess

SPEC = MetricSpec("label", "description", floor=0.1)


def feature(value, null_mean=0.0, null_std=0.0):
    return Feature(value, 0.0, null_mean, null_std)


def test_excess_is_zero_within_one_deviation_and_grows_beyond():
    values = [excess(feature(v), SPEC) for v in (-1.0, 0.0, 0.1, 0.2, 0.4, 5.0)]
    assert values[:3] == [0.0, 0.0, 0.0]
    assert values[3] == pytest.approx(np.log(2.0))
    assert values == sorted(values)


def test_floor_keeps_a_trifle_from_mattering_however_certain():
    assert excess(feature(0.05, null_std=1e-9), SPEC) == 0.0


def test_null_spread_counts_beside_the_floor():
    wide = excess(feature(1.0, null_std=1.0), SPEC)
    narrow = excess(feature(1.0, null_std=0.01), SPEC)
    assert wide < narrow


def test_direction_of_harm():
    lower = MetricSpec("l", "d", floor=0.1, higher_is_worse=False)
    both = MetricSpec("l", "d", floor=0.1, two_sided=True)
    assert excess(feature(-1.0), lower) > 0 == excess(feature(1.0), lower)
    assert excess(feature(-1.0), both) == excess(feature(1.0), both) > 0


def test_missing_value_or_null_gives_none():
    assert excess(Feature.missing("why"), SPEC) is None
    assert excess(Feature(1.0), SPEC) is None


def test_feature_of_splits_leaves_non_finite_ones_out():
    found = Feature.of([1.0, np.nan, 3.0], [0.0, 2.0, np.inf])
    assert (found.value, found.null_mean) == (2.0, 1.0)
    assert found.null_std == pytest.approx(np.sqrt(2.0))


def test_features_together_are_those_of_each():
    rng = np.random.default_rng(0)
    values = {name: rng.standard_normal((2, 8)) for name in ("whole", "hole", "infinite", "nowhere", "no null")}
    values["hole"][0, 3] = values["infinite"][1, 5] = np.nan
    values["infinite"][0, 0] = np.inf
    values["nowhere"][0] = np.nan
    values["no null"][1, 1:] = np.nan
    observed, null = ([{name: value[side, i] for name, value in values.items()} for i in range(8)] for side in (0, 1))
    assert Feature.of_each(observed, null) == {name: Feature.of(*value) for name, value in values.items()}


def test_feature_without_a_null_says_so():
    assert Feature.of([np.nan], [1.0, 2.0]).value is None
    single = Feature.of([1.0], [0.0])
    assert single.null_std is None
    assert "null" in (single.reason or "")
