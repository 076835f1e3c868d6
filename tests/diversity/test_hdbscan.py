"""Clusters by density: those of scikit-learn, whatever the points."""

from functools import partial

import numpy as np
import pytest
from sklearn.cluster import HDBSCAN

from vr.diversity.hdbscan import cluster_labels


def blobs(rng):
    return np.concatenate([rng.normal(3.0 * k, 0.3 + 0.2 * k, (60 + 50 * k, 4)) for k in range(4)])


def nested(rng):
    return np.concatenate([rng.normal(0, 3, (200, 2)), rng.normal(0, 0.1, (80, 2)), rng.normal(2, 0.1, (80, 2))])


POINTS = {
    "blobs": blobs,
    "nested": nested,
    "noise": lambda rng: rng.uniform(size=(300, 3)),
    "lattice": lambda rng: rng.integers(0, 4, (500, 3)).astype(float),
    "copies": lambda rng: np.repeat(rng.normal(size=(30, 5)), rng.integers(1, 40, 30), axis=0),
    "a_line": lambda rng: np.sort(rng.standard_cauchy((400, 1)), axis=0),
    "one_point": lambda rng: np.ones((50, 2)),
    "few": lambda rng: rng.normal(size=(11, 8)),
}


@pytest.mark.parametrize("name", POINTS)
@pytest.mark.parametrize("min_size", [10, 21])
def test_labels_are_those_of_scikit_learn(monkeypatch, name, min_size):
    # It takes edges of one length, which every point has, in an order that depends on the processor.
    monkeypatch.setattr(np, "argsort", partial(np.argsort, kind="stable"))
    for seed in range(10):
        points = POINTS[name](np.random.default_rng(seed))
        expected = HDBSCAN(min_cluster_size=min_size, min_samples=5, copy=True).fit_predict(points)
        np.testing.assert_array_equal(cluster_labels(points, min_size, 5), expected)


def test_far_clusters_are_told_apart_from_noise():
    rng = np.random.default_rng(1)
    points = np.concatenate([rng.normal(0, 0.1, (50, 2)), rng.normal(9, 0.1, (50, 2)), [[4.5, 30.0]]])
    labels = cluster_labels(points, 10, 5)
    assert {tuple(set(part)) for part in (labels[:50], labels[50:100])} == {(0,), (1,)}
    assert labels[100] == -1
