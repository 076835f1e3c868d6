"""Probes of a trained proxy: gradient agreement between datasets, gradient noise, and the sharpest curvature."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from vr.cascade.step import masked_loss
from vr.models.build import Model

__all__ = ["GradientProducts", "gradient_products", "noise_trace", "pooled_cosine", "top_eigenvalue"]

LANCZOS_STEPS = 12


class GradientProducts(NamedTuple):
    """Inner products of the gradients of two half-batches of each of two datasets, g and h, at one set of weights.

    Products of different half-batches are unbiased where squares of one are not: E[g1 . g2] = |G|^2.
    """

    g1_g2: jax.Array
    h1_h2: jax.Array
    cross: jax.Array  # mean of the four g_i . h_j
    g_squared: jax.Array  # mean of |g_1|^2 and |g_2|^2
    h_squared: jax.Array


def gradient_products(
    model: Model, params: jax.Array, g_codes: jax.Array, h_codes: jax.Array, masks: jax.Array
) -> GradientProducts:
    """Returns the products at `params` of two datasets' gradients.

    Args:
      model: The network.
      params: float32 `[P]`.
      g_codes: int32 `[2, d, B]`, two half-batches of one dataset.
      h_codes: int32 `[2, d, B]`, of the other.
      masks: bool `[2, d, B]`, the same for both datasets.
    """

    def gradient(codes: jax.Array, mask: jax.Array) -> jax.Array:
        return jax.grad(lambda p: masked_loss(model.apply, p, codes, mask))(params)

    # One traced gradient, four runs of it.
    codes = jnp.concatenate([g_codes, h_codes])
    g1, g2, h1, h2 = jax.lax.map(lambda xs: gradient(*xs), (codes, jnp.concatenate([masks, masks])))
    return GradientProducts(
        g1 @ g2, h1 @ h2, (g1 + g2) @ (h1 + h2) / 4, (g1 @ g1 + g2 @ g2) / 2, (h1 @ h1 + h2 @ h2) / 2
    )


def pooled_cosine(products: list[GradientProducts]) -> float:
    """Returns the cosine between two datasets' mean gradients, products summed over members before they are divided.

    Returns:
      In [-1, 1]; NaN where the noise leaves no gradient to speak of (a non-positive product of half-batches).
    """
    g, h, cross = (float(np.sum([getattr(p, name) for p in products])) for name in ("g1_g2", "h1_h2", "cross"))
    return float(np.clip(cross / np.sqrt(g * h), -1.0, 1.0)) if g > 0 and h > 0 else float("nan")


def noise_trace(squared: float, product: float, batch_rows: int) -> float:
    """Returns the trace of the per-row gradient covariance from two half-batches of `batch_rows` rows each.

    |g|^2 of a batch of B rows exceeds |G|^2 by tr(Sigma) / B (McCandlish et al. 2018, appendix A.1).
    """
    return max(squared - product, 0.0) * batch_rows


def top_eigenvalue(
    model: Model, params: jax.Array, codes: jax.Array, masks: jax.Array, start: jax.Array, steps: int = LANCZOS_STEPS
) -> jax.Array:
    """Returns the largest eigenvalue of the loss's Hessian at `params` by Lanczos with full re-orthogonalisation.

    Hessian products are the derivative of the gradient along a direction, so the Hessian is never formed.

    Args:
      model: The network.
      params: float32 `[P]`.
      codes: int32 `[d, B]`.
      masks: bool `[d, B]`.
      start: float32 `[P]`, a random direction.
      steps: Products; the estimate only rises with more.

    References:
      Golub and Van Loan 2013, Matrix computations, section 10.1; Ghorbani et al. 2019 (arXiv 1901.10159).
    """

    def gradient(p: jax.Array) -> jax.Array:
        return jax.grad(lambda q: masked_loss(model.apply, q, codes, masks))(p)

    def step(carry: tuple[jax.Array, jax.Array], index: jax.Array) -> tuple[tuple[jax.Array, jax.Array], jax.Array]:
        basis, vector = carry
        basis = basis.at[index].set(vector)
        product = jax.jvp(gradient, (params,), (vector,))[1]
        alpha = vector @ product
        # Twice, since once leaves rounding along the basis (Kahan's "twice is enough").
        rest = product - basis.T @ (basis @ product)
        rest = rest - basis.T @ (basis @ rest)
        beta = jnp.linalg.norm(rest)
        return (basis, rest / jnp.maximum(beta, 1e-12)), jnp.stack([alpha, beta])

    basis = jnp.zeros((steps, params.shape[0]), params.dtype)
    start = start / jnp.linalg.norm(start)
    _, bands = jax.lax.scan(step, (basis, start), jnp.arange(steps))
    tridiagonal = jnp.diag(bands[:, 0]) + jnp.diag(bands[:-1, 1], 1) + jnp.diag(bands[:-1, 1], -1)
    return jnp.linalg.eigvalsh(tridiagonal)[-1]
