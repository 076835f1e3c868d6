"""Do our randomised trees predict as scikit-learn's do, and how long does either take to grow them?

    OMP_NUM_THREADS=1 python -m benchmarks.forest_trees [--repeats 10]

*Agreement*: every column of a dozen tables is predicted from the others, one half of the rows from the other, by
forests of twelve trees from either library, four draws each; by how much the means of the draws differ is held against
what the draws of either library make one expect. *Speed*: milliseconds for each tree, grown on codes of 12 columns and
asked about as many rows, in one thread and in two that grow at once, the libraries in turn. Writes
results/forest_trees.json. Two minutes.
"""

import argparse
import statistics
import time
import warnings
from collections.abc import Callable

import numpy as np
from sklearn.tree import ExtraTreeRegressor

from benchmarks import datasets
from benchmarks.measure import save
from benchmarks.two_sample_trees import MAX_ROWS, TABLES
from vr.cascade.config import preset
from vr.core.workers import each
from vr.data.source import open_source
from vr.pipeline.config import Config
from vr.pipeline.intake import take_in
from vr.stats.forests import grow_forest

__all__ = ["LIBRARIES", "errors"]

TREES, LEAF_ROWS, DRAWS = 12, 3, 4
MAX_CODES = 16  # a column of more that has no order is not predicted here

Predict = Callable[[np.ndarray, np.ndarray, int | None, np.ndarray, int], np.ndarray]


def _ours(codes: np.ndarray, seen: np.ndarray, num_classes: int | None, other: np.ndarray, seed: int) -> np.ndarray:
    forest = grow_forest(codes, seen, seed, trees=TREES, leaf_rows=LEAF_ROWS, num_classes=num_classes)
    return forest.predict(other)


def _scikit_learn(
    codes: np.ndarray, seen: np.ndarray, num_classes: int | None, other: np.ndarray, seed: int
) -> np.ndarray:
    # The trees one by one, as the class for forests takes longer to start than to grow so few of them.
    x, x_other = np.asfortranarray(codes, np.float32), other.astype(np.float32)
    y = seen[:, None].astype(float) if num_classes is None else np.eye(num_classes)[seen]
    total = np.zeros((len(other), y.shape[1]))
    for draw in np.random.default_rng(seed).integers(2**31 - 1, size=TREES):
        tree = ExtraTreeRegressor(min_samples_leaf=LEAF_ROWS, random_state=int(draw))
        total += tree.fit(x, y, check_input=False).tree_.predict(x_other).reshape(total.shape)
    return total / TREES


LIBRARIES: dict[str, Predict] = {"vr": _ours, "scikit-learn": _scikit_learn}


def errors(first: np.ndarray, second: np.ndarray, column: int, ordinal: bool, num_codes: int) -> dict[str, list[float]]:
    """Returns, by library and draw, the squared error of predicting one column of the second half, per mean's.

    Args:
      first: Codes `[n, d]` to learn from.
      second: Codes `[m, d]` to predict.
      column: Which of them.
      ordinal: Whether its codes are numbers; they are classes otherwise.
      num_codes: How many codes it has.
    """
    x, x_other = (np.delete(codes, column, axis=1) for codes in (first, second))
    y, actual = (codes[:, column].astype(float if ordinal else int) for codes in (first, second))
    shown = actual[:, None] if ordinal else np.eye(num_codes)[actual]
    mean = np.atleast_1d(y.mean()) if ordinal else np.bincount(y, minlength=num_codes) / len(y)
    whole = np.mean(np.sum((shown - mean) ** 2, axis=1))
    found: dict[str, list[float]] = {}
    for name, predict in LIBRARIES.items():
        predicted = (predict(x, y, None if ordinal else num_codes, x_other, draw) for draw in range(DRAWS))
        found[name] = [float(np.mean(np.sum((each - shown) ** 2, axis=1)) / whole) for each in predicted]
    return found


def _milliseconds(rows: int, threads: int, num_classes: int | None, name: str) -> float:
    rng = np.random.default_rng(rows)
    a = rng.integers(0, 32, rows)
    codes = np.column_stack([a[:, None], (a[:, None] + rng.integers(0, 16, (rows, 11))) % 32]).astype(np.uint16)
    seen = a / 32 if num_classes is None else a * num_classes // 32
    LIBRARIES[name](codes, seen, num_classes, codes, 0)
    begun = time.perf_counter()
    each(lambda seed: LIBRARIES[name](codes, seen, num_classes, codes, seed), range(8), threads)
    return (time.perf_counter() - begun) / 8 / TREES * 1e3


def main() -> None:
    """Measures both and writes the result."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=10)
    args = parser.parse_args()
    warnings.filterwarnings("ignore")
    cases = []
    for table in TABLES:
        halves = datasets.halves(table, MAX_ROWS, np.random.default_rng(0))
        config = Config(cascade=preset("none"))
        intake = take_in(open_source(halves[0]), open_source(halves[1]), config, 1, lambda *_: None)
        assert intake.reference is not None
        first, second = (side.codes for side in (intake.reference, intake.candidate))
        for j, name in enumerate(intake.columns.names):
            ordinal, num_codes = bool(intake.columns.ordinal[j]), int(intake.columns.num_codes[j])
            if len(np.unique(first[:, j])) > 1 and (ordinal or num_codes <= MAX_CODES):
                found = errors(first, second, j, ordinal, num_codes)
                cases.append({"table": table, "column": name, "error": found})
        print(f"{table}: {len(cases)} columns so far", flush=True)
    error = np.array([[case["error"][name] for name in LIBRARIES] for case in cases])
    apart = error[:, 0].mean(axis=1) - error[:, 1].mean(axis=1)
    speed = []
    for rows in (500, 1_000, 5_000):
        for num_classes in (None, 8):
            for threads in (1, 2):
                runs = [
                    {name: _milliseconds(rows, threads, num_classes, name) for name in LIBRARIES}
                    for _ in range(args.repeats)
                ]
                middle = {name: round(statistics.median(run[name] for run in runs), 3) for name in LIBRARIES}
                ratio = statistics.median(run["scikit-learn"] / run["vr"] for run in runs)
                of = {"rows": rows, "classes": num_classes or 0, "threads": threads}
                speed.append({**of, "milliseconds": middle, "ratio": round(ratio, 2)})
                print(speed[-1], flush=True)
    rounded = [
        {**case, "error": {name: [round(value, 5) for value in draws] for name, draws in case["error"].items()}}
        for case in cases
    ]
    result = {
        "cases": rounded,
        "mean_difference": round(float(apart.mean()), 5),
        "deviation_of_differences": round(float(apart.std()), 5),
        # Of the difference of two means of draws, where the libraries are alike.
        "deviation_expected": round(float(np.sqrt(error.var(axis=2, ddof=1).mean(axis=0).sum() / DRAWS)), 5),
        "speed": speed,
    }
    save("forest_trees", result, "python -m benchmarks.forest_trees")


if __name__ == "__main__":
    main()
