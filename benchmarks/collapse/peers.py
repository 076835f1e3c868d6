"""What public tools and the field's standard statistics say of a candidate: one number each, higher is worse.

Each is computed as its authors or common practice compute it: on standardised numbers and one-hot categories, or on
the table itself; without nulls, which are what `vr` adds. SDMetrics reads the table (`pip install vr[peers]`).
"""

import warnings

import numpy as np
import pyarrow as pa
from scipy.stats import ks_2samp, wasserstein_distance
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_predict

from benchmarks.skill_loss import floats, is_number
from vr.stats.coverage import prdc
from vr.stats.entropy import vendi_order2
from vr.stats.kernels import mmd2_unbiased

__all__ = ["PEERS", "Matrix", "scores"]

PEERS = (
    "sdmetrics_quality",
    "prdc_coverage",
    "prdc_density",
    "mmd",
    "classifier",
    "ks_mean",
    "wasserstein_mean",
    "vendi_ratio",
)
_MAX_LEVELS = 30


def scores(candidate: pa.Table, reference: pa.Table) -> dict[str, float]:
    """Returns every peer's number for a candidate against a reference, NaN where it gives none."""
    candidate = candidate.select(reference.column_names)
    matrix = Matrix(reference)
    a, b = matrix.of(candidate), matrix.of(reference)
    n = min(len(a), len(b))
    rng = np.random.default_rng(0)
    # At equal size, as every one of these statistics depends on it.
    x, y = a[rng.permutation(len(a))[:n]], b[rng.permutation(len(b))[:n]]
    balls = prdc(y, x, k=5)
    distances = [_marginal(candidate[name], reference[name]) for name in reference.column_names]
    ks, w1 = (np.array(each, float) for each in zip(*distances, strict=True))
    return {
        "sdmetrics_quality": _quality(candidate, reference),
        "prdc_coverage": 1.0 - balls.coverage,
        "prdc_density": 1.0 - balls.density,
        "mmd": mmd2_unbiased(x, y),
        "classifier": _classifier(x, y),
        "ks_mean": float(np.nanmean(ks)),
        "wasserstein_mean": float(np.nanmean(w1)),
        "vendi_ratio": float(np.log(vendi_order2(y) / vendi_order2(x))),
    }


class Matrix:
    """Numbers standardised by the reference, categories one-hot over its commonest levels, null as a level or 0."""

    def __init__(self, reference: pa.Table):
        self.columns: list[tuple[str, float, float] | tuple[str, list]] = []
        for name in reference.column_names:
            column = reference[name]
            if is_number(column.type):
                values = floats(column)
                spread = float(np.nanstd(values))
                self.columns.append((name, float(np.nanmean(values)), spread or 1.0))
            else:
                counts = column.value_counts().to_pylist()
                counts.sort(key=lambda entry: (-entry["counts"], str(entry["values"])))
                self.columns.append((name, [entry["values"] for entry in counts[:_MAX_LEVELS]]))

    def of(self, table: pa.Table) -> np.ndarray:
        parts = []
        for column in self.columns:
            if len(column) == 3:
                name, mean, spread = column
                parts.append(np.nan_to_num((floats(table[name]) - mean) / spread)[:, None])
            else:
                name, levels = column
                values = np.array(table[name].to_pylist(), dtype=object)
                parts.append(np.column_stack([values == level for level in levels]).astype(float))
        return np.concatenate(parts, axis=1)


def _marginal(candidate: pa.ChunkedArray, reference: pa.ChunkedArray) -> tuple[float, float]:
    """Kolmogorov-Smirnov and Wasserstein in reference deviations; total variation twice over for categories."""
    if is_number(reference.type):
        x, y = (values[~np.isnan(values)] for values in (floats(candidate), floats(reference)))
        if not (len(x) and len(y)):
            return np.nan, np.nan
        return float(ks_2samp(x, y, method="asymp").statistic), float(wasserstein_distance(x, y) / (y.std() or 1.0))
    shares = []
    for column in (candidate, reference):
        counts = {entry["values"]: entry["counts"] for entry in column.value_counts().to_pylist()}
        shares.append({value: count / len(column) for value, count in counts.items()})
    levels = set(shares[0]) | set(shares[1])
    variation = 0.5 * sum(abs(shares[0].get(level, 0.0) - shares[1].get(level, 0.0)) for level in levels)
    return variation, variation


def _classifier(x: np.ndarray, y: np.ndarray) -> float:
    rows, labels = np.concatenate([x, y]), np.r_[np.ones(len(x)), np.zeros(len(y))]
    model = HistGradientBoostingClassifier(max_iter=50, random_state=0)
    return float(roc_auc_score(labels, cross_val_predict(model, rows, labels, cv=3, method="predict_proba")[:, 1]))


def _quality(candidate: pa.Table, reference: pa.Table) -> float:
    try:
        from sdmetrics.reports.single_table import QualityReport
    except ImportError:
        return float("nan")
    kinds = {
        name: {"sdtype": "numerical" if is_number(reference[name].type) else "categorical"}
        for name in reference.column_names
    }
    report = QualityReport()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        report.generate(reference.to_pandas(), candidate.to_pandas(), {"columns": kinds}, verbose=False)
    return 1.0 - float(report.get_score())
