"""All that is said of a dataset's variety, measured once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from vr.detector.inputs import Inputs, Side, Statistics
from vr.detector.metric import Feature
from vr.diversity.clusters import Clusters, find_clusters
from vr.diversity.columns import ColumnVariety, column_statistics, column_variety
from vr.diversity.outliers import Outliers, find_outliers
from vr.diversity.rare import RarePattern, find_rare
from vr.diversity.texts import text_variety
from vr.diversity.variety import Variety, joint_statistics, joint_variety
from vr.stats.near_rows import allowed_differences, near_rows

__all__ = ["Diversity", "NearPair", "measure"]

_PAIR_ROWS = 4_000  # of the sample, among which near repeats are listed
_MOST_PAIRS = 20
_MOST_TEXTS = 5  # text columns


@dataclass(frozen=True)
class NearPair:
    """Two rows, by number, that are coded alike in all columns but the ones named."""

    row: int
    other_row: int
    columns: list[str]


@dataclass(frozen=True)
class Diversity:
    """What was measured; each part says what it could not measure, and why.

    Attributes:
      columns: Those that lost most first.
      variety: On samples of equal size.
      clusters: Or why there are none.
      rare: Combinations lost, new and odd.
      near_pairs: Rows that nearly repeat each other, those that differ least first.
      outliers: Rows far from all others.
      texts: What there is of each text column, by its name.
    """

    columns: list[ColumnVariety]
    variety: Variety
    clusters: Clusters | str
    rare: list[RarePattern]
    near_pairs: list[NearPair]
    outliers: Outliers
    texts: Mapping[str, dict[str, Feature]]


def measure(inputs: Inputs, texts: Sequence[str] = ()) -> Diversity:
    """Returns the variety of the candidate beside the reference's, or by itself where there is none.

    Args:
      inputs: Both samples.
      texts: Names of the text columns; the first few are looked at.
    """
    # A reference that is too small for splits is too small to be held against, too.
    reference = inputs.reference if inputs.splits else None
    columns, candidate = inputs.columns, inputs.candidate
    compared = _compared(inputs) if inputs.splits else {}
    return Diversity(
        column_variety(inputs, compared),
        joint_variety(inputs, compared),
        find_clusters(candidate, reference, columns, inputs.seed),
        find_rare(candidate, reference, columns),
        _near_pairs(inputs),
        find_outliers(candidate, reference, inputs.seed),
        _of_texts(inputs, texts[:_MOST_TEXTS]) if texts else {},
    )


def _of_texts(inputs: Inputs, names: Sequence[str]) -> Mapping[str, dict[str, Feature]]:
    own, theirs = inputs.candidate_profile.sample.table, None
    if inputs.splits and inputs.reference_profile is not None and inputs.reference is not None:
        sample = inputs.reference_profile.sample
        # Rows that occur in the candidate were set aside.
        theirs = sample.table.take(pa.array(np.flatnonzero(np.isin(sample.rows, inputs.reference.rows))))
    return text_variety(own, theirs, list(names), inputs.seed)


def _compared(inputs: Inputs) -> dict[str, Feature]:
    """Returns columns and joint patterns over all splits, at once: keeping libraries' threads off costs its time."""
    joint = joint_statistics(inputs)

    def against(base: Side) -> Statistics:
        parts = column_statistics(base, inputs.columns), joint(base)

        def statistics(x: Side, rng: np.random.Generator) -> dict[str, float]:
            del rng  # nothing is drawn
            return {name: value for part in parts for name, value in part(x).items()}

        return statistics

    return inputs.compare("diversity", against)


def _near_pairs(inputs: Inputs) -> list[NearPair]:
    side, names = inputs.candidate, inputs.columns.names
    part = side.take(np.arange(min(_PAIR_ROWS, len(side))))
    codes = part.codes[:, inputs.pair_columns]
    found = near_rows(codes, allowed_differences(codes.shape[1]))
    near = np.flatnonzero(found.partner >= 0)
    result, told = [], set()
    for i in near[np.argsort(found.differing[near], kind="stable")].tolist():
        pair = (min(i, int(found.partner[i])), max(i, int(found.partner[i])))
        if pair in told:
            continue
        told.add(pair)
        first, second = pair
        apart: Sequence[int] = inputs.pair_columns[np.flatnonzero(codes[first] != codes[second])].tolist()
        result.append(NearPair(int(part.rows[first]), int(part.rows[second]), [names[j] for j in apart]))
        if len(result) == _MOST_PAIRS:
            break
    return result
