"""What the proxies add: figures of known arrays, and committed tables are those of the results."""

import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from benchmarks.influence_scores import losses_of, spearman
from benchmarks.planted import page, proxies_page
from benchmarks.planted_proxies import IN_PLACE, cells_named
from vr.localization.influence import Cells
from vr.localization.judge import DEFECTS


def test_the_rank_correlation_is_scipys_column_by_column():
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 8, (20, 3)).astype(float), rng.standard_normal((20, 3))
    expected = [spearmanr(a, b).statistic for a, b in zip(x.T, y.T, strict=True)]
    assert spearman(x, y) == pytest.approx(np.array(expected))


def test_a_rows_loss_is_the_mean_over_its_cells():
    chances = np.array([[[0.5, 0.5]], [[0.25, 0.75]]])
    found = losses_of(Cells.of(np.zeros((2, 1, 1)), chances, np.array([[0], [1]])))
    assert found == pytest.approx([-(np.log(0.5) + np.log(0.75)) / 2])


def test_only_rows_with_a_defect_and_a_changed_cell_count():
    outlier = DEFECTS.index("outlier")
    file = {
        "changed": np.repeat([[True, False], [False, True], [False, False], [True, True]], 20, axis=0),
        "defect": np.repeat([outlier, 0, outlier, outlier], 20),
    }
    first = {name: np.zeros(80, int) for name in proxies_page.METHODS if name != "chance"}
    nothing = first | {"report": np.full(80, -1)}
    found = cells_named({"a": {kind: file | nothing for kind in IN_PLACE}})
    assert set(found) == {"outlier", "all"}
    assert found["all"] == {"rows": 160, "report": 0.0, "chance": 0.75} | {
        name: 1.0 for name in nothing if name != "report"
    }


def test_the_tables_are_those_of_the_results():
    results = [
        json.loads((proxies_page.RESULTS / f"{name}.json").read_text())
        for name in ("planted_proxies", "influence_scores")
    ]
    text = page.PAGE.read_text()
    for name, expected in proxies_page.tables(*results).items():
        assert f"<!-- {name} -->\n{expected}\n<!-- end -->" in text, (
            f"python -m benchmarks.planted.proxies_page writes {name}"
        )
