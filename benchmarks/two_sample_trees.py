"""Do LightGBM's trees tell two samples apart as scikit-learn's do, and how long does either take to grow them?

    OMP_NUM_THREADS=1 python -m benchmarks.two_sample_trees [--repeats 10]

*Agreement*: halves of a dozen tables as reference and candidate, and candidates of four generators fitted to one half,
at most 1,500 rows. The classifier's AUROC is cross-fitted with the trees of either library on the same folds, four
draws of folds; the difference between libraries is held against that between draws. *Speed*: milliseconds for each fit
on random codes of 12 columns, in one thread and in two that grow at once, the libraries in turn. Writes
results/two_sample_trees.json. Three minutes.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pyarrow as pa

from benchmarks import datasets
from benchmarks.measure import save
from synthetic.families import FAMILIES
from vr.cascade.config import preset
from vr.core.workers import each
from vr.data.source import open_source
from vr.pipeline.config import Config
from vr.pipeline.intake import take_in
from vr.stats import boosting
from vr.stats.twosample import classifier_two_sample

__all__ = ["agreement", "library"]

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


@contextmanager
def library(name: str) -> Iterator[None]:
    """Has the trees grown by `lightgbm` or by `scikit-learn` within."""
    ours = boosting.lightgbm
    if name == "lightgbm" and ours is None:
        raise RuntimeError("LightGBM cannot be loaded here")
    boosting.lightgbm = ours if name == "lightgbm" else None
    try:
        yield
    finally:
        boosting.lightgbm = ours


def agreement(candidate: pa.Table, reference: pa.Table) -> dict[str, list[float]]:
    """Returns the AUROC by each library, for every draw of folds."""
    config = Config(cascade=preset("none"))
    intake = take_in(open_source(candidate), open_source(reference), config, 1, lambda *_: None)
    assert intake.reference is not None
    x, y = intake.candidate.codes, intake.reference.codes
    found = {}
    for name in ("lightgbm", "scikit-learn"):
        with library(name):
            found[name] = [classifier_two_sample(x, y, np.random.default_rng(draw))[0] for draw in range(DRAWS)]
    return {name: [round(float(value), 5) for value in values] for name, values in found.items()}


def _milliseconds(rows: int, threads: int, name: str) -> float:
    rng = np.random.default_rng(rows)
    codes, labels = rng.integers(0, 32, (2 * rows, 12)).astype(np.uint16), np.repeat([1.0, 0.0], rows)
    with library(name):
        boosting.fit_boosted_trees(codes, labels, 0)
        begun = time.perf_counter()
        each(lambda seed: boosting.fit_boosted_trees(codes, labels, seed), range(8), threads)
        return (time.perf_counter() - begun) / 8 * 1e3


def main() -> None:
    """Measures both and writes the result."""
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
    auroc = np.array([[case["auroc"][name] for name in ("lightgbm", "scikit-learn")] for case in cases])
    apart = auroc[:, 0] - auroc[:, 1]
    speed = []
    for rows in (1_000, 2_000, 5_000):
        for threads in (1, 2):
            runs = [
                {name: _milliseconds(rows, threads, name) for name in ("lightgbm", "scikit-learn")}
                for _ in range(args.repeats)
            ]
            middle = {name: round(statistics.median(run[name] for run in runs), 2) for name in runs[0]}
            ratio = statistics.median(run["scikit-learn"] / run["lightgbm"] for run in runs)
            speed.append({"rows": rows, "threads": threads, "milliseconds": middle, "ratio": round(ratio, 2)})
            print(speed[-1], flush=True)
    result = {
        "cases": cases,
        "mean_difference": round(float(apart.mean()), 5),
        "deviation_of_differences": round(float(apart.std()), 5),
        "deviation_of_draws": round(float(np.sqrt(auroc[:, 1].var(axis=1, ddof=1).mean())), 5),
        "speed": speed,
    }
    save("two_sample_trees", result, "python -m benchmarks.two_sample_trees")


if __name__ == "__main__":
    main()
