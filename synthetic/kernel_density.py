"""Kernel density: a training row drawn at random, its numbers jittered and its categories sometimes redrawn.

A smoothed bootstrap, with the rule-of-thumb bandwidth. It keeps everything that is coarser than its kernel; each
refit widens what it copies by one more kernel, blurs point masses and lets columns drift apart.

References:
  Silverman, Density Estimation, 1986, sections 4.3 and 6.4; Aitchison and Aitken, "Multivariate binary discrimination
  by the kernel method", 1976, for the kernel over categories.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from synthetic.columns import ColumnCodec, Matrices
from synthetic.marginal import CodeMarginal, temper
from synthetic.table import check_request, stream

__all__ = ["KernelDensity", "fit"]


@dataclass(frozen=True)
class KernelDensity:
    """A fitted smoothed bootstrap, see `fit`.

    Attributes:
      codec: Between table and matrices.
      rows: The training rows.
      bandwidth: `[p]` standard deviation of the jitter.
      redraw: Probability, 0..1, that a category is drawn from its marginal instead.
      marginals: One per code column.
    """

    codec: ColumnCodec
    rows: Matrices
    bandwidth: np.ndarray
    redraw: float
    marginals: tuple[CodeMarginal, ...]

    def sample(self, n: int, key: int, temperature: float = 1.0) -> pa.Table:
        """Returns `n` rows; `temperature` scales the kernels, not the choice of rows: near 0 it is the bootstrap."""
        check_request(n, temperature)
        rng = stream(key, "kernel")
        chosen = rng.integers(len(self.rows.numbers), size=n)
        noise = rng.standard_normal((n, len(self.bandwidth))) * np.sqrt(temperature)
        numbers = self.rows.numbers[chosen] + noise * self.bandwidth
        codes = self.rows.codes[chosen]
        redrawn = rng.random(codes.shape) < min(1.0, self.redraw * temperature)
        for j, marginal in enumerate(self.marginals):
            fresh = CodeMarginal(temper(marginal.probabilities, temperature)).quantile(rng.random(n))
            codes[:, j] = np.where(redrawn[:, j], fresh, codes[:, j])
        return self.codec.decode(Matrices(numbers, codes))


def fit(table: pa.Table, key: int, redraw: float = 0.1) -> KernelDensity:
    """Returns the smoothed bootstrap of `table`.

    The bandwidth is Silverman's for d numbers, `(4 / (n (d + 2))) ** (1 / (d + 4))` standard deviations.

    Args:
      table: At least one row; types as `ColumnCodec.fit` takes them.
      key: Non-negative integer; only used to fill missing numbers.
      redraw: See `KernelDensity`.
    """
    if not 0.0 <= redraw <= 1.0:
        raise ValueError(f"redraw must be in 0..1, got {redraw}")
    codec = ColumnCodec.fit(table)
    rows = codec.encode(table, stream(key, "fill"))
    n, d = rows.numbers.shape
    bandwidth = rows.numbers.std(axis=0) * (4.0 / (n * (d + 2.0))) ** (1.0 / (d + 4.0))
    marginals = tuple(CodeMarginal.fit(rows.codes[:, j], k) for j, k in enumerate(codec.num_levels))
    return KernelDensity(codec, rows, bandwidth, redraw, marginals)
