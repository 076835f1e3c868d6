"""The compiled loops of a verdict, each called once, so that whoever comes first does not wait for it."""

import numpy as np

from vr.stats import boosting, forests
from vr.stats.dependence import pair_entropies
from vr.stats.divergences import ks_distance
from vr.stats.kernels import kernel_mean

__all__ = ["warm_up"]


def warm_up() -> None:
    """Compiles the loops, or loads those that were kept."""
    forests.warm_up()
    boosting.warm_up()
    pair_entropies(np.zeros((2, 2), np.uint16), [1, 1])
    ks_distance(np.zeros(1), np.zeros(1))
    kernel_mean(np.zeros((2, 1)), 1.0)
