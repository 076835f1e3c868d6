"""A library's history, for a person at a terminal."""

from collections import Counter
from typing import Any

from vr.signatures.records import TOGETHER

__all__ = ["history_lines"]

_MOST_NAME = 24


def history_lines(found: dict[str, Any], *, library: str, most: int) -> list[str]:
    """Returns what was recommended and applied, the last fixes with what came of them, and whether predictions hold.

    Args:
      found: See `vr.pipeline.track_record`.
      library: As it may be shown.
      most: Fixes to list.
    """
    fixes = found["fixes"]
    measured = sum(fix["risk"] is not None for fix in fixes)
    head = f"{_counted(found['validations'], 'validation')} of {_counted(found['datasets'], 'dataset')}"
    lines = [f"{library}: {head}, {_counted(len(fixes), 'fix', 'fixes')}, {measured:,} of them validated since", ""]
    if found["actions"]:
        lines.append(f"{'action':<16}{'recommended':>12}{'predicted':>11}{'applied':>9}")
        lines += [
            f"{kind:<16}{each['recommended']:>12,}{each['predicted']:>11,}{each['applied']:>9,}"
            for kind, each in found["actions"].items()
        ]
        lines.append("")
    if len(fixes) > most:
        lines.append(f"the last {most:,} of {len(fixes):,} fixes")
    lines += [line for fix in fixes[-most:] for line in _fix(fix)]
    lines += ["", *_predictions(found["predictions"])] if fixes else []
    if found["damaged"]:
        lines.append(f"{_counted(found['damaged'], 'damaged record')} left out")
    return lines


def _fix(fix: dict[str, Any]) -> list[str]:
    name = fix["dataset"] if len(fix["dataset"]) <= _MOST_NAME else fix["dataset"][: _MOST_NAME - 3] + "..."
    done = Counter(each["kind"] for each in fix["actions"] if each["status"] == "done")
    said = ", ".join(kind if number == 1 else f"{number} x {kind}" for kind, number in done.items()) or "nothing done"
    told = f"predicted {_risk(fix['risk_predicted'])}"
    if fix["predicted_by"] not in (None, TOGETHER) and sum(done.values()) > 1:
        told += f" by {fix['predicted_by']} alone"
    after = f"measured {_risk(fix['risk'])} ({fix['verdict']})" if fix["reason"] is None else fix["reason"]
    return [
        f"{fix['recorded'][:10]}  {name}: {fix['rows']:,} to {fix['output_rows']:,} rows; {said}",
        f"            risk {_risk(fix['risk_before'])} ({fix['verdict_before']}); {told}; {after}",
    ]


def _predictions(found: dict[str, Any]) -> list[str]:
    level = f"{found['level']:.0%}"
    if not found["all"]["cases"]:
        return ["no fix with a predicted risk was validated since: whether predictions hold is not known"]
    lines = [*_held("all fixes", found["all"], level)]
    if 0 < found["of_one"]["cases"] < found["all"]["cases"]:
        lines += _held("of one action", found["of_one"], level)
    if len(found["by_kind"]) > 1:
        lines += [line for kind, each in found["by_kind"].items() for line in _held(kind, each, level)]
    return lines


def _held(label: str, found: dict[str, Any], level: str) -> list[str]:
    what = f"{_counted(found['cases'], 'fix', 'fixes')} of {_counted(found['datasets'], 'dataset')}"
    lines = [f"{label} ({what})"]
    if found["gains"]:
        ends = f"{found['came_lower']:.0%} to {found['came_upper']:.0%} of datasets at {level}"
        lines.append(f"  predicted gains came in {found['came']:,} of {found['gains']:,} ({ends})")
    ends = found["reason"] or f"{found['error_lower']:+.1f} to {found['error_upper']:+.1f} at {level}"
    seen = f"from {found['error_least']:+.1f} to {found['error_most']:+.1f}"
    lines.append(f"  measured less predicted risk: {found['error']:+.1f} on average ({ends}), {seen}")
    return lines


def _risk(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0f}"


def _counted(number: int, one: str, many: str | None = None) -> str:
    return f"{number:,} {one if number == 1 else many or one + 's'}"
