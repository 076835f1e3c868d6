"""The benchmark of the two-sample classifier's trees: either library in its turn, none left in the other's place."""

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.two_sample_trees import agreement, library
from vr.stats import boosting


def table(seed, shift=0.0):
    x = np.random.default_rng(seed).normal(size=(300, 3))
    x[:, 0] += shift
    return pa.table({name: x[:, j] for j, name in enumerate("abc")})


def test_each_library_is_used_within_and_put_back():
    ours = boosting.lightgbm
    with library("scikit-learn"):
        assert boosting.lightgbm is None
    assert boosting.lightgbm is ours
    with pytest.raises(ZeroDivisionError), library("scikit-learn"):
        raise ZeroDivisionError
    assert boosting.lightgbm is ours
    with library("lightgbm"):
        assert boosting.lightgbm is ours


def test_both_libraries_see_the_same_shift():
    found = agreement(table(0, shift=1.5), table(1))
    both = np.array([found["lightgbm"], found["scikit-learn"]])
    assert both.shape == (2, 4)
    assert both.min() > 0.75
    assert np.abs(both[0] - both[1]).mean() < 0.03
