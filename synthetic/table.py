"""The one interface of all generator families.

    generator = FAMILIES["gaussian_copula"].fit(table, key=3)
    synthetic = generator.sample(1000, key=4, temperature=1.0)

`key` is a non-negative integer and the only source of randomness: the same table, family and key give the same rows.
It is an integer rather than a generator object because it can be written down beside the rows it made; `stream` turns
it, with names, into independent `numpy` generators, so that one key may serve several purposes. (Of the two networks
this holds for one number of threads: see `synthetic.training`.)
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import pyarrow as pa

__all__ = ["Family", "Generator", "check_request", "derive_key", "stream"]


class Generator(Protocol):
    """A generator fitted to a table."""

    def sample(self, n: int, key: int, temperature: float = 1.0) -> pa.Table:
        """Returns `n` synthetic rows with the schema of the table the generator was fitted on.

        Args:
          n: Number of rows, 0 or more.
          key: Non-negative integer; the same key gives the same rows.
          temperature: Positive. 1 samples the fitted distribution; below 1 its likely values are favoured, above 1
            its unlikely ones. Each family's module says what exactly is tempered.
        """
        ...


@dataclass(frozen=True)
class Family:
    """A kind of generator.

    Attributes:
      name: Name in the registry, which is also its module's.
      fit: `fit(table, key) -> Generator`.
      summary: What it learns and what it forgets, in a line.
    """

    name: str
    fit: Callable[[pa.Table, int], Generator]
    summary: str


def stream(key: int, *names: str | int) -> np.random.Generator:
    """Returns the generator of random numbers that belongs to `key` and `names`; other names, other numbers."""
    if key < 0:
        raise ValueError(f"key must be 0 or more, got {key}")
    words = [name if isinstance(name, int) else zlib.crc32(name.encode()) for name in names]
    return np.random.default_rng(np.random.SeedSequence([key, *words]))


def derive_key(key: int, *names: str | int) -> int:
    """Returns a key derived from `key` and `names`, below 2**31 so that every library takes it as a seed."""
    return int(stream(key, *names).integers(2**31))


def check_request(n: int, temperature: float) -> None:
    """Raises ValueError unless `n` rows at `temperature` can be sampled."""
    if n < 0:
        raise ValueError(f"n must be 0 or more, got {n}")
    if not temperature > 0 or not np.isfinite(temperature):
        raise ValueError(f"temperature must be positive and finite, got {temperature}")
