"""Memory of a training program: what it will take, what there is, and what running out of it looks like.

A program's need is known before it runs, from the compiler. Where it is too much, a batch is taken in parts, whose
gradients are summed: the step stays that of the whole batch. Where no part is small enough, blocks are worked out again
for their gradient.
"""

import resource
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

from vr.cascade.progress import MemoryUse
from vr.core.errors import OutOfMemoryError

__all__ = [
    "MAX_HALVINGS",
    "Need",
    "available_bytes",
    "in_use",
    "is_exhausted",
    "most_in_use",
    "need_of",
    "out_of_memory",
]

MAX_HALVINGS = 3  # of the part of a batch that is taken at once
_USABLE = 0.9  # of a device's memory; the rest is left to fragmentation and to other programs


@dataclass(frozen=True)
class Need:
    """Bytes that a compiled program takes on each device.

    Attributes:
      arguments: What it is given.
      temporary: What it makes on its way.
      results: What it gives, beyond what lies where an argument was.
    """

    arguments: int
    temporary: int
    results: int

    @property
    def peak(self) -> int:
        """Bytes at most."""
        return self.arguments + self.temporary + self.results


def need_of(compiled: Any) -> Need | None:
    """Returns what a compiled program takes; None where the backend does not say."""
    found = compiled.memory_analysis()
    if found is None:
        return None
    results = max(0, found.output_size_in_bytes - found.alias_size_in_bytes)
    return Need(found.argument_size_in_bytes, found.temp_size_in_bytes, results)


def available_bytes(limit: int | None = None) -> int | None:
    """Returns the bytes that a program may take on a device; None where nobody knows, as on a CPU.

    Args:
      limit: Bytes of a device to count with, instead of what it has.
    """
    if limit is not None:
        return limit
    free = []
    for device in jax.local_devices():
        stats = device.memory_stats() or {}
        if "bytes_limit" not in stats:
            return None
        free.append(stats["bytes_limit"] - stats.get("bytes_in_use", 0))
    return int(_USABLE * min(free))


def in_use() -> MemoryUse:
    """Returns the bytes in use now on the fullest device; those of this process where devices do not say."""
    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    if used := [found["bytes_in_use"] for found in stats if "bytes_in_use" in found]:
        return MemoryUse(max(used), "device")
    try:
        resident = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        return MemoryUse(None, reason="neither the device nor the system says what is in use")
    return MemoryUse(resident * resource.getpagesize(), "process")


def most_in_use() -> int | None:
    """Returns the most bytes that were ever in use on one device of this process; None where devices do not say."""
    stats = [device.memory_stats() or {} for device in jax.local_devices()]
    return max((found["peak_bytes_in_use"] for found in stats if "peak_bytes_in_use" in found), default=None)


def is_exhausted(error: BaseException) -> bool:
    """Whether an exception is XLA's for memory that could not be had."""
    return isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)


def out_of_memory(batch_rows: int, parts: int, need: int | None = None, limit: int | None = None) -> OutOfMemoryError:
    """Returns the error to raise where no part of a batch is small enough."""
    text = f"a batch of {batch_rows} rows in {parts} part{'s' if parts > 1 else ''} does not fit into a device's memory"
    if need is not None and limit is not None:
        text += f" (it takes {need / 2**20:,.0f} MiB of {limit / 2**20:,.0f})"
    return OutOfMemoryError(
        text, where="cascade", hint="choose a smaller preset or fewer batch_rows, and leave cascade.remat at auto"
    )
