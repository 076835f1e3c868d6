"""The smallest share of real rows whose risk is approved, from risks measured at some shares."""

import numpy as np
import pytest
from scipy.special import expit, logit

from vr.recommendation.mix_plan import plan_by_harm, plan_by_risk, real_rows_for

SHARES = np.linspace(0.0, 0.9, 10)
THRESHOLD = 20.0


def risks(crossing, slope=8.0):
    """Risks that cross the threshold at a share: a straight line of logits."""
    return 100.0 * expit(logit(THRESHOLD / 100.0) - slope * (SHARES - crossing))


@pytest.mark.parametrize("crossing", [0.0, 0.137, 0.4, 0.85])
def test_share_is_where_a_straight_line_of_logits_crosses(crossing):
    assert plan_by_risk(SHARES, risks(crossing + 1e-9), THRESHOLD).share == pytest.approx(crossing, abs=1e-6)


def test_harm_is_taken_as_it_is():
    lost = 0.4 - 0.5 * SHARES
    plan = plan_by_harm(SHARES, lost, 0.1, error=(-0.2, 0.1))
    assert plan.share == pytest.approx(0.6)
    assert plan.measured == pytest.approx(lost)
    assert (plan.lower, plan.upper) == pytest.approx((0.4, 0.7))
    assert plan_by_harm(SHARES, lost - 0.35, 0.1).share == 0.0
    assert "55% of the skill" in plan_by_harm(SHARES, lost + 0.6, 0.1).reason


def test_no_share_is_needed_where_the_candidate_is_approved_as_it_is():
    plan = plan_by_risk(SHARES, risks(-0.2), THRESHOLD, error=(-0.3, 0.2))
    assert (plan.share, plan.lower, plan.upper) == (0.0, 0.0, 0.2)


def test_no_share_is_given_where_none_that_was_measured_is_enough():
    plan = plan_by_risk(SHARES, risks(1.5), THRESHOLD, error=(-0.1, 0.1))
    assert (plan.share, plan.lower, plan.upper) == (None, None, None)
    assert "90%" in plan.reason
    assert "20" in plan.reason


def test_a_rise_is_the_luck_of_the_draw():
    bumpy = risks(0.4)
    bumpy[2], bumpy[3] = bumpy[3], bumpy[2]
    plan = plan_by_risk(SHARES, bumpy, THRESHOLD)
    assert (np.diff(plan.measured) <= 1e-9).all()
    assert plan.share == pytest.approx(0.4, abs=0.02)


def test_an_interval_that_reaches_all_real_rows_has_no_upper_end():
    plan = plan_by_risk(SHARES, risks(0.8), THRESHOLD, error=(-0.1, 0.25))
    assert plan.share == pytest.approx(0.8, abs=1e-6)
    assert plan.lower == pytest.approx(0.7, abs=1e-6)
    assert plan.upper is None


def test_the_share_lies_within_its_interval_where_plans_err_to_one_side():
    plan = plan_by_risk(SHARES, risks(0.5), THRESHOLD, error=(-0.3, -0.1))
    assert plan.upper == plan.share
    assert plan.lower == pytest.approx(0.2, abs=1e-6)


def test_real_rows_make_the_share():
    rows = real_rows_for(0.3, 700)
    assert rows == 300
    assert real_rows_for(0.0, 700) == 0
    assert rows / (rows + 700) == pytest.approx(0.3)


def test_shares_must_ascend():
    with pytest.raises(ValueError, match="ascend"):
        plan_by_risk(np.array([0.0, 0.5, 0.4]), np.zeros(3), THRESHOLD)
    with pytest.raises(ValueError, match="as many values"):
        plan_by_risk(SHARES, np.zeros(3), THRESHOLD)
