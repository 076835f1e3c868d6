"""What a candidate shows by itself: measurements for a verdict where there are no real rows to compare with.

Each metric is comparable between datasets without a null. What depends on the columns' own distributions is taken
beside the same columns with their rows shuffled apart, which is what independence would give; the rest is a share or a
ratio. Real tables hold a few columns that others nearly decide, combinations that never occur, and tails far beyond
the core; generators wear these off first, and their output becomes even. None of it is proof: a table may be dull by
nature, and a head on these metrics is to answer `review` more often than one with a reference.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.special import gammaln

from vr.detector.inputs import Inputs
from vr.detector.metric import Feature, MetricSpec
from vr.stats.coverage import nearest_distances
from vr.stats.dependence import coarsen_codes, pair_tables
from vr.stats.divergences import normal_scores
from vr.stats.entropy import vendi_order2
from vr.stats.patterns import pattern_ids
from vr.stats.predictability import fit_column_basis, predictability

__all__ = ["METRICS", "Settings", "measure"]

_LONGEST_TAIL = 1e3  # interquartile ranges; as much where half of a column is one value


@dataclass(frozen=True)
class Settings:
    """What is measured how finely."""

    max_rows: int = 1_500  # rows read; extremes and rare patterns depend on their number
    min_rows: int = 50
    duplicate_rows: int = 150  # rows among which repeats are expected, whatever the length of the file
    pair_codes: int = 8  # codes a column keeps in a pair
    min_expected: float = 4.0  # rows that independence expects where none at all means something
    num_triples: int = 16
    triple_codes: int = 6
    point_codes: int = 12  # coordinates of a nominal column
    ridge: float = 2.0
    min_values: int = 10  # distinct values from which a column has tails


METRICS: dict[str, MetricSpec] = {
    "reference_free.least_unexplained": MetricSpec(
        "Least unexplained share",
        "Log of the share of its variance that the best predicted column keeps to itself, out of fold.",
        floor=0.1,
    ),
    "reference_free.predictability_spread": MetricSpec(
        "Spread of predictability",
        "Standard deviation over columns of the out-of-fold R^2 of predicting each from the others.",
        floor=0.02,
        higher_is_worse=False,
    ),
    "reference_free.joint_diversity": MetricSpec(
        "Joint diversity",
        "Log of the order-2 Vendi score over that of the shuffled columns.",
        floor=0.02,
    ),
    "reference_free.strongest_pair": MetricSpec(
        "Strongest pair",
        "Log of the largest squared contingency coefficient of a pair of columns, above its bias.",
        floor=0.1,
        higher_is_worse=False,
    ),
    "reference_free.empty_combinations": MetricSpec(
        "Empty combinations",
        "Largest share of rows, over pairs of columns, that independence expects in combinations that never occur.",
        floor=0.01,
        higher_is_worse=False,
    ),
    "reference_free.missing_mass": MetricSpec(
        "Missing mass of triples",
        "Log of Good and Turing's unseen share of joint patterns in three columns over that of the shuffled columns.",
        floor=0.05,
        higher_is_worse=False,
    ),
    "reference_free.outlying_rows": MetricSpec(
        "Outlying rows",
        "Share of rows twice as far from their fifth neighbour as the median row, less that of the shuffled columns.",
        floor=0.01,
    ),
    "reference_free.near_duplicates": MetricSpec(
        "Near duplicates",
        "Share of rows at less than half the distance to their nearest neighbour that they have to their second, less "
        "that of the shuffled columns.",
        floor=0.01,
    ),
    "reference_free.duplicates": MetricSpec(
        "Duplicates",
        "Share of repeats expected among 150 of the rows, less that of the shuffled columns.",
        floor=0.01,
    ),
    "reference_free.tail_length": MetricSpec(
        "Length of tails",
        "Mean over numeric columns of log(1 + range / interquartile range), a thousand at most.",
        floor=0.05,
        higher_is_worse=False,
    ),
}


def measure(inputs: Inputs, settings: Settings = Settings()) -> dict[str, Feature]:
    """Returns every metric of the candidate's sample by qualified name; nothing of a reference is read.

    At most `max_rows` rows are read, drawn with the inputs' seed; what cannot be measured says why.
    """
    table = _table(inputs, settings)
    if len(table.codes) < settings.min_rows:
        reason = f"{len(table.codes)} rows are too few: {settings.min_rows} are needed"
        return {name: Feature.missing(reason) for name in METRICS}
    if table.codes.shape[1] < 2:
        return {name: Feature.missing("fewer than two columns vary") for name in METRICS}
    found: dict[str, float] = {}
    for part in _PARTS:
        found |= part(table)
    reason = f"no numeric column has {settings.min_values} values"
    return {
        name: Feature(float(found[short])) if np.isfinite(found[short]) else Feature.missing(reason)
        for name, short in ((name, name.partition(".")[2]) for name in METRICS)
    }


@dataclass(frozen=True)
class _Table:
    """The columns that vary: `codes` uint16 `[n, d]`, `values` float64 `[n, d]`, `order` int64 `[n, d]`.

    `order` holds a random order of the rows for each column, which takes the columns apart.
    """

    codes: np.ndarray
    values: np.ndarray
    num_codes: np.ndarray
    ordinal: np.ndarray
    order: np.ndarray
    seed: int
    settings: Settings

    def apart(self, x: np.ndarray) -> np.ndarray:
        """Returns `[n, d]` cells with every column in its own order."""
        return np.take_along_axis(x, self.order, axis=0)

    @cached_property
    def points(self) -> tuple[np.ndarray, np.ndarray]:
        """The rows as points, and those of the shuffled columns: normal scores and one-hot codes of variance 1."""
        blocks = [self._block(j) for j in range(self.codes.shape[1])]
        apart = [block[self.order[:, j]] for j, block in enumerate(blocks)]
        return np.concatenate(blocks, axis=1), np.concatenate(apart, axis=1)

    def _block(self, j: int) -> np.ndarray:
        if self.ordinal[j]:
            x = self.values[:, j]
            present = np.isfinite(x)
            # A null lies below everything; a column without numbers is ordered by its codes.
            x = np.where(present, x, x[present].min() - 1.0) if present.any() else self.codes[:, j].astype(float)
            block = normal_scores(x[:, None])
        else:
            codes, (width,) = coarsen_codes(self.codes[:, [j]], self.num_codes[[j]], None, self.settings.point_codes)
            block = np.eye(int(width))[codes[:, 0]]
        block = block - block.mean(axis=0)
        # A nearly constant column must not be blown up without bound.
        return block / max(0.2, float(np.sqrt(block.var(axis=0).sum())))


def _table(inputs: Inputs, settings: Settings) -> _Table:
    rng = np.random.default_rng([inputs.seed, 10])
    side, pairs = inputs.candidate, inputs.pair_columns
    if len(side) > settings.max_rows:
        side = side.take(np.sort(rng.permutation(len(side))[: settings.max_rows]))
    codes = side.codes[:, pairs]
    varies = np.flatnonzero((codes != codes[:1]).any(axis=0)) if len(codes) else np.empty(0, int)
    kept = pairs[varies]
    order = np.argsort(rng.random((len(side), len(kept))), axis=0)
    columns = inputs.columns
    return _Table(
        side.codes[:, kept],
        side.values[:, kept],
        columns.num_codes[kept],
        columns.ordinal[kept],
        order,
        inputs.seed,
        settings,
    )


def _predictability(table: _Table) -> dict[str, float]:
    # The folds go by row number, which must not be the file's order.
    codes = table.codes[np.random.default_rng([table.seed, 11]).permutation(len(table.codes))]
    basis = fit_column_basis(codes, table.ordinal, table.num_codes)
    features = basis.transform(codes)
    # A code that either fold lacks can be neither learnt nor judged.
    kept = np.minimum(features[::2].std(axis=0), features[1::2].std(axis=0)) > 1e-9
    groups, targets = basis.groups[kept], basis.targets[kept]
    scores = predictability(features[:, kept], groups, targets, ridge=table.settings.ridge)
    scores = np.clip(np.nan_to_num(scores), 0.0, 1.0)
    return {
        "least_unexplained": np.log(1.01 - scores.max()),
        "predictability_spread": scores.std(),
    }


def _variety(table: _Table) -> dict[str, float]:
    points, apart = table.points
    return {"joint_diversity": np.log(vendi_order2(points) / vendi_order2(apart))}


def _pairs(table: _Table) -> dict[str, float]:
    ordinal, settings = table.ordinal, table.settings
    codes, num_codes = coarsen_codes(table.codes, table.num_codes, ordinal, settings.pair_codes)
    strength, empty = 0.0, 0.0
    for _, counts in pair_tables(codes, num_codes):
        expected = counts.sum(axis=2)[:, :, None] * counts.sum(axis=1)[:, None, :] / len(codes)
        counted = expected >= settings.min_expected
        # Every counted cell adds about 1 to chi-squared where columns are independent.
        surplus = np.square(counts - expected) / np.maximum(expected, 1e-9) - 1.0
        strength = max(strength, float((surplus * counted).sum(axis=(1, 2)).max()))
        empty = max(empty, float((expected * (counted & (counts == 0))).sum(axis=(1, 2)).max()))
    return {"strongest_pair": np.log(strength / len(codes) + 0.01), "empty_combinations": empty / len(codes)}


def _triples(table: _Table) -> dict[str, float]:
    settings, (num_rows, num_columns) = table.settings, table.codes.shape
    rng = np.random.default_rng([table.seed, 12])
    codes, num_codes = coarsen_codes(table.codes, table.num_codes, table.ordinal, settings.triple_codes)
    triples = [rng.choice(num_columns, min(3, num_columns), replace=False) for _ in range(settings.num_triples)]

    def unseen(x: np.ndarray) -> float:
        counts = [np.unique(pattern_ids(x, triple, num_codes), return_counts=True)[1] for triple in triples]
        return float(np.mean([np.sum(each == 1) for each in counts]) / num_rows)

    return {"missing_mass": np.log((unseen(codes) + 1e-3) / (unseen(table.apart(codes)) + 1e-3))}


def _neighbours(table: _Table) -> dict[str, float]:
    def of(points: np.ndarray) -> np.ndarray:
        near = nearest_distances(points, points, 5, exclude_self=True)
        # A single exact copy counts as near; three or more are 0 apart from each other and do not.
        close = (near[:, 0] < 0.5 * near[:, 1]).mean()
        return np.array([close, (near[:, 4] > 2.0 * np.median(near[:, 4])).mean()])

    close, far = np.subtract(*map(of, table.points))
    return {"near_duplicates": close, "outlying_rows": far}


def _duplicates(table: _Table) -> dict[str, float]:
    cells = np.where(np.isfinite(table.values), table.values, table.codes)
    rows = table.settings.duplicate_rows
    return {"duplicates": _repeats(cells, rows) - _repeats(table.apart(cells), rows)}


def _repeats(cells: np.ndarray, rows: int) -> float:
    """Returns the share of repeats expected among `rows` rows drawn without replacement (Hurlbert's rarefaction)."""
    counts = np.unique(cells, axis=0, return_counts=True)[1]
    n, m = len(cells), min(rows, len(cells))

    def log_ways(total: np.ndarray | int) -> np.ndarray:
        return gammaln(np.asarray(total) + 1.0) - gammaln(np.asarray(total) - m + 1.0)

    left = np.maximum(n - counts, m)
    absent = np.where(n - counts >= m, np.exp(log_ways(left) - log_ways(n)), 0.0)
    return 1.0 - float((1.0 - absent).sum()) / m


def _tails(table: _Table) -> dict[str, float]:
    lengths = []
    for x in table.values.T:
        x = x[np.isfinite(x)]
        if len(np.unique(x)) >= table.settings.min_values:
            low, high = np.quantile(x, [0.25, 0.75])
            # Halves, since the range of the largest numbers overflows.
            core, whole = high / 2.0 - low / 2.0, x.max() / 2.0 - x.min() / 2.0
            lengths.append(np.log1p(min(whole / core, _LONGEST_TAIL) if core > 0 else _LONGEST_TAIL))
    return {"tail_length": float(np.mean(lengths)) if lengths else float("nan")}


_PARTS: tuple[Callable[[_Table], dict[str, float]], ...] = (
    _predictability,
    _variety,
    _pairs,
    _triples,
    _neighbours,
    _duplicates,
    _tails,
)
