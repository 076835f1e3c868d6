"""What the two trained families share: one compilation, one result for a key, a place for every number of rows."""

import logging
import subprocess
import sys

import jax
import numpy as np
import pyarrow as pa
import pytest

from synthetic import autoregressive_network, training, variational_autoencoder

each_network = pytest.mark.parametrize("module", [autoregressive_network, variational_autoencoder])


def dependent(n: int, seed: int) -> pa.Table:
    """Three columns, one of them with as many levels and missing values as chance gives it."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    kind = rng.choice(["a", "b", "c", "d"], n, p=[0.6, 0.35, 0.04, 0.01])
    return pa.table({"x": x, "y": pa.array(x**3, mask=rng.random(n) < rng.random() / 2), "kind": kind})


@each_network
def test_networks_are_compiled_once_for_a_number_of_columns(module, caplog):
    """Nor does another number of rows, of levels, of missing values or of rows to sample compile anything."""
    generator = module.fit(dependent(300, 0), 1)
    assert generator.sample(training.BLOCK + 3, 1).num_rows == training.BLOCK + 3
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        module.fit(dependent(300, 1), 2).sample(7, 2, 0.7)
        module.fit(dependent(170, 2), 2).sample(300, 2)
    assert [record.getMessage() for record in caplog.records] == []


def test_the_compiler_would_have_been_heard(caplog):
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        jax.jit(lambda x: x + 12345.0)(np.ones(3))
    assert any("ompil" in record.getMessage() for record in caplog.records)


def test_a_cell_knows_only_the_cells_before_it():
    """Germain et al.'s masks: changing column j changes no distribution of the columns up to j."""
    d, k = 4, autoregressive_network.NUM_CODES
    rng = np.random.default_rng(0)
    network = training.flatten(lambda draw: autoregressive_network.MaskedNetwork(d, draw=draw))
    params = network.init(rng)
    basis = np.tile(np.eye(k, dtype=np.float32), (d, 1, 1))
    run = jax.jit(lambda codes, basis: network.merge(params)(codes, basis, np.int32(d)))
    codes = rng.integers(0, k, (8, d)).astype(np.int32)
    before = np.asarray(run(codes, basis))
    for j in range(d):
        changed = codes.copy()
        changed[:, j] = (changed[:, j] + 1) % k
        differs = np.abs(np.asarray(run(changed, basis)) - before).max(axis=(1, 2)) > 1e-7
        assert differs.tolist() == [column > j for column in range(d)]


def test_neighbouring_bins_start_out_alike():
    basis = autoregressive_network._basis(10)
    distance = np.linalg.norm(basis[:10, None] - basis[None, :10], axis=2)
    assert distance[4, 5] < distance[4, 7] < distance[0, 9]
    np.testing.assert_array_equal(basis[10:, 10:], np.eye(autoregressive_network.NUM_CODES - 10))


def test_columns_are_padded_to_multiples_of_four():
    assert [training.pad_columns(d) for d in (0, 1, 4, 5, 8)] == [4, 4, 4, 8, 8]


def test_blocks_are_filled_and_cut():
    seen = []

    def program(x):
        seen.append(len(x))
        return x + 1, 2 * x

    x = np.arange(training.BLOCK + 5)[:, None]
    more, twice = training.in_blocks(program, len(x), x)
    np.testing.assert_array_equal(more, x + 1)
    np.testing.assert_array_equal(twice, 2 * x)
    assert seen == [training.BLOCK, training.BLOCK]
    assert [len(out) for out in training.in_blocks(program, 0, x[:0])] == [0, 0]


def test_training_finds_the_least_squares_mean_and_stops():
    trainer = training.make_trainer(lambda params, rows, context: ((rows[0] - params[None, :]) ** 2).sum(axis=1), 0.03)
    x = np.random.default_rng(0).normal(3.0, 1.0, (400, 1)).astype(np.float32)
    rounds = []
    counted = trainer._replace(advance=lambda *arguments: rounds.append(1) or trainer.advance(*arguments))
    params = training.train(counted, np.zeros(1, np.float32), (x,), (), np.random.default_rng(1))
    assert params[0] == pytest.approx(x.mean(), abs=0.1)
    assert len(rounds) < 60


def test_a_loss_that_is_not_finite_is_said():
    trainer = training.make_trainer(lambda params, rows, context: (params / 0.0) * rows[0][:, 0], 0.01)
    with pytest.raises(FloatingPointError, match="diverged"):
        training.train(trainer, np.ones(1, np.float32), (np.ones((30, 1), np.float32),), (), np.random.default_rng(0))


def test_names_and_other_families_do_not_load_jax():
    code = (
        "import sys, synthetic.families, synthetic.damage, synthetic.harmless, synthetic.lineage\n"
        "import pyarrow as pa\n"
        "synthetic.families.FAMILIES['bayesian_network'].fit(pa.table({'x': [1, 2]}), 0).sample(3, 1)\n"
        "print(*{name.partition('.')[0] for name in sys.modules} & {'jax', 'flax', 'optax'})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
