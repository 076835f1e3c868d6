"""The monotone head and what calibrates it."""

import json

import numpy as np
import pytest
from scipy.special import expit
from sklearn.isotonic import IsotonicRegression

from vr.detector.calibration import variables, venn_abers
from vr.detector.head import Head, fit_head
from vr.detector.metric import Feature, MetricSpec


def drawn(rows=2_000, seed=0):
    rng = np.random.default_rng(seed)
    features = {"a": rng.lognormal(0, 2, rows), "b": rng.standard_normal(rows), "noise": rng.standard_normal(rows)}
    logit = 3.0 * np.log(features["a"]) / 2 + 2.0 * features["b"] - 1.0
    return features, (rng.random(rows) < expit(logit)).astype(float)


def test_the_head_finds_what_matters_and_in_which_direction():
    features, target = drawn()
    head = fit_head(features, ["a", "b", "noise"], target)
    fresh, outcome = drawn(seed=1)
    said = expit(head.logit(fresh)) > 0.5
    assert np.mean(said == outcome) > 0.8
    assert head.weights[0] > head.weights[1] > 5 * head.weights[2]


def test_more_of_a_feature_never_lowers_the_risk():
    features, target = drawn()
    # A feature that would help with the other sign gets no weight at all.
    head = fit_head(features | {"inverse": -features["b"]}, ["a", "inverse"], target)
    assert head.weights[1] == 0.0
    grid = np.linspace(-5.0, 50.0, 400)
    logits = head.logit({"a": grid, "inverse": np.zeros(400)})
    assert (np.diff(logits) >= 0).all()


def test_what_was_not_measured_counts_as_on_its_null_or_by_its_median_and_outliers_do_no_harm():
    features, target = drawn()
    features["a:raw"] = features["a"]
    head = fit_head(features, ["a:raw", "b"], target)
    absent = head.contributions({"a:raw": np.array([np.nan]), "b": np.array([np.nan])})
    there = head.contributions({"a:raw": np.array([np.median(features["a"])]), "b": np.zeros(1)})
    assert absent == pytest.approx(there)
    assert np.isfinite(head.logit({"a:raw": np.array([1e300, -1e300]), "b": np.zeros(2)})).all()


def test_one_absurd_value_changes_next_to_nothing():
    features, target = drawn()
    spoilt = features["b"].copy()
    spoilt[0] = -4e12
    heads = [fit_head({"b": b}, ["b"], target) for b in (features["b"], spoilt)]
    grid = {"b": np.linspace(-1.0, 2.5, 50)}
    np.testing.assert_allclose(heads[1].logit(grid), heads[0].logit(grid), atol=0.1)


def test_a_head_survives_json():
    features, target = drawn(300)
    head = fit_head(features, ["a", "b"], target)
    again = Head.from_dict(json.loads(json.dumps(head.to_dict())))
    np.testing.assert_allclose(again.logit(features), head.logit(features), atol=1e-6)


def test_venn_abers_brackets_the_frequency_and_narrows_with_cases():
    rng = np.random.default_rng(0)
    widths = []
    for rows in (60, 2_000):
        logits = rng.normal(0, 2, rows)
        positive = rng.random(rows) < expit(logits)
        low, high = venn_abers(logits, positive, 0.0)
        assert 0.0 <= low <= high <= 1.0
        widths.append(high - low)
    assert widths[1] < widths[0]
    assert low - 0.1 < 0.5 < high + 0.1


def test_venn_abers_is_the_isotonic_fit_with_the_case_in_it():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        logits = np.round(rng.normal(0, 2, 80), seed % 3)
        positive = rng.random(80) < expit(logits)
        for case in (*logits[:5], 0.123, -9.0, 9.0):
            for label, found in enumerate(venn_abers(logits, positive, case)):
                fit = IsotonicRegression().fit(np.append(logits, case), np.append(positive, label))
                assert found == pytest.approx(fit.predict([case])[0], abs=1e-12)


def test_variables_point_towards_harm():
    specs = {
        "up": MetricSpec("u", "", floor=0.1),
        "down": MetricSpec("d", "", floor=0.1, higher_is_worse=False),
        "both": MetricSpec("b", "", floor=0.1, two_sided=True),
        "none": MetricSpec("n", "", floor=0.1),
    }
    features = {name: Feature(0.3, 0.0, 0.5, 0.0) for name in specs} | {"none": Feature.missing("why")}
    found = variables(features, specs)
    assert [round(found[name], 9) for name in ("up", "down", "both")] == [-2.0, 2.0, 2.0]
    assert found["down:shift"] == pytest.approx(0.2)
    assert (found["up:raw"], found["down:raw"]) == (0.3, -0.3)
    assert np.isnan(found["none"])
