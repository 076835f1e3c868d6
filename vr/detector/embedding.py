"""Rows as points: numbers by their normal score in the reference, categories one-hot, every column of variance 1."""

from dataclasses import dataclass

import numpy as np

from vr.data.codec import Codec, Coded

__all__ = ["Embedding"]

_MAX_WIDTH = 128  # coordinates; beyond this, the rarest categories share one
_QUANTILES = 257


@dataclass(frozen=True)
class Embedding:
    """A map from coded rows to float32 `[n, p]`, fitted on the reference.

    Attributes:
      ordinal: (column, whether it has numbers, values ascending, their normal scores) for each ordinal column; a value
        beyond the reference's range goes on along the slope of that side, up to 6 deviations.
      onehot: (column, coordinate of each code `[K]`, weight) for each nominal one; rare codes share the last.
    """

    ordinal: tuple[tuple[int, bool, np.ndarray, np.ndarray], ...]
    onehot: tuple[tuple[int, np.ndarray, float], ...]

    @classmethod
    def fit(cls, codec: Codec, coded: Coded) -> "Embedding":
        """Fits to the reference's coded sample."""
        numeric, is_ordinal, num_codes = codec.numeric, codec.ordinal, codec.num_codes
        ordinal, onehot = [], []
        num_nominal = int((~is_ordinal).sum())
        room = max(2, (_MAX_WIDTH - int(is_ordinal.sum())) // max(1, num_nominal))
        for j in range(len(num_codes)):
            if is_ordinal[j]:
                x = coded.values[:, j] if numeric[j] else coded.codes[:, j].astype(float)
                ordinal.append((j, bool(numeric[j]), *_normal_scores(x)))
            else:
                onehot.append((j, *_categories(coded.codes[:, j], int(num_codes[j]), room)))
        return cls(tuple(ordinal), tuple(onehot))

    def transform(self, coded: Coded) -> np.ndarray:
        """Returns the points of `coded`'s rows, float32 `[n, p]`; a null number lies at -3."""
        parts = []
        for j, numeric, knots, scores in self.ordinal:
            x = coded.values[:, j] if numeric else coded.codes[:, j].astype(float)
            parts.append(_interpolate(x, knots, scores)[:, None].astype(np.float32))
        for j, coordinate, weight in self.onehot:
            table = np.zeros((len(coordinate), int(coordinate.max()) + 1), np.float32)
            table[np.arange(len(coordinate)), coordinate] = weight
            parts.append(table[coded.codes[:, j]])
        return np.concatenate(parts, axis=1)


def _normal_scores(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    from scipy.special import ndtri

    finite = np.sort(x[np.isfinite(x)])
    if len(finite) < 2 or finite[0] == finite[-1]:
        centre = float(finite[0]) if len(finite) else 0.0
        return np.array([centre - 1.0, centre, centre + 1.0]), np.array([-1.0, 0.0, 1.0])
    # Mid-distribution ranks at the distinct values, thinned to at most 257 knots.
    values, start, counts = np.unique(finite, return_index=True, return_counts=True)
    if len(values) > _QUANTILES:
        pick = np.unique(np.linspace(0, len(values) - 1, _QUANTILES).round().astype(int))
        values, start, counts = values[pick], start[pick], counts[pick]
    scores = ndtri((start + counts / 2) / len(finite))
    # Unit variance, so that a column of few values weighs as much as one of many.
    spread = np.std(np.interp(finite, values, scores))
    return values, scores / max(spread, 1e-6)


def _interpolate(x: np.ndarray, knots: np.ndarray, scores: np.ndarray) -> np.ndarray:
    x = np.where(np.isposinf(x), np.finfo(float).max, np.where(np.isneginf(x), np.finfo(float).min, x))
    result = np.interp(x, knots, scores)
    # The outer half of the range sets the slope beyond it: the outermost gap alone may be tiny.
    middle = len(knots) // 2
    for end, beyond in ((0, x < knots[0]), (-1, x > knots[-1])):
        if beyond.any():
            run = knots[end] - knots[middle]
            slope = (scores[end] - scores[middle]) / run if run else 1.0
            with np.errstate(over="ignore", invalid="ignore"):
                result[beyond] = scores[end] + slope * (x[beyond] - knots[end])
    return np.where(np.isnan(x), -3.0, np.clip(result, -6.0, 6.0))


def _categories(codes: np.ndarray, num_codes: int, room: int) -> tuple[np.ndarray, float]:
    """Returns each code's coordinate and the weight that gives the column variance 1 in the reference."""
    counts = np.bincount(codes, minlength=num_codes)
    order = np.argsort(-counts, kind="stable")
    coordinate = np.empty(num_codes, np.int64)
    coordinate[order] = np.minimum(np.arange(num_codes), room - 1)
    shares = np.bincount(coordinate, weights=counts) / max(1, counts.sum())
    impurity = 1.0 - float((shares**2).sum())
    # A nearly constant column must not be blown up without bound.
    return coordinate, float(1.0 / np.sqrt(max(impurity, 0.05)))
