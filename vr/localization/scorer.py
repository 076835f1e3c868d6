"""Row scores: density ratio, distance to the reference, and duplicates, each against what reference rows show.

A row's evidence is the sum over readings of -log10 of the reading's tail probability among reference rows; its score is
one minus the tail probability of that sum. Its confidence is one minus the share of rows with as much evidence that
real data would show too (a tail false discovery rate, Efron & Tibshirani 2002).

An exact repeat is another matter: it is told by equality, not by rarity, and how many repeats are too many is known for
the file alone. Its confidence is the share of repeats that the reference's own rate does not explain, and it takes no
part in the confidence of other rows.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from vr.data.codec import Coded
from vr.detector.embedding import Embedding
from vr.detector.inputs import Columns, Side
from vr.localization.evidence import TailScale
from vr.stats.coverage import nearest_distances
from vr.stats.twosample import DensityRatio, fit_density_ratio

__all__ = ["DEFECTS", "Readings", "RowScorer", "fold_of"]

DEFECTS = ("none", "over_represented", "outlier", "near_duplicate", "exact_duplicate")
_REPEAT = 3  # of the evidence's columns
_NOTABLE = 1.3  # evidence of one in twenty
_REPEATED = 4.0  # evidence of a repeat that the reference's rate does not explain
_FOLDS = 2
_FIT_ROWS = 10_000  # rows of each side the density ratio is fitted on


def fold_of(rows: np.ndarray) -> np.ndarray:
    """Returns the fold of each row number: a row is scored by the model that did not see its fold."""
    return (rows.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) >> np.uint64(40)).astype(np.int64) % _FOLDS


@dataclass(frozen=True)
class Readings:
    """What was found of each row.

    Attributes:
      evidence: float64 `[n, 4]`, -log10 tail probability of each kind in `DEFECTS[1:]`; an exact repeat has 4 or 0.
      rarity: float64 `[n]`, the first three combined on the scale of the null: -log10 tail probability.
    """

    evidence: np.ndarray
    rarity: np.ndarray

    @cached_property
    def total(self) -> np.ndarray:
        """The evidence that rows are ranked by: for rarity or for being a repeat, whichever is stronger."""
        return np.maximum(self.rarity, self.evidence[:, _REPEAT])

    @cached_property
    def repeat(self) -> np.ndarray:
        """Rows that repeat an earlier one where the reference's rate does not explain it, bool `[n]`."""
        return self.evidence[:, _REPEAT] > _NOTABLE

    @cached_property
    def score(self) -> np.ndarray:
        """0 for an ordinary row, towards 1 for one hardly ever seen among real rows."""
        return 1.0 - 10.0**-self.total

    @cached_property
    def defect(self) -> np.ndarray:
        """Index into `DEFECTS` of the strongest evidence; 0 where none reaches one in twenty. Repeats come first."""
        strongest = np.where(self.evidence.max(axis=1, initial=0.0) > _NOTABLE, self.evidence.argmax(axis=1) + 1, 0)
        return np.where(self.repeat, _REPEAT + 1, strongest)


@dataclass(frozen=True)
class RowScorer:
    """Scores any rows of the candidate; fitted on the samples of both sides.

    Attributes:
      columns: The encoded columns.
      embedding: Rows as points.
      ratios: One density-ratio model for each fold.
      reference_points: float32 `[r, p]`, what distances are measured to.
      candidate_points: float32 `[r, p]`, what near duplicates are looked for among.
      scales: Tail scale of each reading.
      combined: Tail scale of the summed evidence.
      far_enough: Density-ratio log below which distances are not computed (very large files only).
      candidate_rarities: Of the candidate's sample, ascending: what confidence is measured against.
      duplicate_weight: Share of the candidate's duplicates that the reference's own rate does not explain.
    """

    columns: Columns
    embedding: Embedding
    ratios: tuple[DensityRatio, ...]
    reference_points: np.ndarray
    candidate_points: np.ndarray
    scales: tuple[TailScale, TailScale, TailScale]
    combined: TailScale
    far_enough: float
    candidate_rarities: np.ndarray
    duplicate_weight: float

    @classmethod
    def fit(
        cls,
        candidate: Side,
        reference: Side,
        *,
        columns: Columns,
        embedding: Embedding,
        num_rows: int,
        reference_rows: int,
        max_distance_rows: int,
        duplicate_weight: float,
        repeated: np.ndarray,
        seed: int,
    ) -> "RowScorer":
        """Fits to the two samples.

        Args:
          candidate: Its sample, at least 4 rows.
          reference: Its sample, at least 8 rows.
          columns: The encoded columns.
          embedding: As both samples' points were made with.
          num_rows: Rows in the whole candidate.
          reference_rows: Points that distances are measured to.
          max_distance_rows: Rows of the candidate whose distances are worth their time.
          duplicate_weight: 0 to 1, see the attribute.
          repeated: bool `[len(candidate)]`, sample rows that repeat an earlier row.
          seed: Of the subsets drawn.
        """
        rng = np.random.default_rng([seed, 11])
        ratios = tuple(_fit_fold(candidate, reference, fold, rng) for fold in range(_FOLDS))
        order = rng.permutation(len(reference))
        num_points = min(reference_rows, len(reference) // 2, len(candidate))
        near, held = np.sort(order[:num_points]), np.sort(order[num_points:][:5_000])
        chosen = np.sort(rng.permutation(len(candidate))[:num_points])
        points = reference.features[near]
        held_out = reference.take(held)
        ratio = _log_ratio(ratios, held_out.codes, held_out.rows)
        distance = nearest_distances(held_out.features, points, 1)[:, 0]
        nulls = (ratio, distance, _closeness(held_out.features, points))
        scales = (TailScale.fit(nulls[0]), TailScale.fit(nulls[1]), TailScale.fit(nulls[2]))
        null_evidence = sum(scale(null) for scale, null in zip(scales, nulls, strict=True))
        scorer = cls(
            columns=columns,
            embedding=embedding,
            ratios=ratios,
            reference_points=points,
            candidate_points=candidate.features[chosen],
            scales=scales,
            combined=TailScale.fit(np.asarray(null_evidence)),
            far_enough=-np.inf,
            candidate_rarities=np.empty(0),
            duplicate_weight=duplicate_weight,
        )
        if num_rows > max_distance_rows:
            own = _log_ratio(ratios, candidate.codes, candidate.rows)
            far_enough = float(np.quantile(own, 1.0 - max_distance_rows / num_rows))
            scorer = replace(scorer, far_enough=far_enough)
        coded = Coded(candidate.codes, candidate.values)
        rarities = scorer.read(coded, candidate.rows, repeated).rarity[~repeated]
        return replace(scorer, candidate_rarities=np.sort(rarities))

    def read(self, coded: Coded, rows: np.ndarray, repeated: np.ndarray) -> Readings:
        """Returns the readings of candidate rows.

        Args:
          coded: The rows.
          rows: int64 `[n]`, their row numbers.
          repeated: bool `[n]`, exact repeats of an earlier row.
        """
        ratio = self.log_ratio(coded.codes, rows)
        distance, closeness = np.full(len(coded), np.nan), np.full(len(coded), np.nan)
        # In a long file points are made, and distances measured, only where a row is unlikely or leaves the range.
        looked = np.flatnonzero((ratio >= self.far_enough) | self._outside(coded.codes))
        if len(looked):
            points = self.embedding.transform(coded.take(looked))
            distance[looked] = nearest_distances(points, self.reference_points, 1)[:, 0]
            closeness[looked] = _closeness(points, self.candidate_points)
        readings = (ratio, distance, closeness)
        rare = np.column_stack([scale(reading) for scale, reading in zip(self.scales, readings, strict=True)])
        # Whether repeats are too many is known for the file, not for the row: all of them count, or none.
        repeats = np.where(repeated & (self.duplicate_weight > 0.0), _REPEATED, 0.0)
        return Readings(np.column_stack([rare, repeats]), self.combined(rare.sum(axis=1)))

    def _outside(self, codes: np.ndarray) -> np.ndarray:
        """Returns the rows with a number beyond the reference's range or a category it never has, bool `[n]`."""
        columns = self.columns
        found = np.zeros(len(codes), bool)
        for j, last in enumerate(columns.num_codes - 1):
            if columns.numeric[j]:
                found |= codes[:, j] == 1
            if columns.numeric[j] or not columns.ordinal[j]:
                found |= codes[:, j] == last
        return found

    def log_ratio(self, codes: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Returns log p(candidate) / p(reference) of each row by the model that did not see its fold, `[n]`."""
        return _log_ratio(self.ratios, codes, rows)

    def confidence(self, readings: Readings) -> np.ndarray:
        """Returns, for rows with so much evidence, the share of such rows that real data would not show, 0 to 1."""
        known = max(1, len(self.candidate_rarities))
        above = len(self.candidate_rarities) - np.searchsorted(self.candidate_rarities, readings.rarity, side="left")
        # As few rows as two deviations allow: a handful of extreme rows in a healthy file is no excess.
        observed = np.maximum(above - 2.0 * np.sqrt(above), 1e-9) / known
        rare = np.clip(1.0 - 10.0**-readings.rarity / observed, 0.0, 1.0)
        return np.where(readings.repeat, self.duplicate_weight, rare)


def _fit_fold(candidate: Side, reference: Side, fold: int, rng: np.random.Generator) -> DensityRatio:
    parts = []
    for side in (candidate, reference):
        others = np.flatnonzero(fold_of(side.rows) != fold)
        parts.append(side.codes[np.sort(rng.permutation(others)[:_FIT_ROWS])])
    return fit_density_ratio(parts[0], parts[1], int(rng.integers(2**31)))


def _log_ratio(ratios: tuple[DensityRatio, ...], codes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    folds = fold_of(rows)
    result = np.empty(len(codes))
    for fold, ratio in enumerate(ratios):
        mine = folds == fold
        if mine.any():
            result[mine] = ratio.log_ratio(codes[mine])
    return result


def _closeness(points: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Returns how unusually close each point lies to the nearest of `others` that is not the same point, `[n]`.

    At distance 0 is the row itself, or an exact repeat of it, which is counted elsewhere.
    """
    nearest = nearest_distances(points, others, min(3, len(others)))
    apart = np.where(nearest > 0.0, nearest, np.inf).min(axis=1)
    # Where all neighbours are the same point there is no neighbour: as far as one can be, and still a number.
    return -np.log(np.minimum(apart, 1e6) + 1e-6)
