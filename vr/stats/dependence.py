"""How much columns tell about each other: rank correlation, Cramer's V, correlation ratio, mutual information.

Pair statistics are counted, not multiplied: tables of all pairs of columns cost O(n d^2) additions, where a one-hot
Gram matrix costs O(n (sum of codes)^2) multiplications.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np

from vr.stats.compiled import compiled
from vr.stats.ranks import midranks

__all__ = [
    "coarsen_codes",
    "correlation_ratio",
    "cramers_v",
    "dependence_matrix",
    "midranks",
    "mutual_information_matrix",
    "pair_entropies",
    "pair_tables",
    "rank_correlation",
]


def rank_correlation(x: np.ndarray) -> np.ndarray:
    """Returns Spearman's rank correlation of every pair of columns, ties by midranks.

    Args:
      x: `[n, d]` codes or floats. With NaN, each pair uses the rows where both are present, ranked within their own
        column.

    Returns:
      Symmetric `float64 [d, d]` in [-1, 1], 1 on the diagonal; 0 against a constant or empty column.
    """
    ranks = midranks(x)
    missing = np.isnan(ranks)
    correlation = _masked_correlation(ranks, missing) if missing.any() else _correlation(ranks)
    np.fill_diagonal(correlation, 1.0)
    return correlation


def cramers_v(a: np.ndarray, b: np.ndarray, ka: int, kb: int) -> float:
    """Returns the bias-corrected Cramer's V of two categorical columns.

    Args:
      a: Codes `[n]` in `[0, ka)`.
      b: Codes `[n]` in `[0, kb)`.
      ka: Number of codes of a.
      kb: Number of codes of b.

    Returns:
      In [0, 1]: 0 for independent or constant columns, 1 where they determine each other.

    References:
      Bergsma 2013, A bias-correction for Cramer's V and Tschuprow's T, eq. 7-9.
    """
    table = np.bincount(a.astype(np.int64) * kb + b, minlength=ka * kb).reshape(1, ka, kb)
    return float(_cramers_v_of_tables(table)[0])


def correlation_ratio(categories: np.ndarray, values: np.ndarray, corrected: bool = False) -> float:
    """Returns the correlation ratio eta: the share of a value's standard deviation that lies between categories.

    Args:
      categories: Codes `[n]`.
      values: `float [n]`; rows with NaN dropped.
      corrected: Remove the upward bias of many small categories (epsilon-squared, floored at 0).

    Returns:
      In [0, 1]: 0 where all categories have one mean (or values are constant), 1 where the category determines the
      value; NaN without rows.

    References:
      Pearson 1905; Kelley 1935, An unbiased correlation ratio measure.
    """
    present = ~np.isnan(values)
    categories, values = categories[present], np.asarray(values, float)[present]
    if not values.size:
        return float("nan")
    standard = _standardised(values[:, None])
    num_categories = int(categories.max()) + 1
    return float(_correlation_ratios(categories, num_categories, standard, corrected)[0])


def dependence_matrix(codes: np.ndarray, ordinal: np.ndarray, num_codes: Sequence[int] | np.ndarray) -> np.ndarray:
    """Returns the strength of dependence of every pair of columns, each by the coefficient that suits the pair.

    Spearman's correlation for two ordinal columns (null, code 0, ranks lowest); bias-corrected Cramer's V for two
    nominal ones; the bias-corrected correlation ratio of midranks for a mixed pair.

    Args:
      codes: Unsigned `[n, d]`, column j in `[0, num_codes[j])`.
      ordinal: `bool [d]`.
      num_codes: `[d]`. Coarsen columns of hundreds of codes first (`coarsen_codes`).

    Returns:
      Symmetric `float64 [d, d]`, 1 on the diagonal; in [-1, 1] where both are ordinal, else in [0, 1]; 0 against a
      constant column.
    """
    ordinal = np.asarray(ordinal, bool)
    num_codes = np.asarray(num_codes)
    ordinal_columns, nominal_columns = np.flatnonzero(ordinal), np.flatnonzero(~ordinal)
    result = np.eye(codes.shape[1])
    standard = _standardised(midranks(codes[:, ordinal_columns]))
    result[np.ix_(ordinal_columns, ordinal_columns)] = np.clip(standard.T @ standard, -1.0, 1.0)
    for j in nominal_columns:
        ratios = _correlation_ratios(codes[:, j], int(num_codes[j]), standard, corrected=True)
        result[j, ordinal_columns] = result[ordinal_columns, j] = ratios
    for i, tables in pair_tables(codes[:, nominal_columns], num_codes[nominal_columns]):
        row, others = nominal_columns[i], nominal_columns[i + 1 :]
        result[row, others] = result[others, row] = _cramers_v_of_tables(tables)
    np.fill_diagonal(result, 1.0)
    return result


def mutual_information_matrix(
    codes: np.ndarray, num_codes: Sequence[int] | np.ndarray, ordinal: np.ndarray | None = None, max_codes: int = 16
) -> np.ndarray:
    """Returns the mutual information `H_i + H_j - H_ij` of every pair of columns in nats, bias-corrected.

    Args:
      codes: Unsigned `[n, d]`, column j in `[0, num_codes[j])`.
      num_codes: `[d]`.
      ordinal: `bool [d]`; says how a column with more than `max_codes` codes is coarsened. All nominal by default.
      max_codes: Codes kept per column, at least 2.

    Returns:
      Symmetric `float64 [d, d]`, entropies on the diagonal. Pairs are at least 0: the Miller-Madow correction can
      take an independent pair slightly below, which is cut.

    References:
      Miller 1955, Note on the bias of information estimates.
    """
    codes, num_codes = coarsen_codes(codes, num_codes, ordinal, max_codes)
    joint = pair_entropies(codes, num_codes)
    single = np.diag(joint)
    information = np.maximum(single[:, None] + single[None, :] - joint, 0.0)
    np.fill_diagonal(information, single)
    return information


def pair_entropies(codes: np.ndarray, num_codes: Sequence[int] | np.ndarray, miller_madow: bool = True) -> np.ndarray:
    """Returns the joint entropy of every pair of columns in nats.

    Args:
      codes: Unsigned `[n, d]`, column j in `[0, num_codes[j])`.
      num_codes: `[d]`.
      miller_madow: Add `(occupied cells - 1) / 2n`, which removes the leading bias.

    Returns:
      Symmetric `float64 [d, d]`, at least 0, the columns' own entropies on the diagonal; NaN without rows.

    Raises:
      ValueError: A code is none of its column's.
    """
    num_rows, num_columns = codes.shape
    num_codes = np.asarray(num_codes, np.int64)
    if num_rows == 0:
        return np.full((num_columns, num_columns), np.nan)
    if len(num_codes) != num_columns or (codes.max(axis=0) >= num_codes).any():
        raise ValueError(f"codes of {num_columns} columns that are not below {num_codes.tolist()}")
    # Counts are integers up to n, so c log c is looked up instead of computed in every cell.
    counts = np.arange(num_rows + 1)
    weight = counts * np.log(np.maximum(counts, 1))
    if miller_madow:
        weight = weight - 0.5 * (counts > 0)
    offset = np.log(num_rows) - (0.5 / num_rows if miller_madow else 0.0)
    columns = np.require(codes.T, np.uint16, ["C", "W"])
    return offset - _weigh_pairs(columns, num_codes, weight) / num_rows


@compiled
def _weight_of(table, weight):
    total = 0.0
    for count in table:
        total += weight[np.uint32(count)]
    return total


@compiled
def _weigh_pairs(columns, num_codes, weight):
    """Returns for every pair of columns the sum over their table's cells of the weight of what a cell counts."""
    d, n = columns.shape
    result = np.empty((d, d))
    largest = 0
    for i in range(d):
        largest = max(largest, num_codes[i])
    table = np.empty(largest * largest, np.int32)
    for i in range(d):
        table[: num_codes[i]] = 0
        for row in range(n):
            table[np.uint32(columns[i, row])] += 1
        result[i, i] = _weight_of(table[: num_codes[i]], weight)
        for j in range(i + 1, d):
            width = np.uint32(num_codes[j])
            size = num_codes[i] * num_codes[j]
            table[:size] = 0
            for row in range(n):
                table[np.uint32(columns[i, row] * width + columns[j, row])] += 1
            result[i, j] = result[j, i] = _weight_of(table[:size], weight)
    return result


def pair_tables(codes: np.ndarray, num_codes: Sequence[int] | np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """Yields, for each column i but the last, its contingency tables with all later columns.

    Args:
      codes: Unsigned `[n, d]`, column j in `[0, num_codes[j])`.
      num_codes: `[d]`.

    Yields:
      `(i, int64 [d - i - 1, num_codes[i], max(num_codes)])`; entry j counts column i against column i + 1 + j.
    """
    num_columns = codes.shape[1]
    width = int(np.max(num_codes, initial=1))
    # Contiguous columns, each already shifted to where its table lies within a block.
    columns = np.ascontiguousarray(codes.T, dtype=np.int64)
    for i in range(num_columns - 1):
        num_others, height = num_columns - i - 1, int(num_codes[i])
        flat = columns[i + 1 :] + columns[i] * width
        flat += np.arange(num_others)[:, None] * (height * width)
        tables = np.bincount(flat.ravel(), minlength=num_others * height * width)
        yield i, tables.reshape(num_others, height, width)


def coarsen_codes(
    codes: np.ndarray, num_codes: Sequence[int] | np.ndarray, ordinal: np.ndarray | None, max_codes: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns codes merged to at most `max_codes` a column, the same way for every sample.

    Ordinal codes merge with their neighbours, null (0) staying apart; nominal codes from `max_codes - 1` on become
    one, which is the rarest where codes go by falling frequency. The map depends on `num_codes` alone, so a reference
    and a candidate stay comparable.

    Args:
      codes: Unsigned `[n, d]`, column j in `[0, num_codes[j])`.
      num_codes: `[d]`.
      ordinal: `bool [d]`, or None for all nominal.
      max_codes: At least 2.

    Returns:
      `(codes uint16 [n, d], num_codes int64 [d])`.
    """
    num_codes = np.asarray(num_codes, dtype=np.int64)
    if codes.dtype == np.uint16 and np.max(num_codes, initial=0) <= max_codes:
        return codes, num_codes
    ordinal = np.zeros(len(num_codes), bool) if ordinal is None else np.asarray(ordinal, bool)
    coarse = np.empty(codes.shape[::-1], dtype=np.uint16)
    for j, new in enumerate(_coarser(tuple(num_codes.tolist()), tuple(ordinal.tolist()), max_codes)):
        np.take(new, codes[:, j], out=coarse[j])
    return coarse.T, np.minimum(num_codes, max_codes)


@lru_cache(maxsize=64)  # of the codecs of a few references, at the few numbers of codes that statistics ask for
def _coarser(num_codes: tuple[int, ...], ordinal: tuple[bool, ...], max_codes: int) -> list[np.ndarray]:
    """Returns of each column what every code becomes."""
    tables = []
    for k, is_ordinal in zip(num_codes, ordinal, strict=True):
        old = np.arange(k)
        if k <= max_codes:
            new = old
        elif is_ordinal:
            new = np.where(old == 0, 0, 1 + (old - 1) * (max_codes - 1) // (k - 1))
        else:
            new = np.minimum(old, max_codes - 1)
        tables.append(new.astype(np.uint16))
    return tables


def _standardised(columns: np.ndarray) -> np.ndarray:
    """Centres columns and scales them to unit length; constant columns become 0."""
    centred = columns - columns.mean(axis=0) if len(columns) else columns
    length = np.sqrt(np.einsum("nd,nd->d", centred, centred))
    # Centring leaves rounding of the order of 1e-16 of the values behind, which is not a spread.
    floor = 1e-12 * np.sqrt(np.einsum("nd,nd->d", columns, columns))
    return np.where(length > floor, centred / np.where(length > 0, length, 1.0), 0.0)


def _correlation(columns: np.ndarray) -> np.ndarray:
    standard = _standardised(columns)
    return np.clip(standard.T @ standard, -1.0, 1.0)


def _masked_correlation(columns: np.ndarray, missing: np.ndarray) -> np.ndarray:
    """Pearson correlation over the rows where both columns are present, from four products with the mask."""
    mask = (~missing).astype(float)
    num_values = mask.sum(axis=0)
    # Centring by the column's own mean first keeps the sums small, so that differences of them stay exact.
    mean = np.where(missing, 0.0, columns).sum(axis=0) / np.maximum(num_values, 1.0)
    x = np.where(missing, 0.0, columns - mean)
    num_rows = np.maximum(mask.T @ mask, 1.0)
    sums, squares = x.T @ mask, (x * x).T @ mask
    covariance = x.T @ x - sums * sums.T / num_rows
    variance = squares - sums * sums / num_rows
    floor = 1e-12 * np.maximum(squares, 1.0)
    usable = (variance > floor) & (variance.T > floor.T)
    scale = np.sqrt(np.where(usable, variance * variance.T, 1.0))
    return np.clip(np.where(usable, covariance / scale, 0.0), -1.0, 1.0)


def _cramers_v_of_tables(tables: np.ndarray) -> np.ndarray:
    """Bias-corrected Cramer's V of each table in `[t, r, c]`."""
    tables = tables.astype(float)
    rows, columns = tables.sum(axis=2), tables.sum(axis=1)
    n = rows.sum(axis=1)
    # chi^2 / n = sum of n_ij^2 / (n_i n_j) - 1, over occupied rows and columns.
    row_weight = np.where(rows > 0, 1.0 / np.maximum(rows, 1.0), 0.0)
    column_weight = np.where(columns > 0, 1.0 / np.maximum(columns, 1.0), 0.0)
    tables *= tables
    phi2 = np.einsum("tc,tc->t", (row_weight[:, None, :] @ tables)[:, 0, :], column_weight) - 1.0
    r, c = np.count_nonzero(rows, axis=1), np.count_nonzero(columns, axis=1)
    spare = np.maximum(n - 1.0, 1.0)
    phi2 = np.maximum(phi2 - (r - 1) * (c - 1) / spare, 0.0)
    width = np.minimum(r - (r - 1) ** 2 / spare, c - (c - 1) ** 2 / spare) - 1.0
    return np.where(width > 0, np.sqrt(np.clip(phi2 / np.where(width > 0, width, 1.0), 0.0, 1.0)), 0.0)


def _correlation_ratios(
    categories: np.ndarray, num_categories: int, standard: np.ndarray, corrected: bool
) -> np.ndarray:
    """Correlation ratio of each centred, unit-length column of `standard` within the categories."""
    num_rows = len(categories)
    counts = np.bincount(categories, minlength=num_categories)
    # A dense one-hot product: for some tens of categories BLAS outruns every way of summing by group.
    one_hot = (np.arange(num_categories)[:, None] == categories).astype(standard.dtype)
    sums = one_hot @ standard
    explained = (sums**2 / np.maximum(counts, 1)[:, None]).sum(axis=0)
    num_occupied = np.count_nonzero(counts)
    if corrected:
        spare = num_rows - num_occupied
        varies = np.any(standard != 0, axis=0)
        explained = 1.0 - (1.0 - explained) * (num_rows - 1) / spare if spare > 0 else np.zeros(len(explained))
        explained = np.where(varies, explained, 0.0)
    return np.sqrt(np.clip(explained, 0.0, 1.0))
