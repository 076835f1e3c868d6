"""What the smallest proxies say of the worst rows, where it is asked for: the harm of training on them, cell by cell.

Influence is that of the candidate-trained proxies on the held-out real rows of each seed, attribution that of the
reference-trained ones' loss: a proxy that was trained on the candidate has learnt what is wrong with it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vr.core.workers import single_threaded
from vr.localization.attribution import attribute
from vr.localization.influence import Cells, directions, influence

if TYPE_CHECKING:
    from vr.cascade.networks import Networks

__all__ = ["Asked", "Proxies"]

# Of benchmarks/influence_scores.py: the linear datamodeling score is flat about it.
_DAMPING = 1.0
_MOST_TRAINED = 1_000  # rows that curvature is taken over
_MOST_ATTRIBUTED = 100  # rows whose cells are attributed, the worst


@dataclass(frozen=True)
class Asked:
    """What was found of some rows.

    Attributes:
      influence: float `[m]`, what training on a row does to the loss on real rows, in standard deviations from the mean
        of the candidate's rows; above 0 where it does more harm than they. NaN where it was not asked for or not found.
      cells: For each row its loss in nats, shared out over the encoded columns `[d]`; None where it was not asked for,
        not among the worst, or not complete.
    """

    influence: np.ndarray
    cells: Sequence[np.ndarray | None]


@dataclass(frozen=True)
class Proxies:
    """Trained networks, and what to ask them.

    Attributes:
      networks: Of the smallest tier, at least one pair.
      positions: int `[p]`, the encoded columns that they were trained on.
      influence: Whether to work it out.
      gradients: Likewise, the attribution to cells.
    """

    networks: "Networks"
    positions: np.ndarray
    influence: bool
    gradients: bool

    def ask(self, codes: np.ndarray) -> Asked:
        """Returns what is found of rows, unsigned codes `[m, d]`, the worst first."""
        own, num_rows = codes[:, self.positions], len(codes)
        cells: list[np.ndarray | None] = [None] * num_rows
        nothing = np.full(num_rows, np.nan)
        if not num_rows:
            return Asked(nothing, cells)
        # Sums in threads move last digits.
        with single_threaded():
            harm = self._influence(own) if self.influence else nothing
            if self.gradients:
                for i, found in enumerate(self._attributed(own[:_MOST_ATTRIBUTED])):
                    if found is not None:
                        cells[i] = whole = np.zeros(codes.shape[1])
                        whole[self.positions] = found
        return Asked(harm, cells)

    def _influence(self, codes: np.ndarray) -> np.ndarray:
        networks, total = self.networks, np.zeros(len(codes))
        for seed in range(len(networks)):
            learnt = networks.candidate[networks.learnt["candidate"][seed][:_MOST_TRAINED]]
            real = networks.reference[networks.held_out[seed]]
            trained, held_out, rows = (self._cells("candidate", seed, each) for each in (learnt, real, codes))
            towards = directions(trained, held_out, _DAMPING)
            ordinary = influence(towards, trained, len(learnt))[0]
            # A proxy that has steps to go finds good in every row, and seeds have scales of their own.
            own = influence(towards, rows, len(learnt))[0] - ordinary.mean()
            total += own / max(float(ordinary.std()), 1e-300)
        return total / len(networks)

    def _cells(self, arm: str, seed: int, codes: np.ndarray) -> Cells:
        columns = np.arange(codes.shape[1])
        found = self.networks.last_layer(arm, seed, codes, columns)
        return Cells.of(np.asarray(found.inputs), np.asarray(found.probabilities), codes.T.astype(int))

    def _attributed(self, codes: np.ndarray) -> list[np.ndarray | None]:
        networks, columns = self.networks, np.arange(codes.shape[1])
        total, complete = np.zeros(codes.shape), np.ones(len(codes), bool)
        for seed in range(len(networks)):

            def integrated(
                points: np.ndarray, weights: np.ndarray, rows: np.ndarray, seed: int = seed
            ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
                return networks.path_gradients("reference", seed, codes[rows], columns, points, weights)  # type: ignore[return-value]

            found = attribute(integrated, len(codes))
            total += found.blame(columns) / len(networks)
            complete &= found.complete
        return [row if whole else None for row, whole in zip(total, complete, strict=True)]
