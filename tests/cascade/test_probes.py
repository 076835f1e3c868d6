"""Curvature and gradient probes against closed forms on a tiny quadratic and a tiny network."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vr.cascade.members import log_marginals
from vr.cascade.probes import GradientProducts, gradient_products, noise_trace, pooled_cosine, top_eigenvalue
from vr.cascade.step import masked_loss, random_masks
from vr.models import build
from vr.models.table import INVALID


@pytest.fixture(scope="module")
def tiny():
    rng = np.random.default_rng(0)
    codes = rng.integers(0, 3, (40, 3))
    model = build.resonance(3, 3, 2, 1)
    params = model.init(rng, log_marginals(codes, np.array([3, 3, 3]), INVALID))
    params = params + 0.3 * rng.standard_normal(len(params)).astype(np.float32)
    return model, jnp.asarray(params), jnp.asarray(codes.T), jnp.asarray(random_masks(rng, (3, 40)))


def test_lanczos_finds_the_largest_eigenvalue_of_the_hessian(tiny):
    model, params, codes, masks = tiny
    hessian = jax.jit(jax.hessian(lambda p: masked_loss(model.apply, p, codes, masks)))(params)
    start = jnp.asarray(np.random.default_rng(1).standard_normal(len(params)), jnp.float32)
    found = top_eigenvalue(model, params, codes, masks, start, steps=25)
    assert float(found) == pytest.approx(float(np.linalg.eigvalsh(np.asarray(hessian))[-1]), rel=0.01)


def test_products_are_those_of_the_gradients(tiny):
    model, params, codes, masks = tiny
    halves, both = codes.reshape(3, 2, 20).transpose(1, 0, 2), masks.reshape(3, 2, 20).transpose(1, 0, 2)
    gradient_of = jax.jit(jax.grad(lambda p, i: masked_loss(model.apply, p, halves[i], both[i])))
    gradient = [gradient_of(params, i) for i in range(2)]
    found = gradient_products(model, params, halves, halves, both)
    assert float(found.g1_g2) == pytest.approx(float(gradient[0] @ gradient[1]), rel=1e-3, abs=1e-6)
    assert float(found.g_squared) == pytest.approx(float(sum(g @ g for g in gradient) / 2), rel=1e-3)


def vectors(rng, mean, other, noise, batch=50):
    draw = lambda m: m + noise * rng.standard_normal(len(m)) / np.sqrt(batch)  # noqa: E731
    g, h = (draw(mean), draw(mean)), (draw(other), draw(other))
    return GradientProducts(
        g[0] @ g[1], h[0] @ h[1], (g[0] + g[1]) @ (h[0] + h[1]) / 4, (g[0] @ g[0] + g[1] @ g[1]) / 2, h[0] @ h[0]
    )


def test_pooled_cosine_is_free_of_the_noise_that_flattens_the_plain_one():
    rng = np.random.default_rng(0)
    mean = np.zeros(200)
    mean[0] = 1.0
    other = np.zeros(200)
    other[:2] = 0.6, 0.8
    products = [vectors(rng, mean, other, noise=0.5) for _ in range(200)]
    assert pooled_cosine(products) == pytest.approx(0.6, abs=0.05)


def test_noise_trace_recovers_the_variance():
    rng = np.random.default_rng(0)
    mean = np.ones(100)
    products = [vectors(rng, mean, mean, noise=2.0) for _ in range(400)]
    found = noise_trace(np.mean([p.g_squared for p in products]), np.mean([p.g1_g2 for p in products]), 50)
    assert found == pytest.approx(100 * 4.0, rel=0.05)


def test_a_gradient_drowned_in_noise_gives_nan():
    one = jnp.float32(1.0)
    assert np.isnan(pooled_cosine([GradientProducts(-one, one, one, one, one)]))
