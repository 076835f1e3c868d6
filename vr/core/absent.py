"""Keeps a library that a process has no use for from being loaded into it."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec

__all__ = ["absent"]


@contextmanager
def absent(name: str) -> Iterator[None]:
    """Makes `import name` fail inside the block, as if the library were not installed; not where it is loaded already.

    Libraries remember that it was missing, so this is for a process of one's own, not for one that is a guest.
    """
    finder = _Absent(name)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)


class _Absent:
    def __init__(self, name: str):
        self._name = name

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        if fullname == self._name:
            raise ModuleNotFoundError(f"No module named {fullname!r}", name=fullname)
        return None
