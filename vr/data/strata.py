"""Which stratum a row belongs to and with what probability it is wanted, from its codes alone.

Everything is looked up: what a code adds to the squared distance from a centre, and how much a code or a pair of codes
is wanted. Sums go column by column, so that a row's answer does not depend on the rows beside it.
"""

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from vr.data.packed import pack, unpack

__all__ = ["Strata", "levels"]


@dataclass(frozen=True)
class Strata:
    """The rule: h clusters of ordinary rows, then those wanted more, by the power of a half that they are wanted with.

    All rows of a stratum are wanted alike. Of d encoded columns of at most K codes c are looked at together.

    Attributes:
      sizes: int64 `[h + l]`, rows to draw from each stratum, at least 1; of those after the clusters the first has the
        rows that are wanted with 1, the next with a half, and so on.
      ordinary: float64 `[h]`, probability that any row of a cluster is wanted with.
      columns: int64 `[c]`, positions of the columns that make clusters and pairs.
      distances: float64 `[c, K, h]`, what a code adds to the squared distance from each cluster's centre.
      limit: Squared distance from the nearest centre beyond which a row is an outlier; may be infinite.
      outlier: Probability that an outlier is wanted with.
      single: float64 `[d, K]`, probability that a row of this code is wanted with; 0 where it need not be.
      coarse: int64 `[c, K]`, the coarse code, below C, of each code.
      pairs: int64 `[p, 2]`, places in `columns`.
      paired: float64 `[p, C, C]`, as `single`, for pairs of coarse codes.
    """

    sizes: np.ndarray
    ordinary: np.ndarray
    columns: np.ndarray
    distances: np.ndarray
    limit: float
    outlier: float
    single: np.ndarray
    coarse: np.ndarray
    pairs: np.ndarray
    paired: np.ndarray

    @property
    def num_clusters(self) -> int:
        """How many clusters there are, at least 1."""
        return len(self.ordinary)

    def of(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns each row's stratum, int64 `[n]`, and the probability that it is wanted with, float64 `[n]`.

        Args:
          codes: uint16 `[n, d]`.
        """
        apart, cluster = self.nearest(codes)
        ordinary = self.ordinary[cluster]
        wanted = np.where(apart > self.limit, np.maximum(ordinary, self.outlier), ordinary)
        np.maximum(wanted, self.rarity(codes), out=wanted)
        more = wanted > ordinary
        level, rounded = levels(wanted)
        return np.where(more, self.num_clusters + level, cluster), np.where(more, rounded, ordinary)

    def nearest(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the squared distance from the nearest centre, float64 `[n]`, and whose it is, int64 `[n]`."""
        apart = np.zeros((len(codes), self.num_clusters))
        for of_code, j in zip(self.distances, self.columns, strict=True):
            apart += of_code.take(codes[:, j], axis=0)
        cluster = apart.argmin(axis=1)
        return apart[np.arange(len(codes)), cluster], cluster

    def rarity(self, codes: np.ndarray) -> np.ndarray:
        """Returns the probability that each row is wanted with for what it has that is rare, float64 `[n]`."""
        wanted = np.zeros(len(codes))
        for j in np.flatnonzero(self.single.any(axis=1)):
            np.maximum(wanted, self.single[j][codes[:, j]], out=wanted)
        merged = [of_code[codes[:, j]] for of_code, j in zip(self.coarse, self.columns, strict=True)]
        num_coarse = self.paired.shape[-1]
        # One index a pair, which is looked up several times as fast as two are.
        for (i, j), table in zip(self.pairs, self.paired, strict=True):
            np.maximum(wanted, table.ravel().take(merged[i] * num_coarse + merged[j]), out=wanted)
        return wanted

    def pack(self) -> bytes:
        """Returns the rule as bytes, see `unpacked`."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        return pack({}, {name: np.asarray(value) for name, value in values.items()})

    @classmethod
    def unpacked(cls, content: bytes) -> "Strata":
        """Returns what was packed, equal to the last bit; ValueError where the bytes are damaged."""
        values: dict[str, Any] = unpack(content)[1]
        values["limit"], values["outlier"] = float(values["limit"]), float(values["outlier"])
        return cls(**values)


def levels(wanted: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns which power of a half probabilities `[n]` in [0, 1] are rounded up to (0: 1, 1: a half ...), and these.

    Powers beyond the sixtieth are that.
    """
    fraction, exponent = np.frexp(np.maximum(wanted, 2.0**-60))
    # frexp's fraction is a half or more: of a power of a half it is just that.
    exponent = exponent - (fraction == 0.5)
    return -exponent, np.ldexp(1.0, exponent)
