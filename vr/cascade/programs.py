"""Compiled programs of a tier: traced once, compiled beside each other, run over members looped or stacked."""

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from vr.cascade.config import Execution

__all__ = ["Program", "chosen_form"]


def chosen_form(execution: Execution) -> Execution:
    """Returns looped or stacked; `auto` is the form that benchmarks/results/cascade_forms.json has faster."""
    if execution is not Execution.auto:
        return execution
    return Execution.looped if jax.default_backend() == "cpu" else Execution.stacked


class Program:
    """A function of one member's arrays, compiled ahead of its first call.

    Args:
      function: Pure; its argument and result are trees of arrays.
      example: Arrays, or `jax.ShapeDtypeStruct`s, of one member.
      members: How many there are; their arrays all have the example's shapes.
      form: Looped (one member a call) or stacked (all in one call).
      pool: Where it is compiled, so that several programs compile at once.
    """

    def __init__(
        self, function: Callable[[Any], Any], example: Any, members: int, form: Execution, pool: ThreadPoolExecutor
    ):
        self.form, self.traces = form, 0

        def traced(args: Any) -> Any:
            self.traces += 1
            return function(args)

        shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype), example)
        if form is Execution.stacked:
            shapes = jax.tree.map(lambda x: jax.ShapeDtypeStruct((members, *x.shape), x.dtype), shapes)
        self.result_shape = jax.eval_shape(function, example)
        whole = jax.vmap(traced) if form is Execution.stacked else traced
        self._compiled: Future = pool.submit(lambda: jax.jit(whole).lower(shapes).compile())

    def map(self, inputs: Iterable[Any], threads: int) -> Iterator[Any]:
        """Runs over members and yields their results in order, as NumPy arrays.

        Looped, `threads` members run side by side: XLA lets go of Python, and a small member leaves cores idle.
        """
        compiled = self._compiled.result()
        if self.form is Execution.stacked:
            everything = jax.tree.map(lambda *leaves: jnp.stack(leaves), *inputs)
            results = jax.tree.map(np.asarray, compiled(everything))
            count = len(jax.tree.leaves(results)[0])
            yield from (jax.tree.map(lambda leaf, i=i: leaf[i], results) for i in range(count))
            return
        with ThreadPoolExecutor(threads) as pool:
            pending: list[Future] = []
            for each in inputs:
                pending.append(pool.submit(lambda x: jax.tree.map(np.asarray, compiled(x)), each))
                if len(pending) > threads:
                    yield pending.pop(0).result()
            while pending:
                yield pending.pop(0).result()
