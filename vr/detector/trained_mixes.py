"""What training on mixes of the candidate and real rows loses of the skill at the targets that the user names."""

from collections.abc import Callable, Sequence

import numpy as np

from vr.detector.inputs import Inputs, Side
from vr.stats.boosted_models import MOST_CATEGORIES
from vr.stats.mix_training import Learnt, TrainedMixes, train_on_mixes

__all__ = ["MOST_SHARES", "train_mixes"]

MOST_SHARES = 9


def train_mixes(
    inputs: Inputs,
    shares: Sequence[float],
    on_share: Callable[[int], None] | None = None,
    most_draws: int | None = None,
) -> TrainedMixes | None:
    """Trains boosted trees on the candidate mixed with reference rows, as `vr.stats.mix_training` has it.

    A few seconds of one core for each target at 2,000 rows or more of a dozen numbers; at a few hundred rows, which are
    divided more often, of many columns or classes, ten or more; `vr.stats.mix_training` has a bound.

    Args:
      inputs: Both datasets, and the targets.
      shares: Of real rows, ascending, each above 0 and below 1; where there are more than nine, tenths are trained on.
      on_share: Told the number of shares that as much work would be done as is done by now.
      most_draws: How often the reference is divided into folds at most; as often as its rows need by default.

    Returns:
      None without targets or splits, of too few rows, or where real rows teach no target steadily.
    """
    if not inputs.targets or not inputs.splits or inputs.reference is None:
        return None
    columns, pairs = inputs.columns, inputs.pair_columns
    is_number = columns.numeric | columns.ordinal | (columns.num_codes > MOST_CATEGORIES)
    parts = {j: part for part in columns.parts.values() for j in part}
    targets = [
        Learnt(
            int(np.searchsorted(pairs, j)),
            tuple(np.flatnonzero(np.isin(pairs, parts[j])).tolist()),
            None if columns.numeric[j] else int(columns.num_codes[j]),
        )
        for j in sorted(inputs.targets)
    ]
    wanted = shares if len(shares) <= MOST_SHARES else np.arange(1, MOST_SHARES + 1) / (MOST_SHARES + 1)

    def on_step(done: int, steps: int) -> None:
        if on_share is not None:
            on_share(len(shares) * done // steps)

    return train_on_mixes(
        _values(inputs.reference, columns.numeric, pairs),
        _values(inputs.candidate, columns.numeric, pairs),
        ~is_number[pairs],
        targets,
        [float(share) for share in wanted],
        inputs.seed,
        inputs.threads,
        on_step,
        most_draws,
    )


def _values(side: Side, numeric: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Returns the rows as trees read them: numbers as they are, codes of what has none, NaN where there is nothing."""
    codes = side.codes[:, columns].astype(float)
    codes[codes == 0] = np.nan
    return np.where(numeric[columns], side.values[:, columns], codes)
