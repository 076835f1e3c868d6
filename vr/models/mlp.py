"""The control: a residual MLP over the concatenated cells, with as many parameters as the resonance network."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from vr.models import dft
from vr.models.table import CellEmbedding, ColumnHead, Draw, rms_norm

__all__ = ["MaskedMlp"]


class MaskedMlp(nnx.Module):
    """Masked cells in, logits for every cell out; columns meet in dense layers."""

    def __init__(
        self,
        num_columns: int,
        num_codes: int,
        channels: int,
        hidden: int,
        depth: int,
        *,
        draw: Draw,
        dtype: Any = jnp.float32,
        remat: bool = False,
    ):
        def dense(fan_in: int, fan_out: int) -> nnx.Param:
            return nnx.Param(draw((fan_in, fan_out), fan_in**-0.5))

        self.remat = remat
        self.embedding = CellEmbedding(num_columns, num_codes, channels, draw=draw, dtype=dtype)
        self.into = dense(num_columns * channels, hidden)
        self.norms = nnx.Param(np.ones((depth + 1, hidden), np.float32))
        self.ups = nnx.List([dense(hidden, hidden) for _ in range(depth)])
        self.up_biases = nnx.Param(np.zeros((depth, hidden), np.float32))
        self.downs = nnx.List([dense(hidden, hidden) for _ in range(depth)])
        # One head over all columns: as a head of one column with d * K codes.
        self.head = ColumnHead(1, num_columns * num_codes, hidden)
        self.shape = (num_columns, num_codes)

    def __call__(self, codes: jax.Array, masked: jax.Array) -> jax.Array:
        """Returns logits `[d, B, K]` for codes `[d, B]` of which `masked` are hidden."""
        logits = self.head(self.representation(codes, masked)[None])
        return jnp.swapaxes(logits.reshape(codes.shape[1], *self.shape), 0, 1)

    def representation(self, codes: jax.Array, masked: jax.Array) -> jax.Array:
        """Returns what the head is given, each row's `[B, hidden]`."""
        rows = codes.shape[1]
        cells = self.embedding(codes, masked)
        with jax.named_scope("dense"):
            x = jnp.swapaxes(cells, 0, 1).reshape(rows, -1) @ self.into[...].astype(cells.dtype)
        norms = self.norms[...]
        block = jax.checkpoint(_block) if self.remat else _block
        for index, (up, down) in enumerate(zip(self.ups, self.downs, strict=True)):
            x = block(x, norms[index], up[...], self.up_biases[...][index], down[...])
        return rms_norm(x, norms[-1])

    def with_energy(self, codes: jax.Array, masked: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns the logits, and the energy of the cell vectors by frequency over the columns `[1, F]`.

        The control mixes no frequencies, but what it has made of the cells has a spectrum that can be compared.
        """
        real, imaginary = dft.forward(self.embedding(codes, masked))
        return self(codes, masked), jnp.mean(real**2 + imaginary**2, axis=(1, 2))[None]


@jax.named_scope("dense")
def _block(x: jax.Array, norm: jax.Array, up: jax.Array, bias: jax.Array, down: jax.Array) -> jax.Array:
    """A residual block in the type of `x`, norms in float32."""
    inner = rms_norm(x, norm) @ up.astype(x.dtype) + bias.astype(x.dtype)[None, :]
    return x + jax.nn.silu(inner) @ down.astype(x.dtype)
