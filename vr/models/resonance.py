"""The resonance network: columns exchange what they know through learned complex gates over frequencies.

A block is `x + gate(norm(x))`, then `x + mlp(norm(x))`. The gate transforms over the column axis, multiplies each
frequency of each channel by a learned complex number, and transforms back: a circular convolution over columns, one
kernel a channel (FNet, arXiv 2105.03824, with the learned filter of GFNet, arXiv 2107.00645). With heads, groups of
channels, a head also mixes its own channels by a complex matrix for each band of frequencies. A table's columns have no
order, so the convolution is a mixer and nothing more; what belongs to a column enters with its own value embedding and
leaves through its own head. The equal-parameter control is `vr.models.mlp`.

Two forms of a block compute the same, to rounding. `ResonanceBlock` goes by the spectrum, and is what a processor
trains. `ChannelsFirstBlock` takes the convolution as a product with one matrix a channel, for an accelerator that has
many members stacked: no spectrum is written to memory, and no array turned round between products.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from vr.models import dft
from vr.models.table import CellEmbedding, ColumnHead, Draw, rms_norm

__all__ = ["ChannelsFirstBlock", "Resonance", "ResonanceBlock", "bands_of"]

EXPANSION = 2  # hidden units of the channel MLP for each channel
_MOST_BANDS = 4


def bands_of(positions: int) -> np.ndarray:
    """Returns each frequency's band: four bands as even as can be, or one for each frequency where there are fewer."""
    frequencies = dft.num_frequencies(positions)
    return np.arange(frequencies) * min(_MOST_BANDS, frequencies) // frequencies


class ResonanceBlock(nnx.Module):
    """One gate and one channel MLP, each behind a norm and around a residual."""

    def __init__(self, positions: int, channels: int, *, draw: Draw, heads: int = 0):
        self.heads = heads
        self.gate = nnx.Param(self.drawn_gate(positions, channels, draw))
        self.gate_norm = nnx.Param(np.ones((channels,), np.float32))
        self.mlp_norm = nnx.Param(np.ones((channels,), np.float32))
        inner = EXPANSION * channels
        self.up = nnx.Param(draw((channels, inner), channels**-0.5))
        self.up_bias = nnx.Param(np.zeros((inner,), np.float32))
        self.down = nnx.Param(draw((inner, channels), inner**-0.5))
        if heads:
            bands, own = int(bands_of(positions)[-1]) + 1, channels // heads
            self.mix = nnx.Param(draw((2, bands, heads, own, own), 0.5 * own**-0.5))

    def drawn_gate(self, positions: int, channels: int, draw: Draw) -> Any:
        """Returns the gate before training: a random kernel of unit energy, so that it mixes from the first step on."""
        return draw((2, dft.num_frequencies(positions), 1, channels), 0.7)

    def padded_to(self, positions: int) -> int:
        """Returns the length at which the block transforms."""
        return positions

    def spectrum(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns the gated spectrum of `x` `[d, B, C]`: real and imaginary parts `[F, B, C]`."""
        real, imag = dft.forward(rms_norm(x, self.gate_norm[...]))
        gate = self.gate[...]
        gated = real * gate[0] - imag * gate[1], real * gate[1] + imag * gate[0]
        if not self.heads:
            return gated
        weights = self.mix[...][:, bands_of(x.shape[0])]

        def mixed(part: jax.Array, by: jax.Array) -> jax.Array:
            by_head = part.reshape(*part.shape[:2], self.heads, -1)
            return jnp.einsum("fbhc,fhce->fbhe", by_head, by).reshape(part.shape)

        return (
            gated[0] + mixed(real, weights[0]) - mixed(imag, weights[1]),
            gated[1] + mixed(real, weights[1]) + mixed(imag, weights[0]),
        )

    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns the block's output `[d, B, C]` and the mean energy of its gated spectrum at each frequency `[F]`."""
        # Scopes are for a profiler: it shows under them what their operations take.
        with jax.named_scope("gate"):
            real, imag = self.spectrum(x)
            energy = jnp.mean(real**2 + imag**2, axis=(1, 2))
            x = x + dft.inverse(real, imag, self.padded_to(x.shape[0]), first=x.shape[0]).astype(x.dtype)
        with jax.named_scope("channels"):
            up, bias, down = (each[...].astype(x.dtype) for each in (self.up, self.up_bias, self.down))
            inner = jax.nn.silu(rms_norm(x, self.mlp_norm[...]) @ up + bias[None, None, :])
            return x + inner @ down, energy


class ChannelsFirstBlock(ResonanceBlock):
    """The block without heads on `[C, d, B]`, its gate a product with each channel's circulant matrix.

    The matrix is in the type of what it is given, its product summed in float32: where that is bfloat16, the kernel is
    rounded to it, which in the other form the spectrum is not.
    """

    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns the block's output `[C, d, B]` and the mean energy of its gated spectrum at each frequency `[F]`."""
        with jax.named_scope("gate"):
            # While a network trains nobody asks for the energy, and the compiler leaves out the spectrum.
            real, imag = self.spectrum(jnp.moveaxis(x, 0, -1))
            energy = jnp.mean(real**2 + imag**2, axis=(1, 2))
            kernel = dft.inverse(*self.gate[...], positions=x.shape[1])[:, 0].T
            normed = rms_norm(x, self.gate_norm[...], axis=0)
            x = x + jnp.einsum("cij,cjb->cib", dft.circulant(kernel).astype(x.dtype), normed)
        with jax.named_scope("channels"):
            up, bias, down = (each[...].astype(x.dtype) for each in (self.up, self.up_bias, self.down))
            # Of cells as one axis: the compiler then writes a gradient's product as it is used, too.
            normed = rms_norm(x, self.mlp_norm[...], axis=0).reshape(x.shape[0], -1)
            inner = jax.nn.silu(up.T @ normed + bias[:, None])
            return x + (down.T @ inner).reshape(x.shape), energy


class Resonance(nnx.Module):
    """Masked cells in, logits for every cell out.

    Transforms, norms and logits are float32 whatever `dtype` the rest is in; with `remat` a block's inner values are
    worked out again for its gradient rather than kept. With `channels_first` blocks are `ChannelsFirstBlock`s, where
    they can be: without heads, and as long as transforms are matrix products.
    """

    def __init__(
        self,
        num_columns: int,
        num_codes: int,
        channels: int,
        depth: int,
        *,
        draw: Draw,
        heads: int = 0,
        dtype: Any = jnp.float32,
        remat: bool = False,
        channels_first: bool = False,
    ):
        self.remat = remat
        self.channels_first = channels_first and not heads and num_columns <= dft.MATRIX_LIMIT
        block: type[ResonanceBlock] = ChannelsFirstBlock if self.channels_first else ResonanceBlock
        self.embedding = CellEmbedding(num_columns, num_codes, channels, draw=draw, dtype=dtype)
        self.blocks = nnx.List([block(num_columns, channels, draw=draw, heads=heads) for _ in range(depth)])
        self.norm = nnx.Param(np.ones((channels,), np.float32))
        self.head = ColumnHead(num_columns, num_codes, channels)

    def __call__(self, codes: jax.Array, masked: jax.Array) -> jax.Array:
        """Returns logits `[d, B, K]` for codes `[d, B]` of which `masked` are hidden."""
        return self.with_energy(codes, masked)[0]

    def with_energy(self, codes: jax.Array, masked: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns the logits and the mean energy at each block's gate and frequency `[depth, F]`."""
        hidden, energies = self._hidden(codes, masked)
        return self.head(hidden), energies

    def representation(self, codes: jax.Array, masked: jax.Array) -> jax.Array:
        """Returns what the head is given, each cell's `[d * B, C]`."""
        hidden, _ = self._hidden(codes, masked)
        return hidden.reshape(-1, hidden.shape[-1])

    def _hidden(self, codes: jax.Array, masked: jax.Array) -> tuple[jax.Array, jax.Array]:
        x = self.embedding(codes, masked)
        if self.channels_first:
            x = jnp.moveaxis(x, -1, 0)
        energies = []
        for block in self.blocks:
            call: Any = type(block).__call__
            x, energy = (nnx.remat(call) if self.remat else call)(block, x)
            energies.append(energy)
        if self.channels_first:
            x = jnp.moveaxis(x, 0, -1)
        return rms_norm(x, self.norm[...]), jnp.stack(energies)
