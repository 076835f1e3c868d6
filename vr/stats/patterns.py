"""Joint patterns of codes: which occur, which are missing, and how much lies unseen.

A pattern is the tuple of one row's codes in some columns. What collapse loses first are rare patterns, long before any
variance moves.
"""

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import NamedTuple

import numpy as np
from scipy.special import chdtri, ndtri

__all__ = [
    "MissingMass",
    "chao1",
    "effective_generations",
    "effective_generations_interval",
    "missing_mass",
    "pattern_ids",
    "pattern_tables",
    "uncovered_mass",
    "uncovered_pair_mass",
]

# Depths beyond this cannot be told apart: survival falls like 2 / k.
_MAX_GENERATIONS = 256


class MissingMass(NamedTuple):
    """The unseen share of a distribution with its interval, all in [0, 1]."""

    value: float
    lower: float
    upper: float


def pattern_ids(
    codes: np.ndarray, columns: Sequence[int] | np.ndarray, num_codes: Sequence[int] | np.ndarray | None = None
) -> np.ndarray:
    """Returns one number for each row's joint pattern in the given columns, comparable between datasets.

    Args:
      codes: Unsigned `[n, d]`.
      columns: Column numbers, at least one.
      num_codes: `[d]`, the number of codes of every column; without it every column may use all of uint16. Where the
        possible patterns outnumber 63 bits, ids are 64-bit hashes: two patterns share one with probability 2^-64.

    Returns:
      `int64 [n]`; equal numbers for equal patterns.
    """
    sizes = np.full(codes.shape[1], 1 << 16) if num_codes is None else np.asarray(num_codes)
    num_bits = float(np.log2(np.maximum(sizes[columns], 1)).sum())
    if num_bits < 62:
        ids = np.zeros(len(codes), dtype=np.int64)
        for j in columns:
            ids = ids * int(sizes[j]) + codes[:, j]
        return ids
    hashed = np.zeros(len(codes), dtype=np.uint64)
    for j in columns:
        hashed = _mix(hashed + codes[:, j].astype(np.uint64))
    return hashed.view(np.int64)


def pattern_tables(
    codes: np.ndarray, sets: Sequence[Sequence[int]] | np.ndarray, num_codes: Sequence[int] | np.ndarray
) -> np.ndarray:
    """Returns how many rows show each possible joint pattern in each of several sets of columns.

    Args:
      codes: Unsigned `[n, d]`, column j in `[0, num_codes[j])`.
      sets: Column numbers `[t, w]`, w at least one; the largest product of their numbers of codes is the table's width.
      num_codes: `[d]`.

    Returns:
      `int64 [t, k]`, comparable between datasets; a set of fewer patterns than k has zeros after them.
    """
    sets, sizes, columns = np.asarray(sets), np.asarray(num_codes, np.int64), codes.T
    width = int(sizes[sets].prod(axis=1).max(initial=1))
    ids = np.zeros((len(sets), len(codes)), np.int64)
    for place in sets.T:
        ids *= sizes[place][:, None]
        ids += columns[place]
    ids += np.arange(len(sets))[:, None] * width
    return np.bincount(ids.ravel(), minlength=len(sets) * width).reshape(len(sets), width)


def uncovered_mass(reference_ids: np.ndarray, candidate_ids: np.ndarray) -> float:
    """Returns the share of reference rows whose pattern never occurs in the candidate.

    It falls with the candidate's length: compare at equal n, and against a reference split.

    Args:
      reference_ids: Integers `[n]`, as from `pattern_ids`.
      candidate_ids: Integers `[m]`.

    Returns:
      In [0, 1]: 0 where all reference patterns occur, 1 where none does; NaN without reference rows.
    """
    if not len(reference_ids):
        return float("nan")
    return float(1.0 - np.mean(np.isin(reference_ids, candidate_ids)))


def uncovered_pair_mass(
    reference: np.ndarray, candidate: np.ndarray, num_codes: Sequence[int] | np.ndarray
) -> np.ndarray:
    """Returns `uncovered_mass` of the patterns of every pair of columns.

    Args:
      reference: Unsigned codes `[n, d]`; coarsened to at most some tens of codes a column.
      candidate: Unsigned codes `[m, d]`.
      num_codes: `[d]`.

    Returns:
      Symmetric `float64 [d, d]` in [0, 1], single columns on the diagonal; NaN without reference rows.
    """
    num_columns = reference.shape[1]
    if not len(reference):
        return np.full((num_columns, num_columns), np.nan)
    width = int(np.max(num_codes, initial=1))
    r, c = (np.ascontiguousarray(codes.T, dtype=np.int64) for codes in (reference, candidate))
    result = np.empty((num_columns, num_columns))
    for i in range(num_columns):
        # Column i against itself and all later ones, each pair in a table of its own.
        num_pairs = num_columns - i
        offsets = np.arange(num_pairs)[:, None] * (int(num_codes[i]) * width)
        seen = np.zeros(num_pairs * int(num_codes[i]) * width, dtype=bool)
        seen[offsets + c[i] * width + c[i:]] = True
        covered = seen[offsets + r[i] * width + r[i:]]
        result[i, i:] = result[i:, i] = 1.0 - covered.mean(axis=1)
    return result


def missing_mass(
    num_singletons: int, num_rows: int, num_doubletons: int | None = None, level: float = 0.95
) -> MissingMass:
    """Returns Good and Turing's estimate of the probability that a new row shows a pattern never seen.

    Args:
      num_singletons: Patterns seen exactly once.
      num_rows: Rows in the sample.
      num_doubletons: Patterns seen exactly twice. With it the interval is Esty's; without it the worst case over all
        distributions, `sd = 0.786 / sqrt(n)`.
      level: Coverage of the interval, in (0, 1).

    Returns:
      `MissingMass`; without a single singleton the upper end is the rule of three's. NaN without rows.

    References:
      Good 1953; Esty 1983, A normal limit law for a nonparametric estimator of the coverage of a random sample;
      Rajaraman, Thangaraj and Suresh 2017, Minimax risk for missing mass estimation (worst case below 0.6179 / n).
    """
    if num_rows == 0:
        return MissingMass(*[float("nan")] * 3)
    value = num_singletons / num_rows
    if num_doubletons is None:
        deviation = np.sqrt(0.6179 / num_rows)
    else:
        deviation = np.sqrt(num_singletons * (1.0 - value) + 2.0 * num_doubletons) / num_rows
    margin = ndtri(0.5 + level / 2.0) * deviation
    upper = max(value + margin, -np.log1p(-level) / num_rows)
    return MissingMass(value, float(max(value - margin, 0.0)), float(min(upper, 1.0)))


def chao1(num_distinct: int, num_singletons: int, num_doubletons: int) -> float:
    """Returns a lower bound on the number of patterns that exist, seen or not.

    Args:
      num_distinct: Patterns seen.
      num_singletons: Patterns seen exactly once.
      num_doubletons: Patterns seen exactly twice.

    Returns:
      At least `num_distinct`; equal to it without singletons.

    References:
      Chao 1984, Nonparametric estimation of the number of classes in a population; the form that needs no doubletons
      is Chao 1987, eq. 12's bias correction.
    """
    if num_doubletons == 0:
        return num_distinct + num_singletons * (num_singletons - 1) / 2.0
    return num_distinct + num_singletons**2 / (2.0 * num_doubletons)


def effective_generations(reference_counts: np.ndarray, candidate_counts: np.ndarray, min_count: int = 3) -> float:
    """Returns through how many rounds of resampling the candidate's lost patterns would have gone.

    A pattern expected lambda times a round is extinct after k rounds with probability `exp(-lambda s_k)`, where
    `s_1 = 1` and `s_{k+1} = 1 - exp(-s_k)` (a branching process with Poisson offspring). The reference knows lambda
    only by its own count c; with the scale-free prior that is gamma of shape c, and the probability becomes
    `(1 + s_k m / n)^-c`. s is fitted by likelihood over which patterns occur, then read back as k.

    A fresh real sample gives about 1: 0.8 to 1.3 on Zipf, geometric and product distributions, up to 1.9 where most
    patterns are expected less than once; depths 2 to 10 come out within a third. It means something only where
    patterns are truly absent (a generator that smooths keeps it low whatever its depth) and only where some could be
    lost: all common patterns being there says 0.

    Args:
      reference_counts: Integers `[k]`, rows of each pattern in the reference.
      candidate_counts: Integers `[k]`, the same patterns in the candidate.
      min_count: Patterns rarer than this in the reference are left out, as their lambda is mostly guesswork.

    Returns:
      From 0 (nothing lost) to 256; NaN where the reference has no usable pattern or the candidate no rows.

    References:
      Athreya and Ney 1972, Branching processes, section I.1; Suresh et al. 2024 (arXiv 2412.17646) for survival over
      generations.
    """
    return effective_generations_interval(reference_counts, candidate_counts, min_count)[0]


def effective_generations_interval(
    reference_counts: np.ndarray, candidate_counts: np.ndarray, min_count: int = 3, level: float = 0.95
) -> tuple[float, float, float]:
    """Returns `effective_generations` with its profile-likelihood interval.

    Args:
      reference_counts: Integers `[k]`.
      candidate_counts: Integers `[k]`.
      min_count: As in `effective_generations`.
      level: Nominal coverage of the interval, in (0, 1); patterns of one row are not independent, so it is a little
        optimistic.

    Returns:
      `(value, lower, upper)`; an end at 0 or 256 means unbounded. NaN as in `effective_generations`.

    References:
      Wilks 1938 for the interval.
    """
    reference_counts, candidate_counts = np.asarray(reference_counts), np.asarray(candidate_counts)
    usable = reference_counts >= min_count
    n, m = int(reference_counts.sum()), int(candidate_counts.sum())
    if not usable.any() or m == 0:
        return float("nan"), float("nan"), float("nan")
    # Patterns of one count share one probability, so the likelihood needs two numbers for each count.
    of_all = np.bincount(reference_counts[usable])
    of_lost = np.bincount(reference_counts[usable & (candidate_counts == 0)], minlength=len(of_all))
    counts = np.flatnonzero(of_all)
    num_lost = of_lost[counts].astype(float)
    num_kept = of_all[counts] - num_lost
    depths, _ = _depth_grid()
    log_lost, log_kept = _log_chances(tuple(counts.tolist()), m / n)
    likelihood = log_lost @ num_lost + log_kept @ num_kept
    best = int(np.argmax(likelihood))
    inside = np.flatnonzero(likelihood >= likelihood[best] - 0.5 * chdtri(1, 1.0 - level))
    return float(depths[best]), float(depths[inside[0]]), float(depths[inside[-1]])


@lru_cache(maxsize=16)  # of the splits of two references, which candidate after candidate is held against
def _log_chances(counts: tuple[int, ...], ratio: float) -> tuple[np.ndarray, np.ndarray]:
    """Returns the log chances that a pattern is lost and that it is kept, by depth and count, `[g, k]` each.

    Args:
      counts: Rows that have the pattern in the reference.
      ratio: Rows of the candidate to those of the reference.
    """
    _, survival = _depth_grid()
    log_lost = -np.array(counts) * np.log1p(survival[:, None] * ratio)
    return log_lost, np.log(-np.expm1(log_lost))


@cache
def _depth_grid() -> tuple[np.ndarray, np.ndarray]:
    """Depths from 0 to `_MAX_GENERATIONS` and the survival factor s of each, continued between whole depths."""
    survival = [1.0]
    while len(survival) < _MAX_GENERATIONS:
        survival.append(-np.expm1(-survival[-1]))
    whole = np.arange(1, _MAX_GENERATIONS + 1)
    # Less than one round: a candidate that lost fewer patterns than a fresh sample would, as 1 / s, which meets s_1.
    below = np.linspace(0.02, 1.0, 50)[:-1]
    steps = np.geomspace(1.0, _MAX_GENERATIONS, 600)
    factor = np.exp(np.interp(np.log(steps), np.log(whole), np.log(survival)))
    depths, factors = np.concatenate([below, steps]), np.concatenate([1.0 / below, factor])
    depths[0] = 0.0
    return depths, factors


def _mix(x: np.ndarray) -> np.ndarray:
    """SplitMix64's step (Steele, Lea and Flood 2014): a bijection that spreads every bit over all 64."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))
