"""Leave-dataset-and-generator-out: every case is judged by a model that saw neither its dataset nor its source.

    prediction = leave_both_out(cases, fit)

`fit` gets the cases of other datasets made by other sources, and returns a function to probabilities. Before it is
called the two sets are compared by what they hold, not by how they were chosen: a mistake in choosing is caught.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import rankdata, spearmanr, t

from benchmarks.skill_loss import COLLAPSED_ABOVE, HEALTHY_BELOW

__all__ = [
    "Cases",
    "LeakError",
    "check_apart",
    "cluster_intervals",
    "figures",
    "folds_by_dataset",
    "leave_both_out",
    "student_interval",
]


class LeakError(AssertionError):
    """What judges and what fits share a case, a dataset or a source."""


@dataclass(frozen=True)
class Cases:
    """Labelled cases, `n` of them.

    Attributes:
      ids: `[n]` strings, unique.
      datasets: `[n]` strings.
      sources: `[n]` strings: family, damage or harmless change.
      harm: float `[n]`, max(s, s_tail / 2).
      features: By name, float `[n]`, NaN where not measured.
    """

    ids: np.ndarray
    datasets: np.ndarray
    sources: np.ndarray
    harm: np.ndarray
    features: Mapping[str, np.ndarray]

    def __len__(self) -> int:
        return len(self.ids)

    @property
    def positive(self) -> np.ndarray:
        """bool `[n]`: harm above the middle of the grey band, 0.1."""
        return self.harm > 0.1

    @property
    def clear(self) -> np.ndarray:
        """bool `[n]`: outside the grey band, 0.05 to 0.15."""
        return (self.harm > COLLAPSED_ABOVE) | (self.harm < HEALTHY_BELOW)

    def take(self, rows: np.ndarray) -> "Cases":
        """Returns the cases at `rows`, positions or a mask."""
        return Cases(
            self.ids[rows],
            self.datasets[rows],
            self.sources[rows],
            self.harm[rows],
            {name: values[rows] for name, values in self.features.items()},
        )

    def joined(self, others: "Cases") -> "Cases":
        """Returns these cases, then `others`, which have the same features."""
        return Cases(
            *(np.concatenate([getattr(self, x), getattr(others, x)]) for x in ("ids", "datasets", "sources", "harm")),
            {name: np.concatenate([values, others.features[name]]) for name, values in self.features.items()},
        )


Model = Callable[[Cases], np.ndarray]


def check_apart(train: Cases, test: Cases) -> None:
    """Raises LeakError where the two share a case, a dataset or a source, or a row of features.

    Equal features under another name are a leak too: the same candidate filed twice.
    """
    for what in ("ids", "datasets", "sources"):
        shared = np.intersect1d(getattr(train, what), getattr(test, what))
        if len(shared):
            raise LeakError(f"{len(shared)} {what} are on both sides, among them {shared[0]}")
    names = sorted(train.features)
    rows = [
        {row.tobytes() for row in np.column_stack([side.features[name] for name in names])} for side in (train, test)
    ]
    if names and rows[0] & rows[1]:
        raise LeakError("a row of features is on both sides")


def leave_both_out(
    cases: Cases,
    fit: Callable[[Cases], Model],
    select: Callable[[Cases, str, str], np.ndarray] | None = None,
    workers: int = 1,
) -> np.ndarray:
    """Returns every case's prediction by a model fitted without its dataset and without its source, `[n, ...]`.

    Args:
      cases: All of them.
      fit: From training cases to a model; both can be pickled where there are several workers.
      select: Which cases may train for the dataset and the source held out, a mask; by default those that share
        neither.
      workers: Processes.
    """
    held = [
        (cases.datasets == dataset) & (cases.sources == source)
        for dataset in np.unique(cases.datasets)
        for source in np.unique(cases.sources[cases.datasets == dataset])
    ]

    def predict(rows: np.ndarray) -> np.ndarray:
        dataset, source = cases.datasets[rows][0], cases.sources[rows][0]
        if select is None:
            train = (cases.datasets != dataset) & (cases.sources != source)
        else:
            train = select(cases, dataset, source)
        training, testing = cases.take(train), cases.take(rows)
        check_apart(training, testing)
        return fit(training)(testing)

    found = Parallel(workers)(delayed(predict)(rows) for rows in held)
    predictions = np.full((len(cases), *found[0].shape[1:]), np.nan)
    for rows, values in zip(held, found, strict=True):
        predictions[rows] = values
    return predictions


def folds_by_dataset(cases: Cases, folds: int = 5) -> np.ndarray:
    """Returns a fold for every case, whole datasets together, about equally many cases in each; int `[n]`."""
    names, counts = np.unique(cases.datasets, return_counts=True)
    load, of = np.zeros(folds), {}
    for name in names[np.argsort(-counts, kind="stable")]:
        of[name] = int(load.argmin())
        load[of[name]] += counts[names == name][0]
    return np.array([of[name] for name in cases.datasets])


def figures(
    probability: np.ndarray, harm: np.ndarray, said: np.ndarray | None = None, review: np.ndarray | None = None
) -> dict[str, float]:
    """Returns the error rates of probabilities against measured harm; the grey band counts by its own side of 0.1.

    Args:
      probability: float `[n]`, of collapse.
      harm: float `[n]`.
      said: bool `[n]`, what was called collapsed; by default from one half.
      review: bool `[n]`, abstentions; left out of accuracy, FPR and FNR where given.
    """
    positive = harm > 0.1
    answered = np.ones(len(harm), bool) if review is None else ~review
    said = probability >= 0.5 if said is None else said
    ranks = rankdata(probability)
    num_positive, num_negative = int(positive.sum()), int((~positive).sum())
    auroc = float("nan")
    if num_positive and num_negative:
        auroc = float((ranks[positive].sum() - num_positive * (num_positive + 1) / 2) / (num_positive * num_negative))
    a, p, s = answered, positive[answered], said[answered]
    return {
        "cases": len(harm),
        "positives": num_positive,
        "auroc": auroc,
        "accuracy": _share(p == s),
        "fpr": _share(s[~p]),
        "fnr": _share(~s[p]),
        "review_share": 1.0 - _share(a),
        "brier": float(np.mean((probability - positive) ** 2)) if len(harm) else float("nan"),
        "ece": expected_calibration_error(probability, positive),
        "spearman": float(spearmanr(probability, harm).statistic) if len(harm) > 2 else float("nan"),
    }


def expected_calibration_error(probability: np.ndarray, positive: np.ndarray, bins: int = 10) -> float:
    """Returns the mean gap between probability and frequency over equal-width bins, weighted by cases, 0 to 1."""
    if not len(probability):
        return float("nan")
    index = np.minimum((probability * bins).astype(int), bins - 1)
    gaps = [abs(probability[index == b].sum() - positive[index == b].sum()) for b in range(bins)]
    return float(np.sum(gaps) / len(probability))


def cluster_intervals(
    statistic: Callable[[np.ndarray], Mapping[str, Any]], datasets: np.ndarray, draws: int = 500, level: float = 0.95
) -> dict[str, tuple[float, float]]:
    """Returns percentile intervals of `statistic(rows)` over resampled datasets, each drawn whole.

    Cases of one dataset are no independent cases: an interval over cases would be several times too narrow.
    """
    rng = np.random.default_rng(0)
    names = np.unique(datasets)
    rows_of = {name: np.flatnonzero(datasets == name) for name in names}
    found: dict[str, list[float]] = {}
    for _ in range(draws):
        rows = np.concatenate([rows_of[name] for name in rng.choice(names, len(names))])
        for key, value in statistic(rows).items():
            found.setdefault(key, []).append(float(value))
    tail = 50.0 * (1.0 - level)
    return {key: tuple(np.nanpercentile(values, [tail, 100.0 - tail]).tolist()) for key, values in found.items()}


def student_interval(values: np.ndarray) -> dict[str, float]:
    """Returns the mean of two values or more with Student's interval at 95 %."""
    half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    mean = float(values.mean())
    return {"mean": round(mean, 5), "lower": round(mean - half, 5), "upper": round(mean + half, 5)}


def _share(flags: np.ndarray) -> float:
    return float(np.mean(flags)) if len(flags) else float("nan")
