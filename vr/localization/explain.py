"""Which columns make a row suspicious, and what the reference has there; the kind of defect decides where to look."""

from collections.abc import Sequence

import numpy as np

from vr.data.codec import Coded
from vr.detector.inputs import Columns, Side
from vr.localization.judge import DEFECTS, Readings
from vr.localization.reasons import blame_columns, spelt
from vr.localization.scorer import RowScorer
from vr.stats.ranks import midranks

__all__ = ["explain"]

_MOST = 3  # columns named for one row
_NOTABLE = 1.0  # evidence of one in ten, for a cell to be named beside the worst


def explain(
    scorer: RowScorer,
    flagged: Side,
    readings: Readings,
    reference: Side,
    attributed: Sequence[np.ndarray | None] = (),
) -> list[tuple[list[int], dict[str, str]]]:
    """Returns for each flagged row the columns to blame, worst first, and what is known of its defect, in words.

    A column of the file is named once, by the position of its first encoded column, which bears its name.

    Args:
      scorer: Fitted.
      flagged: Rows `[m]`.
      readings: Theirs.
      reference: Rows that explain what a combination should have been.
      attributed: For each of the rows its loss by proxies shared out over the encoded columns, as `Asked.cells` has it.
    """
    if not len(flagged):
        return []
    norms, columns = scorer.evidence.norms, scorer.columns
    coded, closer = Coded(flagged.codes, flagged.values), norms.read_closer(flagged)
    quick, outer = norms.read(coded, flagged.rows), norms.outer(coded, flagged.rows)
    first = {j: head for head, parts in columns.parts.items() for j in parts}
    counterfactual = blame_columns(scorer, flagged, reference)
    result = []
    for i, kind in enumerate(readings.defect):
        name = DEFECTS[kind]
        odd = _oddness(closer.cells[i], norms.predicted, attributed[i] if i < len(attributed) else None)
        by_cell = _worst(closer.cells[i], norms.predicted, first, odd)
        cell = lambda j, i=i: spelt(j, flagged.codes[i], flagged.values[i], columns)  # noqa: E731
        told: dict[str, str] = {}
        blamed = counterfactual[i].tolist()
        if name in ("out_of_range", "outlier"):
            blamed = _worst(outer[i], np.arange(len(columns.names)), first)
            if name == "out_of_range":
                told[name] = "; ".join(
                    f"{cell(j)}, where the reference has {_range(j, reference, columns)}" for j in blamed
                )
        elif name == "impossible_combination":
            pair = norms.pair_of(int(quick.which_pair[i]), int(flagged.rows[i]))
            if pair is not None and quick.pair[i] > 0.0:
                # Either cell may be the wrong one: first the one that the row's other cells make the odder.
                by_column = dict(zip(norms.predicted.tolist(), odd, strict=True))
                blamed = [first[j] for j in sorted(pair, key=lambda j, of=by_column: -of.get(j, 0.0))]
                told[name] = _together(pair, flagged.codes[i], reference, f"{cell(blamed[0])} with {cell(blamed[1])}")
        elif name == "label_contradiction" and by_cell:
            blamed = by_cell[:1]
            likeliest = norms.likeliest(flagged.codes[[i]], flagged.rows[[i]], blamed[0])[0]
            if likeliest >= 0 and likeliest != flagged.codes[i, blamed[0]]:
                usual = columns.labels[blamed[0]][likeliest]
                told[name] = f"{cell(blamed[0])}, where rows like it in the reference have {usual}"
        elif name in ("broken_dependence", "generated_block", "drifted_block") and by_cell:
            blamed = by_cell
        elif name == "near_duplicate":
            blamed = []
        result.append((blamed, told))
    return result


def _oddness(evidence: np.ndarray, positions: np.ndarray, attributed: np.ndarray | None) -> np.ndarray:
    """Returns what the columns at `positions` are ordered by: their evidence, or its rank and that of their loss."""
    return evidence if attributed is None else midranks(evidence) + midranks(attributed[positions])


def _worst(
    evidence: np.ndarray, positions: np.ndarray, first: dict[int, int], odd: np.ndarray | None = None
) -> list[int]:
    """Returns the columns that are oddest, by their evidence by default: the worst, and two more that are notable."""
    order = np.argsort(-(evidence if odd is None else odd), kind="stable")
    kept = [i for rank, i in enumerate(order) if evidence[i] > (0.0 if rank == 0 else _NOTABLE)]
    return list(dict.fromkeys(first[int(positions[i])] for i in kept))[:_MOST]


def _range(j: int, reference: Side, columns: Columns) -> str:
    x = reference.values[:, j]
    x = x[np.isfinite(x)]
    if not columns.numeric[j] or not len(x):
        shares = np.bincount(reference.codes[:, j], minlength=len(columns.labels[j])) / max(1, len(reference))
        common = [columns.labels[j][code] for code in np.argsort(-shares, kind="stable")[:_MOST] if shares[code] > 0.0]
        return "mostly " + ", ".join(common)
    label = columns.labels[j]
    try:
        float(label[1].removeprefix("below "))
    except ValueError:
        # A date: its labels spell the ends of the range.
        return f"{label[1].removeprefix('below ')} to {label[-1].removeprefix('above ')}"
    return f"{x.min():.6g} to {x.max():.6g}"


def _together(pair: tuple[int, int], codes: np.ndarray, reference: Side, words: str) -> str:
    a, b = (reference.codes[:, j] == codes[j] for j in pair)
    expected = a.mean() * b.mean() * len(reference)
    seen = int((a & b).sum())
    found = "never has them together" if seen == 0 else f"has them together in {seen:,} of {len(reference):,} rows"
    chance = f", where chance alone would give {expected:.0f}" if expected >= 1.0 else ""
    return f"{words}: the reference {found}{chance}"
