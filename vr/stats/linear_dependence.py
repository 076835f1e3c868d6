"""How badly a row fits the linear dependence between columns: its log-likelihood apart from the columns' own.

Every column is a few features (`fit_column_basis`: polynomials of its rank, indicators of its categories). With the
inverse covariance P of all features and D, that of each column's features by themselves, x' (P - D) x is twice the log
of what independent columns would make of the row over what dependent ones do, were the features Gaussian. Where
dependence is weak and spread over many columns it sees what trees on a few hundred rows do not.

A column has few codes, so that the form is a sum of looked-up numbers: one for each column's code, one for each pair.
"""

from dataclasses import dataclass

import numpy as np

from vr.stats.predictability import fit_column_basis

__all__ = ["LinearDependence", "fit_linear_dependence"]

_RIDGE = 0.03  # of a feature's variance, and more where there are few rows for the features
_MAX_CODES = 12
_BLOCK_ROWS = 8_192  # looked up at once: what is added up stays within a core's cache


@dataclass(frozen=True)
class LinearDependence:
    """Fitted to real rows.

    Attributes:
      columns: Positions of the columns that are read.
      classes: For each of them int `[K_j]`, the class of each code: codes with the same features are one.
      alone: For each column float `[C_j]`, what its own features add to the form, by class.
      pairs: For each two columns `(a, b, float [C_a, C_b])`, places within `columns` and what they add together.
    """

    columns: np.ndarray
    classes: tuple[np.ndarray, ...]
    alone: tuple[np.ndarray, ...]
    pairs: tuple[tuple[int, int, np.ndarray], ...]

    def read(self, codes: np.ndarray) -> np.ndarray:
        """Returns the misfit of each row, float `[n]`: higher where columns contradict what ties them."""
        result = np.zeros(len(codes))
        for start in range(0, len(codes), _BLOCK_ROWS):
            rows, total = codes[start : start + _BLOCK_ROWS], result[start : start + _BLOCK_ROWS]
            seen = [table.take(rows[:, j], mode="clip") for j, table in zip(self.columns, self.classes, strict=True)]
            for place, table in zip(seen, self.alone, strict=True):
                total += table.take(place)
            row, known = np.zeros(0, np.intp), None
            for a, b, table in self.pairs:
                # Where in a table the first column's row begins is the same in most of the tables that follow.
                if known != (a, table.shape[1]):
                    row, known = seen[a] * table.shape[1], (a, table.shape[1])
                total += table.take(row + seen[b])
        return result


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
    form = np.linalg.inv(covariance)
    classes, features, members = [], [], []
    for j, table in enumerate(basis.tables):
        own = np.flatnonzero(basis.groups == j)
        varies = np.isin(own, kept)
        standard = (table[:, varies] - centre[own[varies]]) / spread[own[varies]]
        distinct, of_code = np.unique(standard, axis=0, return_inverse=True)
        classes.append(of_code.reshape(-1).astype(np.intp))
        features.append(distinct)
        members.append(np.flatnonzero(np.isin(kept, own)))
    alone, pairs = [], []
    for a, (mine, f) in enumerate(zip(members, features, strict=True)):
        block = np.ix_(mine, mine)
        alone.append(np.einsum("ip,pq,iq->i", f, form[block] - np.linalg.inv(covariance[block]), f))
        for b in range(a + 1, len(members)):
            pairs.append((a, b, 2.0 * f @ form[np.ix_(mine, members[b])] @ features[b].T))
    return LinearDependence(columns, tuple(classes), tuple(alone), tuple(pairs))
