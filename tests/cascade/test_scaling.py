import numpy as np
import pytest
from scipy.stats import t as student_t

from vr.cascade.result import ModelResult
from vr.cascade.scaling import Widening, extrapolate, load_widening
from vr.cascade.train import _paired_losses

SIZES = np.array([4e3, 4e4, 4e5])
COUNTS = (10, 5, 3)
AS_IT_IS = Widening(1.0, 1.0, {})


def falling(sizes):
    return 30.0 * np.asarray(sizes) ** -0.4 + 1.2


def rising(sizes):
    return 2.0 - 6.0 * np.asarray(sizes) ** -0.25


def simulated(rng, law=falling, noise=0.01, excess=0.0, own=0.0):
    """Both arms of a seed share `noise`; `own` is each arm's."""
    shared = [rng.normal(0, noise, n) for n in COUNTS]
    reference = [law(s) + e + rng.normal(0, own, len(e)) for s, e in zip(SIZES, shared, strict=True)]
    candidate = [(law(s) + e) * np.exp(excess) + rng.normal(0, own, len(e)) for s, e in zip(SIZES, shared, strict=True)]
    return reference, candidate


def found_for(reference, candidate, seed=0, **changes):
    settings = {"target": None, "level": 0.95, "rng": np.random.default_rng(seed), "num_resamples": 40}
    return extrapolate(SIZES[: len(reference)], reference, candidate, **(settings | changes))


@pytest.mark.parametrize("law", [falling, rising])
def test_the_interval_covers_the_truth_at_ten_times_the_largest_size(law):
    covered = 0
    for seed in range(16):
        interval = found_for(*simulated(np.random.default_rng(seed), law), seed)["predicted_loss"]
        covered += interval["lower"] <= law(4e6) <= interval["upper"]
        assert interval["value"] == pytest.approx(law(4e6), rel=0.06)
        # An interval of everything covers too: it has to say something of the loss.
        assert interval["upper"] - interval["lower"] < 0.6 * law(4e6)
    assert covered >= 14


def test_paired_excess_is_found_and_the_horizon_is_capped():
    found = found_for(*simulated(np.random.default_rng(0), excess=0.1), target=1e12)
    assert found["target_parameters"] == 4e6
    assert found["target_capped"]
    assert found["predicted_excess_loss"]["value"] == pytest.approx(0.1, abs=0.01)
    assert found["largest_tier"]["candidate_loss"] > found["largest_tier"]["reference_loss"]
    near = found_for(*simulated(np.random.default_rng(0)), target=1e6)
    assert near["target_parameters"] == 1e6
    assert not near["target_capped"]


def test_the_excess_interval_covers_its_truth_and_knows_that_seeds_are_paired():
    covered = 0
    for seed in range(16):
        reference, candidate = simulated(np.random.default_rng(seed), excess=0.1, noise=0.03, own=0.003)
        interval = found_for(reference, candidate, seed)["predicted_excess_loss"]
        covered += interval["lower"] <= 0.1 <= interval["upper"]
    assert covered >= 14
    shuffled = [np.roll(x, 1) for x in candidate]
    loose = found_for(reference, shuffled)["predicted_excess_loss"]
    assert loose["upper"] - loose["lower"] > 1.5 * (interval["upper"] - interval["lower"])


def test_widening_multiplies_both_sides():
    arms = simulated(np.random.default_rng(0), own=0.005)
    narrow = found_for(*arms, widening=AS_IT_IS)
    wide = found_for(*arms, widening=Widening(3.0, 2.0, {}))
    for key, factor in (("predicted_loss", 3.0), ("predicted_excess_loss", 2.0)):
        for end in ("lower", "upper"):
            before, after = (found[key][end] - found[key]["value"] for found in (narrow, wide))
            assert after == pytest.approx(factor * before)
            assert before != 0


def test_the_shipped_widening_says_where_it_comes_from_and_narrows_nothing():
    shipped = load_widening()
    assert min(shipped.loss, shipped.excess) >= 1.0
    assert shipped.origin["made_by"].startswith("python -m benchmarks.")
    assert shipped.origin["level"] == 0.95


def test_the_single_tier_beside_it_is_students_interval_of_the_paired_seeds():
    reference, candidate = simulated(np.random.default_rng(0), excess=0.05, own=0.002)
    ratios = np.log(candidate[-1] / reference[-1])
    half = student_t.ppf(0.975, 2) * ratios.std(ddof=1) / np.sqrt(3)
    single = found_for(reference, candidate)["single_tier_excess_loss"]
    assert single["value"] == pytest.approx(ratios.mean())
    assert (single["lower"], single["upper"]) == pytest.approx((ratios.mean() - half, ratios.mean() + half))
    assert single["worse"] == "candidate"
    assert found_for(candidate, reference)["single_tier_excess_loss"]["worse"] == "reference"
    assert found_for(reference, reference)["single_tier_excess_loss"]["worse"] == "undecided"


def test_the_asymptote_is_identified_only_where_the_losses_alone_say_so():
    def times(law):
        arms = [simulated(np.random.default_rng(seed), law) for seed in range(20)]
        return sum(found_for(*arm, num_resamples=2)["asymptote_identified"] for arm in arms)

    assert times(lambda n: 500.0 * n**-0.7 + 1.0) == 20
    # An asymptote of 0 lies outside of its interval once in forty draws.
    assert times(lambda n: 30.0 * n**-0.3) <= 3
    assert times(lambda n: 3.0 - 0.15 * np.log(n)) <= 1
    assert times(lambda n: 1.0 + 0.15 * np.log(n)) <= 1
    reference, candidate = simulated(np.random.default_rng(0))
    assert not found_for(reference[:2], candidate[:2])["asymptote_identified"]


def test_one_tier_is_no_law():
    assert found_for([np.ones(3)], [np.ones(3)]) is None


def test_a_seed_of_which_one_arm_diverged_counts_in_neither():
    def model(seed, arm, loss):
        return ModelResult("one", seed, arm, "trained", 10, loss, {"all": loss}, {}, {}, None, [])

    models = [
        model(s, arm, s + 1.0 if arm == "reference" else s + 2.0)
        for s in range(3)
        for arm in ("candidate", "reference")
    ]
    models[2] = model(1, "candidate", None)
    reference, candidate = _paired_losses(models, "one")
    assert reference.tolist() == [1.0, 3.0]
    assert candidate.tolist() == [2.0, 4.0]
