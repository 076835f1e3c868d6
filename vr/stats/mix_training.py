"""Skill lost by training on a mix of made and real rows, found by training on it: what a planner of mixes asks.

    lost = sum_t (L_mix - L_real) / L_prior  /  sum_t (L_prior - L_real) / L_prior

over targets t, as `skill` has it for forests on codes; here boosted trees read the values themselves, at every share of
real rows. Each fold of the real rows is judged by trees that learnt from a mix with real rows of the other folds, and
held against trees that learnt from as many real rows of the other folds, so that no row judges what it taught. Both
arms, and all shares, share their rows as far as they can: a mix with more real rows has those of one with fewer.

Numbers are predicted on the scale of the real column's normal scores, with squared error; classes with log-loss.

References:
  Stone 1974, Cross-validatory choice and assessment of statistical predictions.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from vr.core.workers import each
from vr.stats.boosted_models import predict_classes, predict_number

__all__ = ["Learnt", "TrainedMixes", "train_on_mixes"]

_MIN_ROWS = 40
_MOST_ROWS = 2_000  # real rows that are used
_MANY_ROWS = 1_000  # from which fewer folds leave as many rows to learn from as makes no difference
_FOLDS, _FOLDS_OF_MANY = 10, 5
# By up to how many real rows there are, how often they are divided into folds: what few rows say moves with the draw.
_DRAWS = ((400, 8), (600, 4), (_MOST_ROWS, 2))
_MIN_SKILL = 0.05  # share of the prior's loss that real rows must save on a target for its loss of skill to count
# And by how much of its skill two halves of the real rows may differ, that is a tenth for one of them, beyond which
# the share would be the luck of the draw.
_MOST_SPREAD = 0.1 * np.sqrt(2.0)
_MOST_CLASSES = 20  # of a target; rarer ones count as one more
# Of training, in cells that are learnt from, once for each class: three times what the largest plan had that was held
# against training on other rows, which took two minutes of one core.
_MOST_CELLS = 3e8
_PRIOR_WEIGHT = 0.01  # of the real marginal in every probability: a class that was lost would cost infinitely much


@dataclass(frozen=True)
class Learnt:
    """A column to be predicted.

    Attributes:
      column: Its position.
      hidden: Positions of what may not be seen: itself, and what is made of the same column of a file.
      num_classes: How many there are of a category, numbered from 0; None of a number.
    """

    column: int
    hidden: tuple[int, ...]
    num_classes: int | None


@dataclass(frozen=True)
class TrainedMixes:
    """What was lost at every share of real rows.

    Attributes:
      shares: float `[k]`, ascending from 0 to 1.
      lost: float `[k]`, share of the skill; 0 at real rows alone, what is held against.
      skill: float `[t]`, share of the prior's loss that real rows save on each target.
      spread: float `[t]`, by how much of its skill two halves of the real rows differ; infinite without skill.
      counts: bool `[t]`, those that `lost` speaks of.
      train_rows: Rows of every mix, in the smallest fold.
    """

    shares: np.ndarray
    lost: np.ndarray
    skill: np.ndarray
    spread: np.ndarray
    counts: np.ndarray
    train_rows: int


def train_on_mixes(
    real: np.ndarray,
    made: np.ndarray,
    is_category: np.ndarray,
    targets: Sequence[Learnt],
    shares: Sequence[float],
    seed: int,
    threads: int = 1,
    on_step: Callable[[int, int], None] | None = None,
    most_draws: int | None = None,
) -> TrainedMixes | None:
    """Trains on mixes of made and real rows, and returns what is lost at each share.

    A mix has as many rows as there are made ones, or as the other folds leave of real ones where these are fewer.

    Args:
      real: float64 `[n, d]`, in any order, NaN where a value is missing; categories are numbered from 0. At most 2,000
        of them are used.
      made: float64 `[m, d]`, likewise.
      is_category: bool `[d]`.
      targets: What is to be predicted, at least one.
      shares: Of real rows, ascending, each above 0 and below 1; 0 and 1 come beside them.
      seed: Of all draws.
      threads: Models at a time; any number gives the same.
      on_step: Told how many of how many steps are done: a target, at one division of the real rows into folds.
      most_draws: How often real rows are divided into folds at most; as often as their number needs by default.

    Returns:
      None where there are fewer than 40 rows on a side, no target that real rows teach to predict steadily, or more
      targets, classes and columns than are trained on.
    """
    if min(len(real), len(made)) < _MIN_ROWS:
        return None
    real = real[np.random.default_rng([seed, 0]).permutation(len(real))[:_MOST_ROWS]]
    scales = [_scale(real[:, target.column], target.num_classes) for target in targets]
    folds = _FOLDS if len(real) < _MANY_ROWS else _FOLDS_OF_MANY
    draws = next(number for rows, number in _DRAWS if len(real) <= rows)
    draws = draws if most_draws is None else min(most_draws, draws)
    mixed = np.array([0.0, *shares, 1.0])
    train_rows = min(len(made), len(real) - -(-len(real) // folds))
    cells = train_rows * folds * (len(mixed) + 2)
    cells *= sum((real.shape[1] - len(t.hidden)) * s.models for t, s in zip(targets, scales, strict=True))
    draws = min(draws, int(_MOST_CELLS // max(cells, 1)))
    if not draws:
        return None
    # By draw, target and arm, the loss of each row: the arms are the shares and two halves of the real rows.
    losses = np.full((draws, len(targets), len(mixed) + 2, len(real)), np.nan)
    divisions = []
    for draw in range(draws):
        fold = np.random.default_rng([seed, 1, draw]).permutation(len(real)) % folds
        divisions.append(fold)
        arms = [_arms(real, made, fold, k, mixed, [seed, 2, draw, k]) for k in range(folds)]
        places = [(k, a) for k in range(folds) for a in range(len(mixed) + 2)]

        for t, (target, scale) in enumerate(zip(targets, scales, strict=True)):

            def learnt(
                place: tuple[int, int], draw: int = draw, fold: np.ndarray = fold, arms=arms, target=target, scale=scale
            ) -> np.ndarray:
                k, a = place
                return _losses(arms[k][a], real[fold == k], is_category, target, scale, _seed_of(seed, draw, k))

            for (k, a), found in zip(places, each(learnt, places, threads), strict=True):
                losses[draw, t, a, fold == k] = found
            if on_step is not None:
                on_step(draw * len(targets) + t + 1, draws * len(targets))
    prior = np.array([_mean(scale.prior_losses, 0) for scale in scales])
    gap = _gap_of_halves(losses[:, :, -2] - losses[:, :, -1], np.array(divisions))
    return _summary(mixed, _mean(losses[:, :, :-2], (0, 3)), prior, gap, train_rows)


def _gap_of_halves(gaps: np.ndarray, divisions: np.ndarray) -> np.ndarray:
    """Returns by how much two halves of the real rows differ on all of them, float `[t]`, from gaps `[draws, t, n]`.

    Root mean squares, as the mean is known to be 0. Of whole draws there are few; of folds there are many, whose mean
    varies as if they taught each other nothing. The truth lies between: the mean of both squares.
    """
    whole = np.mean(np.square(_mean(gaps, 2)), axis=0)
    folds = divisions.max() + 1
    by_fold = [_mean(gap[:, fold == k], 1) for gap, fold in zip(gaps, divisions, strict=True) for k in range(folds)]
    return np.sqrt((whole + _mean(np.square(by_fold), 0) / folds) / 2.0)


def _mean(values: np.ndarray, axis: int | tuple[int, ...]) -> np.ndarray:
    """Returns the mean of what is there, NaN where there is nothing."""
    number = np.sum(~np.isnan(values), axis=axis)
    return np.nansum(values, axis=axis) / np.where(number, number, np.nan)


def _summary(
    shares: np.ndarray, arms: np.ndarray, prior: np.ndarray, gap: np.ndarray, train_rows: int
) -> TrainedMixes | None:
    saved = prior - arms[:, -1]
    spread = np.divide(gap, saved, out=np.full(len(saved), np.inf), where=saved > 0)
    counts = (saved >= _MIN_SKILL * prior) & (spread <= _MOST_SPREAD) & (prior > 0)
    if not counts.any():
        return None
    lost = (arms - arms[:, -1:])[counts] / prior[counts, None]
    skill = np.divide(saved, prior, out=np.zeros(len(prior)), where=prior > 0)
    return TrainedMixes(shares, lost.sum(axis=0) / skill[counts].sum(), skill, spread, counts, train_rows)


def _arms(
    real: np.ndarray, made: np.ndarray, fold: np.ndarray, k: int, shares: np.ndarray, seed: Sequence[int]
) -> list[np.ndarray]:
    """Returns the rows that each arm learns from, of no real row of the fold: at every share, and two halves."""
    rng = np.random.default_rng(seed)
    rest = real[rng.permutation(np.flatnonzero(fold != k))]
    size = min(len(made), len(rest))
    drawn = made[rng.permutation(len(made))[:size]]
    half = min(size, len(rest) // 2)
    num_real = [round(share * size) for share in shares]
    mixes = [np.concatenate([drawn[: size - number], rest[:number]]) for number in num_real]
    return [*mixes, rest[:half], rest[half : 2 * half]]


def _seed_of(seed: int, draw: int, k: int) -> int:
    return int(np.random.default_rng([seed, 3, draw, k]).integers(2**31 - 1))


@dataclass(frozen=True)
class _Scale:
    """On which a target is predicted: normal scores of the real column, or classes and how frequent each is."""

    ordered: np.ndarray
    classes: np.ndarray | None
    frequencies: np.ndarray
    prior_losses: np.ndarray

    @property
    def models(self) -> int:
        """How many trees are grown at a time: one of a number or of two classes, else one a class."""
        return 1 if len(self.frequencies) < 3 else len(self.frequencies)

    def of(self, values: np.ndarray) -> np.ndarray:
        """Returns what is predicted, NaN where it is missing, or a class that real rows do not have."""
        if self.classes is None:
            return _normal_scores(values, self.ordered)
        known = ~np.isnan(values)
        found = np.full(len(values), np.nan)
        found[known] = self.classes[np.minimum(values[known].astype(int), len(self.classes) - 1)]
        return found


def _scale(values: np.ndarray, num_classes: int | None) -> _Scale:
    known = values[~np.isnan(values)]
    if num_classes is None:
        ordered = np.sort(known)
        scores = _normal_scores(values, ordered)
        mean = np.nanmean(scores) if len(known) else 0.0
        return _Scale(ordered, None, np.empty(0), np.square(scores - mean))
    counts = np.bincount(known.astype(int), minlength=num_classes + 1)
    order = np.argsort(-counts, kind="stable")
    classes = np.full(len(counts), np.nan)
    present = order[: np.count_nonzero(counts)]
    classes[present] = np.minimum(np.arange(len(present)), _MOST_CLASSES)
    totals = np.bincount(classes[present].astype(int), weights=counts[present])
    frequencies = totals / max(totals.sum(), 1.0)
    scale = _Scale(np.empty(0), classes, frequencies, np.empty(0))
    seen = scale.of(values)
    prior = np.full(len(values), np.nan)
    prior[~np.isnan(seen)] = -np.log(frequencies[seen[~np.isnan(seen)].astype(int)])
    return _Scale(np.empty(0), classes, frequencies, prior)


def _normal_scores(x: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Returns the normal quantiles of the mid-ranks of `x` in `ordered`; NaN stays NaN."""
    n = len(ordered)
    rank = (np.searchsorted(ordered, x, "left") + np.searchsorted(ordered, x, "right")) / 2
    return np.where(np.isnan(x), np.nan, ndtri(np.clip(rank / max(n, 1), 0.5 / (n + 1), 1 - 0.5 / (n + 1))))


def _losses(
    rows: np.ndarray, test: np.ndarray, is_category: np.ndarray, target: Learnt, scale: _Scale, seed: int
) -> np.ndarray:
    """Returns the loss on each test row of what was learnt from other rows; NaN where the target is missing."""
    seen = np.delete(np.arange(rows.shape[1]), target.hidden)
    y, y_test = scale.of(rows[:, target.column]), scale.of(test[:, target.column])
    x, y = rows[np.ix_(~np.isnan(y), seen)], y[~np.isnan(y)]
    x_test, categories = test[:, seen], is_category[seen]
    if target.num_classes is None:
        return np.square(predict_number(x, y, x_test, categories, seed) - y_test)
    found = predict_classes(x, y.astype(int), x_test, categories, len(scale.frequencies), seed)
    mixed = (1.0 - _PRIOR_WEIGHT) * found + _PRIOR_WEIGHT * scale.frequencies
    known = np.flatnonzero(~np.isnan(y_test))
    losses = np.full(len(test), np.nan)
    losses[known] = -np.log(mixed[known, y_test[known].astype(int)])
    return losses
