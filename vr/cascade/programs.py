"""Compiled programs of a tier: traced once, compiled beside each other, run over members looped or stacked.

The last ones stay with the process: the next training of the same shapes, of other data or seeds, compiles nothing.
"""

import threading
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from vr.cascade import hosts
from vr.cascade.config import Execution
from vr.core.errors import ConfigError

__all__ = ["Program", "chosen_form", "clear_traces", "forget", "num_compiled", "stack"]

_MOST_KEPT = 16  # programs, of some 4 MB each; a cascade of three tiers has three to five a tier
_MOST_TRACED = 64  # programs whose traces JAX may keep


class _Kept:
    """The programs that were last used, by what makes them the same, and how many were compiled."""

    def __init__(self, most: int):
        self.num_compiled = self.num_cleared = 0
        self._most, self._lock = most, threading.Lock()
        self._programs: OrderedDict[Hashable, Any] = OrderedDict()

    def get(self, key: Hashable) -> Any:
        with self._lock:
            if key in self._programs:
                self._programs.move_to_end(key)
            return self._programs.get(key)

    def add(self, key: Hashable, program: Any) -> None:
        with self._lock:
            self.num_compiled += 1
            # What a program expects of the other processes depends on what they have done, too.
            if not hosts.several():
                self._programs[key] = program
                while len(self._programs) > self._most:
                    self._programs.popitem(last=False)

    def clear(self) -> None:
        with self._lock:
            self._programs.clear()


_kept = _Kept(_MOST_KEPT)


def num_compiled() -> int:
    """Returns how many programs this process has compiled."""
    return _kept.num_compiled


def forget() -> None:
    """Has the next training compile its programs, whether this process had them or not."""
    _kept.clear()


def clear_traces() -> None:
    """Empties JAX's own caches where many programs were compiled since; for a process that trains for others.

    JAX keeps thousands of traces, some hundred kilobytes of each program, and is asked for none of them again where
    every dataset has other shapes. Programs that are kept here stay.
    """
    if _kept.num_compiled - _kept.num_cleared >= _MOST_TRACED:
        _kept.num_cleared = _kept.num_compiled
        jax.clear_caches()


def chosen_form(execution: Execution) -> Execution:
    """Returns looped or stacked; `auto` is the form that benchmarks/results/cascade_forms.json has faster.

    Raises:
      ConfigError: for the looped form in several processes, of which each would train everything.
    """
    if hosts.several():
        if execution is Execution.looped:
            raise ConfigError(
                f"is looped, where {hosts.count()} processes train together",
                where="cascade.execution",
                hint="choose stacked or auto",
            )
        return Execution.stacked
    if execution is not Execution.auto:
        return execution
    return Execution.looped if jax.default_backend() == "cpu" else Execution.stacked


def stack(trees: Iterable[Any]) -> Any:
    """Returns trees of equal shapes as one, members first, in NumPy."""
    return jax.tree.map(lambda *leaves: np.stack([np.asarray(leaf) for leaf in leaves]), *trees)


class Program:
    """A function of one member's arrays, compiled ahead of its first call unless this process has it already.

    Args:
      function: Pure, the same object each time: it is part of what makes a program the same. Its arguments after
        `fixed` and its result are trees of arrays.
      fixed: Its first arguments, hashable: a part of the program.
      example: The others for one member, arrays or `jax.ShapeDtypeStruct`s.
      members: How many there are; their arrays all have the example's shapes.
      form: Looped (one member a call) or stacked (all in one call).
      pool: Where it is compiled, so that several programs compile at once.
      donate: Positions of arguments whose memory the result may take.
      shardings: Of each argument in stacked form, members first.
      result_sharding: Of all of the result, likewise.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        fixed: tuple[Hashable, ...],
        example: Sequence[Any],
        members: int,
        form: Execution,
        pool: ThreadPoolExecutor,
        donate: tuple[int, ...] = (),
        shardings: Sequence[Any] | None = None,
        result_sharding: Any = None,
    ):
        self.form, self.traces, self.members = form, 0, members
        stacked = form is Execution.stacked

        def traced(*args: Any) -> Any:
            self.traces += 1
            return function(*fixed, *args)

        shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tuple(example))
        if stacked:
            shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct((members, *x.shape), x.dtype), shapes)
        whole = jax.vmap(traced) if stacked else traced
        options: dict[str, Any] = {"donate_argnums": donate}
        if stacked and shardings is not None:
            options |= {"in_shardings": tuple(shardings), "out_shardings": result_sharding}
        key = (function, fixed, _hashable(shapes), _hashable(options), form, _settings())

        def compiled() -> Any:
            made = jax.jit(whole, **options).lower(*shapes).compile()
            _kept.add(key, made)
            return made

        self._compiled: Future = Future()
        if (known := _kept.get(key)) is not None:
            self._compiled.set_result(known)
        else:
            self._compiled = pool.submit(compiled)

    @property
    def compiled(self) -> Any:
        """The executable, waited for."""
        return self._compiled.result()

    def __call__(self, *args: Any) -> Any:
        """Runs one member (looped) or all of them (stacked); returns device arrays."""
        return self.compiled(*args)

    def map(self, inputs: Iterable[Sequence[Any]], threads: int) -> Iterator[Any]:
        """Runs over members, arguments of each, and yields their results in order, as NumPy arrays.

        Looped, `threads` members run side by side: XLA lets go of Python, and a small member leaves cores idle.
        """
        if self.form is Execution.stacked:
            results = jax.tree.map(np.asarray, self(*stack(inputs)))
            for i in range(self.members):
                yield jax.tree.map(lambda leaf, i=i: leaf[i], results)
            return
        with ThreadPoolExecutor(threads) as pool:
            pending: list[Future] = []
            for each in inputs:
                pending.append(pool.submit(lambda x: jax.tree.map(np.asarray, self(*x)), each))
                if len(pending) > threads:
                    yield pending.pop(0).result()
            while pending:
                yield pending.pop(0).result()


def _hashable(tree: Any) -> Hashable:
    """Returns what is equal for equal trees; shapes and shardings are hashable themselves."""
    leaves, structure = jax.tree.flatten(tree)
    return tuple(leaves), structure


def _settings() -> Hashable:
    """Returns those of JAX's settings that a program with the same arguments depends on."""
    config = jax.config
    return config.jax_enable_x64, config.jax_default_matmul_precision, config.jax_default_device
