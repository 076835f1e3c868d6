"""A learning rate from a short test on the reference: of a few rates the smallest that does as well as the best.

The candidate has no say: a rate that suited one arm better would pass for a difference between the data. Small rates
rank datasets more surely than fast ones (arXiv 2512.24503), and a short training flatters a fast one; hence the
preference. What is tried is judged on real rows that neither train nor judge the same seed's reference arm.
"""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np

from vr.cascade.config import CURVE_POINTS, Execution
from vr.cascade.step import TrainSettings
from vr.cascade.training import Job, Trainer
from vr.models.build import Model

__all__ = ["RateTest", "chosen_rate", "rates_around", "short_settings"]

_log = logging.getLogger(__name__)

_FACTORS = (0.125, 0.25, 0.5, 1.0, 2.0)
_SEEDS = 3  # of each rate, or as many as the tier has
_SHARE = 10  # a test takes one in so many of the tier's steps
_LEAST_STEPS = 100


def rates_around(rate: float) -> np.ndarray:
    """Returns the rates to try, ascending: from an eighth of `rate` to its double."""
    return rate * np.array(_FACTORS)


def short_settings(settings: TrainSettings) -> TrainSettings:
    """Returns a test's settings: a tenth of the steps, at least 100 and at most all of them; nothing stops early."""
    steps = max(_LEAST_STEPS, settings.steps // _SHARE // CURVE_POINTS * CURVE_POINTS)
    return replace(settings, steps=min(steps, settings.steps), patience=0)


def chosen_rate(rates: np.ndarray, losses: np.ndarray) -> float:
    """Returns the smallest rate whose seeds lose to the best rate's by no more than one standard error.

    Seeds are paired: each has rows of its own, which would drown the differences between rates. The error is the middle
    one of all rates': by its own, a rate at which one seed blew up would excuse itself.

    Args:
      rates: `[r]`, ascending.
      losses: Of each rate's seeds after its test, `[r, s]`, not finite where one diverged, which rules the rate out.

    Returns:
      One of `rates`; the smallest where all of them diverged.

    References:
      The rule of one standard error is from Breiman et al., Classification and Regression Trees (1984), 3.4.3.
    """
    stable = np.isfinite(losses).all(axis=1)
    if not stable.any():
        return float(rates[0])
    rates, losses = rates[stable], losses[stable]
    behind = losses - losses[losses.mean(axis=1).argmin()]
    seeds = losses.shape[1]
    others = behind[np.any(behind != 0.0, axis=1)]
    error = np.median(others.std(axis=1, ddof=1)) / np.sqrt(seeds) if seeds > 1 and len(others) else 0.0
    return float(rates[(behind.mean(axis=1) <= error).argmax()])


class RateTest:
    """A tier's test, compiled beside the tier's other programs.

    Args:
      model: The tier's network.
      settings: Of its members' training.
      rate: In the middle of those that are tried.
      num_seeds: That the tier has.
      job_of: A training on the reference by these settings, of this member, at this rate.
      form: Looped or stacked.
      pool: Where the program is compiled.
      memory_limit: As the trainer's.
    """

    def __init__(
        self,
        model: Model,
        settings: TrainSettings,
        rate: float,
        num_seeds: int,
        job_of: Callable[[TrainSettings, int, float], Job],
        form: Execution,
        pool: ThreadPoolExecutor,
        memory_limit: int | None = None,
    ):
        self.rates, self._seeds, self._job_of = rates_around(rate), min(_SEEDS, num_seeds), job_of
        self.settings = short_settings(settings)
        first = job_of(self.settings, 0, rate)
        example = (first.start, first.data, first.segment(0))
        # Rate by rate: all at once would be more members than the tier itself has, and may not fit.
        self._trainer = Trainer(model, self.settings, example, self._seeds, form, pool, memory_limit=memory_limit)

    def run(self, threads: int) -> float:
        """Returns the rate that the test chooses; `threads` as the trainer's."""
        members = range(self._seeds)
        trained = [
            self._trainer.run([self._job_of(self.settings, member, rate) for member in members], threads)
            for rate in self.rates
        ]
        losses = np.array([[outputs.curve[-1] for outputs in each] for each in trained])
        chosen = chosen_rate(self.rates, losses)
        means = ", ".join(f"{rate:.2g}: {loss:.4f}" for rate, loss in zip(self.rates, losses.mean(axis=1), strict=True))
        _log.info("learning rate %.2g, by the reference's held-out loss (%s)", chosen, means)
        return chosen
