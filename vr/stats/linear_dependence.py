"""How badly a row fits the linear dependence between columns: its log-likelihood apart from the columns' own.

Every column is a few features (`fit_column_basis`: polynomials of its rank, indicators of its categories). With the
inverse covariance P of all features and D, that of each column's features by themselves, x' (P - D) x is twice the log
of what independent columns would make of the row over what dependent ones do, were the features Gaussian. Where
dependence is weak and spread over many columns it sees what trees on a few hundred rows do not, for one product.
"""

from dataclasses import dataclass

import numpy as np

from vr.stats.predictability import ColumnBasis, fit_column_basis
from vr.stats.rowwise import rowwise_product

__all__ = ["LinearDependence", "fit_linear_dependence"]

_RIDGE = 0.03  # of a feature's variance, and more where there are few rows for the features
_MAX_CODES = 12


@dataclass(frozen=True)
class LinearDependence:
    """Fitted to real rows.

    Attributes:
      columns: Positions of the columns that are read.
      basis: Of these.
      kept: Features that vary.
      centre: Their means.
      spread: Their deviations.
      form: float `[p, p]`, P - D.
    """

    columns: np.ndarray
    basis: ColumnBasis
    kept: np.ndarray
    centre: np.ndarray
    spread: np.ndarray
    form: np.ndarray

    def read(self, codes: np.ndarray) -> np.ndarray:
        """Returns the misfit of each row, float `[n]`: higher where columns contradict what ties them."""
        x = (self.basis.transform(codes[:, self.columns])[:, self.kept] - self.centre) / self.spread
        # Rows in one piece each: the order of their sums is then the same however many there are.
        x = np.ascontiguousarray(x)
        return (rowwise_product(x, self.form) * x).sum(axis=1)


def fit_linear_dependence(
    codes: np.ndarray, ordinal: np.ndarray, num_codes: np.ndarray, columns: np.ndarray
) -> LinearDependence:
    """Fits to real rows, unsigned codes `[n, d]`; `columns` are the positions to read."""
    basis = fit_column_basis(codes[:, columns], ordinal[columns], num_codes[columns], _MAX_CODES)
    x = basis.transform(codes[:, columns])
    centre, spread = x.mean(axis=0), x.std(axis=0)
    kept = np.flatnonzero(spread > 1e-6)
    x = (x[:, kept] - centre[kept]) / spread[kept]
    rows = max(1, len(x))
    covariance = x.T @ x / rows + (_RIDGE + 0.1 * len(kept) / rows) * np.eye(len(kept))
    form, groups = np.linalg.inv(covariance), basis.groups[kept]
    for j in np.unique(groups):
        own = np.ix_(groups == j, groups == j)
        form[own] -= np.linalg.inv(covariance[own])
    return LinearDependence(columns, basis, kept, centre[kept], spread[kept], form)
