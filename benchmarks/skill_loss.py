"""Measured ground truth: how much of the skill that real data gives is lost by training on a candidate instead.

    s = (L_candidate - L_real) / (L_prior - L_real)

per target column: losses on untouched real rows of gradient-boosted trees that predict the column from all others,
trained on the candidate, or on as many fresh real rows; `L_prior` is the loss of predicting the real marginal. 0 means
no skill lost, 1 all of it; real data against real data spreads by about 0.03. `s_tail` is the same over the rarest
tenth of the test rows. A candidate is collapsed where max(s, s_tail / 2) > 0.15 and healthy where it is below 0.05.

Numbers are predicted on the scale of the real column's normal scores, with squared error: on the raw scale of a
heavy-tailed column one row would decide. Classes are predicted with log-loss.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from scipy.special import ndtri
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.neighbors import NearestNeighbors

__all__ = ["RealArm", "SkillLoss", "floats", "is_number", "label", "measure_real", "rare_rows", "skill_loss"]

# A column counts where real data lowers the prior's loss by at least this share.
MIN_SKILL = 0.05
# And where real data against real data spreads by no more than this, over all and over the rarest rows: beyond it the
# label would be the luck of the draw. `s_tail` may spread twice as far, as it counts half.
MAX_SPREAD = np.array([0.1, 0.2])
COLLAPSED_ABOVE = 0.15
HEALTHY_BELOW = 0.05
# Weight of the real marginal mixed into every predicted probability: without it a class that the candidate lost
# costs infinitely much.
_PRIOR_WEIGHT = 0.01
_RARE_SHARE = 0.1
_NEIGHBOURS = 10
# HistGradientBoosting takes at most 255 categories; beyond that a code is treated as a number.
_MOST_CATEGORIES = 200


@dataclass(frozen=True)
class SkillLoss:
    """Skill lost by training on a candidate.

    Attributes:
      s: Mean over target columns; 0 none lost, 1 all, above 1 worse than the marginal. NaN if no column counts.
      s_tail: The same over the rarest tenth of the test rows.
      by_target: `{column: (s, s_tail)}`; NaN where real data has too little skill to lose, or too unsteady a one.
      noise: Standard deviation of `harm` that real rows would show by the luck of the draw, see `RealArm.spread`.
    """

    s: float
    s_tail: float
    by_target: Mapping[str, tuple[float, float]]
    noise: float = 0.0

    @property
    def harm(self) -> float:
        """`max(s, s_tail / 2)`, what the label is read from."""
        return float(np.fmax(self.s, self.s_tail / 2))


@dataclass(frozen=True)
class RealArm:
    """What all candidates of one size share, see `measure_real`.

    Attributes:
      encoder: Fitted on the real rows.
      test: The untouched real rows.
      rows: Training rows of either arm.
      seeds: Seeds, one training run each.
      rare: `[n_test]` bool, the rarest tenth.
      losses: `{target: [2, 2]}`: real and prior loss (rows) over all and rare test rows (columns), mean over seeds.
      spread: `{target: [2]}`: standard deviation of `s` and `s_tail` of real rows against other real rows, from the
        seeds' draws; 0 with one seed. The test rows' own sampling is not in it.
      counts: `{target: [2]}` bool: whether the column counts, over all and over rare rows.
    """

    encoder: "_Encoder"
    test: pa.Table
    rows: int
    seeds: tuple[int, ...]
    rare: np.ndarray
    losses: Mapping[str, np.ndarray]
    spread: Mapping[str, np.ndarray]
    counts: Mapping[str, np.ndarray]


def label(loss: SkillLoss) -> Literal["collapsed", "grey", "healthy"]:
    """Returns the class of a measured loss."""
    if loss.harm > COLLAPSED_ABOVE:
        return "collapsed"
    return "healthy" if loss.harm < HEALTHY_BELOW else "grey"


def skill_loss(candidate: pa.Table, arm: RealArm, seeds: Sequence[int] | None = None) -> SkillLoss:
    """Returns the skill lost by training on `candidate`, at the arm's number of rows.

    Args:
      candidate: Rows to train on.
      arm: Of the same test rows and targets.
      seeds: One training run each; the arm's by default.

    Raises:
      ValueError: The candidate has fewer rows than the arm was measured at.
    """
    if candidate.num_rows < arm.rows:
        raise ValueError(f"the candidate has {candidate.num_rows} rows, the real arm was measured at {arm.rows}")
    by_target: dict[str, tuple[float, float]] = {}
    for target, (real, prior) in arm.losses.items():
        chosen = arm.seeds if seeds is None else tuple(seeds)
        ours = _runs(candidate, arm.test, target, arm.encoder, arm.rows, chosen, arm.rare).mean(axis=0)
        counts = arm.counts[target] & (prior > real)
        s = np.where(counts, (ours - real) / np.where(counts, prior - real, 1.0), np.nan)
        by_target[target] = (float(s[0]), float(s[1]))
    values = np.array(list(by_target.values())).reshape(-1, 2)
    spread = np.array([arm.spread[target] for target in by_target]).reshape(-1, 2)
    (s, noise), (s_tail, noise_tail) = (
        _mean_and_error(values[:, i], spread[:, i]) if len(values) else (float("nan"),) * 2 for i in (0, 1)
    )
    return SkillLoss(s, s_tail, by_target, float(np.fmax(noise, noise_tail / 2)))


def _mean_and_error(values: np.ndarray, spread: np.ndarray) -> tuple[float, float]:
    """Mean of the values that count and its standard deviation, targets taken for independent."""
    counts = ~np.isnan(values)
    if not counts.any():
        return float("nan"), float("nan")
    return float(values[counts].mean()), float(np.sqrt(np.square(spread[counts]).sum()) / counts.sum())


def measure_real(
    real: pa.Table,
    test: pa.Table,
    targets: Sequence[str],
    seeds: Sequence[int],
    rows: int | None = None,
    like: RealArm | None = None,
) -> RealArm:
    """Returns the losses of training on fresh real rows and of the marginal, to compare candidates with.

    Args:
      real: Fresh real rows, none of which any generator saw.
      test: Untouched real rows, disjoint from all others.
      targets: Columns to predict, each from all other columns.
      seeds: One training run each, on a draw of `rows` rows.
      rows: Training rows of both arms, at most `real.num_rows`; None for all of `real`.
      like: An arm of the same rows at another size, whose columns are to count here too: candidates of several sizes
        are comparable by the same columns only.
    """
    rows = real.num_rows if rows is None else rows
    if not 2 <= rows <= real.num_rows:
        raise ValueError(f"rows must be in 2..{real.num_rows}, got {rows}")
    encoder = _Encoder.fit(real)
    rare = rare_rows(encoder.scaled(test), encoder.scaled(real))
    losses, spread, counts = {}, {}, {}
    for target in targets:
        runs = _runs(real, test, target, encoder, rows, tuple(seeds), rare)
        prior = _summary(_prior_losses(test, target, encoder), rare)
        losses[target] = np.stack([runs.mean(axis=0), prior])
        skill = prior - losses[target][0]
        deviation = runs.std(axis=0, ddof=1) if len(runs) > 1 else np.zeros(2)
        # Draws from a pool share rows, and spread the less the more of it they take; as some of the spread is the
        # models' own, this errs on the side of too much.
        deviation = deviation / np.sqrt(max(1.0 - rows / real.num_rows, 1.0 / real.num_rows))
        # Without skill there is nothing to lose, and no spread of it.
        spread[target] = np.divide(deviation, skill, out=np.full(2, np.inf), where=skill > 0)
        counts[target] = (skill >= MIN_SKILL * prior) & (spread[target] <= MAX_SPREAD)
    return RealArm(encoder, test, rows, tuple(seeds), rare, losses, spread, counts if like is None else like.counts)


def rare_rows(test: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Returns a mask of the tenth of `test` that is farthest from its k-th neighbour in `reference`.

    Args:
      test: `[n, d]`, scaled.
      reference: `[m, d]`, on the same scale.

    Returns:
      `[n]` bool with ceil(n / 10) rows; ties, as among exact repeats, go to the earlier row.
    """
    neighbours = NearestNeighbors(n_neighbors=min(_NEIGHBOURS, len(reference))).fit(reference)
    distance = neighbours.kneighbors(test)[0][:, -1]
    mask = np.zeros(len(test), bool)
    mask[np.argsort(-distance, kind="stable")[: int(np.ceil(_RARE_SHARE * len(test)))]] = True
    return mask


@dataclass(frozen=True)
class _Encoder:
    """Columns as floats, fitted on real rows: numbers as they are, categories as codes by frequency, null as NaN."""

    levels: Mapping[str, Mapping[object, int]]
    frequencies: Mapping[str, np.ndarray]
    ordered: Mapping[str, np.ndarray]
    names: tuple[str, ...]

    @classmethod
    def fit(cls, table: pa.Table) -> "_Encoder":
        levels: dict[str, Mapping[object, int]] = {}
        frequencies: dict[str, np.ndarray] = {}
        ordered: dict[str, np.ndarray] = {}
        for name in table.column_names:
            if is_number(table[name].type):
                x = floats(table[name])
                ordered[name] = np.sort(x[~np.isnan(x)])
            else:
                counts = table[name].drop_null().value_counts().to_pylist()
                counts.sort(key=lambda entry: (-entry["counts"], str(entry["values"])))
                levels[name] = {entry["values"]: code for code, entry in enumerate(counts)}
                frequencies[name] = np.array([entry["counts"] for entry in counts]) / len(table[name].drop_null())
        return cls(levels, frequencies, ordered, tuple(table.column_names))

    def features(self, table: pa.Table, target: str) -> tuple[np.ndarray, list[bool]]:
        names = [name for name in self.names if name != target]
        columns = [self._column(table, name) for name in names]
        return np.column_stack(columns), [0 < len(self.levels.get(name, ())) <= _MOST_CATEGORIES for name in names]

    def target(self, table: pa.Table, target: str) -> np.ndarray:
        """Codes or normal scores; NaN where the value is missing, or a class that the real rows do not have."""
        x = self._column(table, target)
        if target in self.levels:
            return np.where(x < len(self.levels[target]), x, np.nan)
        return _normal_scores(x, self.ordered[target])

    def scaled(self, table: pa.Table) -> np.ndarray:
        """All columns as one matrix for distances: normal scores, and one-hot codes at distance 2 from each other."""
        blocks = []
        for name in self.names:
            x = self._column(table, name)
            if name in self.levels:
                blocks.append(np.sqrt(2) * (x[:, None] == np.arange(len(self.levels[name]))))
            else:
                blocks.append(np.nan_to_num(_normal_scores(x, self.ordered[name]))[:, None])
        return np.concatenate(blocks, axis=1)

    def _column(self, table: pa.Table, name: str) -> np.ndarray:
        if name not in self.levels:
            return floats(table[name])
        codes = self.levels[name]
        column = table[name].combine_chunks()
        if not isinstance(column, pa.DictionaryArray):
            column = column.dictionary_encode()
        # One entry beyond the dictionary stands for null.
        known = [codes.get(value, len(codes)) for value in column.dictionary.to_pylist()]
        return np.array([*known, np.nan])[column.indices.fill_null(len(known)).to_numpy(zero_copy_only=False)]


def is_number(kind: pa.DataType) -> bool:
    """Whether a column of this type is predicted, and compared, as a number."""
    return pa.types.is_integer(kind) or pa.types.is_floating(kind)


def floats(column: pa.ChunkedArray) -> np.ndarray:
    """Returns a column's numbers, float64 `[n]`, null as NaN."""
    return np.array(column.cast(pa.float64(), safe=False).to_numpy(), dtype=np.float64)


def _normal_scores(x: np.ndarray, ordered: np.ndarray) -> np.ndarray:
    """Normal quantile of the mid-rank of `x` in `ordered`; NaN stays NaN."""
    n = len(ordered)
    rank = (np.searchsorted(ordered, x, "left") + np.searchsorted(ordered, x, "right")) / 2
    return np.where(np.isnan(x), np.nan, ndtri(np.clip(rank / max(n, 1), 0.5 / (n + 1), 1 - 0.5 / (n + 1))))


def _runs(
    train: pa.Table, test: pa.Table, target: str, encoder: _Encoder, rows: int, seeds: tuple[int, ...], rare: np.ndarray
) -> np.ndarray:
    """`[seeds, 2]` loss over all and over rare test rows."""
    runs = []
    for seed in seeds:
        drawn = np.random.default_rng([seed, 0]).permutation(train.num_rows)[:rows]
        runs.append(_summary(_losses(train.take(drawn), test, target, encoder, seed), rare))
    return np.stack(runs)


def _summary(losses: np.ndarray, rare: np.ndarray) -> np.ndarray:
    return np.array([np.nanmean(losses), np.nanmean(losses[rare])])


def _losses(train: pa.Table, test: pa.Table, target: str, encoder: _Encoder, seed: int) -> np.ndarray:
    """`[n_test]` loss of a model trained on `train`; NaN where the target is missing."""
    y, y_test = encoder.target(train, target), encoder.target(test, target)
    x, is_category = encoder.features(train, target)
    x_test, _ = encoder.features(test, target)
    known = ~np.isnan(y)
    x, y = x[known], y[known]
    if target not in encoder.levels:
        predicted = _predict_number(x, y, x_test, is_category, seed)
        return (predicted - y_test) ** 2
    prior = encoder.frequencies[target]
    return _log_losses(_predict_classes(x, y.astype(int), x_test, is_category, len(prior), seed), y_test, prior)


def _prior_losses(test: pa.Table, target: str, encoder: _Encoder) -> np.ndarray:
    """`[n_test]` loss of predicting the real marginal: its frequencies, or the mean of its normal scores."""
    y_test = encoder.target(test, target)
    if target in encoder.levels:
        prior = encoder.frequencies[target]
        return _log_losses(np.broadcast_to(prior, (len(y_test), len(prior))), y_test, prior)
    ordered = encoder.ordered[target]
    return (_normal_scores(ordered, ordered).mean() - y_test) ** 2


def _predict_number(x: np.ndarray, y: np.ndarray, x_test: np.ndarray, is_category: list[bool], seed: int) -> np.ndarray:
    # A candidate whose target is missing or constant teaches a constant.
    if np.unique(y).size < 2:
        return np.full(len(x_test), y.mean() if y.size else 0.0)
    model = HistGradientBoostingRegressor(**_settings(len(y), 1, is_category, seed))
    return model.fit(x, y).predict(x_test)


def _predict_classes(
    x: np.ndarray, y: np.ndarray, x_test: np.ndarray, is_category: list[bool], num_classes: int, seed: int
) -> np.ndarray:
    probabilities = np.zeros((len(x_test), num_classes))
    counts = np.bincount(y, minlength=num_classes + 1)[:num_classes]
    # The stratified early-stopping split cannot take a class of one row.
    usable = np.isin(y, np.flatnonzero(counts >= 2))
    classes = np.unique(y[usable])
    if len(classes) < 2:
        # With nothing but one class, or singletons, its frequencies are all there is to learn.
        return probabilities + counts / max(counts.sum(), 1)
    model = HistGradientBoostingClassifier(**_settings(int(usable.sum()), len(classes), is_category, seed))
    probabilities[:, classes] = model.fit(x[usable], y[usable]).predict_proba(x_test)
    return probabilities


def _settings(rows: int, num_classes: int, is_category: list[bool], seed: int) -> dict[str, Any]:
    early = rows >= 20 * num_classes
    return {
        "max_iter": 200 if early else 30,
        "learning_rate": 0.1,
        "early_stopping": early,
        "validation_fraction": 0.15,
        "categorical_features": is_category,
        "random_state": seed,
    }


def _log_losses(probabilities: np.ndarray, y_test: np.ndarray, prior: np.ndarray) -> np.ndarray:
    known = ~np.isnan(y_test)
    losses = np.full(len(y_test), np.nan)
    mixed = (1 - _PRIOR_WEIGHT) * probabilities + _PRIOR_WEIGHT * prior
    losses[known] = -np.log(mixed[known, y_test[known].astype(int)])
    return losses
