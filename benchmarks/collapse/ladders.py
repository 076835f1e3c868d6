"""Fits the scale of every dimension's score, and where on it a dimension fails, to the study's cases.

A ladder's rungs are the study's lineages and damages, whatever became of them; thresholds are fitted to the clear cases
among all, so that a healthy case called failed and a collapsed one called passed weigh the same.
"""

import numpy as np

from benchmarks.collapse.protocol import Cases, figures, folds_by_dataset
from vr.detector.ladder import Ladder, fit_rungs, score_on
from vr.detector.metric import excess_of
from vr.detector.registry import DIMENSIONS

__all__ = ["distances", "fit_ladder", "fit_ladders", "threshold"]

_FOLDS = 10  # of datasets, for the rates at thresholds that had not seen them
_FEWEST = 100  # cases that a ladder needs
SITUATIONS = ("trained", "untrained", "trained_for_targets", "untrained_for_targets")
_SKILL = ("skill_lost_trees", "skill_lost_targets")  # a run measures one of the two
# Their judged metrics need probes that only the whole cascade takes.
PROBED = ("gradient_health", "loss_landscape")


def fit_ladders(features: tuple[Cases, np.ndarray], cascade: tuple[Cases, np.ndarray]) -> dict[str, dict[str, Ladder]]:
    """Returns every dimension's ladder, `{situation: {dimension: Ladder}}`, for each head that reads a reference.

    Args:
      features: All cases, and bool `[n]`, which are rungs.
      cascade: The same of those that went through the whole cascade.
    """
    found: dict[str, dict[str, Ladder]] = {}
    for situation in SITUATIONS:
        found[situation] = {}
        for name in DIMENSIONS:
            cases, rungs = cascade if name in PROBED else features
            distance = distances(cases, name, situation)
            measured = np.isfinite(distance)
            if measured.sum() >= _FEWEST:
                found[situation][name] = fit_ladder(cases.take(measured), distance[measured], rungs[measured])
    return found


def distances(cases: Cases, dimension: str, situation: str) -> np.ndarray:
    """Returns D of every case, float `[n]`, as `vr.detector.ladder.distance` computes it; NaN where unmeasured."""
    proxies, unread = situation.startswith("trained"), _SKILL[not situation.endswith("for_targets")]
    names = [
        f"{dimension}.{metric}"
        for metric, spec in DIMENSIONS[dimension].metrics.items()
        if spec.judged and (proxies or not spec.proxies) and metric != unread
    ]
    squares = [np.square(excess_of(cases.features[name])) for name in names]
    known = np.sum(np.isfinite(squares), axis=0) if names else np.zeros(len(cases))
    total = np.nansum(squares, axis=0) if names else known
    return np.sqrt(np.divide(total, known, out=np.full(len(cases), np.nan), where=known > 0))


def fit_ladder(cases: Cases, distance: np.ndarray, rungs: np.ndarray) -> Ladder:
    """Returns a ladder with its threshold, and what thresholds and rungs of other datasets would have said."""
    scores, passed = np.empty(len(cases)), np.empty(len(cases), bool)
    folds = folds_by_dataset(cases, _FOLDS)
    for fold in np.unique(folds):
        held = folds == fold
        levels = fit_rungs(distance[rungs & ~held])
        seen = np.array([score_on(levels, each) for each in distance])
        cut = threshold(seen[~held & cases.clear], cases.positive[~held & cases.clear])
        scores[held], passed[held] = seen[held], seen[held] >= cut
    levels = fit_rungs(distance[rungs])
    own = np.array([score_on(levels, each) for each in distance])
    clear = cases.clear
    rates = figures(1.0 - scores[clear] / 100.0, cases.harm[clear], ~passed[clear])
    return Ladder(levels, threshold(own[clear], cases.positive[clear]), rates["fpr"], rates["fnr"], rates["auroc"])


def threshold(scores: np.ndarray, positive: np.ndarray) -> float:
    """Returns the score below which to fail, where the mean of both error rates is least.

    The middle between two neighbouring scores; of several that are as good, the lowest, which raises fewest alarms.
    """
    levels = np.unique(scores)
    cuts = np.concatenate([[0.0], (levels[1:] + levels[:-1]) / 2, [100.0]])
    below = [np.searchsorted(np.sort(scores[side]), cuts) / max(1, side.sum()) for side in (positive, ~positive)]
    return float(cuts[np.argmin(below[1] - below[0])])
