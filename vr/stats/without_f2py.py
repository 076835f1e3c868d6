"""SciPy without NumPy's translator of Fortran, in processes of our own."""

import sys
from types import ModuleType

import numpy as np

__all__ = ["do_without_f2py"]


def do_without_f2py() -> None:
    """Imports SciPy's special functions without `numpy.f2py`, which they would load for nothing: a tenth of a second.

    SciPy copies every name of NumPy's into a namespace of its own, `f2py` too, which NumPy imports once it is asked
    for. Whoever asks NumPy for it afterwards has it; SciPy's copy is an empty module, in which nobody looks. So this is
    for processes that are our own.
    """
    if "scipy.special" in sys.modules or "f2py" in vars(np):
        return
    np.f2py = empty = ModuleType("numpy.f2py")
    try:
        import scipy.special  # noqa: F401
    finally:
        if np.f2py is empty:
            del np.f2py
