"""The smallest tier's trained networks, kept for who asks them about rows after the cascade is done."""

import base64
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vr.cascade.cells import LastLayer, PathGradients, last_layer, path_gradients
from vr.cascade.members import Shares, drawn_of, rows_of
from vr.models.build import Model

__all__ = ["ARMS", "Networks", "packed"]

ARMS = ("reference", "candidate")
_MOST_BYTES = 256 << 20  # of all parameters that are kept; where there are more, of fewer seeds
_ROWS = 128  # that go through a network at a time: one shape, so that one program does


def packed(params: Mapping[str, Sequence[np.ndarray]]) -> dict[str, list[str]]:
    """Returns the parameters of each seed, float32 `[P]`, by arm, ready for JSON; of as many seeds as are kept."""
    each = sum(values[0].nbytes for values in params.values())
    kept = _MOST_BYTES // max(1, each)
    return {
        arm: [base64.b64encode(np.asarray(value, "<f4").tobytes()).decode() for value in values[:kept]]
        for arm, values in params.items()
    }


@dataclass(frozen=True)
class Networks:
    """Networks of one size, a pair for each seed that did not diverge.

    Attributes:
      model: Their architecture.
      params: By arm, float32 `[P]` of each seed.
      learnt: By arm, which rows each seed was trained on: of the reference's sample, and of the candidate's.
      held_out: Which rows of the reference's sample each seed was judged by.
      reference: Unsigned codes `[n, d]` that these positions are of, and
      candidate: likewise.
    """

    model: Model
    params: dict[str, list[np.ndarray]]
    learnt: dict[str, list[np.ndarray]]
    held_out: list[np.ndarray]
    reference: np.ndarray
    candidate: np.ndarray

    @classmethod
    def of(
        cls,
        document: Mapping[str, Sequence[str]],
        model: Model,
        shares: Shares,
        tier: str,
        reference: np.ndarray,
        candidate: np.ndarray,
        seed: int,
    ) -> "Networks":
        """Returns what `packed` made, with the rows that each seed drew.

        Args:
          document: As `packed` returned it.
          model: The tier's.
          shares: Rows of an arm.
          tier: Its name.
          reference: Unsigned codes `[n, d]` that the tier was made for.
          candidate: Unsigned codes `[m, d]` that it was run for.
          seed: Of the run.
        """
        params = {
            arm: [np.frombuffer(base64.b64decode(text), "<f4").astype(np.float32) for text in document[arm]]
            for arm in ARMS
        }
        sound = [
            member
            for member, pair in enumerate(zip(*(params[arm] for arm in ARMS), strict=True))
            if all(np.isfinite(each).all() for each in pair)
        ]
        rows = [rows_of(shares, len(reference), seed, tier, member) for member in sound]
        drawn = [drawn_of(shares, len(candidate), seed, tier, member) for member in sound]
        return cls(
            model,
            {arm: [params[arm][member] for member in sound] for arm in ARMS},
            {"reference": [each.reference for each in rows], "candidate": drawn},
            [each.test for each in rows],
            reference,
            candidate,
        )

    def __len__(self) -> int:
        return len(self.held_out)

    def last_layer(self, arm: str, seed: int, codes: np.ndarray, positions: np.ndarray) -> LastLayer:
        """Returns the last layer of rows, unsigned codes `[n, d]`, in NumPy; see `vr.cascade.cells`."""
        params, compiled = jnp.asarray(self.params[arm][seed]), _compiled(last_layer, self.model)
        parts = [compiled(params, part, jnp.asarray(positions)) for part in _parts(codes)]
        return LastLayer(*(np.concatenate(each, axis=1)[:, : len(codes)] for each in zip(*parts, strict=True)))  # type: ignore[arg-type]

    def path_gradients(
        self, arm: str, seed: int, codes: np.ndarray, positions: np.ndarray, points: np.ndarray, weights: np.ndarray
    ) -> PathGradients:
        """Returns a stretch of integrated gradients, likewise."""
        stretch = jnp.asarray(points, jnp.float32), jnp.asarray(weights, jnp.float32)
        params, compiled = jnp.asarray(self.params[arm][seed]), _compiled(path_gradients, self.model)
        parts = [compiled(params, part, jnp.asarray(positions), *stretch) for part in _parts(codes)]
        return PathGradients(*(np.concatenate(each, axis=-1)[..., : len(codes)] for each in zip(*parts, strict=True)))  # type: ignore[arg-type]


# The next networks of the same shapes compile nothing.
@lru_cache(maxsize=8)
def _compiled(function: Callable[..., Any], model: Model) -> Any:
    return jax.jit(partial(function, model))


def _parts(codes: np.ndarray) -> Iterator[jax.Array]:
    """Yields rows as int32 `[d, _ROWS]`, the last of them repeated until there are as many."""
    for first in range(0, len(codes), _ROWS):
        rows = np.minimum(np.arange(first, first + _ROWS), len(codes) - 1)
        yield jnp.asarray(codes[rows].T, jnp.int32)
