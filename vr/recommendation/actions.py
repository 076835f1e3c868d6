"""Recommended actions with what they buy and cost, and the order in which that puts them."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vr.detector.harm import Harm
from vr.recommendation.config import PricesConfig
from vr.recommendation.hindsight import NO_GAIN
from vr.recommendation.prices import Price, on_front, price_of
from vr.recommendation.vocabulary import Executable, GiveReference

__all__ = ["Action", "Effect", "lowers", "with_effects", "with_prices"]


@dataclass(frozen=True)
class Effect:
    """The risk, 0 to 100, that was measured of the sample with an action done to it.

    Attributes:
      risk: The risk, None where it could not be measured.
      lower: Lower end of its interval, None with it.
      upper: Upper end.
      reason: Why it could not be measured.
      basis: How it was measured.
      harm: To expect of training on the candidate with the action done; None where it is not known.
      shift: Points of `risk` that history moved it by, see `vr.recommendation.correction`.
    """

    risk: float | None
    lower: float | None = None
    upper: float | None = None
    reason: str | None = None
    basis: str = ""
    harm: Harm | None = None
    shift: float = 0.0


@dataclass(frozen=True)
class Action:
    """One recommendation; `action` is what an executor does, `cost` what it takes, `effect` what it buys.

    `on_front` says whether no other action, nor doing nothing, has a risk and a price as low; None of one whose effect
    was not measured.
    """

    category: str
    title: str
    description: str
    affected_rows: int
    action: Executable
    cost: dict[str, Any] = field(default_factory=dict)
    effect: Effect = Effect(None, reason="not among the actions that are measured (recommendation.measured)")
    price: Price | None = None
    on_front: bool | None = None


def with_effects(actions: Sequence[Action], effects: Sequence[Effect], risk: float | None) -> list[Action]:
    """Returns the actions with their measured effects, the greatest first, then those that were not measured.

    Effects are compared by the risk that they take away, in whole points, since less is luck; equal ones by the skill
    expected to be lost afterwards, and then by the rows that they touch. What was measured to lower the risk by less
    than half a point says so.

    Args:
      actions: In the order that those keep whose effects are equal or unknown.
      effects: Of the first ones.
      risk: As it is, 0 to 100; None where it is not known, and the order stays as it is.
    """
    told = [replace(action, effect=effect) for action, effect in zip(actions, effects, strict=False)]
    told += actions[len(effects) :]
    if risk is None:
        return told
    measured = [
        replace(action, description=f"{action.description} By itself it does not lower the risk.")
        if _points(action.effect, risk) <= 0
        else action
        for action in told
        if action.effect.risk is not None
    ]
    unknown = [action for action in told if action.effect.risk is None]
    return sorted(measured, key=lambda action: _usefulness(action, risk)) + unknown


def lowers(effect: Effect, risk: float | None) -> bool:
    """Returns whether an effect was measured to take half a point of risk or more away."""
    return risk is not None and effect.risk is not None and _points(effect, risk) > 0


def _points(effect: Effect, risk: float) -> int:
    """Returns the whole points of risk that an effect takes away, half a point counting as one."""
    assert effect.risk is not None
    return math.floor(risk - effect.risk + NO_GAIN)


def _usefulness(action: Action, risk: float) -> tuple[float, float, int]:
    harm = action.effect.harm
    return -_points(action.effect, risk), math.inf if harm is None else round(harm.value, 3), action.affected_rows


def with_prices(
    actions: Sequence[Action], prices: PricesConfig, *, num_rows: int, num_columns: int, risk: float | None
) -> list[Action]:
    """Returns the actions with their prices, and which of those whose effect was measured are on the front.

    Args:
      actions: With their effects.
      prices: The price table.
      num_rows: Of the candidate.
      num_columns: Likewise.
      risk: As it is, 0 to 100: what doing nothing buys, for nothing; None where it is not known.
    """
    priced = []
    for each in actions:
        if isinstance(each.action, GiveReference):
            priced.append(each)
            continue
        added = each.cost.get("real_rows", 0)
        removed = each.cost.get("rows_removed", 0)
        price = price_of(prices, num_rows=num_rows, num_columns=num_columns, added=added, removed=removed)
        priced.append(replace(each, price=price))
    placed = [i for i, each in enumerate(priced) if each.price is not None and each.effect.risk is not None]
    nothing = [] if risk is None else [(0.0, risk)]
    points = [(priced[i].price.total, priced[i].effect.risk) for i in placed] + nothing
    if points:
        front = on_front(*zip(*points, strict=True))
        for i, best in zip(placed, front, strict=False):
            priced[i] = replace(priced[i], on_front=bool(best))
    return priced
