"""Loops over arrays as machine code, by Numba: without Python's lock, and kept on disk from one run to the next."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import numba
from numba.core.caching import FunctionCache
from numba.core.runtime import rtsys

__all__ = ["compiled", "kept_in"]

_Function = TypeVar("_Function", bound=Callable[..., Any])


class _Kept(FunctionCache):
    """What is kept of a function; a file that cannot be read is as none, one that cannot be written is not missed."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        try:
            return self._load_quickly(sig, target_context)
        except Exception:  # noqa: BLE001 - whatever is wrong in a damaged file, compiling anew mends it
            with suppress(OSError):
                self.flush()
            return None

    def _load_quickly(self, sig: Any, target_context: Any) -> Any:
        """Returns what is kept without all that compiling takes, which would be half a second of imports."""
        try:
            rtsys.initialize(target_context)
            return self._load_overload(sig, target_context)
        except Exception:  # noqa: BLE001 - another Numba may do it otherwise: then by its own way
            return super().load_overload(sig, target_context)

    def save_overload(self, sig: Any, data: Any) -> None:
        with suppress(OSError):
            super().save_overload(sig, data)


def compiled(function: _Function) -> _Function:
    """Compiles a function of arrays and numbers at its first call, which takes seconds where nothing was kept.

    What is kept lies in NUMBA_CACHE_DIR, beside the module's bytecode, or in the user's own cache, in the first of them
    that can be written, and is trusted as bytecode is. Where none can be, every process compiles anew. It is known by
    the file of the function alone: compiled functions call none of another file, and where a constant of another one
    changes, as where this one does, theirs is to be touched. Sums stay in the order in which they are written. Nothing
    checks bounds, and what is divided by zero is infinite or no number: that is for who calls.
    """
    dispatcher: Any = numba.njit(nogil=True, error_model="numpy")(function)
    with suppress(RuntimeError):  # no folder to keep it in
        dispatcher._cache = _Kept(function)  # noqa: SLF001 - as its enable_caching does
    return dispatcher


def kept_in() -> Path | None:
    """Returns the folder in which compiled loops are kept; None where there is none."""
    try:
        return Path(_Kept(kept_in).cache_path)
    except RuntimeError:
        return None
