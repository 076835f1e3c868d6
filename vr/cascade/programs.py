"""Compiled programs of a tier: traced once, compiled beside each other, run over members looped or stacked."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import numpy as np

from vr.cascade import hosts
from vr.cascade.config import Execution
from vr.core.errors import ConfigError

__all__ = ["Program", "chosen_form", "stack"]


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
    """A function of one member's arrays, compiled ahead of its first call.

    Args:
      function: Pure; its arguments and result are trees of arrays.
      example: Its arguments for one member, arrays or `jax.ShapeDtypeStruct`s.
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
            return function(*args)

        shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), tuple(example))
        if stacked:
            shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct((members, *x.shape), x.dtype), shapes)
        self.result_shape = jax.eval_shape(function, *example)
        whole = jax.vmap(traced) if stacked else traced
        options: dict[str, Any] = {"donate_argnums": donate}
        if stacked and shardings is not None:
            options |= {"in_shardings": tuple(shardings), "out_shardings": result_sharding}
        self._compiled: Future = pool.submit(lambda: jax.jit(whole, **options).lower(*shapes).compile())

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
