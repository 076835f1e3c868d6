"""Why a row was flagged, in words: which columns, which values, against what the reference has."""

from collections.abc import Mapping, Sequence

import numpy as np

from vr.detector.inputs import Columns, Side
from vr.localization.scorer import DEFECTS, RowScorer

__all__ = ["blame_columns", "reason", "spelt"]

_SWAPPED_ROWS = 20_000  # scored in one call


def blame_columns(scorer: RowScorer, flagged: Side, reference: Side, most: int = 3) -> list[np.ndarray]:
    """Returns, for each flagged row, the columns that make it suspicious, worst first; a date's parts count with it.

    A column's blame is what the row's log density ratio loses when its cell is replaced by that of the nearest
    reference row: a counterfactual, so that a combination is blamed on the columns that make it, not on rare values.
    Each column of the file is named once, by the position of its first encoded column, which bears its name.

    Args:
      scorer: Fitted.
      flagged: Rows `[m]`.
      reference: Where the replacing cells come from.
      most: Columns named for one row.
    """
    from vr.stats.coverage import nearest_neighbours

    if not len(flagged):
        return []
    _, nearest = nearest_neighbours(flagged.features, reference.features, 1)
    donors = reference.codes[np.maximum(nearest[:, 0], 0)]
    blame = np.zeros(flagged.codes.shape)
    groups = list(scorer.columns.parts.items())
    # Several columns in one call: for so few rows a model takes its time over being called.
    together = max(1, _SWAPPED_ROWS // len(flagged))
    before = scorer.log_ratio(flagged.codes, flagged.rows)
    for start in range(0, len(groups), together):
        swapped = [_swapped(flagged.codes, donors, parts) for _, parts in groups[start : start + together]]
        rows = np.concatenate([differs for differs, _ in swapped])
        after = scorer.log_ratio(np.concatenate([codes for _, codes in swapped]), flagged.rows[rows])
        columns = np.repeat([j for j, _ in groups[start : start + together]], [len(differs) for differs, _ in swapped])
        blame[rows, columns] = before[rows] - after
    result = []
    for row in blame:
        order = np.argsort(-row, kind="stable")[:most]
        result.append(order[row[order] > 0.1 * max(float(row.max()), 1e-9)])
    return result


def _swapped(codes: np.ndarray, donors: np.ndarray, parts: list[int]) -> tuple[np.ndarray, np.ndarray]:
    """Returns the rows whose cells in `parts` differ from their donors', and them with the donors' cells there."""
    differs = np.flatnonzero((codes[:, parts] != donors[:, parts]).any(axis=1))
    changed = codes[differs].copy()
    changed[:, parts] = donors[differs][:, parts]
    return differs, changed


def reason(
    evidence: np.ndarray,
    columns: Sequence[int],
    codes: np.ndarray,
    values: np.ndarray,
    names: Columns,
    num_held_out: int | None = None,
    told: Mapping[str, str] | None = None,
) -> tuple[list[str], str]:
    """Returns a row's defects, strongest first, and a sentence about them.

    Args:
      evidence: float `[k]`, as `Readings.evidence` has it, of a row with a defect.
      columns: Positions of the columns to blame, as `blame_columns` gives them.
      codes: uint16 `[d]`.
      values: float `[d]`.
      names: The columns.
      num_held_out: Reference rows that the evidence's scales were fitted on: no rarer odds are printed than they can
        show. None where it is not known; then no odds are printed.
      told: What is known beside of a defect, in words that take the place of the usual ones.
    """
    said = {
        "over_represented": "its combination of values is over-represented against the reference",
        "outlier": "it lies farther from the reference than real rows do",
        "near_duplicate": "it nearly repeats an earlier row",
        "exact_duplicate": "it repeats an earlier row exactly",
        "out_of_range": "it leaves the reference's range",
        "label_contradiction": "one of its values contradicts the others",
        "broken_dependence": "its values do not go together as the reference's do",
        "impossible_combination": "it joins values that the reference keeps apart",
        "drifted_block": "it lies in a stretch of rows that are shifted together",
        "generated_block": "it lies in a stretch of rows whose values are not tied as the reference's are",
        **(told or {}),
    }
    kinds = np.argsort(-evidence, kind="stable")
    # Beside the likeliest kind those that are a fifth as likely.
    least = max(1.3, float(evidence.max()) - 0.7)
    order = [i for i in kinds if evidence[i] > least]
    repeat = DEFECTS.index("exact_duplicate") - 1
    if repeat < len(evidence) and evidence[repeat] > 1.3:
        order = [repeat, *(i for i in order if i != repeat)]
    defects = [DEFECTS[1 + i] for i in order]
    sentence = "; ".join(
        said[defect] + ("" if defect == "exact_duplicate" else _odds(float(evidence[i]), num_held_out))
        for defect, i in zip(defects, order, strict=True)
    )
    # What is told names its cells itself.
    cells = "" if told else ", ".join(_cell(names.parts[j], codes, values, names) for j in columns)
    return defects, sentence + (f"; mostly by {cells}" if cells else "")


def spelt(j: int, codes: np.ndarray, values: np.ndarray, names: Columns) -> str:
    """Returns `column = value` of a row's cell, a date with its parts; `j` is the column's first position."""
    return _cell(names.parts[j], codes, values, names)


def _odds(evidence: float, num_held_out: int | None) -> str:
    """Returns how rare evidence is among real rows; beyond the rows at hand its odds are extrapolated, and not said."""
    if num_held_out is None:
        return ""
    if 10.0**-evidence * num_held_out < 1.0:
        return f" (fewer than 1 in {_round(num_held_out)} real rows)"
    return f" (1 in {_round(10.0**evidence)} real rows)"


def _cell(parts: list[int], codes: np.ndarray, values: np.ndarray, names: Columns) -> str:
    j = parts[0]
    name, code, label = names.names[j], codes[j], names.labels[j][codes[j]]
    if code == 0:
        return f"{name} = null"
    if not np.isfinite(values[j]) or not _is_number(names.labels[j][1]):
        rest = ", ".join(f"{names.names[i][len(name) + 1 : -1]} {names.labels[i][codes[i]]}" for i in parts[1:])
        return f"{name} = {label}" + (f" ({rest})" if rest else "")
    return f"{name} = {values[j]:.6g}"


def _is_number(label: str) -> bool:
    """Whether a numeric column's label `below x` spells a number; a date is spelt as one."""
    try:
        float(label.removeprefix("below "))
    except ValueError:
        return False
    return True


def _round(x: float) -> str:
    """Two significant digits, downwards: what is printed of a limit must hold."""
    size = 10 ** max(0, int(np.floor(np.log10(max(x, 1.0)))) - 1)
    return f"{int(x // size) * size:,}"
