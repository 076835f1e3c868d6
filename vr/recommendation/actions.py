"""What to do about the findings, as actions a program can execute."""

from dataclasses import dataclass, field
from typing import Any

from vr.localization.localize import CONFIDENT

__all__ = ["Action", "recommend"]


@dataclass(frozen=True)
class Action:
    """One recommendation; `action` holds what an executor needs, `cost` what it takes."""

    category: str
    title: str
    description: str
    affected_rows: int
    cost: dict[str, Any] = field(default_factory=dict)
    action: dict[str, Any] = field(default_factory=dict)


def recommend(
    *,
    verdict: str,
    num_rows: int,
    num_repeated: int,
    duplicate_excess: float | None,
    num_confident: int,
    missing_mass: float | None,
    reference_rows: int | None,
) -> list[Action]:
    """Returns what to do, most useful first; empty where there is nothing to do.

    Args:
      verdict: approve, review or reject.
      num_rows: Rows of the candidate.
      num_repeated: Rows that repeat an earlier row.
      duplicate_excess: Share of the repeats that the reference's own rate, at equal size, does not explain, 0 to 1;
        None where there is no reference to know it by.
      num_confident: Rows flagged with a confidence of 0.8 or more, exact repeats left out.
      missing_mass: Share of reference rows that the candidate does not cover beyond what chance does not, or None.
      reference_rows: Rows of the reference, None without one.
    """
    actions = []
    # Duplicates as frequent as the reference's own are how the data is.
    excess = round(num_repeated * (1.0 if duplicate_excess is None else duplicate_excess))
    if excess:
        why = (
            ""
            if duplicate_excess is None
            else f"; the reference's own rate explains {1.0 - duplicate_excess:.0%} of it"
        )
        actions.append(
            Action(
                "deduplicate",
                f"Remove {excess:,} exact duplicates",
                f"{num_repeated:,} of {num_rows:,} rows repeat an earlier row exactly{why}.",
                excess,
                {"rows_removed": excess},
                {"kind": "drop_rows", "where": {"defect": "exact_duplicate"}, "most": excess},
            )
        )
    if verdict != "approve" and reference_rows is not None:
        wanted = _real_rows_wanted(verdict, num_rows)
        what = (
            f"Mixed with {wanted:,} real rows the data would be 30 % real: a place to start; how little is enough has "
            "not been measured on this data."
            if verdict == "review"
            else "What is missing from the whole candidate does not come back by dropping rows of it."
        )
        missing = f" {missing_mass:.0%} of the reference lies where the candidate has nothing." if missing_mass else ""
        actions.append(
            Action(
                "add_real_rows",
                f"Add about {wanted:,} real rows" if verdict == "review" else "Train on real rows instead",
                f"{what}{missing} The reference given has {reference_rows:,} rows.",
                wanted,
                {"real_rows": wanted},
                {"kind": "add_rows", "source": "reference", "rows": wanted},
            )
        )
    if num_confident and num_confident < 0.5 * num_rows:
        actions.append(
            Action(
                "drop_rows",
                f"Drop {num_confident:,} suspicious rows",
                f"{num_confident:,} rows are rarer, farther off or closer to each other than real rows are (confidence "
                f"{CONFIDENT:.0%} or more); row_scores.parquet lists them.",
                num_confident,
                {"rows_removed": num_confident},
                {"kind": "drop_rows", "where": {"min_confidence": CONFIDENT, "not_defect": "exact_duplicate"}},
            )
        )
    if reference_rows is None:
        actions.append(
            Action(
                "add_reference",
                "Validate against real rows",
                "Without a reference only duplicates and drift can be seen. A few hundred real rows are enough to "
                "measure the rest.",
                0,
                {"real_rows": 500},
                {"kind": "rerun", "with": "reference"},
            )
        )
    return actions


def _real_rows_wanted(verdict: str, num_rows: int) -> int:
    """Rows that make the mix 30 % real, or as many as the candidate has where it is to be replaced."""
    return max(1, round(num_rows * 0.3 / 0.7)) if verdict == "review" else num_rows
