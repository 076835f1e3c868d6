"""What to do about the findings: which actions they ask for, in words and as what `vr fix` executes."""

from collections.abc import Sequence

import numpy as np

from vr.localization.localize import CONFIDENT
from vr.recommendation.actions import Action
from vr.recommendation.mix_plan import MixPlan, real_rows_for
from vr.recommendation.ranges import Beyond
from vr.recommendation.regions import Gap, Part, weights_of
from vr.recommendation.units import UnitError
from vr.recommendation.vocabulary import (
    AddRealRows,
    Clip,
    Deduplicate,
    DropRows,
    FillRegions,
    GiveReference,
    Reweight,
)

__all__ = ["recommend"]

_MOST_CLIPS = _MOST_REPAIRS = 5
_LEAST_MISSING = 0.005  # of the reference, to be worth words
_NAMED_REGIONS = 3
_MOST_WEIGHT = 4.0


def recommend(
    *,
    verdict: str,
    num_rows: int,
    columns: Sequence[str],
    beside: Sequence[str] = (),
    num_repeated: int,
    duplicate_excess: float | None,
    num_suspicious: int,
    missing_mass: float | None,
    reference_rows: int | None,
    beyond: Sequence[Beyond] = (),
    mix: MixPlan | None = None,
    mix_by_harm: MixPlan | None = None,
    gaps: Sequence[Gap] = (),
    num_missing: int = 0,
    unit_errors: Sequence[UnitError] = (),
    strata: Sequence[Part] = (),
) -> list[Action]:
    """Returns what to do, in the order in which effects are measured; empty where there is nothing to do.

    Args:
      verdict: approve, review or reject.
      num_rows: Rows of the candidate.
      columns: Those that rows were compared in.
      beside: Those that the candidate has beside them, names of rows left out: rows that repeat may differ in these.
      num_repeated: Rows that repeat an earlier row.
      duplicate_excess: Share of the repeats that the reference's own rate, at equal size, does not explain, 0 to 1;
        None where there is no reference to know it by.
      num_suspicious: Rows with a confidence of 0.8 or more for what they are, and the exact repeats of these.
      missing_mass: Share of reference rows that the candidate does not cover beyond what chance does not, or None.
      reference_rows: Rows of the reference, None without one.
      beyond: Columns with numbers outside of the reference's range.
      mix: The share of real rows that was found to be enough, where it was sought.
      mix_by_harm: The share at which the harm is small, where that is known.
      gaps: Missing regions that real rows can fill, the largest gap first.
      num_missing: Missing regions that were found.
      unit_errors: Columns with numbers in another unit than the reference's; these are not clipped.
      strata: Parts that the candidate has in other shares than the reference.
    """
    actions = [_repair(error, num_rows) for error in unit_errors[:_MOST_REPAIRS]]
    # Duplicates as frequent as the reference's own are how the data is.
    excess = round(num_repeated * (1.0 if duplicate_excess is None else duplicate_excess))
    if excess:
        actions.append(_deduplicate(excess, num_repeated, num_rows, duplicate_excess, columns, beside))
    if gaps and verdict != "approve":
        actions.append(_fill_regions(gaps, num_missing))
    if strata and verdict != "approve":
        actions.append(_reweight(strata, num_rows))
    if verdict != "approve" and reference_rows is not None:
        actions.append(_add_real_rows(verdict, num_rows, missing_mass, reference_rows, mix, mix_by_harm))
    if num_suspicious and num_suspicious < 0.5 * num_rows:
        actions.append(
            Action(
                "drop_rows",
                f"Drop {num_suspicious:,} suspicious rows",
                f"{num_suspicious:,} rows are rarer, farther off or closer to each other than real rows are "
                f"(confidence {CONFIDENT:.0%} or more), or repeat such a row exactly; row_scores.parquet lists them.",
                num_suspicious,
                DropRows(min_confidence=CONFIDENT, except_defects=("exact_duplicate",)),
                {"rows_removed": num_suspicious},
            )
        )
    # Where the reference has one value alone there is no range: clipping would write that value into every row.
    other = {error.action.column for error in unit_errors}
    ranges = [column for column in beyond if column.lower < column.upper and column.column not in other]
    actions += [_clip(column, num_rows) for column in ranges[:_MOST_CLIPS]]
    if reference_rows is None:
        actions.append(
            Action(
                "add_reference",
                "Validate against real rows",
                "Without a reference only duplicates and drift can be seen. A few hundred real rows are enough to "
                "measure the rest.",
                0,
                GiveReference(),
                {"real_rows": 500},
            )
        )
    return actions


def _deduplicate(
    excess: int,
    num_repeated: int,
    num_rows: int,
    duplicate_excess: float | None,
    columns: Sequence[str],
    beside: Sequence[str],
) -> Action:
    why = "" if duplicate_excess is None else f"; the reference's own rate explains {1.0 - duplicate_excess:.0%} of it"
    title, how, cost = f"Remove {excess:,} exact duplicates", "exactly", {"rows_removed": excess}
    if beside:
        title, how = f"Look at {excess:,} rows that may be duplicates", "in every column that was compared"
        named = ", ".join(f"'{name}'" for name in beside[:3]) + (", ..." if len(beside) > 3 else "")
        why, cost = f"{why}; they may differ in {named}, so `vr fix` removes none", {}
    return Action(
        "deduplicate",
        title,
        f"{num_repeated:,} of {num_rows:,} rows repeat an earlier row {how}{why}.",
        excess,
        Deduplicate(tuple(columns), keep_repeats=num_repeated - excess, beside=tuple(beside)),
        cost,
    )


def _fill_regions(gaps: Sequence[Gap], num_missing: int) -> Action:
    wanted = sum(gap.rows for gap in gaps)
    named = [
        f"{' and '.join(gap.words)} ({gap.region.share:.1%} of the reference, {gap.candidate_share:.1%} here)"
        for gap in gaps[:_NAMED_REGIONS]
    ]
    more = f"; and {len(gaps) - len(named)} more" if len(gaps) > len(named) else ""
    left = num_missing - len(gaps)
    apart = (
        f" {left} more of localization.missing_regions cannot be filled: of texts, or of more rows than there are."
        if left
        else ""
    )
    regions = "a region" if len(gaps) == 1 else f"{len(gaps)} regions"
    return Action(
        "fill_regions",
        f"Fill {regions} that the candidate lacks with {wanted:,} real rows",
        f"The candidate has half or less of what the reference has where {'; where '.join(named)}{more}. Real rows "
        f"that lie there are appended until each region has the reference's share.{apart}",
        wanted,
        FillRegions(tuple(gap.region for gap in gaps)),
        {"real_rows": wanted},
    )


def _reweight(strata: Sequence[Part], num_rows: int) -> Action:
    shares = np.array([part.region.share for part in strata])
    have = np.array([part.candidate_share for part in strata])
    weights = weights_of(have * num_rows, shares, _MOST_WEIGHT)
    weights /= have @ weights / have.sum()
    # Those first whose share moves most.
    order = np.argsort(-np.round(np.abs(have * weights - have), 6), kind="stable")[:_NAMED_REGIONS]
    named = [
        f"{weights[i]:.2g} where {' and '.join(strata[i].words)} ({shares[i]:.1%} of the reference, {have[i]:.1%} here)"
        for i in order
    ]
    more = f"; and {len(strata) - len(named)} more" if len(strata) > len(named) else ""
    effective = round(num_rows * float(have @ weights) ** 2 / float(have @ weights**2) / float(have.sum()))
    return Action(
        "reweight",
        "Weigh the rows as the reference mixes them",
        f"The candidate has what the reference has, in other shares. Its rows stay and get weights, in a file beside "
        f"the new one: {'; '.join(named)}{more}. They tell as much as {effective:,} rows of equal weight.",
        num_rows,
        Reweight(tuple(part.region for part in strata), _MOST_WEIGHT),
        {"effective_rows": effective},
    )


def _add_real_rows(
    verdict: str,
    num_rows: int,
    missing_mass: float | None,
    reference_rows: int,
    mix: MixPlan | None,
    mix_by_harm: MixPlan | None,
) -> Action:
    title = ""
    if mix is not None and mix.share:
        wanted = max(1, real_rows_for(mix.share, num_rows))
        title = f"Mix in {wanted:,} real rows"
        what = (
            f"A mix that is {mix.share:.0%} real is the first that would be approved by statistics alone (by training "
            f"{_ends(mix)} is enough, at {mix.level:.0%}), at as many rows as there are: {wanted:,} real rows beside "
            f"all of these, or {1_000 * (1.0 - mix.share) / mix.share:,.0f} of these for every 1,000 real ones."
        )
        if mix_by_harm is not None and mix_by_harm.share is not None and mix_by_harm.share < mix.share:
            # The verdict is careful: it asks for more than training does.
            by = "training is expected to lose"
            if mix_by_harm.trained_rows is not None:
                by = f"trees that were trained on mixes of {mix_by_harm.trained_rows:,} rows lost"
            what += f" By the skill that {by} {mix_by_harm.share:.0%} may do."
    elif verdict == "review":
        # Rows that make the mix 30 % real.
        wanted = max(1, round(num_rows * 0.3 / 0.7))
        title = f"Add about {wanted:,} real rows"
        what = f"Mixed with {wanted:,} real rows the data would be 30 % real: a place to start."
    else:
        # As many as the candidate has where it is to be replaced.
        wanted = num_rows
        title = "Train on real rows instead, or mix them in"
        what = (
            "What is missing from the whole candidate does not come back by dropping rows of it: train on real rows, "
            f"or on a mix with as many of them ({wanted:,}) at least."
        )
    if mix is not None and mix.share == 0.0:
        what = (
            f"{what} By statistics alone it would be approved as it is; proxies, which hold it back, do not see mixes."
        )
    if mix is not None and mix.reason:
        what = f"{what} No share that was measured is enough: {mix.reason}."
    missing = f" {missing_mass or 0.0:.0%} of the reference lies where the candidate has nothing."
    missing = missing if missing_mass and missing_mass >= _LEAST_MISSING else ""
    return Action(
        "add_real_rows",
        title,
        f"{what}{missing} The reference has {reference_rows:,} rows; take others, or nothing is left to judge by.",
        wanted,
        AddRealRows(wanted),
        {"real_rows": wanted},
    )


def _ends(mix: MixPlan) -> str:
    lower = 0.0 if mix.lower is None else mix.lower
    return f"{lower:.0%} or more" if mix.upper is None else f"{lower:.0%} to {mix.upper:.0%}"


def _repair(found: UnitError, num_rows: int) -> Action:
    action = found.action
    unit = f"{action.factor:,.6g}" if action.factor >= 1.0 else f"1/{1.0 / action.factor:,.6g}"
    if not action.ranges:
        where = "the numbers outside of the reference's range"
    elif action.ranges == ((0, num_rows),):
        where = "all numbers"
    else:
        where = f"the numbers of rows {action.ranges[0][0]:,} to {action.ranges[0][1] - 1:,}"
    return Action(
        "repair",
        f"Divide {found.rows:,} numbers of column '{action.column}' by {unit}",
        f"Divided by {unit}, {where} are distributed as the reference's are, and by no other factor: they are in "
        f"another unit. Those that lie within {action.lower:.6g} to {action.upper:.6g} after it are divided.",
        found.rows,
        action,
        {"cells_changed": found.rows},
    )


def _clip(found: Beyond, num_rows: int) -> Action:
    what = "infinite numbers or numbers" if found.infinite else "numbers"
    return Action(
        "clip",
        f"Clip column '{found.column}' to {found.lower:.6g} to {found.upper:.6g}",
        f"About {found.rows:,} of {num_rows:,} rows have {what} outside of the reference's range; they are moved to "
        "its nearer end.",
        found.rows,
        Clip(found.column, found.lower, found.upper),
        {"cells_changed": found.rows},
    )
