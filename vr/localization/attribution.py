"""Which cells of a row make it look the way it does to a trained proxy: integrated gradients, checked to be complete.

The proxy predicts every cell from the row's others. What cell k does to the loss of cell j is the integrated gradient
of that loss along the path on which all of the row's other cells go from hidden to shown together (Sundararajan, Taly
and Yan 2017, arXiv 1703.01365). With the loss of each cell when nothing is shown, these add up to the row's loss:

    sum_j loss_j(shown) = sum_j [loss_j(hidden) + sum_k integral_jk].

A wrong cell is hard to predict, and makes its neighbours hard to predict: `integral_jk` is shared out evenly between
the cell that is predicted and the cell that it is predicted from. The quadrature is Gauss and Legendre's on stretches
of the path, halved until what is attributed is the difference that there is, to a stated tolerance.

Notation: p predicted columns, d columns, n rows.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

__all__ = ["TOLERANCE", "Attribution", "attribute"]

TOLERANCE = 0.01  # of what a row's cells do to each other's losses, all of it counted up, or of a nat if that is more
_POINTS = 8  # of the quadrature in a stretch of the path
_MORE_STRETCHES = (2, 4, 8)  # that the path is cut into where one does not do

# Points and weights of a stretch, and rows (positions), to `vr.cascade.cells.PathGradients` of them in NumPy.
Gradients = Callable[[np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray, np.ndarray]]


@dataclass(frozen=True)
class Attribution:
    """Of each row.

    Attributes:
      effects: float64 `[n, p, d]`, what showing the column did to the loss of the predicted one, in nats.
      hidden: float64 `[n, p]`, losses of the predicted cells with nothing shown.
      shown: float64 `[n, p]`, with all others shown.
      gap: float64 `[n]`, what the effects miss of the difference between these, in nats.
      complete: bool `[n]`, whether that is within the tolerance.
    """

    effects: np.ndarray
    hidden: np.ndarray
    shown: np.ndarray
    gap: np.ndarray
    complete: np.ndarray

    def blame(self, positions: np.ndarray) -> np.ndarray:
        """Returns each row's loss, summed over its predicted cells in nats, shared out over columns, float64 `[n, d]`.

        Args:
          positions: int `[p]`, the predicted columns.
        """
        shared = self.effects.sum(axis=1) / 2.0
        shared[:, positions] += self.hidden + self.effects.sum(axis=2) / 2.0
        return shared


def attribute(gradients: Gradients, num_rows: int) -> Attribution:
    """Returns the attribution of rows; of those whose quadrature does not come right it is not complete.

    Args:
      gradients: Integrates over a stretch of the path for some of the rows.
      num_rows: n.
    """
    effects, hidden, shown = _integrated(gradients, 1, np.arange(num_rows))
    gap, complete = _checked(effects, hidden, shown)
    for stretches in _MORE_STRETCHES:
        rows = np.flatnonzero(~complete)
        if not len(rows):
            break
        effects[rows], hidden[rows], shown[rows] = _integrated(gradients, stretches, rows)
        gap, complete = _checked(effects, hidden, shown)
    return Attribution(effects, hidden, shown, gap, complete)


def _integrated(gradients: Gradients, stretches: int, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    x, w = np.polynomial.legendre.leggauss(_POINTS)
    parts = [gradients((i + (x + 1.0) / 2.0) / stretches, w / (2.0 * stretches), rows) for i in range(stretches)]
    effects = np.sum([np.asarray(integral, float) for integral, _, _ in parts], axis=0)
    hidden, shown = (np.array(end, float).T for end in parts[0][1:])
    return np.moveaxis(effects, -1, 0).copy(), hidden, shown


def _checked(effects: np.ndarray, hidden: np.ndarray, shown: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns what is missed of each row's predicted cells, added up, and whether that is within the tolerance."""
    missed = np.abs(effects.sum(axis=2) - (shown - hidden)).sum(axis=1)
    gap = np.where(np.isfinite(missed), missed, np.inf)
    return gap, gap <= TOLERANCE * np.maximum(1.0, np.abs(effects).sum(axis=(1, 2)))
