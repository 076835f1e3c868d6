"""How well each column can be predicted from all the others, by ridge regression on a small basis of each column.

One inverse serves all columns. With A = X'X + ridge and P = A^-1, the ridge regression of the features G of one column
on all other features leaves the residuals `X P[:, G] P[G, G]^-1`: the block inverse contains every leave-one-out fit.

References:
  Whittaker 1990, Graphical models in applied multivariate statistics, section 5.7 (partial variances from the inverse);
  TabStruct (arXiv 2509.11950) for predicting every column from the rest as a task-free measure of a table's use.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vr.stats.dependence import coarsen_codes

__all__ = [
    "ColumnBasis",
    "fit_column_basis",
    "predictability",
    "predictability_gap",
    "predictability_transfer",
    "prepare_test",
]

# Degrees of the polynomials in the rank: the first is the column itself, the others let it act in a bent way.
_DEGREE = 3


@dataclass(frozen=True)
class ColumnBasis:
    """A fixed map from codes to features, fitted on a reference so that every sample is seen in the same terms.

    Attributes:
      tables: Per column `float64 [num_codes[j], p_j]`, the features of each code. Ordinal columns: polynomials of the
        rank, orthonormal on the reference, the rank first. Nominal columns: one indicator a code, centred.
      groups: `int [p]`, the column of each feature.
      targets: `bool [p]`, the features to be predicted: ranks and indicators, not the higher polynomials.
    """

    tables: tuple[np.ndarray, ...]
    groups: np.ndarray
    targets: np.ndarray

    def transform(self, codes: np.ndarray) -> np.ndarray:
        """Returns `float64 [n, p]` features of `codes [n, d]`; a code beyond the table counts as the last one."""
        columns = [table[np.minimum(codes[:, j], len(table) - 1)] for j, table in enumerate(self.tables)]
        return np.concatenate(columns, axis=1) if columns else np.zeros((len(codes), 0))


def fit_column_basis(
    codes: np.ndarray, ordinal: np.ndarray, num_codes: Sequence[int] | np.ndarray, max_codes: int = 16
) -> ColumnBasis:
    """Returns the basis of every column, fitted on a reference.

    Args:
      codes: Unsigned `[n, d]`, at least one row.
      ordinal: `bool [d]`.
      num_codes: `[d]`.
      max_codes: Indicators kept of a nominal column; the rarer codes share the last.

    Returns:
      `ColumnBasis`; the features of a constant column are 0.
    """
    tables, targets = [], []
    for j, k in enumerate(np.asarray(num_codes)):
        share = np.bincount(codes[:, j], minlength=k) / len(codes)
        if ordinal[j]:
            table = _rank_polynomials(share)
            targets.append(np.arange(table.shape[1]) == 0)
        else:
            coarse, _ = coarsen_codes(np.arange(k, dtype=np.uint16)[:, None], [k], None, max_codes)
            table = np.eye(min(k, max_codes))[coarse[:, 0]]
            table = table - share @ table
            targets.append(np.ones(table.shape[1], bool))
        tables.append(table)
    groups = np.repeat(np.arange(len(tables)), [table.shape[1] for table in tables])
    return ColumnBasis(tuple(tables), groups, np.concatenate([np.zeros(0, bool), *targets]))


def predictability(
    features: np.ndarray,
    groups: np.ndarray | None = None,
    targets: np.ndarray | None = None,
    folds: int = 2,
    ridge: float = 1.0,
) -> np.ndarray:
    """Returns the cross-validated R^2 of predicting each column from all the others.

    Args:
      features: `float [n, p]`; row i belongs to fold `i % folds`, so the order must not follow the folds.
      groups: As in `predictability_transfer`.
      targets: As in `predictability_transfer`.
      folds: At least 2.
      ridge: As in `predictability_transfer`.

    Returns:
      `[d]` at most 1, the mean over folds; NaN with fewer rows than two a fold.
    """
    if len(features) < 2 * folds:
        return np.full(_num_groups(features, groups), np.nan)
    fold = np.arange(len(features)) % folds
    scores = [
        predictability_transfer(features[fold != f], features[fold == f], groups, targets, ridge) for f in range(folds)
    ]
    return np.mean(scores, axis=0)


def predictability_transfer(
    train: np.ndarray,
    test: np.ndarray,
    groups: np.ndarray | None = None,
    targets: np.ndarray | None = None,
    ridge: float = 1.0,
) -> np.ndarray:
    """Returns the R^2 on test rows of models fitted on train rows, one model a column.

    Args:
      train: `float [n, p]`.
      test: `float [m, p]`, real rows that nothing was fitted on.
      groups: `int [p]`, the column 0 to d - 1 of each feature; features of one column never predict each other. Every
        feature is a column of its own by default, which is wrong for the indicators of one category.
      targets: `bool [p]`, the features to be predicted; all by default.
      ridge: Penalty in rows: as if so many rows of the test's variances and no dependence had been added.

    Returns:
      `[d]` at most 1, where 1 means determined by the others, 0 no better than the test rows' mean, below 0 worse; NaN
      for a column without targets or constant in the test rows, or where a side is empty.
    """
    return prepare_test(test, groups, targets).learn(train, ridge)


@dataclass(frozen=True)
class HeldOut:
    """Rows made ready to judge what others teach, see `predictability_transfer`.

    Attributes:
      rows: How many there are.
      centre: float `[p]`, their mean.
      moments: float `[p, p]`, their covariance.
      variance: float `[p]`, its diagonal.
      columns: Of each column that can be judged its number, its features, and which of these are to be predicted.
      num_groups: Of columns.
    """

    rows: int
    centre: np.ndarray
    moments: np.ndarray
    variance: np.ndarray
    columns: tuple[tuple[int, np.ndarray, np.ndarray], ...]
    num_groups: int

    def learn(self, train: np.ndarray, ridge: float = 1.0) -> np.ndarray:
        """Returns the R^2 of each column, `[d]`, by models fitted on `train`, float `[n, p]`."""
        result = np.full(self.num_groups, np.nan)
        if not (len(train) and self.rows):
            return result
        train = np.asarray(train, float)
        centre = train.mean(axis=0)
        train = train - centre
        # In the test's units, so that a candidate's vanishing column cannot make its own penalty vanish with it.
        moments = train.T @ train
        moments[np.diag_indices_from(moments)] += ridge * np.where(self.variance > 1e-12, self.variance, 1.0)
        inverse = np.linalg.inv(moments)
        # About the mean that was learnt, not their own.
        away = self.centre - centre
        test_moments = self.moments + away[:, None] * away
        for j, members, wanted in self.columns:
            total = self.variance[members[wanted]].sum()
            weights = np.linalg.solve(inverse[np.ix_(members, members)], inverse[members])[wanted]
            result[j] = 1.0 - np.sum((weights @ test_moments) * weights) / total
        return result


def prepare_test(test: np.ndarray, groups: np.ndarray | None = None, targets: np.ndarray | None = None) -> HeldOut:
    """Returns test rows, float `[m, p]`, made ready; see `predictability_transfer` for the arguments."""
    num_features = test.shape[1]
    num_groups = _num_groups(test, groups)
    groups = np.arange(num_features) if groups is None else np.asarray(groups)
    targets = np.ones(num_features, bool) if targets is None else np.asarray(targets, bool)
    test = np.asarray(test, float)
    centre = test.mean(axis=0) if len(test) else np.zeros(num_features)
    apart = test - centre
    moments = apart.T @ apart / max(1, len(test))
    variance = np.diag(moments)
    columns = []
    for j in range(num_groups):
        members = np.flatnonzero(groups == j)
        wanted = targets[members]
        if variance[members[wanted]].sum() > 1e-12:
            columns.append((j, members, wanted))
    return HeldOut(len(test), centre, moments, variance, tuple(columns), num_groups)


def predictability_gap(
    candidate: np.ndarray,
    reference: np.ndarray,
    test: np.ndarray,
    groups: np.ndarray | None = None,
    targets: np.ndarray | None = None,
    ridge: float = 1.0,
) -> np.ndarray:
    """Returns how much R^2 per column is lost on real test rows by fitting on the candidate, not the reference.

    Args:
      candidate: `float [n, p]`.
      reference: `float [n, p]`; as many rows, or the gap is partly one of sample size.
      test: `float [m, p]`, real rows in neither.
      groups: As in `predictability_transfer`.
      targets: As in `predictability_transfer`.
      ridge: As in `predictability_transfer`.

    Returns:
      `[d]`: 0 where the candidate teaches as much as the reference, positive where less; NaN as in
      `predictability_transfer`.
    """
    learned = predictability_transfer(candidate, test, groups, targets, ridge)
    return predictability_transfer(reference, test, groups, targets, ridge) - learned


def _num_groups(features: np.ndarray, groups: np.ndarray | None) -> int:
    return features.shape[1] if groups is None else int(np.max(groups, initial=-1)) + 1


def _rank_polynomials(share: np.ndarray) -> np.ndarray:
    """Polynomials of the reference's midrank, orthonormal under its shares; fewer where few codes occur."""
    rank = np.cumsum(share) - 0.5 * share
    num_occupied = np.count_nonzero(share)
    basis = [np.ones(len(share))]
    for _ in range(min(_DEGREE, num_occupied - 1)):
        # Gram-Schmidt on rank times the last one (Stieltjes), twice over against rounding.
        new = (rank - 0.5) * basis[-1]
        for _ in range(2):
            for old in basis:
                new = new - (share @ (new * old)) * old
        basis.append(new / np.sqrt(share @ new**2))
    # A constant column keeps one feature, of zeros, so that every column has its place in the answer.
    return np.stack(basis[1:], axis=1) if len(basis) > 1 else np.zeros((len(share), 1))
