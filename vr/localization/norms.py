"""What is ordinary in the reference, cross-fitted: what a row is read against never saw that row.

The reference is cut in two. Each half gives the models and points that the other half's rows are read against, which
makes every reference row a null reading; a row of the candidate is read against one of them, by the hash of its number,
so that its readings have exactly the distribution of the null where it is an ordinary row.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vr.core.workers import each
from vr.data.codec import Coded
from vr.detector.inputs import Columns, Side, informative_columns
from vr.localization.evidence import TailScale
from vr.localization.plain_points import PlainPoints
from vr.stats.conditionals import Conditionals, fit_conditionals
from vr.stats.contradictions import Contradictions, fit_contradictions
from vr.stats.coverage import Neighbours
from vr.stats.grain import Grain, fit_grain
from vr.stats.linear_dependence import LinearDependence, fit_linear_dependence
from vr.stats.typicality import Typicality, fit_typicality

__all__ = ["FOLDS", "Closer", "Norms", "Quick", "fold_of"]

FOLDS = 2
_MOST_ROWS = 5_000  # of the reference that take part
_NEIGHBOURS = 5  # among the reference's rows as they are written
_SMALL = 0.05  # deviations that no distance is told from
_MOST_COLUMNS = 24  # that are predicted from the others


def fold_of(rows: np.ndarray) -> np.ndarray:
    """Returns the fold of each row number: a row is scored by the model that did not see its fold."""
    return (rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(40)).astype(np.int64) % FOLDS


@dataclass(frozen=True)
class Quick:
    """What is read of every row, higher is stranger.

    Attributes:
      dependence: float `[n]`, misfit with the linear dependence between columns.
      pair: float `[n]`, rarity of the row's rarest pair of codes against chance.
      which_pair: int `[n]`, which it is.
      outermost: float `[n]`, how far out the outermost cell lies in its column.
      outers: float `[n]`, the same of all cells, added up.
    """

    dependence: np.ndarray
    pair: np.ndarray
    which_pair: np.ndarray
    outermost: np.ndarray
    outers: np.ndarray


@dataclass(frozen=True)
class Closer:
    """What takes longer to read.

    Attributes:
      surprise: float `[n]`, sum over the predicted columns of -log p(cell | other cells).
      cells: float `[n, p]`, tail evidence of each predicted column's own surprise.
      distance: float `[n]`, to the nearest reference row, ranks for numbers.
      far: float `[n]`, mean distance to the nearest reference rows as they are written.
      local: float `[n]`, log of it over those rows' own (a local outlier factor, Breunig et al. 2000).
      grain: float `[n]`, how far from where real numbers stand its numbers do.
    """

    surprise: np.ndarray
    cells: np.ndarray
    distance: np.ndarray
    far: np.ndarray
    local: np.ndarray
    grain: np.ndarray

    def take(self, positions: np.ndarray) -> "Closer":
        """Returns those of the rows at `positions`."""
        columns = (self.surprise, self.cells, self.distance, self.far, self.local, self.grain)
        return Closer(*(column[positions] for column in columns))


@dataclass(frozen=True)
class _Fold:
    conditionals: Conditionals
    contradictions: Contradictions
    dependence: LinearDependence
    typicality: Typicality
    grain: Grain
    points: Neighbours
    plain: Neighbours
    spacing: np.ndarray


@dataclass(frozen=True)
class Norms:
    """Fitted to the reference alone.

    Attributes:
      rows: The reference's rows that took part.
      predicted: Positions of the columns that are predicted.
      quick: Readings of these rows, each against the half that it is not in.
      closer: Likewise.
      plain: Makes points of rows as they are written.
    """

    rows: Side
    predicted: np.ndarray
    plain: PlainPoints
    quick: Quick
    closer: Closer
    _folds: tuple[_Fold, ...]
    _scales: tuple[TailScale, ...]

    @classmethod
    def fit(cls, reference: Side, columns: Columns, max_points: int, seed: int, threads: int = 1) -> "Norms":
        """Fits to `reference`, at least 8 rows.

        Args:
          reference: Real rows.
          columns: The encoded columns.
          max_points: Rows of each half that distances are measured to.
          seed: Of the halves and the trees.
          threads: Halves at a time, and forests of each.
        """
        rng = np.random.default_rng([seed, 13])
        rows = reference.take(np.sort(rng.permutation(len(reference))[:_MOST_ROWS]))
        predicted = informative_columns(rows, columns, _MOST_COLUMNS)
        fold = rng.permutation(len(rows)) % FOLDS
        plain = PlainPoints.fit(rows, columns)
        parts, kinds = list(columns.parts.values()), (columns.ordinal, columns.num_codes)
        seeds = [int(rng.integers(2**31)) for _ in range(FOLDS)]

        def half(k: int) -> _Fold:
            base = rows.take(np.flatnonzero(fold != k))
            written = Neighbours(plain.of(base)[:max_points])
            near = min(_NEIGHBOURS, len(written) - 1)
            spacing = written.nearest(written.points, near, exclude_self=True)[0].mean(axis=1)
            return _Fold(
                fit_conditionals(base.codes, *kinds, parts, predicted, seeds[k], max(1, threads // FOLDS)),
                fit_contradictions(base.codes, *kinds, parts, predicted),
                fit_linear_dependence(base.codes, *kinds, predicted),
                fit_typicality(base.codes, base.values, columns.numeric, columns.num_codes),
                fit_grain(base.values, columns.numeric),
                Neighbours(base.features[:max_points]),
                written,
                np.log(spacing + _SMALL),
            )

        folds = each(half, range(FOLDS), threads)
        closer = _closer(folds, rows, plain.of(rows), fold, threads)
        scales = tuple(TailScale.fit(column) for column in closer.cells.T)
        quick = _quick(folds, Coded(rows.codes, rows.values), fold)
        return cls(rows, predicted, plain, quick, _scaled(closer, scales), tuple(folds), scales)

    def read(self, coded: Coded, rows: np.ndarray) -> Quick:
        """Returns the quick readings of a candidate's rows with their numbers, int64 `[n]`."""
        return _quick(self._folds, coded, fold_of(rows))

    def outer(self, coded: Coded, rows: np.ndarray) -> np.ndarray:
        """Returns how far out in its column each cell of a candidate's rows lies, float `[n, d]`."""
        fold, result = fold_of(rows), np.zeros(coded.codes.shape)
        for k, models in enumerate(self._folds):
            mine = np.flatnonzero(fold == k)
            own = coded.take(mine)
            result[mine] = models.typicality.read(own.codes, own.values)
        return result

    def read_closer(self, side: Side, threads: int = 1) -> Closer:
        """Returns the other readings of a candidate's rows, those of either half by a thread of its own."""
        return _scaled(_closer(self._folds, side, self.plain.of(side), fold_of(side.rows), threads), self._scales)

    def likeliest(self, codes: np.ndarray, rows: np.ndarray, column: int) -> np.ndarray:
        """Returns the code that each row's other cells make likeliest in a column, -1 where it is not predicted."""
        fold, result = fold_of(rows), np.full(len(codes), -1)
        for k, models in enumerate(self._folds):
            mine = fold == k
            if mine.any():
                result[mine] = models.conditionals.likeliest(codes[mine], column)
        return result

    def pair_of(self, which: int, row: int) -> tuple[int, int] | None:
        """Returns the columns of a row's rarest pair, None where no pair says anything."""
        pairs = self._folds[int(fold_of(np.array([row]))[0])].contradictions.pairs
        return (int(pairs[which, 0]), int(pairs[which, 1])) if len(pairs) else None


def _quick(folds: Sequence[_Fold], coded: Coded, fold: np.ndarray) -> Quick:
    n = len(coded)
    result = Quick(np.zeros(n), np.zeros(n), np.zeros(n, np.int64), np.zeros(n), np.zeros(n))
    for k, models in enumerate(folds):
        mine = np.flatnonzero(fold == k)
        if len(mine):
            own = coded.take(mine)
            result.dependence[mine] = models.dependence.read(own.codes)
            result.pair[mine], result.which_pair[mine] = models.contradictions.read(own.codes)
            result.outermost[mine], result.outers[mine] = models.typicality.extremes(own.codes, own.values)
    return result


def _closer(folds: Sequence[_Fold], side: Side, plain: np.ndarray, fold: np.ndarray, threads: int) -> Closer:
    """Returns the readings, the cells' surprises as they are."""
    surprise = np.zeros((len(side), len(folds[0].conditionals.columns)))
    distance, far, local, grain = np.zeros((4, len(side)))

    def read(k: int) -> None:
        models, mine = folds[k], np.flatnonzero(fold == k)
        if len(mine):
            surprise[mine] = models.conditionals.surprise(side.codes[mine])
            distance[mine] = models.points.nearest(side.features[mine], 1)[0][:, 0]
            apart, nearest = models.plain.nearest(plain[mine], min(_NEIGHBOURS, len(models.plain) - 1))
            far[mine] = apart.mean(axis=1)
            local[mine] = np.log(far[mine] + _SMALL) - models.spacing[nearest].mean(axis=1)
            grain[mine] = models.grain.read(side.values[mine])

    each(read, range(len(folds)), threads)
    return Closer(surprise.sum(axis=1), surprise, distance, far, local, grain)


def _scaled(closer: Closer, scales: Sequence[TailScale]) -> Closer:
    cells = [scale(surprise) for scale, surprise in zip(scales, closer.cells.T, strict=True)]
    return replace(closer, cells=np.column_stack(cells))
