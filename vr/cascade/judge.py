"""Judging a trained member on held-out real rows: every cell left out in turn, and half of the cells hidden."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from vr.cascade.step import cell_losses
from vr.models.build import Model

__all__ = ["Judged", "judge"]


class Judged(NamedTuple):
    """Losses in nats and the network's own spectrum.

    Attributes:
      left_out: float32 `[p, m]`, loss of each judged cell when it alone is hidden.
      half: float32 `[m]`, mean loss of a row's hidden cells when half are hidden.
      energy: float32 `[F]`, mean energy of the gated spectrum by frequency, nothing hidden, blocks summed.
    """

    left_out: jax.Array
    half: jax.Array
    energy: jax.Array


def judge(model: Model, params: jax.Array, codes: jax.Array, positions: jax.Array, half: jax.Array) -> Judged:
    """Returns how well `params` predict real rows. Pure: to be jitted by the caller.

    Args:
      model: The network.
      params: float32 `[P]`.
      codes: int32 `[d, m]`.
      positions: int32 `[p]`, columns to leave out.
      half: bool `[d, m]`, at least one cell of each row hidden.
    """
    columns = jnp.arange(codes.shape[0])

    def leave_out(position: jax.Array) -> jax.Array:
        masked = jnp.broadcast_to((columns == position)[:, None], codes.shape)
        return cell_losses(model.apply, params, codes, masked)[position]

    left_out = jax.lax.map(leave_out, positions)
    of_half = cell_losses(model.apply, params, codes, half) * half
    _, energy = model.apply(params, codes, jnp.zeros_like(half))
    return Judged(left_out, jnp.sum(of_half, axis=0) / jnp.sum(half, axis=0), jnp.sum(energy, axis=0))
