"""What actions cost, and which of them nothing beats."""

import numpy as np
import pytest

from vr.core.errors import ConfigError
from vr.recommendation.actions import Action, Effect, with_effects, with_prices
from vr.recommendation.config import PricesConfig
from vr.recommendation.mix_plan import plan_by_harm, plan_by_risk
from vr.recommendation.prices import on_front, price_of
from vr.recommendation.proposals import recommend
from vr.recommendation.vocabulary import AddRealRows, DropRows, GiveReference

TABLE = PricesConfig("EUR", real_row=2.0, made_row=0.5, core_hour=36.0, cells_per_core_second=1_000.0)


def test_price_is_that_of_rows_and_passes():
    found = price_of(TABLE, num_rows=900, num_columns=10, added=100, removed=40)
    # Three passes over 1,000 rows of 10 cells at 1,000 a second and a cent a second.
    assert found.core_seconds == 30.0
    assert (found.real_rows, found.made_rows, found.compute) == (200.0, 20.0, pytest.approx(0.3))
    assert found.total == pytest.approx(220.3)


@pytest.mark.parametrize(
    ("prices", "risks", "front"),
    [
        ([0.0, 1.0, 2.0], [90.0, 50.0, 10.0], [True, True, True]),
        ([0.0, 1.0, 2.0], [50.0, 60.0, 10.0], [True, False, True]),
        # Of equal risks the cheaper, of equal prices the safer, and of equals both.
        ([1.0, 2.0, 1.0], [30.0, 30.0, 40.0], [True, False, False]),
        ([1.0, 1.0], [30.0, 30.0], [True, True]),
    ],
)
def test_front_is_what_nothing_beats(prices, risks, front):
    assert on_front(prices, risks).tolist() == front


def test_front_of_many_is_as_by_pairs():
    rng = np.random.default_rng(0)
    points = rng.integers(0, 6, (40, 2)).astype(float)
    slow = [not any((q <= p).all() and (q < p).any() for q in points) for p in points]
    assert on_front(*points.T).tolist() == slow


def test_doing_nothing_is_on_the_front_s_other_side():
    drop = Action("drop_rows", "", "", 10, DropRows(0.8), {"rows_removed": 10})
    mix = Action("add_real_rows", "", "", 100, AddRealRows(100), {"real_rows": 100})
    ask = Action("add_reference", "", "", 0, GiveReference(), {"real_rows": 500})
    given = with_effects([drop, mix, ask], [Effect(89.9), Effect(20.0)], risk=90.0)
    priced = {each.category: each for each in with_prices(given, TABLE, num_rows=100, num_columns=2, risk=89.0)}
    assert priced["add_real_rows"].on_front is True
    assert priced["drop_rows"].on_front is False  # as it is: less risk, for nothing
    assert priced["add_reference"].on_front is None
    assert priced["add_reference"].price is None
    assert priced["add_real_rows"].price.real_rows == 200.0


def test_real_rows_are_those_of_the_plan():
    shares = np.array([0.0, 0.3, 0.6, 0.9])
    risks = np.array([95.0, 60.0, 10.0, 1.0])
    plan = plan_by_risk(shares, risks, 20.0)
    facts = {
        "num_rows": 1_000,
        "columns": ["a"],
        "num_repeated": 0,
        "duplicate_excess": 0.0,
        "num_suspicious": 0,
        "missing_mass": None,
        "reference_rows": 500,
    }
    (found,) = recommend(verdict="reject", mix=plan, **facts)
    rows = found.action.rows
    assert rows / (rows + 1_000) == pytest.approx(plan.share, abs=1e-3)
    assert f"{rows:,}" in found.title
    harm = np.array([0.4, 0.1, 0.05, 0.0])
    (with_harm,) = recommend(verdict="reject", mix=plan, mix_by_harm=plan_by_harm(shares, harm, 0.15), **facts)
    assert with_harm.action.rows == rows
    assert "expected to lose 25% may do" in with_harm.description
    # No share that is expected to be enough, or one beyond what the verdict asks for, is no news.
    (without,) = recommend(verdict="reject", mix=plan, mix_by_harm=plan_by_harm(shares, harm + 1.0, 0.15), **facts)
    assert without == found
    (never,) = recommend(verdict="reject", mix=plan_by_risk(shares, risks + 4.0, 2.0), **facts)
    assert never.action.rows == 1_000
    assert "No share that was measured is enough" in never.description


@pytest.mark.parametrize(
    ("changes", "text"),
    [({"real_row": -1.0}, "prices.real_row"), ({"cells_per_core_second": 0.0}, "cells_per_core_second")],
)
def test_prices_out_of_range_are_refused(changes, text):
    with pytest.raises(ConfigError, match=text):
        PricesConfig(**changes)
