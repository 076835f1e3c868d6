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
    size = jnp.max(jnp.abs(x))
    # Twice, since a sum of many rows is off by more than one rounding.
    x = x - jnp.mean(x, axis=0, keepdims=True)
    x = x - jnp.mean(x, axis=0, keepdims=True)
    # Of the triangle, which has the same ones and as many rows as columns. Products of columns would square them, and
    # lose to rounding whatever is below a few thousandths of the largest.
    values = jnp.linalg.svd(jnp.linalg.qr(x, mode="r"), compute_uv=False)
    eps = jnp.finfo(x.dtype).eps
    # What rounding leaves of a zero: of the decomposition, and of the mean that was taken off.
    rounding = eps * jnp.maximum(x.shape[1] ** 0.5 * values[0], x.size**0.5 * size)
    values = jnp.where(values > rounding, values, 0.0)
    shares = values / jnp.sum(values)
    return jnp.exp(-jnp.sum(jax.scipy.special.xlogy(shares, shares)))
