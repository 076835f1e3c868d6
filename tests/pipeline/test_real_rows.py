"""Real rows drawn evenly or out of regions: exactly as many, none twice, in memory of what is drawn."""

import numpy as np
import pytest

from vr.pipeline import real_rows


@pytest.mark.parametrize(("rows", "wanted"), [(0, 3), (5, 9), (9, 0), (300_000, 40_000), (300_000, 299_999)])
def test_exactly_as_many_are_drawn_as_there_are(rows, wanted):
    drawn = real_rows._drawn(rows, wanted, 0)
    assert len(drawn) == min(rows, wanted)
    assert (np.diff(drawn) > 0).all()
    assert ((drawn >= 0) & (drawn < rows)).all()


def test_a_draw_does_not_depend_on_blocks_and_does_on_the_seed(monkeypatch):
    first, other = real_rows._drawn(50_000, 700, 0), real_rows._drawn(50_000, 700, 1)
    # Evenly: of each tenth of the rows a tenth of the draw, within five deviations; two draws share few rows.
    assert np.abs(np.bincount(first // 5_000, minlength=10) - 70).max() < 5 * 8
    assert len(np.intersect1d(first, other)) < 40
    monkeypatch.setattr(real_rows, "_BLOCK_ROWS", 300)
    assert real_rows._drawn(50_000, 700, 0).tolist() == first.tolist()


def test_rows_beyond_a_billion_are_drawn_and_only_as_many_held():
    drawn, most = real_rows._Drawn(1_000, [0, 17]), 0
    for start in range(3 * 10**9, 3 * 10**9 + 2_000_000, 50_000):
        drawn.add(np.arange(start, start + 50_000))
        most = max(most, sum(map(len, drawn._rows)))
    assert len(drawn.rows()) == 1_000
    assert drawn.rows().min() >= 3 * 10**9
    assert most < 2 * 1_000 + real_rows._BLOCK_ROWS + 50_000
