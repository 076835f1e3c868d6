"""Do the two-sample classifier's trees tell as much as LightGBM's and scikit-learn's, and how long does each take?

    OMP_NUM_THREADS=1 python -m benchmarks.two_sample_trees [--repeats 10]

*Agreement*: halves of a dozen tables as reference and candidate, and candidates of four generators fitted to one half,
at most 1,500 rows. The classifier's AUROC is cross-fitted with the trees of each on the same folds, four draws of
folds; the difference from another library is held against that between draws. *Speed*: milliseconds to grow the trees
of random codes of 12 columns, and to read as many rows, in one thread and in two that grow at once, in turn. Writes
results/two_sample_trees.json. Three minutes.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import lightgbm
import numpy as np
import pyarrow as pa
from sklearn.ensemble import HistGradientBoostingClassifier

from benchmarks import datasets
from benchmarks.measure import save
from synthetic.families import FAMILIES
from vr.cascade.config import preset
from vr.core.workers import each
from vr.data.source import open_source
from vr.pipeline.config import Config
from vr.pipeline.intake import take_in
from vr.stats import boosting, twosample
from vr.stats.boosting import fit_boosted_trees
from vr.stats.twosample import classifier_two_sample

__all__ = ["GROWN_BY", "agreement", "grown_by"]

TABLES = (
    "fair",
    "wagepan",
    "HMDA",
    "OJ",
    "Default",
    "breast_cancer",
    "diabetes",
    "dd",
    "loanapp",
    "nwtco",
    "Bananas",
    "crime1",
)
GENERATORS = ("gaussian_copula", "sequential_trees", "bayesian_network", "independent")
MAX_ROWS = 1_500
DRAWS = 4
ROWS, TREES, LEAVES, RATE, BINS, LEAF_ROWS, LEAF_HESSIAN = (1_000, 2_000, 5_000), 20, 8, 0.3, 32, 20, 1e-3


class _Other:
    """Trees of another library on the same bins."""

    def __init__(self, codes: np.ndarray, score: Callable[[np.ndarray], np.ndarray]):
        self._bins = boosting._binned(codes)[0]  # noqa: SLF001 - what is compared
        self._score = score

    def log_odds(self, codes: np.ndarray) -> np.ndarray:
        return self._score(self.binned(codes)) if len(codes) else np.empty(0)

    def binned(self, codes: np.ndarray) -> np.ndarray:
        pairs = zip(codes.T, self._bins, strict=True)
        return np.column_stack([table[np.minimum(column, len(table) - 1)] for column, table in pairs]).astype(float)


def _by_lightgbm(codes: np.ndarray, labels: np.ndarray) -> _Other:
    settings: dict[str, Any] = {
        "objective": "binary",
        "num_leaves": LEAVES,
        "learning_rate": RATE,
        "min_data_in_leaf": _leaf_rows(labels),
        "min_sum_hessian_in_leaf": LEAF_HESSIAN,
        "max_bin": BINS + 1,
        "min_data_in_bin": 1,
        "enable_bundle": False,
        "feature_pre_filter": False,
        "use_missing": False,
        "deterministic": True,
        "force_col_wise": True,
        "num_threads": 1,
        "verbosity": -1,
    }
    other = _Other(codes, lambda rows: np.asarray(grown.predict(rows, raw_score=True, num_threads=1), float))
    grown = lightgbm.train(settings, lightgbm.Dataset(other.binned(codes), labels), TREES)
    return other


def _by_scikit_learn(codes: np.ndarray, labels: np.ndarray) -> _Other:
    model = HistGradientBoostingClassifier(
        max_iter=TREES,
        max_leaf_nodes=LEAVES,
        learning_rate=RATE,
        max_bins=BINS,
        min_samples_leaf=_leaf_rows(labels),
        early_stopping=False,  # pyright: ignore[reportArgumentType] (annotated by its default, the string "auto")
    )
    other = _Other(codes, model.decision_function)
    model.fit(other.binned(codes), labels)
    return other


def _leaf_rows(labels: np.ndarray) -> int:
    return min(LEAF_ROWS, max(1, len(labels) // 10))


GROWN_BY: dict[str, Callable[[np.ndarray, np.ndarray], Any]] = {
    "vr": fit_boosted_trees,
    "lightgbm": _by_lightgbm,
    "scikit-learn": _by_scikit_learn,
}


@contextmanager
def grown_by(name: str) -> Iterator[None]:
    """Has the classifier's trees grown by one of `GROWN_BY` within."""
    twosample.fit_boosted_trees = GROWN_BY[name]
    try:
        yield
    finally:
        twosample.fit_boosted_trees = fit_boosted_trees


def agreement(candidate: pa.Table, reference: pa.Table) -> dict[str, list[float]]:
    """Returns the AUROC with the trees of each, for every draw of folds."""
    config = Config(cascade=preset("none"))
    intake = take_in(open_source(candidate), open_source(reference), config, 1, lambda *_: None)
    assert intake.reference is not None
    x, y = intake.candidate.codes, intake.reference.codes
    found = {}
    for name in GROWN_BY:
        with grown_by(name):
            found[name] = [classifier_two_sample(x, y, np.random.default_rng(draw))[0] for draw in range(DRAWS)]
    return {name: [round(float(value), 5) for value in values] for name, values in found.items()}


def _milliseconds(rows: int, threads: int, name: str) -> tuple[float, float]:
    """Returns what growing a classifier's trees takes, and what reading as many rows by them does."""
    rng = np.random.default_rng(rows)
    codes, labels = rng.integers(0, BINS, (2 * rows, 12)).astype(np.uint16), np.repeat([1.0, 0.0], rows)
    fit = GROWN_BY[name]
    fit(codes, labels)
    begun = time.perf_counter()
    grown = each(lambda _: fit(codes, labels), range(8), threads)
    then = time.perf_counter()
    each(lambda trees: trees.log_odds(codes), grown, threads)
    return (then - begun) / 8 * 1e3, (time.perf_counter() - then) / 8 * 1e3


def _speed(rows: int, threads: int, repeats: int) -> dict[str, Any]:
    runs = [{name: _milliseconds(rows, threads, name) for name in GROWN_BY} for _ in range(repeats)]
    found: dict[str, Any] = {"rows": rows, "threads": threads}
    for position, what in enumerate(("grow", "read")):
        middle = {name: round(statistics.median(run[name][position] for run in runs), 2) for name in GROWN_BY}
        times = {
            name: round(statistics.median(run[name][position] / run["vr"][position] for run in runs), 2)
            for name in GROWN_BY
            if name != "vr"
        }
        found[what] = {"milliseconds": middle, "times_as_fast": times}
    return found


def main() -> None:
    """Measures all and writes the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=10)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    cases = []
    for table in TABLES:
        first, second = datasets.halves(table, MAX_ROWS, np.random.default_rng(0))
        candidates = {"fresh": second}
        candidates |= {name: FAMILIES[name].fit(first, 0).sample(len(second), 1) for name in GENERATORS}
        for name, candidate in candidates.items():
            reference = first if name == "fresh" else second
            cases.append({"table": table, "candidate": name, "auroc": agreement(candidate, reference)})
        print(cases[-1], flush=True)
    auroc = {name: np.array([case["auroc"][name] for case in cases]) for name in GROWN_BY}
    apart = {name: auroc["vr"] - auroc[name] for name in GROWN_BY if name != "vr"}
    speed = []
    for rows in ROWS:
        for threads in (1, 2):
            speed.append(_speed(rows, threads, args.repeats))
            print(speed[-1], flush=True)
    result = {
        "cases": cases,
        "mean_difference": {name: round(float(gaps.mean()), 5) for name, gaps in apart.items()},
        "deviation_of_differences": {name: round(float(gaps.std()), 5) for name, gaps in apart.items()},
        "deviation_of_draws": round(float(np.sqrt(auroc["vr"].var(axis=1, ddof=1).mean())), 5),
        "speed": speed,
    }
    save("two_sample_trees", result, "python -m benchmarks.two_sample_trees")


if __name__ == "__main__":
    main()
