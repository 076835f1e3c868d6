import numpy as np
import pyarrow as pa
import pytest

from vr.data.codec import fit_codec
from vr.data.config import CodecConfig
from vr.data.schema import infer_columns
from vr.detector.embedding import Embedding


def coded(table):
    codec = fit_codec(infer_columns(table, {}, CodecConfig()), table, CodecConfig(), 0)
    return codec, codec.encode(table)


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    return pa.table(
        {
            "x": rng.lognormal(0, 2, 2_000),
            "few": rng.integers(0, 3, 2_000),
            "city": np.array(["a", "b", "c"])[rng.integers(0, 3, 2_000)],
        }
    )


def test_every_column_has_unit_variance_on_the_reference(table):
    codec, rows = coded(table)
    points = Embedding.fit(codec, rows).transform(rows)
    assert points.dtype == np.float32
    # Two numbers, and a coordinate for each code of the category: null, three cities, other, unseen.
    assert points.shape == (2_000, 2 + 6)
    assert points[:, :2].std(axis=0) == pytest.approx([1.0, 1.0], abs=0.03)
    assert points[:, 2:].var(axis=0).sum() == pytest.approx(1.0, abs=0.02)


def test_numbers_keep_their_order_and_go_on_beyond_the_range(table):
    codec, rows = coded(table)
    embedding = Embedding.fit(codec, rows)
    top = float(np.max(table["x"].to_numpy()))
    probe = pa.table({"x": [-1e9, -1.0, 0.1, 1.0, top, 3 * top, 1e300], "few": [1] * 7, "city": ["a"] * 7})
    first = embedding.transform(codec.encode(probe))[:, 0]
    assert (np.diff(first) >= 0).all()
    assert first[5] > first[4]
    assert (first[0], first[-1]) == (-6.0, 6.0)


def test_a_null_is_a_point_of_its_own(table):
    codec, rows = coded(table)
    probe = pa.table({"x": pa.array([None], pa.float64()), "few": [1], "city": pa.array([None], pa.string())})
    assert Embedding.fit(codec, rows).transform(codec.encode(probe))[0, 0] == -3.0


def test_constant_and_empty_columns_do_not_blow_up():
    table = pa.table({"one": [5.0] * 50, "none": pa.nulls(50, pa.float64()), "x": np.arange(50) % 7 * 1.0})
    codec, rows = coded(table)
    assert np.isfinite(Embedding.fit(codec, rows).transform(rows)).all()


def test_many_categories_share_a_bounded_number_of_coordinates():
    rng = np.random.default_rng(0)
    names = np.array([f"v{i}" for i in range(48)])
    table = pa.table({f"c{j}": names[rng.integers(0, 48, 500)] for j in range(40)})
    codec, rows = coded(table)
    assert Embedding.fit(codec, rows).transform(rows).shape[1] <= 128
