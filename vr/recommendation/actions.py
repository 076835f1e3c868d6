"""What to do about the findings, as actions that `vr fix` can execute."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from vr.localization.localize import CONFIDENT
from vr.recommendation.ranges import Beyond
from vr.recommendation.vocabulary import AddRealRows, Clip, Deduplicate, DropRows, Executable, GiveReference

__all__ = ["Action", "Effect", "recommend", "with_effects"]

_MOST_CLIPS = 5
_NO_GAIN = 0.5  # of risk, 0 to 100: what is lowered by less is not lowered


@dataclass(frozen=True)
class Effect:
    """The risk, 0 to 100, that was measured of the sample with an action done to it.

    Attributes:
      risk: The risk, None where it could not be measured.
      lower: Lower end of its interval, None with it.
      upper: Upper end.
      reason: Why it could not be measured.
      basis: How it was measured.
    """

    risk: float | None
    lower: float | None = None
    upper: float | None = None
    reason: str | None = None
    basis: str = ""


@dataclass(frozen=True)
class Action:
    """One recommendation; `action` is what an executor does, `cost` what it takes, `effect` what it buys."""

    category: str
    title: str
    description: str
    affected_rows: int
    action: Executable
    cost: dict[str, Any] = field(default_factory=dict)
    effect: Effect = Effect(None, reason="not among the actions that are measured (recommendation.measured)")


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
) -> list[Action]:
    """Returns what to do, most useful first; empty where there is nothing to do.

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
    """
    actions = []
    # Duplicates as frequent as the reference's own are how the data is.
    excess = round(num_repeated * (1.0 if duplicate_excess is None else duplicate_excess))
    if excess:
        actions.append(_deduplicate(excess, num_repeated, num_rows, duplicate_excess, columns, beside))
    if verdict != "approve" and reference_rows is not None:
        actions.append(_add_real_rows(verdict, num_rows, missing_mass, reference_rows))
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
    actions += [_clip(column, num_rows) for column in beyond[:_MOST_CLIPS]]
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


def with_effects(actions: Sequence[Action], effects: Sequence[Effect], risk: float | None) -> list[Action]:
    """Returns the actions with their measured effects; those that were measured to buy nothing come last, and say so.

    Args:
      actions: In order.
      effects: Of the first ones.
      risk: As it is, 0 to 100; None where it is not known.
    """
    measured = [replace(action, effect=effect) for action, effect in zip(actions, effects, strict=False)]
    measured += actions[len(effects) :]
    if risk is None:
        return measured
    idle = [a for a in measured if a.effect.risk is not None and a.effect.risk > risk - _NO_GAIN]
    useful = [action for action in measured if action not in idle]
    return useful + [
        replace(action, description=f"{action.description} By itself it does not lower the risk.") for action in idle
    ]


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


def _add_real_rows(verdict: str, num_rows: int, missing_mass: float | None, reference_rows: int) -> Action:
    # Rows that make the mix 30 % real, or as many as the candidate has where it is to be replaced.
    wanted = max(1, round(num_rows * 0.3 / 0.7)) if verdict == "review" else num_rows
    what = (
        f"Mixed with {wanted:,} real rows the data would be 30 % real: a place to start."
        if verdict == "review"
        else "What is missing from the whole candidate does not come back by dropping rows of it: train on real rows, "
        f"or on a mix with as many of them ({wanted:,}) at least."
    )
    missing = f" {missing_mass:.0%} of the reference lies where the candidate has nothing." if missing_mass else ""
    return Action(
        "add_real_rows",
        f"Add about {wanted:,} real rows" if verdict == "review" else "Train on real rows instead, or mix them in",
        f"{what}{missing} The reference has {reference_rows:,} rows; take others, or nothing is left to judge by.",
        wanted,
        AddRealRows(wanted),
        {"real_rows": wanted},
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
