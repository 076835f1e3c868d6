"""The comparison of libraries that grow randomised trees: columns that can be predicted are, by either one."""

import numpy as np
import pytest

from benchmarks.forest_trees import DRAWS, LIBRARIES, errors


@pytest.mark.parametrize("ordinal", [True, False])
def test_either_library_predicts_what_follows_another_column_and_not_what_follows_none(ordinal):
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 8, (600, 3)).astype(np.uint16)
    codes[:, 1] = np.where(rng.random(600) < 0.9, 7 - codes[:, 0], codes[:, 1])
    follows, free = (errors(codes[:300], codes[300:], j, ordinal, 8) for j in (1, 2))
    for name in LIBRARIES:
        assert len(follows[name]) == DRAWS
        assert len(set(follows[name])) == DRAWS
        assert max(follows[name]) < 0.5
        assert min(free[name]) > 0.95
    means = [np.mean(follows[name]) for name in LIBRARIES]
    assert means[0] == pytest.approx(means[1], rel=0.1)
