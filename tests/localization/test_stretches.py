"""Stretches of two views made one list, in which no row is in two."""

import numpy as np
import pytest

from tests.diversity import sides
from vr.data.source import open_source
from vr.localization.stretches import find_stretches
from vr.pipeline.config import Config
from vr.pipeline.intake import take_in
from vr.stats.scan import Scan


@pytest.fixture(scope="module")
def taken():
    both = open_source(sides.table(400, 1)), open_source(sides.table(400, 0))
    return take_in(*both, Config(), 1, lambda *_: None)


@pytest.mark.parametrize(
    ("first", "second", "left"),
    [
        ((100, 150), (200, 260), [(100, 150), (200, 260)]),
        ((100, 150), (140, 260), [(100, 150), (150, 260)]),
        ((100, 150), (20, 110), [(20, 100), (100, 150)]),
        ((100, 150), (90, 260), [(100, 150), (150, 260)]),  # around it: the longer side
        ((100, 150), (110, 140), [(100, 150)]),  # within it: the same
    ],
)
def test_the_surer_stretch_keeps_what_two_have(taken, first, second, left):
    each = ((*first, 9.0), (*second, 5.0))
    scans = [Scan(np.zeros(400), np.zeros(1), (one,), np.array([2.0, 3.0])) for one in each]
    found = find_stretches(scans, taken.candidate, taken.columns, taken.embedding)
    rows = taken.candidate.rows
    assert sorted((one.start, one.end) for one in found) == [(rows[a], rows[b - 1] + 1) for a, b in left]
