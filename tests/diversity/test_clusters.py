"""Clusters: found where they were planted, shared out by one rule, told apart from chance."""

import numpy as np
import pytest

from tests.diversity import sides
from vr.diversity.clusters import (
    Clustering,
    Settings,
    _density,
    _density_deviation,
    _principal_directions,
    find_clusters,
)
from vr.stats.coverage import nearest_distances, nearest_neighbours

SHARES = (0.5, 0.3, 0.2)


def table(rows, seed, **changes):
    """Without the nominal column that would split each cluster by its values."""
    return sides.table(rows, seed, **changes).drop_columns(["kind"])


def found(candidate, reference=None):
    taken = sides.inputs(candidate, reference)
    return find_clusters(taken.candidate, taken.reference, taken.columns, 0)


def by_group(clusters):
    return {next(c for c in cluster.conditions if c.startswith("group")): cluster for cluster in clusters.clusters}


def test_planted_clusters_are_found_and_fresh_rows_have_their_shares():
    clusters = by_group(found(table(3000, 1), table(3000, 0)))
    assert set(clusters) == {"group is a", "group is b", "group is c"}
    for cluster, share in zip((clusters[f"group is {g}"] for g in "abc"), SHARES, strict=True):
        assert cluster.reference_share == pytest.approx(share, abs=0.05)
        assert abs(cluster.z) < 4
        assert cluster.density == pytest.approx(cluster.reference_density, rel=0.3)
        assert abs(cluster.density_z) < 4
        assert len(cluster.rows) == len(cluster.reference_rows) == 3


def test_a_lost_and_a_tightened_cluster_stand_out():
    reference = table(3000, 0)
    clusters = by_group(found(table(3000, 1, shares=(0.5, 0.5, 0.0)), reference))
    assert clusters["group is c"].share == 0.0
    assert clusters["group is c"].z < -10
    assert clusters["group is c"].rows == []
    group = reference["group"].to_pylist()
    assert [group[row] for row in clusters["group is c"].reference_rows] == ["c"] * 3
    assert clusters["group is b"].z > 10
    tight = by_group(found(table(3000, 1, spread=0.1), reference))["group is a"]
    assert tight.density > 1.3 * tight.reference_density
    assert tight.density_z > 4


def test_a_ratio_of_densities_is_told_from_chance():
    # Sixty rows a side of one distribution: z has about variance 1.
    points = [np.random.default_rng(seed).standard_normal((240, 3)) for seed in range(40)]
    ratios = [np.log(_density(p[:60], 60, 5) / _density(p[60:120], 60, 5)) for p in points]
    deviations = [_density_deviation(p[120:], 60, Settings()) for p in points]
    assert 0.7 < np.std(np.array(ratios) / np.array(deviations)) < 1.4
    assert _density_deviation(points[0][:10], 5, Settings()) is None


def test_without_a_reference_there_are_sizes_alone():
    clusters = found(table(1500, 0))
    assert sorted(round(c.share, 1) for c in clusters.clusters) == [0.2, 0.3, 0.5]
    assert all(c.reference_share is None and c.z is None and c.density > 0 for c in clusters.clusters)


def test_a_single_cloud_is_one_cluster():
    assert Clustering.fit(np.random.default_rng(0).standard_normal((500, 8))).num_clusters == 1
    assert Clustering.fit(np.zeros((80, 3))).num_clusters == 1


def test_too_few_rows_are_said():
    assert "60 rows" in found(table(50, 0))


def test_rows_are_assigned_to_the_nearest_clustered_row():
    rng = np.random.default_rng(0)
    features = rng.standard_normal((300, 12)) + 6.0 * np.eye(12)[rng.integers(0, 3, 300)]
    clustering, others = Clustering.fit(features), rng.standard_normal((2500, 12))
    _, nearest = nearest_neighbours(clustering.place(others), clustering.points, 1)
    assert np.mean(clustering.assign(others) == clustering.labels[nearest[:, 0]]) > 0.999
    np.testing.assert_array_equal(clustering.assign(others)[1800:], clustering.assign(others[1800:]))
    # Labels go by falling size.
    sizes = np.bincount(clustering.labels[clustering.labels >= 0])
    assert (np.diff(sizes) <= 0).all()


def test_principal_directions_of_few_rows_in_a_wide_space_are_those_of_the_decomposition():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((30, 4)) @ rng.standard_normal((4, 200)) * 3
    x -= x.mean(axis=0)
    wide = _principal_directions(x, 8)
    _, values, rows = np.linalg.svd(x, full_matrices=False)
    assert wide.shape == (200, 4)
    assert (values > 1e-9 * values[0]).sum() == 4
    np.testing.assert_allclose(np.abs(np.sum(wide * rows[:4].T, axis=0)), 1.0, atol=1e-9)


@pytest.mark.parametrize("width", [1, 3, 8])
def test_a_density_is_one_over_the_median_distance_to_the_fifth_neighbour(width):
    rng = np.random.default_rng(0)
    points = np.concatenate([rng.normal(size=(300, width)), np.ones((40, width))])
    kept = points[np.arange(200) * 340 // 200]
    distances = nearest_distances(kept, kept, 5, exclude_self=True)[:, -1]
    assert _density(points, 200, 5) == pytest.approx(1.0 / np.median(distances), rel=1e-12)
    # Far from the origin and of another unit it is the same.
    assert _density(points * 1e-6 + 3.0, 200, 5) == pytest.approx(1e6 / np.median(distances), rel=1e-8)
    assert _density(np.ones((60, width)), 60, 5) is None
    # Most of them equal, away from the mean: what products round to is no distance.
    for seed in range(20):
        others = np.random.default_rng(seed).normal(size=(60, width)) * 100
        equal = np.repeat(np.random.default_rng(seed).normal(size=(1, width)) * 50, 140, axis=0)
        assert _density(np.concatenate([others, equal]), 200, 5) is None
    assert _density(points, 10, 5) is None
