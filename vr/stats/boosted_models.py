"""Boosted trees that predict a column from others, grown as whoever trains a model on the rows might.

Numbers stay as they are and categories are categories, unlike in `boosting`, whose trees read codes and only tell two
kinds of rows apart. LightGBM grows them where it can be loaded, scikit-learn otherwise, by the same settings: 200 trees
at most, stopped early by rows set aside; 30 where there are too few rows to set some aside.

References:
  Friedman 2001, Greedy function approximation; Ke et al. 2017, LightGBM.
"""

from typing import Any

import numpy as np

# Both at import and not at the first call: a limit on OpenMP's threads only reaches libraries that are already loaded.
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

try:
    import lightgbm
except (ImportError, OSError):  # OSError: its library asks for an OpenMP runtime that this system lacks
    lightgbm = None

__all__ = ["MOST_CATEGORIES", "predict_classes", "predict_number"]

MOST_CATEGORIES = 200  # of a column; scikit-learn takes no more than 255
_TREES, _LEARNING_RATE, _LEAVES, _LEAF_ROWS, _BINS = 200, 0.1, 31, 20, 127
_TREES_OF_FEW_ROWS = 30
_EARLY_ROWS = 20  # for each class, from which some are set aside
_SET_ASIDE, _PATIENCE, _TOLERANCE = 0.15, 10, 1e-7


def predict_number(x: np.ndarray, y: np.ndarray, x_test: np.ndarray, is_category: np.ndarray, seed: int) -> np.ndarray:
    """Returns predictions, float64 `[m]`, by trees that lower the squared error.

    Args:
      x: float64 `[n, d]`, NaN where a value is missing; categories are numbered from 0, `MOST_CATEGORIES` at most.
      y: float64 `[n]`, no NaN; without two different values these predict their mean, 0 where there are none.
      x_test: float64 `[m, d]`.
      is_category: bool `[d]`.
      seed: Of the rows set aside.
    """
    if len(np.unique(y)) < 2:
        return np.full(len(x_test), y.mean() if len(y) else 0.0)
    if lightgbm is None:
        return HistGradientBoostingRegressor(**_settings(len(y), 1, is_category, seed)).fit(x, y).predict(x_test)
    return _by_lightgbm(x, y, x_test, is_category, seed, 1)


def predict_classes(
    x: np.ndarray, y: np.ndarray, x_test: np.ndarray, is_category: np.ndarray, num_classes: int, seed: int
) -> np.ndarray:
    """Returns probabilities, float64 `[m, num_classes]`, by trees that lower the log-loss.

    Args:
      x: As `predict_number` has it.
      y: int `[n]` in [0, num_classes); a class of one row counts as none, and one class alone predicts its frequency.
      x_test: float64 `[m, d]`.
      is_category: bool `[d]`.
      num_classes: All that there may be.
      seed: Of the rows set aside.
    """
    counts = np.bincount(y, minlength=num_classes)
    classes = np.flatnonzero(counts >= 2)
    if len(classes) < 2:
        return np.zeros((len(x_test), num_classes)) + counts / max(counts.sum(), 1)
    usable = np.isin(y, classes)
    x, y = x[usable], np.searchsorted(classes, y[usable])
    if lightgbm is None:
        model = HistGradientBoostingClassifier(**_settings(len(y), len(classes), is_category, seed))
        found = model.fit(x, y).predict_proba(x_test)
    else:
        found = _by_lightgbm(x, y, x_test, is_category, seed, len(classes))
    probabilities = np.zeros((len(x_test), num_classes))
    probabilities[:, classes] = found
    return probabilities


def _settings(rows: int, num_classes: int, is_category: np.ndarray, seed: int) -> dict[str, Any]:
    early = rows >= _EARLY_ROWS * num_classes
    return {
        "max_iter": _TREES if early else _TREES_OF_FEW_ROWS,
        "learning_rate": _LEARNING_RATE,
        "max_leaf_nodes": _LEAVES,
        "min_samples_leaf": _LEAF_ROWS,
        "early_stopping": early,
        "validation_fraction": _SET_ASIDE,
        "n_iter_no_change": _PATIENCE,
        "tol": _TOLERANCE,
        "categorical_features": is_category,
        "random_state": seed,
    }


def _by_lightgbm(
    x: np.ndarray, y: np.ndarray, x_test: np.ndarray, is_category: np.ndarray, seed: int, num_classes: int
) -> np.ndarray:
    """Returns numbers where there is one class, probabilities `[m, num_classes]` otherwise."""
    assert lightgbm is not None
    x, x_test = (np.where(is_category & np.isnan(rows), -1.0, rows) for rows in (x, x_test))
    settings = _GROWN | {"seed": seed} | _objective(num_classes)
    if len(y) < _EARLY_ROWS * num_classes:
        grown = lightgbm.Booster(settings, _dataset(x, y, is_category))
        for _ in range(_TREES_OF_FEW_ROWS):
            if grown.update():
                break
    else:
        aside = _aside(y, num_classes, seed)
        data = _dataset(x[~aside], y[~aside], is_category)
        grown = lightgbm.Booster(settings, data)
        grown.add_valid(_dataset(x[aside], y[aside], is_category, data), "aside")
        best, since = np.inf, 0
        for _ in range(_TREES):
            if grown.update():
                break
            loss = grown.eval_valid()[0][2]
            best, since = (loss, 0) if loss < best - _TOLERANCE else (best, since + 1)
            if since >= _PATIENCE:
                break
    found = np.asarray(grown.predict(x_test, num_threads=1), float)
    return np.column_stack([1.0 - found, found]) if num_classes == 2 else found


def _aside(y: np.ndarray, num_classes: int, seed: int) -> np.ndarray:
    """Returns which rows stop the growth, bool `[n]`: as large a part of every class, one row at least in all."""
    rng = np.random.default_rng([seed, 7])
    order = rng.permutation(len(y))
    if num_classes > 1:
        # Every class spread evenly over the order, so that a part of it has its part of each.
        place = np.empty(len(y))
        for label in range(num_classes):
            own = order[y[order] == label]
            place[own] = (np.arange(len(own)) + rng.random()) / len(own)
        order = np.argsort(place, kind="stable")
    aside = np.zeros(len(y), bool)
    aside[order[: max(1, round(_SET_ASIDE * len(y)))]] = True
    return aside


def _dataset(x: np.ndarray, y: np.ndarray, is_category: np.ndarray, like: Any = None) -> Any:
    assert lightgbm is not None
    return lightgbm.Dataset(
        x, y, reference=like, categorical_feature=np.flatnonzero(is_category).tolist(), params=_DATASET
    )


def _objective(num_classes: int) -> dict[str, Any]:
    if num_classes > 2:
        return {"objective": "multiclass", "num_class": num_classes}
    return {"objective": "regression" if num_classes == 1 else "binary"}


_DATASET: dict[str, Any] = {
    "max_bin": _BINS,
    "min_data_in_bin": 1,
    "enable_bundle": False,
    "feature_pre_filter": False,
    "num_threads": 1,
    "verbosity": -1,
}
# Categories are ordered by their mean and split there, as scikit-learn does, without what LightGBM adds against
# small ones beyond the rows of a leaf.
_GROWN: dict[str, Any] = _DATASET | {
    "learning_rate": _LEARNING_RATE,
    "num_leaves": _LEAVES,
    "min_data_in_leaf": _LEAF_ROWS,
    "min_sum_hessian_in_leaf": 1e-3,
    "cat_l2": 0.0,
    "cat_smooth": 10.0,
    "min_data_per_group": 1,
    "max_cat_to_onehot": 1,
    "max_cat_threshold": 64,
    "deterministic": True,
    "force_col_wise": True,
}
