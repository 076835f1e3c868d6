"""pyarrow without pandas, in processes of our own."""

import sys
from collections.abc import Sequence
from types import ModuleType
from typing import Never

import pyarrow as pa

__all__ = ["do_without_pandas"]


def do_without_pandas() -> None:
    """Lets pyarrow find no pandas at its first array, where it would import it for nothing: a quarter of a second.

    Whoever imports pandas afterwards has it, and pyarrow converts its frames; but among objects, as in lists, it takes
    `pandas.NA` and `pandas.NaT` for no nulls any more. So this is for processes in which all data is read from files.
    """
    if "pandas" in sys.modules:
        return
    sys.meta_path.insert(0, _NoPandas)
    try:
        pa.array([0.0, None]).to_numpy(zero_copy_only=False)
    finally:
        sys.meta_path.remove(_NoPandas)


class _NoPandas:
    """Finds nothing but that there is no pandas."""

    @staticmethod
    def find_spec(name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> Never | None:
        if name == "pandas":
            raise ModuleNotFoundError("pyarrow is to do without pandas", name=name)
        return None
