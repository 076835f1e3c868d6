"""What to do about a candidate, and what each action would do to its risk: done to the sample, and measured again."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from vr.data.schema import ColumnKind
from vr.data.source import Source
from vr.detector.dimensions.generalization_gap import skill_test
from vr.detector.forecast import Chain, forecast
from vr.detector.harm import Harm, expected_harm
from vr.detector.inputs import Inputs
from vr.detector.metric import Feature, MetricSpec
from vr.detector.mixes import harm_of_mixes, judge_mixes, measure_mixes
from vr.detector.remeasure import Changed, remeasure
from vr.detector.verdict import Judgement, judge
from vr.localization.localize import Localized
from vr.pipeline.config import Config
from vr.pipeline.intake import Intake
from vr.pipeline.numbers import beyond_of, unit_errors_of
from vr.pipeline.preview import gaps_of, preview, strata_of
from vr.recommendation.actions import Action, Effect, lowers, with_effects, with_prices
from vr.recommendation.correction import Correction, corrected
from vr.recommendation.mix_plan import MixPlan, plan_by_harm, plan_by_risk
from vr.recommendation.proposals import recommend
from vr.recommendation.vocabulary import NEED_REAL_ROWS, FillRegions, Repair, Reweight

__all__ = ["Advice", "Together", "advise", "num_shares"]

# Of actions whose rows were chosen by the reference rows that tell what they gain.
_FOUND_ON = {
    FillRegions.kind: "the regions were found on the same reference rows, so that the gain may be less on others",
    Reweight.kind: "the strata were found on the same reference rows, and weights that did not lower the risk on them "
    "are left out, so that the gain may be less on others",
}
# 5 % and 95 % quantile of the share of real rows that training found less the planned one, on datasets and generators
# that the head had not seen: `errors` of benchmarks/results/mix_planner.json.
_MIX_ERROR = (-0.6182, 0.0746)
_MIX_ERROR_BY_HARM = (-0.5289, 0.2073)
_MIX_ERROR_FOR_TARGETS = (-0.4913, 0.1384)
_MIX_ERROR_BY_HARM_FOR_TARGETS = (-0.4215, 0.2048)
_MIX_ERROR_BY_TREES = (-0.185, 0.1614)
# The middle between the harm of a healthy dataset and that of a collapsed one.
_HARMLESS = 0.1


@dataclass(frozen=True)
class Together:
    """Several actions done at once, as `vr fix` does them.

    Attributes:
      places: Which of the actions, from 0.
      effect: Of all of them; history does not move it.
    """

    places: tuple[int, ...]
    effect: Effect


@dataclass(frozen=True)
class Advice:
    """What to do.

    Attributes:
      actions: Most useful first.
      together: What the first two, three, ... of them do, and what those of these do that need no real rows.
      mix: The share of real rows at which the verdict becomes `approve`; None where it was not sought.
      mix_reason: Why not.
      mix_by_harm: The share at which the harm is under a tenth of the skill: found by training where targets are named
        and real rows teach them, expected otherwise; None where that is not known.
      harm: To expect of training on the candidate as it is; None where it is not known.
      chains: Of our own generators refitted to the candidate; none where no forecast was asked for.
      forecast_reason: Why there are none.
    """

    actions: list[Action]
    together: list[Together]
    mix: MixPlan | None
    mix_reason: str | None
    mix_by_harm: MixPlan | None
    harm: Harm | None
    chains: list[Chain]
    forecast_reason: str | None


def advise(
    candidate: Source,
    intake: Intake,
    inputs: Inputs,
    config: Config,
    judgement: Judgement,
    features: Mapping[str, Feature],
    specs: Mapping[str, MetricSpec],
    found: Localized,
    duplicate_excess: float | None,
    on_share: Callable[[int], None] | None = None,
    learned: Mapping[str, Mapping[str, Any]] | None = None,
) -> Advice:
    """Returns what to do, most useful first, the effect of the first `recommendation.measured` actions measured.

    Args:
      candidate: As it is stored.
      intake: Both datasets.
      inputs: With which the features were measured.
      config: Of the run.
      judgement: The verdict as it is.
      features: By qualified name.
      specs: What they are.
      found: Scores of all rows.
      duplicate_excess: Share of the repeats that the reference's own rate does not explain; None without a reference.
      on_share: Told how many shares of real rows are measured, where the share that is enough is sought; of
        `num_shares` in all.
      learned: By how much history moves predicted risks, see `vr.pipeline.history.corrections_of`.
    """
    mix, mix_reason, by_harm = _mix(inputs, config, judgement, features, specs, on_share)
    coverage = features.get("entropy_stability.coverage_deficit")
    missing = None
    if coverage is not None and coverage.value is not None and coverage.null_mean is not None:
        missing = max(0.0, coverage.value - coverage.null_mean) or None
    strata = []
    if judgement.verdict != "approve" and found.sampled is not None:
        strata = strata_of(intake, found.sampled, duplicate_excess, config.seed)
    actions = recommend(
        verdict=judgement.verdict,
        num_rows=intake.candidate_profile.rows,
        columns=intake.codec.sources,
        beside=_beside(candidate, intake),
        num_repeated=found.num_repeated,
        duplicate_excess=duplicate_excess,
        num_suspicious=found.num_suspicious,
        missing_mass=missing,
        reference_rows=None if intake.reference_profile is None else intake.reference_profile.rows,
        beyond=beyond_of(intake),
        unit_errors=unit_errors_of(intake, found.regions),
        gaps=gaps_of(found.missing, intake),
        num_missing=len(found.missing),
        strata=strata,
        mix=mix,
        mix_by_harm=by_harm,
    )

    def measured(changed: Changed, *, several: bool = False) -> Effect:
        again = remeasure(inputs, features, judgement.situation, changed, config.recommendation.splits)
        if again.features is None:
            return Effect(None, reason=again.reason)
        after = judge(again.features, specs, config.detector, with_reference=True)
        harm = expected_harm(again.features, specs)
        held = [specs[name].label for name in again.held]
        return replace(_effect(after, held, changed, several, again.region_rows), harm=harm)

    effects = []
    for action in actions[: _num_measured(actions, config)]:
        if judgement.probability is None or found.sampled is None:
            reason = judgement.reason if judgement.probability is None else intake.splits_reason
            effects.append(Effect(None, reason=reason or "needs a reference"))
            continue
        changed = preview([action.action], intake, found.sampled, found.num_repeated, config.seed)
        if changed is None:
            effects.append(Effect(None, reason="it does nothing to the rows"))
            continue
        effect = measured(changed)
        if effect.risk is not None and action.action.kind in _FOUND_ON:
            effect = replace(effect, basis=f"{effect.basis}; {_FOUND_ON[action.action.kind]}")
        if effect.risk is not None and config.recommendation.history:
            known = (learned or {}).get(action.action.kind)
            effect = corrected(effect, None if known is None else Correction(**known))
        effects.append(effect)
    risk = None if judgement.probability is None else 100.0 * judgement.probability
    ordered, together = with_effects(*_worth(actions, effects, risk), risk), []
    for places in _sets(ordered):
        assert found.sampled is not None
        several = [ordered[i].action for i in places]
        changed = preview(several, intake, found.sampled, found.num_repeated, config.seed)
        if changed is not None:
            together.append(Together(places, measured(changed, several=True)))
    priced = with_prices(
        ordered,
        config.recommendation.prices,
        num_rows=intake.candidate_profile.rows,
        num_columns=len(intake.codec.sources),
        risk=risk,
    )
    chains, forecast_reason = _chains(intake, inputs, config)
    return Advice(priced, together, mix, mix_reason, by_harm, expected_harm(features, specs), chains, forecast_reason)


def num_shares(config: Config) -> int:
    """Returns how many shares of real rows a plan measures: by statistics, and where targets are named by training."""
    return config.recommendation.mix_steps * (2 if config.targets else 1)


def _chains(intake: Intake, inputs: Inputs, config: Config) -> tuple[list[Chain], str | None]:
    """Returns the chains of a forecast, or none and why."""
    generations = config.recommendation.forecast_generations
    if not generations:
        return [], "not asked for (plan=full)"
    test = None if not inputs.splits else skill_test(inputs)
    if test is None:
        return [], inputs.splits_reason or "too few rows, or fewer than two columns that vary"
    codec, pairs = intake.codec, inputs.pair_columns

    def encode(table: pa.Table) -> np.ndarray:
        batch = table.combine_chunks().to_batches()
        return codec.encode(batch[0]).codes[:, pairs] if batch else np.empty((0, len(pairs)), np.uint16)

    sample = intake.candidate_profile.sample.table
    table = pa.Table.from_batches([sample]) if isinstance(sample, pa.RecordBatch) else sample
    try:
        return forecast(
            table.select(codec.sources), encode, test, generations, config.seed, threads=inputs.threads
        ), None
    except (TypeError, ValueError) as err:
        return [], f"the rows cannot be generated: {err}"


def _mix(
    inputs: Inputs,
    config: Config,
    judgement: Judgement,
    features: Mapping[str, Feature],
    specs: Mapping[str, MetricSpec],
    on_share: Callable[[int], None] | None,
) -> tuple[MixPlan | None, str | None, MixPlan | None]:
    """Returns the share of real rows that is enough by the verdict, or None and why it was not sought, and by harm."""
    wanted = config.recommendation
    if not wanted.mix_draws:
        return None, "not asked for (plan=mix)", None
    if not inputs.splits:
        return None, inputs.splits_reason, None
    if judgement.verdict == "approve":
        return None, "the candidate is approved as it is", None
    shares = np.arange(1, wanted.mix_steps + 1) / (wanted.mix_steps + 1)
    mixes = measure_mixes(inputs, features, specs, shares.tolist(), wanted.mix_draws, on_share)
    risks = None if mixes.reason else judge_mixes(mixes, specs, config.detector)
    if risks is None:
        return None, mixes.reason or "nothing that the verdict reads could be measured of the mixes", None
    of_targets = judgement.situation.endswith("_for_targets")
    errors = _MIX_ERROR, _MIX_ERROR_BY_HARM
    if of_targets:
        errors = _MIX_ERROR_FOR_TARGETS, _MIX_ERROR_BY_HARM_FOR_TARGETS
    by_risk = plan_by_risk(risks.shares, risks.risk, risks.review_from, errors[0])

    def on_trained(done: int) -> None:
        if on_share is not None:
            on_share(wanted.mix_steps + done)

    trained = None
    if of_targets:
        # Its trees' libraries take a second to load.
        from vr.detector.trained_mixes import train_mixes

        trained = train_mixes(inputs, shares.tolist(), on_trained)
    if trained is not None:
        by_trees = plan_by_harm(trained.shares, trained.lost, _HARMLESS, _MIX_ERROR_BY_TREES)
        return by_risk, None, replace(by_trees, trained_rows=trained.train_rows)
    harms = harm_of_mixes(mixes, specs)
    by_harm = None if harms is None else plan_by_harm(mixes.shares, harms, _HARMLESS, errors[1])
    return by_risk, None, by_harm


def _beside(candidate: Source, intake: Intake) -> list[str]:
    """Returns the candidate's columns in which its rows were not compared, those that only name a row left out."""
    names = {column.name for column in intake.codec.columns if column.kind is ColumnKind.identifier}
    known = {*intake.codec.sources, *names}
    return [*candidate.unread, *(name for name in (*candidate.ignored, *candidate.schema.names) if name not in known)]


def _worth(
    actions: Sequence[Action], effects: Sequence[Effect], risk: float | None
) -> tuple[list[Action], list[Effect]]:
    """Returns actions and effects without weights that were not measured to lower the risk."""
    helps = [lowers(effect, risk) for effect in effects] + [False] * (len(actions) - len(effects))
    stays = [not isinstance(action.action, Reweight) or good for action, good in zip(actions, helps, strict=True)]
    return (
        [action for action, stay in zip(actions, stays, strict=True) if stay],
        [effect for effect, stay in zip(effects, stays, strict=False) if stay],
    )


def _num_measured(actions: Sequence[Action], config: Config) -> int:
    """Returns how many of the first actions are measured: those that mend what was found do not count."""
    wanted, others = config.recommendation.measured, 0
    for number, action in enumerate(actions):
        if others == wanted:
            return number
        others += not isinstance(action.action, (FillRegions, Repair, Reweight))
    return len(actions)


def _sets(actions: Sequence[Action]) -> list[tuple[int, ...]]:
    """Returns which actions to measure together: the first ones, and of these those that need no real rows."""
    able = [i for i, action in enumerate(actions) if action.effect.risk is not None]
    found: list[tuple[int, ...]] = []
    for number in range(2, len(able) + 1):
        first = tuple(able[:number])
        without = tuple(i for i in first if not isinstance(actions[i].action, NEED_REAL_ROWS))
        found += [places for places in (first, without) if len(places) > 1 and places not in found]
    return found


def _effect(after: Judgement, held: Sequence[str], changed: Changed, several: bool, region_rows: float) -> Effect:
    if after.probability is None or after.lower is None or after.upper is None:
        return Effect(None, reason=after.reason)
    done = "the actions done to the sample at once" if several else "the action done to the sample"
    basis = f"{done}, and what the verdict reads measured again"
    if changed.added_share:
        basis += f", with reference rows that judge nothing meanwhile as the real {changed.added_share:.0%}"
    if region_rows < 1.0:
        basis += f"; of the regions' rows the reference had {region_rows:.0%}, and the candidate's stand for the others"
    if held:
        basis += f"; held as it was, since proxies are not trained again: {', '.join(held)}"
    return Effect(100.0 * after.probability, 100.0 * after.lower, 100.0 * after.upper, basis=basis)
