"""Why a row was flagged, in words: which columns, which values, against what the reference has."""

from collections.abc import Sequence

import numpy as np

from vr.detector.inputs import Columns, Side
from vr.localization.scorer import DEFECTS, RowScorer

__all__ = ["blame_columns", "reason"]


def blame_columns(scorer: RowScorer, flagged: Side, reference: Side, most: int = 3) -> list[np.ndarray]:
    """Returns, for each flagged row, the columns that make it suspicious, worst first.

    A column's blame is what the row's log density ratio loses when its cell is replaced by that of the nearest
    reference row: a counterfactual, so that a combination is blamed on the columns that make it, not on rare values.

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
    num_columns = flagged.codes.shape[1]
    before = scorer.log_ratio(flagged.codes, flagged.rows)
    blame = np.zeros((len(flagged), num_columns))
    for j in range(num_columns):
        differs = np.flatnonzero(flagged.codes[:, j] != donors[:, j])
        if len(differs):
            changed = flagged.codes[differs].copy()
            changed[:, j] = donors[differs, j]
            blame[differs, j] = before[differs] - scorer.log_ratio(changed, flagged.rows[differs])
    result = []
    for row in blame:
        order = np.argsort(-row, kind="stable")[:most]
        result.append(order[row[order] > 0.1 * max(float(row.max()), 1e-9)])
    return result


def reason(
    evidence: np.ndarray, columns: Sequence[int], codes: np.ndarray, values: np.ndarray, names: Columns
) -> tuple[list[str], str]:
    """Returns a row's defects, strongest first, and a sentence about them.

    Args:
      evidence: float `[4]`, as `Readings.evidence` has it, of a row with a defect.
      columns: Positions of the columns to blame.
      codes: uint16 `[d]`.
      values: float `[d]`.
      names: The columns.
    """
    said = {
        "over_represented": "its combination of values is over-represented against the reference",
        "outlier": "it lies farther from the reference than real rows do",
        "near_duplicate": "it nearly repeats another candidate row",
        "exact_duplicate": "it repeats an earlier row exactly",
    }
    order = [i for i in np.argsort(-evidence, kind="stable") if evidence[i] > 1.3]
    order.sort(key=lambda i: DEFECTS[1 + i] != "exact_duplicate")
    defects = [DEFECTS[1 + i] for i in order]
    sentence = "; ".join(
        said[defect]
        + ("" if defect == "exact_duplicate" else f" (1 in {_round(10.0 ** min(float(evidence[i]), 6.0))} real rows)")
        for defect, i in zip(defects, order, strict=True)
    )
    cells = ", ".join(f"{names.names[j]} = {_cell(codes[j], values[j], names.labels[j])}" for j in columns)
    return defects, sentence + (f"; mostly by {cells}" if cells else "")


def _cell(code: int, value: float, labels: list[str]) -> str:
    if code == 0:
        return "null"
    return f"{value:.6g}" if np.isfinite(value) else labels[code]


def _round(x: float) -> str:
    digits = max(0, int(np.floor(np.log10(max(x, 1.0)))) - 1)
    return f"{int(round(x, -digits)):,}"
