"""Scores of cleanlab's Datalab for files of numbers, in an environment of its own.

    python datalab.py FOLDER

FOLDER holds NAME.npz with `x` (float `[n, p]`), `y` (the label) and `numeric`; for each it gets NAME.scores.npy. A
row's score is the worst of its ranks among all rows by Datalab's label, outlier and near-duplicate scores. Imports
nothing of this repository; the last line that it prints says which versions it ran with.
"""

import contextlib
import importlib.metadata
import io
import json
import sys
import warnings
from pathlib import Path

import numpy as np
from cleanlab import Datalab
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.model_selection import KFold, StratifiedKFold, cross_val_predict

_FOLDS, _TREES = 5, 50
_ISSUES = ("label", "outlier", "near_duplicate")


def scores(x: np.ndarray, y: np.ndarray, numeric: bool) -> np.ndarray:
    """Returns a score for each row, higher is worse."""
    if numeric:
        model, folds = RandomForestRegressor(_TREES, random_state=0), KFold(_FOLDS, shuffle=True, random_state=0)
        lab = Datalab(data={"y": y}, label_name="y", task="regression", verbosity=0)
        known = {"pred_probs": cross_val_predict(model, x, y, cv=folds)}
    else:
        # Classes too rare for the folds count as one.
        counts = np.bincount(y)
        y = np.where(counts[y] < _FOLDS, np.argmin(counts), y)
        y = np.unique(y, return_inverse=True)[1]
        if np.bincount(y).min() < _FOLDS:
            y = np.where(y == np.bincount(y).argmin(), np.bincount(y).argmax(), y)
            y = np.unique(y, return_inverse=True)[1]
        model = RandomForestClassifier(_TREES, random_state=0)
        folds = StratifiedKFold(_FOLDS, shuffle=True, random_state=0)
        lab = Datalab(data={"y": y}, label_name="y", task="classification", verbosity=0)
        known = {"pred_probs": cross_val_predict(model, x, y, cv=folds, method="predict_proba")}
    lab.find_issues(features=x, **known, issue_types={issue: {} for issue in _ISSUES})
    issues = lab.get_issues()
    ranks = []
    for issue in _ISSUES:
        if f"{issue}_score" in issues:
            values = issues[f"{issue}_score"].to_numpy()
            # Datalab's scores are 0 for the worst; of equal ones none is worse.
            ranks.append(1.0 - np.searchsorted(np.sort(values), values, side="right") / len(values))
    return np.max(ranks, axis=0)


def main() -> None:
    """Scores every file of the folder."""
    warnings.simplefilter("ignore")
    for path in sorted(Path(sys.argv[1]).glob("*.npz")):
        with np.load(path) as file, contextlib.redirect_stdout(io.StringIO()):
            found = scores(file["x"], file["y"], bool(file["numeric"]))
        np.save(path.with_name(f"{path.stem}.scores.npy"), found)
    packages = ("cleanlab", "datasets", "scikit-learn", "numpy", "pandas")
    print(json.dumps({name: importlib.metadata.version(name) for name in packages}))


if __name__ == "__main__":
    main()
