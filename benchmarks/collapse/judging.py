"""Judges the verdict, its peers and its ablations by leave-dataset-and-source-out, with intervals over datasets."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.collapse.fitting import fit_calibrated
from benchmarks.collapse.protocol import Cases, cluster_intervals, figures, leave_both_out
from vr.detector.calibration import SKILL_LOST_TARGETS, metrics_of
from vr.detector.verdict import knows_the_reference, loses_a_target

__all__ = ["Answers", "answer", "by_group", "card", "differences"]

_THREE_WAY = ("collapsed_approved", "healthy_rejected", "review_share")
_KEYS = ("auroc", "accuracy", "fpr", "fnr", "brier", "ece", "spearman")


@dataclass(frozen=True)
class Answers:
    """What heads that saw neither a case's dataset nor its source said of it.

    Attributes:
      probability: float `[n]`.
      collapsed: bool `[n]`, the two-way answer.
      approve: bool `[n]`.
      reject: bool `[n]`; neither of the two is `review`.
    """

    probability: np.ndarray
    collapsed: np.ndarray
    approve: np.ndarray
    reject: np.ndarray

    @property
    def review(self) -> np.ndarray:
        """bool `[n]`: the abstentions."""
        return ~(self.approve | self.reject)

    def take(self, rows: np.ndarray) -> "Answers":
        """Returns the answers at `rows`, positions or a mask."""
        return Answers(self.probability[rows], self.collapsed[rows], self.approve[rows], self.reject[rows])


def answer(cases: Cases, names: Sequence[str], workers: int = 2, teach: np.ndarray | None = None) -> Answers:
    """Returns the answers of heads on the features `names`, each fitted without a dataset and a source.

    Args:
      cases: All that are judged.
      names: What the heads read.
      workers: Processes.
      teach: bool `[n]`, which cases heads are fitted to; all by default.
    """
    pupils = np.ones(len(cases), bool) if teach is None else teach
    of_targets = any(metric == SKILL_LOST_TARGETS for metric in metrics_of(names))

    def select(cases: Cases, dataset: str, source: str) -> np.ndarray:
        return pupils & (cases.datasets != dataset) & (cases.sources != source)

    def fit(training: Cases) -> Callable[[Cases], np.ndarray]:
        fitted = fit_calibrated(training, names)

        def say(testing: Cases) -> np.ndarray:
            p = fitted.probability(testing.features)
            knows = knows_the_reference(testing.features, of_targets=of_targets)
            approve = (p < fitted.approve_below) & ~knows
            if of_targets:
                approve &= ~loses_a_target(testing.features)
            return np.column_stack([p, p >= fitted.detected_from, approve, p >= fitted.reject_from])

        return say

    p, *flags = leave_both_out(cases, fit, select, workers).T
    return Answers(p, *(flag == 1.0 for flag in flags))


def card(cases: Cases, answers: Answers, draws: int = 500) -> dict[str, dict[str, list[float]]]:
    """Returns the error card: `{"all" | "clear" | "abstaining": {figure: [value, lower, upper]}}`; ECE without bounds.

    `abstaining` are the clear cases, with the answers that are no `review`. In the others `fpr`, `fnr` and `accuracy`
    are those of the two-way answer; `collapsed_approved`, `healthy_rejected` and `review_share` are the verdict's.
    """
    return {
        "all": _with_intervals(cases, answers, np.ones(len(cases), bool), False, draws),
        "clear": _with_intervals(cases, answers, cases.clear, False, draws),
        "abstaining": _with_intervals(cases, answers, cases.clear, True, draws),
    }


def by_group(cases: Cases, answers: Answers, groups: np.ndarray) -> dict[str, dict[str, float]]:
    """Returns counts on clear cases by group: healthy, collapsed, and how many of each were answered how.

    `false_alarms` and `misses` are the two-way answer's, `healthy_rejected`, `collapsed_approved` and `reviewed` the
    verdict's. `auroc` is missing where a group has one class alone.
    """
    said, found = answers.collapsed, {}
    for group in np.unique(groups):
        rows = (groups == group) & cases.clear
        positive = cases.positive[rows]
        found[str(group)] = {
            "healthy": int((~positive).sum()),
            "false_alarms": int((said[rows] & ~positive).sum()),
            "collapsed": int(positive.sum()),
            "misses": int((~said[rows] & positive).sum()),
            "healthy_rejected": int((answers.reject[rows] & ~positive).sum()),
            "collapsed_approved": int((answers.approve[rows] & positive).sum()),
            "reviewed": int(answers.review[rows].sum()),
        }
        auroc = figures(answers.probability[rows], cases.harm[rows])["auroc"]
        if np.isfinite(auroc):
            found[str(group)]["auroc"] = round(auroc, 4)
    return found


def differences(cases: Cases, ours: Answers, theirs: Answers, draws: int = 500) -> dict[str, list[float]]:
    """Returns our AUROC on clear cases and Spearman on all, less theirs, each with its interval over datasets."""

    def statistic(rows: np.ndarray) -> Mapping[str, float]:
        clear = rows[cases.clear[rows]]
        gaps = {}
        for key, chosen in (("auroc", clear), ("spearman", rows)):
            a, b = (figures(x.probability[chosen], cases.harm[chosen])[key] for x in (ours, theirs))
            gaps[key] = a - b
        return gaps

    return _bracketed(statistic, np.arange(len(cases)), cases.datasets, draws)


def _with_intervals(
    cases: Cases, answers: Answers, chosen: np.ndarray, abstaining: bool, draws: int
) -> dict[str, list[float]]:
    keys = ("accuracy", "fpr", "fnr", "review_share") if abstaining else (*_KEYS, *_THREE_WAY)
    rows = np.flatnonzero(chosen)
    harm, given = cases.harm[rows], answers.take(rows)

    def statistic(drawn: np.ndarray) -> Mapping[str, float]:
        each = given.take(drawn)
        review = each.review if abstaining else None
        found = figures(each.probability, harm[drawn], each.reject if abstaining else each.collapsed, review)
        positive = harm[drawn] > 0.1
        if not abstaining:
            found["collapsed_approved"] = float(np.mean(each.approve[positive])) if positive.any() else np.nan
            found["healthy_rejected"] = float(np.mean(each.reject[~positive])) if not positive.all() else np.nan
            found["review_share"] = float(np.mean(each.review))
        return {key: found[key] for key in keys}

    counts = {"cases": [len(rows)], "positives": [int(cases.positive[rows].sum())]}
    return counts | _bracketed(statistic, np.arange(len(rows)), cases.datasets[rows], draws)


def _bracketed(
    statistic: Callable[[np.ndarray], Mapping[str, float]], rows: np.ndarray, datasets: np.ndarray, draws: int
) -> dict[str, list[float]]:
    # What cannot be said of all cases, such as errors of a verdict that only reviews, has no place on a card.
    known = {name: float(value) for name, value in statistic(rows).items() if np.isfinite(value)}

    def of_known(drawn: np.ndarray) -> Mapping[str, float]:
        found = statistic(rows[drawn])
        return {name: found[name] for name in known}

    intervals = cluster_intervals(of_known, datasets, draws)
    # Resampled cases have more ties, and so a greater binned error: its percentiles are no interval of it.
    intervals |= {name: () for name in ("ece",) if name in intervals}
    return {name: [round(value, 4), *(round(end, 4) for end in intervals[name])] for name, value in known.items()}
