"""Compiled programs stay with the process for the next training of the same shapes, and no more of them than some."""

import gc

import jax
import pytest

from tests.cascade.test_train import NUM_CODES, table
from vr.cascade import programs
from vr.cascade.config import CascadeConfig, TierConfig
from vr.cascade.programs import _Kept, clear_traces, forget, num_compiled
from vr.cascade.train import run_cascade

FEW = CascadeConfig(
    preset="test",
    tiers=[TierConfig(name="one", seeds=2, width=6, depth=1, steps=20)],
    train_rows=200,
    test_rows=100,
    compilation_cache=True,
)


def trained(seed=0, rows=400):
    return run_cascade(table(rows, 0), table(300, seed), NUM_CODES, FEW, seed)


def losses(result):
    return [model.losses for model in result.models]


@pytest.fixture(autouse=True)
def _nothing_kept():
    forget()


def test_the_next_training_of_the_same_shapes_compiles_nothing_and_ends_with_the_same_numbers():
    first = losses(trained(1))
    before = num_compiled()
    again, other = losses(trained(1)), losses(trained(2))
    assert num_compiled() == before
    assert again == first
    forget()
    assert losses(trained(2)) == other
    assert num_compiled() > before


def test_trainings_of_the_same_shapes_leave_nothing():
    counts = []
    for seed in range(6):
        trained(seed)
        gc.collect()
        counts.append(len(gc.get_objects()))
    # When each compiled anew it was hundreds with every training.
    assert counts[5] - counts[2] < 100


def test_the_last_programs_are_kept():
    kept = _Kept(2)
    for name in "ab":
        kept.add(name, name.upper())
    assert kept.get("a") == "A"
    kept.add("c", "C")
    assert [kept.get(name) for name in "abc"] == ["A", None, "C"]
    assert kept.num_compiled == 3


def test_of_several_processes_none_keeps_programs(monkeypatch):
    monkeypatch.setattr(programs.hosts, "several", lambda: True)
    kept = _Kept(2)
    kept.add("a", "A")
    assert kept.get("a") is None


def test_jax_forgets_its_traces_once_many_programs_were_compiled(monkeypatch):
    cleared = []
    monkeypatch.setattr(jax, "clear_caches", lambda: cleared.append(num_compiled()))
    monkeypatch.setattr(programs, "_kept", _Kept(16))
    trained()
    clear_traces()
    assert not cleared
    monkeypatch.setattr(programs, "_MOST_TRACED", 2)
    clear_traces()
    clear_traces()
    assert cleared == [num_compiled()]


def test_a_program_that_was_kept_runs_after_jax_forgot_its_traces():
    first = losses(trained())
    before = num_compiled()
    jax.clear_caches()
    assert losses(trained()) == first
    assert num_compiled() == before
