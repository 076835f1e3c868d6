import numpy as np
import pytest
from scipy.stats import rankdata

from vr.stats.ranks import midranks


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.float64])
def test_midranks_match_scipy_with_ties(dtype):
    x = np.random.default_rng(0).integers(0, 9, (200, 3)).astype(dtype)
    np.testing.assert_allclose(midranks(x), rankdata(x, axis=0))


def test_midranks_leave_nan_unranked():
    x = np.array([3.0, np.nan, 1.0, 3.0])
    np.testing.assert_array_equal(midranks(x), [2.5, np.nan, 1.0, 2.5])
    assert np.isnan(midranks(np.full((4, 2), np.nan))).all()


@pytest.mark.parametrize("rows", [0, 1])
def test_midranks_of_no_or_one_row(rows):
    assert midranks(np.zeros((rows, 2))).tolist() == [[1.0, 1.0]] * rows
    assert midranks(np.zeros((rows, 2), np.uint16)).tolist() == [[1.0, 1.0]] * rows
