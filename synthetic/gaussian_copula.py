"""Gaussian copula: empirical marginals, joined by the correlation of their normal scores.

It keeps every column's distribution and the monotone part of pairwise dependence; it forgets everything else:
interactions, dependence in the tails, rules between columns. Values with ties (counts, categories) lose some of their
correlation at every refit, because their scores carry less of it than the latent normals they are drawn from.

References:
  Nelsen, An Introduction to Copulas, 2nd ed. 2006, chapter 2; Ledoit and Wolf, "A well-conditioned estimator for
  large-dimensional covariance matrices", 2004, for the shrinkage.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from scipy.special import ndtr, ndtri
from sklearn.covariance import ledoit_wolf

from synthetic.columns import ColumnCodec
from synthetic.marginal import CodeMarginal, NumberMarginal
from synthetic.table import check_request, stream

__all__ = ["GaussianCopula", "fit"]


@dataclass(frozen=True)
class GaussianCopula:
    """A fitted copula, see `fit`.

    Attributes:
      codec: Between table and matrices.
      marginals: One per part of `codec.order`.
      factor: `[d, d]` lower triangular, `factor @ factor.T` is the latent correlation.
    """

    codec: ColumnCodec
    marginals: tuple[NumberMarginal | CodeMarginal, ...]
    factor: np.ndarray

    def sample(self, n: int, key: int, temperature: float = 1.0) -> pa.Table:
        """Returns `n` rows; the latent variance is `temperature`, so below 1 every column draws to its median."""
        check_request(n, temperature)
        latent = stream(key, "copula").standard_normal((n, len(self.factor))) @ self.factor.T
        u = ndtr(latent * np.sqrt(temperature))
        columns = [marginal.quantile(u[:, j]) for j, marginal in enumerate(self.marginals)]
        values = np.column_stack(columns).astype(np.float64) if columns else np.zeros((n, 0))
        return self.codec.decode(self.codec.from_order(values))


def fit(table: pa.Table, key: int) -> GaussianCopula:
    """Returns the copula of `table`.

    The latent correlation is that of the mid-rank normal scores, shrunk to the identity by Ledoit and Wolf's rule.

    Args:
      table: At least one row; types as `ColumnCodec.fit` takes them.
      key: Non-negative integer; only used to fill missing numbers.
    """
    codec = ColumnCodec.fit(table)
    values = codec.in_order(codec.encode(table, stream(key, "fill")))
    marginals: list[NumberMarginal | CodeMarginal] = []
    scores = np.zeros(values.shape)
    for j, part in enumerate(codec.order):
        if part.kind == "number":
            marginal = NumberMarginal.fit(values[:, j])
            ranks = marginal.mid_rank(values[:, j])
        else:
            marginal = CodeMarginal.fit(values[:, j].astype(np.int64), codec.num_levels[part.index])
            ranks = marginal.mid_rank(values[:, j].astype(np.int64))
        marginals.append(marginal)
        scores[:, j] = ndtri(ranks)
    return GaussianCopula(codec, tuple(marginals), _factor(scores))


def _factor(scores: np.ndarray) -> np.ndarray:
    """Cholesky factor of the shrunk correlation of `scores`, `[n, d]`; a constant column is left independent."""
    n, d = scores.shape
    spread = scores.std(axis=0)
    moving = spread > 1e-9
    correlation = np.eye(d)
    if n > 1 and moving.any():
        standard = (scores[:, moving] - scores[:, moving].mean(axis=0)) / spread[moving]
        shrunk, _ = ledoit_wolf(standard, assume_centered=True)
        scale = np.sqrt(np.diag(shrunk))
        correlation[np.ix_(moving, moving)] = shrunk / np.outer(scale, scale)
    # The jitter only matters for columns that copy each other, which leave the matrix singular.
    return np.linalg.cholesky(correlation + 1e-8 * np.eye(d))
