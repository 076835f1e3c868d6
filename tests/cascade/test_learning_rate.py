"""The rate from a short test on the reference: the rule, what it ignores, and what diverges."""

import numpy as np
import pytest
from test_train import NUM_CODES, config, table

from vr.cascade.config import TierConfig
from vr.cascade.learning_rate import chosen_rate, rates_around, short_settings
from vr.cascade.step import TrainSettings
from vr.cascade.train import run_cascade

RATES = np.array([1e-3, 2e-3, 4e-3, 8e-3])
SEEDS = np.array([0.5, 1.0, 1.5])  # each has rows of its own


def losses(behind, spread=0.01):
    """Three seeds that lose so much to 1 plus their own; the standard error of each mean is 0.58 times `spread`."""
    noise = spread * np.array([[-1.0, 0.0, 1.0], [1.0, -1.0, 0.0], [0.0, 0.0, 0.0], [0.0, 1.0, -1.0]])
    return SEEDS + np.array(behind)[:, None] + noise


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        ([0.3, 0.1, 0.0, 0.2], 4e-3),
        ([0.3, 0.005, 0.0, 0.2], 2e-3),
        ([0.005, 0.1, 0.0, 0.2], 1e-3),
        ([0.007, 0.006, 0.0, 0.2], 4e-3),
        ([0.4, 0.3, 0.0, np.nan], 4e-3),
        ([np.nan] * 4, 1e-3),
    ],
)
def test_the_smallest_within_one_standard_error_of_the_best(behind, expected):
    assert chosen_rate(RATES, losses(behind)) == expected


def test_a_rate_at_which_one_seed_diverged_is_out():
    found = losses([0.3, 0.2, 0.1, 0.0])
    found[3, 1] = np.inf
    assert chosen_rate(RATES, found) == 4e-3


def test_one_seed_has_no_error_and_takes_the_best():
    assert chosen_rate(RATES, np.array([[1.2], [1.1], [1.0], [1.0]])) == 4e-3


def test_a_test_is_short_but_not_too_short():
    assert rates_around(8e-3) == pytest.approx([1e-3, 2e-3, 4e-3, 8e-3, 16e-3])
    for steps, short in ((12_000, 1_200), (2_040, 200), (400, 100), (60, 60)):
        assert short_settings(TrainSettings(steps, 32, patience=3)) == TrainSettings(short, 32)


def one_tier(rate=1e-2, **changes):
    tier = TierConfig(name="one", seeds=3, width=6, depth=1, steps=100, learning_rate=rate)
    return config(tiers=[tier], learning_rate_test=True, **changes)


def trained(candidate, settings):
    return run_cascade(table(1_500, 0), candidate, NUM_CODES, settings, 0)


def test_the_rate_is_sane_the_same_for_both_arms_and_no_matter_of_the_candidate():
    fresh = trained(table(1_000, 1), one_tier())
    broken = trained(table(1_000, 1, shuffled=True), one_tier())
    rate = fresh.tiers[0].learning_rate
    assert rate == broken.tiers[0].learning_rate
    assert rate in rates_around(1e-2)
    reference = [[m.loss for m in result.models if m.arm == "reference"] for result in (fresh, broken)]
    assert reference[0] == reference[1]
    # Set by hand, the same rate gives the same numbers: the test leaves nothing else behind.
    by_hand = one_tier(rate)
    by_hand.learning_rate_test = False
    again = trained(table(1_000, 1), by_hand)
    assert [m.losses for m in again.models] == [m.losses for m in fresh.models]
    assert again.tiers[0].learning_rate == rate


@pytest.fixture(scope="module")
def tier():
    prepared = {}
    run_cascade(table(600, 0), table(400, 1), NUM_CODES, one_tier(), 0, prepared=prepared)
    return next(iter(prepared.values()))


@pytest.mark.parametrize(
    ("rates", "expected"),
    [([1e-6, 1e-5, 1e-4], [1e-4]), ([1e-3, 1e-2, 30.0], [1e-3, 1e-2]), ([1e-3, 1e-2, np.inf], [1e-3, 1e-2])],
)
def test_of_rates_too_low_the_highest_is_taken_and_those_too_high_or_diverging_are_not(tier, rates, expected):
    test = tier._rate_test
    test.rates = np.array(rates)
    assert test.run(1) in expected


def test_what_the_test_reads_neither_trains_nor_judges(tier):
    rows = tier._rows[0]
    job = tier._rate_job(tier.settings, 0, 1e-2)
    np.testing.assert_array_equal(job.data.real, tier.reference[rows.null][: tier.share.test].T)
    assert not set(rows.null) & (set(rows.reference) | set(rows.test))


def test_a_rate_at_which_a_seed_blew_up_does_not_excuse_itself():
    blown = np.array([[5.0, 0.99, 0.99], [1.2, 1.21, 1.19], [1.0, 1.0, 1.0], [1.1, 1.12, 1.1]])
    assert chosen_rate(RATES, blown) == 4e-3
