"""Training one member: any-order masked-cell modelling, as one program that a tier traces once.

A row's mask rate is uniform in 0 to 1, so that the loss is that of predicting the cells in a random order. The loss of
a row is the mean over its masked cells.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from vr.cascade.config import CURVE_POINTS
from vr.models.build import Apply, Model

__all__ = ["TrainInputs", "TrainOutputs", "TrainSettings", "cell_losses", "random_masks", "train"]

AVERAGED_SHARE = 0.3  # of the steps: the memory of the late-checkpoint average


@dataclass(frozen=True)
class TrainSettings:
    """What a tier fixes for all its members; hashable, closed over by the program."""

    steps: int
    batch_rows: int
    learning_rate: float
    weight_decay: float = 1e-2


class TrainInputs(NamedTuple):
    """One arm of one member.

    Attributes:
      params: float32 `[P]`, the initialisation, the same in all arms of a seed up to the marginals in the head's bias.
      codes: int32 `[d, n]`, the arm's rows, padded at the end.
      batches: int32 `[steps, B]`, rows of each step, the same in all arms of a seed.
      masks: bool `[steps, d, B]`, cells hidden at each step, the same in all arms of a seed.
      held_out: int32 `[d, m]`, real rows for the loss curve.
      held_out_mask: bool `[d, m]`.
    """

    params: jax.Array
    codes: jax.Array
    batches: jax.Array
    masks: jax.Array
    held_out: jax.Array
    held_out_mask: jax.Array


class TrainOutputs(NamedTuple):
    """What is left of training: averaged parameters `[P]`, the held-out curve `[20]`, gradient norms `[steps]`."""

    params: jax.Array
    curve: jax.Array
    gradient_norms: jax.Array


def cell_losses(apply: Apply, params: Any, codes: jax.Array, masked: jax.Array) -> jax.Array:
    """Returns the negative log-likelihood of every cell in nats, float32 `[d, B]`, with `masked` hidden."""
    logits, _ = apply(params, codes, masked)
    # A product with one-hot codes rather than a gather, for the sake of the gradient on a CPU.
    chosen = jnp.sum(logits * jax.nn.one_hot(codes, logits.shape[-1], dtype=logits.dtype), axis=-1)
    return jax.nn.logsumexp(logits, axis=-1) - chosen


def masked_loss(apply: Apply, params: Any, codes: jax.Array, masked: jax.Array) -> jax.Array:
    """Returns the mean over rows of the mean loss of their masked cells."""
    losses = cell_losses(apply, params, codes, masked) * masked
    return jnp.mean(jnp.sum(losses, axis=0) / jnp.sum(masked, axis=0))


def random_masks(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    """Returns bool `[..., d, B]`: each row hides each cell at its own rate, uniform in 0 to 1, and at least one."""
    scores = rng.random(shape, dtype=np.float32)
    rates = rng.random((*shape[:-2], 1, shape[-1]), dtype=np.float32)
    return (scores < rates) | (scores == scores.min(axis=-2, keepdims=True))


def train(model: Model, settings: TrainSettings, inputs: TrainInputs) -> TrainOutputs:
    """Returns a trained member. Pure: to be jitted by the caller, as it stands or mapped over members."""
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, settings.learning_rate, max(1, settings.steps // 10), settings.steps
    )
    optimizer = optax.chain(
        optax.clip_by_global_norm(1.0), optax.adamw(schedule, b2=0.99, weight_decay=settings.weight_decay)
    )
    decay = 1.0 - 2.0 / max(2.0, AVERAGED_SHARE * settings.steps)

    def step(carry: tuple[Any, Any, Any], xs: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[Any, jax.Array]:
        params, averaged, opt_state = carry
        index, rows, masked = xs
        codes = inputs.codes[:, rows]
        grads = jax.grad(lambda p: masked_loss(model.apply, p, codes, masked))(params)
        updates, opt_state = optimizer.update(grads, opt_state, params)
        params = params + updates
        # The average starts as a plain mean, so that the initial weights leave it.
        kept = jnp.minimum(decay, index / (index + 1.0))
        averaged = kept * averaged + (1 - kept) * params
        return (params, averaged, opt_state), jnp.sqrt(jnp.sum(grads**2))

    def segment(carry: tuple[Any, Any, Any], xs: Any) -> tuple[Any, Any]:
        carry, norms = jax.lax.scan(step, carry, xs)
        return carry, (masked_loss(model.apply, carry[1], inputs.held_out, inputs.held_out_mask), norms)

    def segmented(array: jax.Array) -> jax.Array:
        return array.reshape(CURVE_POINTS, settings.steps // CURVE_POINTS, *array.shape[1:])

    xs = (jnp.arange(settings.steps), inputs.batches, inputs.masks)
    start = (inputs.params, inputs.params, optimizer.init(inputs.params))
    carry, (curve, norms) = jax.lax.scan(segment, start, jax.tree.map(segmented, xs))
    return TrainOutputs(carry[1], curve, norms.reshape(-1))
