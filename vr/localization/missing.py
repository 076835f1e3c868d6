"""What the candidate lacks: regions of the reference that it hardly covers, in conditions on columns.

A shallow tree parts reference from candidate on one half of either sample; a leaf counts as missing where, on the other
half, far fewer candidate rows fall into it than reference rows do, beyond chance over all leaves. The shares come from
that other half, so that they are not flattered by the search.

References:
  Breiman et al. 1984, Classification and regression trees (honest estimates by a test sample).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vr.detector.inputs import Columns, Side

__all__ = ["MissingRegion", "find_missing"]

_DEPTH = 4
_MOST_ROWS = 10_000  # of either side
_LEAST_SHARE = 0.005  # of the reference, for a region to be worth words
_COVERED = 0.5  # of its share that the candidate has at most
_LEVEL = 0.01  # chance of any false region in a report
_MOST = 20
_EXAMPLES = 3
_MOST_CELLS = 24  # of an example, those of the conditions first
_NAMED = 6  # categories of a condition that are spelt


@dataclass(frozen=True)
class MissingRegion:
    """A part of the reference that the candidate does not cover.

    Attributes:
      conditions: In words, one a column; all hold.
      columns: The columns that they are on.
      reference_share: Of the reference's rows that lie in it.
      candidate_share: Of the candidate's.
      rows: Reference rows in it, by number, at most three.
      examples: Their cells, by column, in words.
      codes: First and last code of each encoded column that the conditions are on, by its position.
    """

    conditions: tuple[str, ...]
    columns: tuple[str, ...]
    reference_share: float
    candidate_share: float
    rows: tuple[int, ...]
    examples: tuple[dict[str, str], ...]
    codes: dict[int, tuple[int, int]]

    @property
    def missing_share(self) -> float:
        """Share of the candidate's rows that it would take for the region to be covered as the reference has it."""
        return self.reference_share - self.candidate_share


def find_missing(candidate: Side, reference: Side, columns: Columns, seed: int) -> list[MissingRegion]:
    """Returns the regions, the largest gap first; none where the samples are too small to tell.

    Args:
      candidate: Its sample.
      reference: Its sample.
      columns: The encoded columns.
      seed: Of the halves.
    """
    from sklearn.tree import DecisionTreeClassifier

    rng = np.random.default_rng([seed, 17])
    sides = [side.take(np.sort(rng.permutation(len(side))[:_MOST_ROWS])) for side in (reference, candidate)]
    if min(len(side) for side in sides) < 40:
        return []
    halves = [rng.permutation(len(side)) % 2 for side in sides]
    learn = [side.codes[half == 0] for side, half in zip(sides, halves, strict=True)]
    judge = [side.codes[half == 1] for side, half in zip(sides, halves, strict=True)]
    rows = np.concatenate(learn)
    labels = np.repeat([1, 0], [len(part) for part in learn])
    # Both sides weigh the same, whatever their numbers of rows.
    weights = np.repeat([0.5 / len(part) for part in learn], [len(part) for part in learn])
    tree = DecisionTreeClassifier(
        max_depth=_DEPTH, min_weight_fraction_leaf=_LEAST_SHARE / 2, min_samples_leaf=5, random_state=0
    ).fit(rows.astype(np.float32), labels, sample_weight=weights / weights.sum())
    places = [tree.apply(part.astype(np.float32)) for part in judge]
    leaves = list(_leaves(tree.tree_))
    found = []
    for leaf, limits in leaves:
        counts = [int((place == leaf).sum()) for place in places]
        shares = [count / len(place) for count, place in zip(counts, places, strict=True)]
        if shares[0] < _LEAST_SHARE or shares[1] > _COVERED * shares[0]:
            continue
        if _chance(counts, [len(place) for place in places]) * len(leaves) > _LEVEL:
            continue
        names, conditions = _in_words(limits, columns, sides[0].codes)
        inside = np.flatnonzero(tree.apply(sides[0].codes.astype(np.float32)) == leaf)[:_EXAMPLES]
        found.append(
            MissingRegion(
                conditions,
                names,
                shares[0],
                shares[1],
                tuple(int(row) for row in sides[0].rows[inside]),
                tuple(_cells(sides[0], int(i), columns, sorted(limits)) for i in inside),
                {j: _first_and_last(*limits[j], columns, sides[0].codes, j) for j in sorted(limits)},
            )
        )
    return sorted(found, key=lambda region: -region.missing_share)[:_MOST]


def _leaves(tree: object) -> Iterator[tuple[int, dict[int, tuple[float, float]]]]:
    """Yields each leaf with the open lower and closed upper limit of the codes it asks of each column."""
    open_nodes: list[tuple[int, dict[int, tuple[float, float]]]] = [(0, {})]
    while open_nodes:
        node, limits = open_nodes.pop()
        left, right = int(tree.children_left[node]), int(tree.children_right[node])
        if left < 0:
            yield node, limits
            continue
        column, cut = int(tree.feature[node]), float(tree.threshold[node])
        low, high = limits.get(column, (-np.inf, np.inf))
        open_nodes.append((left, {**limits, column: (low, min(high, cut))}))
        open_nodes.append((right, {**limits, column: (max(low, cut), high)}))


def _first_and_last(low: float, high: float, columns: Columns, reference: np.ndarray, j: int) -> tuple[int, int]:
    """Returns the first and last code of column `j` above `low` and up to `high`; of categories, that occurs."""
    codes = np.arange(int(columns.num_codes[j])) if columns.ordinal[j] else np.unique(reference[:, j])
    inside = codes[(codes > low) & (codes <= high)]
    return int(inside[0]), int(inside[-1])


def _chance(counts: list[int], totals: list[int]) -> float:
    """Returns how likely the candidate would have so few rows there by chance, were it like the reference."""
    from scipy.stats import hypergeom

    # Of all rows in the region, those that are the candidate's.
    return float(hypergeom.cdf(counts[1], sum(totals), totals[1], sum(counts)))


def _in_words(
    limits: dict[int, tuple[float, float]], columns: Columns, reference: np.ndarray
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    names, words = [], []
    for j, (low, high) in sorted(limits.items()):
        codes = np.arange(int(columns.num_codes[j]))
        # Of the outermost codes of numbers only the null may be named; a category only where it occurs.
        seen = np.isin(codes, reference[:, j])
        codes = codes[(codes > low) & (codes <= high) & (seen | (bool(columns.ordinal[j]) & (codes > 0)))]
        names.append(columns.names[j])
        words.append(
            f"{columns.names[j]} {_condition(codes, columns.labels[j], bool(columns.ordinal[j]), reference[:, j])}"
        )
    return tuple(names), tuple(words)


def _condition(codes: np.ndarray, labels: list[str], ordinal: bool, reference: np.ndarray) -> str:
    if len(codes) == 1:
        return f"is {labels[codes[0]]}"
    if not ordinal:
        others = np.setdiff1d(reference, codes)
        shorter = codes if len(codes) <= len(others) else others
        spelt = [labels[code] for code in shorter]
        more = f" and {len(spelt) - _NAMED} more" if len(spelt) > _NAMED else ""
        return f"{'is one of' if shorter is codes else 'is none of'} {', '.join(spelt[:_NAMED])}{more}"
    null = " or null" if codes[0] == 0 else ""
    codes = codes[codes > 0]
    first, last = _ends(labels[codes[0]]), _ends(labels[codes[-1]])
    # The outermost codes are beyond the reference's range, where none of its rows is.
    if codes[0] <= 1:
        return f"up to {last[1]}{null}"
    if codes[-1] == len(labels) - 1:
        return f"from {first[0]}{null}"
    return f"from {first[0]} to {last[1]}{null}"


def _ends(label: str) -> tuple[str, str]:
    low, _, high = label.partition(" to ")
    bare = low.removeprefix("below ").removeprefix("above ")
    return bare, high or bare


def _cells(side: Side, i: int, columns: Columns, first: list[int]) -> dict[str, str]:
    from vr.localization.reasons import spelt

    owner = {j: head for head, parts in columns.parts.items() for j in parts}
    order = list(dict.fromkeys([*(owner[j] for j in first), *columns.parts]))[:_MOST_CELLS]
    cells = (spelt(j, side.codes[i], side.values[i], columns).partition(" = ") for j in order)
    return {name: value for name, _, value in cells}
