"""What the candidate lacks: regions of the reference that it hardly covers, in conditions on columns.

A shallow tree parts reference from candidate on one half of either sample; a leaf counts as missing where, on the other
half, far fewer candidate rows fall into it than reference rows do, beyond chance over all leaves. The shares come from
that other half, so that they are not flattered by the search.

References:
  Breiman et al. 1984, Classification and regression trees (honest estimates by a test sample).
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import chdtrc, gammaln

from vr.detector.inputs import Columns, Side
from vr.localization.parting import leaf_limits, leaves_of

__all__ = ["MissingRegion", "Stratum", "find_missing", "find_strata"]

_DEPTH = 4
_MOST_ROWS = 10_000  # of either side
_LEAST_SHARE = 0.005  # of the reference, for a region to be worth words
_LEAST_STRATUM = 0.05  # of both sides' rows together, as much of either, for a part to have a weight of its own
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


@dataclass(frozen=True)
class Stratum:
    """A part of both datasets.

    Attributes:
      conditions: In words, one a column; all hold.
      codes: First and last code of each encoded column that they are on, by its position.
      reference_share: Of the reference's rows that lie in it.
      candidate_share: Of the candidate's.
    """

    conditions: tuple[str, ...]
    codes: dict[int, tuple[int, int]]
    reference_share: float
    candidate_share: float


def find_missing(candidate: Side, reference: Side, columns: Columns, seed: int) -> list[MissingRegion]:
    """Returns the regions, the largest gap first; none where the samples are too small to tell.

    Args:
      candidate: Its sample.
      reference: Its sample.
      columns: The encoded columns.
      seed: Of the halves.
    """
    parted = _parted(candidate, reference, seed, np.arange(len(columns.names)), _LEAST_SHARE / 2)
    if parted is None:
        return []
    found = []
    for leaf in parted.leaves:
        shares = [count / total for count, total in zip(leaf.counts, parted.totals, strict=True)]
        if shares[0] < _LEAST_SHARE or shares[1] > _COVERED * shares[0]:
            continue
        if _chance(leaf.counts, parted.totals) * len(parted.leaves) > _LEVEL:
            continue
        whole = parted.reference
        names, conditions = _in_words(leaf.limits, columns, whole.codes)
        inside = np.flatnonzero(parted.place == leaf.node)[:_EXAMPLES]
        found.append(
            MissingRegion(
                conditions,
                names,
                shares[0],
                shares[1],
                tuple(int(row) for row in whole.rows[inside]),
                tuple(_cells(whole, int(i), columns, sorted(leaf.limits)) for i in inside),
                _codes(leaf.limits, columns, whole.codes),
            )
        )
    return sorted(found, key=lambda region: -region.missing_share)[:_MOST]


def find_strata(
    candidate: Side, reference: Side, columns: Columns, seed: int, able: np.ndarray | None = None
) -> list[Stratum]:
    """Returns parts that both sides fall into at other shares beyond chance; none where they do not, or are too small.

    They are disjoint and hold every row that lies where the reference has some.

    Args:
      candidate: Its sample.
      reference: Its sample.
      columns: The encoded columns.
      seed: Of the halves.
      able: Positions of the columns that conditions may be on; None: all.
    """
    able = np.arange(len(columns.names)) if able is None else able
    parted = _parted(candidate, reference, seed, able, _LEAST_STRATUM)
    if parted is None or len(parted.leaves) < 2:
        return []
    counts = np.array([leaf.counts for leaf in parted.leaves])
    if _differ_by_chance(counts[counts.sum(axis=1) > 0]) > _LEVEL:
        return []
    return [
        Stratum(
            _in_words(leaf.limits, columns, parted.reference.codes)[1],
            _codes(leaf.limits, columns, None),
            *(count / total for count, total in zip(leaf.counts, parted.totals, strict=True)),
        )
        for leaf in parted.leaves
        if leaf.counts[0]
    ]


@dataclass(frozen=True)
class _Leaf:
    """A leaf, the limits that it asks of codes, and the rows of the judging halves in it, reference first."""

    node: int
    limits: dict[int, tuple[float, float]]
    counts: list[int]


@dataclass(frozen=True)
class _Parted:
    """A tree's leaves, the rows of either judging half, and where the reference's rows fall."""

    leaves: list[_Leaf]
    totals: list[int]
    reference: Side
    place: np.ndarray


def _parted(candidate: Side, reference: Side, seed: int, able: np.ndarray, least: float) -> _Parted | None:
    """Returns the leaves of a tree that parts the reference from the candidate, None where there are too few rows."""
    rng = np.random.default_rng([seed, 17])
    sides = [side.take(np.sort(rng.permutation(len(side))[:_MOST_ROWS])) for side in (reference, candidate)]
    if min(len(side) for side in sides) < 40 or not len(able):
        return None
    halves = [rng.permutation(len(side)) % 2 for side in sides]
    learn = [side.codes[half == 0] for side, half in zip(sides, halves, strict=True)]
    judge = [side.codes[half == 1] for side, half in zip(sides, halves, strict=True)]
    rows = np.concatenate(learn)[:, able]
    limits = leaf_limits(rows, np.repeat([1, 0], [len(part) for part in learn]), _DEPTH, least)
    places = [leaves_of(part[:, able], limits) for part in judge]
    leaves = [
        _Leaf(
            node,
            {int(able[j]): limit for j, limit in asked.items()},
            [int((place == node).sum()) for place in places],
        )
        for node, asked in enumerate(limits)
    ]
    place = leaves_of(sides[0].codes[:, able], limits)
    return _Parted(leaves, [len(place) for place in places], sides[0], place)


def _codes(
    limits: dict[int, tuple[float, float]], columns: Columns, reference: np.ndarray | None
) -> dict[int, tuple[int, int]]:
    """Returns the first and last code that the limits leave each column; of categories, that occurs in `reference`."""
    found = {}
    for j, (low, high) in sorted(limits.items()):
        codes = np.arange(int(columns.num_codes[j]))
        if reference is not None and not columns.ordinal[j]:
            codes = np.unique(reference[:, j])
        inside = codes[(codes > low) & (codes <= high)]
        found[j] = int(inside[0]), int(inside[-1])
    return found


def _chance(counts: list[int], totals: list[int]) -> float:
    """Returns how likely the candidate would have so few rows there by chance, were it like the reference."""
    # Of all rows in the region, those that are the candidate's: hypergeometric.
    inside = sum(counts)
    fewer = np.arange(max(0, inside - totals[0]), counts[1] + 1)
    chances = _log_choices(totals[1], fewer) + _log_choices(totals[0], inside - fewer)
    return min(1.0, float(np.exp(chances - _log_choices(sum(totals), inside)).sum()))


def _log_choices(num: int, taken: np.ndarray | int) -> np.ndarray:
    return gammaln(num + 1.0) - gammaln(np.asarray(taken) + 1.0) - gammaln(num - np.asarray(taken) + 1.0)


def _differ_by_chance(counts: np.ndarray) -> float:
    """Returns how likely columns of counts `[k, 2]`, no row or column of them 0, are as unlike (Pearson's test)."""
    if len(counts) < 2:
        return 1.0
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / counts.sum()
    apart = np.abs(counts - expected)
    if len(counts) == 2:
        apart = np.maximum(apart - 0.5, 0.0)  # Yates 1934: one degree of freedom
    return float(chdtrc(len(counts) - 1, (np.square(apart) / expected).sum()))


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
