"""A changed candidate measured again on its sample: against what a measurement from the start says of it."""

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from vr.data.source import open_source
from vr.detector.calibration import load_calibration
from vr.detector.inputs import Inputs
from vr.detector.metric import Feature
from vr.detector.registry import DIMENSIONS
from vr.detector.remeasure import Changed, Filled, remeasure
from vr.pipeline import assemble
from vr.pipeline.config import Config
from vr.pipeline.intake import take_in

ROWS = 700
READ = (
    "correlation_preservation",
    "entropy_stability",
    "spectral_coherence",
    "generalization_gap",
    "statistical_consistency",
)


def table(rows, seed, broken=0):
    """Dependent columns; the first `broken` rows are without dependence."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((rows, 3))
    x = np.column_stack([z[:, 0], z[:, 0] + 0.4 * z[:, 1], z[:, 1] + 0.5 * z[:, 2]])
    x[:broken] = np.column_stack([rng.permutation(column) for column in x[:broken].T])
    return pa.table({f"x{j}": x[:, j] for j in range(3)})


def measured(candidate):
    config = Config()
    taken = take_in(open_source(candidate), open_source(table(1_600, 0)), config, 1, lambda *step: None)
    inputs = Inputs.of(taken, None, "none were trained", 0, 1)
    found = {name: DIMENSIONS[name].measure(inputs) for name in READ}
    return inputs, assemble.all_features(found)[0]


@pytest.fixture(scope="module")
def broken():
    return measured(table(ROWS, 1, broken=300))


def read_by_head(situation="untrained"):
    return {variable.split(":")[0] for variable in load_calibration().heads[situation].head.names}


def everything(inputs):
    return np.ones(len(inputs.candidate), bool)


def test_nothing_done_changes_nothing(broken):
    inputs, features = broken
    again = remeasure(inputs, features, "untrained", Changed(inputs.candidate, everything(inputs)), 2)
    assert again.held == ()
    for name in read_by_head():
        assert again.features[name].value == pytest.approx(features[name].value, abs=1e-12), name


def test_rows_taken_out_are_as_if_they_had_never_been_there(broken):
    inputs, features = broken
    kept = inputs.candidate.rows >= 60
    again = remeasure(inputs, features, "untrained", Changed(inputs.candidate, kept), 2).features
    _, anew = measured(table(ROWS, 1, broken=300).slice(60))
    for name in read_by_head():
        spread = np.hypot(features[name].null_std or 0.0, 0.02)
        assert again[name].value == pytest.approx(anew[name].value, abs=4 * spread), name
    assert again["statistical_consistency.classifier_auroc"].value < (
        features["statistical_consistency.classifier_auroc"].value
    )
    # What the head does not read is as it was.
    assert again["entropy_stability.entropy_deficit"] == features["entropy_stability.entropy_deficit"]


def test_real_rows_in_the_mix_bring_every_number_nearer_to_its_null(broken):
    inputs, features = broken
    half = Changed(inputs.candidate, everything(inputs), real_share=0.5)
    again = remeasure(inputs, features, "untrained", half, 1).features
    for name in ("generalization_gap.skill_lost_trees", "statistical_consistency.classifier_auroc"):
        assert again[name].value - features[name].null_mean < 0.8 * (features[name].value - features[name].null_mean)


def test_a_region_that_comes_back_is_as_if_it_had_never_been_missing():
    full = table(ROWS * 2, 1)
    inputs, features = measured(full.filter(pc.less(full["x0"], 0.8)).slice(0, ROWS))
    reference = table(1_600, 0)["x0"].to_numpy()
    inside = np.flatnonzero(reference >= 0.8)
    share = len(inside) / len(reference)
    filled = Changed(inputs.candidate, everything(inputs), filled=(Filled(share, inside),))
    assert filled.added_share == share
    again = remeasure(inputs, features, "untrained", filled, 2).features
    _, anew = measured(table(ROWS, 1))
    for name in read_by_head():
        spread = np.hypot(features[name].null_std or 0.0, 0.02)
        assert again[name].value == pytest.approx(anew[name].value, abs=4 * spread), name
    auroc = "statistical_consistency.classifier_auroc"
    assert again[auroc].value - features[auroc].null_mean < 0.3 * (features[auroc].value - features[auroc].null_mean)


def test_rows_that_a_region_lacks_in_the_reference_are_told(broken):
    inputs, features = broken
    split = inputs.splits[0]
    size = len(split.candidate)
    for there, wanted in ((60, 80), (60, 60), (30, 80)):
        filled = (Filled(wanted / size, split.fresh.rows[:there]),)
        again = remeasure(
            inputs, features, "untrained", Changed(inputs.candidate, everything(inputs), filled=filled), 1
        )
        if there / wanted < 0.5:
            assert again.features is None
            assert "too few rows of the regions" in (again.reason or "")
        else:
            assert again.features is not None
            assert again.region_rows == there / wanted


def test_hardly_any_real_rows_change_hardly_any_skill(broken):
    inputs, features = broken
    name = "generalization_gap.skill_lost_trees"
    few = remeasure(inputs, features, "untrained", Changed(inputs.candidate, everything(inputs), real_share=1e-6), 1)
    assert few.features[name].value == pytest.approx(features[name].value, abs=1e-5)
    all_real = remeasure(
        inputs, features, "untrained", Changed(inputs.candidate, everything(inputs), real_share=1.0), 1
    )
    assert abs(all_real.features[name].value) < 0.1


def test_what_proxies_said_is_held_and_named(broken):
    inputs, features = broken
    said = Feature(0.3, 0.01, 0.0, 0.01)
    with_proxies = {**features, "generalization_gap.log_ratio": said}
    again = remeasure(inputs, with_proxies, "trained", Changed(inputs.candidate, everything(inputs)), 1)
    assert again.held == ("generalization_gap.log_ratio",)
    assert again.features["generalization_gap.log_ratio"] == said


def test_too_few_rows_left_are_said_to_be_too_few(broken):
    inputs, features = broken
    few = everything(inputs)
    few[: len(few) * 3 // 5] = False
    again = remeasure(inputs, features, "untrained", Changed(inputs.candidate, few), 1)
    assert again.features is None
    assert "fewer rows would be left" in (again.reason or "")
    none = remeasure(replace(inputs, splits=()), features, "untrained", Changed(inputs.candidate, few), 1)
    assert none.features is None
