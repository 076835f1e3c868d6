"""The discrete Fourier transform over the leading axis, as a matrix product where that is cheaper.

Up to `MATRIX_LIMIT` positions the transform is one dense product with a cosine and sine table: it runs at the speed of
the matrix units, batches under `vmap` and compiles to one call. Beyond, `rfft`. Both are in float32.

Notation: d positions, F = d // 2 + 1 frequencies.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np

__all__ = [
    "MATRIX_LIMIT",
    "causal_convolution",
    "causal_spectrum",
    "circulant",
    "forward",
    "inverse",
    "num_frequencies",
]

MATRIX_LIMIT = 256  # positions


def num_frequencies(positions: int) -> int:
    """Returns how many frequencies a real signal of this length has."""
    return positions // 2 + 1


@functools.cache
def _tables(positions: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the analysis table `[2F, d]` (cosines, then minus sines) and the synthesis table `[d, 2F]`."""
    frequencies = np.arange(num_frequencies(positions))
    # The product is reduced modulo d before the cosine: exact phases at any length.
    angle = 2 * np.pi * (np.outer(frequencies, np.arange(positions)) % positions) / positions
    # Every frequency but 0 and d/2 stands for itself and its conjugate.
    weight = np.where((frequencies == 0) | (2 * frequencies == positions), 1.0, 2.0)[:, None] / positions
    analysis = np.concatenate([np.cos(angle), -np.sin(angle)])
    synthesis = np.concatenate([weight * np.cos(angle), -weight * np.sin(angle)]).T
    return analysis.astype(np.float32), synthesis.astype(np.float32)


def forward(
    signal: jax.Array, *, padded_to: int | None = None, as_matrix: bool | None = None
) -> tuple[jax.Array, jax.Array]:
    """Returns the real and imaginary parts of the transform over axis 0.

    Args:
      signal: Real, `[d, ...]`.
      padded_to: Positions of the transform, at least d; those beyond d are zeros. None: d.
      as_matrix: Force the matrix product (True) or `rfft` (False); None chooses by length.

    Returns:
      Two float32 arrays `[F, ...]`, as `jnp.fft.rfft(signal, n=padded_to, axis=0)` has them.
    """
    length, positions = signal.shape[0], padded_to or signal.shape[0]
    signal = signal.astype(jnp.float32)
    if positions <= MATRIX_LIMIT if as_matrix is None else as_matrix:
        analysis, _ = _tables(positions)
        both = (jnp.asarray(analysis[:, :length]) @ signal.reshape(length, -1)).reshape(-1, *signal.shape[1:])
        half = num_frequencies(positions)
        return both[:half], both[half:]
    spectrum = jnp.fft.rfft(signal, n=positions, axis=0)
    return spectrum.real, spectrum.imag


def inverse(
    real: jax.Array, imag: jax.Array, positions: int, *, first: int | None = None, as_matrix: bool | None = None
) -> jax.Array:
    """Returns the real signal of a spectrum `[F, ...]` given by its parts: all `positions`, or the `first` of them.

    As with `irfft`, the imaginary parts at frequency 0 and, for even d, at d/2 do not count.
    """
    first = positions if first is None else first
    if positions <= MATRIX_LIMIT if as_matrix is None else as_matrix:
        _, synthesis = _tables(positions)
        both = jnp.concatenate([real, imag]).reshape(2 * real.shape[0], -1)
        return (jnp.asarray(synthesis[:first]) @ both).reshape(first, *real.shape[1:])
    return jnp.fft.irfft(jax.lax.complex(real, imag), n=positions, axis=0)[:first]


def circulant(kernel: jax.Array) -> jax.Array:
    """Returns the matrices of circular convolutions, `[C, d, d]` for kernels `[C, d]`.

    Entry (c, i, j) is kernel c at lag i - j modulo d. By tiling and reshaping: its gradient is a sum, where that of a
    gather would be a scatter.
    """
    channels, length = kernel.shape
    # One less than a row's length on, modulo d, is one step back.
    tiled = jnp.tile(kernel, (1, 2 * length - 1)).reshape(channels, length, 2 * length - 1)
    return tiled[..., :length].swapaxes(1, 2)


def causal_spectrum(
    signal: jax.Array, kernel: jax.Array, decay: jax.Array | float = 0.0, *, as_matrix: bool | None = None
) -> tuple[jax.Array, jax.Array]:
    """Returns the spectrum of `causal_convolution` at twice the length, float32 `[length + 1, ...]` each part."""
    length = signal.shape[0]
    lag = jnp.arange(length, dtype=jnp.float32).reshape(length, *(1,) * (kernel.ndim - 1))
    windowed = kernel * jnp.exp(-jnp.broadcast_to(jnp.asarray(decay), kernel.shape[1:])[None] * lag)
    (a, b), (c, d) = (forward(part, padded_to=2 * length, as_matrix=as_matrix) for part in (signal, windowed))
    return a * c - b * d, a * d + b * c


def causal_convolution(
    signal: jax.Array, kernel: jax.Array, decay: jax.Array | float = 0.0, *, as_matrix: bool | None = None
) -> jax.Array:
    """Returns `y[t] = sum_{s <= t} exp(-decay (t - s)) kernel[t - s] signal[s]`, the resonance gate for sequences.

    Zero-padding to twice the length keeps the circular product of spectra from wrapping the future onto the past.

    Args:
      signal: Real, `[length, ...]`.
      kernel: Real, `[length, ...]`, broadcastable against `signal` after the first axis.
      decay: 0 or more, for each step back; broadcastable against `kernel[0]`.
      as_matrix: As in `forward`; None chooses by twice the length.

    Returns:
      float32 `[length, ...]`; position t depends on positions up to t alone.
    """
    length = signal.shape[0]
    real, imag = causal_spectrum(signal, kernel, decay, as_matrix=as_matrix)
    return inverse(real, imag, 2 * length, first=length, as_matrix=as_matrix)
