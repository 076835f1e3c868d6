"""The network for sequences: blind to the future, equal to the plain sum, and able to learn what order says."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from vr.models import build, dft

LENGTH, CODES = 24, 5


def noisy(model, num_codes=CODES, seed=0):
    """Parameters off their start, where the head would hide what the blocks do."""
    rng = np.random.default_rng(seed)
    params = model.init(rng, np.full(num_codes, -np.log(num_codes)))
    return jnp.asarray(params + 0.2 * rng.standard_normal(len(params)), jnp.float32)


def tokens(length, rows=3, seed=1):
    return np.random.default_rng(seed).integers(0, CODES, (length, rows))


@pytest.mark.parametrize("length", [1, 20, 128, 129, 160])
@pytest.mark.parametrize("as_matrix", [True, False])
def test_the_convolution_is_the_plain_sum_over_the_past(length, as_matrix):
    rng = np.random.default_rng(0)
    x, kernel = (rng.standard_normal((length, 2, 3)).astype(np.float32) for _ in range(2))
    decay = np.array([0.0, 0.05, 1.0], np.float32)
    found = dft.causal_convolution(jnp.asarray(x), jnp.asarray(kernel[:, :1]), decay, as_matrix=as_matrix)
    windowed = kernel[:, :1] * np.exp(-decay * np.arange(length)[:, None, None])
    expected = [sum(windowed[t - s] * x[s] for s in range(t + 1)) for t in range(length)]
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.abs(expected).max() + 1e-5)


@pytest.mark.parametrize("length", [LENGTH, 140])
def test_no_logit_moves_with_its_own_token_or_a_later_one(length):
    model = build.causal(length, CODES, 8, 2)
    params, codes, seen = noisy(model), tokens(length), jnp.zeros((length, 3), bool)
    first, _ = model.apply(params, jnp.asarray(codes), seen)
    for at in (0, length // 2, length - 2):
        moved = codes.copy()
        moved[at:] = (codes[at:] + 1) % CODES
        second, _ = model.apply(params, jnp.asarray(moved), seen)
        np.testing.assert_allclose(first[: at + 1], second[: at + 1], atol=1e-4)
        assert np.abs(first[at + 1] - second[at + 1]).max() > 1e-2


def test_the_gradient_of_a_logit_reaches_no_later_position():
    """Exactly: by the derivative for the input of the blocks, beyond the rounding of the transforms."""
    length, at = 16, 7
    x = jnp.asarray(np.random.default_rng(0).standard_normal((length, 2)), jnp.float32)
    kernel = jnp.asarray(np.random.default_rng(1).standard_normal((length, 2)), jnp.float32)
    slope = jax.grad(lambda signal: dft.causal_convolution(signal, kernel)[at].sum())(x)
    assert np.abs(slope[at + 1 :]).max() < 1e-5 < np.abs(slope[: at + 1]).min()


def test_a_hidden_token_is_not_seen_afterwards_and_the_first_is_predicted_from_nothing():
    model = build.causal(LENGTH, CODES, 8, 2)
    params, codes = noisy(model), tokens(LENGTH)
    hidden = jnp.zeros((LENGTH, 3), bool).at[4].set(True)
    other = codes.copy()
    other[4] = (codes[4] + 2) % CODES
    first, second = (model.apply(params, jnp.asarray(c), hidden)[0] for c in (codes, other))
    np.testing.assert_array_equal(first, second)
    np.testing.assert_allclose(first[0], jnp.broadcast_to(first[0, :1], first[0].shape), atol=1e-5)


@pytest.mark.parametrize(("length", "codes", "channels", "depth"), [(1, 2, 3, 1), (24, 5, 8, 2), (300, 40, 12, 3)])
def test_parameters_and_shapes_are_as_stated(length, codes, channels, depth):
    model = build.causal(length, codes, channels, depth)
    assert len(model.init(np.random.default_rng(0), np.zeros(codes))) == model.parameters
    logits, energy = jax.eval_shape(
        model.apply,
        jax.ShapeDtypeStruct((model.parameters,), jnp.float32),
        jax.ShapeDtypeStruct((length, 2), jnp.int32),
        jax.ShapeDtypeStruct((length, 2), jnp.bool_),
    )
    assert (logits.shape, logits.dtype) == ((length, 2, codes), jnp.float32)
    assert energy.shape == (depth, length + 1)


def test_before_training_the_marginals_are_predicted():
    model, marginals = build.causal(LENGTH, CODES, 8, 2), np.log(np.random.default_rng(0).dirichlet(np.ones(CODES)))
    params = jnp.asarray(model.init(np.random.default_rng(1), marginals))
    logits, _ = model.apply(params, jnp.asarray(tokens(LENGTH)), jnp.zeros((LENGTH, 3), bool))
    np.testing.assert_allclose(logits, np.broadcast_to(marginals, logits.shape), atol=1e-5)


@pytest.mark.parametrize("length", [120, 128, 129, 136])
def test_both_transforms_give_the_same_logits_around_the_limit(length, monkeypatch):
    model = build.causal(length, CODES, 8, 2)
    params, codes, seen = noisy(model), jnp.asarray(tokens(length)), jnp.zeros((length, 3), bool)
    found = []
    for limit in (0, dft.MATRIX_LIMIT, 10_000):
        monkeypatch.setattr(dft, "MATRIX_LIMIT", limit)
        found.append(model.apply(params, codes, seen))
    for logits, energy in found[1:]:
        np.testing.assert_allclose(logits, found[0][0], atol=2e-4)
        np.testing.assert_allclose(energy, found[0][1], rtol=1e-4, atol=1e-4)


def test_bfloat16_inside_gives_the_logits_of_float32_to_its_rounding():
    exact, rounded = (build.causal(LENGTH, CODES, 16, 2, dtype=dtype) for dtype in (jnp.float32, jnp.bfloat16))
    params, codes, seen = noisy(exact), jnp.asarray(tokens(LENGTH, 16)), jnp.zeros((LENGTH, 16), bool)
    (a, energy_a), (b, energy_b) = (model.apply(params, codes, seen) for model in (exact, rounded))
    assert a.dtype == b.dtype == energy_b.dtype == jnp.float32
    assert 0 < np.abs(a - b).max() < 0.05 * np.abs(a).max()
    np.testing.assert_allclose(energy_a, energy_b, rtol=0.1, atol=0.1)
    text = str(jax.make_jaxpr(rounded.apply)(params, codes, seen))
    assert "bf16" in text
    assert "bf16" not in str(jax.make_jaxpr(exact.apply)(params, codes, seen))


def markov(rng, rows, length, num_codes):
    """Sequences of which each token depends on the two before it, and every token's true probability."""
    table = np.random.default_rng(7).dirichlet(np.full(num_codes, 0.3), (num_codes, num_codes))
    codes = rng.integers(0, num_codes, (length, rows))
    probability = np.full((length, rows), 1.0 / num_codes)
    for t in range(2, length):
        choice = table[codes[t - 2], codes[t - 1]]
        codes[t] = (rng.random((rows, 1)) > np.cumsum(choice, axis=1)[:, :-1]).sum(axis=1)
        probability[t] = choice[np.arange(rows), codes[t]]
    return codes, probability


def trained_loss(model, train, test, num_codes, steps=400, batch=64):
    """Returns the held-out loss beyond the first two positions, which nothing foretells."""
    counts = np.bincount(train.ravel(), minlength=num_codes)
    params = jnp.asarray(model.init(np.random.default_rng(0), np.log(counts / counts.sum())))

    def loss_of(params, codes):
        logits, _ = model.apply(params, codes, jnp.zeros(codes.shape, bool))
        return optax.softmax_cross_entropy_with_integer_labels(logits, codes)[2:].mean()

    optimizer = optax.adam(optax.cosine_decay_schedule(5e-3, steps), b2=0.99)

    @jax.jit
    def step(carry, rows):
        params, state = carry
        updates, state = optimizer.update(jax.grad(loss_of)(params, jnp.asarray(train)[:, rows]), state)
        return (optax.apply_updates(params, updates), state), None

    rows = np.random.default_rng(1).integers(0, train.shape[1], (steps, batch))
    (params, _), _ = jax.lax.scan(step, (params, optimizer.init(params)), jnp.asarray(rows))
    return float(loss_of(params, jnp.asarray(test)))


def test_an_order_two_chain_is_learnt_to_its_entropy_and_a_shuffled_one_is_not():
    num_codes, length, rng = 4, 32, np.random.default_rng(0)
    train, _ = markov(rng, 1_500, length, num_codes)
    test, probability = markov(rng, 500, length, num_codes)
    entropy = -np.log(probability[2:]).mean()
    counts = np.bincount(train.ravel()) / train.size
    marginal = -np.log(counts[test[2:]]).mean()
    model = build.causal(length, num_codes, 16, 2)
    assert trained_loss(model, train, test, num_codes) < entropy + 0.1 * (marginal - entropy)
    shuffled = [rng.permuted(codes, axis=0) for codes in (train, test)]
    assert trained_loss(model, *shuffled, num_codes) > marginal - 0.1 * (marginal - entropy)
