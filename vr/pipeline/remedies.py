"""The recommendations as the report holds them: risks, prices, the front of both, and the mix that would do."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from vr.detector.forecast import COLLAPSED_ABOVE, WORKFLOWS, Forecast, until_collapse
from vr.detector.harm import Harm
from vr.pipeline.advice import Advice
from vr.pipeline.report import (
    CombinedEffect,
    ForecastSection,
    Generations,
    Interval,
    MixSection,
    Plot,
    Recommendation,
    RemediesSection,
    Status,
)
from vr.recommendation.actions import Action, Effect
from vr.recommendation.mix_plan import MixPlan, real_rows_for
from vr.recommendation.vocabulary import to_document

__all__ = ["recommendation_sections", "remedies_section"]

_LEVEL = 0.9


def recommendation_sections(actions: Sequence[Action]) -> list[Recommendation]:
    """Returns the actions in order, each with the risk that was measured of it, or with the reason why none was."""
    return [
        Recommendation(
            priority=index + 1,
            category=action.category,
            title=action.title,
            description=action.description,
            affected_rows=action.affected_rows,
            expected_risk_score=_expected(action.effect),
            basis=action.effect.basis,
            cost=action.cost,
            action=to_document(action.action),
            price=None if action.price is None else _cents(action.price.total),
            on_front=action.on_front,
            expected_skill_loss=_lost(action.effect.harm, action.effect.reason),
            history_shift=round(action.effect.shift, 3),
        )
        for index, action in enumerate(actions)
    ]


def remedies_section(advice: Advice, currency: str, num_rows: int, risk: float | None) -> RemediesSection:
    """Returns what the actions show together.

    Args:
      advice: The actions, and the mix.
      currency: Of their prices.
      num_rows: Of the candidate.
      risk: As it is, 0 to 100.
    """
    front = _front(advice.actions, currency, risk)
    return RemediesSection(
        currency=currency,
        expected_skill_loss=_lost(advice.harm, None),
        together=[
            CombinedEffect(
                priorities=[place + 1 for place in each.places],
                expected_risk_score=_expected(each.effect),
                expected_skill_loss=_lost(each.effect.harm, each.effect.reason),
                basis=each.effect.basis,
            )
            for each in advice.together
        ],
        mix=_mix_section(advice, num_rows),
        forecast=_forecast_section(advice),
        evidence=[] if front is None else [front],
    )


def _expected(effect: Effect) -> Interval:
    value, lower, upper = (None if x is None else round(x, 3) for x in (effect.risk, effect.lower, effect.upper))
    return Interval(value=value, lower=lower, upper=upper, level=_LEVEL, reason=effect.reason)


def _lost(harm: Harm | None, reason: str | None) -> Interval:
    if harm is None:
        reason = reason or "what it is read from could not be measured"
        return Interval(value=None, lower=None, upper=None, level=_LEVEL, reason=reason)
    value, lower, upper = (round(end, 4) for end in (harm.value, harm.lower, harm.upper))
    return Interval(value=value, lower=lower, upper=upper, level=_LEVEL)


def _cents(price: float) -> float:
    """Returns a price to a hundredth, or to two digits where that would be nothing."""
    return round(price, 2) if price >= 0.1 or price == 0.0 else float(f"{price:.2g}")


def _mix_section(advice: Advice, num_rows: int) -> MixSection:
    mix, harm = advice.mix, advice.mix_by_harm
    if mix is None:
        return MixSection(status=Status.not_measured, reason=advice.mix_reason)
    risk = _curve(
        mix,
        "mix-risk",
        "Risk over the share of real rows",
        "The candidate mixed with reference rows that judge nothing meanwhile, at equal numbers of rows, as statistics "
        "alone see it; the verdict is approve below the line.",
        "risk",
    )
    curves = [risk]
    if harm is not None:
        curves.append(
            _curve(
                harm,
                "mix-harm",
                "Skill lost over the share of real rows",
                f"What training on the mix instead of on as many real rows {_told(harm.trained_rows)}; the line is the "
                "middle between healthy and collapsed.",
                "share of skill lost",
            )
        )
    return MixSection(
        status=Status.measured,
        reason=mix.reason,
        share=_share(mix),
        share_by_harm=None if harm is None else _share(harm),
        real_rows=None if mix.share is None else real_rows_for(mix.share, num_rows),
        approve_below=round(mix.threshold, 3),
        evidence=curves,
    )


def _told(trained_rows: int | None) -> str:
    if trained_rows is None:
        return "is expected to lose"
    return (
        f"lost at the targets, where boosted trees were trained on {trained_rows:,} rows of either and judged by other "
        "reference rows"
    )


def _forecast_section(advice: Advice) -> ForecastSection:
    if not advice.chains:
        return ForecastSection(status=Status.not_measured, reason=advice.forecast_reason)
    found = {workflow: until_collapse(advice.chains, workflow) for workflow in WORKFLOWS}
    generations = found[WORKFLOWS[0]].generations
    series = []
    for workflow in WORKFLOWS:
        lost = np.array([chain.lost for chain in advice.chains if chain.workflow == workflow])
        ends = {"lower": lost.min(axis=0).round(4).tolist(), "upper": lost.max(axis=0).round(4).tolist()}
        series.append(_series(workflow, np.arange(generations + 1), np.median(lost, axis=0), **ends))
    limit = [COLLAPSED_ABOVE, COLLAPSED_ABOVE]
    series.append(_series("collapsed above", [0, generations], limit, arm="null"))
    data = {"x_label": "generation", "y_label": "share of skill lost", "x_scale": "linear", "y_scale": "linear"}
    plot = Plot(
        id="forecast",
        kind="lines",
        title="Skill lost over generations",
        caption="Generators of our own, refitted to this candidate and then to their own output: median and range over "
        f"{len({chain.family for chain in advice.chains})} families. Generation 0 is the candidate.",
        data={**data, "series": series},
    )
    return ForecastSection(
        status=Status.measured,
        generations=generations,
        replace=_until(found["replace"]),
        accumulate=_until(found["accumulate"]),
        evidence=[plot],
    )


def _until(found: Forecast) -> Generations:
    return Generations(median=found.value, first=found.lower, last=found.upper)


def _share(mix: MixPlan) -> Interval:
    share, lower, upper = (None if end is None else round(end, 4) for end in (mix.share, mix.lower, mix.upper))
    return Interval(value=share, lower=lower, upper=upper, level=mix.level, reason=mix.reason)


def _curve(mix: MixPlan, id: str, title: str, caption: str, y_label: str) -> Plot:
    series = [
        _series("mix", mix.shares, mix.measured, arm="candidate"),
        _series("enough below", [0.0, 1.0], [mix.threshold, mix.threshold], arm="null"),
    ]
    axes = {"x_label": "share of real rows", "y_label": y_label, "x_scale": "linear", "y_scale": "linear"}
    return Plot(id=id, kind="lines", title=title, caption=caption, data={**axes, "series": series})


def _series(name: str, x: Any, y: Any, **more: Any) -> dict[str, Any]:
    return {"name": name, "x": [round(float(v), 4) for v in x], "y": [round(float(v), 4) for v in y], **more}


def _front(actions: Sequence[Action], currency: str, risk: float | None) -> Plot | None:
    """Returns risk over price of what was measured, None of nothing."""
    points = [(each, each.price.total, each.effect) for each in actions if each.price and each.effect.risk is not None]
    if not points or risk is None:
        return None
    series = [_series("as it is", [0.0], [risk], arm="reference")]
    for word, on in (("on the front", True), ("beaten by another", False)):
        found = [(price, effect) for each, price, effect in points if bool(each.on_front) is on]
        if found:
            ends = {
                "lower": [round(effect.lower or 0.0, 3) for _, effect in found],
                "upper": [round(100.0 if effect.upper is None else effect.upper, 3) for _, effect in found],
            }
            mark = {"mark": "interval"} | ({"arm": "candidate"} if on else {})
            series.append(_series(word, [p for p, _ in found], [e.risk for _, e in found], **ends, **mark))
    return Plot(
        id="risk-and-price",
        kind="points",
        title="What each action buys and costs",
        caption="Risk after each action by itself over its price; nothing is both cheaper and safer than what lies on "
        "the front. Prices are those of the run's price table.",
        data={
            "x_label": f"price, {currency}",
            "y_label": "risk afterwards",
            "x_scale": "linear",
            "y_scale": "linear",
            "series": series,
        },
    )
