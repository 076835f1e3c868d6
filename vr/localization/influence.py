"""What training on a row does to the loss on real rows, to first order in the last layer of a proxy.

A column's head is a softmax regression on what the layers below hand it, so that the gradient of a cell's loss by the
head's weights is the outer product of two vectors: the head's inputs `a` (with a constant 1) and the error `e`, the
predicted probabilities less the cell's one-hot code. Columns share no weights of the last layer, hence with H_j the
Gauss-Newton matrix of column j over the rows that were trained on, damped, and G_j the mean gradient of held-out real
rows,

    influence(row) = -(1 / n) mean_j <H_j^-1 G_j, a_j e_j^T>,

the change of the held-out loss, in nats a cell, that comes of the row's being among the n that are trained on: above
zero where it does harm. For a softmax regression this is a Newton step to the optimum without the row. Each column
takes one solution of a linear system and, for each row, two products of vectors.

Notation: p predicted columns, n rows, C inputs, K codes, t targets.

References:
  Koh and Liang 2017, Understanding black-box predictions via influence functions (arXiv 1703.04730), equation 2;
  Martens 2020, New insights and perspectives on the natural gradient method (arXiv 1412.1193), sections 8 and 9.
"""

from dataclasses import dataclass

import numpy as np

__all__ = ["Cells", "directions", "influence"]

_TOLERANCE = 1e-3  # of the residual, as a share of the right-hand side
_MOST_STEPS = 500
_NEVER = 1e-9  # probability that a code has at most where the column does not have it


@dataclass(frozen=True)
class Cells:
    """The last layer of the predicted cells of some rows.

    Attributes:
      inputs: float64 `[p, n, C + 1]`, what a column's head is given; the last is 1, for its bias.
      probabilities: float64 `[p, n, K]`, what it makes of it.
      codes: int `[p, n]`, what the cells are.
    """

    inputs: np.ndarray
    probabilities: np.ndarray
    codes: np.ndarray

    @classmethod
    def of(cls, inputs: np.ndarray, probabilities: np.ndarray, codes: np.ndarray) -> "Cells":
        """Returns those of inputs `[p, n, C]` without the constant."""
        ones = np.ones((*inputs.shape[:2], 1))
        return cls(np.concatenate([inputs, ones], axis=2, dtype=float), np.asarray(probabilities, float), codes)

    def errors(self, column: int) -> np.ndarray:
        """Returns the derivatives of a column's losses by its logits, `[n, K]`."""
        errors = self.probabilities[column].copy()
        errors[np.arange(len(errors)), self.codes[column]] -= 1.0
        return errors

    def gradient(self, column: int, weights: np.ndarray) -> np.ndarray:
        """Returns weighted sums of the rows' gradients, `[t, C + 1, K]`, for weights `[t, n]`."""
        weighted = weights[:, :, None] * self.errors(column)
        return np.matmul(self.inputs[column].T, weighted)


def directions(trained: Cells, held_out: Cells, damping: float, weights: np.ndarray | None = None) -> np.ndarray:
    """Returns H^-1 G of every column, float64 `[t, p, C + 1, K]`; NaN for a column whose system was not solved.

    Args:
      trained: Of rows that the proxy was trained on; H is their mean.
      held_out: Of real rows.
      damping: What is added to H, as a multiple of its mean eigenvalue; above 0.
      weights: float `[t, n]`, of the held-out rows in each target; None for one target, their mean.
    """
    if weights is None:
        num_rows = held_out.codes.shape[1]
        weights = np.full((1, num_rows), 1.0 / num_rows)
    found = [_solved(trained, j, held_out.gradient(j, weights), damping) for j in range(len(trained.codes))]
    return np.stack(found, axis=1)


def influence(directions: np.ndarray, rows: Cells, num_trained: int) -> np.ndarray:
    """Returns the influence of each row on each target, in nats a cell, float64 `[t, n]`.

    Args:
      directions: As `directions` gives them.
      rows: Of the rows that are asked about.
      num_trained: Rows that the proxy was trained on.
    """
    total = np.zeros((len(directions), rows.codes.shape[1]))
    for j in range(len(rows.codes)):
        total += np.einsum("tnk,nk->tn", np.matmul(rows.inputs[j], directions[:, j]), rows.errors(j))
    return -total / (len(rows.codes) * num_trained)


def _solved(trained: Cells, column: int, target: np.ndarray, damping: float) -> np.ndarray:
    """Returns the solutions of `(H + damping * mean eigenvalue) x = target` by conjugate gradients, `[t, C + 1, K]`.

    The Gauss-Newton matrix of a softmax is the mean over rows of a a^T (x) (diag(p) - p p^T): its products with a
    vector take no more than the rows' logits do.
    """
    a, p = trained.inputs[column], trained.probabilities[column]
    trace = np.mean(np.sum(a**2, axis=1) * (1.0 - np.sum(p**2, axis=1)))
    # Codes that the column does not have, beside others that have more, take no part.
    shift = damping * trace / (a.shape[1] * max(1, int((p.max(axis=0) > _NEVER).sum())))

    def product(x: np.ndarray) -> np.ndarray:
        moved = p * np.matmul(a, x)
        moved -= p * moved.sum(axis=-1, keepdims=True)
        return np.matmul(a.T, moved) / len(a) + shift * x

    def dot(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return np.einsum("tck,tck->t", x, y)[:, None, None]

    x, rest = np.zeros_like(target), target.copy()
    way, squared = rest, dot(rest, rest)
    enough = _TOLERANCE**2 * squared
    for _ in range(_MOST_STEPS):
        if (squared <= enough).all():
            return x
        ahead = product(way)
        curvature = dot(way, ahead)
        # One that is there already stays there.
        length = np.where(squared > enough, squared / np.where(curvature > 0.0, curvature, 1.0), 0.0)
        x, rest = x + length * way, rest - length * ahead
        before, squared = squared, dot(rest, rest)
        way = rest + squared / np.where(before > 0.0, before, 1.0) * way
    return np.where(squared <= enough, x, np.nan)
