import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vr.cascade.step import masked_loss
from vr.core.errors import ConfigError
from vr.models import build, dft
from vr.models.resonance import ResonanceBlock, bands_of
from vr.models.table import INVALID, rms_norm


def log_uniform(d, k):
    return np.full((d, k), -np.log(k), np.float32)


@pytest.mark.parametrize("positions", [1, 2, 7, 12, 300])
def test_dft_by_product_equals_rfft_and_inverts(positions):
    x = jnp.asarray(np.random.default_rng(0).standard_normal((positions, 3, 2)), jnp.float32)
    product, fast = dft.forward(x, as_matrix=True), dft.forward(x, as_matrix=False)
    for a, b in zip(product, fast, strict=True):
        assert np.allclose(a, b, atol=2e-5 * positions)
    for as_matrix in (True, False):
        assert np.allclose(dft.inverse(*product, positions, as_matrix=as_matrix), x, atol=2e-5 * max(positions, 4))


@pytest.mark.parametrize("length", [1, 2, 7, 12])
def test_a_circulant_matrix_is_the_convolution_that_the_spectrum_makes(length):
    rng = np.random.default_rng(0)
    x, kernel = (jnp.asarray(rng.standard_normal((length, 3)), jnp.float32) for _ in range(2))
    (a, b), (c, d) = dft.forward(x), dft.forward(kernel)
    expected = dft.inverse(a * c - b * d, a * d + b * c, length)
    found = jnp.einsum("cij,jc->ic", dft.circulant(kernel.T), x)
    np.testing.assert_allclose(found, expected, atol=1e-5)


def test_causal_convolution_does_not_see_the_future():
    rng = np.random.default_rng(0)
    x = rng.standard_normal((20, 4)).astype(np.float32)
    kernel = jnp.asarray(rng.standard_normal((20, 4)), jnp.float32)
    moved = x.copy()
    moved[12:] += 5.0
    before, after = (np.asarray(dft.causal_convolution(jnp.asarray(s), kernel)) for s in (x, moved))
    assert np.allclose(before[:12], after[:12], atol=1e-4)
    assert not np.allclose(before[12:], after[12:], atol=1e-2)
    expected = [sum(np.asarray(kernel)[j] * x[i - j] for j in range(i + 1)) for i in range(20)]
    assert np.allclose(before, expected, atol=1e-3)


@pytest.mark.parametrize(("d", "k", "channels", "depth"), [(3, 5, 8, 1), (12, 19, 32, 2), (40, 8, 48, 2)])
def test_the_control_has_the_resonance_networks_parameters(d, k, channels, depth):
    network = build.resonance(d, k, channels, depth)
    control = build.mlp(d, k, network.parameters, depth)
    assert control.parameters == pytest.approx(network.parameters, rel=0.05)
    for model in (network, control):
        assert len(model.init(np.random.default_rng(0), log_uniform(d, k))) == model.parameters


@pytest.mark.parametrize(
    "make",
    [
        lambda: build.resonance(4, 6, 8, 2),
        lambda: build.resonance(4, 6, 8, 2, heads=2),
        lambda: build.mlp(4, 6, 900, 2),
    ],
)
def test_before_training_the_marginals_are_predicted_and_a_masked_cell_is_not_seen(make):
    model = make()
    marginals = np.log(np.random.default_rng(1).dirichlet(np.ones(6), 4)).astype(np.float32)
    params = jnp.asarray(model.init(np.random.default_rng(0), marginals))
    codes = jnp.asarray(np.random.default_rng(2).integers(0, 6, (4, 5)))
    masked = jnp.zeros((4, 5), bool).at[1].set(True)
    logits, _ = model.apply(params, codes, masked)
    assert np.allclose(logits, marginals[:, None, :], atol=1e-5)
    noisy = params + 0.2 * jnp.asarray(np.random.default_rng(3).standard_normal(len(params)), jnp.float32)
    first, _ = model.apply(noisy, codes, masked)
    second, _ = model.apply(noisy, codes.at[1].set((codes[1] + 1) % 6), masked)
    assert np.allclose(first, second, atol=1e-5)
    third, _ = model.apply(noisy, codes.at[2].set((codes[2] + 1) % 6), masked)
    assert not np.allclose(first, third, atol=1e-3)


def test_widths_are_the_smallest_that_reach_the_size():
    width = build.resonance_width(10, 16, 2, 50_000, 1_000)
    assert build.resonance_parameters(10, 16, width, 2) >= 50_000
    assert build.resonance_parameters(10, 16, width - 4, 2) < 50_000
    assert build.resonance_width(10, 16, 2, 1e12, 64) == 64
    assert INVALID < -20


@pytest.mark.parametrize(("d", "heads"), [(1, 2), (3, 4), (12, 4), (40, 8)])
def test_heads_mix_their_own_channels_within_bands_and_add_the_parameters_stated(d, heads):
    model = build.resonance(d, 6, 16, 2, heads=heads)
    assert len(model.init(np.random.default_rng(0), log_uniform(d, 6))) == model.parameters
    bands = bands_of(d)
    assert (bands[0], bands[-1]) == (0, min(4, d // 2 + 1) - 1)
    assert np.ptp(np.bincount(bands)) <= 1
    with pytest.raises(ConfigError, match="divide"):
        build.resonance(d, 6, 16, 2, heads=3)
    width = build.resonance_width(d, 6, 2, 50_000, 1_000, heads)
    assert width % heads == 0
    assert build.resonance_parameters(d, 6, width, 2, heads) >= 50_000


def test_a_head_is_a_complex_matrix_by_band_of_its_channels():
    d, rows, channels, heads = 9, 3, 8, 2
    rng = np.random.default_rng(0)
    block = ResonanceBlock(d, channels, draw=lambda shape, std: std * rng.standard_normal(shape), heads=heads)
    x = rng.standard_normal((d, rows, channels))
    spectrum = np.fft.rfft(np.asarray(rms_norm(jnp.asarray(x), jnp.ones(channels))), axis=0)
    gate, mix = (part[0] + 1j * part[1] for part in (np.asarray(block.gate[...]), np.asarray(block.mix[...])))
    expected = spectrum * gate
    for f, band in enumerate(bands_of(d)):
        for head in range(heads):
            own = slice(4 * head, 4 * head + 4)
            expected[f, :, own] += spectrum[f, :, own] @ mix[band, head]
    real, imag = block.spectrum(jnp.asarray(x))
    np.testing.assert_allclose(np.asarray(real) + 1j * np.asarray(imag), expected, atol=1e-4)


@pytest.mark.parametrize("make", [build.resonance, build.mlp])
def test_bfloat16_inside_gives_the_logits_of_float32_to_its_rounding(make):
    size = 16 if make is build.resonance else 3_000
    exact, rounded = make(6, 8, size, 2), make(6, 8, size, 2, dtype=jnp.bfloat16)
    rng = np.random.default_rng(0)
    params = jnp.asarray(exact.init(rng, log_uniform(6, 8)) + 0.1 * rng.standard_normal(exact.parameters), jnp.float32)
    codes, masked = jnp.asarray(rng.integers(0, 8, (6, 32))), jnp.asarray(rng.random((6, 32)) < 0.4)
    (a, energy_a), (b, energy_b) = (jax.jit(model.apply)(params, codes, masked) for model in (exact, rounded))
    assert a.dtype == b.dtype == energy_b.dtype == jnp.float32
    assert 0 < np.abs(a - b).max() < 0.05 * np.abs(a).max()
    np.testing.assert_allclose(energy_a, energy_b, rtol=0.05, atol=0.05)
    gradients = [
        jax.jit(jax.grad(lambda p, m=model: jnp.mean(jax.nn.logsumexp(m.apply(p, codes, masked)[0], axis=-1))))(params)
        for model in (exact, rounded)
    ]
    cosine = gradients[0] @ gradients[1] / (jnp.linalg.norm(gradients[0]) * jnp.linalg.norm(gradients[1]))
    assert cosine > 0.99


@pytest.mark.parametrize("d", [1, 2, 7, 12])
@pytest.mark.parametrize("remat", [False, True])
def test_channels_first_is_the_same_network_and_the_same_gradient(d, remat):
    models = [build.resonance(d, 8, 16, 2, remat=remat, channels_first=first) for first in (False, True)]
    rng = np.random.default_rng(0)
    params = models[0].init(np.random.default_rng(1), log_uniform(d, 8))
    np.testing.assert_array_equal(models[1].init(np.random.default_rng(1), log_uniform(d, 8)), params)
    assert models[0].layers == models[1].layers
    params = jnp.asarray(params + 0.1 * rng.standard_normal(len(params)), jnp.float32)
    codes = jnp.asarray(rng.integers(0, 8, (d, 32)))
    masked = jnp.asarray(rng.random((d, 32)) < 0.5).at[0].set(True)
    for name in ("apply", "represent"):
        # Compiled as a whole: one by one its hundreds of operations take many times as long to compile.
        expected, found = (jax.jit(getattr(model, name))(params, codes, masked) for model in models)
        for a, b in zip(jax.tree.leaves(expected), jax.tree.leaves(found), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-5 * float(jnp.abs(a).max()))
    a, b = (jax.jit(jax.grad(lambda p, m=m: masked_loss(m.apply, p, codes, masked)))(params) for m in models)
    assert jnp.linalg.norm(a - b) < 1e-5 * jnp.linalg.norm(a)


def test_channels_first_in_bfloat16_is_as_near_to_float32_as_the_other_form():
    exact, *rounded = (
        build.resonance(12, 8, 32, 2, dtype=dtype, channels_first=first)
        for dtype, first in ((jnp.float32, False), (jnp.bfloat16, False), (jnp.bfloat16, True))
    )
    rng = np.random.default_rng(0)
    params = exact.init(rng, log_uniform(12, 8)) + 0.1 * rng.standard_normal(exact.parameters)
    codes, masked = jnp.asarray(rng.integers(0, 8, (12, 256))), jnp.asarray(rng.random((12, 256)) < 0.5).at[0].set(True)

    def gradient(model):
        loss = jax.jit(jax.grad(lambda p: masked_loss(model.apply, p, codes, masked)))
        return loss(jnp.asarray(params, jnp.float32))

    expected = gradient(exact)
    by_spectrum, first = (jnp.linalg.norm(gradient(model) - expected) for model in rounded)
    assert 0 < first < 1.5 * by_spectrum < 0.05 * jnp.linalg.norm(expected)


@pytest.mark.parametrize(("d", "heads"), [(dft.MATRIX_LIMIT + 1, 0), (12, 4)])
def test_where_channels_cannot_be_first_they_are_last(d, heads):
    models = [build.resonance(d, 3, 8, 1, heads=heads, channels_first=first) for first in (False, True)]
    params = jnp.asarray(np.random.default_rng(0).standard_normal(models[0].parameters), jnp.float32)
    codes, masked = jnp.zeros((d, 2), jnp.int32), jnp.zeros((d, 2), bool)
    a, b = (model.apply(params, codes, masked)[0] for model in models)
    np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("make", [build.resonance, build.mlp])
def test_rematerialised_blocks_give_the_same_gradient_and_keep_less(make):
    size = 32 if make is build.resonance else 40_000
    rng = np.random.default_rng(0)
    codes, masked = jnp.asarray(rng.integers(0, 8, (6, 256))), jnp.asarray(rng.random((6, 256)) < 0.4)
    found, needs = [], []
    for remat in (False, True):
        model = make(6, 8, size, 6, remat=remat)
        params = jnp.asarray(model.init(np.random.default_rng(1), log_uniform(6, 8)))
        params = params + 0.05 * jnp.asarray(np.random.default_rng(2).standard_normal(len(params)), jnp.float32)
        gradient = jax.jit(
            jax.grad(lambda p, m=model: jnp.mean(jax.nn.logsumexp(m.apply(p, codes, masked)[0], axis=-1)))
        )
        found.append(gradient(params))
        jaxpr = jax.make_jaxpr(gradient)(params)
        needs.append("remat" in str(jaxpr) or "checkpoint" in str(jaxpr))
    np.testing.assert_allclose(found[0], found[1], atol=1e-6)
    assert needs == [False, True]


@pytest.mark.parametrize(
    ("make", "names", "channels"),
    [
        (lambda: build.resonance(4, 6, 8, 11), [*(f"blocks.{i}" for i in range(11)), "embedding", "head", "norm"], 8),
        (
            lambda: build.mlp(4, 6, 900, 2),
            ["downs.0", "downs.1", "embedding", "head", "into", "norms", "up_biases", "ups.0", "ups.1"],
            build.mlp(4, 6, 900, 2).width,
        ),
    ],
)
def test_layers_share_the_parameters_out_and_the_head_is_given_the_representation(make, names, channels):
    model = make()
    assert [name for name, _, _ in model.layers] == names
    bounds = [(first, last) for _, first, last in model.layers]
    assert bounds[0][0] == 0
    assert bounds[-1][1] == model.parameters
    assert [last for _, last in bounds[:-1]] == [first for first, _ in bounds[1:]]
    params = model.init(np.random.default_rng(0), log_uniform(4, 6))
    params = jnp.asarray(params + np.random.default_rng(1).standard_normal(len(params)).astype(np.float32))
    codes, nothing = jnp.asarray(np.random.default_rng(2).integers(0, 6, (4, 5))), jnp.zeros((4, 5), bool)
    before = model.represent(params, codes, nothing)
    assert before.shape[1] == channels
    assert before.shape[0] in (5, 4 * 5)
    # The head alone changes the logits and leaves what it is given.
    first, last = next((first, last) for name, first, last in model.layers if name == "head")
    changed = params.at[first:last].add(1.0)
    assert np.array_equal(model.represent(changed, codes, nothing), before)
    assert not np.allclose(model.apply(changed, codes, nothing)[0], model.apply(params, codes, nothing)[0])
