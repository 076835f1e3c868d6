"""Mixes of a candidate with real rows, judged without proxies."""

import numpy as np
import pyarrow as pa
import pytest

from vr.data.source import open_source
from vr.detector.config import DetectorConfig
from vr.detector.inputs import Inputs
from vr.detector.mixes import harm_of_mixes, judge_mixes, measure_mixes
from vr.detector.registry import DIMENSIONS
from vr.pipeline import assemble
from vr.pipeline.config import Config
from vr.pipeline.intake import take_in

SHARES = (0.3, 0.8)


def table(rows, seed, broken=False):
    """Dependent columns, or each by itself."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((rows, 3))
    x = np.column_stack([z[:, 0], z[:, 0] + 0.3 * z[:, 1], z[:, 1] + 0.3 * z[:, 2]])
    if broken:
        x = np.column_stack([rng.permutation(column) for column in x.T])
    return pa.table({f"x{j}": x[:, j] for j in range(3)})


def mixed(candidate, shares=SHARES, draws=2):
    taken = take_in(open_source(candidate), open_source(table(900, 0)), Config(), 1, lambda *step: None)
    inputs = Inputs.of(taken, None, "none were trained", 0, 1)
    features, specs = assemble.all_features({name: each.measure(inputs) for name, each in DIMENSIONS.items()})
    done = []
    return measure_mixes(inputs, features, specs, shares, draws, done.append), specs, done


@pytest.fixture(scope="module")
def broken():
    return mixed(table(400, 1, broken=True))


def test_risk_falls_as_real_rows_come_in(broken):
    mixes, specs, done = broken
    risks = judge_mixes(mixes, specs, DetectorConfig())
    assert done == [1, 2]
    assert risks.shares.tolist() == [0.0, 0.3, 0.8]
    assert risks.risk[0] > 90.0
    assert risks.risk[2] < risks.risk[1] < risks.risk[0]
    harm = harm_of_mixes(mixes, specs)
    assert harm.shape == (3,)
    assert harm[0] > 0.5
    assert harm[2] < 0.3 * harm[0]


def test_draws_take_other_rows(broken):
    mixes, specs, _ = broken
    first, second = (each["generalization_gap.skill_lost_trees"].value for each in mixes.features[1])
    assert first != second
    first, second = (each["entropy_stability.coverage_deficit"].value for each in mixes.features[1])
    assert first != second


def test_thresholds_of_the_user_are_the_plan_s(broken):
    mixes, specs, _ = broken
    assert judge_mixes(mixes, specs, DetectorConfig(review_threshold=55.0)).review_from == 55.0


def test_too_few_rows_give_a_reason():
    mixes, specs, _ = mixed(table(400, 1, broken=True).slice(0, 30), (0.5,))
    assert mixes.reason is not None or np.isfinite(judge_mixes(mixes, specs, DetectorConfig()).risk).all()
