"""Training one member: any-order masked-cell modelling, a segment of steps as one program that a tier traces once.

A row's mask rate is uniform in 0 to 1, so that the loss is that of predicting the cells in a random order. The loss of
a row is the mean over its masked cells.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vr.cascade.config import CURVE_POINTS
from vr.models.build import Apply, Model

__all__ = [
    "Data",
    "Reading",
    "Segment",
    "TrainSettings",
    "TrainState",
    "advance",
    "cell_losses",
    "masked_loss",
    "random_masks",
    "start",
]

# On the device under way, in NumPy before and after.
Array: TypeAlias = jax.Array | np.ndarray

AVERAGED_SHARE = 0.3  # of the steps: the memory of the late-checkpoint average
_LEAST_GAIN = 1e-4  # nats a cell by which a segment has to lower the loss, or it counts as none gained


@dataclass(frozen=True)
class TrainSettings:
    """What a tier fixes for all its members; hashable, closed over by the program.

    Attributes:
      steps: Of the whole training, a multiple of the curve's 20 points.
      batch_rows: Rows in a step.
      micro_batches: Parts that a batch is taken in, one after the other; the step is that of the whole batch.
      patience: Segments without gain on the arm's own held-out rows after which a member stops; 0 for never.
      weight_decay: Of AdamW.
    """

    steps: int
    batch_rows: int
    micro_batches: int = 1
    patience: int = 0
    weight_decay: float = 1e-2

    @property
    def segment_steps(self) -> int:
        """Steps between two readings of the loss curve."""
        return self.steps // CURVE_POINTS


class TrainState(NamedTuple):
    """One member under way: all that its next step needs beside its rows.

    Attributes:
      params: float32 `[P]`.
      averaged: float32 `[P]`, the late-checkpoint average, which is what training gives.
      moments: Of Adam.
      index: int32, steps taken.
      peak: float32, learning rate after warm-up.
      best: float32, least loss on the arm's own held-out rows.
      stale: int32, segments since.
      alive: bool, False from the first gradient on that is not finite; the parameters stay as they were before it.
    """

    params: Array
    averaged: Array
    moments: Any
    index: Array
    peak: Array
    best: Array
    stale: Array
    alive: Array


class Data(NamedTuple):
    """An arm's rows, which stay on the device; all int32 codes, columns first.

    Attributes:
      codes: `[d, n]`, to train on; batches are drawn from it by position.
      real: `[d, m]`, held-out real rows for the loss curve, and
      real_mask: bool `[d, m]`, what is hidden of them.
      own: `[d, v]`, rows of the arm's own that train nothing, for early stopping, and
      own_mask: bool `[d, v]`.
    """

    codes: Array
    real: Array
    real_mask: Array
    own: Array
    own_mask: Array


class Segment(NamedTuple):
    """What a segment's steps draw: positions int32 `[s, B]`, and hidden cells bool `[s, d, B]`."""

    batches: Array
    masks: Array


class Reading(NamedTuple):
    """What a segment shows: the averaged parameters' loss on held-out real rows (NaN once diverged), gradient norms.

    `gradient_norms` `[s]` are those of the whole gradient, `layer_norms` `[L]` those of each layer, step means.
    """

    loss: jax.Array
    gradient_norms: jax.Array
    layer_norms: jax.Array


def cell_losses(apply: Apply, params: Any, codes: Any, masked: Any) -> jax.Array:
    """Returns the negative log-likelihood of every cell in nats, float32 `[d, B]`, with `masked` hidden."""
    logits, _ = apply(params, codes, masked)
    with jax.named_scope("loss"):
        # A product with one-hot codes rather than a gather, for the sake of the gradient on a CPU.
        chosen = jnp.sum(logits * jax.nn.one_hot(codes, logits.shape[-1], dtype=logits.dtype), axis=-1)
        return jax.nn.logsumexp(logits, axis=-1) - chosen


def masked_loss(apply: Apply, params: Any, codes: Any, masked: Any) -> jax.Array:
    """Returns the mean over rows of the mean loss of their masked cells."""
    losses = cell_losses(apply, params, codes, masked) * masked
    return jnp.mean(jnp.sum(losses, axis=0) / jnp.sum(masked, axis=0))


def layer_norms(model: Model, grads: jax.Array) -> jax.Array:
    """Returns the norms of a gradient `[P]` by layer, `[L]`, in the order of `model.layers`."""
    return jnp.sqrt(jnp.stack([jnp.sum(grads[first:last] ** 2) for _, first, last in model.layers]))


def random_masks(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Returns bool `[..., d, B]`: each row hides each cell at its own rate, uniform in 0 to 1, and at least one."""
    scores = rng.random(shape, dtype=np.float32)
    rates = rng.random((*shape[:-2], 1, shape[-1]), dtype=np.float32)
    return (scores < rates) | (scores == scores.min(axis=-2, keepdims=True))


def start(params: np.ndarray, peak: float) -> TrainState:
    """Returns the state before the first step, in NumPy.

    Args:
      params: float32 `[P]`, the initialisation, the same in all arms of a seed up to the marginals in the head's bias.
      peak: Learning rate after warm-up.
    """
    moments = optax.ScaleByAdamState(np.zeros((), np.int32), np.zeros_like(params), np.zeros_like(params))  # type: ignore[arg-type]
    return TrainState(
        params,  # type: ignore[arg-type]
        params.copy(),  # type: ignore[arg-type]
        moments,
        *(np.asarray(value, kind) for value, kind in ((0, np.int32), (peak, np.float32), (np.inf, np.float32))),  # type: ignore[arg-type]
        stale=np.zeros((), np.int32),  # type: ignore[arg-type]
        alive=np.ones((), bool),  # type: ignore[arg-type]
    )


def advance(
    model: Model, settings: TrainSettings, state: TrainState, data: Data, segment: Segment
) -> tuple[TrainState, Reading]:
    """Returns a member after one more segment. Pure: to be jitted by the caller, as it stands or mapped over members.

    A member that has diverged or stopped early goes through the motions and stays as it is: one program for all.
    """
    schedule = optax.warmup_cosine_decay_schedule(0.0, 1.0, max(1, settings.steps // 10), settings.steps)
    adam = optax.scale_by_adam(b2=0.99)
    decay = 1.0 - 2.0 / max(2.0, AVERAGED_SHARE * settings.steps)

    def loss_of(params: Array, codes: Array, masked: Array) -> jax.Array:
        return masked_loss(model.apply, params, codes, masked)

    def gradient(params: Array, rows: Array, masked: Array) -> jax.Array:
        parts = settings.micro_batches
        if parts == 1:
            return jax.grad(loss_of)(params, data.codes[:, rows], masked)

        def add(total: jax.Array, part: tuple[jax.Array, jax.Array]) -> tuple[jax.Array, None]:
            return total + jax.grad(loss_of)(params, data.codes[:, part[0]], part[1]), None

        split = jnp.moveaxis(jnp.reshape(masked, (masked.shape[0], parts, -1)), 1, 0)
        total, _ = jax.lax.scan(add, jnp.zeros_like(params), (jnp.reshape(rows, (parts, -1)), split))
        return total / parts

    def step(state: TrainState, drawn: Segment) -> tuple[TrainState, tuple[jax.Array, jax.Array]]:
        grads = gradient(state.params, drawn.batches, drawn.masks)
        return update(state, grads)

    @jax.named_scope("optimizer")
    def update(state: TrainState, grads: jax.Array) -> tuple[TrainState, tuple[jax.Array, jax.Array]]:
        norm = jnp.sqrt(jnp.sum(grads**2))
        clipped = grads / jnp.maximum(norm, 1.0)
        direction: Any
        direction, moments = adam.update(clipped, state.moments)
        rate = state.peak * schedule(state.index)
        params = state.params - rate * (direction + settings.weight_decay * state.params)
        # The average starts as a plain mean, so that the initial weights leave it.
        kept = jnp.minimum(decay, state.index / (state.index + 1.0))
        averaged = kept * state.averaged + (1 - kept) * params
        alive = state.alive & jnp.isfinite(norm) & jnp.isfinite(jnp.sum(params))
        taken = TrainState(params, averaged, moments, state.index + 1, state.peak, state.best, state.stale, state.alive)
        state = jax.tree.map(lambda new, old: jnp.where(alive & running, new, old), taken, state)
        return state._replace(alive=alive), (norm, layer_norms(model, grads))

    running = state.stale < settings.patience if settings.patience else jnp.asarray(True)
    state, (norms, by_layer) = jax.lax.scan(step, state, segment)
    if settings.patience:
        loss = loss_of(state.averaged, data.own, data.own_mask)
        gained = loss < state.best - _LEAST_GAIN
        state = state._replace(best=jnp.minimum(loss, state.best), stale=jnp.where(gained, 0, state.stale + 1))
    loss = loss_of(state.averaged, data.real, data.real_mask)
    return state, Reading(jnp.where(state.alive, loss, jnp.nan), norms, jnp.mean(by_layer, axis=0))
