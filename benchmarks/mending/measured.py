"""Skill lost by what a remedy makes of a candidate, measured as the study's labels are, at any number of rows.

Real rows teach less the fewer they are, so the real arm of a remedy that removes rows has as many as are left. It is
measured at a few sizes; between them the losses of a column follow a straight line over the logarithm of the rows.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from benchmarks.collapse.cases import Parts, Split
from benchmarks.datasets import DATASETS
from benchmarks.skill_loss import RealArm, SkillLoss, measure_real, skill_loss

__all__ = ["Arms", "Measured"]

MAX_TARGETS = 5  # as the labels
_SIZES = (1.0, 0.7, 0.4)  # of the candidate's rows


@dataclass(frozen=True)
class Measured:
    """Skill lost, mean over seeds.

    Attributes:
      s: Over all test rows, against as many real rows as it was trained on.
      s_tail: Over the rarest tenth.
      s_of_all: As `s`, against as many real rows as the candidate had before rows were removed.
      s_tail_of_all: Likewise.
      by_seed: float `[seeds, 2]`, s and s_tail of each seed.
    """

    s: float
    s_tail: float
    s_of_all: float
    s_tail_of_all: float
    by_seed: np.ndarray

    @property
    def harm(self) -> float:
        """`max(s, s_tail / 2)`, what the study's labels are read from."""
        return float(np.fmax(self.s, self.s_tail / 2))

    @property
    def harm_of_all(self) -> float:
        """The same against as many real rows as there were before."""
        return float(np.fmax(self.s_of_all, self.s_tail_of_all / 2))


@dataclass(frozen=True)
class Arms:
    """Real arms of a split at several sizes, largest first; their columns are those of the first."""

    arms: tuple[RealArm, ...]
    seeds: tuple[int, ...]

    @classmethod
    def of(cls, split: Split, parts: Parts, num_seeds: int, *, smaller: bool) -> "Arms":
        """Measures the arms of a split.

        Args:
          split: Which.
          parts: Its rows.
          num_seeds: Training runs of each candidate; real rows are drawn for twice as many.
          smaller: Whether candidates may have fewer rows than the split's.
        """
        targets = DATASETS[split.dataset].targets[:MAX_TARGETS]
        found: list[RealArm] = []
        for part in _SIZES if smaller else _SIZES[:1]:
            rows = max(2, round(part * split.candidate_rows))
            like = found[0] if found else None
            found.append(measure_real(parts.pool, parts.test, targets, range(2 * num_seeds), rows, like))
        return cls(tuple(found), tuple(range(num_seeds)))

    @property
    def noise(self) -> float:
        """Standard deviation of `harm` that real rows show by the luck of the draw."""
        arm = self.arms[0]
        parts = []
        for i in (0, 1):
            spread = np.array([arm.spread[name][i] for name in arm.losses if arm.counts[name][i]])
            parts.append(np.sqrt(np.square(spread).sum()) / len(spread) if len(spread) else np.nan)
        return float(np.fmax(parts[0], parts[1] / 2))

    def at(self, rows: int) -> RealArm:
        """Returns the arm at a number of rows, no more than the largest arm has."""
        first = self.arms[0]
        if rows >= first.rows or len(self.arms) == 1:
            return first
        sizes = np.log([arm.rows for arm in self.arms][::-1])
        losses = {}
        for name in first.losses:
            known = np.stack([arm.losses[name] for arm in self.arms[::-1]])
            # Below the smallest arm its losses stand for fewer rows' too.
            line = [np.interp(np.log(rows), sizes, known[:, 0, i]) for i in (0, 1)]
            losses[name] = np.stack([line, first.losses[name][1]])
        return replace(first, rows=rows, losses=losses)

    def measure(self, candidate_of: Callable[[int], pa.Table]) -> Measured:
        """Returns what is lost by training on `candidate_of(seed)`, tables of one number of rows each.

        With more rows than the largest arm has, as many are drawn.
        """
        runs, of_all = [], []
        for seed in self.seeds:
            table = candidate_of(seed)
            arm = self.at(table.num_rows)
            loss = skill_loss(table, arm, (seed,))
            runs.append(loss.by_target)
            of_all.append(_against(loss, arm, self.arms[0]))
        s, s_tail = _mean(runs)
        s_all, s_tail_all = _mean(of_all)
        by_seed = np.array([_mean([run]) for run in runs])
        return Measured(s, s_tail, s_all, s_tail_all, by_seed)


def _against(loss: SkillLoss, arm: RealArm, other: RealArm) -> dict[str, tuple[float, float]]:
    """Returns the same losses as shares of the skill of another arm."""
    found = {}
    for name, pair in loss.by_target.items():
        (real, prior), (real_other, _) = arm.losses[name], other.losses[name]
        ours = real + np.array(pair) * (prior - real)
        s = (ours - real_other) / (prior - real_other)
        found[name] = (float(s[0]), float(s[1]))
    return found


def _mean(runs: Sequence[dict[str, tuple[float, float]] | object]) -> tuple[float, float]:
    values = np.array([[run[name] for name in run] for run in runs])  # type: ignore[index, union-attr]
    # A column that does not count is NaN in every run.
    counts = ~np.isnan(values).any(axis=0)
    means = values.mean(axis=0)
    s, s_tail = (float(means[counts[:, i], i].mean()) if counts[:, i].any() else float("nan") for i in (0, 1))
    return s, s_tail
