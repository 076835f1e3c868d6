"""What a preset asks for, before anything runs: against shapes, against XLA's own count, and as the docs say."""

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from vr.cascade.budget import budgets, row_flops
from vr.cascade.config import Network, Remat, changes_to, preset
from vr.cascade.step import masked_loss
from vr.cascade.train import _models
from vr.core.errors import ConfigError
from vr.models import build

COLUMNS, CODES = 32, 64
WANTED = {
    "workstation": (1e5, 1.6e6, 25e6),
    "h100": (1e6, 16e6, 256e6),
    "h100_large": (76e6, 454e6, 983e6),
}
DOCS = Path(__file__).parents[2] / "docs" / "cascade.md"


@pytest.mark.parametrize("name", ["smoke", "laptop", *WANTED])
@pytest.mark.parametrize("network", list(Network))
def test_a_presets_parameters_are_those_of_its_networks_shapes(name, network):
    config = replace(preset(name), network=network)
    models = _models(config, np.full(COLUMNS, CODES))
    for tier, budget in zip(config.tiers, budgets(config, COLUMNS, CODES), strict=True):
        model = models[tier.name]
        assert budget.parameters == model.parameters
        codes = jax.ShapeDtypeStruct((COLUMNS, 8), jnp.int32)
        params = jax.ShapeDtypeStruct((model.parameters,), jnp.float32)
        logits, _ = jax.eval_shape(model.apply, params, codes, jax.ShapeDtypeStruct((COLUMNS, 8), jnp.bool_))
        assert logits.shape == (COLUMNS, 8, CODES)
        assert logits.dtype == jnp.float32


def test_heads_count_and_leave_the_tiers_their_sizes():
    plain = preset("workstation")
    headed = replace(plain, heads=4)
    models = _models(headed, np.full(COLUMNS, CODES))
    for tier, with_heads, without in zip(
        headed.tiers, budgets(headed, COLUMNS, CODES), budgets(plain, COLUMNS, CODES), strict=True
    ):
        assert with_heads.parameters == models[tier.name].parameters
        assert with_heads.parameters == pytest.approx(without.parameters, rel=0.1)
        assert with_heads.flops != without.flops


@pytest.mark.parametrize("network", list(Network))
@pytest.mark.parametrize("remat", list(Remat))
def test_blocks_may_be_worked_out_again_where_the_configuration_lets_them(network, remat):
    config = replace(preset("smoke"), network=network, remat=remat)
    model = _models(config, np.full(COLUMNS, CODES))["tier_1"]
    shapes = (jax.ShapeDtypeStruct((model.parameters,), jnp.float32),)
    shapes += (jax.ShapeDtypeStruct((COLUMNS, 8), jnp.int32), jax.ShapeDtypeStruct((COLUMNS, 8), jnp.bool_))

    def is_lean(each) -> bool:
        program = str(jax.make_jaxpr(lambda *args: each.apply(*args)[0])(*shapes))
        return "remat" in program or "checkpoint" in program

    assert is_lean(model) is (remat is Remat.always)
    assert (model.lean is not None) is (remat is Remat.auto)
    if model.lean is not None:
        assert is_lean(model.lean())
        assert model.lean().lean is None


@pytest.mark.parametrize("name", list(WANTED))
def test_the_sizes_of_the_accelerators_presets(name):
    found = budgets(preset(name), COLUMNS, CODES)
    assert [tier.seeds for tier in preset(name).tiers] == [10, 5, 3]
    for budget, wanted in zip(found, WANTED[name], strict=True):
        assert budget.parameters == pytest.approx(wanted, rel=0.1)


@pytest.mark.parametrize(("channels", "depth", "heads"), [(64, 2, 0), (24, 3, 0), (64, 2, 4)])
def test_operations_are_those_that_xla_counts(channels, depth, heads):
    model, rows = build.resonance(COLUMNS, CODES, channels, depth, heads=heads), 128

    def gradient(params, codes, masked):
        return jax.grad(lambda p: masked_loss(model.apply, p, codes, masked))(params)

    shapes = (
        jax.ShapeDtypeStruct((model.parameters,), jnp.float32),
        jax.ShapeDtypeStruct((COLUMNS, rows), jnp.int32),
        jax.ShapeDtypeStruct((COLUMNS, rows), jnp.bool_),
    )
    counted = jax.jit(gradient).lower(*shapes).compile().cost_analysis()["flops"]
    assert 3 * row_flops(COLUMNS, CODES, channels, depth, heads) * rows == pytest.approx(counted, rel=0.25)


def test_the_docs_state_every_preset():
    text = DOCS.read_text(encoding="utf-8")
    for name in ("smoke", "laptop", *WANTED):
        for budget in budgets(preset(name), COLUMNS, CODES):
            row = f"| {name} | {budget.name} | {budget.models} | {budget.parameters:,} | {budget.cells:.1e} | "
            assert row + f"{budget.flops:.1e} |" in text


def test_the_docs_hours_follow_from_the_operations():
    rate = 0.27 * 989e12
    minutes = {
        name: sum(budget.seconds(devices * rate) for budget in budgets(preset(name), COLUMNS, CODES)) / 60
        for name, devices in (("workstation", 1), ("h100", 8), ("h100_large", 8))
    }
    assert round(minutes["workstation"]) == 5
    assert round(minutes["h100"]) == 39
    assert round(minutes["h100_large"] / 60) == 7
    text = DOCS.read_text(encoding="utf-8")
    assert "the training of `workstation` takes 5 minutes by measured step times, at 27 % of 989 teraflops" in text
    assert "eight H100 would take 39 minutes for `h100` and 7 hours\nfor `h100_large` at that 27 %" in text


def test_a_cascade_that_gives_other_readings_than_its_preset_says_in_what():
    assert changes_to("laptop", preset("laptop")) == []
    assert changes_to("laptop", replace(preset("laptop"), threads=7, progress_seconds=1.0)) == []
    assert changes_to("laptop", preset("smoke")) == ["cascade=smoke"]
    assert changes_to("laptop", replace(preset("laptop"), learning_rate_test=True, test_rows=500)) == [
        "cascade.test_rows",
        "cascade.learning_rate_test",
    ]
    shorter = preset("laptop")
    shorter.tiers[0].steps = 20
    assert changes_to("laptop", shorter) == ["cascade.tiers"]


def test_only_the_resonance_network_has_heads():
    with pytest.raises(ConfigError, match="only the resonance network has heads"):
        replace(preset("laptop"), heads=4)


@pytest.mark.parametrize("name", ["workstation", "h100", "h100_large"])
def test_tiers_with_more_parameters_than_a_table_teaches_stop_by_their_own_rows(name):
    assert [tier.patience for tier in preset(name).tiers] == [0, 2, 2]
