"""Randomness by name: one seed for a run, one independent stream for each purpose."""

import zlib
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import jax

__all__ = ["generator", "key"]


def _words(names: tuple[str | int, ...]) -> list[int]:
    # crc32 rather than hash(): Python salts the latter anew in every process.
    return [name if isinstance(name, int) else zlib.crc32(name.encode()) for name in names]


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """Returns NumPy's generator for a named purpose, the same in every process.

    Args:
      seed: The run's seed, 0 or more.
      names: What the stream is for, such as `("cascade", "split", 3)`; other names, an independent stream.
    """
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=_words(names)))


def key(seed: int, *names: str | int) -> "jax.Array":
    """Returns a typed JAX key for a named purpose; see `generator`."""
    import jax

    # 32 bits drawn from the named stream, so that jax and NumPy agree on what "another name" means.
    return jax.random.key(int(generator(seed, *names, "jax").integers(2**32, dtype=np.uint32)))
