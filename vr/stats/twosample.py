"""The two-sample classifier: can rows of two datasets be told apart, and by how much for each row?

Boosted trees on codes: shallow, few, on 32 bins. On 2,000 + 2,000 rows of 12 columns 20 trees of 8 leaves reach the
AUROC of 30 trees of 15 leaves in half the time, and that of 30 randomised trees in a sixth. Logistic regression on
pairs of binned codes misses most of a changed dependence; boosted tables of pairs see more between nominal columns
(0.73 for 0.59 on a permuted association of 8 codes) but less in the tails, at three times the cost.
"""

from dataclasses import dataclass

import numpy as np

from vr.stats.boosting import BoostedTrees, fit_boosted_trees
from vr.stats.resampling import auroc

__all__ = ["DensityRatio", "classifier_two_sample", "fit_density_ratio"]

_MAX_LOG_RATIO = 8.0  # beyond e^8 a ratio says "only here", and how much more is extrapolation


@dataclass(frozen=True)
class DensityRatio:
    """A fitted estimate of log p_x / p_y.

    Attributes:
      trees: The fitted classifier.
      offset: log(rows of x / rows of y) it was fitted on, which its odds contain.
    """

    trees: BoostedTrees
    offset: float

    def log_ratio(self, codes: np.ndarray) -> np.ndarray:
        """Returns log p_x / p_y of rows `codes` `[n, d]`, float64 `[n]`, cut at 8 either way."""
        return np.clip(self.trees.log_odds(codes) - self.offset, -_MAX_LOG_RATIO, _MAX_LOG_RATIO)


def fit_density_ratio(x: np.ndarray, y: np.ndarray) -> DensityRatio:
    """Fits log p_x / p_y to the codes of two samples.

    Args:
      x: Unsigned `[n, d]`, at least one row.
      y: Unsigned `[m, d]`, at least one row.

    References:
      Sugiyama, Suzuki and Kanamori 2012, Density ratio estimation in machine learning, chapter 4.
    """
    labels = np.concatenate([np.ones(len(x)), np.zeros(len(y))])
    trees = fit_boosted_trees(np.concatenate([x, y]), labels)
    return DensityRatio(trees, float(np.log(len(x) / len(y))))


def classifier_two_sample(
    x: np.ndarray, y: np.ndarray, rng: np.random.Generator, folds: int = 2
) -> tuple[float, np.ndarray, np.ndarray]:
    """Returns how well a classifier tells two samples apart, each row judged by a model that did not see it.

    Args:
      x: Unsigned codes `[n, d]`.
      y: Unsigned codes `[m, d]`.
      rng: Draws the folds.
      folds: At least 2; a side with fewer rows cannot be judged.

    Returns:
      `(auroc, log ratios of x [n], log ratios of y [m])`: 0.5 where they cannot be told apart, 1 where every row can.
      NaN throughout where a side has fewer rows than folds.

    References:
      Lopez-Paz and Oquab 2017, Revisiting classifier two-sample tests.
    """
    ratios = [np.full(len(x), np.nan), np.full(len(y), np.nan)]
    if min(len(x), len(y)) < folds:
        return float("nan"), ratios[0], ratios[1]
    fold_of = [rng.permutation(len(side)) % folds for side in (x, y)]
    for fold in range(folds):
        model = fit_density_ratio(x[fold_of[0] != fold], y[fold_of[1] != fold])
        for side, of, ratio in zip((x, y), fold_of, ratios, strict=True):
            ratio[of == fold] = model.log_ratio(side[of == fold])
    labels = np.concatenate([np.ones(len(x), bool), np.zeros(len(y), bool)])
    return float(auroc(np.concatenate(ratios), labels)), ratios[0], ratios[1]
