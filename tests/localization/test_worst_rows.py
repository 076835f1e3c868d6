"""The rows that are listed are those of a full sort, and what is scored in groups is scored alike."""

from types import SimpleNamespace

import numpy as np
import pytest

from vr.data.codec import Coded
from vr.detector.inputs import Columns, Side
from vr.localization import reasons
from vr.localization.reasons import blame_columns
from vr.localization.scorer import DEFECTS, Readings
from vr.localization.worst import Worst
from vr.stats.twosample import fit_density_ratio


@pytest.mark.parametrize("most", [0, 1, 30, 200, 1_000])
def test_the_worst_rows_are_those_of_a_full_sort_ties_to_the_earlier(most):
    rng = np.random.default_rng(0)
    # Few values, so that ties lie across the cut.
    rarity = 0.5 * rng.integers(0, 7, 300)
    readings = Readings(0.7 * rng.integers(0, 4, (300, len(DEFECTS) - 1)), rarity, rarity)
    rows = rng.permutation(300)
    order = np.lexsort((rows, -readings.total))
    expected = order[readings.defect[order] > 0][:most]
    coded = Coded(np.zeros((300, 1), np.uint16), np.zeros((300, 1)))
    assert np.array_equal(Worst.of(coded, rows, readings, np.zeros(300), most).rows, rows[expected])


def side(rng, rows):
    codes = rng.integers(0, 6, (rows, 5)).astype(np.uint16)
    codes[:, 1] = (codes[:, 0] + rng.integers(0, 2, rows)) % 6
    return Side(codes, codes.astype(float), codes.astype(np.float32), np.arange(rows))


def test_blame_does_not_depend_on_how_many_columns_are_scored_in_one_call(monkeypatch):
    rng = np.random.default_rng(1)
    flagged, reference = side(rng, 40), side(rng, 300)
    numeric = np.ones(5, bool)
    columns = Columns(tuple("abcde"), np.full(5, 6), numeric, numeric, ([""] * 6,) * 5, None)
    ratio = fit_density_ratio(side(rng, 200).codes[:, [0, 2, 1, 3, 4]], reference.codes)
    scorer = SimpleNamespace(columns=columns, log_ratio=lambda codes, rows: ratio.log_ratio(codes))
    together = blame_columns(scorer, flagged, reference)
    monkeypatch.setattr(reasons, "_SWAPPED_ROWS", 1)
    one_by_one = blame_columns(scorer, flagged, reference)
    assert any(map(len, together))
    for a, b in zip(together, one_by_one, strict=True):
        assert np.array_equal(a, b)
