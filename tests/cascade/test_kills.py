"""A training that is killed goes on where it was and ends with the same numbers; fifty kills are a benchmark."""

import pytest

from benchmarks.cascade_kills import recovered


@pytest.mark.slow
def test_a_killed_training_ends_with_the_numbers_of_one_that_was_not(tmp_path):
    found = recovered(tmp_path, kills=3)
    assert found["kills"] == 3
    assert found["equal"]
    assert found["models"] == 2 * 3 + 2 * 2
