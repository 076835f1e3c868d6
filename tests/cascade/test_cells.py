"""Single cells of both networks: the last layer against gradients of the whole, paths against their ends."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vr.cascade.cells import last_layer, path_gradients
from vr.cascade.members import log_marginals
from vr.cascade.step import cell_losses
from vr.models import build
from vr.models.table import INVALID

NUM_CODES, ROWS = np.array([4, 3, 5, 2]), 30


@pytest.fixture(scope="module", params=["mlp", "resonance"])
def network(request):
    rng = np.random.default_rng(0)
    codes = np.stack([rng.integers(0, k, ROWS) for k in NUM_CODES], axis=1)
    d, k = len(NUM_CODES), int(NUM_CODES.max())
    model = build.mlp(d, k, 900, 1) if request.param == "mlp" else build.resonance(d, k, 6, 1)
    params = model.init(rng, log_marginals(codes, NUM_CODES, INVALID))
    # The head's kernel starts at zero, where nothing below it matters.
    params = params + 0.2 * rng.standard_normal(len(params)).astype(np.float32)
    return model, jnp.asarray(params), jnp.asarray(codes.T)


def left_out_loss(model, params, codes, position):
    masked = jnp.broadcast_to((jnp.arange(len(NUM_CODES)) == position)[:, None], codes.shape)
    return cell_losses(model.apply, params, codes, masked)[position]


def test_the_last_layers_gradients_are_products_of_its_inputs_and_errors(network):
    model, params, codes = network
    positions = np.array([0, 2])
    found = last_layer(model, params, codes, jnp.asarray(positions))
    (first, last), d, k = next((f, e) for name, f, e in model.layers if name == "head"), *(4, 5)
    for place, position in enumerate(positions):
        whole = jax.jit(jax.grad(lambda p, j=position: jnp.mean(left_out_loss(model, p, codes, j))))(params)[first:last]
        bias, kernel = whole[: d * k].reshape(d, k), whole[d * k :]
        # One head over all columns, or one for each.
        shared = kernel.size == found.inputs.shape[-1] * d * k and model.represent(params, codes, codes < 0).ndim == 2
        rows = model.represent(params, codes, codes < 0).shape[0] == ROWS
        kernel = kernel.reshape(-1, d, k)[:, position] if shared and rows else kernel.reshape(d, -1, k)[position]
        errors = found.probabilities[place] - jax.nn.one_hot(codes[position], k)
        assert np.asarray(errors.mean(axis=0)) == pytest.approx(np.asarray(bias[position]), abs=1e-5)
        product = jnp.einsum("nc,nk->ck", found.inputs[place], errors) / ROWS
        assert np.asarray(product) == pytest.approx(np.asarray(kernel), abs=1e-5)


def test_cells_half_shown_lie_between_and_whole_ones_are_the_masks(network):
    model, params, codes = network
    masked = jnp.asarray(np.random.default_rng(1).random(codes.shape) < 0.5)
    as_masks, _ = model.apply(params, codes, masked)
    as_shares, _ = model.apply(params, codes, masked.astype(jnp.float32))
    assert np.asarray(as_shares) == pytest.approx(np.asarray(as_masks), abs=1e-5)


def integrated(network, stretches, points=8):
    model, params, codes = network
    x, w = np.polynomial.legendre.leggauss(points)
    positions, total = jnp.arange(len(NUM_CODES)), 0.0
    for i in range(stretches):
        at = jnp.asarray((i + (x + 1) / 2) / stretches, jnp.float32)
        found = path_gradients(model, params, codes, positions, at, jnp.asarray(w / (2 * stretches), jnp.float32))
        total = total + found.integral
    return np.asarray(total), np.asarray(found.hidden), np.asarray(found.shown)


def test_effects_add_up_to_the_difference(network):
    effects, hidden, shown = integrated(network, 4)
    assert effects.sum(axis=1) == pytest.approx(shown - hidden, abs=2e-3)
    expected = np.stack([left_out_loss(*network, j) for j in range(len(NUM_CODES))])
    assert shown == pytest.approx(expected, abs=1e-5)


def test_a_predicted_cell_does_nothing_to_itself(network):
    effects, _, _ = integrated(network, 1)
    assert np.abs(effects[np.arange(4), np.arange(4)]).max() == 0.0


def test_a_cell_that_is_as_good_as_hidden_does_nothing(network):
    model, params, codes = network
    # The embedding's leaves in order: column [d, 1, C], mask [C], value [d, K, C].
    first, last = next((f, e) for name, f, e in model.layers if name == "embedding")
    d, k = 4, 5
    channels = (last - first) // (d + 1 + d * k)
    mask = params[first + d * channels : first + (d + 1) * channels]
    values = params[first + (d + 1) * channels : last].reshape(d, k, channels).at[1].set(mask)
    blind = params.at[first + (d + 1) * channels : last].set(values.ravel())
    effects, _, _ = integrated((model, blind, codes), 1)
    assert np.abs(effects[:, 1]).max() < 1e-6
    assert np.abs(effects[:, 0]).max() > 1e-3
