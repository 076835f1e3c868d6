"""Training a tier's members, segment by segment: looped or stacked, resumed where it was, in less memory on need.

What a member draws depends on its name and the segment alone. A training that was stopped goes on from the last state
that was kept and ends with the same numbers.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np

from vr.cascade import hosts
from vr.cascade.agreement import least_of_all
from vr.cascade.config import CURVE_POINTS, Execution
from vr.cascade.memory import MAX_HALVINGS, available_bytes, is_exhausted, most_in_use, need_of, out_of_memory
from vr.cascade.mesh import filled, gathered, held, placed, placement, replicated, tier_mesh
from vr.cascade.programs import Program
from vr.cascade.progress import Advance
from vr.cascade.step import Data, Segment, TrainSettings, TrainState, advance
from vr.core.errors import PreemptedError
from vr.models.build import Model

_log = logging.getLogger(__name__)

__all__ = ["Job", "Keeper", "Kept", "TrainOutputs", "Trainer"]


class TrainOutputs(NamedTuple):
    """What is left of training: averaged parameters `[P]`, the held-out curve `[20]`, gradient norms `[steps]`.

    Those by layer are a segment's means, `[20, L]`.
    """

    params: np.ndarray
    curve: np.ndarray
    gradient_norms: np.ndarray
    layer_norms: np.ndarray


@dataclass(frozen=True)
class Job:
    """One arm of one member.

    Attributes:
      name: For a person.
      start: Its state before the first step, NumPy.
      data: Its rows, NumPy.
      segment: What each of the 20 segments draws, by number.
    """

    name: str
    start: TrainState
    data: Data
    segment: Callable[[int], Segment]


class Kept(NamedTuple):
    """All jobs' training so far, jobs first: what a checkpoint holds.

    Attributes:
      state: Of every job.
      curve: float32 `[J, 20]`, NaN where not reached.
      norms: float32 `[J, steps]`.
      layers: float32 `[J, 20, L]`, by layer, means over segments.
      segments: int32 `[J]`, how many are done.
    """

    state: TrainState
    curve: np.ndarray
    norms: np.ndarray
    layers: np.ndarray
    segments: np.ndarray

    @classmethod
    def before(cls, jobs: Mapping[int, Job], count: int, steps: int, layers: int) -> "Kept":
        """Returns that of `count` jobs which have not begun, and of which this process has `jobs`."""
        return cls(
            filled(jobs, lambda index: jobs[index].start, count),
            np.full((count, CURVE_POINTS), np.nan, np.float32),
            np.zeros((count, steps), np.float32),
            np.zeros((count, CURVE_POINTS, layers), np.float32),
            np.zeros(count, np.int32),
        )


class Keeper(Protocol):
    """Where training is kept; see `vr.cascade.checkpoint`."""

    def restore(self, like: Kept) -> Kept | None:
        """Returns what was kept last, None where nothing was."""
        ...

    def due(self) -> bool:
        """Whether it is time to keep again."""
        ...

    def keep(self, kept: Kept) -> None:
        """Keeps it; `kept` is the keeper's own from here on."""
        ...

    def settle(self) -> None:
        """Waits until what was kept is there for good."""
        ...


class Trainer:
    """The training program of a tier, and how its members go through it.

    Args:
      model: Their network.
      settings: Of every member.
      example: Arguments of one member, for their shapes.
      members: How many there are in stacked form.
      form: Looped or stacked.
      pool: Where programs are compiled.
      devices: Those to use in stacked form; all by default.
      memory_limit: Bytes of a device to count with; what it has free by default, no limit where it does not say.
    """

    def __init__(
        self,
        model: Model,
        settings: TrainSettings,
        example: tuple[TrainState, Data, Segment],
        members: int,
        form: Execution,
        pool: ThreadPoolExecutor,
        devices: Sequence[Any] | None = None,
        memory_limit: int | None = None,
    ):
        self.model, self.settings, self.form, self.members = model, settings, form, members
        self._example, self._pool, self._memory_limit = example, pool, memory_limit
        self._mesh = tier_mesh(members, settings.batch_rows, devices) if form is Execution.stacked else None
        self._most_parts = settings.micro_batches * 2**MAX_HALVINGS
        self.program = self._compiled()

    def _compiled(self) -> Program:
        model, settings, places = self.model, self.settings, {}
        if self._mesh is not None:
            shardings = placement(self._mesh)
            # Readings whole on every device, so that every process has them.
            places = {"shardings": shardings, "result_sharding": (shardings[0], replicated(self._mesh))}
        return Program(
            advance,
            (model, settings),
            self._example,
            self.members,
            self.form,
            self._pool,
            donate=(0,),
            **places,
        )

    def run(
        self,
        jobs: Sequence[Job],
        threads: int,
        on_job: Callable[[int], None] = lambda index: None,
        on_segment: Callable[[Advance], None] = lambda advance: None,
        keeper: Keeper | None = None,
    ) -> list[TrainOutputs]:
        """Returns what training every job gives, in order.

        Args:
          jobs: As many as `members` in stacked form. Of several processes, each asks for those that it holds.
          threads: Jobs at a time in looped form.
          on_job: Told once the position of each job that ends, from any thread.
          on_segment: Told of each segment, from any thread.
          keeper: Keeps the training on its way; it is asked for an earlier one first.

        Raises:
          OutOfMemoryError: where it does not fit into a device's memory at an eighth of the batch at a time either; of
            several processes one may run out alone, so there it is raised at once.
          PeerLostError: where another process is gone.
          PreemptedError: where one of several processes was asked to stop.
        """
        self._fit()
        if hosts.several():
            # The program's own groups of processes meet at its first call, as in `join`; compiling may take longer.
            self.program.compiled  # noqa: B018
            hosts.meet()
        own = range(len(jobs)) if self._mesh is None else held(self._mesh, len(jobs))
        mine = {index: jobs[index] for index in own}
        before = Kept.before(mine, len(jobs), self.settings.steps, len(self.model.layers))
        announced: set[int] = set()

        def on_end(index: int) -> None:
            # A training that ran out of memory begins again, with jobs that had ended among the others.
            if index not in announced:
                announced.add(index)
                on_job(index)

        kept = self._restored(mine, before, keeper, on_segment)
        while True:
            try:
                # Waited for here, or the first segment would count as slow.
                _ = self.program.compiled
                if self._mesh is None:
                    kept = self._looped(mine, kept, threads, on_end, on_segment, keeper)
                else:
                    with hosts.peers_watched():
                        kept = self._stacked(mine, len(jobs), kept, on_segment, keeper)
                break
            except jax.errors.JaxRuntimeError as error:
                if not is_exhausted(error):
                    raise
                if hosts.several() or not self._take_less():
                    raise out_of_memory(self.settings.batch_rows, self.settings.micro_batches) from error
            # The state that the failed call was given may be gone.
            kept = self._restored(mine, before, keeper, on_segment)
        if (most := most_in_use()) is not None:
            _log.info("a device had %.0f MiB in use at most, all programs so far together", most / 2**20)
        averaged = gathered(kept.state.averaged)
        if self._mesh is not None:
            for index in range(len(jobs)):
                on_end(index)
        return [
            TrainOutputs(averaged[i], kept.curve[i], kept.norms[i].reshape(-1), kept.layers[i])
            for i in range(len(jobs))
        ]

    def _restored(
        self, jobs: Mapping[int, Job], before: Kept, keeper: Keeper | None, on_segment: Callable[[Advance], None]
    ) -> Kept:
        """Returns the state that was kept last, that of the beginning without one, and tells how far it is."""
        kept = (keeper.restore(before) if keeper is not None else None) or before
        if self._mesh is not None:
            on_segment(Advance(None, int(kept.segments.min())))
        else:
            for index, job in jobs.items():
                on_segment(Advance(job.name, int(kept.segments[index])))
        return kept

    def _fit(self) -> None:
        """Makes the program fit into memory before it runs, by what its compiler says."""
        limit = least_of_all(available_bytes(self._memory_limit))
        while limit is not None and (need := need_of(self.program.compiled)) is not None:
            _log.info("a training program takes %.0f MiB of %.0f", need.peak / 2**20, limit / 2**20)
            if need.peak <= limit:
                return
            if not self._take_less():
                raise out_of_memory(self.settings.batch_rows, self.settings.micro_batches, need.peak, limit)

    def _take_less(self) -> bool:
        """Makes a program that takes less memory for the same step, to rounding; False where there is none.

        Half the part of a batch at once, at most three times in all, which costs next to nothing; then blocks worked
        out again for their gradient, which costs a forward pass.
        """
        parts = 2 * self.settings.micro_batches
        if parts <= self._most_parts and self.settings.batch_rows % parts == 0:
            _log.warning("out of a device's memory: batches of %d rows in %d parts", self.settings.batch_rows, parts)
            self.settings = replace(self.settings, micro_batches=parts)
        elif self.model.lean is not None:
            _log.warning("out of a device's memory: blocks are worked out again for their gradient")
            self.model = self.model.lean()
        else:
            return False
        self.program = self._compiled()
        return True

    def _looped(
        self,
        jobs: Mapping[int, Job],
        kept: Kept,
        threads: int,
        on_job: Callable[[int], None],
        on_segment: Callable[[Advance], None],
        keeper: Keeper | None,
    ) -> Kept:
        """Every job by itself, some at a time."""
        kept, lock, stopped = _own(kept), threading.Lock(), threading.Event()

        def train(index: int) -> None:
            try:
                go_through(index)
            except BaseException:
                # Whoever waits for the jobs hears of it only when those before this one are done.
                stopped.set()
                raise

        def go_through(index: int) -> None:
            job = jobs[index]
            state = jax.tree.map(lambda leaf: leaf[index], kept.state)
            data = jax.device_put(job.data)
            for number in range(int(kept.segments[index]), CURVE_POINTS):
                if stopped.is_set():
                    return
                begun = time.perf_counter()
                drawn = job.segment(number)
                called = time.perf_counter()
                state, reading = self.program(state, data, drawn)
                reading = jax.tree.map(np.asarray, reading)
                waited = time.perf_counter() - called
                last = number + 1 == CURVE_POINTS
                if keeper is None and not last:
                    self._read(kept, index, number, reading)
                else:
                    with lock:
                        self._read(kept, index, number, reading)
                        # Copies: the arrays behind these are given away at the next call.
                        jax.tree.map(lambda to, leaf: to.__setitem__(index, np.asarray(leaf)), kept.state, state)
                        kept.segments[index] = number + 1
                        if keeper is not None and keeper.due():
                            keeper.keep(_own(kept))
                seconds = time.perf_counter() - begun
                on_segment(Advance(job.name, number + 1, float(reading.loss), seconds, waited))
            on_job(index)

        with ThreadPoolExecutor(max(1, threads)) as pool:
            pending = [pool.submit(train, index) for index in jobs]
            try:
                for future in pending:
                    future.result()
            except BaseException as error:
                stopped.set()
                pool.shutdown(cancel_futures=True)
                if keeper is not None and isinstance(error, KeyboardInterrupt):
                    keeper.keep(kept)
                raise
        return kept

    def _stacked(
        self,
        jobs: Mapping[int, Job],
        count: int,
        kept: Kept,
        on_segment: Callable[[Advance], None],
        keeper: Keeper | None,
    ) -> Kept:
        """All jobs at once; what the next segment draws is drawn while the device works on this one.

        Of several processes, each draws for `jobs`, those that its devices hold. What it returns is on the devices.
        """
        assert self._mesh is not None
        of_state, of_data, of_segment = placement(self._mesh)
        state = placed(kept.state, of_state)
        data = placed(filled(jobs, lambda index: jobs[index].data, count), of_data)
        kept = _own(kept._replace(state=None))
        begun = int(kept.segments.min())
        since = time.perf_counter()

        def draw(number: int) -> Segment:
            drawn = dict(zip(jobs, drawers.map(lambda job: job.segment(number), jobs.values()), strict=True))
            return filled(jobs, lambda index: drawn[index], count)

        def now() -> Kept:
            return _own(kept._replace(state=jax.tree.map(lambda leaf: gathered(leaf, everyone=False), state)))

        # One thread draws for some tens of small members more slowly than an accelerator trains them.
        workers = max(1, min(len(jobs), os.cpu_count() or 1))
        with ThreadPoolExecutor(workers) as drawers, ThreadPoolExecutor(1) as drawing:
            for number, drawn in _ahead(drawing, draw, range(begun, CURVE_POINTS)):
                called = time.perf_counter()
                state, reading = self.program(state, data, placed(drawn, of_segment))
                reading = jax.tree.map(np.asarray, reading)
                waited = time.perf_counter() - called
                for index in range(count):
                    self._read(kept, index, number, jax.tree.map(lambda leaf, i=index: leaf[i], reading))
                kept.segments[:] = number + 1
                since, seconds = time.perf_counter(), time.perf_counter() - since
                on_segment(Advance(None, number + 1, _mean(kept.curve[:, number]), seconds, waited))
                if hosts.asked_to_stop():
                    if keeper is not None:
                        keeper.keep(now())
                        keeper.settle()
                    raise _preempted(number + 1, is_kept=keeper is not None)
                if keeper is not None and number + 1 < CURVE_POINTS and keeper.due():
                    keeper.keep(now())
        return kept._replace(state=state)

    def _read(self, kept: Kept, index: int, number: int, reading: Any) -> None:
        size = self.settings.segment_steps
        kept.curve[index, number] = reading.loss
        kept.norms[index, number * size : (number + 1) * size] = reading.gradient_norms
        kept.layers[index, number] = reading.layer_norms


def _mean(losses: np.ndarray) -> float:
    """Returns the mean of what is finite, NaN where nothing is."""
    finite = losses[np.isfinite(losses)]
    return float(finite.mean()) if len(finite) else float("nan")


def _preempted(segments: int, *, is_kept: bool) -> PreemptedError:
    return PreemptedError(
        f"stopped after segment {segments} of {CURVE_POINTS}, as SIGTERM asked for",
        where="cascade",
        hint="the same command resumes" if is_kept else "nothing of this training was kept; finished tiers are",
    )


def _own(kept: Kept) -> Kept:
    """Returns a copy in NumPy that nobody else writes to."""
    return jax.tree.map(lambda leaf: np.array(leaf), kept)


def _ahead(pool: ThreadPoolExecutor, draw: Callable[[int], Any], numbers: Sequence[int]) -> Iterator[tuple[int, Any]]:
    """Yields every number with what was drawn for it, one drawn ahead."""
    pending: Future | None = None
    for position, number in enumerate(numbers):
        drawn = draw(number) if pending is None else pending.result()
        pending = pool.submit(draw, numbers[position + 1]) if position + 1 < len(numbers) else None
        yield number, drawn
