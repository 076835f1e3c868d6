"""Readings of a tier: the share of skill lost, column by column."""

import numpy as np
import pytest

from vr.cascade.readings import ArmOutcome, MemberOutcome, all_and_rare, tier_readings


def arm(by_column):
    losses = {"all": float(np.mean(by_column)), "half": 1.0, "rare": 1.0}
    norms = {"min": 1.0, "median": 1.0, "max": 2.0}
    both = np.stack([by_column, np.asarray(by_column) + 1.0])
    return ArmOutcome(losses, both, np.ones(3), norms, np.ones(1), 0.0, None, np.ones(2), 1.0, 1.0)


def readings(reference, candidate, null, prior=(2.0, 2.0, 1.0)):
    """Of as many members as `reference` has rows; the third column cannot be predicted."""
    outcomes = [
        MemberOutcome(
            i,
            {"reference": arm(reference[i]), "candidate": arm(candidate[i]), "null": arm(null[i])},
            np.stack([np.array(prior), np.array(prior) + 1.0]),
        )
        for i in range(len(reference))
    ]
    return tier_readings(outcomes, {}, 8)


def test_skill_lost_is_the_mean_share_over_predictable_columns():
    reference = [[1.0, 1.5, 1.0], [1.0, 1.5, 0.98]]
    # Half of the skill on the first column, a fifth on the second; whatever happens on the third does not count.
    candidate = [[1.5, 1.6, 9.0], [1.5, 1.6, 0.1]]
    found = readings(reference, candidate, reference)
    for name in ("skill_lost", "skill_lost_rare"):
        assert found[name].value == pytest.approx((0.5 + 0.2) / 2)
        assert found[name].null_mean == pytest.approx(0.0)


def test_the_columns_are_chosen_over_all_seeds():
    # The second column has skill with the second seed alone, on the average too little.
    reference = [[1.0, 2.1, 1.0], [1.0, 1.75, 1.0]]
    found = readings(reference, [[1.2, 5.0, 1.0], [1.4, 5.0, 1.0]], reference)
    assert found["skill_lost"].value == pytest.approx(0.3)
    assert found["skill_lost"].spread == pytest.approx(np.std([0.2, 0.4], ddof=1))


def test_without_skill_nothing_can_be_lost():
    reference = [[2.0, 2.0, 1.0]] * 2
    found = readings(reference, [[3.0, 3.0, 3.0]] * 2, reference)
    assert found["skill_lost"].value is None
    assert "marginal" in found["skill_lost"].reason


def test_rare_rows_are_those_of_greatest_rarity():
    cells = np.arange(40.0).reshape(20, 2)
    rarity = np.zeros(20)
    rarity[[3, 7]] = [5.0, 6.0]
    everything, rare = all_and_rare(cells, rarity)
    np.testing.assert_allclose(everything, cells.mean(axis=0))
    np.testing.assert_allclose(rare, cells[[3, 7]].mean(axis=0))
