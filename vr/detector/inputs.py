"""What the dimensions measure on: both samples, the splits that make the nulls, and the trained cascade."""

from collections.abc import Callable, Hashable, MutableMapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from vr.core.workers import each
from vr.data.codec import Codec, Coded
from vr.data.profile import Profile
from vr.data.schema import ColumnKind
from vr.detector.embedding import Embedding
from vr.detector.metric import Feature
from vr.stats.dependence import rank_correlation
from vr.stats.divergences import histograms

if TYPE_CHECKING:
    from vr.cascade.result import CascadeResult

__all__ = ["Columns", "Inputs", "Side", "Split", "Statistics", "informative_columns"]


@dataclass(frozen=True)
class Columns:
    """The encoded columns: `[d]` arrays."""

    names: tuple[str, ...]
    num_codes: np.ndarray
    ordinal: np.ndarray
    numeric: np.ndarray
    labels: tuple[list[str], ...]
    time: int | None  # the first date column

    @classmethod
    def of(cls, codec: Codec) -> "Columns":
        """Returns the columns of a codec."""
        labels = tuple(encoder.labels for encoder in codec.encoders)
        return cls(tuple(codec.names), codec.num_codes, codec.ordinal, codec.numeric, labels, _first_date(codec))

    def histograms(self, side: "Side") -> np.ndarray:
        """Returns the counts of every code in every column of a side, `int64 [d, K]`, counted once."""
        return side.once(("histograms", self.num_codes.tobytes()), lambda side: histograms(side.codes, self.num_codes))

    @cached_property
    def parts(self) -> dict[int, list[int]]:
        """The positions of each file column's encoded columns, by the first: a date's hour, weekday and month."""
        groups: dict[int, list[int]] = {}
        first = 0
        for j in range(len(self.names)):
            # Only parts of a date have an order without a number; they follow the date itself.
            if not self.ordinal[j] or self.numeric[j]:
                first = j
            groups.setdefault(first, []).append(j)
        return groups


def _first_date(codec: Codec) -> int | None:
    dates = {column.name for column in codec.columns if column.kind is ColumnKind.datetime}
    return next((j for j, encoder in enumerate(codec.encoders) if encoder.name in dates), None)


@dataclass(frozen=True)
class Side:
    """Rows of one dataset.

    Attributes:
      codes: uint16 `[n, d]`.
      values: float64 `[n, d]`, NaN where there is no number.
      features: float32 `[n, p]`, the rows as points (see `Embedding`).
      rows: int64 `[n]`, row numbers in the dataset, ascending for a whole sample.
    """

    codes: np.ndarray
    values: np.ndarray
    features: np.ndarray
    rows: np.ndarray
    _found: dict[Hashable, Any] = field(default_factory=dict, init=False, compare=False, repr=False)

    @classmethod
    def of(cls, coded: Coded, embedding: Embedding, rows: np.ndarray) -> "Side":
        """Returns a side with its points computed."""
        return cls(coded.codes, coded.values, embedding.transform(coded), rows)

    def __len__(self) -> int:
        return len(self.codes)

    def once(self, name: Hashable, make: "Callable[[Side], Any]") -> Any:
        """Returns `make(self)`, made for the first that asks for it by this name; for one thread at a time.

        The name holds all that decides the value beside the rows.
        """
        if name not in self._found:
            self._found[name] = make(self)
        return self._found[name]

    def rank_correlation(self, columns: np.ndarray) -> np.ndarray:
        """Returns that of the codes in some columns, `float64 [p, p]`, computed once."""
        return self.once(("ranks", columns.tobytes()), lambda side: rank_correlation(side.codes[:, columns]))

    def row_keys(self) -> list[bytes]:
        """Returns a key for each row, `[n]`: rows that are equal in every code and number have equal ones."""
        cells = np.ascontiguousarray(
            np.column_stack([self.codes.astype(np.float64), np.nan_to_num(self.values, nan=-1.0)])
        )
        return cells.view(np.dtype((np.void, cells.shape[1] * 8))).ravel().tolist()

    def take(self, positions: np.ndarray) -> "Side":
        """Returns the rows at `positions`."""
        return Side(self.codes[positions], self.values[positions], self.features[positions], self.rows[positions])


def informative_columns(base: Side, columns: Columns, most: int = 48, keep: Sequence[int] = ()) -> np.ndarray:
    """Returns at most `most` columns' positions, in order: those to `keep` and those of greatest entropy in `base`.

    The cost of pairs grows with the square of the columns; 48 make 1,128 pairs.
    """
    if base.codes.shape[1] <= most:
        return np.arange(base.codes.shape[1])
    from vr.stats.entropy import entropy_nats

    entropies = entropy_nats(histograms(base.codes, columns.num_codes))
    entropies[list(keep)] = np.inf
    return np.sort(np.argsort(-entropies, kind="stable")[:most])


@dataclass(frozen=True)
class Split:
    """Three sets of equally many rows: the candidate's, and two disjoint parts of the reference.

    What is measured between `candidate` and `base` is compared with what is measured between `fresh` and `base`.
    """

    candidate: Side
    fresh: Side
    base: Side


# The statistics of one side against a base that was prepared once.
Statistics = Callable[[Side, np.random.Generator], dict[str, float]]


@dataclass(frozen=True)
class Inputs:
    """All that a dimension may read; `reference` and what hangs on it is None without a reference.

    Attributes:
      columns: The encoded columns.
      pair_columns: Positions of those that pair statistics and proxies look at, see `informative_columns`.
      targets: Positions of those that the user wants predicted, all of them among the pair columns; none: all count.
      candidate: The candidate's sample.
      candidate_profile: Its whole-file profile.
      reference: The reference's sample.
      reference_profile: Its whole-file profile.
      splits: At least 8 of equal n; none where there is no reference or too few rows.
      splits_reason: Why there are none.
      cascade: The trained proxies, None where none were trained.
      cascade_reason: Why not.
      seed: Of everything drawn at random here.
      threads: Splits measured at a time.
      nulls: What was measured of the reference alone, by statistic, rows, size and columns. Whoever asks about several
        candidates against one reference, with one seed, passes one mapping, and each null is measured once.
      observed: What was measured of the candidate, split by split or draw by draw, for who measures it again changed.

    What was found of a candidate is shared by all inputs that were made of one another by `replace`.
    """

    columns: Columns
    pair_columns: np.ndarray
    targets: tuple[int, ...]
    candidate: Side
    candidate_profile: Profile
    reference: Side | None
    reference_profile: Profile | None
    splits: tuple[Split, ...]
    splits_reason: str | None
    cascade: "CascadeResult | None"
    cascade_reason: str | None
    seed: int
    threads: int = 1
    nulls: MutableMapping[tuple, Any] = field(default_factory=dict, compare=False, repr=False)
    observed: dict[str, list[dict[str, float]]] = field(default_factory=dict, compare=False, repr=False)
    _shared: dict[str, dict[str, Feature]] = field(default_factory=dict, compare=False, repr=False)
    _found: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def of(
        cls,
        intake: Any,
        cascade: "CascadeResult | None",
        reason: str | None,
        seed: int,
        threads: int,
        nulls: MutableMapping | None = None,
    ) -> "Inputs":
        """Returns the inputs of two datasets taken in (an `Intake` of the pipeline), and what was trained on them."""
        return cls(
            columns=intake.columns,
            pair_columns=intake.pair_columns,
            targets=intake.targets,
            candidate=intake.candidate,
            candidate_profile=intake.candidate_profile,
            reference=intake.reference,
            reference_profile=intake.reference_profile,
            splits=intake.splits,
            splits_reason=intake.splits_reason,
            cascade=cascade,
            cascade_reason=reason,
            seed=seed,
            threads=threads,
            nulls={} if nulls is None else nulls,
        )

    def once(self, name: Hashable, make: Callable[[], Any]) -> Any:
        """Returns `make()`, made for the first that asks for it by this name; a name is for one thread at a time.

        It holds all that decides the value beside the rows.
        """
        if name not in self._found:
            self._found[name] = make()
        return self._found[name]

    def of_reference(self, name: str, make: Callable[[Side], Any], *size: int) -> Any:
        """Returns `make(reference)`, made once for all candidates that share `nulls`, at each `size` it depends on."""
        assert self.reference is not None
        key = name, *size, self.reference.rows.tobytes(), self.columns.names
        if key not in self.nulls:
            self.nulls[key] = make(self.reference)
        return self.nulls[key]

    def compare(self, name: str, against: Callable[[Side], Statistics]) -> dict[str, Feature]:
        """Measures `against(base)(x, rng)` for x the candidate and for x fresh reference rows, over all splits.

        Args:
          name: What the results are kept under: two dimensions that read the same statistics compute them once.
          against: Does what depends on the base alone, once for both.

        Returns:
          A `Feature` for each statistic: mean and spread over splits of both.
        """
        if name not in self._shared:

            def on(index: int) -> tuple[dict[str, float], dict[str, float]]:
                split = self.splits[index]
                key = self._null_key(name, index)
                # The same draws for both, so that projections and folds are no difference between them.
                if key not in self.nulls:
                    prepared = against(split.base)
                    self.nulls[key] = prepared, prepared(split.fresh, self._draws(name, index))
                statistics, null = self.nulls[key]
                return statistics(split.candidate, self._draws(name, index)), null

            results = each(on, range(len(self.splits)), self.threads)
            self.observed[name] = [observed for observed, _ in results]
            self._shared[name] = Feature.of_each(self.observed[name], [null for _, null in results])
        return self._shared[name]

    def change_of(self, metric: str, sides: Sequence[Side], first: int = 0) -> float | None:
        """Returns by how much a metric of `compare` moves where other rows stand in the candidate's place.

        Measured in pairs, split by split, so that the luck of a split is in both and falls out; where the others are
        fewer, against as many of the candidate.

        Args:
          metric: Its name without the dimension's.
          sides: For each of some splits in a row, as many rows as its candidate has, or fewer.
          first: Which split the first of them is for.

        Returns:
          Mean over those splits; None where no comparison that was made has the metric, or it is not defined.
        """
        name = next((name for name, found in self._shared.items() if metric in found), None)
        if name is None:
            return None

        def on(place: int) -> float:
            index, side = first + place, sides[place]
            statistics, _ = self.nulls[self._null_key(name, index)]
            before, split = self.observed[name][index][metric], self.splits[index]
            if len(side) < len(split.candidate):
                before = statistics(split.candidate.take(np.arange(len(side))), self._draws(name, index))[metric]
            return statistics(side, self._draws(name, index))[metric] - before

        changes = np.array(each(on, range(len(sides)), self.threads))
        return float(changes.mean()) if np.isfinite(changes).all() else None

    def _null_key(self, name: str, index: int) -> tuple:
        # What decides a null beside the reference, whose copied rows may have been set aside.
        return name, index, self.splits[index].base.rows.tobytes(), self.columns.names

    def _draws(self, name: str, index: int) -> np.random.Generator:
        return np.random.default_rng([self.seed, index, len(name)])
