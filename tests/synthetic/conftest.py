import datetime

import numpy as np
import pyarrow as pa
import pytest


def make_mixed(n: int, seed: int = 0) -> pa.Table:
    """Every supported kind of column, with dependence between them and with missing values."""
    rng = np.random.default_rng(seed)
    x = rng.normal(50.0, 10.0, n)
    group = np.where(x + rng.normal(0, 3, n) > 50, "high", "low")
    day = datetime.date(2020, 1, 1)
    return pa.table(
        {
            "x": x,
            "y": pa.array(2 * x + rng.normal(0, 1, n), mask=rng.random(n) < 0.2),
            "count": pa.array(rng.poisson(np.exp((x - 50) / 10)), pa.int32()),
            "grade": pa.array(rng.choice([1, 3, 7], n), pa.int8()),
            "byte": pa.array(rng.integers(0, 255, n), pa.uint8()),
            "price": np.round(x * 3.3, 2),
            "group": pa.array(group, mask=rng.random(n) < 0.1),
            "kind": pa.array(rng.choice(["a", "b", "c"], n, p=[0.7, 0.2, 0.1])).dictionary_encode(),
            "flag": pa.array(x > 55),
            "float32": pa.array(rng.random(n), pa.float32()),
            "day": pa.array([day + datetime.timedelta(int(d)) for d in rng.integers(0, 700, n)]),
            "time": pa.array((rng.random(n) * 1e9).astype("int64"), pa.timestamp("ms")),
            "nan": pa.array(np.where(rng.random(n) < 0.3, np.nan, x)),
            "constant": np.full(n, 4.25),
            "one_level": pa.array(["same"] * n),
            "null": pa.nulls(n),
            "all_null": pa.nulls(n, pa.float64()),
        }
    )


@pytest.fixture(scope="session")
def mixed() -> pa.Table:
    return make_mixed(400)
