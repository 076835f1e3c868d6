"""Every peer tells a broken copy from a fresh sample, and says NaN where its package is absent."""

import sys

import numpy as np
import pyarrow as pa
import pytest

from benchmarks.collapse.peers import PEERS, scores


def table(rows, seed, *, broken=False):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((rows, 2)) @ np.array([[1.0, 0.8], [0.0, 0.6]])
    group = np.searchsorted([-1.0, 1.0], x[:, 0])
    if broken:
        x = 0.3 * np.column_stack([rng.permutation(column) for column in x.T])
        group = np.full(rows, 1)
    return pa.table({"x": x[:, 0], "y": x[:, 1], "group": np.array(["low", "mid", "high"])[group]})


@pytest.fixture(scope="module")
def found():
    reference = table(600, 0)
    return {name: scores(table(500, 1, broken=name == "broken"), reference) for name in ("fresh", "broken")}


def test_every_peer_scores_and_the_package_that_is_absent_does_not(found, monkeypatch):
    monkeypatch.setitem(sys.modules, "sdmetrics.reports.single_table", None)
    assert set(found["fresh"]) == set(PEERS)
    assert np.isnan(scores(table(100, 1), table(100, 0))["sdmetrics_quality"])


@pytest.mark.parametrize("peer", [peer for peer in PEERS if peer not in ("sdmetrics_quality", "prdc_density")])
def test_a_broken_copy_scores_worse_than_a_fresh_sample(found, peer):
    assert found["broken"][peer] > found["fresh"][peer]
