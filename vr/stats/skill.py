"""How much of the skill that real rows teach is lost by learning from other rows: randomised trees, a forest a column.

Every column is predicted from all others, on real rows that neither forest was fitted to:

    lost = sum_j w_j (L_candidate,j - L_real,j) / L_mean,j  /  sum_j w_j (L_mean,j - L_real,j) / L_mean,j

over the columns with skill to lose. The quotient of the sums, and not the mean of quotients: on a few hundred rows a
column's own skill is hardly known, and dividing by it one by one lets the least predictable column decide. A column
counts for less, w_j, the further apart forests of different real rows are at it: where a few rows make up most of its
variance, any other rows teach something else. Columns that somebody named, since they are to be predicted, are few, get
larger forests, and count alike.

References:
  Esteban et al. 2017 (arXiv 1706.02633) for training on synthetic and testing on real rows; Geurts, Ernst and Wehenkel
  2006, Extremely randomized trees; DerSimonian and Laird 1986 for weights by a variance of its own and a common one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from vr.core.workers import each
from vr.stats.forests import grow_forest
from vr.stats.predictability import ColumnBasis, fit_column_basis, predictability

__all__ = ["SkillLost", "SkillTest", "prepare_skill_test"]

_TREES, _DRAWS = 12, 2  # of a forest; forests of a candidate, on other rows where there are more than one takes
_TREES_OF_TARGETS, _DRAWS_OF_TARGETS = 24, 3
_LEAF_ROWS = 3
_MOST_COLUMNS = 10
_MOST_FOLDS = 5
_MIN_SKILL = 0.05  # share of the mean's loss that real rows must save on a column for its loss of skill to count
_COMMON = 0.05  # spread of a column's R2 lost, by other real rows, at which it counts half
_MIN_ROWS = 40


@dataclass(frozen=True)
class SkillLost:
    """What a candidate fails to teach.

    Attributes:
      share: Of the skill; 0 none, 1 all of it, above 1 where predicting the mean would be better, below 0 where the
        candidate teaches more. 0 where no column can be predicted from real rows: there is nothing to lose.
      spread: Its standard deviation over the candidate's draws.
      shares: Of each draw by itself.
      by_column: float `[p]`, R2 lost on each of the test's columns.
    """

    share: float
    spread: float
    shares: tuple[float, ...]
    by_column: np.ndarray


@dataclass(frozen=True)
class SkillTest:
    """Real rows made ready to judge what other rows teach.

    Attributes:
      codes: Unsigned `[n, d]`, the real rows.
      rows: int `[n]`, their positions among the rows that were given.
      basis: Of their columns.
      columns: int `[p]`, those that are predicted.
      train_rows: Rows that every forest is fitted to, of either arm.
      losses: float `[p]`, mean squared error of forests fitted to real rows, judged on other folds.
      prior: float `[p]`, that of predicting the mean.
      weights: float `[p]`, in (0, 1], how much a column counts; 1 of named ones.
      null_std: Standard deviation of a share lost by real rows, see `prepare_skill_test`; its mean is 0.
      null_by_column: float `[p]`, the same of a column's R2 lost.
      seed: Of the draws and trees.
      num_folds: That real rows are judged by.
      hidden: Of named columns, each with all that no forest may see of it: itself, and what is made of the same one.
    """

    codes: np.ndarray
    rows: np.ndarray
    basis: ColumnBasis
    columns: np.ndarray
    train_rows: int
    losses: np.ndarray
    prior: np.ndarray
    weights: np.ndarray
    null_std: float
    null_by_column: np.ndarray
    seed: int
    num_folds: int
    hidden: Mapping[int, Sequence[int]] = field(default_factory=dict)

    @property
    def of_targets(self) -> bool:
        """Whether the columns are those that somebody named."""
        return bool(self.hidden)

    @property
    def skill(self) -> np.ndarray:
        """R2 of forests that learn from real rows, on each column, float `[p]`."""
        return _skill(self.losses, self.prior)

    @property
    def can_lose(self) -> np.ndarray:
        """Which columns have enough skill for a loss of it to count, bool `[p]`."""
        return self.skill >= _MIN_SKILL

    def lost(self, codes: np.ndarray, threads: int = 1, num_draws: int | None = None, first: int = 0) -> SkillLost:
        """Returns what is lost by learning from `codes`, unsigned `[m, d]`, instead of from as many real rows.

        Args:
          codes: The candidate's rows; `train_rows` of them are drawn, all where there are fewer.
          threads: Columns at a time.
          num_draws: Forests of each column, on rows drawn anew; two by default, three of named columns.
          first: Which draw is the first.
        """
        if num_draws is None:
            num_draws = _DRAWS_OF_TARGETS if self.of_targets else _DRAWS
        draws = [
            np.random.default_rng([self.seed, 3, i]).permutation(len(codes))[: self.train_rows]
            for i in range(first, first + num_draws)
        ]

        drawn, judges = [codes[rows] for rows in draws], self._judges

        def learnt(j: int) -> list[float]:
            pairs = enumerate(drawn, start=self.seed + first)
            return [_loss(self.basis, rows, judges[j], j, seed, self.hidden) for seed, rows in pairs]

        gaps = np.array(each(learnt, self.columns.tolist(), threads)).reshape(-1, num_draws) - self.losses[:, None]
        shares = tuple(self._share(gap) for gap in gaps.T)
        by_column = _per_prior(gaps.mean(axis=1), self.prior)
        return SkillLost(float(np.mean(shares)), float(np.std(shares)), shares, by_column)

    def lost_in_mix(
        self,
        codes: np.ndarray,
        real_share: float,
        threads: int = 1,
        draw: int = 0,
        some: Sequence[tuple[float, np.ndarray]] = (),
    ) -> float:
        """Returns the share of skill lost by learning from a mix of `codes` and real rows.

        Each fold is judged by forests that are fitted to candidate rows and to real rows of the other folds, so that no
        row judges what it taught.

        Args:
          codes: The candidate's rows, unsigned `[m, d]`, m at least 1.
          real_share: Of real rows in the mix, 0 to 1.
          threads: Columns at a time.
          draw: Other ones take other rows of both sides.
          some: Shares of the mix, beside `real_share`, that are real rows out of some alone, bool `[n]`.
        """
        fold = _folds(len(self.codes), self.num_folds, self.seed)
        num_real = round(real_share * self.train_rows)
        train, test = [], []
        for k in range(self.num_folds):
            rng = np.random.default_rng([self.seed, 4, k, draw] if draw else [self.seed, 4, k])
            made = rng.permutation(len(codes))
            rest = rng.permutation(np.flatnonzero(fold != k))
            real, rest = rest[:num_real], rest[num_real:]
            picked = [rest[among[rest]][: round(share * self.train_rows)] for share, among in some]
            real = np.concatenate([real, *picked])
            made = made[: self.train_rows - len(real)]
            train.append(np.concatenate([codes[made], self.codes[real]]))
            test.append(self.codes[fold == k])

        def learnt(j: int) -> float:
            judges = [_posed(self.basis, rows, j, self.hidden) for rows in test]
            pairs = zip(train, judges, strict=True)
            return float(np.mean([_loss(self.basis, x, judge, j, self.seed, self.hidden) for x, judge in pairs]))

        return self._share(np.array(each(learnt, self.columns.tolist(), threads)) - self.losses)

    @cached_property
    def _judges(self) -> "dict[int, _Posed]":
        return {j: _posed(self.basis, self.codes, j, self.hidden) for j in self.columns.tolist()}

    def _share(self, gap: np.ndarray) -> float:
        return _share(gap, self.losses, self.prior, self.weights)


def prepare_skill_test(
    codes: np.ndarray,
    ordinal: np.ndarray,
    num_codes: np.ndarray,
    train_rows: int,
    seed: int,
    most_rows: int = 2_000,
    threads: int = 1,
    targets: Mapping[int, Sequence[int]] | None = None,
) -> SkillTest | None:
    """Fits the forests of the real rows, by folds, and the null.

    The null lets two halves of a fold's training rows teach, one against the other. They are half as many rows as a
    forest gets otherwise, which widens it; the candidate's own draw of rows is not in it.

    Args:
      codes: Unsigned `[n, d]`, real rows in any order.
      ordinal: bool `[d]`.
      num_codes: `[d]`.
      train_rows: Rows that the candidate has; a forest is fitted to as many, where the folds leave as many.
      seed: Of the draws and trees.
      most_rows: Real rows that are used, and twice what a forest is fitted to at most.
      threads: Columns at a time.
      targets: Columns that are to be predicted, each with those that are made of the same one, as a date's month is of
        the date, itself among them; by default the ten columns that a ridge model predicts best.

    Returns:
      None where there are fewer than 40 rows on a side, or fewer than two columns that vary.
    """
    num_rows = min(len(codes), most_rows)
    if min(num_rows, train_rows) < _MIN_ROWS:
        return None
    rows = np.random.default_rng([seed, 0]).permutation(len(codes))[:num_rows]
    codes = codes[rows]
    basis = fit_column_basis(codes, ordinal, num_codes)
    columns, hidden = _predictable(basis, codes), targets or {}
    if len(columns) < 2:
        return None
    if hidden:
        columns = np.array(sorted(hidden))
    wanted = min(train_rows, most_rows // 2)
    # As few folds as leave as many rows to train on as the candidate has.
    folds = next((k for k in range(2, _MOST_FOLDS) if num_rows - -(-num_rows // k) >= wanted), _MOST_FOLDS)
    size = min(wanted, num_rows - -(-num_rows // folds))
    fold = _folds(num_rows, folds, seed)
    rest = [np.random.default_rng([seed, 2, k]).permutation(np.flatnonzero(fold != k))[:size] for k in range(folds)]

    def arms(j: int) -> list[list[float]]:
        """By fold: the loss of the forest, of the mean, and of forests on either half of the rows."""
        found = []
        for k, train in enumerate(rest):
            test, halves = codes[fold == k], (train[: size // 2], train[size // 2 :])
            mean = _mean_of(*_target(basis, codes[train], j))
            judge = _posed(basis, test, j, hidden)
            first, second = (_loss(basis, codes[half], judge, j, seed, hidden) for half in halves)
            whole = _loss(basis, codes[train], judge, j, seed, hidden)
            found.append([whole, _squared_error(mean[None, :], judge.target, judge.num_classes), first, second])
        return found

    found = np.array(each(arms, columns.tolist(), threads))
    losses, prior = found[:, :, 0].mean(axis=1), found[:, :, 1].mean(axis=1)
    gaps = found[:, :, 3] - found[:, :, 2]
    # Root mean squares, as the mean is known to be 0; over folds, which judge by other rows, so that their mean varies
    # less than each.
    squares = np.array([_per_prior(gap, prior) ** 2 for gap in gaps.T])
    null_by_column = np.sqrt(squares.mean(axis=0) / folds)

    def weigh(squares: np.ndarray) -> np.ndarray:
        return np.ones(len(columns)) if hidden else 1.0 / (1.0 + squares.mean(axis=0) / folds / _COMMON**2)

    # A fold whose gaps are large has small weights by its own: those of the others are as a candidate meets them.
    others = [weigh(np.delete(squares, k, axis=0)) for k in range(folds)]
    null = np.array([_share(gap, losses, prior, w) for gap, w in zip(gaps.T, others, strict=True)])
    return SkillTest(
        codes=codes,
        rows=rows,
        basis=basis,
        columns=columns,
        train_rows=size,
        losses=losses,
        prior=prior,
        weights=weigh(squares),
        null_std=float(np.sqrt(np.mean(null**2) / folds)),
        null_by_column=null_by_column,
        seed=seed,
        num_folds=folds,
        hidden=hidden,
    )


def _folds(num_rows: int, num_folds: int, seed: int) -> np.ndarray:
    """Returns the fold of each real row, int `[n]`."""
    return np.random.default_rng([seed, 1]).permutation(num_rows) % num_folds


def _predictable(basis: ColumnBasis, codes: np.ndarray) -> np.ndarray:
    """Returns the columns that a ridge model predicts best, at most ten of those that vary, in order."""
    r2 = predictability(basis.transform(codes), basis.groups, basis.targets)
    known = np.flatnonzero(np.isfinite(r2))
    return np.sort(known[np.argsort(-r2[known], kind="stable")[:_MOST_COLUMNS]])


def _share(gap: np.ndarray, losses: np.ndarray, prior: np.ndarray, weights: np.ndarray) -> float:
    skill = _skill(losses, prior)
    counts = np.where(skill >= _MIN_SKILL, weights, 0.0)
    return float(counts @ _per_prior(gap, prior) / (counts @ skill)) if counts.any() else 0.0


def _skill(losses: np.ndarray, prior: np.ndarray) -> np.ndarray:
    return _per_prior(prior - losses, prior)


def _per_prior(values: np.ndarray, prior: np.ndarray) -> np.ndarray:
    return np.divide(values, prior, out=np.zeros(len(prior)), where=prior > 0)


def _target(basis: ColumnBasis, codes: np.ndarray, column: int) -> tuple[np.ndarray, int | None]:
    """Returns what is predicted of a column, `[n]`: its rank and None, or its category and how many there are."""
    table = basis.tables[column][:, basis.targets[basis.groups == column]]
    seen = np.minimum(codes[:, column], len(table) - 1)
    return (table[seen, 0], None) if table.shape[1] == 1 else (table.argmax(axis=1)[seen], table.shape[1])


def _mean_of(target: np.ndarray, num_classes: int | None) -> np.ndarray:
    """Returns what predicts a target without looking at a row, float `[q]`."""
    if num_classes is None:
        return target.mean(keepdims=True)
    return np.bincount(target, minlength=num_classes) / len(target)


def _squared_error(predicted: np.ndarray, target: np.ndarray, num_classes: int | None) -> float:
    """Returns the mean over rows of the squared distance between float `[n, q]` and the rank, or the indicators."""
    if num_classes is None:
        return float(np.mean((predicted[:, 0] - target) ** 2))
    of_seen = np.broadcast_to(predicted, (len(target), num_classes))[np.arange(len(target)), target]
    return float(np.mean(np.sum(predicted**2, axis=1)) - 2.0 * np.mean(of_seen) + 1.0)


@dataclass(frozen=True)
class _Posed:
    """Rows as they are put to what predicts a column: the codes of the others, and what is predicted."""

    seen: np.ndarray
    target: np.ndarray
    num_classes: int | None


def _posed(basis: ColumnBasis, rows: np.ndarray, column: int, hidden: Mapping[int, Sequence[int]]) -> _Posed:
    return _Posed(np.delete(rows, hidden.get(column, [column]), axis=1), *_target(basis, rows, column))


def _loss(
    basis: ColumnBasis,
    train: np.ndarray,
    judge: _Posed,
    column: int,
    seed: int,
    hidden: Mapping[int, Sequence[int]],
) -> float:
    """Returns the mean squared error, on `judge`, of a forest that predicts a column from the codes of the others."""
    # Of an ordered column trees need the order alone; categories are coded by frequency, and splits take them apart.
    own, trees = _posed(basis, train, column, hidden), _TREES_OF_TARGETS if hidden else _TREES
    forest = grow_forest(own.seen, own.target, seed, trees=trees, leaf_rows=_LEAF_ROWS, num_classes=own.num_classes)
    return _squared_error(forest.predict(judge.seen), judge.target, judge.num_classes)
