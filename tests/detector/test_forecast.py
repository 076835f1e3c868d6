"""Generations until collapse, by chains of our own generators."""

import numpy as np
import pyarrow as pa
import pytest

from vr.detector.forecast import Chain, forecast, until_collapse
from vr.stats.skill import prepare_skill_test


def table(rows, seed):
    """Dependent columns."""
    rng = np.random.default_rng(seed)
    z = rng.standard_normal((rows, 3))
    x = np.column_stack([z[:, 0], z[:, 0] + 0.3 * z[:, 1], z[:, 1] + 0.3 * z[:, 2]])
    return pa.table({f"x{j}": x[:, j] for j in range(3)})


def encode(rows):
    x = np.column_stack([rows[name].to_numpy() for name in rows.column_names])
    return np.digitize(x, np.linspace(-2.5, 2.5, 14)).astype(np.uint16)


@pytest.fixture(scope="module")
def skill():
    return prepare_skill_test(encode(table(800, 0)), np.ones(3, bool), np.full(3, 15), 300, 0)


def test_what_forgets_dependence_collapses_at_once_and_what_keeps_it_later(skill):
    told = []
    chains = forecast(table(300, 1), encode, skill, 2, 0, ("independent", "gaussian_copula"), on_chain=told.append)
    assert told == [1, 2, 3, 4]
    replaced = until_collapse(chains, "replace")
    assert replaced.lower == 1.0  # independent columns teach nothing
    by_family = {(chain.family, chain.workflow): chain.lost for chain in chains}
    assert by_family["independent", "replace"][1] > 0.5
    assert by_family["gaussian_copula", "replace"][1] < 0.15
    # With the rows before beside them, independent ones do less harm.
    assert by_family["independent", "accumulate"][1] < by_family["independent", "replace"][1]


def test_a_candidate_that_has_collapsed_needs_no_generation():
    chains = [Chain("a", "replace", np.array([0.4, 0.5, 0.6]))]
    assert until_collapse(chains, "replace").value == 0.0


def test_what_was_not_walked_far_enough_has_no_number():
    chains = [
        Chain("a", "replace", np.array([0.0, 0.1, 0.2, 0.3])),
        Chain("b", "replace", np.array([0.0, 0.3, 0.1, 0.12])),  # a rise that is taken back is luck
        Chain("c", "replace", np.array([0.0, 0.0, 0.1, 0.1])),
    ]
    found = until_collapse(chains, "replace")
    assert (found.lower, found.value, found.upper, found.generations) == (1.0, 2.0, None, 3)
    assert until_collapse(chains[2:], "replace").value is None


def test_a_forecast_is_the_same_twice(skill):
    first, second = (forecast(table(300, 1), encode, skill, 1, 7, ("sequential_trees",)) for _ in range(2))
    assert first[0].lost.tolist() == second[0].lost.tolist()
