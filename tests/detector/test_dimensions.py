"""One contract for all eight dimensions: each tells a fresh sample from a broken one, or says why it cannot."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from vr.cascade.config import preset
from vr.cascade.result import Reading
from vr.cascade.train import run_cascade
from vr.data.source import open_source
from vr.detector.calibration import load_calibration
from vr.detector.config import DIMENSIONS as NAMES
from vr.detector.dimensions import generalization_gap
from vr.detector.inputs import Inputs
from vr.detector.ladder import distance
from vr.detector.registry import DIMENSIONS
from vr.detector.verdict import judge
from vr.pipeline import assemble
from vr.pipeline.config import Config
from vr.pipeline.intake import take_in
from vr.stats.skill import prepare_skill_test

# Light by design: no study found that either predicts data quality. Five proxies see a difference, not a failure.
WEAK = ("gradient_health", "loss_landscape")


def table(rows, seed, *, broken=False):
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((rows, 3))
    x = np.column_stack([z[:, 0], z[:, 0] + 0.4 * z[:, 1], z[:, 1] + 0.5 * z[:, 2], np.exp(z[:, 2])])
    group = np.searchsorted([-1.5, 0.0, 1.2], x[:, 0])
    if broken:
        # Fewer distinct rows, narrower, without dependence or tails: every dimension has something to see.
        x = np.clip(0.5 * np.column_stack([rng.permutation(column) for column in x.T]), -0.6, 0.6)
        group = np.where(group == 3, 1, rng.permutation(group))
        keep = rng.integers(0, rows // 4, rows)
        x, group = x[keep], group[keep]
    return pa.table({**{f"x{j}": x[:, j] for j in range(4)}, "group": np.array(["a", "b", "c", "d"])[group]})


def inputs_of(candidate, reference):
    config = Config()
    taken = take_in(open_source(candidate), reference and open_source(reference), config, 1, lambda *step: None)
    cascade = None
    if reference is not None:
        cascade = run_cascade(
            taken.reference.codes, taken.candidate.codes, taken.columns.num_codes.tolist(), preset("smoke"), 0
        )
    return Inputs.of(taken, cascade, None if cascade else "no cascade was trained", 0, 1)


@pytest.fixture(scope="module")
def fresh_inputs():
    return inputs_of(table(1_200, 1), table(2_400, 0))


@pytest.fixture(scope="module")
def measured(fresh_inputs):
    inputs = {"fresh": fresh_inputs, "broken": inputs_of(table(1_200, 2, broken=True), table(2_400, 0))}
    return {name: {key: d.measure(each) for key, d in DIMENSIONS.items()} for name, each in inputs.items()}


def score_of(found, name):
    away = distance(found.features, DIMENSIONS[name].metrics)
    assert away is not None
    return load_calibration().ladders["trained"][name].score(away)


def score(measured, case, name):
    return score_of(measured[case][name], name)


def test_the_registry_holds_the_eight_in_order():
    assert tuple(DIMENSIONS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_fresh_sample_passes_and_a_broken_one_scores_lower(measured, name):
    fresh, broken = score(measured, "fresh", name), score(measured, "broken", name)
    threshold = load_calibration().ladders["trained"][name].threshold
    assert fresh >= threshold
    if name not in WEAK:
        assert broken < min(threshold, fresh - 5)


@pytest.mark.parametrize(
    ("name", "metric", "reading"),
    [
        ("gradient_health", "noise_change", "gradient_noise_change"),
        ("gradient_health", "norm_range_change", "gradient_range_change"),
        ("loss_landscape", "curvature_change", "curvature_change"),
    ],
)
def test_the_weak_dimensions_score_what_the_proxies_read(fresh_inputs, name, metric, reading):
    inputs = fresh_inputs
    assert inputs.cascade is not None
    scores = []
    for value in (0.0, 5.0):
        readings = inputs.cascade.readings | {reading: Reading(value, 0.1, 0.0, 0.1)}
        found = DIMENSIONS[name].measure(replace(inputs, cascade=replace(inputs.cascade, readings=readings)))
        assert found.features[metric].value == value
        scores.append(score_of(found, name))
    assert scores[1] < scores[0] - 20


@pytest.mark.parametrize("name", NAMES)
def test_metrics_are_declared_finite_and_explained(measured, name):
    for found in measured.values():
        assert set(found[name].features) <= set(DIMENSIONS[name].metrics)
        assert found[name].charts
        for feature in found[name].features.values():
            numbers = [feature.value, feature.null_mean, feature.null_std]
            assert all(number is None or np.isfinite(number) for number in numbers)
            assert feature.value is not None or feature.reason


def test_the_verdict_approves_the_fresh_and_rejects_the_broken(measured):
    verdicts = {}
    for case, found in measured.items():
        features, specs = assemble.all_features(found)
        judgement = judge(features, specs, Config().detector, with_reference=True)
        assert 0 <= judgement.lower <= judgement.probability <= judgement.upper <= 1
        verdicts[case] = judgement.verdict
    assert verdicts == {"fresh": "approve", "broken": "reject"}


def test_a_second_candidate_finds_the_nulls_measured():
    reference, nulls = table(800, 0), {}
    config = Config()
    features = []
    for memo in (nulls, nulls, None):
        taken = take_in(open_source(table(300, 1)), open_source(reference), config, 1, lambda *step: None)
        inputs = Inputs.of(taken, None, "none", 0, 1, memo)
        features.append(DIMENSIONS["entropy_stability"].measure(inputs).features)
    assert features[0] == features[1] == features[2]
    assert sorted(name for name, *_ in nulls) == ["entropies"] + 8 * ["entropy"]


def test_trees_tell_what_is_lost_without_proxies_and_real_rows_are_fitted_once(monkeypatch):
    prepared = []

    def prepare(*args, **settings):
        prepared.append(args)
        return prepare_skill_test(*args, **settings)

    monkeypatch.setattr(generalization_gap, "prepare_skill_test", prepare)
    shares, nulls = [], {}
    for candidate in (table(300, 1), table(300, 2, broken=True)):
        taken = take_in(open_source(candidate), open_source(table(800, 0)), Config(), 1, lambda *step: None)
        found = generalization_gap.measure(Inputs.of(taken, None, "no proxies", 0, 1, nulls))
        shares.append(found.features["skill_lost_trees"].value)
        assert found.features["log_ratio"].reason == "no proxies"
        assert [chart.id for chart in found.charts] == ["skill-lost"]
    assert abs(shares[0]) < 0.15
    assert shares[1] > 0.5
    assert len(prepared) == 1


def test_without_a_reference_what_needs_one_says_so_and_nothing_is_approved():
    inputs = inputs_of(table(400, 0), None)
    found = {name: d.measure(inputs) for name, d in DIMENSIONS.items()}
    sections = assemble.dimension_sections(found, Config().detector, "untrained")
    assert all(section.status == "not_measured" and section.reason for section in sections.values())
    assert sections["statistical_consistency"].metrics["drift_along_file"].value is not None
    assert sections["entropy_stability"].metrics["duplicates_in_file"].value == 0.0
    features, specs = assemble.all_features(found)
    assert judge(features, specs, Config().detector, with_reference=False).verdict == "review"


def test_without_a_cascade_all_but_the_proxies_metrics_are_measured(fresh_inputs):
    alone = replace(fresh_inputs, cascade=None, cascade_reason="none was trained")
    for name, dimension in DIMENSIONS.items():
        found, with_cascade = dimension.measure(alone), dimension.measure(fresh_inputs)
        # What is lost at the targets is measured where some are named.
        assert dimension.metrics.keys() - with_cascade.features.keys() <= {
            "skill_lost_targets",
            "skill_lost_worst_target",
        }
        for metric, feature in with_cascade.features.items():
            measured = metric in found.features and found.features[metric].value is not None
            expected = feature.value is not None and not dimension.metrics[metric].proxies
            assert measured == expected, f"{name}.{metric}"
