"""HDBSCAN: clusters of any density, and noise, from one hierarchy of what hangs together.

Two points hang together at their mutual reachability: their distance, or the distance to a point's k-th nearest where
that is greater. Of the hierarchy only parts of a least size count, and of these those are clusters that persist the
longest, in terms of one over the distance, beside all that they fall apart into.

For the few hundred points that a report's clusters are found in: all distances are held at once. The labels are those
of scikit-learn, but where distances are equal, which are in another order there on another processor; it takes longer
to import than all the rest of a short run does.

References:
  Campello, Moulavi and Sander 2013, Density-based clustering based on hierarchical density estimates.
"""

from collections import deque
from dataclasses import dataclass, field

import numpy as np

__all__ = ["cluster_labels"]

_NOISE = -1


def cluster_labels(points: np.ndarray, min_size: int, neighbours: int) -> np.ndarray:
    """Returns the cluster of each point, int64 `[m]`, from 0; -1 is noise.

    Args:
      points: float `[m, q]`, at least two.
      min_size: Fewest points of a cluster.
      neighbours: Of a point, itself among them, that tell its density; at most m.
    """
    return _labels(_condensed(_linked(*_spanning_edges(_reachability(points, neighbours))), min_size), len(points))


def _reachability(points: np.ndarray, neighbours: int) -> np.ndarray:
    distances = np.zeros((len(points), len(points)))
    # All in two arrays: clearing the memory of new ones would take longer than what is done in them.
    apart = np.empty_like(distances)
    for column in np.asarray(points, float).T:
        np.subtract(column[:, None], column, out=apart)
        distances += np.square(apart, out=apart)
    np.sqrt(distances, out=distances)
    apart[:] = distances
    apart.partition(neighbours - 1, axis=1)
    core = apart[:, neighbours - 1].copy()
    np.maximum(distances, core, out=distances)
    return np.maximum(distances, core[:, None], out=distances)


def _spanning_edges(reach: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns a minimum spanning tree, as both ends and the length of each edge, by rising length (Prim 1957)."""
    num = len(reach)
    ends = np.empty((2, num - 1), np.int64)
    lengths = np.empty(num - 1)
    nearest, source, current = np.full(num, np.inf), np.zeros(num, np.int64), 0
    outside = np.ones(num, bool)
    for i in range(num - 1):
        outside[current] = False
        closer = outside & (reach[current] < nearest)
        nearest[closer], source[closer] = reach[current, closer], current
        nearest[current] = np.inf
        current = int(np.argmin(nearest))
        ends[:, i], lengths[i] = (source[current], current), nearest[current]
    # Many are of one length, that of a point's core: in the order in which they were found, on any processor.
    order = np.argsort(lengths, kind="stable")
    return ends[0, order], ends[1, order], lengths[order]


@dataclass(frozen=True)
class _Merge:
    left: int
    right: int
    distance: float
    size: int


def _linked(first: np.ndarray, second: np.ndarray, lengths: np.ndarray) -> list[_Merge]:
    """Returns what merges, by rising distance; node m + i is what the i-th merge makes of m points."""
    num = len(lengths) + 1
    above = list(range(2 * num - 1))
    merges: list[_Merge] = []

    def top(node: int) -> int:
        while above[node] != node:
            above[node] = above[above[node]]
            node = above[node]
        return node

    for a, b, length in zip(first.tolist(), second.tolist(), lengths.tolist(), strict=True):
        left, right = top(a), top(b)
        size = sum(1 if node < num else merges[node - num].size for node in (left, right))
        above[left] = above[right] = num + len(merges)
        merges.append(_Merge(left, right, length, size))
    return merges


@dataclass
class _Part:
    """A part of the hierarchy that is large enough: when it came to be, what left it, what it fell apart into."""

    parent: int
    birth: float
    size: int
    stability: float = 0.0
    points: list[int] = field(default_factory=list)
    children: list[int] = field(default_factory=list)


def _condensed(merges: list[_Merge], min_size: int) -> list[_Part]:
    """Returns the parts, each after that which it comes from, the whole first."""
    num = len(merges) + 1

    def size(node: int) -> int:
        return 1 if node < num else merges[node - num].size

    parts = [_Part(-1, 0.0, num)]
    waiting = deque([(2 * num - 2, 0)])
    while waiting:
        node, place = waiting.popleft()
        if node < num:
            continue
        merge, part = merges[node - num], parts[place]
        level = 1.0 / merge.distance if merge.distance > 0.0 else np.inf
        both = (merge.left, merge.right)
        large = [child for child in both if size(child) >= min_size]
        if len(large) == 2:
            for child in large:
                part.stability += (level - part.birth) * size(child)
                part.children.append(len(parts))
                waiting.append((child, len(parts)))
                parts.append(_Part(place, level, size(child)))
            continue
        for child in both:
            if child in large:
                waiting.append((child, place))
                continue
            leaving = _points(child, merges, num)
            part.points += leaving
            for _ in leaving:
                part.stability += level - part.birth
    return parts


def _points(node: int, merges: list[_Merge], num: int) -> list[int]:
    found, waiting = [], [node]
    while waiting:
        node = waiting.pop()
        if node < num:
            found.append(node)
        else:
            waiting += [merges[node - num].left, merges[node - num].right]
    return found


def _labels(parts: list[_Part], num: int) -> np.ndarray:
    """Returns the labels by the parts of which none lies in another and that are the most stable in all."""
    stability = [part.stability for part in parts]
    kept = [False] * len(parts)
    # The whole is no cluster. What is in a part comes after it.
    for place in range(len(parts) - 1, 0, -1):
        within = sum(stability[child] for child in parts[place].children)
        kept[place] = not within > stability[place]  # no number: where points are equal, it counts as the greater
        if not kept[place]:
            stability[place] = within
    labels, label_of = np.full(num, _NOISE, np.int64), [_NOISE] * len(parts)
    next_label = 0
    for place, part in enumerate(parts):
        if part.parent >= 0 and label_of[part.parent] != _NOISE:
            label_of[place] = label_of[part.parent]
        elif kept[place]:
            label_of[place] = next_label
            next_label += 1
        labels[part.points] = label_of[place]
    return labels
