"""Vendi scores under a Gaussian kernel from random features: sums over rows, so that parts of a dataset merge.

Phi holds the random Fourier features of the rows, `phi(x) . phi(y)` being about `exp(-|x - y|^2 / 2 sigma^2)` and
exactly 1 for x = y. The sum of `phi phi^T` over rows has the eigenvalues of the kernel matrix (its largest ones, up to
the features' error), whatever the number of rows.

References:
  Rahimi and Recht 2007, Random features for large-scale kernel machines; Friedman and Dieng 2023, The Vendi score;
  Jalali et al. 2023, An information-theoretic evaluation of generative models (order 2); Ospanov et al. 2024, Towards a
  scalable reference-free evaluation of generative models (random features, FKEA); Ospanov and Farnia 2024, Do Vendi
  scores converge with finite samples? (the truncated score, eq. 8).
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["KernelSums", "RandomFeatures", "truncated_vendi"]


@dataclass(frozen=True)
class RandomFeatures:
    """Random Fourier features of a Gaussian kernel in two independent halves.

    Attributes:
      frequencies: float32 `[p, 2 r]`, the first r columns of one half, the others of the other.
    """

    frequencies: np.ndarray

    @classmethod
    def draw(cls, width: int, bandwidth: float, seed: int, num_frequencies: int = 64) -> "RandomFeatures":
        """Returns features for rows of `width` coordinates, `num_frequencies` (even) of them.

        Args:
          width: p.
          bandwidth: The kernel's sigma in the unit of the coordinates, positive.
          seed: Of the frequencies; only sums of one seed merge.
          num_frequencies: The kernel's standard error is about `1 / sqrt(2 num_frequencies)`.
        """
        rng = np.random.default_rng([seed, 31])
        normal = rng.standard_normal((width, 2 * (num_frequencies // 2)))
        return cls((normal / bandwidth).astype(np.float32))

    def sums(self, rows: np.ndarray) -> "KernelSums":
        """Returns the sums over `rows`, float `[n, p]`."""
        angles = np.asarray(rows, np.float32) @ self.frequencies
        features = np.empty((len(angles), 2, angles.shape[1]), np.float32)
        np.cos(angles, out=features[:, 0])
        np.sin(angles, out=features[:, 1])
        features = features.reshape(len(angles), 4, -1)[:, [0, 2, 1, 3]].reshape(len(angles), 2 * angles.shape[1])
        return KernelSums(len(angles), (features.T @ features).astype(np.float64) * (2.0 / angles.shape[1]))


@dataclass(frozen=True)
class KernelSums:
    """The sum of `phi phi^T` over rows; sums of the same features add up.

    Attributes:
      num_rows: n.
      total: float64 `[4 r, 4 r]`, the first 2 r coordinates those of the first half of the features; each half has
        `|phi|^2 = 1`.
    """

    num_rows: int
    total: np.ndarray

    def merge(self, other: "KernelSums") -> "KernelSums":
        """Returns the sums over the rows of both, up to rounding."""
        return KernelSums(self.num_rows + other.num_rows, self.total + other.total)

    def vendi_order2(self) -> float:
        """Returns the order-2 Vendi score, `n^2 / sum_ij K_ij^2`: the effective number of different rows.

        K_ij^2 is estimated by the product of the two halves' independent estimates of K_ij, so that the features' error
        adds nothing to its mean, however few they are.

        Returns:
          From 1 (all rows alike) to about n; infinite where no two rows are near enough for the features to tell; NaN
          without rows.
        """
        if not self.num_rows:
            return float("nan")
        half = len(self.total) // 2
        norm = float(np.square(self.total[:half, half:]).sum()) / self.num_rows**2
        return max(1.0, 1.0 / norm) if norm > 0 else float("inf")

    def spectrum(self) -> np.ndarray:
        """Returns the eigenvalues of K / n, falling, sum 1: float64 `[4 r]`; NaN without rows."""
        if not self.num_rows:
            return np.full(len(self.total), np.nan)
        # Both halves together, each with half of the weight.
        return np.maximum(np.linalg.eigvalsh(self.total / (2.0 * self.num_rows))[::-1], 0.0)

    def truncated_vendi(self, num_kept: int = 32) -> float:
        """Returns the truncated Vendi score of order 1, see `truncated_vendi`; NaN without rows."""
        return truncated_vendi(self.spectrum(), num_kept)


def truncated_vendi(eigenvalues: np.ndarray, num_kept: int) -> float:
    """Returns the Vendi score of the t largest eigenvalues of K / n, the rest of their sum spread evenly over them.

    The plain score of order 1 still grows at 20,000 rows, since it counts ever smaller eigenvalues; the t largest have
    converged at a few times t.

    Args:
      eigenvalues: `[m]` falling, at least 0, sum 1.
      num_kept: t.

    Returns:
      `exp(-sum l log l)` in [1, t]: 1 where all rows are alike, t where no t directions tell rows apart.
    """
    kept = np.asarray(eigenvalues, float)[:num_kept]
    kept = kept + (1.0 - kept.sum()) / len(kept)
    kept = np.maximum(kept, 0.0)
    return float(np.exp(-np.sum(kept * np.log(np.where(kept > 0, kept, 1.0)))))
