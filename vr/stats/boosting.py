"""Boosted trees that tell two classes of rows apart by their codes.

LightGBM grows them where it can be loaded, and scikit-learn otherwise, on the same bins and by the same rules. The
first trees are the same to rounding; later ones part where two splits are nearly as good, or a leaf is about as small
as it may be, which LightGBM tells by the rows' weights. LightGBM leaves Python's lock alone meanwhile, so that
several threads each grow their own; two threads of scikit-learn's take as long as one after the other.

References:
  Friedman 2001, Greedy function approximation; Ke et al. 2017, LightGBM.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, NamedTuple

import numpy as np

# Both at import and not at the first call: a limit on OpenMP's threads only reaches libraries that are already loaded.
from sklearn.ensemble import HistGradientBoostingClassifier

from vr.stats.leaf_masks import MOST_LEAVES, LeafMasks, leaf_masks

try:
    import lightgbm
except (ImportError, OSError):  # OSError: its library asks for an OpenMP runtime that this system lacks
    lightgbm = None

__all__ = ["BoostedTrees", "fit_boosted_trees"]

_TREES, _LEAVES, _LEARNING_RATE, _BINS = 20, MOST_LEAVES, 0.3, 32
_LEAF_ROWS, _LEAF_HESSIAN = 20, 1e-3
_MANY_ROWS = 20_000  # for which it pays to take the trees apart


@dataclass(frozen=True)
class BoostedTrees:
    """A fitted classifier.

    Attributes:
      bins: Of each column, the bin of each code that was seen or lies between.
    """

    bins: tuple[np.ndarray, ...]
    _grown: "_Grown"

    def log_odds(self, codes: np.ndarray) -> np.ndarray:
        """Returns the log odds of the first class, float64 `[n]`, of codes `[n, d]`."""
        if not len(codes):
            return np.empty(0)
        # To the last bit the same, for a quarter of the time.
        if len(codes) >= _MANY_ROWS and self._masks is not None:
            return self._masks.read(codes)
        return self._grown.score(_binned(codes, self.bins))

    @cached_property
    def _masks(self) -> LeafMasks | None:
        return None if self._grown.trees is None else leaf_masks(self._grown.trees(), self.bins)


class _Grown(NamedTuple):
    """What reads binned rows, and the trees as `leaf_masks` takes them where they can be had."""

    score: Callable[[np.ndarray], np.ndarray]
    trees: Callable[[], list[dict[str, Any]]] | None


def fit_boosted_trees(codes: np.ndarray, labels: np.ndarray, seed: int) -> BoostedTrees:
    """Returns trees that tell rows labelled 1 from those labelled 0.

    Args:
      codes: Unsigned `[n, d]`, at least one row.
      labels: `[n]`, 0 or 1, both of them present.
      seed: Of whatever is drawn; nothing is, with so few rows and all columns.
    """
    bins = tuple(_bins(column) for column in codes.T)
    fit = _by_scikit_learn if lightgbm is None else _by_lightgbm
    leaf_rows = min(_LEAF_ROWS, max(1, len(labels) // 10))
    return BoostedTrees(bins, fit(_binned(codes, bins), labels, leaf_rows, seed))


def _bins(column: np.ndarray) -> np.ndarray:
    """Returns the bin of each code: its place among those that occur, or quantiles where these are more than 32."""
    counts = np.bincount(column)
    occurs = np.flatnonzero(counts)
    if len(occurs) <= _BINS:
        last = occurs[:-1]
    else:
        ends = np.cumsum(counts)[occurs]
        # The first code at which the count passes each thirty-second.
        last = np.unique(occurs[np.searchsorted(ends, len(column) * np.arange(1, _BINS) / _BINS)])
    return np.searchsorted(last, np.arange(len(counts))).astype(np.float32)


def _binned(codes: np.ndarray, bins: tuple[np.ndarray, ...]) -> np.ndarray:
    """Returns float32 `[n, d]`; a code beyond those seen counts as the last."""
    result = np.empty(codes.shape, np.float32)
    for j, table in enumerate(bins):
        result[:, j] = table[np.minimum(codes[:, j], len(table) - 1)]
    return result


def _by_lightgbm(x: np.ndarray, labels: np.ndarray, leaf_rows: int, seed: int) -> _Grown:
    assert lightgbm is not None
    settings = _DATASET | {
        "objective": "binary",
        "num_leaves": _LEAVES,
        "learning_rate": _LEARNING_RATE,
        "min_data_in_leaf": leaf_rows,
        "min_sum_hessian_in_leaf": _LEAF_HESSIAN,
        "deterministic": True,
        "force_col_wise": True,
        "seed": seed,
    }
    data = lightgbm.Dataset(x, labels, reference=_whole_bins(x.shape[1]), params=_DATASET)
    grown = lightgbm.Booster(settings, data)
    for _ in range(_TREES):
        grown.update()
    grown.free_dataset()
    return _Grown(
        lambda rows: np.asarray(grown.predict(rows, raw_score=True, num_threads=1), float),
        lambda: [tree["tree_structure"] for tree in grown.dump_model()["tree_info"]],
    )


# Binned already; bins of its own would be made of a sample, zero apart, at half the cost of growing the trees.
_DATASET: dict[str, Any] = {
    "max_bin": _BINS + 1,
    "min_data_in_bin": 1,
    "enable_bundle": False,
    "feature_pre_filter": False,
    "use_missing": False,
    "num_threads": 1,
    "verbosity": -1,
}


@lru_cache(maxsize=64)
def _whole_bins(num_columns: int) -> Any:
    """Returns a dataset in which every bin of every column occurs, whose bins others take over."""
    assert lightgbm is not None
    rows = np.repeat(np.arange(_BINS, dtype=np.float32)[:, None], num_columns, axis=1)
    return lightgbm.Dataset(rows, np.zeros(_BINS), params=_DATASET).construct()


def _by_scikit_learn(x: np.ndarray, labels: np.ndarray, leaf_rows: int, seed: int) -> _Grown:
    model = HistGradientBoostingClassifier(
        max_iter=_TREES,
        max_leaf_nodes=_LEAVES,
        learning_rate=_LEARNING_RATE,
        max_bins=_BINS,
        min_samples_leaf=leaf_rows,
        early_stopping=False,  # pyright: ignore[reportArgumentType] (annotated by its default, the string "auto")
        random_state=seed,
    )
    model.fit(x, labels)
    return _Grown(model.decision_function, None)
