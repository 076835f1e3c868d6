"""Judging a trained member on held-out real rows: every cell left out in turn, and half of the cells hidden."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from vr.cascade.step import cell_losses
from vr.models.build import Model

__all__ = ["Judged", "effective_rank", "judge"]

# A network's memory grows with the rows that it is given at once, and 20,000 of them do not fit beside each other on a
# device that trains on 1,024: it is for the presets of accelerators; the others judge by fewer rows than these.
_MOST_ROWS = 1_024


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


def judge(
    model: Model,
    params: jax.Array,
    codes: jax.Array,
    positions: jax.Array,
    half: jax.Array,
    most_rows: int = _MOST_ROWS,
) -> Judged:
    """Returns how well `params` predict real rows. Pure: to be jitted by the caller.

    Args:
      model: The network.
      params: float32 `[P]`.
      codes: int32 `[d, m]`.
      positions: int32 `[p]`, columns to leave out.
      half: bool `[d, m]`, at least one cell of each row hidden.
      most_rows: Rows that go through the network at a time.
    """

    def of(rows: tuple[jax.Array, jax.Array]) -> tuple[Any, ...]:
        return _of_rows(model, params, rows[0], positions, rows[1])

    num_columns, num_rows = codes.shape
    whole = num_rows // most_rows if num_rows > most_rows else 0
    cut = whole * most_rows
    parts, sizes = [], [most_rows] * whole
    if whole:
        blocks = (x[:, :cut].reshape(num_columns, whole, most_rows).swapaxes(0, 1) for x in (codes, half))
        mapped = jax.lax.map(of, tuple(blocks))
        parts += [jax.tree.map(lambda x, i=i: x[i], mapped) for i in range(whole)]
    if cut < num_rows:
        parts.append(of((codes[:, cut:], half[:, cut:])))
        sizes.append(num_rows - cut)
    if len(parts) == 1:
        left_out, of_half, energy, spread = parts[0]
    else:
        left_out, of_half, energies, spreads = zip(*parts, strict=True)
        left_out, of_half = jnp.concatenate(left_out, axis=1), jnp.concatenate(of_half)
        energy = jnp.einsum("i,if->f", jnp.asarray(sizes, jnp.float32) / num_rows, jnp.stack(energies))
        spread = _together(spreads)
    return Judged(left_out, of_half, energy, _rank(spread))


def _of_rows(
    model: Model, params: jax.Array, codes: jax.Array, positions: jax.Array, half: jax.Array
) -> tuple[Any, ...]:
    """Returns `Judged`'s losses and energy of rows that go through the network at once, and their `_Spread`."""
    columns = jnp.arange(codes.shape[0])

    def leave_out(position: jax.Array) -> jax.Array:
        masked = jnp.broadcast_to((columns == position)[:, None], codes.shape)
        return cell_losses(model.apply, params, codes, masked)[position]

    left_out = jax.lax.map(leave_out, positions)
    of_half = cell_losses(model.apply, params, codes, half) * half
    nothing = jnp.zeros_like(half)
    _, energy = model.apply(params, codes, nothing)
    spread = _spread(model.represent(params, codes, nothing))
    return left_out, jnp.sum(of_half, axis=0) / jnp.sum(half, axis=0), jnp.sum(energy, axis=0), spread


def effective_rank(x: jax.Array) -> jax.Array:
    """Returns the exponential of the entropy of the singular values of `x` `[n, C]` about its mean, each as a share.

    Returns:
      float32, 1 (one direction) to C (all alike); NaN where `x` is constant or not finite.

    References:
      Roy and Vetterli 2007, The effective rank, EUSIPCO.
    """
    return _rank(_spread(x))


class _Spread(NamedTuple):
    """How points lie about their mean, which takes no more memory the more there are.

    Attributes:
      triangle: float32 `[r, C]`, r at most C: the product of its transpose with it is that of the points about their
        mean, and so it has their singular values.
      mean: float32 `[C]`.
      size: float32, the largest of their coordinates.
      count: float32, how many there are.
    """

    triangle: jax.Array
    mean: jax.Array
    size: jax.Array
    count: jax.Array


def _spread(x: jax.Array) -> _Spread:
    x = x.astype(jnp.float32)
    size = jnp.max(jnp.abs(x))
    # Twice, since a sum of many rows is off by more than one rounding.
    mean = jnp.mean(x, axis=0, keepdims=True)
    x = x - mean
    rest = jnp.mean(x, axis=0, keepdims=True)
    x = x - rest
    # Products of columns would square the singular values, and lose to rounding whatever is below a few thousandths of
    # the largest.
    triangle = jnp.linalg.qr(x, mode="r")
    return _Spread(triangle, (mean + rest)[0], size, jnp.asarray(x.shape[0], jnp.float32))


def _together(spreads: Sequence[_Spread]) -> _Spread:
    """Returns the spread of all the points: what lies about the parts' own means, and those about the mean of all."""
    counts = jnp.stack([spread.count for spread in spreads])
    means = jnp.stack([spread.mean for spread in spreads])
    whole = jnp.sum(counts)
    mean = jnp.sum(counts[:, None] / whole * means, axis=0)
    between = jnp.sqrt(counts)[:, None] * (means - mean[None])
    triangle = jnp.linalg.qr(jnp.concatenate([*(spread.triangle for spread in spreads), between]), mode="r")
    return _Spread(triangle, mean, jnp.max(jnp.stack([spread.size for spread in spreads])), whole)


def _rank(spread: _Spread) -> jax.Array:
    values = jnp.linalg.svd(spread.triangle, compute_uv=False)
    eps, channels = jnp.finfo(values.dtype).eps, spread.triangle.shape[1]
    # What rounding leaves of a zero: of the decomposition, and of the mean that was taken off.
    rounding = eps * jnp.maximum(channels**0.5 * values[0], jnp.sqrt(spread.count * channels) * spread.size)
    values = jnp.where(values > rounding, values, 0.0)
    shares = values / jnp.sum(values)
    return jnp.exp(-jnp.sum(jax.scipy.special.xlogy(shares, shares)))
