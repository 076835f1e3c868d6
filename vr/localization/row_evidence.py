"""All that speaks against a row, on one scale: -log10 of each reading's tail probability among real rows.

Quick readings are made of every row; distances, conditional surprises and near copies of at most
`localization.max_distance_rows`, the least likely ones by the quick readings; stretches of the file are looked for
among the candidate's sample, in the order of its rows.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from vr.core.workers import each, workers
from vr.data.codec import Coded
from vr.detector.embedding import Embedding
from vr.detector.inputs import Columns, Side
from vr.localization.evidence import TailScale
from vr.localization.near_copies import NearCopies
from vr.localization.norms import FOLDS, Closer, Norms, Quick, fold_of
from vr.localization.stretches import Stretch, find_stretches
from vr.stats.scan import scan, whitened
from vr.stats.twosample import DensityRatio, fit_density_ratio

__all__ = ["EVIDENCE", "QUICK", "Evidence", "RowEvidence"]

EVIDENCE = (
    "ratio",  # log density ratio of candidate to reference
    "dependence",  # misfit with the linear dependence between columns
    "pair",  # rarest pair of codes against chance
    "outer",  # outermost cell in its column
    "outers",  # all cells together
    "distance",  # to the nearest reference row by ranks
    "surprise",  # all cells together, each given the others
    "cell",  # most surprising cell
    "second",  # second most surprising cell
    "far",  # mean distance to the nearest reference rows as they are written
    "local",  # the same over those rows' own
    "grain",  # numbers that stand where real numbers do not
    "near",  # closeness to an earlier row
    "stretch",  # of rows off the rest in these readings
    "shifted",  # of rows off the rest in their cells
)
QUICK = 5  # of them, the first, are made of every row
# Of a file of ten times its sample's rows near copies are sought among so many earlier rows only: the sample holds few
# of the rows that single copies are of, and of many copies of few rows a part of it does, too.
_EARLIER_ROWS, _LONG = 4_096, 10
_FIT_ROWS = 10_000  # rows of each side the density ratio is fitted on
_SCANNED_POINTS = 32  # coordinates of a row that stretches are looked for in


@dataclass(frozen=True)
class Evidence:
    """What was found of some rows.

    Attributes:
      tails: float64 `[n, len(EVIDENCE)]`, 0 where a reading was not made.
      which_pair: int `[n]`, the rarest pair, see `Norms.pair_of`.
      outside: bool `[n]`, with a number beyond the reference's range or a category that it never has.
    """

    tails: np.ndarray
    which_pair: np.ndarray
    outside: np.ndarray

    def __len__(self) -> int:
        return len(self.tails)

    def take(self, positions: np.ndarray) -> "Evidence":
        """Returns that of the rows at `positions`."""
        return Evidence(self.tails[positions], self.which_pair[positions], self.outside[positions])

    def join(self, other: "Evidence") -> "Evidence":
        """Returns both, one after the other."""
        pairs = zip(self.arrays(), other.arrays(), strict=True)
        return Evidence(*(np.concatenate(both) for both in pairs))

    def arrays(self) -> tuple[np.ndarray, ...]:
        """Returns its arrays, in the order of its attributes."""
        return self.tails, self.which_pair, self.outside


@dataclass(frozen=True)
class RowEvidence:
    """Reads any rows of the candidate; fitted on the samples of both sides.

    Attributes:
      columns: The encoded columns.
      embedding: Rows as points.
      norms: What is ordinary in the reference.
      ratios: One density-ratio model for each fold.
      near: The candidate's rows that near copies are looked for among, of rows that are not in its sample.
      scales: Tail scale of each reading but the last two, which are of the file and not of the row.
      null: float `[m, len(EVIDENCE)]`, evidence of the reference's rows, as if they were ordinary candidate rows.
      stretches: Those beyond chance.
      scanned: For the candidate's sample rows, evidence of either kind of stretch, float `[n, 2]`.
      rows: int64 `[n]`, the sample's row numbers, ascending.
      far_enough: Sum of quick evidence below which nothing closer is read (very large files only).
      sample: Evidence against the candidate's sample; None only while it is gathered.
    """

    columns: Columns
    embedding: Embedding
    norms: Norms
    ratios: tuple[DensityRatio, ...]
    near: NearCopies
    scales: tuple[TailScale, ...]
    null: np.ndarray
    stretches: tuple[Stretch, ...]
    scanned: np.ndarray
    rows: np.ndarray
    far_enough: float
    sample: Evidence | None = None

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
        seed: int,
        threads: int = 1,
        norms: Norms | None = None,
    ) -> "RowEvidence":
        """Fits to the two samples; `norms`, where given, are the reference's.

        Args:
          candidate: Its sample, at least 4 rows, in the order of the file.
          reference: Its sample, at least 8 rows.
          columns: The encoded columns.
          embedding: As both samples' points were made with.
          num_rows: Rows in the whole candidate.
          reference_rows: Points that distances are measured to, half of the reference at most.
          max_distance_rows: Rows of the candidate that are worth a closer look.
          seed: Of whatever is drawn.
          threads: Pieces of it at a time.
          norms: Fitted before to the same reference.
        """
        rng = np.random.default_rng([seed, 11])
        reference_rows = min(reference_rows, max(4, len(reference) // 2))
        norms = norms or Norms.fit(reference, columns, reference_rows, seed, threads)
        folds = [_drawn(candidate, reference, fold, rng) for fold in range(FOLDS)]
        ratios = tuple(each(lambda drawn: fit_density_ratio(*drawn), folds, threads))
        base = norms.rows
        nulls = _readings(_log_ratio(ratios, base.codes, base.rows), norms.quick, norms.closer)
        scales = [TailScale.fit(null) for null in nulls.T]
        tails = [scale(null) for scale, null in zip(scales, nulls.T, strict=True)]
        own_quick = norms.read(Coded(candidate.codes, candidate.values), candidate.rows)
        own_closer = norms.read_closer(candidate, threads)
        ratio = _log_ratio(ratios, candidate.codes, candidate.rows)
        own = _readings(ratio, own_quick, own_closer)
        telling = [
            EVIDENCE.index(name) for name in ("ratio", "dependence", "pair", "distance", "surprise", "local", "grain")
        ]
        points = slice(0, _SCANNED_POINTS)
        views = [
            (own[:, telling], nulls[:, telling]),
            (
                np.column_stack([own[:, telling], own_closer.cells, candidate.features[:, points]]),
                np.column_stack([nulls[:, telling], norms.closer.cells, base.features[:, points]]),
            ),
        ]
        quick = _quick_tails(scales, ratio, own_quick)
        far_enough = -np.inf
        if num_rows > max_distance_rows:
            far_enough = float(np.quantile(quick.sum(axis=1), 1.0 - max_distance_rows / num_rows))
        outside = _outside(candidate.codes, columns)
        looked = _looked(quick, outside, far_enough)
        scan_draws = rng.spawn(len(views))
        with workers(threads) as pool:
            nearness = pool.submit(_nearness, candidate, looked, reference, columns, 2 * reference_rows)
            # Nothing is told of stretches where the file's order is not known, or where there is hardly a stretch.
            along = [pool.submit(scan, whitened(*view), draw) for view, draw in zip(views, scan_draws, strict=True)]
            near, own_near = nearness.result()
            scans = [found.result() for found in along]
        # Closeness and stretches are not read of the reference's rows: their null readings go to rows by chance.
        null = near.null if len(near.null) else np.zeros(1)
        scales.append(TailScale.fit(null))
        tails.append(scales[-1](rng.choice(null, len(base))))
        for found in scans:
            tails.append(found.surprise(rng.choice(found.null if len(found.null) else np.zeros(1), len(base))))
        result = cls(
            columns=columns,
            embedding=embedding,
            norms=norms,
            ratios=ratios,
            near=near,
            scales=tuple(scales),
            null=np.column_stack(tails),
            stretches=find_stretches(scans, candidate, columns, embedding),
            scanned=np.column_stack([found.surprise(found.evidence) for found in scans]),
            rows=candidate.rows,
            far_enough=far_enough,
        )
        sample = result._gather(quick, looked, own_closer.take(looked), own_near, candidate.rows)
        if num_rows > _LONG * len(candidate):
            near = near.thinned(_EARLIER_ROWS)
        return replace(result, near=near, sample=Evidence(sample, own_quick.which_pair, outside))

    def read(self, coded: Coded, rows: np.ndarray) -> Evidence:
        """Returns the evidence against candidate rows with the numbers `rows` (int64 `[n]`, ascending)."""
        if self.sample is None:
            return self._read(coded, rows, np.zeros(0, np.int64))
        # The sample was read when this was fitted; of a short file it is every row.
        known, place = self._sampled(rows)
        if len(known) == len(rows):
            return self.sample.take(place)
        found = self._read(coded, rows, known)
        for array, of_sample in zip(found.arrays(), self.sample.arrays(), strict=True):
            array[known] = of_sample[place]
        return found

    def _sampled(self, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Returns the positions of the rows that are in the sample, and where in it they are."""
        first, end = np.searchsorted(self.rows, rows[[0, -1]] + [0, 1]) if len(rows) else (0, 0)
        at = np.searchsorted(rows, self.rows[first:end])
        found = np.flatnonzero(rows[at] == self.rows[first:end])
        return at[found], first + found

    def _read(self, coded: Coded, rows: np.ndarray, known: np.ndarray) -> Evidence:
        """Reads rows, but those at the positions `known` no closer."""
        quick = self.norms.read(coded, rows)
        tails = _quick_tails(self.scales, self.log_ratio(coded.codes, rows), quick)
        outside = _outside(coded.codes, self.columns)
        looked = np.setdiff1d(_looked(tails, outside, self.far_enough), known, assume_unique=True)
        side = Side.of(coded.take(looked), self.embedding, rows[looked])
        closer = self.norms.read_closer(side)
        near = self.near.read(side) if len(looked) else np.zeros(0)
        return Evidence(self._gather(tails, looked, closer, near, rows), quick.which_pair, outside)

    def _gather(
        self, quick: np.ndarray, looked: np.ndarray, closer: Closer, near: np.ndarray, rows: np.ndarray
    ) -> np.ndarray:
        """Returns all tails of `rows`, of which those at `looked` were read closer, nearness too."""
        # By reading, as it is written here and judged.
        tails = np.zeros((len(rows), len(EVIDENCE)), order="F")
        tails[:, :QUICK] = quick
        if len(looked):
            for i, reading in enumerate(_closer_readings(closer).T, QUICK):
                tails[looked, i] = self.scales[i](reading)
            i = EVIDENCE.index("near")
            # The more rows there are to be near to, the nearer is the nearest by chance.
            crowding = np.log10(self.near.crowding)
            tails[looked, i] = np.maximum(self.scales[i](near) - crowding, 0.0)
        tails[:, -2:] = self._along(rows)
        return tails

    def log_ratio(self, codes: np.ndarray, rows: np.ndarray) -> np.ndarray:
        """Returns log p(candidate) / p(reference) of each row by the model that did not see its fold, `[n]`."""
        return _log_ratio(self.ratios, codes, rows)

    def _along(self, rows: np.ndarray) -> np.ndarray:
        """Returns the evidence of stretches for rows by their numbers, float `[n, 2]`."""
        result = np.zeros((len(rows), 2))
        for stretch in self.stretches:
            part = slice(*np.searchsorted(rows, [stretch.start, stretch.end]))
            result[part] = np.maximum(result[part], stretch.evidence)
        # What was scanned itself is known better.
        known, place = self._sampled(rows)
        result[known] = self.scanned[place]
        return result


def _outside(codes: np.ndarray, columns: Columns) -> np.ndarray:
    """Returns the rows with a number beyond the reference's range or a category it never has, bool `[n]`."""
    found = np.zeros(len(codes), bool)
    for j, last in enumerate(columns.num_codes - 1):
        if columns.numeric[j]:
            found |= codes[:, j] == 1
        if columns.numeric[j] or not columns.ordinal[j]:
            found |= codes[:, j] == last
    return found


def _looked(tails: np.ndarray, outside: np.ndarray, far_enough: float) -> np.ndarray:
    """Returns the positions of the rows that are read closer."""
    return np.flatnonzero((tails.sum(axis=1) >= far_enough) | outside)


def _nearness(
    candidate: Side, looked: np.ndarray, reference: Side, columns: Columns, max_rows: int
) -> tuple[NearCopies, np.ndarray]:
    """Returns what near copies are looked for among, and how near the rows `looked` at of the sample are to another."""
    near = NearCopies.fit(candidate, reference, columns, max_rows)
    return near, near.read(candidate.take(looked))


def _quick_tails(scales: Sequence[TailScale], ratio: np.ndarray, quick: Quick) -> np.ndarray:
    readings = zip(scales[:QUICK], _quick_readings(ratio, quick), strict=True)
    return np.array([scale(reading) for scale, reading in readings]).T


def _quick_readings(ratio: np.ndarray, quick: Quick) -> tuple[np.ndarray, ...]:
    return ratio, quick.dependence, quick.pair, quick.outermost, quick.outers


def _closer_readings(closer: Closer) -> np.ndarray:
    cells = closer.cells if closer.cells.shape[1] > 1 else np.column_stack([closer.cells, np.zeros(len(closer.cells))])
    top = np.partition(cells, -2, axis=1)
    return np.column_stack(
        [closer.distance, closer.surprise, top[:, -1], top[:, -2], closer.far, closer.local, closer.grain]
    )


def _readings(ratio: np.ndarray, quick: Quick, closer: Closer) -> np.ndarray:
    return np.column_stack([*_quick_readings(ratio, quick), _closer_readings(closer)])


def _drawn(candidate: Side, reference: Side, fold: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Returns what the density ratio of a fold is fitted to: codes of both sides' other rows."""
    parts = []
    for side in (candidate, reference):
        others = np.flatnonzero(fold_of(side.rows) != fold)
        parts.append(side.codes[np.sort(rng.permutation(others)[:_FIT_ROWS])])
    return parts[0], parts[1]


def _log_ratio(ratios: tuple[DensityRatio, ...], codes: np.ndarray, rows: np.ndarray) -> np.ndarray:
    folds = fold_of(rows)
    result = np.empty(len(codes))
    for fold, ratio in enumerate(ratios):
        mine = np.flatnonzero(folds == fold)
        if len(mine):
            result[mine] = ratio.log_ratio(codes[mine])
    return result
