"""Gaussian mixture over standardised numbers and one-hot categories.

It keeps clusters and, within each, linear dependence; it forgets skew, point masses, bounds and rare categories, which
are never the largest coordinate of any component.

References:
  McLachlan and Peel, Finite Mixture Models, 2000.
"""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from sklearn.exceptions import ConvergenceWarning
from sklearn.mixture import GaussianMixture

from synthetic.columns import ColumnCodec
from synthetic.marginal import temper
from synthetic.one_hot import OneHot
from synthetic.table import check_request, derive_key, stream

__all__ = ["Mixture", "fit"]

# Beyond this many dimensions a full covariance per component has more entries than the data can fill.
_FULL_UP_TO = 40


@dataclass(frozen=True)
class Mixture:
    """A fitted mixture, see `fit`.

    Attributes:
      codec, one_hot: From table to matrices to vectors.
      weights: `[k]`, sum to 1.
      means: `[k, d]`.
      factors: `[k, d, d]`, Cholesky factors of the covariances.
    """

    codec: ColumnCodec
    one_hot: OneHot
    weights: np.ndarray
    means: np.ndarray
    factors: np.ndarray

    def sample(self, n: int, key: int, temperature: float = 1.0) -> pa.Table:
        """Returns `n` rows; `temperature` sharpens the weights and scales the covariances."""
        check_request(n, temperature)
        rng = stream(key, "mixture")
        component = rng.choice(len(self.weights), size=n, p=temper(self.weights, temperature))
        noise = rng.standard_normal((n, self.means.shape[1])) * np.sqrt(temperature)
        x = self.means[component]
        for k, factor in enumerate(self.factors):
            rows = component == k
            x[rows] += noise[rows] @ factor.T
        return self.codec.decode(self.one_hot.decode(x, rng))


def fit(table: pa.Table, key: int, num_components: int = 10) -> Mixture:
    """Returns the mixture of `table`, by expectation-maximisation from one k-means start.

    Args:
      table: At least one row; types as `ColumnCodec.fit` takes them.
      key: Non-negative integer; the start, and missing numbers.
      num_components: At most so many, and at most one per 20 rows.
    """
    if num_components < 1:
        raise ValueError(f"num_components must be 1 or more, got {num_components}")
    codec = ColumnCodec.fit(table)
    matrices = codec.encode(table, stream(key, "fill"))
    one_hot = OneHot.fit(matrices, codec.num_levels)
    x = one_hot.encode(matrices)
    n, d = x.shape
    if d == 0 or n < 2:
        return Mixture(codec, one_hot, np.ones(1), x.mean(axis=0, keepdims=True), np.zeros((1, d, d)))
    # k-means cannot start from more clusters than there are distinct rows.
    k = max(1, min(num_components, n // 20, len(np.unique(x, axis=0))))
    model: Any = GaussianMixture(
        k,
        covariance_type="full" if d <= _FULL_UP_TO else "diag",
        # Indicators of one column sum to 1 and would leave every covariance singular.
        reg_covar=1e-4,
        max_iter=100,
        random_state=derive_key(key, "start"),
    )
    with warnings.catch_warnings():
        # An unconverged mixture is still a generator; a slower one would be no better a test case.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(x)
    if d <= _FULL_UP_TO:
        factors = np.linalg.cholesky(model.covariances_)
    else:
        factors = np.sqrt(model.covariances_)[:, :, None] * np.eye(d)
    return Mixture(codec, one_hot, model.weights_ / model.weights_.sum(), model.means_, factors)
