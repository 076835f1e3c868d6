"""Training of the small networks: minibatches in rounds, a running average of the weights, stopped early.

What is compiled knows neither the number of rows nor the columns' levels: a round always takes the same number of
batches of one size, so a network is traced once for each number of columns, however often it is fitted.

The same key gives the same weights, bit for bit, on one machine. XLA splits sums by the number of threads, so another
number of cores changes the last bits, and training amplifies them; `NPROC=1` in the environment makes it one thread.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from flax import nnx
from jax.flatten_util import ravel_pytree

__all__ = [
    "BLOCK",
    "Arrays",
    "Draw",
    "Flat",
    "State",
    "Trainer",
    "flatten",
    "in_blocks",
    "make_trainer",
    "pad_columns",
    "train",
]

BATCH = 128
BATCHES = 16  # in a round
HELD = 512  # held-out rows that a round is judged by
BLOCK = 1024  # rows that are sampled at once
_AVERAGING = 0.98  # share of the running average that a step keeps
_PROGRESS = 1e-4  # share of the loss by which a better one must be better

Arrays = tuple[Any, ...]
Draw = Callable[[tuple[int, ...], float], np.ndarray]
Loss = Callable[[jax.Array, Arrays, Arrays], jax.Array]


class Flat(NamedTuple):
    """A network as functions of one vector of parameters, which compile faster than functions of a tree.

    Attributes:
      init: Generator to float32 `[P]`.
      merge: Parameters `[P]` to the network; to be called while tracing.
    """

    init: Callable[[np.random.Generator], np.ndarray]
    merge: Callable[[jax.Array], Any]


class State(NamedTuple):
    """What a round carries: parameters `[P]`, their running average, and the optimiser's state."""

    params: jax.Array
    average: jax.Array
    opt_state: optax.OptState


class Trainer(NamedTuple):
    """Compiled programs: `start(params) -> state`, `advance(state, batches, held, context) -> state, held_loss`."""

    start: Callable[[np.ndarray], State]
    advance: Callable[[State, Arrays, Arrays, Arrays], tuple[State, jax.Array]]


def flatten(build: Callable[..., nnx.Module]) -> Flat:
    """Returns the network that `build(draw=...)` makes; `draw(shape, std)` gives the initial weights."""
    graph, blank = nnx.split(build(draw=lambda shape, std: np.zeros(shape, np.float32)))
    _, unravel = ravel_pytree(blank)

    def init(rng: np.random.Generator) -> np.ndarray:
        network = build(draw=lambda shape, std: std * rng.standard_normal(shape, dtype=np.float32))
        leaves = jax.tree.leaves(nnx.state(network))
        return np.concatenate([np.asarray(leaf, np.float32).ravel() for leaf in leaves])

    return Flat(init, lambda params: nnx.merge(graph, unravel(params)))


def make_trainer(loss: Loss, learning_rate: float) -> Trainer:
    """Returns the programs that minimise `loss` by Adam.

    Args:
      loss: Parameters `[P]`, rows (arrays with one entry per row) and context (arrays without) to one loss per row.
      learning_rate: Positive.
    """
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(learning_rate, b2=0.99))

    def update(context: Arrays, state: State, batch: Arrays) -> tuple[State, None]:
        grads = jax.grad(lambda params: loss(params, batch, context).mean())(state.params)
        updates, opt_state = optimizer.update(grads, state.opt_state, state.params)
        params: Any = optax.apply_updates(state.params, updates)
        average = _AVERAGING * state.average + (1 - _AVERAGING) * params
        return State(params, average, opt_state), None

    @jax.jit
    def advance(state: State, batches: Arrays, held: Arrays, context: Arrays) -> tuple[State, jax.Array]:
        state, _ = jax.lax.scan(functools.partial(update, context), state, batches)
        return state, loss(state.average, held, context).mean()

    return Trainer(jax.jit(lambda params: State(params, params, optimizer.init(params))), advance)


def train(
    trainer: Trainer,
    params: np.ndarray,
    rows: Arrays,
    context: Arrays,
    rng: np.random.Generator,
    num_noise: int = 0,
    most_rounds: int = 60,
    patience: int = 5,
) -> np.ndarray:
    """Returns the averaged parameters, `[P]`, of the round with the least loss on rows held out.

    Args:
      trainer: From `make_trainer`.
      params: Where to start, `[P]`.
      rows: Arrays `[n, ...]`. A tenth of the rows is held out, none where there are fewer than 10.
      context: Handed to the loss as it is.
      rng: Splits, shuffles, and draws the noise.
      num_noise: If positive, an array `[rows, num_noise]` of standard normals follows the rows' arrays, drawn anew
        for each batch and once for the rows held out.
      most_rounds: Rounds of 2,048 rows.
      patience: Rounds without a better loss that are waited for.

    Raises:
      FloatingPointError: The loss is no longer finite.
    """
    n = len(rows[0])
    order = rng.permutation(n)
    num_held = n // 10 if n < 20 * HELD else HELD
    held = _take(rows, np.resize(order[:num_held] if num_held else order, HELD), rng, num_noise)
    shuffled = _Shuffled(order[num_held:], rng)
    state = trainer.start(params)
    best, best_loss, waited = state.average, np.inf, 0
    for _ in range(most_rounds):
        batches = _take(rows, shuffled.draw(BATCHES * BATCH).reshape(BATCHES, BATCH), rng, num_noise)
        state, loss = trainer.advance(state, batches, held, context)
        held_loss = float(loss)
        if not np.isfinite(held_loss):
            raise FloatingPointError(f"training diverged: the held-out loss is {held_loss}")
        waited += 1
        if held_loss < best_loss - _PROGRESS * abs(held_loss):
            best, best_loss, waited = state.average, held_loss, 0
        if waited == patience:
            break
    return np.asarray(best)


def pad_columns(num_columns: int) -> int:
    """Returns the number of columns that a network is built for: the next multiple of four."""
    return 4 * -(-max(num_columns, 1) // 4)


def in_blocks(program: Callable[..., Any], n: int, *arrays: np.ndarray) -> list[np.ndarray]:
    """Returns what `program` makes of `arrays`, each `[n, ...]`, in blocks of one size; outputs are `[n, ...]`."""
    made = []
    for start in range(0, max(n, 1), BLOCK):
        parts = [array[start : start + BLOCK] for array in arrays]
        filled = [np.concatenate([part, np.zeros((BLOCK - len(part), *part.shape[1:]), part.dtype)]) for part in parts]
        made.append([np.asarray(out) for out in program(*filled)])
    return [np.concatenate(outs)[:n] for outs in zip(*made, strict=True)]


class _Shuffled:
    """Row numbers in an endless row of permutations."""

    def __init__(self, rows: np.ndarray, rng: np.random.Generator):
        self._rows, self._rng, self._left = rows, rng, rows[:0]

    def draw(self, count: int) -> np.ndarray:
        while len(self._left) < count:
            self._left = np.concatenate([self._left, self._rng.permutation(self._rows)])
        drawn, self._left = self._left[:count], self._left[count:]
        return drawn


def _take(rows: Arrays, index: np.ndarray, rng: np.random.Generator, num_noise: int) -> Arrays:
    taken = tuple(array[index] for array in rows)
    if num_noise:
        taken += (rng.standard_normal((*index.shape, num_noise), dtype=np.float32),)
    return taken
