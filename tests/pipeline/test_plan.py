"""What a run says of real rows, prices and generations when it is asked to plan."""

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import vr
from vr.pipeline import advice
from vr.pipeline.report import Status
from vr.recommendation.actions import Action, Effect
from vr.recommendation.vocabulary import DropRows, Reweight

MEASURED = Path(__file__).parents[2] / "benchmarks" / "results" / "mix_planner.json"

PLAN = ["cascade=none", "plan=full", "prices=clinical", "recommendation.mix_draws=2", "recommendation.mix_steps=9"]


def table(rows, seed, broken=0):
    """Dependent columns; the first `broken` rows are without dependence."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((rows, 3))
    x = np.column_stack([z[:, 0], z[:, 0] + 0.3 * z[:, 1], z[:, 1] + 0.3 * z[:, 2]])
    x[:broken] = np.column_stack([rng.permutation(column) for column in x[:broken].T])
    return pa.table({f"x{j}": x[:, j] for j in range(3)})


@pytest.fixture(scope="module")
def planned():
    short = [*PLAN, "recommendation.forecast_generations=2"]
    return vr.validate(table(300, 1, broken=60), reference=table(700, 0), overrides=short)


def test_a_mix_that_would_be_approved_is_found_and_recommended(planned):
    mix = planned.remedies.mix
    assert planned.verdict.value != "approve"
    assert mix.status is Status.measured
    assert 0.0 < mix.share.value < 1.0
    assert mix.share.lower <= mix.share.value
    assert mix.real_rows / (mix.real_rows + 300) == pytest.approx(mix.share.value, abs=0.01)
    (real,) = [item for item in planned.recommendations if item.category == "add_real_rows"]
    assert real.action["rows"] == mix.real_rows
    # A mix of the planned share is judged near the threshold that it was planned for.
    assert real.expected_risk_score.value < 0.5 * planned.risk_score


def test_errors_of_the_planner_are_those_that_were_measured():
    errors = json.loads(MEASURED.read_text())["errors"]
    assert list(advice._MIX_ERROR) == errors["by_risk"]
    assert list(advice._MIX_ERROR_BY_HARM) == errors["by_harm"]
    assert list(advice._MIX_ERROR_FOR_TARGETS) == errors["by_risk_of_targets"]
    assert list(advice._MIX_ERROR_BY_HARM_FOR_TARGETS) == errors["by_harm_of_targets"]
    assert list(advice._MIX_ERROR_BY_TREES) == errors["by_trees_of_targets"]


def test_skill_is_expected_to_come_back_with_real_rows(planned):
    (real,) = [item for item in planned.recommendations if item.category == "add_real_rows"]
    before = planned.remedies.expected_skill_loss.value
    assert before > 0.1
    assert real.expected_skill_loss.value < before
    assert planned.remedies.mix.share_by_harm.value is not None


def test_real_rows_cost_what_the_table_says(planned):
    (real,) = [item for item in planned.recommendations if item.category == "add_real_rows"]
    assert planned.remedies.currency == "USD"
    assert real.price == pytest.approx(500.0 * real.action["rows"], rel=1e-3)
    drop = next(item for item in planned.recommendations if item.category == "drop_rows")
    assert drop.price < 1.0
    # Rows that were broken go for nothing, and with them the risk: real rows at 500 each are beaten.
    assert (drop.on_front, real.on_front) == (True, False)


def test_generations_until_collapse_are_told(planned):
    forecast = planned.remedies.forecast
    assert forecast.status is Status.measured
    assert forecast.generations == 2
    assert forecast.replace.first in (0.0, 1.0)
    assert forecast.replace.median >= forecast.replace.first


def test_nothing_is_planned_unless_asked():
    report = vr.validate(table(120, 1), reference=table(200, 0), overrides=["cascade=none"])
    assert report.remedies.mix.status is Status.not_measured
    assert "plan=mix" in report.remedies.mix.reason
    assert report.remedies.forecast.status is Status.not_measured
    assert report.remedies.expected_skill_loss is not None


def test_weights_are_recommended_only_where_they_were_measured_to_help():
    drop, weigh = (Action("", "", "", 0, each) for each in (DropRows(0.8), Reweight((), 4.0)))
    better, same = Effect(30.0), Effect(59.6)
    assert advice._worth([weigh, drop], [better, same], 60.0) == ([weigh, drop], [better, same])
    assert advice._worth([weigh, drop], [same, better], 60.0) == ([drop], [better])
    assert advice._worth([weigh, drop], [Effect(None, reason="too few"), better], 60.0) == ([drop], [better])
    assert advice._worth([drop, weigh], [], 60.0) == ([drop], [])
    assert advice._worth([weigh], [better], None) == ([], [])
