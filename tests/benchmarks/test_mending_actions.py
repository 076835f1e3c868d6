"""What can be done to a candidate, from its own row scores: the way of the remedies' benchmark from end to end."""

import numpy as np
import pyarrow as pa

from benchmarks.mending.actions import remedies
from benchmarks.mending.predicted import read


def table(rows, seed):
    x = np.random.default_rng(seed).normal(size=(rows, 3))
    x[:, 1] += x[:, 0]
    return x


def test_a_damaged_candidate_has_rows_to_drop_and_real_rows_to_mix_in():
    made = table(500, 1)
    made[:60, 0] = 40.0  # far out, and against the others
    made[300:420] = made[100:220]
    names = "abc"
    candidate, reference = (pa.table({n: x[:, j] for j, n in enumerate(names)}) for x in (made, table(600, 2)))
    found = {each.name: each for each in remedies(candidate, read(candidate, reference))}
    assert any(name.startswith("drop_") for name in found)
    assert {"mix_0.1", "mix_0.3", "mix_0.5"} <= found.keys()
    dropped = next(each for name, each in found.items() if name.startswith("drop_"))
    assert (~dropped.kept[:60]).mean() > 0.9
    assert dropped.kept[60:].mean() > 0.5
