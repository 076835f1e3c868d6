"""How alike two fingerprints are.

Distances are taken after

    g(z) = sign(z) log(1 + |z|)

of every component: the shifts are heavy-tailed, and one metric out of bounds would otherwise be all that a distance
sees.
"""

from collections.abc import Sequence

import numpy as np

from vr.signatures.components import NAMES

__all__ = ["distances", "similarity", "vectors"]


def vectors(fingerprints: Sequence[Sequence[float | None]]) -> np.ndarray:
    """Returns g of every component, float32 `[n, len(NAMES)]`; one that is not defined is no shift from its null."""
    z = np.array([[0.0 if value is None else value for value in each] for each in fingerprints], float)
    z = z.reshape(len(fingerprints), len(NAMES))
    return (np.sign(z) * np.log1p(np.abs(z))).astype(np.float32)


def distances(query: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns the root mean square difference of a vector `[p]` to each of `others [n, p]`, float64 `[n]`."""
    difference = others.astype(np.float64) - query.astype(np.float64)
    return np.sqrt(np.mean(difference**2, axis=1))


def similarity(distance: np.ndarray | float) -> np.ndarray:
    """Returns exp(-distance): 1 for equal fingerprints, 0.37 where g differs by one in the root mean square.

    A difference of one in g is a shift 2.7 times as large.
    """
    return np.exp(-np.asarray(distance, float))
