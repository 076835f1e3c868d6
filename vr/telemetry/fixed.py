"""What a fix did, for a person at a terminal."""

import sys
from typing import Any

from vr.core.printable import numbered, printable

__all__ = ["fixed_lines", "print_fixed"]


def fixed_lines(manifest: dict[str, Any], *, place: str) -> list[str]:
    """Returns the new file, what each action did and promised, and the verdict after where there is one.

    Args:
      manifest: See `vr.pipeline.manifest`.
      place: The new file, as it may be shown.
    """
    before, after = manifest["input"]["rows"], manifest["output"]["rows"]
    lines = [f"wrote {place}: {after:,} rows, from {before:,}", ""]
    for action in manifest["actions"]:
        lines.append(f"{action['priority']:>3}  {action['title']}")
        lines.append(f"     {_done(action)}{_promised(action)}")
    if manifest["real"] is not None and manifest["real"].get("note"):
        lines.append(f"     note: {manifest['real']['note']}")
    lines += ["", f"manifest       {place}.manifest.json"]
    if (weights := manifest.get("weights")) is not None:
        lines.append(f"weights        {place.removesuffix(manifest['output']['name'])}{weights['name']}")
    if (found := manifest["validation"]) is not None:
        lines.append(f"report         {place}.report/report.html")
        was, now = (_risk(found[key]) for key in ("risk_score_before", "risk_score"))
        lines += ["", f"risk {was} ({found['verdict_before']}) before, {now} ({found['verdict']}) after"]
        if found.get("risk_score_predicted") is not None:
            by = f"action {found['predicted_by']} alone"
            if found.get("predicted_together"):
                done = [action["priority"] for action in manifest["actions"] if action["status"] == "done"]
                by = f"actions {numbered(done)} together"
            lines.append(f"predicted {_risk(found['risk_score_predicted'])}, by {by}; measured {now}")
        lost = [found.get(key) for key in ("expected_skill_loss_before", "expected_skill_loss")]
        if None not in lost:
            lines.append(f"skill that training is expected to lose: {lost[0]:.0%} before, {lost[1]:.0%} after")
        if found["note"]:
            lines.append(f"note: {found['note']}")
    return lines


def print_fixed(manifest: dict[str, Any], *, place: str) -> None:
    """Prints it on stdout."""
    sys.stdout.write(printable("\n".join(fixed_lines(manifest, place=place)) + "\n"))


def _done(action: dict[str, Any]) -> str:
    if action["status"] == "skipped":
        return f"skipped: {action['note']}"
    counts = (("rows_removed", "removed"), ("rows_added", "added"), ("rows_weighed", "weighed"))
    said = [f"{action[key]:,} rows {word}" for key, word in counts if action.get(key)]
    if action["cells_changed"]:
        said.append(f"{action['cells_changed']:,} cells changed")
    return (", ".join(said) or "nothing to do") + (f"; {action['note']}" if action["note"] else "")


def _promised(action: dict[str, Any]) -> str:
    expected = action["expected_risk_score"]
    if expected is None or expected["value"] is None:
        return ""
    return f"; by itself expected to bring the risk to {_risk(expected['value'])}"


def _risk(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0f}"
