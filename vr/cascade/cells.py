"""What a trained network says of single cells, each predicted from the row's others, and how that came about.

Pure functions, to be jitted by the caller. Notation: d columns, p of them predicted, n rows, K codes, C inputs of the
last layer.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from vr.cascade.step import cell_losses
from vr.models.build import Model

__all__ = ["LastLayer", "PathGradients", "last_layer", "path_gradients"]


class LastLayer(NamedTuple):
    """The last layer of each predicted cell, when it alone is hidden.

    Attributes:
      inputs: float32 `[p, n, C]`, what the column's head is given.
      probabilities: float32 `[p, n, K]`, what it makes of it.
    """

    inputs: jax.Array
    probabilities: jax.Array


def last_layer(model: Model, params: jax.Array, codes: jax.Array, positions: jax.Array) -> LastLayer:
    """Returns the last layer of rows.

    Args:
      model: The network, of a table.
      params: float32 `[P]`.
      codes: int32 `[d, n]`.
      positions: int32 `[p]`, the columns to predict.
    """
    columns = jnp.arange(codes.shape[0])

    def leave_out(position: jax.Array) -> tuple[jax.Array, jax.Array]:
        masked = jnp.broadcast_to((columns == position)[:, None], codes.shape)
        logits, _ = model.apply(params, codes, masked)
        # The control's head is given a row, the resonance network's each cell of it.
        inputs = model.represent(params, codes, masked)
        inputs = inputs.reshape(-1, codes.shape[1], inputs.shape[-1])
        own = jnp.minimum(position, inputs.shape[0] - 1)
        return inputs[own].astype(jnp.float32), jax.nn.softmax(logits[position])

    return LastLayer(*jax.lax.map(leave_out, positions))


class PathGradients(NamedTuple):
    """Along the path on which all cells but the predicted one are shown together.

    Attributes:
      integral: float32 `[p, d, n]`, integral over the stretch of the derivative of a predicted cell's loss by how much
        of each other cell is shown, in nats; 0 for the predicted cell itself.
      hidden: float32 `[p, n]`, loss of the predicted cell where the path starts, nothing shown.
      shown: float32 `[p, n]`, where it ends, all others shown.
    """

    integral: jax.Array
    hidden: jax.Array
    shown: jax.Array


def path_gradients(
    model: Model,
    params: jax.Array,
    codes: jax.Array,
    positions: jax.Array,
    points: jax.Array,
    weights: jax.Array,
) -> PathGradients:
    """Returns a quadrature of integrated gradients over a stretch of the path from hidden to shown.

    The path is straight between the vector of a hidden cell and that of its code, so that the product of a gradient by
    a cell's vector with the way that the vector goes is the derivative by the share that is shown.

    Args:
      model: The network, of a table.
      params: float32 `[P]`.
      codes: int32 `[d, n]`.
      positions: int32 `[p]`, the columns to predict.
      points: float32 `[s]`, shares shown, 0 to 1.
      weights: float32 `[s]`, of the points.

    References:
      Sundararajan, Taly and Yan 2017, Axiomatic attribution for deep networks (arXiv 1703.01365), equation 1.
    """
    columns = jnp.arange(codes.shape[0])

    def of(position: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        others = (columns != position)[:, None]

        def losses(shown: jax.Array) -> jax.Array:
            return cell_losses(model.apply, params, codes, 1.0 - shown * others)[position]

        def add(total: jax.Array, point: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
            share, weight = point
            # Rows do not touch each other: the gradient of their sum is each one's own.
            return total + weight * jax.grad(lambda shown: jnp.sum(losses(shown)))(nothing + share), None

        nothing = jnp.zeros(codes.shape, jnp.float32)
        integral, _ = jax.lax.scan(add, nothing, (points, weights))
        return integral, losses(nothing), losses(nothing + 1.0)

    return PathGradients(*jax.lax.map(of, positions))
