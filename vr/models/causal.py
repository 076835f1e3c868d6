"""The resonance network for sequences: position t is predicted from the positions before it.

The blocks are those of `vr.models.resonance` with another gate. A gate over all frequencies is a circular convolution:
the end of a sequence reaches its beginning. Here a kernel over positions is learned, under a window that decays at a
learned rate for each channel, and signal and kernel are transformed at twice the length, zeros in the second half: the
product of their spectra is then the linear convolution, in which nothing wraps (Hyena, arXiv 2302.10866, section 3).
That no position sees itself is the embedding's doing, which gives each position the token before it.

Notation: L positions, B sequences, K codes, C channels. Arrays are positions-first, `[L, B, ...]`.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from vr.models import dft
from vr.models.resonance import Resonance, ResonanceBlock
from vr.models.table import ColumnHead, Draw, rms_norm

__all__ = ["Causal", "CausalBlock"]


class CausalBlock(ResonanceBlock):
    """The resonance block with a causal gate: a kernel over lags `[L, 1, C]` and its decay a step `[1, C]`."""

    def __init__(self, positions: int, channels: int, *, draw: Draw):
        super().__init__(positions, channels, draw=draw)
        self.log_decay = nnx.Param(np.log(_decays(positions, channels)).astype(np.float32))

    def drawn_gate(self, positions: int, channels: int, draw: Draw) -> Any:
        """Returns a random kernel that has unit energy under its window."""
        energy = np.exp(-2.0 * np.arange(positions)[:, None, None] * _decays(positions, channels)).sum(axis=0)
        return (draw((positions, 1, channels), 1.0) / np.sqrt(energy)).astype(np.float32)

    def padded_to(self, positions: int) -> int:
        """Returns twice the length."""
        return 2 * positions

    def spectrum(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns the spectrum of the convolved `x` `[L, B, C]`: real and imaginary parts `[L + 1, B, C]`."""
        # Positions before L need no more than the kernel's first L lags.
        return dft.causal_spectrum(rms_norm(x, self.gate_norm[...]), self.gate[...], jnp.exp(self.log_decay[...]))


class ShiftedEmbedding(nnx.Module):
    """A vector for each position: of the token before it, and of its place; one for a token that is not known."""

    def __init__(self, length: int, num_codes: int, channels: int, *, draw: Draw, dtype: Any):
        self.dtype = dtype
        self.value = nnx.Param(draw((num_codes, channels), 0.7))
        self.position = nnx.Param(draw((length, 1, channels), 0.7))
        self.unknown = nnx.Param(draw((1, 1, channels), 0.7))

    def __call__(self, codes: jax.Array, masked: jax.Array) -> jax.Array:
        """Returns `[L, B, C]` for codes `[L, B]` of which `masked` are hidden; before the first, nothing is known."""
        shifted = jnp.where(masked, -1, codes)[:-1]
        shifted = jnp.concatenate([jnp.full((1, codes.shape[1]), -1, shifted.dtype), shifted])
        # A product with one-hot codes, as in a table's embedding.
        value = jax.nn.one_hot(shifted, self.value.shape[0], dtype=self.dtype) @ self.value[...].astype(self.dtype)
        unknown = (shifted < 0)[..., None] * self.unknown[...].astype(self.dtype)
        return value + self.position[...].astype(self.dtype) + unknown


class SharedHead(ColumnHead):
    """Logits by one and the same kernel at every position."""

    def __init__(self, num_codes: int, channels: int):
        super().__init__(1, num_codes, channels)

    def __call__(self, hidden: jax.Array) -> jax.Array:
        """Returns float32 `[L, B, K]` for hidden `[L, B, C]`."""
        logits = super().__call__(hidden.reshape(1, -1, hidden.shape[-1]))
        return logits.reshape(*hidden.shape[:-1], -1)


class Causal(Resonance):
    """Tokens in, logits for every token given those before it out; otherwise as `Resonance`."""

    def __init__(
        self,
        length: int,
        num_codes: int,
        channels: int,
        depth: int,
        *,
        draw: Draw,
        dtype: Any = jnp.float32,
        remat: bool = False,
    ):
        self.remat, self.channels_first = remat, False
        self.embedding = ShiftedEmbedding(length, num_codes, channels, draw=draw, dtype=dtype)
        self.blocks = nnx.List([CausalBlock(length, channels, draw=draw) for _ in range(depth)])
        self.norm = nnx.Param(np.ones((channels,), np.float32))
        self.head = SharedHead(num_codes, channels)


def _decays(positions: int, channels: int) -> np.ndarray:
    """Returns decays a step `[1, C]`, geometric from the whole length's to a single step's: every range is covered."""
    return np.geomspace(1.0 / positions, 1.0, channels)[None]
