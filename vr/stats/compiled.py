"""Loops over arrays as machine code, by Numba: without Python's lock, and kept on disk from one run to the next."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

__all__ = ["compiled", "kept_in"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


def compiled(function: _Function) -> _Function:
    """Compiles a function of arrays and numbers at its first call, which takes seconds where nothing was kept.

    What is kept lies beside the module's bytecode, or in the user's own cache where that folder cannot be written, and
    is trusted as the bytecode is. Where neither can be, every process compiles anew. Sums stay in the order in which
    they are written.
    """
    njit: Any = numba.njit
    try:
        return njit(nogil=True, cache=True)(function)
    except RuntimeError:  # no folder to keep it in
        return njit(nogil=True)(function)


def kept_in() -> Path | None:
    """Returns the folder in which compiled loops are kept; None where there is none."""
    probe: Any = compiled(_probe)
    return Path(probe.stats.cache_path) if probe.stats.cache_path else None


def _probe() -> int:
    return 0
