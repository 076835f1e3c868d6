"""Tables of scikit-learn."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa

from benchmarks.datasets.tables import Dataset, Raw, named, number

__all__ = ["SHELF"]


def _sklearn(name: str) -> Callable[[], Raw]:
    def read() -> Raw:
        import sklearn.datasets as shelf

        options = {"scaled": False} if name == "diabetes" else {}
        bunch: Any = getattr(shelf, f"load_{name}")(**options)
        raw: Raw = {str(column): bunch.data[:, j] for j, column in enumerate(bunch.feature_names)}
        # A regression target has no names.
        raw["target"] = (
            np.array(bunch.target_names)[bunch.target].astype(str) if "target_names" in bunch else bunch.target
        )
        return raw

    return read


def _measured(raw: Raw) -> pa.Table:
    """scikit-learn's tables: numbers, and a target that is a string where it is a class. Constant columns go."""
    columns = {name: number(x) for name, x in raw.items() if name != "target" and len(np.unique(x)) > 1}
    target = raw["target"]
    return pa.table({**columns, "target": pa.array(target) if target.dtype.kind == "U" else number(target)})


def _diabetes(raw: Raw) -> pa.Table:
    # s4 = s1 / s3 (total over HDL cholesterol), up to rounding.
    table = _measured(raw).drop_columns(["s4"])
    return table.set_column(table.column_names.index("sex"), "sex", named(raw["sex"]))


SHELF = (
    Dataset(
        "breast_cancer",
        "scikit-learn",
        569,
        ("target", "mean smoothness", "mean symmetry", "concavity error", "worst radius"),
        _sklearn("breast_cancer"),
        _measured,
    ),
    Dataset(
        "digits",
        "scikit-learn",
        1_797,
        ("target", "pixel_1_1", "pixel_2_5", "pixel_4_2", "pixel_5_3"),
        _sklearn("digits"),
        _measured,
    ),
    Dataset(
        "wine",
        "scikit-learn",
        178,
        ("target", "alcohol", "flavanoids", "total_phenols", "color_intensity", "proline"),
        _sklearn("wine"),
        _measured,
    ),
    Dataset("diabetes", "scikit-learn", 442, ("target", "bmi", "s1", "s3", "s5"), _sklearn("diabetes"), _diabetes),
)
