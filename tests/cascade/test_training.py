"""Segments of training: resumed, taken in parts, stopped, diverged, spread over devices, and short of memory."""

import os
import subprocess
import sys
import textwrap
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import jax
import numpy as np
import pytest

from vr.cascade.config import CURVE_POINTS, Execution
from vr.cascade.memory import Need, need_of
from vr.cascade.programs import forget
from vr.cascade.step import Data, Segment, TrainSettings, random_masks, start
from vr.cascade.training import Job, Kept, Trainer
from vr.core.errors import OutOfMemoryError
from vr.models import build

D, K, ROWS, STEPS, BATCH = 4, 6, 256, 80, 32
MODEL = build.mlp(D, K, 1_500, 1)
SETTINGS = TrainSettings(STEPS, BATCH)


def job(number: int, peak: float = 1e-2, settings: TrainSettings = SETTINGS, model: build.Model = MODEL) -> Job:
    rng = np.random.default_rng(number)
    first = rng.integers(0, K, 2 * ROWS)
    codes = np.stack([(first + rng.integers(0, 2, 2 * ROWS) * j) % K for j in range(D)]).astype(np.int32)

    def segment(index: int) -> Segment:
        drawn = np.random.default_rng([number, index])
        batches = drawn.integers(0, ROWS, (settings.segment_steps, settings.batch_rows)).astype(np.int32)
        return Segment(batches, random_masks(drawn, (settings.segment_steps, D, settings.batch_rows)))

    data = Data(
        codes[:, :ROWS],
        codes[:, ROWS : ROWS + 64],
        random_masks(rng, (D, 64)),
        codes[:, ROWS + 64 : ROWS + 128],
        random_masks(rng, (D, 64)),
    )
    return Job(f"job {number}", start(model.init(rng, np.full((D, K), -np.log(K))), peak), data, segment)


class Memory:
    """Keeps in memory, and stops the training by an exception after so many times."""

    def __init__(self, stop_after: int | None = None):
        self.kept: list[Kept] = []
        self.stop_after = stop_after

    def restore(self, like: Kept) -> Kept | None:
        return self.kept[-1] if self.kept else None

    def due(self) -> bool:
        return True

    def settle(self) -> None:
        pass

    def keep(self, kept: Kept) -> None:
        self.kept.append(kept)
        if self.stop_after is not None and len(self.kept) >= self.stop_after:
            raise KeyboardInterrupt


def trainer(
    members: int = 3,
    form: Execution = Execution.looped,
    settings: TrainSettings = SETTINGS,
    model: build.Model = MODEL,
    **options,
):
    first = job(0, settings=settings, model=model)
    with ThreadPoolExecutor(1) as pool:
        made = Trainer(model, settings, (first.start, first.data, first.segment(0)), members, form, pool, **options)
        made._pool = ThreadPoolExecutor(1)
        made.program.compiled  # noqa: B018
    return made


@pytest.fixture(scope="module")
def looped():
    return trainer()


@pytest.fixture(scope="module")
def whole(looped):
    return looped.run([job(i) for i in range(3)], 2)


def same(first, second):
    for a, b in zip(jax.tree.leaves(first), jax.tree.leaves(second), strict=True):
        np.testing.assert_array_equal(a, b)


def test_training_lowers_the_held_out_loss(whole):
    for outputs in whole:
        assert outputs.curve[-1] < outputs.curve[0] - 0.1
        assert np.isfinite(outputs.gradient_norms).all()


@pytest.mark.parametrize("form", [Execution.looped, Execution.stacked])
def test_a_training_stopped_again_and_again_ends_with_the_same_numbers(form):
    forget()
    made, jobs = trainer(form=form), [job(i) for i in range(3)]
    expected = made.run(jobs, 1)
    keeper, stops = Memory(), 0
    for stop_after in (1, 4, 9):
        keeper.stop_after = stop_after
        with pytest.raises(KeyboardInterrupt):
            made.run(jobs, 1, keeper=keeper)
        stops += 1
    keeper.stop_after = None
    same(made.run(jobs, 1, keeper=keeper), expected)
    assert made.program.traces == 1
    assert keeper.kept[-1].segments.min() >= CURVE_POINTS - 1


def test_what_is_kept_is_not_written_to_afterwards(looped):
    keeper = Memory()
    looped.run([job(i) for i in range(3)], 1, keeper=keeper)
    sums = [int(kept.segments.sum()) for kept in keeper.kept]
    assert sums[:3] == [1, 2, 3]
    assert np.isnan(keeper.kept[0].curve).sum() == 3 * CURVE_POINTS - 1


def test_stacked_members_are_the_looped_ones_to_rounding(whole):
    stacked = trainer(form=Execution.stacked).run([job(i) for i in range(3)], 1)
    for a, b in zip(stacked, whole, strict=True):
        np.testing.assert_allclose(a.curve, b.curve, atol=2e-4)
        np.testing.assert_allclose(a.params, b.params, atol=2e-3)


def test_a_batch_in_parts_takes_the_step_of_the_whole_batch(whole):
    parts = trainer(settings=replace(SETTINGS, micro_batches=4)).run([job(i) for i in range(3)], 1)
    for a, b in zip(parts, whole, strict=True):
        np.testing.assert_allclose(a.curve, b.curve, atol=2e-4)


@pytest.mark.parametrize("form", [Execution.looped, Execution.stacked])
def test_a_member_that_diverges_is_marked_and_the_others_go_on(whole, form):
    jobs = [job(0), job(1, peak=float("inf")), job(2)]
    found = trainer(form=form).run(jobs, 2)
    assert np.isnan(found[1].curve).all()
    assert np.isfinite(found[1].params).all()
    for i in (0, 2):
        np.testing.assert_allclose(found[i].curve, whole[i].curve, atol=2e-4)


def test_a_member_without_gain_stops_and_stays_as_it_is():
    settings = replace(SETTINGS, patience=1)
    # Nothing is learnt at a rate of 0, so that the second segment is without gain.
    keeper = Memory()
    still, learning = trainer(settings=settings).run([job(0, peak=0.0, settings=settings), job(1)], 1, keeper=keeper)
    # Two segments, of which the second was without gain; from there on no step is taken.
    taken = keeper.kept[-1].state.index
    assert taken[0] == 2 * settings.segment_steps < taken[1]
    norms = still.gradient_norms.reshape(CURVE_POINTS, -1)
    assert np.ptp(still.curve) == 0.0
    assert learning.curve[-1] < learning.curve[0]
    assert norms.shape == (CURVE_POINTS, STEPS // CURVE_POINTS)


def test_stopping_early_is_by_the_arms_own_rows():
    settings = replace(SETTINGS, patience=1)
    made = job(1, settings=settings)
    # Own rows that say the opposite of what is learnt: the loss on them rises at once.
    shuffled = np.random.default_rng(0).permuted(made.data.own, axis=1)
    against = replace(made, data=made.data._replace(own=shuffled))
    stopped, free = trainer(settings=settings).run(
        [against, replace(made, data=made.data._replace(own=made.data.codes[:, :64]))], 1
    )
    assert np.abs(np.diff(stopped.curve[-5:])).max() == 0.0
    assert np.abs(np.diff(free.curve[-5:])).max() > 0.0


def exhausted(*args):
    raise jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory allocating 123 bytes.")


@pytest.mark.parametrize("form", [Execution.looped, Execution.stacked])
def test_out_of_memory_halves_the_part_and_keeps_the_step(whole, form, monkeypatch, caplog):
    made = trainer(form=form)
    monkeypatch.setattr(made, "program", exhausting(made.program))
    found = made.run([job(i) for i in range(3)], 1)
    assert made.settings.micro_batches == 2
    assert "in 2 parts" in caplog.text
    for a, b in zip(found, whole, strict=True):
        np.testing.assert_allclose(a.curve, b.curve, atol=2e-4)


@pytest.mark.parametrize("kept", [False, True])
def test_a_job_that_ended_before_memory_ran_out_is_told_of_once(kept, monkeypatch):
    made, ended = trainer(), []
    program, calls = made.program, iter(range(1_000))

    class OnceExhausted:
        compiled, traces = program.compiled, 1

        def __call__(self, *args):
            # In the second job's third segment.
            return exhausted() if next(calls) == CURVE_POINTS + 2 else program(*args)

    monkeypatch.setattr(made, "program", OnceExhausted())
    made.run([job(i) for i in range(3)], 1, ended.append, keeper=Memory() if kept else None)
    assert made.settings.micro_batches == 2
    assert ended == [0, 1, 2]


def exhausting(program):
    """A program that is out of memory whenever it is called."""

    class Exhausted:
        compiled, traces = program.compiled, 1
        __call__ = staticmethod(exhausted)

    return Exhausted()


def test_out_of_memory_at_an_eighth_of_the_batch_is_an_error_that_says_what_to_do(monkeypatch):
    made = trainer()
    monkeypatch.setattr(Trainer, "_compiled", lambda self: exhausting(made.program))
    other = trainer_like(made)
    with pytest.raises(OutOfMemoryError, match="32 rows in 8 parts.*smaller preset"):
        other.run([job(0)], 1)


def trainer_like(made):
    first = job(0)
    return Trainer(MODEL, SETTINGS, (first.start, first.data, first.segment(0)), 1, Execution.looped, made._pool)


def test_parts_are_chosen_before_running_by_what_the_compiler_says(whole):
    peaks = []
    for parts in (1, 2):
        need = need_of(trainer(settings=replace(SETTINGS, micro_batches=parts)).program.compiled)
        assert need is not None
        peaks.append(need.peak)
    assert peaks[1] < peaks[0]
    made = trainer(memory_limit=(peaks[0] + peaks[1]) // 2)
    found = made.run([job(i) for i in range(3)], 1)
    assert made.settings.micro_batches == 2
    np.testing.assert_allclose(found[0].curve, whole[0].curve, atol=2e-4)
    with pytest.raises(OutOfMemoryError, match="does not fit.*MiB"):
        trainer(memory_limit=1_000).run([job(0)], 1)


def test_blocks_are_worked_out_again_where_no_part_of_a_batch_is_small_enough(whole, monkeypatch, caplog):
    # XLA for a CPU drops what would make it work anything out again, so that its own figures are the same.
    def need(compiled):
        return Need(0, 10 if "blocks are worked out again" in caplog.text else 100, 0)

    monkeypatch.setattr("vr.cascade.training.need_of", need)
    made = trainer(memory_limit=50)
    found = made.run([job(i) for i in range(3)], 1)
    # Parts first, which cost less.
    assert made.settings.micro_batches == 8
    assert made.model.lean is None
    assert [r.getMessage()[-7:] for r in caplog.records] == ["2 parts", "4 parts", "8 parts", "radient"]
    np.testing.assert_allclose(found[0].curve, whole[0].curve, atol=2e-4)
    caplog.clear()
    with pytest.raises(OutOfMemoryError, match="in 8 parts does not fit"):
        trainer(model=replace(MODEL, lean=None), memory_limit=50).run([job(0)], 1)


def test_what_a_device_had_in_use_at_most_is_logged(monkeypatch, caplog):
    # No device of a CPU says.
    monkeypatch.setattr("vr.cascade.training.most_in_use", lambda: 3 * 2**20)
    with caplog.at_level("INFO"):
        trainer(members=1).run([job(0)], 1)
    assert "a device had 3 MiB in use at most" in caplog.text


def test_eight_devices_give_what_one_gives_and_one_goes_on_where_eight_were_stopped():
    script = f"""
        import sys
        sys.path.insert(0, {str(__file__).rsplit("/", 1)[0]!r})
        import jax, numpy as np
        from test_training import Execution, Memory, job, trainer
        assert len(jax.devices()) == 8
        def equal(first, second):
            for a, b in zip(first, second, strict=True):
                np.testing.assert_allclose(a.curve, b.curve, atol=2e-4)
                np.testing.assert_allclose(a.params, b.params, atol=2e-3)
        # Four members along `model`, two devices each along `data`.
        many = trainer(members=4, form=Execution.stacked)
        assert dict(many._mesh.shape) == {{"model": 4, "data": 2}}
        one = trainer(members=4, form=Execution.stacked, devices=jax.devices()[:1])
        jobs = [job(i) for i in range(4)]
        expected = one.run(jobs, 1)
        equal(many.run(jobs, 1), expected)
        # Rows alone: eight devices take a step of four rows each.
        rows = trainer(members=1, form=Execution.stacked)
        assert dict(rows._mesh.shape) == {{"model": 1, "data": 8}}
        equal(rows.run(jobs[:1], 1), expected[:1])
        for first, second in ((many, one), (one, many)):
            keeper = Memory(stop_after=7)
            try:
                first.run(jobs, 1, keeper=keeper)
            except KeyboardInterrupt:
                keeper.stop_after = None
            assert keeper.kept[-1].segments.tolist() == [7] * 4
            equal(second.run(jobs, 1, keeper=keeper), expected)
        print("equal")
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True,
        text=True,
        env={
            "PATH": "/usr/bin:/bin",
            "XLA_FLAGS": "--xla_force_host_platform_device_count=8",
            "JAX_PLATFORMS": "cpu",
            "PYTHONPATH": os.pathsep.join(sys.path),
        },
        timeout=300,
        check=False,
    )
    assert done.stdout.strip().endswith("equal"), done.stderr[-2000:]
