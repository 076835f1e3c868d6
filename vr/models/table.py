"""What both networks share: cells into vectors, vectors into logits. Arrays are columns-first: `[d, B, ...]`.

Notation: d columns, B rows, K codes, C channels. Columns lead so that a product over columns and one over channels are
both plain matrix products without a transposition.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

__all__ = ["CellEmbedding", "ColumnHead", "Draw", "INVALID", "rms_norm"]

INVALID = -30.0  # log-probability of a code that a column does not have; finite, so that gradients stay so

# Shape and standard deviation to normal numbers. NumPy's generator on a CPU: tracing and compiling a threefry took
# longer than training the smallest tier.
Draw = Callable[[tuple[int, ...], float], Any]


class CellEmbedding(nnx.Module):
    """A vector for each cell: a table of codes for each column, a vector for the column, one for a masked cell."""

    def __init__(self, num_columns: int, num_codes: int, channels: int, *, draw: Draw, dtype: Any = jnp.float32):
        self.dtype = dtype
        self.value = nnx.Param(draw((num_columns, num_codes, channels), 0.7))
        self.column = nnx.Param(draw((num_columns, 1, channels), 0.7))
        self.mask = nnx.Param(draw((channels,), 0.7))

    @jax.named_scope("embedding")
    def __call__(self, codes: jax.Array, masked: jax.Array) -> jax.Array:
        """Returns `[d, B, C]` in the module's type for codes `[d, B]` (int) of which `masked` (bool) are hidden.

        Where `masked` are numbers, 0 (shown) to 1 (hidden), a cell lies on the straight line between its two vectors.
        """
        # A product with one-hot codes: its gradient is a product too, where a gather's is a slow scatter on a CPU.
        num_codes = self.value.shape[1]
        if masked.dtype == bool:
            onehot = jax.nn.one_hot(jnp.where(masked, -1, codes), num_codes, dtype=self.dtype)
        else:
            masked = masked.astype(self.dtype)
            onehot = jax.nn.one_hot(codes, num_codes, dtype=self.dtype) * (1.0 - masked)[..., None]
        value = jnp.einsum("dbk,dkc->dbc", onehot, self.value[...].astype(self.dtype))
        mask = masked[..., None] * self.mask[...].astype(self.dtype)[None, None, :]
        return value + self.column[...].astype(self.dtype) + mask


class ColumnHead(nnx.Module):
    """Logits over each column's codes. The kernel starts at zero: the first prediction is the bias, the marginal."""

    def __init__(self, num_columns: int, num_codes: int, channels: int):
        self.kernel = nnx.Param(np.zeros((num_columns, channels, num_codes), np.float32))
        self.bias = nnx.Param(np.zeros((num_columns, 1, num_codes), np.float32))

    @jax.named_scope("head")
    def __call__(self, hidden: jax.Array) -> jax.Array:
        """Returns float32 `[d, B, K]` for hidden `[d, B, C]`, whatever type that has."""
        kernel = self.kernel[...].astype(hidden.dtype)
        return jnp.einsum("dbc,dck->dbk", hidden, kernel, preferred_element_type=jnp.float32) + self.bias[...]


def rms_norm(x: jax.Array, scale: jax.Array, axis: int = -1) -> jax.Array:
    """Returns `x` over its root mean square by channels, times `scale` `[C]`; in float32 inside.

    Args:
      x: The channels along `axis`.
      scale: Of each channel.
      axis: Where they are; the last by default.
    """
    scale = scale.reshape([-1 if each == axis % x.ndim else 1 for each in range(x.ndim)])
    wide = x.astype(jnp.float32)
    return (wide * jax.lax.rsqrt(jnp.mean(wide * wide, axis=axis, keepdims=True) + 1e-6) * scale).astype(x.dtype)
