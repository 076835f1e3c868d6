"""The scale of a dimension's score: what share of a ladder of degraded tables is worse than the candidate.

    score = 100 (1 - F(D))

D is the dimension's distance from its null, F its distribution over the ladder's rungs: real tables degraded by
generators, generation after generation, and by damages of known kind and strength. Eight scores so have one unit. 100
is no farther than fresh rows are, or nearer than every rung; 0 is beyond all of them.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from vr.detector.metric import Feature, MetricSpec, excess

__all__ = ["Ladder", "distance", "fit_rungs", "score_on"]

_LEVELS = 200  # quantiles kept of a ladder


@dataclass(frozen=True)
class Ladder:
    """A dimension's scale.

    Attributes:
      rungs: float `[levels + 1]`, ascending quantiles of D from the least to the greatest, equally spaced in level.
      threshold: Score below which the dimension fails.
      false_alarms: Share of healthy candidates that score below a threshold fitted without their dataset.
      misses: Share of collapsed candidates that do not.
      auroc: Of the score alone, collapsed against healthy.
    """

    rungs: np.ndarray
    threshold: float
    false_alarms: float
    misses: float
    auroc: float

    def score(self, distance: float) -> float:
        """Returns 0 to 100 for a distance of at least 0; never rises with it."""
        return score_on(self.rungs, distance)

    def to_dict(self) -> dict[str, Any]:
        """Returns JSON-able values."""
        rates = {name: round(getattr(self, name), 4) for name in ("false_alarms", "misses", "auroc")}
        return {"rungs": np.round(self.rungs, 5).tolist(), "threshold": round(self.threshold, 1), **rates}

    @classmethod
    def from_dict(cls, document: Mapping[str, Any]) -> "Ladder":
        """Returns what `to_dict` gave."""
        rest = {name: float(value) for name, value in document.items() if name != "rungs"}
        return cls(np.array(document["rungs"], float), **rest)


def score_on(rungs: np.ndarray, distance: float) -> float:
    """Returns the share of a ladder, in percent, that lies at `distance` or beyond it, linear between its quantiles."""
    below = int(np.searchsorted(rungs, distance, side="left"))
    if below == len(rungs):
        return 0.0
    part = 0.0
    if 0 < below:
        # From the last quantile below the distance to the first that is not.
        part = below - 1 + (distance - rungs[below - 1]) / (rungs[below] - rungs[below - 1])
    return float(100.0 * (1.0 - part / (len(rungs) - 1)))


def fit_rungs(distances: np.ndarray) -> np.ndarray:
    """Returns a ladder's quantiles, rounded as they are kept.

    Args:
      distances: float `[n]`, of the degraded candidates, none missing.
    """
    return np.round(np.quantile(distances, np.linspace(0.0, 1.0, _LEVELS + 1)), 5)


def distance(features: Mapping[str, Feature], specs: Mapping[str, MetricSpec]) -> float | None:
    """Returns D, the root mean square of the judged metrics' `excess`, at least 0.

    Args:
      features: A dimension's, by metric name.
      specs: Of all its metrics.

    Returns:
      None where no judged metric has both a value and a null.
    """
    distances = [
        found
        for name, spec in specs.items()
        if spec.judged and name in features and (found := excess(features[name], spec)) is not None
    ]
    return float(np.sqrt(np.mean(np.square(distances)))) if distances else None
