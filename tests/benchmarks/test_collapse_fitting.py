"""Fitting of a calibrated head: scaling, thresholds, and that neither is read off cases the head was fitted to."""

import json

import numpy as np
import pytest
from scipy.special import expit
from sklearn.linear_model import LogisticRegression

from benchmarks.collapse.fitting import fit_calibrated, fit_platt, risk_thresholds
from benchmarks.collapse.protocol import Cases
from vr.detector.calibration import Calibrated


def cases(n=600, seed=0):
    rng = np.random.default_rng(seed)
    harm = np.clip(rng.normal(0.1, 0.15, n), -0.05, None)
    features = {
        "signal": np.exp(4 * harm + rng.normal(0, 0.15, n)),
        "weak": harm + rng.normal(0, 0.5, n),
        "noise": rng.normal(size=n),
    }
    names = np.array([f"c{i}" for i in range(n)])
    datasets, sources = (np.array([f"{kind}{i % count}" for i in range(n)]) for kind, count in (("d", 12), ("s", 7)))
    return Cases(names, datasets, sources, harm, features)


def test_platt_scaling_is_logistic_regression():
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 3, 4_000)
    positive = rng.random(4_000) < expit(0.6 * logits - 0.5)
    theirs = LogisticRegression(C=1e9).fit(logits[:, None], positive)
    assert fit_platt(logits, positive) == pytest.approx((theirs.coef_[0, 0], theirs.intercept_[0]), abs=0.01)


def test_thresholds_keep_both_risks_under_their_level_on_new_cases():
    rng = np.random.default_rng(0)
    errors = []
    for _ in range(300):
        positive = rng.random(400) < 0.5
        probability = expit(rng.normal(np.where(positive, 1.5, -1.5), 1.0))
        low, high = risk_thresholds(probability[:200], positive[:200], 0.05, 0.05)
        new, truth = probability[200:], positive[200:]
        errors.append([np.mean(new[truth] < low), np.mean(new[~truth] >= high)])
    misses, alarms = np.mean(errors, axis=0)
    # The guarantee is on the average; far below the level the thresholds would be needlessly timid.
    assert 0.02 < misses < 0.055
    assert 0.02 < alarms < 0.055


def test_where_cases_are_apart_nothing_is_left_to_review():
    probability = np.r_[np.linspace(0.0, 0.3, 100), np.linspace(0.8, 1.0, 100)]
    assert risk_thresholds(probability, np.arange(200) >= 100) == (0.5, 0.5)


def test_ties_at_the_threshold_do_not_break_the_bound():
    # A fifth of the healthy cases share the value up to which two of a hundred may be rejected.
    probability = np.r_[np.linspace(0.0, 0.5, 80), np.full(20, 0.9), np.linspace(0.9, 1.0, 100)]
    positive = np.arange(200) >= 100
    _, high = risk_thresholds(probability, positive)
    assert np.mean(probability[~positive] >= high) <= 0.02


def test_too_few_cases_approve_and_reject_nothing():
    low, high = risk_thresholds(np.r_[np.zeros(10), np.ones(10)], np.arange(20) >= 10)
    assert (low, high) == (0.0, 1.0)


def test_a_calibrated_head_tells_new_cases_apart_and_survives_json():
    fitted = fit_calibrated(cases(), ["signal", "weak", "noise"])
    new = cases(seed=1)
    p = fitted.probability(new.features)
    assert np.mean((p >= 0.5) == new.positive) > 0.85
    # Calibrated: where it says 0.3 about 0.3 have collapsed.
    for low, high in ((0.0, 0.25), (0.25, 0.75), (0.75, 1.0)):
        inside = (p >= low) & (p <= high)
        assert np.mean(new.positive[inside]) == pytest.approx(p[inside].mean(), abs=0.15)
    again = Calibrated.from_dict(json.loads(json.dumps(fitted.to_dict())))
    np.testing.assert_allclose(again.probability(new.features), p, atol=1e-5)
    assert again.approve_below == pytest.approx(fitted.approve_below, abs=1e-6)


def test_scaling_is_not_fitted_to_what_the_head_has_seen():
    # Features of pure noise, many of them: a head fitted to these cases looks right on them. By itself it is not, and
    # out of its datasets its logits must carry next to no weight.
    rng = np.random.default_rng(3)
    noise = cases(120)
    features = {f"f{i}": rng.normal(size=120) for i in range(40)}
    fitted = fit_calibrated(Cases(noise.ids, noise.datasets, noise.sources, noise.harm, features), list(features), 0.01)
    assert fitted.slope * fitted.head.logit(features).std() < 0.5


def test_ranges_name_what_lies_outside():
    fitted = fit_calibrated(cases(), ["signal", "noise"])
    assert fitted.beyond({"signal": 1.0, "noise": 0.0}) == []
    assert fitted.beyond({"signal": 1e9, "noise": np.nan}) == ["signal"]
