"""Judges the pre-screen, and what the library of signatures knows, on the labelled cases.

Nothing that answers for a case has seen its dataset or its source, the choice between ways of answering included.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from scipy.special import expit
from scipy.stats import spearmanr
from sklearn.cluster import AgglomerativeClustering
from sklearn.metrics import silhouette_score

from benchmarks.collapse.fitting import fit_calibrated, fit_platt, risk_thresholds, soft_target
from benchmarks.collapse.judging import Answers
from benchmarks.collapse.protocol import Cases, check_apart, figures, folds_by_dataset
from vr.detector.head import fit_head
from vr.signatures.components import NAMES
from vr.signatures.geometry import distances, similarity, vectors

__all__ = ["clusters", "judged", "look_alike", "nearest_share", "outside"]

NEIGHBOURS = (5, 10, 20, 40)
METHODS = ("head", *(f"nearest {k}" for k in NEIGHBOURS))
_REAL_PERCENTILE = 5.0  # of pairs of real samples that are less alike than the threshold
_CLUSTERS = range(3, 15)
_DATASET_GROUPS, _SOURCE_GROUPS = 8, 6


def points(cases: Cases) -> np.ndarray:
    """Returns the cases' vectors, `[n, p]`."""
    z = np.column_stack([cases.features[name] for name in NAMES])
    return vectors([[None if np.isnan(v) else v for v in row] for row in z])


def nearest_share(training: Cases, testing: Cases, k: int) -> np.ndarray:
    """Returns the share of collapsed among the k nearest, weighted by similarity, float `[n]`."""
    known, target = points(training), soft_target(training.harm)
    found = []
    for query in points(testing):
        away = distances(query, known)
        order = np.argsort(away, kind="stable")[:k]
        weight = similarity(away[order]) + 1e-12
        found.append(float(weight @ target[order] / weight.sum()))
    return np.array(found)


def scores(training: Cases, testing: Cases) -> dict[str, np.ndarray]:
    """Returns what every method says of `testing`, more where it is more collapsed."""
    head = fit_head(training.features, NAMES, soft_target(training.harm))
    near = {f"nearest {k}": nearest_share(training, testing, k) for k in NEIGHBOURS}
    return {"head": head.logit(testing.features), **near}


def choose(training: Cases) -> str:
    """Returns the method of the greatest AUROC on clear cases by inner folds that hold out datasets and sources."""
    by_dataset, by_source = _groups(training.datasets, 4), _groups(training.sources, 3)
    said = {name: np.full(len(training), np.nan) for name in METHODS}
    for i in range(4):
        for j in range(3):
            held = (by_dataset == i) & (by_source == j)
            known = (by_dataset != i) & (by_source != j)
            if held.any():
                for name, values in scores(training.take(known), training.take(held)).items():
                    # Methods have other scales in every fold only by what they learnt: none is rescaled.
                    said[name][held] = values
    clear = training.clear
    return max(METHODS, key=lambda name: figures(said[name][clear], training.harm[clear])["auroc"])


def _groups(names: np.ndarray, groups: int) -> np.ndarray:
    """Returns a group for every case, those of one name together, about equally many cases in each; int `[n]`."""
    unique, counts = np.unique(names, return_counts=True)
    load, of = np.zeros(groups), {}
    for name, count in sorted(zip(unique.tolist(), counts.tolist(), strict=True), key=lambda item: (-item[1], item[0])):
        of[name] = int(load.argmin())
        load[of[name]] += count
    return np.array([of[name] for name in names.tolist()])


def judged(everything: Cases, teach: np.ndarray, workers: int) -> tuple[Answers, dict[str, Any]]:
    """Returns the answers of the method chosen without each case's dataset and source, and every method's own.

    Datasets and sources are held out by groups of them, which leaves less to learn from than one of each would.

    Args:
      everything: All cases that are judged.
      teach: bool `[n]`, those that may teach.
      workers: Processes.
    """

    def fit(training: Cases) -> Callable[[Cases], np.ndarray]:
        fitted = fit_calibrated(training, NAMES)
        nearest = {k: _calibrated_nearest(training, k) for k in NEIGHBOURS}
        chosen = METHODS.index(choose(training))

        def say(testing: Cases) -> np.ndarray:
            columns = [fitted.probability(testing.features), *(nearest[k](testing)[0] for k in NEIGHBOURS)]
            stops = [columns[0] >= fitted.reject_from, *(nearest[k](testing)[1] for k in NEIGHBOURS)]
            return np.column_stack([*columns, *stops, np.full(len(testing), chosen)])

        return say

    by_dataset, by_source = _groups(everything.datasets, _DATASET_GROUPS), _groups(everything.sources, _SOURCE_GROUPS)
    held = [(by_dataset == i) & (by_source == j) for i in range(_DATASET_GROUPS) for j in range(_SOURCE_GROUPS)]
    held = [rows for rows in held if rows.any()]

    def answer(rows: np.ndarray) -> np.ndarray:
        first = np.flatnonzero(rows)[0]
        train = teach & (by_dataset != by_dataset[first]) & (by_source != by_source[first])
        training, testing = everything.take(train), everything.take(rows)
        check_apart(training, testing)
        return fit(training)(testing)

    parts = Parallel(workers)(delayed(answer)(rows) for rows in held)
    found = np.full((len(everything), 2 * len(METHODS) + 1), np.nan)
    for rows, values in zip(held, parts, strict=True):
        found[rows] = values
    m = len(METHODS)
    answers = {name: _answers(found[:, i], found[:, m + i] == 1.0) for i, name in enumerate(METHODS)}
    chosen = found[:, -1].astype(int)
    rows = np.arange(len(found))
    counts = Counter(METHODS[i] for i in chosen)
    return _answers(found[rows, chosen], found[rows, m + chosen] == 1.0), {
        "answers": answers,
        "chosen": {name: counts[name] for name in METHODS if counts[name]},
    }


def _calibrated_nearest(training: Cases, k: int) -> Callable[[Cases], tuple[np.ndarray, np.ndarray]]:
    """Returns a function to probability and stop, scaled on training cases answered without their dataset."""
    folds = folds_by_dataset(training, 5)
    share = np.empty(len(training))
    for fold in np.unique(folds):
        share[folds == fold] = nearest_share(training.take(folds != fold), training.take(folds == fold), k)
    clear = training.clear
    slope, intercept = fit_platt(share[clear], training.positive[clear])
    _, stop_from = risk_thresholds(expit(slope * share[clear] + intercept), training.positive[clear])

    def say(testing: Cases) -> tuple[np.ndarray, np.ndarray]:
        p = expit(slope * nearest_share(training, testing, k) + intercept)
        return p, p >= stop_from

    return say


def _answers(probability: np.ndarray, stop: np.ndarray) -> Answers:
    """Returns `stop` as the two-way answer and as rejections; what is not stopped is not approved by that."""
    return Answers(probability, stop, np.zeros(len(stop), bool), stop)


def outside(cases: Cases) -> dict[str, Any]:
    """Returns below which similarity to its nearest signature a candidate is outside the library.

    It is what all but one in twenty pairs of real samples of two datasets reach, each measured against its own
    reference: what is less alike than real rows are to anybody else's real rows is not known by its neighbour. Beside
    it, how many cases have no such neighbour of another dataset and another source; for each, the threshold is taken
    anew from the pairs without its dataset.
    """
    x, real = points(cases), cases.sources == "real"
    best, below = np.full((2, len(cases)), np.nan)
    pairs = similarity(np.stack([distances(each, x[real]) for each in x[real]]))
    for dataset in np.unique(cases.datasets):
        below[cases.datasets == dataset] = _threshold(pairs, cases.datasets[real], without=dataset)
    for i in range(len(cases)):
        near, other = similarity(distances(x[i], x)), cases.datasets != cases.datasets[i]
        # Real rows are what real rows are compared with; a generator's are not, its family being unknown.
        best[i] = near[other & ((cases.sources != cases.sources[i]) | real[i])].max()
    groups = {"real": real, "healthy": ~real & cases.clear & ~cases.positive, "grey": ~cases.clear & ~real}
    groups["collapsed"] = cases.clear & cases.positive
    return {
        "threshold": _threshold(pairs, cases.datasets[real]),
        "thresholds_held_out": [float(below.min()), float(below.max())],
        "by_label": {
            name: {
                "cases": int(rows.sum()),
                "outside": int((best[rows] < below[rows]).sum()),
                "median_similarity": round(float(np.median(best[rows])), 4),
            }
            for name, rows in groups.items()
        },
    }


def _threshold(pairs: np.ndarray, datasets: np.ndarray, without: str | None = None) -> float:
    kept = (datasets[:, None] != datasets) & (datasets[:, None] != without) & (datasets != without)
    return round(float(np.percentile(pairs[kept], _REAL_PERCENTILE)), 4)


def look_alike(cases: Cases, rows: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns how well the nearest collapsed lineages of other datasets name a collapsed lineage's family and depth."""
    kept = np.array([row["kind"] == "lineage" and row["label"] == "collapsed" for row in rows])
    x, datasets = points(cases)[kept], cases.datasets[kept]
    chosen = [row for row, keep in zip(rows, kept, strict=True) if keep]
    family = np.array([row["source"] for row in chosen])
    depth = np.log2([row["generation"] for row in chosen])
    guessed, guessed_depth, second = [], [], {}
    for i in range(len(x)):
        away = np.where(datasets == datasets[i], np.inf, distances(x[i], x))
        order = np.argsort(away, kind="stable")[:5]
        votes = Counter(family[order].tolist())
        # Of equally many votes the nearest one's.
        guess = max(votes, key=lambda name: (votes[name], -int(np.flatnonzero(family[order] == name)[0])))
        guessed.append(guess)
        guessed_depth.append(float(depth[order].mean()))
        second.setdefault(str(family[i]), Counter())[guess] += 1
    guessed = np.array(guessed)
    shares = Counter(family.tolist())
    return {
        "cases": len(x),
        "right_family": round(float(np.mean(guessed == family)), 4),
        "commonest_family": round(max(shares.values()) / len(x), 4),
        "depth_spearman": round(float(spearmanr(guessed_depth, depth).statistic), 4),
        "taken_for": {
            name: {"cases": shares[name], "taken_for": dict(counts.most_common(3))} for name, counts in second.items()
        },
    }


def clusters(cases: Cases, rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Returns groups of collapsed cases that look alike, the largest first.

    Ward's clusters of the fingerprints, as many as give the greatest silhouette; by density they are one cloud.
    """
    kept = np.array([row["label"] == "collapsed" for row in rows])
    x = points(cases)[kept].astype(np.float64)
    chosen = [row for row, keep in zip(rows, kept, strict=True) if keep]
    ways = [AgglomerativeClustering(number).fit_predict(x) for number in _CLUSTERS]
    labels = max(ways, key=lambda way: silhouette_score(x, way))
    middle = x.mean(axis=0)
    found = []
    for label in np.unique(labels):
        members = np.flatnonzero(labels == label)
        these = [chosen[i] for i in members]
        sources, generations = (
            Counter(row["source"] for row in these),
            [r["generation"] for r in these if r["generation"]],
        )
        apart = x[members].mean(axis=0) - middle
        order = np.argsort(-np.abs(apart), kind="stable")[:3]
        found.append(
            {
                "cases": len(members),
                "datasets": len({row["dataset"] for row in these}),
                "sources": dict(sources.most_common(4)),
                "median_generation": float(np.median(generations)) if generations else None,
                "median_harm": round(float(np.median([row["harm"] for row in these])), 3),
                "stands_out": {NAMES[i]: round(float(apart[i]), 2) for i in order},
            }
        )
    return sorted(found, key=lambda each: -each["cases"])
