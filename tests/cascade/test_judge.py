"""The effective rank of a representation, and gradient norms by layer."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vr.cascade.judge import effective_rank, judge
from vr.cascade.step import layer_norms
from vr.models import build


def by_svd(x: np.ndarray) -> float:
    values = np.linalg.svd(x - x.mean(axis=0), compute_uv=False)
    shares = values[values > 0] / values.sum()
    return float(np.exp(-np.sum(shares * np.log(shares))))


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3])
def test_effective_rank_is_that_of_the_singular_values(scale):
    x = np.random.default_rng(0).standard_normal((200, 7)) * 0.5 ** np.arange(7) + 3.0
    assert float(effective_rank(jnp.asarray(scale * x, jnp.float32))) == pytest.approx(by_svd(x), rel=1e-3)
    assert float(jax.jit(effective_rank)(jnp.asarray(x, jnp.float32))) == pytest.approx(by_svd(x), rel=1e-3)


def test_effective_rank_runs_from_one_direction_to_all_alike():
    rng = np.random.default_rng(1)
    line = rng.standard_normal((300, 1)) @ rng.standard_normal((1, 40)) + 5.0
    assert float(effective_rank(jnp.asarray(line, jnp.float32))) == pytest.approx(1.0, abs=1e-3)
    signs = np.array(np.meshgrid(*[[-1.0, 1.0]] * 5)).reshape(5, -1).T
    assert float(effective_rank(jnp.asarray(signs, jnp.float32))) == pytest.approx(5.0, rel=1e-5)
    # More columns than rows: three points about their mean span a plane.
    few = jnp.asarray(rng.standard_normal((3, 60)), jnp.float32)
    assert 1.8 < float(effective_rank(few)) <= 2.0 + 1e-5


@pytest.mark.parametrize("small", [5e-3, 2e-3, 2e-4])
def test_many_weak_directions_beside_a_strong_one_count(small):
    rng = np.random.default_rng(2)
    left, right = (np.linalg.qr(rng.standard_normal((rows, 64)))[0] for rows in (600, 64))
    left = np.linalg.qr(left - left.mean(axis=0))[0]
    x = left * np.where(np.arange(64) == 0, 1.0, small) @ right.T
    assert float(effective_rank(jnp.asarray(x, jnp.float32))) == pytest.approx(by_svd(x), rel=0.01)


@pytest.mark.parametrize("value", [0.1, 2.0, np.nan, np.inf])
def test_what_does_not_vary_or_is_not_finite_has_no_rank(value):
    assert np.isnan(float(effective_rank(jnp.full((1_000, 8), value))))


def test_norms_by_layer_are_those_of_its_stretch_and_add_up_to_the_whole():
    model = build.resonance(4, 6, 8, 2)
    grads = np.random.default_rng(0).standard_normal(model.parameters).astype(np.float32)
    found = np.asarray(layer_norms(model, jnp.asarray(grads)))
    expected = [np.linalg.norm(grads[first:last]) for _, first, last in model.layers]
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    np.testing.assert_allclose(np.sqrt(np.sum(found**2)), np.linalg.norm(grads), rtol=1e-5)


def test_memory_of_judging_in_parts_does_not_grow_with_the_rows():
    model = build.resonance(4, 6, 32, 1)

    def temporary_bytes(rows: int) -> int:
        kinds = (((model.parameters,), jnp.float32), ((4, rows), jnp.int32), ((4,), jnp.int32), ((4, rows), jnp.bool_))
        given = [jax.ShapeDtypeStruct(shape, kind) for shape, kind in kinds]
        compiled = jax.jit(lambda *x: judge(model, *x, most_rows=500)).lower(*given).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    # All rows' points alone are 2 MiB more.
    assert temporary_bytes(6_000) < temporary_bytes(2_000) + 2**19


@pytest.mark.parametrize("network", [build.resonance, build.mlp])
@pytest.mark.parametrize("most_rows", [20, 25, 49])
def test_rows_judged_in_parts_are_judged_as_they_are_together(network, most_rows):
    rng = np.random.default_rng(3)
    model = network(4, 6, 8, 2)
    params = jnp.asarray(0.3 * rng.standard_normal(model.parameters), jnp.float32)
    codes, half = rng.integers(0, 6, (4, 50)), np.arange(4)[:, None] < np.array([2] * 25 + [1] * 25)
    given = (params, jnp.asarray(codes, jnp.int32), jnp.arange(4), jnp.asarray(half))
    together = jax.jit(lambda *x: judge(model, *x, most_rows=50))(*given)
    apart = jax.jit(lambda *x: judge(model, *x, most_rows=most_rows))(*given)
    for name, expected, found in zip(together._fields, together, apart, strict=True):
        np.testing.assert_allclose(found, expected, rtol=2e-4, err_msg=name)
