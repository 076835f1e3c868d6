"""The benchmark of the two-sample classifier's trees: each in its turn, none left in the others' place."""

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.two_sample_trees import GROWN_BY, agreement, grown_by
from vr.stats import twosample
from vr.stats.boosting import fit_boosted_trees


def table(seed, shift=0.0):
    x = np.random.default_rng(seed).normal(size=(300, 3))
    x[:, 0] += shift
    return pa.table({name: x[:, j] for j, name in enumerate("abc")})


@pytest.mark.parametrize("name", GROWN_BY)
def test_each_is_used_within_and_put_back(name):
    with grown_by(name):
        assert twosample.fit_boosted_trees is GROWN_BY[name]
    with pytest.raises(ZeroDivisionError), grown_by(name):
        raise ZeroDivisionError
    assert twosample.fit_boosted_trees is fit_boosted_trees


def test_all_see_the_same_shift():
    found = agreement(table(0, shift=1.5), table(1))
    values = np.array(list(found.values()))
    assert values.shape == (3, 4)
    assert values.min() > 0.75
    assert np.abs(values - values[0]).max() < 0.03
