"""Rows that nearly repeat another row: equal in all but a few columns of codes, found by hashing and not by pairs.

Two rows that differ in at most t of d columns agree on one of t + 1 disjoint bands of columns at least (pigeonhole), so
equal hashes of a band propose the pairs, and counting the columns that differ decides. Up to `_MOST_PARTNERS` earlier
rows of a band are tried for each row; only where a band has more equal rows than that can a near row be missed.
"""

from typing import NamedTuple

import numpy as np

__all__ = ["NearRows", "allowed_differences", "near_rows"]

_MOST_PARTNERS = 4


class NearRows(NamedTuple):
    """For each row the nearest row found, int64 `[n]`, -1 where there is none; and in how many columns they differ."""

    partner: np.ndarray
    differing: np.ndarray


def allowed_differences(num_columns: int, share: float = 0.1) -> int:
    """Returns how many of d columns may differ between near rows: a tenth, at least 1 where there are 3 or more."""
    if num_columns < 3:
        return 0
    return max(1, int(share * num_columns))


def near_rows(codes: np.ndarray, max_differing: int, others: np.ndarray | None = None) -> NearRows:
    """Returns, for each row, a row that equals it in all but 1 to `max_differing` columns.

    Exact repeats are no near rows: a group of equal rows has its near row outside of the group.

    Args:
      codes: Unsigned `[n, d]`.
      max_differing: From 0 (nothing is near) to d - 1.
      others: Unsigned `[m, d]`: look among these rows, instead of among `codes` itself.

    Returns:
      `NearRows`; partners are positions in `others` where given. Of several the one of fewest differing columns.
    """
    num_rows, num_columns = codes.shape
    partner, differing = np.full(num_rows, -1, np.int64), np.full(num_rows, num_columns + 1, np.int64)
    pool = codes if others is None else others
    if max_differing < 1 or not len(pool) or num_columns < 2:
        return NearRows(partner, np.where(partner >= 0, differing, -1))
    hashes = _cell_hashes(codes)
    # Repeats would crowd out the near rows: each group of equal rows is looked at once.
    _, first, group = np.unique(hashes.sum(axis=1), return_index=True, return_inverse=True)
    kept = first
    own = theirs = hashes[first]
    if others is not None:
        theirs = _cell_hashes(others)
        kept = np.unique(theirs.sum(axis=1), return_index=True)[1]
        theirs = theirs[kept]
    partner, differing = partner[first], differing[first]
    for band in _bands(num_columns, max_differing):
        mine = own[:, band].sum(axis=1)
        for rows, found in _partners(mine, mine if others is None else theirs[:, band].sum(axis=1), others is None):
            apart = np.count_nonzero(codes[first[rows]] != pool[kept[found]], axis=1)
            better = (apart >= 1) & (apart <= max_differing) & (apart < differing[rows])
            partner[rows[better]], differing[rows[better]] = kept[found[better]], apart[better]
    return NearRows(partner[group], np.where(partner >= 0, differing, -1)[group])


def _bands(num_columns: int, max_differing: int) -> list[np.ndarray]:
    """Returns the sets of columns that two near rows agree on one of."""
    columns = np.arange(num_columns)
    if max_differing == 1:
        # All columns but one: equal hashes then are all it takes.
        return [np.delete(columns, j) for j in columns]
    # Columns side by side tell much the same; every band gets some of all parts.
    return [columns[start :: max_differing + 1] for start in range(max_differing + 1)]


def _cell_hashes(codes: np.ndarray) -> np.ndarray:
    """Returns uint64 `[n, d]`; sums over columns are hashes of a row's cells there."""
    salt = np.random.default_rng(41).integers(0, 2**63, codes.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    x = (codes.astype(np.uint64) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15) ^ salt
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    return (x ^ (x >> np.uint64(27))) * salt


def _partners(mine: np.ndarray, pool: np.ndarray, same: bool) -> list[tuple[np.ndarray, np.ndarray]]:
    """Returns pairs of positions (of `mine`, of `pool`) with equal hashes, in rounds of one partner a row."""
    order = np.argsort(pool, kind="stable")
    ranked = pool[order]
    rounds = []
    if same:
        # Neighbours in the sorted order, either way.
        for step in range(1, _MOST_PARTNERS + 1):
            equal = np.flatnonzero(ranked[step:] == ranked[:-step])
            if not len(equal):
                break
            rounds += [(order[equal], order[equal + step]), (order[equal + step], order[equal])]
        return rounds
    first = np.searchsorted(ranked, mine)
    for step in range(_MOST_PARTNERS):
        at = first + step
        rows = np.flatnonzero(at < len(ranked))
        rows = rows[ranked[at[rows]] == mine[rows]]
        if not len(rows):
            break
        rounds.append((rows, order[at[rows]]))
    return rounds
