"""Variational autoencoder: rows as points of a small latent space, and back through a network.

Numbers enter and leave as normal scores, categories (and whether a number is missing) as one-hot codes. It keeps every
column roughly, and what few latent directions can carry; it forgets rare categories, the far tails and fine rules,
because every cell is drawn on its own given the latent point.

References:
  Kingma and Welling, "Auto-Encoding Variational Bayes", 2014; Xu et al., "Modeling Tabular Data using Conditional GAN",
  2019, section 4.5, for the one of tables.
"""

import functools
from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pyarrow as pa
from flax import nnx
from scipy.special import ndtr, ndtri

from synthetic import training
from synthetic.bins import Bins
from synthetic.columns import ColumnCodec
from synthetic.discrete import Discrete
from synthetic.table import check_request, stream

__all__ = ["Autoencoder", "VariationalAutoencoder", "fit"]

NUM_CODES = 32  # of every column, used or not: 32 levels, or "present" and "missing"
_LATENT = 16
_HIDDEN = 128
_EMBEDDING = 8
_NEVER = -300.0  # log share of a code that does not occur
# Of a score around its mean. A constant column would make the spread 0 and the loss infinite.
_LEAST_SPREAD = 0.02


class Autoencoder(nnx.Module):
    """Codes and scores in, a normal over the latent space out; from a point of it to the cells' distributions."""

    def __init__(self, num_columns: int, *, draw: training.Draw):
        d, k, e, h = num_columns, NUM_CODES, _EMBEDDING, _HIDDEN
        self.num_columns = d
        self.embedding = nnx.Param(draw((d, k, e), 0.3))
        self.score = nnx.Param(draw((d, e), 0.3))
        self.into = nnx.Param(draw((d * e, h), (d * e) ** -0.5))
        self.encoder = nnx.Param(draw((h, h), h**-0.5))
        self.latent = nnx.Param(draw((h, 2 * _LATENT), 0.1 * h**-0.5))
        self.back = nnx.Param(draw((_LATENT, h), _LATENT**-0.5))
        self.decoder = nnx.Param(draw((h, h), h**-0.5))
        self.out = nnx.Param(draw((h, d * 2 * e), h**-0.5))
        self.head = nnx.Param(draw((d, 2 * e, k + 1), 0.02))
        self.biases = nnx.Param(draw((4, h), 0.1))
        self.mean = nnx.Param(draw((d,), 0.0))
        self.log_spread = nnx.Param(draw((d,), 0.0))

    def encode(self, codes: jax.Array, scores: jax.Array) -> tuple[jax.Array, jax.Array]:
        """Returns mean and log variance, both `[B, latent]`, for codes and scores `[B, d]`."""
        cells = self.embedding[...][jnp.arange(self.num_columns)[None, :], codes]
        cells = cells + scores[:, :, None] * self.score[...][None]
        x = jax.nn.silu(cells.reshape(len(codes), -1) @ self.into[...] + self.biases[...][0][None, :])
        x = jax.nn.silu(x @ self.encoder[...] + self.biases[...][1][None, :])
        mean, log_variance = jnp.split(x @ self.latent[...], 2, axis=1)
        return mean, log_variance

    def decode(self, latent: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """Returns logits `[d, B, K]`, to be added to the marginals', and of scores mean `[d, B]`, log spread `[d]`."""
        x = jax.nn.silu(latent @ self.back[...] + self.biases[...][2][None, :])
        x = jax.nn.silu(x @ self.decoder[...] + self.biases[...][3][None, :])
        x = (x @ self.out[...]).reshape(len(latent), self.num_columns, -1)
        cells = jnp.einsum("bde,dek->dbk", x, self.head[...])
        return cells[:, :, :-1], cells[:, :, -1] + self.mean[...][:, None], self.log_spread[...]


class Context(NamedTuple):
    """What the programs are told about the table, for d columns, padding included.

    Attributes:
      log_marginals: `[d, K]`, log shares of the codes.
      is_number: `[d]` 1 for a number, else 0.
    """

    log_marginals: np.ndarray
    is_number: np.ndarray


class Programs(NamedTuple):
    """Everything that is compiled for one number of columns."""

    network: training.Flat
    trainer: training.Trainer
    encode: Any
    draw: Any


@functools.cache
def programs(num_columns: int) -> Programs:
    """Returns the programs for so many columns, padding included."""
    network = training.flatten(functools.partial(Autoencoder, num_columns))

    def loss(params: jax.Array, rows: training.Arrays, context: Any) -> jax.Array:
        codes, scores, noise = rows
        model = network.merge(params)
        mean, log_variance = model.encode(codes, scores)
        logits, centre, log_spread = model.decode(mean + jnp.exp(0.5 * log_variance) * noise)
        log_share = jax.nn.log_softmax(logits + context.log_marginals[:, None, :])
        picked = jnp.take_along_axis(log_share, codes.T[:, :, None], axis=2)[:, :, 0]
        spread = jnp.exp(log_spread)[:, None] + _LEAST_SPREAD
        distance = (scores.T - centre) / spread
        # A missing number has a code, and no score to be judged by.
        present = context.is_number[:, None] * (codes.T == 0)
        reconstruction = (present * (0.5 * distance**2 + jnp.log(spread)) - picked).sum(axis=0)
        divergence = 0.5 * (mean**2 + jnp.exp(log_variance) - 1.0 - log_variance).sum(axis=1)
        return reconstruction + divergence

    @jax.jit
    def encode(params: jax.Array, codes: jax.Array, scores: jax.Array) -> tuple[jax.Array, jax.Array]:
        return network.merge(params).encode(codes, scores)

    @jax.jit
    def draw(params: jax.Array, latent: jax.Array, u: jax.Array, noise: jax.Array, context: Context, temperature: Any):
        logits, centre, log_spread = network.merge(params).decode(latent)
        logits = logits + context.log_marginals[:, None, :]
        excess = (logits - logits.max(axis=2, keepdims=True)) / temperature
        cumulative = jnp.cumsum(jnp.exp(excess), axis=2)
        codes = (cumulative <= u.T[:, :, None] * cumulative[:, :, -1:]).sum(axis=2)
        spread = (jnp.exp(log_spread)[:, None] + _LEAST_SPREAD) * jnp.sqrt(temperature)
        return jnp.minimum(codes, NUM_CODES - 1).T, (centre + spread * noise.T).T

    return Programs(network, training.make_trainer(loss, 3e-3), encode, draw)


@dataclass(frozen=True)
class VariationalAutoencoder:
    """A fitted autoencoder, see `fit`.

    Attributes:
      codec, discrete: From table to matrices to codes and positions.
      context: What the programs need to know of the table.
      params: `[P]` of the network for as many columns as the context has.
      centre: `[latent]` mean of the training rows' latent points.
      factor: `[latent, latent]` lower triangular, `factor @ factor.T` is their covariance.
    """

    codec: ColumnCodec
    discrete: Discrete
    context: Context
    params: np.ndarray
    centre: np.ndarray
    factor: np.ndarray

    def sample(self, n: int, key: int, temperature: float = 1.0) -> pa.Table:
        """Returns `n` rows; `temperature` scales the variances, of latent points and of scores, and divides logits."""
        check_request(n, temperature)
        rng = stream(key, "autoencoder")
        d, padded = len(self.discrete.num_codes), len(self.context.is_number)
        latent = self.centre + np.sqrt(temperature) * rng.standard_normal((n, _LATENT)) @ self.factor.T
        u, noise = rng.random((n, padded)), rng.standard_normal((n, padded))
        run = functools.partial(self._draw, temperature=np.float32(temperature))
        codes, scores = training.in_blocks(run, n, *(x.astype(np.float32) for x in (latent, u, noise)))
        # A number lies at its score's share of all values; where among rare levels, is left to chance.
        place = np.where(self.context.is_number[:d] == 1, ndtr(scores[:, :d]), rng.random((n, d)))
        return self.codec.decode(self.discrete.decode(codes[:, :d].astype(np.int64), place))

    def _draw(self, latent: np.ndarray, u: np.ndarray, noise: np.ndarray, temperature: Any) -> Any:
        made = programs(len(self.context.is_number))
        return made.draw(self.params, latent, u, noise, self.context, temperature)


def fit(table: pa.Table, key: int) -> VariationalAutoencoder:
    """Returns the autoencoder of `table`.

    Rows are drawn from a normal with the mean and covariance of the training rows' latent points, not from the
    standard normal those are only drawn towards: that costs nothing and keeps the columns' spread.

    Args:
      table: At least one row; types as `ColumnCodec.fit` takes them.
      key: Non-negative integer; initial weights, rows held out, order of the rows, noise.

    References:
      Ghosh et al., "From Variational to Deterministic Autoencoders", 2020, section 4, for the density afterwards.
    """
    codec = ColumnCodec.fit(table)
    matrices = codec.encode(table, stream(key, "fill"))
    discrete = Discrete.fit(codec, matrices, 1, NUM_CODES)
    context, codes, scores = _describe(discrete, discrete.encode(matrices), ndtri(_open(discrete.position(matrices))))
    made = programs(codes.shape[1])
    params = made.network.init(stream(key, "weights"))
    rng = stream(key, "train")
    params = training.train(made.trainer, params, (codes, scores), context, rng, num_noise=_LATENT)
    mean, log_variance = training.in_blocks(functools.partial(made.encode, params), len(codes), codes, scores)
    covariance = np.cov(mean.T, bias=True) + np.diag(np.exp(log_variance).mean(axis=0))
    return VariationalAutoencoder(codec, discrete, context, params, mean.mean(axis=0), np.linalg.cholesky(covariance))


def _open(share: np.ndarray) -> np.ndarray:
    return np.clip(share, 1e-6, 1 - 1e-6)


def _describe(discrete: Discrete, codes: np.ndarray, scores: np.ndarray) -> tuple[Context, np.ndarray, np.ndarray]:
    """What the programs are told, and the rows, `[n, d]` with padding, codes int32 and scores float32."""
    n, d = codes.shape
    padded = training.pad_columns(d)
    wide_codes, wide_scores = np.zeros((n, padded), np.int32), np.zeros((n, padded), np.float32)
    wide_codes[:, :d], wide_scores[:, :d] = codes, scores
    # Padding has the code 0 and no other.
    log_marginals = np.full((padded, NUM_CODES), _NEVER, np.float32)
    log_marginals[:, 0] = 0.0
    is_number = np.zeros(padded, np.float32)
    for j, (part, k) in enumerate(zip(discrete.parts, discrete.num_codes, strict=True)):
        log_marginals[j, :k] = np.log(np.bincount(codes[:, j], minlength=k) / n)
        is_number[j] = isinstance(part, Bins)
    return Context(log_marginals, is_number), wide_codes, wide_scores
