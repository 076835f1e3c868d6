"""Judging a trained member on held-out real rows: every cell left out in turn, and half of the cells hidden."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from vr.cascade.step import cell_losses
from vr.models.build import Model

__all__ = ["Judged", "effective_rank", "judge"]


class Judged(NamedTuple):
    """Losses in nats, and the network's own spectrum and rank.

    Attributes:
      left_out: float32 `[p, m]`, loss of each judged cell when it alone is hidden.
      half: float32 `[m]`, mean loss of a row's hidden cells when half are hidden.
      energy: float32 `[F]`, mean energy of the gated spectrum by frequency, nothing hidden, blocks summed.
      rank: float32, effective rank of what the head is given, nothing hidden; 1 to its channels.
    """

    left_out: jax.Array
    half: jax.Array
    energy: jax.Array
    rank: jax.Array


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
    nothing = jnp.zeros_like(half)
    _, energy = model.apply(params, codes, nothing)
    rank = effective_rank(model.represent(params, codes, nothing))
    return Judged(left_out, jnp.sum(of_half, axis=0) / jnp.sum(half, axis=0), jnp.sum(energy, axis=0), rank)


def effective_rank(x: jax.Array) -> jax.Array:
    """Returns the exponential of the entropy of the singular values of `x` `[n, C]` about its mean, each as a share.

    Returns:
      float32, 1 (one direction) to C (all alike); NaN where `x` is constant or not finite.

    References:
      Roy and Vetterli 2007, The effective rank, EUSIPCO.
    """
    x = x.astype(jnp.float32)
    x = x - jnp.mean(x, axis=0, keepdims=True)
    # By the products of columns, of which there are few where rows are many.
    squares = jnp.linalg.eigvalsh(jnp.matmul(x.T, x, precision=jax.lax.Precision.HIGHEST))
    # What rounding alone leaves of a zero would count for much more once its root is taken.
    rounding = squares[-1] * x.shape[1] * jnp.finfo(x.dtype).eps
    values = jnp.sqrt(jnp.where(squares > rounding, squares, 0.0))
    shares = values / jnp.sum(values)
    return jnp.exp(-jnp.sum(jax.scipy.special.xlogy(shares, shares)))
