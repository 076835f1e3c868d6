"""Networks as pure functions of a parameter tree, and the widths at which two networks weigh the same."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from vr.core.errors import ConfigError
from vr.models import dft
from vr.models.causal import Causal
from vr.models.mlp import MaskedMlp
from vr.models.resonance import EXPANSION, Resonance, bands_of

__all__ = [
    "Apply",
    "Model",
    "causal",
    "causal_parameters",
    "mlp",
    "mlp_parameters",
    "mlp_shape",
    "resonance",
    "resonance_parameters",
    "resonance_width",
]

Apply = Callable[[jax.Array, jax.Array, jax.Array], tuple[jax.Array, jax.Array]]


@dataclass(frozen=True)
class Model:
    """A network cut at its boundary: beyond here it is functions of one flat vector of parameters.

    A flat vector makes the optimiser, the averages and the Hessian products one array operation each: the programs
    compile several times faster than over a tree, and members stack without ceremony.

    Attributes:
      init: Generator and log-marginals, `[d, K]` or for sequences `[K]`, to float32 `[P]`. Before training the model
        predicts those marginals.
      apply: Parameters `[P]`, codes `[d, B]` and mask `[d, B]` to logits `[d, B, K]` and energies `[blocks, F]`.
      parameters: P.
      width: Channels for each column (resonance) or hidden units (MLP).
      layers: Name, first and last (exclusive) position of each layer's stretch of the vector, in order.
      represent: The same arguments as `apply` to what the head is given, `[n, C]`: a row or a cell each.
      lean: Makes the same network with blocks that are worked out again for their gradient; None where they are.
    """

    init: Callable[[np.random.Generator, np.ndarray], np.ndarray]
    apply: Apply
    parameters: int
    width: int
    layers: tuple[tuple[str, int, int], ...]
    represent: Callable[[jax.Array, jax.Array, jax.Array], jax.Array]
    lean: Callable[[], "Model"] | None = field(default=None, compare=False)


# Of one shape one network, so that its compiled programs are found again.
@functools.lru_cache(maxsize=64)
def resonance(
    num_columns: int,
    num_codes: int,
    channels: int,
    depth: int,
    *,
    heads: int = 0,
    dtype: Any = jnp.float32,
    remat: bool = False,
    channels_first: bool = False,
) -> Model:
    """Returns the resonance network of this shape, its inner values in `dtype`, parameters in float32.

    With `channels_first` it is the same network to rounding, in the form for an accelerator.

    Raises:
      ConfigError: where heads do not divide the channels.
    """
    if heads and channels % heads:
        raise ConfigError(f"{heads} heads must divide {channels} channels", where="cascade.heads")
    options = {"heads": heads, "dtype": dtype, "channels_first": channels_first}
    build = functools.partial(Resonance, num_columns, num_codes, channels, depth, **options)
    return _cut(build, remat, resonance_parameters(num_columns, num_codes, channels, depth, heads), channels)


def causal(
    length: int, num_codes: int, channels: int, depth: int, *, dtype: Any = jnp.float32, remat: bool = False
) -> Model:
    """Returns the resonance network for sequences of one length, each position predicted from those before it.

    As the others, with positions for columns, but for the head, which all positions share: log-marginals are `[K]`.
    Energies are those of the transform at twice the length, `[blocks, length + 1]`.
    """
    build = functools.partial(Causal, length, num_codes, channels, depth, dtype=dtype)
    return _cut(build, remat, causal_parameters(length, num_codes, channels, depth), channels)


@functools.lru_cache(maxsize=64)
def mlp(
    num_columns: int, num_codes: int, parameters: int, depth: int, *, dtype: Any = jnp.float32, remat: bool = False
) -> Model:
    """Returns the MLP whose size comes nearest to `parameters`."""
    channels, hidden = mlp_shape(num_columns, num_codes, parameters, depth)
    build = functools.partial(MaskedMlp, num_columns, num_codes, channels, hidden, depth, dtype=dtype)
    return _cut(build, remat, mlp_parameters(num_columns, num_codes, channels, hidden, depth), hidden)


def mlp_shape(num_columns: int, num_codes: int, parameters: int, depth: int) -> tuple[int, int]:
    """Returns channels and hidden units of the MLP whose size comes nearest to `parameters`.

    The narrowest cell vector, 4 to 16, that leads within 2 %: what it saves goes to the hidden layers, where the
    columns meet.
    """
    best: tuple[float, int, int] | None = None
    for channels in range(4, 17):
        hidden = _widest(lambda h, c=channels: mlp_parameters(num_columns, num_codes, c, h, depth), parameters)
        for candidate in (hidden, hidden + 1):
            error = abs(mlp_parameters(num_columns, num_codes, channels, candidate, depth) / parameters - 1)
            error = max(error, 0.02)
            if best is None or error < best[0]:
                best = (error, channels, candidate)
    assert best is not None
    return best[1:]


def resonance_parameters(num_columns: int, num_codes: int, channels: int, depth: int, heads: int = 0) -> int:
    """Returns the number of parameters of `resonance` at this shape."""
    cells = num_columns * channels * (2 * num_codes + 1) + num_columns * num_codes + 2 * channels
    gate = 2 * dft.num_frequencies(num_columns) * channels
    mix = 2 * (int(bands_of(num_columns)[-1]) + 1) * channels**2 // heads if heads else 0
    return cells + depth * (gate + mix + _channel_mlp_parameters(channels))


def causal_parameters(length: int, num_codes: int, channels: int, depth: int) -> int:
    """Returns the number of parameters of `causal` at this shape."""
    tokens = channels * (2 * num_codes + length) + num_codes + 2 * channels
    return tokens + depth * ((length + 1) * channels + _channel_mlp_parameters(channels))


def mlp_parameters(num_columns: int, num_codes: int, channels: int, hidden: int, depth: int) -> int:
    """Returns the number of parameters of the MLP at this shape."""
    cells = num_columns * channels * (num_codes + 1) + channels
    head = num_columns * num_codes * (hidden + 1)
    return cells + num_columns * channels * hidden + depth * (2 * hidden**2 + hidden) + (depth + 1) * hidden + head


def resonance_width(
    num_columns: int, num_codes: int, depth: int, parameters: float, widest: int, heads: int = 0
) -> int:
    """Returns the smallest width with at least `parameters` parameters, up to `widest`.

    A multiple of the heads, and of 4 from 16 on.
    """
    of_width = functools.partial(resonance_parameters, num_columns, num_codes, depth=depth, heads=heads)
    width = 1 + _widest(lambda channels: of_width(channels=channels), int(parameters) - 1)
    step = math.lcm(heads or 1, 1 if width < 16 else 4)
    return min(-(-width // step) * step, widest)


def _channel_mlp_parameters(channels: int) -> int:
    """Returns those of a block beside its gate: the channel MLP and both norms."""
    return 2 * EXPANSION * channels**2 + (EXPANSION + 2) * channels


def _widest(size: Callable[[int], int], limit: int) -> int:
    """Returns the largest width, 1 or more, whose size stays within the limit (1 if none does); size must increase."""
    low, high = 1, 2
    while size(high) <= limit:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if size(middle) <= limit else (low, middle)
    return low


def _cut(shaped: Callable[..., Any], remat: bool, parameters: int, width: int) -> Model:
    build = functools.partial(shaped, remat=remat)
    blank = build(draw=lambda shape, std: np.zeros(shape, np.float32))
    graph, state = nnx.split(blank)
    paths, tree = jax.tree.flatten_with_path(state)
    leaves = [leaf for _, leaf in paths]
    shapes = [leaf.shape for leaf in leaves]
    *ends, whole = np.cumsum([int(np.prod(shape)) for shape in shapes]).tolist()

    def init(rng: np.random.Generator, log_marginals: np.ndarray) -> np.ndarray:
        network = build(draw=lambda shape, std: std * rng.standard_normal(shape, dtype=np.float32))
        bias = network.head.bias
        bias.set_value(np.asarray(log_marginals, np.float32).reshape(bias.shape))
        leaves = jax.tree.leaves(nnx.state(network))
        return np.concatenate([np.asarray(leaf, np.float32).ravel() for leaf in leaves])

    def network(params: jax.Array) -> Any:
        parts = [part.reshape(shape) for part, shape in zip(jnp.split(params, ends), shapes, strict=True)]
        return nnx.merge(graph, jax.tree.unflatten(tree, parts))

    def apply(params: jax.Array, codes: jax.Array, masked: jax.Array) -> tuple[jax.Array, jax.Array]:
        return network(params).with_energy(codes, masked)

    def represent(params: jax.Array, codes: jax.Array, masked: jax.Array) -> jax.Array:
        return network(params).representation(codes, masked)

    layers = _layers([_layer(path) for path, _ in paths], [0, *ends, whole])
    lean = None if remat else functools.cache(lambda: _cut(shaped, True, parameters, width))
    return Model(init, apply, parameters, width, layers, represent, lean)


def _layer(path: Any) -> str:
    """Returns the layer of a parameter: the first part of its path, numbered where the layer is one of several."""
    first, second = path[0].key, getattr(path[1], "key", None)
    return f"{first}.{second}" if isinstance(second, int) else str(first)


def _layers(names: list[str], bounds: list[int]) -> tuple[tuple[str, int, int], ...]:
    """Returns the stretch of each run of equal names; leaves are sorted by path, so that a layer is one run."""
    found: list[tuple[str, int, int]] = []
    for name, first, last in zip(names, bounds[:-1], bounds[1:], strict=True):
        if found and found[-1][0] == name:
            found[-1] = (name, found[-1][1], last)
        else:
            found.append((name, first, last))
    return tuple(found)
