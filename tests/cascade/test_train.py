"""The trained cascade on small tables: pairing, determinism, resumption, and that it sees what is lost."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

from vr.cascade.config import CascadeConfig, Execution, Network, TierConfig
from vr.cascade.members import rows_of, shares
from vr.cascade.train import _models, run_cascade
from vr.core.errors import ConfigError, DataError, DivergedError
from vr.models import build

NUM_CODES = [6, 6, 5, 4]


def table(rows, seed, *, shuffled=False):
    rng = np.random.default_rng(seed)
    a = rng.integers(1, 6, rows)
    b = np.where(rng.random(rows) < 0.85, a, rng.integers(1, 6, rows))
    c = 1 + (a + b) % 4
    codes = np.column_stack([a, b, c, rng.integers(1, 4, rows)]).astype(np.uint16)
    return np.column_stack([rng.permutation(column) for column in codes.T]) if shuffled else codes


def config(**changes):
    tiers = [
        TierConfig(
            name="small",
            seeds=3,
            width=6,
            depth=1,
            steps=60,
            null_arm=True,
            gradients=True,
            curvature=True,
            half_arms=True,
        ),
        TierConfig(name="large", seeds=2, width=40, depth=1, growth=6.0, steps=60),
    ]
    settings = {"preset": "test", "tiers": tiers, "train_rows": 400, "test_rows": 200, "compilation_cache": True}
    return CascadeConfig(**(settings | changes))


@pytest.fixture(scope="module")
def broken():
    return run_cascade(table(1_500, 0), table(1_000, 1, shuffled=True), NUM_CODES, config(), 0)


@pytest.fixture(scope="module")
def fresh():
    return run_cascade(table(1_500, 0), table(1_000, 1), NUM_CODES, config(), 0)


def test_a_fresh_sample_stays_within_the_null_and_a_shuffled_one_does_not(fresh, broken):
    inside, outside = fresh.readings["log_ratio_all"], broken.readings["log_ratio_all"]
    assert abs(inside.value - inside.null_mean) < 4 * np.hypot(inside.null_std, 0.01)
    assert outside.value > 0.1
    assert outside.value > inside.value + 5 * outside.null_std


def test_no_row_both_trains_and_judges():
    for rows, limit in ((300, 4_000), (50_000, 4_000), (97, 15)):
        share = shares(rows, rows, config(train_rows=limit, test_rows=limit))
        seen = [rows_of(share, rows, 0, "small", member) for member in range(5)]
        for part in seen:
            together = np.concatenate([part.reference, part.null, part.test])
            assert len(np.unique(together)) == len(together)
            assert len(part.reference) == len(part.null) == share.train
            assert len(part.test) == share.test
        assert not np.array_equal(seen[0].test, seen[1].test)


def test_the_half_arms_see_half_of_the_rows():
    few = config(tiers=[TierConfig(name="one", seeds=1, width=4, depth=1, steps=20, half_arms=True)])
    prepared = {}
    run_cascade(table(600, 0), table(400, 1), NUM_CODES, few, 0, prepared=prepared)
    (tier,) = prepared.values()
    drawn = tier._drawn(table(400, 1), 0)
    half, whole = (tier._job(0, arm, drawn) for arm in ("candidate_half", "candidate"))
    furthest = [max(int(job.segment(number).batches.max()) for number in range(20)) for job in (half, whole)]
    assert furthest[0] < tier.share.train // 2 <= furthest[1]


def test_every_model_is_reported_with_finite_numbers(broken):
    assert len(broken.models) == 3 * 5 + 2 * 2
    document = broken.to_dict()
    for model in document["models"]:
        assert model["status"] == "trained"
        assert len(model["loss_curve"]["loss"]) == len(model["loss_curve"]["rows"]) == 20
        assert model["loss"] == model["losses"]["all"] > 0
        assert list(model["layer_gradient_norm"]) == [
            "downs.0",
            "embedding",
            "head",
            "into",
            "norms",
            "up_biases",
            "ups.0",
        ]
        assert all(0 < norm < model["gradient_norm"]["max"] for norm in model["layer_gradient_norm"].values())
        assert 1 / len(model["energy"]) <= model["spectral_concentration"] <= 1
        assert 1 < model["representation_rank"] < 60
    assert {m.parameters for m in broken.models if m.tier == "large"} != {
        m.parameters for m in broken.models if m.tier == "small"
    }


def test_the_reference_arm_learns_more_than_the_marginals(fresh):
    small = fresh.tiers[0]
    losses = [m.loss for m in fresh.models if m.tier == "small" and m.arm == "reference"]
    assert np.mean(losses) < small.prior_loss - 0.1


def test_training_on_noise_turns_the_gradient_against_real_rows(fresh, broken):
    assert broken.readings["gradient_cosine"].value is None or (broken.readings["gradient_cosine"].value < 0.9)
    assert fresh.readings["gradient_noise_change"].value == pytest.approx(0.0, abs=1.0)


def test_the_same_seed_gives_the_same_numbers_and_another_seed_others(fresh):
    again = run_cascade(table(1_500, 0), table(1_000, 1), NUM_CODES, config(), 0)
    other = run_cascade(table(1_500, 0), table(1_000, 1), NUM_CODES, config(), 1)
    assert [m.losses for m in again.models] == [m.losses for m in fresh.models]
    assert again.scaling == fresh.scaling
    assert [m.losses for m in other.models] != [m.losses for m in fresh.models]


def test_a_saved_tier_is_not_trained_again():
    saved = {}
    first = run_cascade(table(600, 0), table(400, 1), NUM_CODES, config(), 0, saved=saved)
    assert set(saved) == {"small", "large"}
    saved["small"]["tier"]["seconds"] = -1.0
    del saved["large"]
    second = run_cascade(table(600, 0), table(400, 1), NUM_CODES, config(), 0, saved=saved)
    assert second.tiers[0].seconds == -1.0
    assert [m.losses for m in second.models] == [m.losses for m in first.models]


def test_a_second_candidate_finds_the_real_arms_trained(broken):
    prepared = {}
    run_cascade(table(1_500, 0), table(1_000, 1), NUM_CODES, config(), 0, prepared=prepared)
    small = next(tier for key, tier in prepared.items() if key.startswith("small"))
    trained = []
    small._train, train = (lambda jobs, *rest: trained.extend(jobs) or train(jobs, *rest)), small._train
    seen = []
    again = run_cascade(
        table(1_500, 0),
        table(1_000, 1, shuffled=True),
        NUM_CODES,
        config(),
        0,
        prepared=prepared,
        progress=lambda step: seen.append(step.done),
    )
    assert {arm for _, arm in trained} == {"candidate", "candidate_half"}
    assert [m.losses for m in again.models] == [m.losses for m in broken.models]
    assert again.readings == broken.readings
    assert seen[-1] == len(broken.models)


def test_identical_arms_have_a_log_ratio_of_exactly_zero(monkeypatch):
    from vr.cascade.tier import Tier

    monkeypatch.setattr(Tier, "_drawn", lambda self, candidate, member: self.reference[self._rows[member].reference])
    codes = table(600, 0)
    result = run_cascade(codes, codes, NUM_CODES, config(), 0)
    assert result.readings["log_ratio_all"].value == 0.0


@pytest.mark.parametrize("network", list(Network))
def test_stacked_agrees_with_looped(network):
    few = config(network=network, tiers=[TierConfig(name="one", seeds=2, width=5, depth=1, steps=40)])
    runs = []
    for form in (Execution.looped, Execution.stacked):
        few.execution = form
        runs.append(run_cascade(table(400, 0), table(300, 1), NUM_CODES, few, 0))
    for a, b in zip(runs[0].models, runs[1].models, strict=True):
        assert a.losses == pytest.approx(b.losses, rel=1e-3)
    assert [run.tiers[0].execution for run in runs] == ["looped", "stacked"]


def test_a_processor_goes_by_the_spectrum_to_the_last_bit_and_stacked_members_do_not():
    sizes, rng = np.array(NUM_CODES), np.random.default_rng(0)
    plain = build.resonance(4, 6, 6, 1)
    params = jnp.asarray(rng.standard_normal(plain.parameters), jnp.float32)
    codes, masked = jnp.asarray(rng.integers(0, 4, (4, 50))), jnp.asarray(rng.random((4, 50)) < 0.5)
    expected, energy = plain.apply(params, codes, masked)
    for form in (Execution.auto, Execution.looped, Execution.stacked):
        model = _models(config(network=Network.resonance, execution=form), sizes)["small"]
        found, own_energy = model.apply(params, codes, masked)
        if form is Execution.stacked:
            assert not np.array_equal(found, expected)
            np.testing.assert_allclose(found, expected, atol=1e-4)
        else:
            np.testing.assert_array_equal(found, expected)
            np.testing.assert_array_equal(own_energy, energy)


@pytest.mark.parametrize("network", list(Network))
def test_both_networks_train(network):
    few = config(network=network, tiers=[TierConfig(name="one", seeds=2, width=6, depth=1, steps=60)])
    result = run_cascade(table(600, 0), table(400, 1, shuffled=True), NUM_CODES, few, 0)
    assert result.readings["log_ratio_all"].value > 0.02
    assert result.scaling is None
    assert result.readings["spectrum_divergence"].value > 0
    assert all(np.isfinite(model.spectral_entropy) for model in result.models)


def test_one_member_that_diverges_is_reported_and_spares_the_others(monkeypatch):
    from dataclasses import replace

    from vr.cascade.tier import Tier

    job = Tier._job

    def wild(self, member, arm, drawn, **options):
        made = job(self, member, arm, drawn, **options)
        peak = np.float32(np.inf if (member, arm) == (1, "candidate") else made.start.peak)
        return replace(made, start=made.start._replace(peak=peak))

    few = config(tiers=[TierConfig(name="one", seeds=3, width=4, depth=1, steps=40)])
    expected = run_cascade(table(600, 0), table(400, 1), NUM_CODES, few, 0)
    monkeypatch.setattr(Tier, "_job", wild)
    seen = []
    few.progress_seconds = 0.0
    found = run_cascade(table(600, 0), table(400, 1), NUM_CODES, few, 0, progress=seen.append)
    (diverged,) = [model for model in found.models if model.status != "trained"]
    assert (diverged.seed, diverged.arm, diverged.status) == (1, "candidate", "diverged")
    assert set(diverged.loss_curve["loss"]) == {None}
    assert [m.losses for m in found.models if m is not diverged] == [
        m.losses for m in expected.models if (m.seed, m.arm) != (1, "candidate")
    ]
    # Its seed takes no part, and no number of the report or of the way to it is NaN.
    assert found.readings["log_ratio_all"].value != expected.readings["log_ratio_all"].value
    json.dumps([found.to_dict(), *(event.values for event in seen)], allow_nan=False)


def test_progress_counts_every_model_up_to_the_total():
    seen = []
    tiers = [TierConfig(name="one", seeds=2, width=4, depth=1, steps=20, null_arm=True)]
    few = config(tiers=tiers, progress_seconds=0.0)
    run_cascade(table(300, 0), table(300, 1), NUM_CODES, few, 0, progress=seen.append)
    done = [step.done for step in seen]
    assert done == sorted(done)
    assert {1, 2, 3, 4, 5, 6} <= {round(each, 6) for each in done}
    assert seen[-1].total == 6
    assert set(seen[-1].values["cascade/one"]) == {"reference", "candidate", "null"}


def test_too_few_rows_and_divergence_are_typed_errors():
    with pytest.raises(DataError, match="too few rows"):
        run_cascade(table(20, 0), table(20, 1), NUM_CODES, config(), 0)
    wild = config(tiers=[TierConfig(name="one", seeds=2, width=4, depth=1, steps=20, learning_rate=1e30)])
    with pytest.raises(DivergedError, match="learning_rate"):
        run_cascade(table(300, 0), table(300, 1), NUM_CODES, wild, 0)
    with pytest.raises(ConfigError, match="multiple of 20"):
        TierConfig(name="odd", seeds=1, width=4, steps=150)
